//! `baton lab check`: results against thresholds.

use std::{path::PathBuf, process::ExitCode};

use baton::app::{Code, Failure};
use baton_lab::{
    check::{self, Thresholds},
    compare,
    judge::{Rules, judge},
    table,
};

/// Whether results are good enough: exit status 1 on a regression
///
/// A regression is a metric whose ratio to the baseline, or with --against to the same variant in
/// older results, is above its threshold and is shown to be worse: with enough runs, an interval that
/// leaves out no change, and a p that holds among all cells. A variant that fails where the other
/// did not, or whose figures are refused, is one too. What there are too few runs for is told and
/// does not fail. Only metrics with a threshold are checked. That nothing is left to check fails too:
/// a workload without a run that came to its end, a single variant, and with --against a variant,
/// workload or metric that the older results have and these lack.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  baton lab check results.json
  baton lab check results.json --threshold primary=1.03 --threshold pipe.round_trip_p99_us=1.2
  baton lab check results.json --against main/results.json --threshold thresholds.toml --json

A file of thresholds:
  primary = 1.05
  secondary = 1.25
  \"pipe/pipe.time_s\" = 1.10")]
pub(super) struct Args {
    /// Results
    results: PathBuf,
    /// Older results to hold them against, instead of their own baseline
    #[arg(long, value_name = "OLD.json")]
    against: Option<PathBuf>,
    /// With --against: compare what each variant is relative to the baseline of its round
    #[arg(long, requires = "against")]
    relative: bool,
    /// The ratio above which worse is a regression: NAME=RATIO, where NAME is `primary`, `secondary`, a metric,
    /// or WORKLOAD/METRIC; or a TOML file of them [default: primary=1.05]
    #[arg(long = "threshold", value_name = "NAME=RATIO or FILE.toml")]
    thresholds: Vec<String>,
    /// Print JSON: `{"passed","problems":[...],"regressions":[{"workload","metric","variant","verdict","effect","threshold","why"}],"unsure":[...],"checked","warnings"}`
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    let thresholds = thresholds(&args.thresholds)?;
    let results = super::results(&args.results)?;
    let rules = Rules::default();
    let mut problems = check::unmeasured(&results);
    let (cells, warnings) = match &args.against {
        Some(old) => {
            let old = super::results(old)?;
            problems.extend(check::missing(&old, &results, &thresholds));
            let comparison = compare::compare(&old, &results, &rules, args.relative);
            (
                comparison.cells,
                [comparison.warnings, comparison.notes].concat(),
            )
        }
        None => {
            let judgement = judge(&results, &rules);
            (judgement.cells, judgement.notes)
        }
    };
    // Without cells no name fits, and that there are none is told instead.
    if !cells.is_empty() {
        thresholds.fit(&cells).map_err(bad)?;
    }
    let mut outcome = check::check(&cells, &thresholds, warnings);
    outcome.add(problems);
    if args.json {
        outln!("{}", serde_json::to_string(&outcome)?);
    } else {
        out!("{}", table::outcome(&outcome));
    }
    Ok(match outcome.passed {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// What the options say: words, and files of them; later ones count.
fn thresholds(given: &[String]) -> anyhow::Result<Thresholds> {
    if given.is_empty() {
        return Ok(Thresholds::default());
    }
    let mut all = Thresholds::none();
    for text in given {
        let more = match text.contains('=') {
            true => Thresholds::from_words(std::slice::from_ref(text)),
            false => {
                let read = std::fs::read_to_string(text);
                let toml = read.map_err(|error| Failure::io("read", text.as_ref(), &error))?;
                Thresholds::from_toml(&toml)
            }
        };
        all.add(more.map_err(bad)?);
    }
    Ok(all)
}

fn bad(error: check::Error) -> Failure {
    Failure::new(Code::Other("bad-threshold", 2), error.to_string())
}
