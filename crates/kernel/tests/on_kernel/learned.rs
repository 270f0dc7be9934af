//! Models in the kernel: bursts guessed at the moment of placing a task, models that are wrong, and models
//! that are replaced while they run.

use std::{sync::Arc, thread, time::Duration};

use baton_kernel::RunConfig;
use baton_model::{Feature, Input, Inputs, Layer, Model, ModelFile, Network, Provenance, Range};
use baton_policy::Mode;
use serde_json::Value;

use crate::{
    charge::Charge,
    guest::{LOAD, Outcome, check, counter, load, ms},
};

/// Policies of these scenarios begin so; what follows is how bursts are guessed.
pub const PREFIX: &str = "learned-";

/// A model that says the same of every task, of two outputs on the scale of logarithms.
fn always(middle: i32, high: i32) -> Arc<ModelFile> {
    let input = Input {
        feature: Feature::Last1,
        relative: false,
        range: Range { low: 0, high: 1 },
    };
    let layer = Layer {
        weights: vec![vec![0], vec![0]],
        bias: vec![middle, high],
        shift: 0,
    };
    let network = Network::new(Inputs::plain(vec![input]), vec![layer]).expect("a network");
    Arc::new(ModelFile {
        model: Model::Network(network),
        provenance: Provenance::default(),
        scores: Vec::new(),
    })
}

/// How `learned` is run in such a scenario.
pub fn config(name: &str, config: RunConfig) -> RunConfig {
    let param = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let (params, model) = match name {
        "model" => (vec![], None),
        // Another one, which is off soon.
        "other" => (vec![], Some(always(12 * 256, 13 * 256))),
        "shadow" => (vec![param("shadow", "true")], None),
        "average" | "constant" | "random" | "inverted" => (vec![param("by", name)], None),
        "absurd" => (vec![], Some(always(i32::MAX / 2, i32::MAX / 2))),
        "negative" => (vec![], Some(always(i32::MIN / 2, i32::MIN / 2))),
        _ => panic!("no way to guess by {name}"),
    };
    RunConfig {
        mode: Mode::Infer,
        params,
        model,
        ..config
    }
}

/// Guesses that the process made again, and how many came out otherwise.
fn again(report: &Value) -> (u64, u64) {
    let of = |name: &str| report["process"][name].as_u64().unwrap_or(u64::MAX);
    (of("guesses"), of("guesses_differ"))
}

fn errors(report: &Value) -> (f64, f64) {
    let judged = counter(report, "judged").max(1) as f64 * 256.0;
    let of = |name: &str| counter(report, name) as f64 / judged;
    (of("error_model"), of("error_average"))
}

/// The kernel guesses bursts by the model, and the policy's own arithmetic gives the same.
pub fn infers() -> Outcome {
    let charge = Charge::take("learned-model", 240)?;
    load(LOAD, None)?;
    load("frames:seconds=3+hogs", None)?;
    let report = charge.stop()?;
    let (guesses, differ) = again(&report);
    let (model, average) = errors(&report);
    let text = format!(
        "{} by the model, {} by the average; {guesses} made again, {differ} otherwise; {} judged, off by {model:.2} \
         octaves, the average by {average:.2}; off {} times; {} held",
        counter(&report, "guess_model"),
        counter(&report, "guess_average") + counter(&report, "guess_unsure"),
        counter(&report, "judged"),
        counter(&report, "model_off"),
        counter(&report, "held"),
    );
    let works = counter(&report, "guess_model") > 100 && counter(&report, "judged") > 100;
    check(
        works && guesses > 50 && differ == 0 && counter(&report, "held") == 0,
        text,
    )
}

/// Models that are wrong are off after a few windows, and nobody waits much longer than without.
pub fn faulty() -> Outcome {
    let run = |name: &str| -> Result<Value, String> {
        let charge = Charge::take(&format!("{PREFIX}{name}"), 240)?;
        load(LOAD, None)?;
        charge.stop()
    };
    let p99_ms = |report: &Value| {
        report["stats"]["wait"]["p99_ns"]
            .as_f64()
            .map_or(f64::NAN, |ns| ns / 1e6)
    };
    let average = run("average")?;
    let mut text = format!("average: p99 {:.1} ms", p99_ms(&average));
    let mut all_well = true;
    for name in ["constant", "random", "inverted", "absurd", "negative"] {
        let report = run(name)?;
        let heeded = counter(&report, "guess_model");
        let off = counter(&report, "guess_off");
        text += &format!(
            "; {name}: p99 {:.1} ms, longest {:.0} ms, {heeded} guesses heeded, {off} not",
            p99_ms(&report),
            ms(&report, "wait_max_ns"),
        );
        // A window has 64 bursts that ended, and those that are under way were guessed too.
        all_well &= heeded < 400
            && off > heeded
            && counter(&report, "model_off") > 0
            // The histogram's buckets are a quarter wide.
            && p99_ms(&report) <= p99_ms(&average) * 1.25 + 20.0
            && ms(&report, "wait_max_ns") < 1500.0
            && again(&report).1 == 0;
    }
    check(all_well, text)
}

/// A model that is only watched is judged and changes nothing.
pub fn shadow() -> Outcome {
    let charge = Charge::take("learned-shadow", 240)?;
    load(LOAD, None)?;
    let report = charge.stop()?;
    let (model, average) = errors(&report);
    let text = format!(
        "{} by the average, {} by the model, {} far apart; {} judged, off by {model:.2} octaves, the average by \
         {average:.2}",
        counter(&report, "guess_average"),
        counter(&report, "guess_model"),
        counter(&report, "guess_apart"),
        counter(&report, "judged"),
    );
    let watched = counter(&report, "guess_average") > 100 && counter(&report, "judged") > 100;
    check(watched && counter(&report, "guess_model") == 0, text)
}

/// One model takes over from another while tasks run, again and again: the new one's guesses are
/// heard of at once, and never the old one's.
pub fn swaps() -> Outcome {
    let mut charge = Charge::take("learned-model", 600)?;
    let mut checked = 0;
    let outcome = thread::scope(|scope| -> Result<(), String> {
        let load = scope.spawn(|| (0..4).try_for_each(|_| load(LOAD, None).map(|_| ())));
        for turn in 0..8 {
            let name = ["other", "model"][turn % 2];
            let mut next = Charge::start(&format!("switch:{PREFIX}{name}"), 600, None)?;
            while charge.is_running() {
                if !next.is_running() {
                    return Err(format!("turn {turn}: did not take over: {}", next.output()));
                }
                thread::sleep(Duration::from_millis(10));
            }
            let (report, code) = std::mem::replace(&mut charge, next).finish()?;
            let (guesses, differ) = again(&report);
            if code != Some(0) || report["exit"]["kind"] != "switched" || differ != 0 {
                return Err(format!("turn {turn}: {code:?}, {differ} differ, {report}"));
            }
            checked += guesses;
            // Each has a while.
            thread::sleep(Duration::from_millis(500));
        }
        load.join().map_err(|_| "the load panicked")?
    });
    outcome?;
    let report = charge.stop()?;
    let (guesses, differ) = again(&report);
    checked += guesses;
    let text = format!("8 times; {checked} guesses made again, {differ} otherwise");
    check(differ == 0 && checked > 50, text)
}
