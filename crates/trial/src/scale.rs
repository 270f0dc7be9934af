//! What an event costs where there are many tasks, beside few.

use std::time::Instant;

use baton_policies::Fifo;
use baton_policy::{MS, Policy};

use crate::{protocol::Finding, scenarios::config, watched};

const FEW: u32 = 10;
const MANY: u32 = 1000;
/// How much dearer than a plain queue's an event may become. A loop over all tasks costs a hundred times
/// as much with [`MANY`].
const FACTOR_MAX: f64 = 8.0;
/// How much dearer than under a plain queue an event may be with few tasks, the simulator's part included.
const LEVEL_MAX: f64 = 30.0;

pub(crate) fn check<P: Policy>() -> Result<Option<Finding>, Finding> {
    // The simulator's own cost grows a little, too: it is the same under a plain queue.
    let (few, plain_few) = (per_event_ns::<P>(FEW)?, per_event_ns::<Fifo>(FEW)?);
    let level = few / plain_few;
    if level > LEVEL_MAX {
        return Ok(Some(Finding::new(
            "slow",
            format!("an event costs {level:.0} times as much as under first come, first served"),
            "Each event is dealt with in well below a microsecond: no long loops, no searches.",
        )));
    }
    let grows = per_event_ns::<P>(MANY)? / few;
    let factor = grows / (per_event_ns::<Fifo>(MANY)? / plain_few);
    Ok((factor > FACTOR_MAX).then(|| {
        Finding::new(
            "slow",
            format!(
                "with {MANY} tasks an event costs {factor:.0} times as much as with {FEW}, beside first come, first \
                 served"
            ),
            "Do not look at all tasks to find one: the ready queue orders by key, and a BTreeMap keeps an order.",
        )
    }))
}

/// The least of three measurements: other work on the machine only adds to it.
fn per_event_ns<P: Policy>(tasks: u32) -> Result<f64, Finding> {
    let workload = format!("hogs:count={tasks},seconds=1");
    let config = config("2-cpu", &workload, 400 * MS);
    let mut least = f64::INFINITY;
    for _ in 0..3 {
        let begin = Instant::now();
        let outcome = watched::run::<P>(&config)?;
        let each = begin.elapsed().as_nanos() as f64 / outcome.report.events.max(1) as f64;
        least = least.min(each);
    }
    Ok(least)
}
