//! Runs a program in a sandbox and tells how it ended: the smallest program that uses this crate, by
//! which it is tested.
//!
//! `baton-sandbox [--read PATH]... [--write DIR]... [--wall SECONDS] PROGRAM [ARGUMENT]...`, with the
//! system's own files; without a program it says whether one can be contained here.

use baton_sandbox::{Limits, Sandbox, probe, run_if_child};
use std::io::Write;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

fn main() -> ExitCode {
    run_if_child();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1).peekable();
    let mut sandbox = Sandbox::new().system().env("PATH", "/usr/bin:/bin");
    while let Some(option) = arguments.next_if(|word| word.to_string_lossy().starts_with("--")) {
        let value = arguments.next().ok_or("give a value after the option")?;
        sandbox = match option.to_str() {
            Some("--read") => sandbox.read(value),
            Some("--write") => sandbox.write(&value).dir(value),
            Some("--wall") => sandbox.limits(Limits {
                wall: Duration::from_secs_f64(value.to_string_lossy().parse()?),
                ..Limits::default()
            }),
            _ => return Err("there are --read, --write and --wall".into()),
        };
    }
    let Some(program) = arguments.next() else {
        println!("{:?}", probe()?);
        return Ok(());
    };
    let ended = sandbox.run(program, arguments, &[], &AtomicBool::new(false))?;
    std::io::stdout().write_all(&ended.stdout)?;
    std::io::stderr().write_all(&ended.stderr)?;
    println!(
        "{} after {:?}, {} MiB",
        ended.status,
        ended.wall,
        ended.peak_memory_bytes >> 20
    );
    Ok(())
}
