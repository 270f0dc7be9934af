//! The arithmetic agrees with scipy and statsmodels on the samples of scipy.json, which scipy_vectors.py wrote.

use baton_lab::stats::{
    bootstrap, holm, least_p, least_signed_p, least_signed_p_of, mad, mann_whitney, median,
    quantile, signed_rank,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Vectors {
    samples: Vec<Sample>,
    rank_tests: Vec<RankTest>,
    signed_rank_tests: Vec<SignedRankTest>,
    holm: Vec<(Vec<f64>, Vec<f64>)>,
    bootstraps: Vec<Bootstrap>,
    ends: Vec<(usize, f64)>,
}

#[derive(Deserialize)]
struct Sample {
    values: Vec<f64>,
    median: f64,
    quantiles: Vec<(f64, f64)>,
    mad: f64,
}

#[derive(Deserialize)]
struct RankTest {
    first: Vec<f64>,
    second: Vec<f64>,
    u: f64,
    asymptotic: f64,
    exact: Option<f64>,
}

#[derive(Deserialize)]
struct SignedRankTest {
    values: Vec<f64>,
    asymptotic: Option<f64>,
    exact: Option<f64>,
    least: f64,
}

#[derive(Deserialize)]
struct Bootstrap {
    values: Vec<f64>,
    at_most: Vec<(f64, f64)>,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("scipy.json")).unwrap()
}

#[track_caller]
fn close(what: &str, own: f64, theirs: f64) {
    let scale = theirs.abs().max(1e-300);
    assert!(
        (own - theirs).abs() <= 1e-9 * scale,
        "{what}: {own:e} instead of {theirs:e}"
    );
}

#[test]
fn quantiles_and_deviations() {
    for (index, sample) in vectors().samples.iter().enumerate() {
        let what = |name: &str| format!("samples[{index}], {name}");
        close(
            &what("median"),
            median(&sample.values).unwrap(),
            sample.median,
        );
        close(&what("mad"), mad(&sample.values).unwrap(), sample.mad);
        for (part, theirs) in &sample.quantiles {
            let own = quantile(&sample.values, *part).unwrap();
            close(&what(&part.to_string()), own, *theirs);
        }
    }
}

#[test]
fn rank_tests() {
    let mut counted = 0;
    for (index, test) in vectors().rank_tests.iter().enumerate() {
        let what = |name: &str| format!("rank_tests[{index}], {name}");
        let own = mann_whitney(&test.first, &test.second).unwrap();
        close(&what("u"), own.u, test.u);
        let theirs = match (own.exact, test.exact) {
            (true, Some(exact)) => {
                counted += 1;
                exact
            }
            (true, None) => panic!("{}: counted in spite of ties", what("p")),
            (false, _) => test.asymptotic,
        };
        close(&what("p"), own.p, theirs);
        let (n, m) = (test.first.len(), test.second.len());
        let least = least_p(n, m);
        assert!(
            !own.exact || own.p >= least * (1.0 - 1e-9),
            "{}",
            what("least p")
        );
    }
    assert!(counted > 20, "only {counted} were counted");
}

#[test]
fn signed_rank_tests() {
    for (index, test) in vectors().signed_rank_tests.iter().enumerate() {
        let own = signed_rank(&test.values).unwrap();
        let theirs = test.asymptotic.or(test.exact).unwrap();
        close(&format!("signed_rank_tests[{index}]"), own, theirs);
        let least = least_signed_p_of(&test.values).unwrap();
        close(
            &format!("least of signed_rank_tests[{index}]"),
            least,
            test.least,
        );
        assert!(
            own >= least * (1.0 - 1e-9) && least >= least_signed_p(test.values.len()),
            "signed_rank_tests[{index}]: {own}, least {least}"
        );
    }
}

#[test]
fn corrections() {
    for (index, (ps, theirs)) in vectors().holm.iter().enumerate() {
        for (own, theirs) in holm(ps).iter().zip(theirs) {
            close(&format!("holm[{index}]"), *own, *theirs);
        }
    }
}

#[test]
fn medians_of_the_bootstrap() {
    for (index, sample) in vectors().bootstraps.iter().enumerate() {
        for (value, theirs) in &sample.at_most {
            let own = bootstrap::share_at_most(&sample.values, *value + 1e-9);
            // Two hundred thousand draws: three standard deviations are at most 0.0034.
            assert!(
                (own - theirs).abs() < 0.004,
                "bootstraps[{index}], up to {value}: {own} instead of {theirs}"
            );
        }
    }
}

#[test]
fn ends_of_intervals() {
    for (n, theirs) in vectors().ends {
        let own = bootstrap::tail(n, 0.95);
        assert!(
            (own / theirs - 1.0).abs() < 1e-6,
            "n {n}: {own} instead of {theirs}"
        );
    }
}
