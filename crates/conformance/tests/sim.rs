//! The suite, on the simulator.

use baton_conformance::{Beat, CASES, Case, Visitor, with_policy};
use baton_machine::MachineFile;
use baton_policy::{CpuSet, Policy, SEC};
use baton_sim::{Actor, Cast, Config, Fault, Outcome, Plan, Spawn, Stage, Step, run_outcome};
use baton_workload::Workload;

/// Computes and sleeps.
struct Player {
    beat: Beat,
    computes: bool,
}

impl Actor for Player {
    fn step(&mut self, stage: &mut Stage) -> Step {
        self.computes = !self.computes;
        match self.computes {
            true => Step::Compute(self.beat.burst_ns),
            false => Step::SleepUntil(stage.now_ns() + self.beat.sleep_ns),
        }
    }
}

fn install(case: &Case, stage: &mut Stage) {
    for beat in case.beats {
        for _ in 0..beat.count {
            let player = Player {
                beat: *beat,
                computes: false,
            };
            let mut spawn = Spawn::new(beat.name, Stage::NO_PART, player);
            spawn.allowed = beat.cpu.map(|cpu| [cpu].into_iter().collect::<CpuSet>());
            stage.spawn(spawn);
        }
    }
}

struct Run<'a>(&'a Config);

impl Visitor for Run<'_> {
    type Output = Outcome;

    fn visit<P: Policy + 'static>(self) -> Outcome {
        run_outcome::<P>(self.0, false).expect("it can be simulated")
    }
}

#[test]
fn the_simulator_conforms() {
    let machine = MachineFile::find("2-cpu").unwrap();
    let mut problems = Vec::new();
    for case in CASES {
        let mut config = Config::on(&machine, Workload::none());
        config.limit_ns = case.seconds * SEC;
        config.logged = true;
        if case.successor.is_some() {
            let half_ns = case.seconds * SEC / 2;
            config.plans = vec![(half_ns, Plan::Fault(Fault::TakeOver))];
        }
        config.cast = Some(Cast::new(move |stage| install(case, stage)));
        let outcome = with_policy(case.policy, Run(&config)).expect("a policy of the suite");
        let log = outcome.log.expect("a log was asked for");
        match case.check(&log, true) {
            Ok(found) => println!("{}: {found}", case.name),
            Err(problem) => problems.push(format!("{}: {problem}", case.name)),
        }
    }
    assert!(problems.is_empty(), "{problems:#?}");
}
