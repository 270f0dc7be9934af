//! An experiment for the tests of the report: measured in the simulator, with a variant that fails
//! in several ways added by hand.

use baton_lab::judge::{Judgement, Rules, judge};
use baton_lab::report::Timeline;
use baton_lab::results::Results;

/// The experiment's results.
pub fn results() -> Results {
    serde_json::from_str(include_str!("../data/results.json")).expect("the fixture is readable")
}

/// A timeline of one run under each of four variants.
#[allow(dead_code, reason = "not every test shows them")]
pub fn timelines() -> Vec<Timeline> {
    serde_json::from_str(include_str!("../data/timelines.json")).expect("the fixture is readable")
}

/// Its verdicts.
pub fn judgement(results: &Results) -> Judgement {
    judge(results, &Rules::default())
}
