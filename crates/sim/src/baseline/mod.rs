//! Schedulers of the simulator's own, for comparison. None is a relay's policy: no process decides, so
//! there is no delay and nothing to rescue.
//!
//! - `kernel`: EEVDF with per-CPU queues, placement and balancing, as the kernel's papers and documents
//!   describe it;
//! - `cfs`: the same frame with the rules of CFS, which the kernel had before;
//! - `bfs`: one queue for all CPUs by virtual deadline (Con Kolivas);
//! - `oracle`: one queue, and the shortest remaining burst first, which no real scheduler can know.

mod fair;
mod global;

use crate::{Config, Error, run::Outcome, run::run_class};
use fair::{Fair, Rule};
use global::{Global, Order};

/// Names of the baselines.
pub(crate) const NAMES: [&str; 4] = ["kernel", "cfs", "bfs", "oracle"];

/// Runs the baseline of this name, if there is one.
pub(crate) fn run(name: &str, config: &Config, traced: bool) -> Option<Result<Outcome, Error>> {
    let name = NAMES.into_iter().find(|known| *known == name)?;
    let is_asked = config.mode.is_hinted() || config.logged || config.model.is_some();
    if !config.params.is_empty() || is_asked {
        return Some(Err(Error::NotAPolicy { name }));
    }
    let cpus = config.machine.cpus.len();
    Some(match name {
        "kernel" => {
            let class = Fair::new(Rule::eevdf(cpus), cpus);
            run_class(name, class, config, traced, |_, _| {})
        }
        "cfs" => {
            let class = Fair::new(Rule::cfs(cpus), cpus);
            run_class(name, class, config, traced, |_, _| {})
        }
        "bfs" => run_class(
            name,
            Global::new(Order::Deadline, cpus),
            config,
            traced,
            |_, _| {},
        ),
        _ => run_class(
            name,
            Global::new(Order::Remaining, cpus),
            config,
            traced,
            |_, _| {},
        ),
    })
}
