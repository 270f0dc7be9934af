//! Runs a command in a VM, and is the VM's init: the smallest program that uses this crate, by which
//! it is tested alone. The product's own is `baton vm`.
//!
//! `baton-vm-init [--kernel K] [--machine M] [--timeout SECONDS] [--pack P] [--out O] -- CMD ...`

use std::{process::ExitCode, time::Duration};

use baton_machine::MachineFile;
use baton_vm::{Sinks, Vm, guest};

fn main() -> ExitCode {
    guest::run_if_init();
    match run() {
        Ok(status) => ExitCode::from(u8::try_from(status).unwrap_or(255)),
        Err(error) => {
            eprintln!("error: {error}");
            let code = error.downcast_ref().map_or(125, baton_vm::Error::exit_code);
            ExitCode::from(code)
        }
    }
}

fn run() -> Result<i32, Box<dyn std::error::Error>> {
    let mut vm = Vm::new(std::env::current_exe()?).handle_signals(true);
    let mut args = std::env::args().skip(1);
    while let Some(flag) = args.next() {
        if flag == "--" {
            break;
        }
        let value = args.next().ok_or_else(|| format!("{flag} needs a value"))?;
        vm = match flag.as_str() {
            "--kernel" => vm.kernel(value.parse()?),
            "--machine" => vm.machine(MachineFile::find(&value)?),
            "--timeout" => vm.timeout(Duration::try_from_secs_f64(value.parse()?)?),
            "--pack" => vm.pack_arg(&value),
            "--out" => vm.out_arg(&value),
            _ => return Err(format!("no flag {flag}").into()),
        };
    }
    let outcome = vm.command(args).run(Sinks::inherit())?;
    if std::env::var_os("BATON_VM_TIMES").is_some() {
        eprintln!(
            "{} boot {:?} wall {:?}",
            outcome.kernel_release, outcome.boot, outcome.wall
        );
    }
    Ok(outcome.status)
}
