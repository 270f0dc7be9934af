//! From a configuration to a report.

use baton_model::{Model, ModelFile};
use baton_policies::{Visitor, with_policy};
use baton_policy::{Classes, Driver, Policy, Rng, SEC, Setup, log};
use baton_workload::Workload;

use crate::{
    Config, Error, Report, Trace,
    actor::Stage,
    actors::{self, PartView, Play},
    baseline,
    engine::{
        Engine, Plan,
        cgroups::Cgroups,
        class::{Class, Fault},
        core::Core,
        cpu::{Cpu, FULL_SPEED},
        task::{State, Task},
        topology::{Distance, Topology},
    },
    relay::Relay,
    report::{CounterValue, CpuTime, Energy, LongestWait, Migrations, quantiles},
};

/// A report, and the trace if there is one.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was found.
    pub report: Report,
    /// What happened.
    pub trace: Option<Trace>,
    /// What the policy saw and decided ([`baton_policy::log`]), if [`Config::logged`].
    pub log: Option<Vec<u8>>,
}

/// Runs a policy.
///
/// # Errors
/// The policy or the workload cannot be simulated so, or an invariant did not hold.
pub fn run<P: Policy>(config: &Config) -> Result<Report, Error> {
    Ok(run_outcome::<P>(config, false)?.report)
}

/// Runs the policy or baseline of this name, with a trace if asked for.
///
/// # Errors
/// As [`run`], or there is none of this name.
pub fn simulate(name: &str, config: &Config, traced: bool) -> Result<Outcome, Error> {
    if let Some(outcome) = baseline::run(name, config, traced) {
        return outcome;
    }
    let run = Run { config, traced };
    with_policy(name, run).unwrap_or_else(|| {
        Err(Error::UnknownScheduler {
            name: name.to_owned(),
            known: schedulers().collect(),
        })
    })
}

/// As [`simulate`], without a trace.
///
/// # Errors
/// As [`simulate`].
pub fn run_named(name: &str, config: &Config) -> Result<Report, Error> {
    Ok(simulate(name, config, false)?.report)
}

/// The names that [`run_named`] knows: policies, then baselines.
pub fn schedulers() -> impl Iterator<Item = &'static str> {
    let policies = baton_policies::list().iter().map(|policy| policy.name);
    policies.chain(baseline::NAMES)
}

struct Run<'a> {
    config: &'a Config,
    traced: bool,
}

impl Visitor for Run<'_> {
    type Output = Result<Outcome, Error>;

    fn visit<P: Policy + 'static>(self) -> Self::Output {
        run_outcome::<P>(self.config, self.traced)
    }
}

/// As [`run`], with a trace if asked for.
///
/// # Errors
/// As [`run`].
pub fn run_outcome<P: Policy>(config: &Config, traced: bool) -> Result<Outcome, Error> {
    let llcs = config.machine.llc_count();
    if llcs > 64 {
        return Err(Error::TooManyLlcs { llcs });
    }
    if config.model.is_some() && !P::USES_MODEL {
        return Err(Error::NoModel { name: P::NAME });
    }
    let none = Classes::NONE;
    let classes = config.classes.as_ref().map_or(&none, |file| file.classes());
    let setup = Setup::with_params(&config.machine, policy_seed(config.seed), &config.params)
        .with_mode(config.mode)
        .with_classes(classes)
        .with_model(model_for::<P>(config));
    let driver = Driver::<P>::new(&setup)?;
    let mut relay = Relay::new(driver, &config.machine, config.seed);
    relay.tells_truth = config.tells_truth;
    let takes_over = |plan: &&(u64, Plan)| plan.1 == Plan::Fault(Fault::TakeOver);
    for _ in config.plans.iter().filter(takes_over) {
        relay.successors.push(Driver::<P>::new(&setup)?);
    }
    if config.logged {
        relay.log_head = log_of(&relay, classes, config);
        relay.log = Some(relay.log_head.clone());
    }
    let mode = relay.driver().options().mode;
    let mut log = None;
    let finish = |relay: &mut Relay<P>, report: &mut Report| {
        log = relay.log.take();
        if let Some(log) = &mut log {
            log::encode_end(log);
        }
        report.mode = Some(mode.name().into());
        report
            .latencies
            .push(quantiles("decision", &relay.decision));
        let unheeded = classes.unheeded(P::CLASS_USE);
        if !unheeded.is_empty() {
            let (name, unheeded) = (P::NAME, unheeded.join(", "));
            let note = format!("{name} does not heed {unheeded} of the task classes");
            report.notes.push(note);
        }
        let unknown = relay.driver().stats().slab_full;
        if unknown > 0 {
            let note = format!("{unknown} events of tasks found no room in the policy's slab");
            report.notes.push(note);
        }
    };
    let outcome = run_class(P::NAME, relay, config, traced, finish)?;
    Ok(Outcome { log, ..outcome })
}

/// The seed of a policy's own randomness. From the run's it could know what the workload draws from that.
fn policy_seed(seed: u64) -> u64 {
    Rng::new(seed ^ 0x706f_6c69_6379).next_u64()
}

