//! What nearly every policy uses.

pub use crate::{
    Context, CpuSet, Decision, Enqueue, EnqueueReason, Interests, KeyRule, MS, Machine, Options,
    Placement, Policy, Preemption, SEC, Setup, StopReason, Task, TaskId, US, key_before, weighted,
};
