//! `replay`: a recorded run, again.

use std::path::PathBuf;

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
    let message = format!("{} cannot replay {} yet", P::NAME, args.log.display());
    Err(Failure::new(Code::NotBuilt, message))
}
