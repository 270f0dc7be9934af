//! First come, first served.

mod script;

use baton_policies::Fifo;
use baton_policy::{KeyRule, MS, Options};
use script::{Script, key};

#[test]
fn the_key_is_the_time_whatever_the_task_did() {
    let mut script = Script::<Fifo>::new(1);
    script.join("heavy", 10_000).ran("hog", 500 * MS);
    assert_eq!(key(script.slice_over("hog", 3 * MS)), 3 * MS);
    assert_eq!(key(script.wakeup("heavy", 4 * MS)), 4 * MS);
    let options = script.driver().options();
    assert_eq!(
        (options.key_rule, options.sync_fast_path),
        (KeyRule::EnqueueTime, true)
    );
}

#[test]
fn parameters() {
    for (given, expected_ns) in [
        ("5", 5 * MS),
        ("0", MS),
        ("18446744073709551615", Options::SLICE_MAX_NS),
    ] {
        let script = Script::<Fifo>::with_params(1, &[("slice_ms", given), ("sync", "false")]);
        assert_eq!(script.driver().options().slice_ns, expected_ns);
        assert!(!script.driver().options().sync_fast_path);
    }
}