/// The model that a policy works with, if it uses one.
fn model_for<P: Policy>(config: &Config) -> Option<&Model> {
    let named = config.model.as_deref();
    P::USES_MODEL.then(|| &named.unwrap_or_else(|| ModelFile::shipped()).model)
}

/// The beginning of a policy's log.
fn log_of<P: Policy>(relay: &Relay<P>, classes: &Classes, config: &Config) -> Vec<u8> {
    let header = log::Header {
        policy: P::NAME.to_owned(),
        params: config.params.clone(),
        seed: policy_seed(config.seed),
        machine: config.machine.clone(),
        classes: classes.clone(),
        model: relay.driver().model().cloned(),
        options: *relay.driver().options(),
        kernel: "simulated".to_owned(),
        baton: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let mut log = Vec::new();
    log::encode_header(&header, &mut log);
    log
}

/// Runs a scheduler; `finish` adds what it alone knows.
pub(crate) fn run_class<C: Class>(
    name: &str,
    class: C,
    config: &Config,
    traced: bool,
    finish: impl FnOnce(&mut C, &mut Report),
) -> Result<Outcome, Error> {
    let workload = match config.duration_ns {
        Some(duration_ns) => config
            .workload
            .clone()
            .with_duration(std::time::Duration::from_nanos(duration_ns)),
        None => config.workload.clone(),
    };
    let cpus = config.machine.cpus.len();
    let mut stage = Stage::new(config.seed, config.costs.clone());
    stage.salt.clone_from(&config.salt);
    let online = config.machine.online().len();
    let mut play = actors::install(&workload, &mut stage, config.seed, online)?;
    if let Some(replay) = &config.replay {
        // The kernel's threads are in the recording.
        actors::install_replay(replay, &mut stage, &mut play);
    } else {
        actors::install_noise(&mut stage, config.machine.llc_count());
    }
    if let Some(cast) = &config.cast {
        cast.install(&mut stage);
    }
    let trace = traced.then(|| Box::new(Trace::new(cpus)));
    let topology = Topology::new(config.machine.clone());
    let core = Core::new(topology, config.costs.clone(), trace);
    let mut engine = Engine::new(core, class, stage, config.classes.clone());
    engine.plans.clone_from(&config.plans);
    engine.audit_each(config.audit_each);
    let end_ns = end_ns(&workload, &play, config);
    let complete = engine.run(play.bounded.clone(), end_ns);
    if let Some(what) = engine.core.violation.take() {
        return Err(Error::Violation {
            seed: config.seed,
            time_ns: engine.core.now_ns,
            what,
        });
    }
    let mut report = report(name, &engine, &workload, &play, config);
    report.complete &= complete;
    finish(&mut engine.class, &mut report);
    Ok(Outcome {
        report,
        trace: engine.core.trace.take().map(|trace| *trace),
        log: None,
    })
}

/// When a run ends at the latest: where no part ends by itself, when the longest says; without any
/// part, at the limit.
fn end_ns(workload: &Workload, play: &Play, config: &Config) -> u64 {
    if !play.bounded.is_empty() || workload.parts().is_empty() {
        return config.limit_ns;
    }
    let durations = workload
        .parts()
        .iter()
        .filter_map(|part| part.unbounded_seconds());
    let longest_s = durations.fold(0.0, f64::max);
    config.limit_ns.min((longest_s * SEC as f64) as u64)
}

fn report<C: Class>(
    name: &str,
    engine: &Engine<C>,
    workload: &Workload,
    play: &Play,
    config: &Config,
) -> Report {
    let core = &engine.core;
    let stats = &core.stats;
    let mut report = Report {
        scheduler: name.to_owned(),
        mode: None,
        workload: name_of(workload, config),
        machine: config.machine.name.clone(),
        seed: config.seed,
        complete: true,
        sim_s: core.now_ns as f64 / SEC as f64,
        events: stats.events,
        digest: format!("{:016x}", core.digest.value()),
        metrics: Vec::new(),
        histograms: Vec::new(),
        latencies: vec![
            quantiles("wakeup", &stats.wakeup),
            quantiles("wait", &stats.wait),
        ],
        longest_wait: LongestWait {
            ms: stats.longest.wait_ns as f64 / 1e6,
            pid: stats.longest.pid,
            name: stats.longest.name.to_string(),
        },
        fairness_error: fairness_error(core),
        migrations: migrations(core),
        switches: stats.switches,
        wakeups: stats.wakeups,
        tasks: core.tasks.created(),
        cpu_time: cpu_time(core),
        energy: energy(core),
        counters: Vec::new(),
        notes: Vec::new(),
    };
    for (name, value) in engine.class.counters() {
        let name = name.into();
        report.counters.push(CounterValue { name, value });
    }
    for (index, part) in play.parts.iter().enumerate() {
        let found = part.report(&engine.stage, &part_view(core, index));
        if let Some(unfinished) = found.unfinished {
            report.complete = false;
            let kind = workload.parts().get(index);
            let kind = kind.map_or("the replay", |part| part.kind().name);
            report
                .notes
                .push(format!("{kind} is not complete: {unfinished}"));
        }
        report.metrics.extend(found.metrics);
        report.histograms.extend(found.histograms);
        report.notes.extend(found.notes);
    }
    report
}

/// The workload's text, with the recording's name.
fn name_of(workload: &Workload, config: &Config) -> String {
    match (&config.replay, workload.parts().is_empty()) {
        (None, _) => workload.to_string(),
        (Some(replay), true) => replay.name().to_owned(),
        (Some(replay), false) => format!("{workload} beside {}", replay.name()),
    }
}

fn part_view(core: &Core, part: usize) -> PartView {
    let of_part = |(_, task): &(u32, &Task)| task.part as usize == part;
    let living = core.tasks.iter().filter(of_part);
    let (mut worked_ns, mut hogs_ns, mut wait_max_ns) = (0, 0, 0);
    for (index, task) in living {
        worked_ns += core.worked_ns(index);
        if task.sleeps_taken == 0 {
            hogs_ns += core.worked_ns(index);
        }
        // One that still waits has waited, too.
        if task.state == State::Queued {
            wait_max_ns = core
                .now_ns
                .saturating_sub(task.wait_since_ns)
                .max(wait_max_ns);
        }
    }
    let gone = core.cgroups.iter();
    let mut cgroups: Vec<_> = gone
        .map(|cgroup| (cgroup.path.clone(), cgroup.gone_ns))
        .collect();
    for (_, task) in core.tasks.iter() {
        cgroups[(task.cgroup - Cgroups::ROOT) as usize].1 += task.runtime_ns;
    }
    let gone = core.stats.parts.get(part).copied().unwrap_or_default();
    PartView {
        end_ns: gone.end_ns.unwrap_or(core.now_ns),
        worked_ns: worked_ns + gone.worked_ns,
        hogs_ns,
        wait_max_ns: wait_max_ns.max(gone.wait_max_ns),
        cgroups,
    }
}

/// Half the sum of the differences between what tasks that were there from the start and never slept got and what their weights give
/// them of it, as a share: the distance of the two distributions. None where fewer than two never slept.
fn fairness_error(core: &Core) -> Option<f64> {
    let is_steady = |(_, task): &(u32, &Task)| task.sleeps_taken == 0 && task.key.start_ns == 0;
    let steady: Vec<_> = core.tasks.iter().filter(is_steady).collect();
    let all_ns: u64 = steady.iter().map(|(_, task)| task.runtime_ns).sum();
    let weights: u64 = steady.iter().map(|(_, task)| u64::from(task.weight)).sum();
    if steady.len() < 2 || all_ns == 0 {
        return None;
    }
    let apart = |(_, task): &(u32, &Task)| {
        let share = f64::from(task.weight) / weights as f64;
        (task.runtime_ns as f64 / all_ns as f64 - share).abs()
    };
    Some(steady.iter().map(apart).sum::<f64>() / 2.0)
}

fn migrations(core: &Core) -> Migrations {
    let by = &core.stats.migrations;
    Migrations {
        core: by[Distance::Core as usize],
        llc: by[Distance::Llc as usize],
        node: by[Distance::Node as usize],
        remote: by[Distance::Remote as usize],
        cold_us: core.stats.cold_ns / 1000,
    }
}

fn cpu_time(core: &Core) -> CpuTime {
    let seconds = |of: &dyn Fn(&Cpu) -> u64| {
        let sum_ns: u64 = core.cpus.iter().map(of).sum();
        sum_ns as f64 / SEC as f64
    };
    CpuTime {
        busy_s: seconds(&|cpu| cpu.busy_ns),
        policy_s: seconds(&|cpu| cpu.real_time_ns),
        idle_s: seconds(&|cpu| cpu.shallow_ns),
        deep_s: seconds(&|cpu| cpu.deep_ns),
        offline_s: seconds(&|cpu| cpu.offline_ns),
        wasted_s: core.stats.wasted_ns as f64 / SEC as f64,
    }
}

fn energy(core: &Core) -> Energy {
    let mut energy = Energy::default();
    let joules = |duration_ns: u64, power_mw: u64| duration_ns as f64 * power_mw as f64 / 1e12;
    for (cpu, state) in core.cpus.iter().enumerate() {
        let capacity = f64::from(core.topology.capacity(cpu as u32)) / 1024.0;
        let busy_ns = (state.busy_ns + state.real_time_ns) as f64;
        // What an idle one takes it takes at any speed.
        let (least_mw, most_mw) = (core.costs.idle_mw as f64, core.costs.busy_mw as f64);
        let effort_ns = state.effort as f64 / f64::from(FULL_SPEED);
        let busy_j = (busy_ns * least_mw + effort_ns * (most_mw - least_mw)) / 1e12;
        energy.busy_j += busy_j * capacity;
        energy.idle_j += joules(state.shallow_ns, core.costs.idle_mw) * capacity;
        energy.deep_j += joules(state.deep_ns, core.costs.deep_mw) * capacity;
    }
    energy
}
