//! Runs on this machine itself.

use super::{Assignment, Backend, Ended, Error, Local, Tell};
use crate::charge::{check_free, has_sched_ext};

/// Why this machine is not scheduled. Each message is one sentence with its remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Not root.
    #[error(
        "an experiment that loads schedulers on this machine needs root: run it with sudo, or with --backend vm"
    )]
    NotRoot,
    /// The kernel cannot be given a scheduler.
    #[error(
        "this machine's kernel has no sched_ext: run it with --backend vm, or see `baton doctor`"
    )]
    NoSchedExt,
}

/// This machine.
pub struct Host<'a>(pub Local<'a>);

impl Host<'_> {
    /// Whether experiments can load schedulers here, or make runs at all.
    ///
    /// # Errors
    /// Why not.
    pub fn check(loads_schedulers: bool) -> Result<(), Error> {
        if loads_schedulers {
            if !has_sched_ext() {
                return Err(Refusal::NoSchedExt.into());
            }
            if !nix::unistd::geteuid().is_root() {
                return Err(Refusal::NotRoot.into());
            }
        }
        Ok(check_free()?)
    }
}

impl Backend for Host<'_> {
    fn make(
        &mut self,
        _places: &[usize],
        assignment: &Assignment,
        tell: Tell<'_>,
    ) -> Result<Ended, Error> {
        self.0.make(assignment, tell)
    }
}
