//! Runs the program under test.
// Not every test file looks at everything.
#![allow(dead_code)]

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
    given(
        command()
            .args(arguments)
            .output()
            .expect("the program starts"),
    )
}

/// An output as text.
pub fn given(output: Output) -> Given {
    Given {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
