//! What crosses between the recorder and this process: bpf/include/recorder.h in Rust.

pub(super) const MAX_CPUS: usize = 1024;
pub(super) const NAME_LEN: usize = 16;
/// Instead of a ring's number: the CPU has none.
pub(super) const NO_RING: u32 = u32::MAX;
pub(super) const PID_BITS: u32 = 24;
pub(super) const PID_MASK: u32 = (1 << PID_BITS) - 1;

#[allow(dead_code)]
pub(super) mod kind {
    pub const SWITCH: u8 = 0;
    pub const WAKEUP: u8 = 1;
    pub const WAKEUP_NEW: u8 = 2;
    pub const MIGRATE: u8 = 3;
    pub const CAN_MIGRATE: u8 = 4;
    pub const CANT_MIGRATE: u8 = 5;
    pub const LOST: u8 = 6;
    pub const LOST_SHARED: u8 = 7;
    pub const TASK: u8 = 32;
    pub const FORK: u8 = 33;
    pub const EXIT: u8 = 34;
    pub const ENQUEUE: u8 = 35;
    pub const DECIDED: u8 = 36;
    pub const RESCUED: u8 = 37;
}

/// Of a CPU. Positions in its ring count words for ever; the process owns `tail` and `ring`.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Head {
    pub pos: u64,
    pub lost: u64,
    pub told: u64,
    pub lost_shared: u64,
    pub told_shared: u64,
    pub untold: u64,
    pub running: u64,
    pub ring: u32,
    pub pad: u32,
    pub tail: u64,
    pub pad2: [u64; 7],
}

/// A record of the shared ring, and of the list of tasks.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Task {
    pub stamp: u64,
    pub cpu: u32,
    pub pid: u32,
    pub tgid: u32,
    /// Of a fork; of a decision: one more than the CPU, or 0.
    pub parent: u32,
    pub prio: u8,
    pub kernel: u8,
    pub pad: [u8; 6],
    /// Of a decision: slice and wait; of a CPU without a ring: a record's second word.
    pub name: [u8; NAME_LEN],
}

impl Task {
    /// Of a decision: its slice and how long the task waited for it, in nanoseconds.
    pub fn decision(&self) -> (u64, u64) {
        let (slice, waited) = self.name.split_at(8);
        let number = |bytes: &[u8]| u64::from_ne_bytes(bytes.try_into().unwrap_or_default());
        (number(slice), number(waited))
    }

    /// Of a CPU without a ring: the two words of its record.
    pub fn words(&self) -> [u64; 2] {
        [self.stamp, self.decision().0]
    }
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Config {
    pub words: u64,
    pub old_switch: u32,
    pub pad: u32,
}

impl crate::abi::Plain for Config {}

#[cfg(test)]
#[allow(unsafe_code)]
mod tests {
    use std::mem::offset_of;

    use super::*;

    unsafe extern "C" {
        static baton_recorder_layout: [u64; 23];
    }

    #[test]
    fn rust_and_c_agree() {
        let ours = [
            size_of::<Head>(),
            offset_of!(Head, lost_shared),
            offset_of!(Head, told_shared),
            offset_of!(Head, untold),
            offset_of!(Head, running),
            offset_of!(Head, ring),
            offset_of!(Head, tail),
            size_of::<Task>(),
            offset_of!(Task, parent),
            offset_of!(Task, kernel),
            offset_of!(Task, name),
            offset_of!(Task, name),
            offset_of!(Task, name) + 8,
            size_of::<Config>(),
            offset_of!(Config, old_switch),
            MAX_CPUS,
            NO_RING as usize,
            PID_BITS as usize,
            kind::LOST.into(),
            kind::LOST_SHARED.into(),
            kind::TASK.into(),
            kind::RESCUED.into(),
            4,
        ];
        // SAFETY: a constant of a C object that is linked into this test.
        let theirs = unsafe { baton_recorder_layout };
        assert_eq!(ours.map(|value| value as u64), theirs);
    }
}
