//! What a CPU scheduling policy sees and what it may decide.
#![no_std]
extern crate alloc;

mod cpuset;
mod machine;

pub use cpuset::{CpuSet, MAX_CPUS, ParseCpuSetError};
pub use machine::{CAPACITY_SCALE, Cpu, Machine};
