//! Tries a candidate: a policy of which nobody knows yet whether it is any good.
//!
//! A candidate's program is [`main`] of its policy. It schedules a kernel and simulates as any policy's
//! program does, and with the argument [`protocol::ARGUMENT`] answers one [`protocol::Request`]:
//!
//! - `properties`: equal events give equal decisions, names mean nothing, nobody starves, no task is left
//!   to rescue, and a thousand tasks cost no more each than ten;
//! - `faults`: random machines, hotplug and failures of the process, with every invariant audited;
//! - `play`: one measured run.
//!
//! The program runs contained, and its caller believes only answers that it can read. Nothing here has a
//! clock but `scale`, which measures what events cost.
#![forbid(unsafe_code)]

mod faults;
mod play;
mod properties;
pub mod protocol;
mod scale;
mod scenarios;
mod watched;

use std::{
    io::{Read as _, Write as _},
    process::ExitCode,
};

use baton_policy::Policy;

use protocol::{ARGUMENT, Answer, Ask, Finding, Found, Request};

/// Of a candidate's program.
#[must_use]
pub fn main<P: Policy + 'static>() -> ExitCode {
    if std::env::args_os()
        .nth(1)
        .is_none_or(|word| word != ARGUMENT)
    {
        return baton::app::main::<P>();
    }
    let mut text = String::new();
    let request: Request = match std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|error| error.to_string())
        .and_then(|_| serde_json::from_str(&text).map_err(|error| error.to_string()))
    {
        Ok(request) => request,
        Err(error) => {
            eprintln!("no request on standard input: {error}");
            return ExitCode::from(2);
        }
    };
    let answer = Answer {
        found: answer::<P>(&request.ask),
        nonce: request.nonce,
    };
    let written = serde_json::to_string(&answer)
        .map_err(std::io::Error::from)
        .and_then(|text| std::io::stdout().write_all(text.as_bytes()));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot write the answer: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What is found of a policy.
#[must_use]
pub fn answer<P: Policy + 'static>(ask: &Ask) -> Found {
    match ask {
        Ask::Properties => Found::Wrong(properties::check::<P>()),
        Ask::Invariants { runs, first_seed } => {
            Found::Wrong(faults::check::<P>(*runs, *first_seed))
        }
        Ask::Play(play) => match play::play::<P>(play) {
            Ok(report) => Found::Report(Box::new(report)),
            Err(finding) => Found::Wrong(vec![finding]),
        },
    }
}

/// Makes a candidate's program.
#[derive(Debug)]
pub struct Main;

impl baton_candidate::Visitor for Main {
    type Output = ExitCode;

    fn visit<P: Policy + 'static>(self) -> ExitCode {
        main::<P>()
    }
}

// The allocator that the scheduling thread needs.
pub use baton::__use_arena;

/// Keeps the first finding of each kind: a hundred of one kind say no more.
pub(crate) fn first_of_each(findings: Vec<Finding>) -> Vec<Finding> {
    let mut kept: Vec<Finding> = Vec::new();
    for finding in findings {
        if kept.iter().all(|other| other.code != finding.code) {
            kept.push(finding);
        }
    }
    kept
}
