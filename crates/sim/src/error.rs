//! What can go wrong.

/// Why there is no report. Each message is one sentence with its remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The policy refused its parameters or its mode.
    #[error("{0}")]
    Setup(#[from] baton_policy::SetupError),
    /// A scheduler that does not exist.
    #[error("there is no policy or baseline `{name}`: choose from {}", known.join(", "))]
    UnknownScheduler {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<&'static str>,
    },
    /// A workload that is a real one only.
    #[error(
        "`{kind}` cannot be simulated, it runs real programs: use build, or `baton workload {kind}`"
    )]
    NotSimulated {
        /// The kind of part.
        kind: &'static str,
    },
    /// A baseline has no policy that could hint, take parameters or be replayed.
    #[error("{name} is no policy: it has no modes, no parameters, no model and no log")]
    NotAPolicy {
        /// The baseline.
        name: &'static str,
    },
    /// A model for a scheduler that uses none.
    #[error("{name} uses no model: leave it out, or run learned")]
    NoModel {
        /// The scheduler.
        name: &'static str,
    },
    /// More last-level caches than the relay has queues for.
    #[error("the machine has {llcs} last-level caches, more than the 64 that the relay knows")]
    TooManyLlcs {
        /// How many.
        llcs: usize,
    },
    /// Something that must always hold did not. A mistake in the simulator or in the policy's backend; the
    /// same seed repeats it.
    #[error("seed {seed}, at {time_ns} ns: {what}")]
    Violation {
        /// The run's seed.
        seed: u64,
        /// When it was seen.
        time_ns: u64,
        /// What did not hold.
        what: String,
    },
}
