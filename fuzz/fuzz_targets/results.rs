//! The reader of results, and everything that is made of them.
#![no_main]

use baton_lab::{
    check::{Thresholds, check, missing, unmeasured},
    compare::compare,
    judge::{Rules, judge},
    report,
    results::Results,
    table,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(results) = Results::parse(bytes) else {
        return;
    };
    let again = serde_json::to_vec(&results).expect("JSON");
    let again = Results::parse(&again).expect("what was read can be written and read");
    // What is no number differs from itself.
    assert_eq!(format!("{again:?}"), format!("{results:?}"));
    let judgement = judge(&results, &Rules::default());
    table::judgement(&judgement);
    report::html(&results, &judgement, &[]).expect("a page");
    let comparison = compare(&results, &again, &Rules::default(), true);
    table::comparison(&comparison);
    let thresholds = Thresholds::default();
    let warnings = [unmeasured(&results), missing(&results, &again, &thresholds)].concat();
    table::outcome(&check(&judgement.cells, &thresholds, warnings));
});
