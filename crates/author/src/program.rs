//! A candidate's program, asked in its sandbox.

use std::{path::PathBuf, sync::atomic::AtomicBool, time::Duration};

use baton_sandbox::{Ended, How, Limits, Sandbox};
use baton_trial::protocol::{ARGUMENT, Answer, Ask, Finding, Found, Request};

use crate::{Diagnostic, Error, Stage, diagnostic::clean};

/// Where the program lies inside.
const INSIDE: &str = "/candidate/program";

/// A compiled candidate.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    sandbox: Sandbox,
}

impl Program {
    /// The program in this file, to be run in a sandbox like this one.
    #[must_use]
    pub fn new(path: PathBuf, sandbox: Sandbox) -> Self {
        Self { path, sandbox }
    }

    /// Its file.
    #[must_use]
    pub fn path(&self) -> &PathBuf {
        &self.path
    }

    /// Asks it, and waits so long at most. What is wrong with its answer, or with how it ended, is found as
    /// if it had said so itself.
    ///
    /// # Errors
    /// It cannot be run, or it was stopped.
    pub fn ask(
        &self,
        stage: Stage,
        ask: Ask,
        wall: Duration,
        stop: &AtomicBool,
    ) -> Result<Result<Found, Diagnostic>, Error> {
        let nonce = format!("{:032x}", fastrand::u128(..));
        let request = Request {
            nonce: nonce.clone(),
            ask,
        };
        let text = serde_json::to_vec(&request).map_err(|error| Error::Lab(error.to_string()))?;
        let sandbox = self
            .sandbox
            .clone()
            .system()
            .read_as(&self.path, INSIDE)
            .limits(Limits {
                wall,
                cpu: wall,
                memory_bytes: 1 << 30,
                file_bytes: 0,
                written_bytes: 0,
                processes: 8,
                output_bytes: 8 << 20,
            });
        let ended = sandbox.run(INSIDE, [ARGUMENT], &text, stop)?;
        if ended.status == How::Stopped {
            return Err(Error::Stopped);
        }
        Ok(read(stage, &ended, &nonce))
    }
}

/// What a program's end and output say.
fn read(stage: Stage, ended: &Ended, nonce: &str) -> Result<Found, Diagnostic> {
    let wrong = |code: &str, message: String| Diagnostic::new(stage, code, message);
    match ended.status {
        How::Exit(0) => {}
        How::Limit(which) => {
            let message = format!("the policy was ended at the limit of its {which}");
            return Err(wrong("too-slow", message).help(
                "Each event must be dealt with in microseconds and in bounded memory: no loop without an end, no \
                 collection that only grows.",
            ));
        }
        status => {
            let said = String::from_utf8_lossy(&ended.stderr);
            let last = said.trim().lines().last().unwrap_or("nothing").to_owned();
            let message = format!("the policy's program {status}, and said: {last}");
            return Err(wrong("crashed", message).help(
                "Deep recursion and memory without bound end a program; a policy must survive every order of events.",
            ));
        }
    }
    let answer = serde_json::from_slice::<Answer>(&ended.stdout).ok();
    match answer.filter(|answer| answer.nonce == nonce && !ended.cut) {
        Some(answer) => Ok(answer.found),
        None => Err(wrong(
            "tampered",
            "the policy's program did not answer as its harness does".to_owned(),
        )),
    }
}

/// A finding of the harness as what is told of a candidate.
pub(crate) fn diagnostic(stage: Stage, finding: Finding) -> Diagnostic {
    let (line, column) = finding.place.unzip();
    Diagnostic {
        stage,
        code: clean(&finding.code),
        message: clean(&finding.message),
        line,
        column,
        help: Some(clean(&finding.help)),
    }
}
