//! `replay`: a recorded run, again.

use std::path::{Path, PathBuf};

use baton_policy::log::{self, Ending, Header, Reader, ReplayError, ReplayReport};
use serde_json::json;

use super::{Code, Failure};
use crate::Policy;

/// What to replay.
#[derive(Clone, Debug, clap::Args)]
pub struct ReplayArgs {
    /// A log recorded with `run --log`
    pub log: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// Feeds the recorded events to the policy and compares its decisions with the
/// recorded ones, byte for byte.
///
/// # Errors
/// A log that cannot be read, or that the policy decided otherwise.
pub fn replay<P: Policy>(args: &ReplayArgs) -> Result<(), Failure> {
    let path = args.log.display();
    let report = log::replay::<P>(&read(&args.log)?).map_err(|error| match error {
        ReplayError::OtherPolicy(name) => Failure::new(
            Code::BadLog,
            format!("{path} is a log of the policy `{name}`, not of `{}`: replay it with its own program", P::NAME),
        ),
        ReplayError::Setup(error) => Failure::new(Code::BadParameter, format!("{path}: {error}")),
        ReplayError::Log(error) => bad_log(&args.log, &error.to_string()),
    })?;
    if !report.is_equal() {
        let what = match &report.ending {
            Ending::Differs(mismatch) => mismatch.to_string(),
            _ => "the policy asks the backend for other options than it did".to_owned(),
        };
        let message = format!(
            "{} does not repeat {path}: {what}; the policy has changed since, or depends on more \
             than its events",
            P::NAME
        );
        return Err(Failure::new(Code::ReplayDiffers, message));
    }
    print(P::NAME, &report, args.json);
    Ok(())
}

/// The header of a log: who wrote it, and of which machine.
///
/// # Errors
/// A file that cannot be read or is no log.
pub fn header(path: &Path) -> Result<Header, Failure> {
    let bytes = read(path)?;
    let opened = Reader::open(&bytes).map(|(header, _)| header);
    opened.map_err(|error| bad_log(path, &error.to_string()))
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| Failure::io("read", path, &error))
}

fn bad_log(path: &Path, problem: &str) -> Failure {
    let remedy = "record one with `baton run POLICY --log FILE`";
    Failure::new(
        Code::BadLog,
        format!("cannot replay {}: {problem}; {remedy}", path.display()),
    )
}

fn print(policy: &str, report: &ReplayReport, json: bool) {
    if json {
        let document = json!({
            "policy": policy,
            "equal": true,
            "complete": report.ending == Ending::Complete,
            "events": report.events,
            "batches": report.batches,
            "decisions": report.decisions,
            "ending": report.ending.to_string(),
        });
        outln!("{document}");
    } else {
        outln!(
            "{policy} took all {} decisions again, in {} batches over {} events; {}",
            report.decisions,
            report.batches,
            report.events,
            report.ending
        );
    }
}
