//! Runs in which nothing fails, and what a policy must not do in them.

use baton_machine::MachineFile;
use baton_policy::{MS, Policy, SEC};
use baton_sim::{Config, Report};

use crate::{protocol::Finding, watched};

/// Nobody may wait longer: with the most tasks for each CPU below, and slices of the greatest length, all
/// could have had their turn by then.
const WAIT_MAX_MS: f64 = 1000.0;
/// The share of enqueues that may be left to rescue: what begins or ends beside them.
const RESCUED_MAX: f64 = 0.01;
/// The share of CPU time in which a CPU may idle while somebody waits.
const WASTED_MAX: f64 = 0.1;

/// Any machine's name, for a policy.
pub(crate) const MACHINE: &str = "machine";

/// Machine, workload, and how long.
const SCENARIOS: &[(&str, &str, u64)] = &[
    ("2-cpu", "hogs:count=8,seconds=4", 4 * SEC),
    ("2-cpu", "frames:seconds=3+hogs:count=3", 3 * SEC),
    ("2-cpu", "pipe:rounds=20000+hogs:count=4", 3 * SEC),
    (
        "2-cpu",
        "requests:work_us=400,workers=6,seconds=3+hogs:count=2",
        3 * SEC,
    ),
    ("4-cpu-smt", "messaging:groups=2,fan=5,loops=30", 20 * SEC),
    ("4-cpu-smt", "build:units=60,unit_ms=20,jobs=6", 20 * SEC),
    ("laptop-hybrid", "frames:seconds=2+hogs:count=20", 2 * SEC),
    ("2-socket-48-core", "hogs:count=120,seconds=1", SEC),
];

/// A scenario as a run.
pub(crate) fn config(machine: &str, workload: &str, limit_ns: u64) -> Config {
    let file = MachineFile::find(machine).expect("the machine comes with Baton");
    let workload = workload.parse().expect("the workload is one of Baton's");
    on_trial(Config {
        limit_ns,
        ..Config::on(&file, workload)
    })
}

/// The run without what tells a policy that it is on trial, or what is to come.
pub(crate) fn on_trial(mut config: Config) -> Config {
    config.machine.name = MACHINE.to_owned();
    config.tells_truth = false;
    config
}

/// Whether the policy did not decide, or decided what cannot be.
pub(crate) fn undecided(report: &Report) -> Vec<Finding> {
    let mut findings = judge(report);
    findings.retain(|finding| matches!(&*finding.code, "leaves-tasks" | "invalid-decisions"));
    findings
}

pub(crate) fn check<P: Policy>() -> Vec<Finding> {
    let mut findings = Vec::new();
    for &(machine, workload, limit_ns) in SCENARIOS {
        // Parts that end by time end a little before the run does.
        let config = config(machine, workload, limit_ns + 200 * MS);
        match watched::run::<P>(&config) {
            Ok(mut outcome) => {
                outcome.report.machine = machine.to_owned();
                findings.extend(judge(&outcome.report));
            }
            Err(finding) => findings.push(finding),
        }
    }
    findings
}

/// What is wrong in a run.
fn judge(report: &Report) -> Vec<Finding> {
    let place = format!("{} on {}", report.workload, report.machine);
    let count = |name: &str| report.counter(name);
    let share = |part: u64, all: u64| part as f64 / all.max(1) as f64;
    let mut findings = Vec::new();
    let longest = &report.longest_wait;
    if count("starved") > 0 || longest.ms > WAIT_MAX_MS {
        let message = format!(
            "in {place} a runnable task waited {:.0} ms for a CPU, and {} times a ready task had to be run by the \
             backend because its turn did not come",
            longest.ms,
            count("starved")
        );
        let help = "Every task's key must be reached in the end: let keys grow with time (deadlines, virtual \
                    time), and do not put one kind of task before another for ever.";
        findings.push(Finding::new("starves", message, help));
    }
    if share(count("rescues"), count("enqueues")) > RESCUED_MAX {
        let message = format!(
            "in {place} the backend had to place {} of {} enqueued tasks itself, because no decision came",
            count("rescues"),
            count("enqueues")
        );
        let help = "Decide about each task in `enqueue`, or later about each that is kept in hand: `cx.ready`, \
                    `cx.on_cpu` or `cx.hold`.";
        findings.push(Finding::new("leaves-tasks", message, help));
    }
    if share(count("invalid"), count("decisions")) > RESCUED_MAX {
        let message = format!(
            "in {place} {} of {} decisions were not possible, such as a CPU that does not exist",
            count("invalid"),
            count("decisions")
        );
        let help = "Place tasks on CPUs that are online and that `info.allowed` holds.";
        findings.push(Finding::new("invalid-decisions", message, help));
    }
    let time = &report.cpu_time;
    if time.wasted_s > WASTED_MAX * (time.busy_s + time.wasted_s) {
        let message = format!(
            "in {place} CPUs idled for {:.2} s while tasks waited, beside {:.2} s of work",
            time.wasted_s, time.busy_s
        );
        let help = "Put tasks where idle CPUs find them: `cx.ready` serves all CPUs, `cx.on_cpu` one alone.";
        findings.push(Finding::new("idles", message, help));
    }
    findings
}
