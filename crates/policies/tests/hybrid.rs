//! Fast and slow CPUs: who goes where, and that nobody waits beside an idle one.

mod model;
mod script;

use baton_policies::{Edf, Hybrid};
use baton_policy::{
    CAPACITY_SCALE, Class, Classes, Decision, Driver, MS, Machine, Mode, Placement, Policy, Rng,
    SEC, Setup, US,
};
use model::{Model, Spec, machine};
use script::Script;

const BIG: u32 = CAPACITY_SCALE;
const SMALL: u32 = 400;
/// Two of each; the small ones first.
const FOUR: [u32; 4] = [SMALL, SMALL, BIG, BIG];

fn model(capacities: &[u32], classes: Classes, specs: &[Spec]) -> Model<Hybrid> {
    Model::new(machine(capacities), classes, &[], specs)
}

fn script(capacities: &[u32]) -> Script<Hybrid> {
    Script::with_classes(machine(capacities), &Classes::NONE, &[])
}

fn cpu(decision: Decision) -> u32 {
    match decision.placement {
        Placement::Cpu { cpu } => cpu,
        other => panic!("to no CPU but {other:?}"),
    }
}

/// Both CPUs are known to be free.
fn idle(script: &mut Script<Hybrid>, cpus: u32) {
    for cpu in 0..cpus {
        script.running("boot", cpu, 0).stopped("boot", cpu, 1);
    }
}

#[test]
fn free_cpus_go_by_size() {
    let mut script = script(&[SMALL, BIG]);
    idle(&mut script, 2);
    let short = script.wakeup("short", 2 * MS);
    assert_eq!((cpu(short), short.preempt), (1, false));
    // A task that computed for long is in the background.
    script.stopped("x", 1, 2 * MS);
    let long = script
        .computed("long", 1, 30 * MS, 40 * MS)
        .slice_over("long", 40 * MS);
    assert_eq!(cpu(long), 0);
    // With only the other kind free, each takes that.
    let mut script = self::script(&[SMALL, BIG]);
    idle(&mut script, 2);
    script.running("a", 0, MS);
    assert_eq!(
        cpu(script
            .computed("long", 1, 30 * MS, 40 * MS)
            .slice_over("long", 40 * MS)),
        1
    );
}

#[test]
fn a_waking_task_takes_the_large_cpu_from_the_background() {
    let mut script = script(&[SMALL, BIG]);
    idle(&mut script, 2);
    script
        .computed("long", 1, 30 * MS, 40 * MS)
        .slice_over("long", 40 * MS);
    // It was sent to the small CPU and comes to the large one in the end.
    script
        .running("long", 0, 41 * MS)
        .stopped("long", 0, 42 * MS);
    script.running("long", 1, 70 * MS);
    // It has its two milliseconds first; until then the small one serves.
    let soon = script.wakeup("short", 71 * MS);
    assert_eq!((cpu(soon), soon.preempt), (0, false));
    let later = script.wakeup("other", 73 * MS);
    assert_eq!((cpu(later), later.preempt), (1, true));
    // Nobody takes a CPU from a short one, nor for a long one.
    script
        .stopped("long", 1, 73 * MS)
        .running("other", 1, 73 * MS)
        .running("short", 0, 73 * MS);
    assert!(matches!(
        script.wakeup("third", 76 * MS).placement,
        Placement::Ready { .. }
    ));
    script.running("x", 0, 76 * MS).running("x", 1, 76 * MS);
    let long = script
        .computed("long", 1, 30 * MS, 110 * MS)
        .slice_over("long", 110 * MS);
    assert!(
        matches!(long.placement, Placement::Ready { .. }),
        "{long:?}"
    );
}

#[test]
fn short_work_runs_on_large_cpus_beside_a_build() {
    let mut specs = vec![Spec::hog(None); 4];
    specs.push(Spec::periodic(None, 2 * MS, 8 * MS));
    specs.push(Spec::periodic(None, MS, 5 * MS));
    let mut model = model(&FOUR, Classes::NONE, &specs);
    model.run(10 * SEC);
    for task in &model.tasks[4..] {
        let large_ns = task.ran_ns[2] + task.ran_ns[3];
        assert!(large_ns * 100 >= task.total_ns() * 95, "{task:?}");
        assert!(task.wakeup_sum_ns / task.wakeups < 300 * US, "{task:?}");
    }
    assert!(model.wasted_max_ns < 100 * US, "{}", model.wasted_max_ns);
    assert_eq!((model.rescues, model.invalid), (0, 0));
}

#[test]
fn background_leaves_the_large_cpus_when_small_ones_are_free() {
    let mut specs = vec![Spec::periodic(None, 20 * MS, 10 * MS); 2];
    specs.push(Spec::periodic(None, 500 * US, 2 * MS));
    let mut model = model(&FOUR, Classes::NONE, &specs);
    model.run(10 * SEC);
    for task in &model.tasks[..2] {
        let small_ns = task.ran_ns[0] + task.ran_ns[1];
        assert!(small_ns * 100 >= task.total_ns() * 95, "{task:?}");
    }
    let short = &model.tasks[2];
    let small_ns = short.ran_ns[0] + short.ran_ns[1];
    assert!(small_ns * 100 <= short.total_ns(), "{short:?}");
}

