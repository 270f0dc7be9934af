//! The relay on real kernels, in VMs.
//!
//! This one program is the test runner on the host, process 1 of the guest, the
//! scenarios there, and the policies that they put in charge. A guest runs all its
//! scenarios in one boot and prints a line of JSON for each; every line becomes a
//! test of its own. Where the emulator crashed the guest's kernel, what was not told yet is played
//! in another boot. What failed where a shared host can be the reason is played twice more.

mod charge;
mod classes;
mod conform;
mod failover;
mod guest;
mod hotplug;
mod learned;
mod only;
mod performance;
mod policies;
mod recorded;
mod safety;
mod weights;

use std::{
    collections::BTreeMap,
    io::{self, Write},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use baton_vm::{KernelSpec, Sinks, Vm};
use libtest_mimic::{Arguments, Failed, Trial};

baton_kernel::use_arena!();

/// What runs on which kernel. The first one gets everything; the others show that
/// the relay does without what they lack.
const KERNELS: [(&str, &[&str]); 6] = [
    ("7.0", guest::ALL),
    ("7.0", guest::CHAOS),
    ("6.18", guest::SOME),
    ("6.16", guest::FEW),
    // Both describe some kfuncs wrongly; only the second leaves dispatch queues.
    ("7.1.13", &["names_the_defect"]),
    ("7.2.11", guest::DEFECTIVE),
];

/// What the scenarios look at: the seed of chaos, how often policies take over, and for how many
/// seconds a part of the machine is crowded.
const GUEST_VARIABLES: [&str; 3] = [
    "BATON_TEST_SEED",
    "BATON_TEST_SWITCHES",
    "BATON_TEST_CROWDED",
];

/// Three times what the scenarios of the fullest VM take on an idle machine: hosts are shared.
const TIMEOUT: Duration = Duration::from_secs(3000);

/// The emulator crashes a guest once in hours: twice in a row is something else.
const BOOTS: usize = 3;

/// How often a scenario that failed must hold then: it passes with two of three.
const MORE_PLAYS: usize = 2;

/// More than so many failures are not the host's.
const EXCUSED_MAX: usize = 3;

/// Begins the names of scenarios that must hold each time: the machine is given back, whatever a policy does.
const EVERY_TIME: [&str; 9] = [
    "chaos", "stopped", "killed", "mute", "loops", "sleeps", "panics", "lies", "ends_on",
];

fn main() {
    baton_vm::guest::run_if_init();
    baton_workload::run_if_child();
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["policy", name, seconds] => policies::run(name, seconds),
        ["spin", nice] => weights::spin(nice),
        ["worker", cgroup, policy, nice] => only::work(cgroup, policy, nice),
        ["load", cgroup, text] => classes::load_inside(cgroup, text),
        ["scenarios", names] => guest::run(&names.split(',').collect::<Vec<_>>()),
        _ => run_on_host(),
    }
}

