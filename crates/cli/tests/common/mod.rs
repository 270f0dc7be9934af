//! Runs the program under test.
// Not every test file looks at everything.
#![allow(dead_code)]

pub mod recording;

use std::process::{Command, Output};

/// What one call gave.
pub struct Given {
    /// The exit status.
    pub status: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// The program, not started.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_baton"));
    command
        .env("NO_COLOR", "1")
        .stdin(std::process::Stdio::null());
    command
}

/// Runs the program with these arguments.
pub fn baton(arguments: &[&str]) -> Given {
    run(command().args(arguments))
}

/// Runs a command to its end; again where the emulator crashed its guest, which is nobody's mistake
/// that a test looks for.
pub fn run(command: &mut Command) -> Given {
    const TIMES: usize = 3;
    let mut once = || given(command.output().expect("the program starts"));
    let crashed = |given: &Given| {
        given.status == 123 && given.stderr.contains("the emulator crashed the guest")
    };
    let mut given = once();
    for _ in 1..TIMES {
        if !crashed(&given) {
            break;
        }
        given = once();
    }
    given
}

/// An output as text.
pub fn given(output: Output) -> Given {
    Given {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
