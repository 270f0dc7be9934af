//! The relay on real kernels, in VMs.
//!
//! This one program is the test runner on the host, process 1 of the guest, the
//! scenarios there, and the policies that they put in charge. A guest runs all its
//! scenarios in one boot and prints a line of JSON for each; every line becomes a
//! test of its own.

mod charge;
mod guest;
mod policies;
mod weights;

use std::{collections::BTreeMap, sync::OnceLock, time::Duration};

use baton_vm::{KernelSpec, Vm};
use libtest_mimic::{Arguments, Failed, Trial};

baton_kernel::use_arena!();

/// What runs on which kernel. The first one gets everything; the others show that
/// the relay does without what they lack.
const KERNELS: [(&str, &[&str]); 5] = [
    ("7.0", guest::ALL),
    ("6.18", guest::SOME),
    ("6.16", guest::FEW),
    // Both describe some kfuncs wrongly; only the second leaves dispatch queues.
    ("7.1.13", &["names_the_defect"]),
    ("7.2.11", guest::FEW),
];

/// What the scenarios look at: the seed of chaos, and how often policies take over.
const GUEST_VARIABLES: [&str; 2] = ["BATON_TEST_SEED", "BATON_TEST_SWITCHES"];

/// Three times what all scenarios take on an idle machine.
const TIMEOUT: Duration = Duration::from_secs(900);

fn main() {
    baton_vm::guest::run_if_init();
    baton_workload::run_if_child();
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["policy", name, seconds] => policies::run(name, seconds),
        ["spin", nice] => weights::spin(nice),
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
                let results = results.get_or_init(|| boot(kernel, wanted));
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

fn boot(kernel: &str, scenarios: &[&str]) -> Results {
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
    let mut results = Results::new();
    let captured = match vm.run_captured() {
        Ok(captured) => captured,
        Err(error) => {
            results.insert(String::new(), Err(format!("the VM: {error}")));
            return results;
        }
    };
    for line in captured.stdout_text().lines() {
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
    if results.len() < scenarios.len() {
        let said = captured.stderr_text();
        let tail: Vec<_> = said.lines().rev().take(20).collect();
        let tail = tail.into_iter().rev().collect::<Vec<_>>().join("\n");
        results.insert(
            String::new(),
            Err(format!("the guest ended early:\n{tail}")),
        );
    }
    results
}
