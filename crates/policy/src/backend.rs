//! The plain loop beneath the trait, for schedulers that would rather drive
//! themselves than be driven.

use crate::{CpuSet, Decision, Event};

/// What feeds a policy with events and carries out its decisions.
///
/// A first-come, first-served scheduler on the bare loop:
///
/// ```
/// use baton_policy::{Backend, Decision, EventKind, Placement, TaskKey};
///
/// fn schedule<B: Backend>(backend: &mut B) -> Result<(), B::Error> {
///     while let Some(event) = backend.next_event() {
///         let EventKind::Enqueue(enqueue) = event.kind else { continue };
///         if enqueue.decided {
///             continue;
///         }
///         let placement = match backend.idle_cpu(event.task, enqueue.cpu) {
///             Some(cpu) => Placement::Cpu { cpu },
///             None => Placement::Ready { key: event.time_ns },
///         };
///         backend.decide(Decision::new(event.task, enqueue.seq, placement))?;
///     }
///     backend.complete()
/// }
/// ```
pub trait Backend {
    /// What can go wrong in the backend.
    type Error;

    /// The next event that has happened; `None` when there is none yet.
    fn next_event(&mut self) -> Option<Event>;

    /// An idle CPU that the task may run on, `near` if that one is idle. A hint:
    /// by the time of the decision another task may have taken it.
    fn idle_cpu(&mut self, task: crate::TaskKey, near: u32) -> Option<u32>;

    /// CPUs that are online.
    fn online(&self) -> CpuSet;

    /// Takes a decision over; it is carried out with its batch, at the latest by
    /// [`Backend::complete`].
    ///
    /// # Errors
    /// When the backend is gone.
    fn decide(&mut self, decision: Decision) -> Result<(), Self::Error>;

    /// Ends a batch: carries out what was decided and tells the backend that the
    /// policy is alive.
    ///
    /// # Errors
    /// When the backend is gone.
    fn complete(&mut self) -> Result<(), Self::Error>;
}