/// All CPUs compute when there is enough to do, and whoever has a deadline has it.
#[test]
fn no_cpu_idles_while_somebody_waits() {
    for hogs in 1..10 {
        let mut model = model(&FOUR, Classes::NONE, &vec![Spec::hog(None); hogs]);
        model.run(5 * SEC);
        let total: u64 = model.tasks.iter().map(|task| task.total_ns()).sum();
        let expected = hogs.min(4) as u64 * 5 * SEC - model.taken_ns;
        assert!(total >= expected - 4 * MS, "{hogs}: {total}");
        let least = model
            .tasks
            .iter()
            .map(|task| task.total_ns())
            .min()
            .unwrap();
        assert!(
            least * 100 >= total / hogs as u64 * 80,
            "{hogs}: {least} of {total}"
        );
    }
}

#[test]
fn a_deadline_makes_a_task_interactive() {
    let game = Class {
        name: "game".into(),
        deadline_ns: Some(5 * MS),
        ..Class::default()
    };
    let classes = Classes::new(vec![game]).unwrap();
    let mut specs = vec![Spec::hog(None); 6];
    // Bursts of 8 ms are long ones otherwise.
    specs.push(Spec::periodic(Some(0), 8 * MS, 8 * MS));
    let mut with = model(&FOUR, classes, &specs);
    with.run(10 * SEC);
    specs[6].class = None;
    let mut without = model(&FOUR, Classes::NONE, &specs);
    without.run(10 * SEC);
    let share = |model: &Model<Hybrid>| {
        let task = &model.tasks[6];
        (task.ran_ns[2] + task.ran_ns[3]) * 100 / task.total_ns()
    };
    assert!(share(&with) >= 90, "{} {}", share(&with), share(&without));
    let game = &with.tasks[6];
    assert!(game.wakeup_sum_ns / game.wakeups < 300 * US, "{game:?}");
}

#[test]
fn classes_name_cpus_on_any_machine() {
    let bound = Class {
        name: "bound".into(),
        allowed: Some("1".parse().unwrap()),
        ..Class::default()
    };
    let classes = Classes::new(vec![bound]).unwrap();
    let mut specs = vec![Spec::hog(Some(0)); 2];
    specs.extend(vec![Spec::hog(None); 3]);
    let mut model = model(&[BIG, BIG], classes, &specs);
    model.run(10 * SEC);
    for task in &model.tasks[..2] {
        assert_eq!(task.ran_ns[0], 0, "{task:?}");
    }
    assert!(
        model.tasks.iter().all(|task| task.total_ns() > 2 * SEC),
        "{:?}",
        model.tasks
    );
    assert_eq!((model.rescues, model.invalid), (0, 0));
}

/// A random history, decided by a policy on a machine of equal CPUs.
fn history<P: Policy>(seed: u64) -> (Vec<Decision>, String) {
    const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
    let mut rng = Rng::new(seed);
    let mut script = Script::<P>::new(2);
    let mut now = rng.below(SEC);
    let mut decisions = Vec::new();
    for _ in 0..2000 {
        now += rng.below(20 * MS);
        script.waiting = rng.below(9) as u32;
        let name = NAMES[rng.below(5) as usize];
        script.ran(name, rng.below(20 * MS));
        decisions.push(match rng.below(3) {
            0 => script.slice_over(name, now),
            1 => script.wakeup(name, now),
            _ => script.sync_wakeup(name, now),
        });
    }
    (decisions, format!("{:?}", script.driver().options()))
}

#[test]
fn on_equal_cpus_it_is_edf() {
    for seed in 1..=60 {
        assert_eq!(history::<Hybrid>(seed), history::<Edf>(seed), "seed {seed}");
    }
    // In both modes; with a choice of CPUs there is only one.
    let mode = |machine: &Machine| {
        let setup = Setup::new(machine, 1).with_mode(Mode::Hint);
        Driver::<Hybrid>::new(&setup).map(|driver| driver.options().mode)
    };
    assert_eq!(mode(&Machine::uniform("equal", 2)), Ok(Mode::Hint));
    assert!(mode(&machine(&FOUR)).is_err());
}

/// Random machines and tasks: nobody waits beyond edf's bound, nor beside a free CPU.
#[test]
fn nobody_starves_whatever_comes() {
    for seed in 1..=60 {
        let interrupts = seed % 2 == 0;
        let make = || {
            let mut rng = Rng::new(seed);
            let mut capacities: Vec<u32> = (0..1 + rng.below(5))
                .map(|_| [BIG, SMALL, 700][rng.below(3) as usize])
                .collect();
            capacities[0] = BIG;
            let cpus = capacities.len() as u64;
            let mut class = Class {
                deadline_ns: (rng.below(2) == 0).then(|| rng.below(20 * MS)),
                ..Class::default()
            };
            if rng.below(3) == 0 {
                class.preferred = Some([rng.below(cpus) as u32].into_iter().collect());
            }
            let specs: Vec<Spec> = (0..2 + rng.below(14))
                .map(|_| Spec {
                    class: [None, Some(0)][rng.below(2) as usize],
                    ..match rng.below(2) {
                        0 => Spec::hog(None),
                        _ => {
                            Spec::periodic(None, 100 * US + rng.below(20 * MS), rng.below(20 * MS))
                        }
                    }
                })
                .collect();
            let mut model = model(&capacities, Classes::new(vec![class]).unwrap(), &specs);
            model.interrupts = interrupts;
            model.run(10 * SEC);
            model
        };
        let model = make();
        assert!(model.decisions == make().decisions, "seed {seed}");
        assert_eq!((model.invalid, model.rescues), (0, 0), "seed {seed}");
        assert!(
            model.wasted_max_ns < 200 * US,
            "seed {seed}: {}",
            model.wasted_max_ns
        );
        for task in &model.tasks {
            assert!(task.wait_max_ns < 600 * MS, "seed {seed}: {task:?}");
        }
    }
}
