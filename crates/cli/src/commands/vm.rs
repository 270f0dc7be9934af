//! `baton vm`: a command in a VM with a sched_ext kernel.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use baton::{
    Mode,
    app::{Code, duration, mode},
};
use baton_machine::{ClassFile, MachineFile};
use baton_vm::{KernelSpec, Sinks, Vm};

use crate::{
    failures::fail,
    needs,
    project::{self, Program},
};

/// Where programs lie in the guest, beside this one's own directory.
const GUEST_PATH: &str = "/usr/local/bin:/usr/bin";
/// Where the file of task classes lies in the guest.
const GUEST_CLASSES: &str = "/etc/baton/classes.toml";
/// Where the policy's model lies in the guest.
const GUEST_MODEL: &str = "/etc/baton/model.json";

/// Run a command in a VM with a sched_ext kernel, and exit as it does
///
/// Needs neither root nor KVM. The guest has this program, the command with its
/// libraries, a small shell with the usual tools, what a workload of `baton workload`
/// needs, and nothing else of this machine but what --pack names. With --policy the policy takes charge of the guest before
/// the command starts, and its counters go to standard error when it has ended.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  baton vm -- uname -r
  baton vm --policy edf --mode hint -- baton workload pipe+hogs
  baton vm --policy edf --machine 4-cpu-smt -- baton workload frames+hogs
  baton vm --policy . -- baton workload pipe          # the project in this directory
  baton vm -- baton workload docs/workload.toml
  baton vm --policy priority --classes docs/classes.toml -- baton workload frames+hogs
  baton vm --kernel 6.18 --out /tmp/log -- sh -c 'dmesg > /tmp/log'")]
pub(crate) struct Args {
    /// A built-in policy, a policy's program, or a policy project's directory
    #[arg(long)]
    policy: Option<String>,
    /// Set a parameter of the policy; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE", requires = "policy")]
    params: Vec<String>,
    /// Task classes for the policy: who belongs to which, and what is asked for them
    #[arg(long, value_name = "FILE", requires = "policy")]
    classes: Option<PathBuf>,
    /// Whether the policy decides each dispatch, hints and the kernel dispatches at once, or has the kernel guess
    /// each burst by a model and dispatch by that (decide, hint, infer)
    #[arg(long, value_name = "MODE", value_parser = mode, requires = "policy")]
    mode: Option<Mode>,
    /// The policy's model, instead of the one that comes with Baton
    #[arg(long, value_name = "FILE", requires = "policy")]
    model: Option<PathBuf>,
    /// Print the policy's report as JSON, instead of its counters as a table
    #[arg(long, requires = "policy")]
    policy_json: bool,
    /// The machine to be: a name (2-cpu, 4-cpu-smt, 8-cpu-2-socket-numa, 2-socket-48-core) or a file
    #[arg(long, default_value = "2-cpu")]
    machine: String,
    /// The kernel: `host`, a version such as 7.0, or a path; by default the host's own
    /// where it has sched_ext, else 7.0
    #[arg(long, default_value = "default", hide_default_value = true)]
    kernel: KernelSpec,
    /// Memory in MiB, instead of the machine's own
    #[arg(long, value_name = "MIB")]
    memory: Option<u32>,
    /// Stop the VM after this; exit status 124
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "10m")]
    timeout: Duration,
    /// Pack a file, program or directory into the guest; may be repeated
    #[arg(long, value_name = "PATH[:GUEST]")]
    pack: Vec<String>,
    /// Copy a file or directory from the guest at the end; may be repeated
    #[arg(long, value_name = "GUEST[:PATH]")]
    out: Vec<String>,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<String>,
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    // Mistakes are told before anything is built or fetched.
    let machine = machine(&args.machine)?;
    if let Some(path) = &args.classes {
        ClassFile::load(path)?.check(&machine.machine())?;
    }
    let own = project::own_path()?;
    let mut vm = guest(&own)
        .machine(machine)
        .kernel(args.kernel.clone())
        .timeout(args.timeout)
        .handle_signals(true);
    if let Some(memory_mib) = args.memory {
        vm = vm.memory_mib(memory_mib);
    }
    let run = needs::run_by(&args.command);
    vm = needs::pack(vm, &run.workloads)?;
    for file in run.files {
        let path = std::path::absolute(file)?;
        vm = vm.pack(path.clone(), path);
    }
    let mut command = args.command.clone();
    if command[0] == "baton" {
        command[0] = own.to_string_lossy().into_owned();
    }
    if let Some(policy) = &args.policy {
        let program = project::program(policy)?;
        if program.path != own {
            vm = vm.pack(&program.path, &program.path);
        }
        let report = if args.policy_json {
            "--json"
        } else {
            "--stats"
        };
        let mut options = vec![report.to_owned()];
        options.extend(args.mode.map(|mode| format!("--mode={}", mode.name())));
        options.extend(args.params.iter().map(|param| format!("--set={param}")));
        if let Some(path) = &args.classes {
            vm = vm.pack(std::path::absolute(path)?, GUEST_CLASSES);
            options.push(format!("--classes={GUEST_CLASSES}"));
        }
        if let Some(path) = &args.model {
            vm = vm.pack(std::path::absolute(path)?, GUEST_MODEL);
            options.push(format!("--model={GUEST_MODEL}"));
        }
        command = under(&own, &program, options, command);
    }
    vm = args.pack.iter().fold(vm, |vm, text| vm.pack_arg(text));
    vm = args.out.iter().fold(vm, |vm, text| vm.out_arg(text));
    let outcome = vm.command(command).run(Sinks::inherit())?;
    for missing in &outcome.missing {
        eprintln!("{missing} did not exist in the guest when the command had ended");
    }
    Ok(ExitCode::from(u8::try_from(outcome.status).unwrap_or(1)))
}

/// The machine of this name or file, if a VM can be it.
pub(crate) fn machine(name: &str) -> anyhow::Result<MachineFile> {
    let machine = MachineFile::find(name)?;
    match machine.vm_obstacle() {
        None => Ok(machine),
        Some(obstacle) => {
            let machine = machine.name;
            let error = baton_vm::Error::NotAVm { machine, obstacle };
            fail(Code::BadMachine, error.to_string())
        }
    }
}

/// A VM in which the word `baton` means this very program, whatever is installed.
pub(crate) fn guest(own: &Path) -> Vm {
    let directory = own.parent().unwrap_or(Path::new("/"));
    Vm::new(own).env("PATH", format!("{}:{GUEST_PATH}", directory.display()))
}

/// The command line that runs `command` under the policy with these options. It begins with `env`, so
/// that the VM looks for programs to pack among all its words.
fn under(own: &Path, program: &Program, options: Vec<String>, command: Vec<String>) -> Vec<String> {
    let mut argv = vec![
        "env".to_owned(),
        own.to_string_lossy().into_owned(),
        "in-guest".into(),
    ];
    argv.push(format!("--program={}", program.path.display()));
    let arguments = program.run.iter().cloned().chain(options);
    argv.extend(arguments.map(|argument| format!("--argument={argument}")));
    argv.push("--".into());
    argv.extend(command);
    argv
}
