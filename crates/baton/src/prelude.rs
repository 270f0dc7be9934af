//! What nearly every policy uses: `use baton::prelude::*;`.

pub use baton_policy::{
    Context, CpuSet, Decision, Enqueue, EnqueueReason, Interests, KeyRule, MS, Machine, Options,
    Placement, Policy, Preemption, SEC, Setup, StopReason, Task, TaskId, US, key_before, weighted,
};