fn run_on_host() {
    let mut arguments = Arguments::from_args();
    // Two VMs at once would take each other's processors.
    arguments.test_threads = Some(1);
    let trials = KERNELS.into_iter().flat_map(|(kernel, scenarios)| {
        let wanted: &'static [&'static str] = scenarios
            .iter()
            .copied()
            .filter(|name| is_wanted(&arguments, &format!("{kernel}::{name}")))
            .collect::<Vec<_>>()
            .leak();
        let results: &'static OnceLock<Results> = Box::leak(Box::default());
        wanted.iter().map(move |name| {
            Trial::test(format!("{kernel}::{name}"), move || {
                let results = results.get_or_init(|| play(kernel, wanted));
                results
                    .get(*name)
                    .cloned()
                    .unwrap_or_else(|| {
                        let all = results.get("").cloned().unwrap_or(Ok(()));
                        all.and(Err("the guest ended before this scenario".into()))
                    })
                    .map_err(Failed::from)
            })
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit();
}

fn is_wanted(arguments: &Arguments, name: &str) -> bool {
    let matches = |filter: &String| {
        if arguments.exact {
            filter == name
        } else {
            name.contains(filter)
        }
    };
    arguments.filter.as_ref().is_none_or(matches) && !arguments.skip.iter().any(matches)
}

/// What became of each scenario; the empty name stands for the VM itself.
type Results = BTreeMap<String, Result<(), String>>;

/// Every scenario in as few boots as the emulator allows.
fn play(kernel: &str, scenarios: &[&str]) -> Results {
    let mut results = Results::new();
    for _ in 0..BOOTS {
        let left: Vec<&str> = scenarios
            .iter()
            .copied()
            .filter(|name| !results.contains_key(*name))
            .collect();
        let ended = boot(kernel, &left, &mut results);
        let Some((was_emulator, problem)) = ended else {
            break;
        };
        results.insert(String::new(), Err(problem.clone()));
        if !was_emulator {
            break;
        }
        println!("{kernel}: booting again: {problem}");
    }
    play_failed_again(kernel, scenarios, &mut results);
    results
}

/// Hosts of tests are shared, and some scenarios measure: what failed must hold twice in a row in VMs of
/// their own. What is told of each play is printed, so that an unsteady scenario is seen.
fn play_failed_again(kernel: &str, scenarios: &[&str], results: &mut Results) {
    let failed: Vec<&str> = scenarios
        .iter()
        .copied()
        .filter(|name| results.get(*name).is_some_and(Result::is_err))
        .collect();
    let is_excused = |name: &&str| {
        let left_behind = matches!(&results[*name], Err(text) if text.contains("left behind"));
        !left_behind && !EVERY_TIME.iter().any(|begin| name.starts_with(begin))
    };
    let all_came = scenarios.iter().all(|name| results.contains_key(*name));
    let are_few = (1..=EXCUSED_MAX).contains(&failed.len());
    if !all_came || !are_few || !failed.iter().all(is_excused) {
        return;
    }
    println!("{kernel}: playing again: {}", failed.join(", "));
    for _ in 0..MORE_PLAYS {
        let mut again = Results::new();
        boot(kernel, &failed, &mut again);
        if failed.iter().any(|name| again.get(*name) != Some(&Ok(()))) {
            return;
        }
    }
    results.extend(failed.into_iter().map(|name| (name.to_owned(), Ok(()))));
}

/// Plays the scenarios in one boot; if it did not come to the last one: whether that was the
/// emulator's fault, and what is known.
fn boot(kernel: &str, scenarios: &[&str], results: &mut Results) -> Option<(bool, String)> {
    let own = std::env::current_exe().expect("the test knows its program");
    let spec: KernelSpec = kernel.parse().expect("a version is a kernel");
    let names = scenarios.join(",");
    let vm = Vm::new(&own).kernel(spec).timeout(TIMEOUT).command([
        own.to_string_lossy().as_ref(),
        "scenarios",
        names.as_str(),
    ]);
    let vm = GUEST_VARIABLES.iter().fold(vm, |vm, name| {
        let value = std::env::var(name).ok();
        value.into_iter().fold(vm, |vm, value| vm.env(*name, value))
    });
    let (stdout, stderr) = (Kept::default(), Kept::default());
    let ran = vm.run(Sinks {
        stdout: Box::new(stdout.clone()),
        stderr: Box::new(stderr.clone()),
        progress: Box::new(|_| ()),
    });
    // What was done before a VM hung counts.
    for line in stdout.text().lines() {
        let Ok(value) = serde_json::from_str::<serde_json::Value>(line) else {
            continue;
        };
        let (name, text) = (value["name"].as_str(), value["text"].as_str());
        let (Some(name), Some(text)) = (name, text) else {
            continue;
        };
        println!(
            "{kernel}::{name} ({:.1} s): {text}",
            value["s"].as_f64().unwrap_or(0.0)
        );
        let ok = value["ok"].as_bool() == Some(true);
        results.insert(
            name.to_string(),
            if ok { Ok(()) } else { Err(text.to_string()) },
        );
    }
    if scenarios.iter().all(|name| results.contains_key(*name)) {
        return None;
    }
    let said = stderr.text();
    let tail: Vec<_> = said.lines().rev().take(20).collect();
    let tail = tail.into_iter().rev().collect::<Vec<_>>().join("\n");
    let was_emulator = matches!(ran, Err(baton_vm::Error::EmulatorDefect { .. }));
    let problem = match ran {
        Ok(_) => format!("the guest ended early:\n{tail}"),
        Err(error) => format!("the VM: {error}\n{tail}"),
    };
    Some((was_emulator, problem))
}

/// Keeps what the guest writes.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
