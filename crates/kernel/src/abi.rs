//! The Rust side of `bpf/include/abi.h`, where the meaning of each field stands.
//! A test compares both layouts.
#![allow(missing_docs)]

/// Of the layouts and of what the relay understands.
pub const VERSION: u32 = 4;
pub const MAX_CPUS: usize = 1024;
pub const MASK_WORDS: usize = MAX_CPUS / 64;
pub const MAX_LLCS: usize = 64;
pub const BATCH_MAX: usize = 128;
pub const NAME_LEN: usize = 16;
pub const HIST_BUCKETS: usize = 128;
pub const EXIT_MSG_LEN: usize = 256;

pub const EV_JOIN: u16 = 1;
pub const EV_UPDATE: u16 = 2;
pub const EV_ENQUEUE: u16 = 3;
pub const EV_RUNNING: u16 = 4;
pub const EV_STOPPING: u16 = 5;
pub const EV_DEQUEUE: u16 = 6;
pub const EV_RESCUED: u16 = 7;
pub const EV_EXIT: u16 = 8;
pub const EV_CPU_DRY: u16 = 9;
pub const EV_CPU_ONLINE: u16 = 10;
pub const EV_CPU_OFFLINE: u16 = 11;

pub const WAKEUP: u16 = 1;
pub const NEW: u16 = 2;
pub const SLICE_OVER: u16 = 3;
pub const PREEMPTED: u16 = 4;
pub const YIELDED: u16 = 5;
pub const REQUEUED: u16 = 6;
pub const SLEPT: u16 = 7;

pub const EVF_SYNC: u32 = 1 << 0;
pub const EVF_DECIDED: u32 = 1 << 1;

pub const CMD_READY: u32 = 1;
pub const CMD_CPU: u32 = 2;
pub const CMD_HOLD: u32 = 3;
pub const CMD_PROBE: u32 = 4;
pub const CMD_HINT: u32 = 5;
pub const CMDF_PREEMPT: u32 = 1 << 0;
pub const NO_CPU: u32 = u32::MAX;

pub const RES_DONE: u32 = 1;
pub const RES_GONE: u32 = 3;
pub const RES_RETRY: u32 = 5;

/// Of [`Shared::abilities`].
pub const CAN_PERF: u32 = 1 << 0;

pub const KEY_ENQUEUE_TIME: u32 = 1;
pub const KEY_DEADLINE: u32 = 2;

pub const SLICE_WHOLE: u32 = 0;
pub const SLICE_WAITING: u32 = 1;
pub const SLICE_WAITING_PER_CPU: u32 = 2;

pub const MODE_DECIDE: u32 = 0;
pub const MODE_HINT: u32 = 1;

pub const PREDICT_NOT: u32 = 0;
pub const PREDICT_TELL: u32 = 1;
pub const PREDICT_PLACE: u32 = 2;

pub const BY_AVERAGE: u32 = 0;
pub const BY_MODEL: u32 = 1;
pub const BY_INVERTED: u32 = 2;
pub const BY_CONSTANT: u32 = 3;
pub const BY_RANDOM: u32 = 4;

/// How many models there is room for: one is used while the other is written.
pub const MODELS_MAX: u32 = 2;
/// Room for features.
pub const FEATURES_ROOM: usize = 16;

pub const WANT_DECIDED: u32 = 1 << 0;
pub const WANT_RUNNING: u32 = 1 << 1;
pub const WANT_STOPPING: u32 = 1 << 2;
pub const WANT_CUSTODY: u32 = 1 << 3;
pub const WANT_DRY: u32 = 1 << 4;
pub const WANT_ALONE: u32 = 1 << 5;

/// `struct baton_event`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Event {
    pub time_ns: u64,
    pub start_ns: u64,
    pub seq: u64,
    pub burst_ns: u64,
    pub runtime_ns: u64,
    pub slept_ns: u64,
    pub pid: u32,
    pub waker: u32,
    pub cpu: u32,
    pub waiting: u32,
    pub kind: u16,
    pub reason: u16,
    pub flags: u32,
}

/// `struct baton_info`
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Info {
    pub cgroup: u64,
    pub tgid: u32,
    pub weight: u32,
    pub kernel_thread: u32,
    pub pad: u32,
    pub name: [u8; NAME_LEN],
    pub allowed: [u64; MASK_WORDS],
}

/// `struct baton_event_info`
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct EventInfo {
    pub event: Event,
    pub info: Info,
}

/// `struct baton_guess`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Guess {
    pub burst: u16,
    pub model: u16,
    pub average: u16,
    pub whose: u16,
}

/// `struct baton_event_features`
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct EventFeatures {
    pub event: Event,
    pub features: [u16; FEATURES_ROOM],
    pub guess: Guess,
}

/// `struct baton_prediction`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Prediction {
    pub delay_max_ns: u64,
    pub by: u32,
    pub constant: u16,
    pub spread_max: u16,
    pub is_guarded: u8,
    pub is_shadow: u8,
    pub slices: u8,
    pub pad: [u8; 5],
}

/// `struct baton_command`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Command {
    pub start_ns: u64,
    pub seq: u64,
    pub key: u64,
    pub slice_ns: u64,
    pub lease_ns: u64,
    pub key_offset: i64,
    pub pid: u32,
    pub cpu: u32,
    pub kind: u32,
    pub flags: u32,
    pub result: u32,
    pub perf: u32,
}

/// `struct baton_batch`
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Batch {
    pub count: u32,
    pub pad: [u32; 15],
    pub commands: [Command; BATCH_MAX],
}

/// `struct baton_options`
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub slice_ns: u64,
    pub slice_min_ns: u64,
    pub rescue_after_ns: u64,
    pub rescue_slice_ns: u64,
    pub starve_after_ns: u64,
    pub preempt_min_burst_ns: u64,
    pub preempt_min_lead_ns: u64,
    pub burst_max_ns: u64,
    pub hint_interval_ns: u64,
    pub requeue_patience_ns: u64,
    pub mode: u32,
    pub key_rule: u32,
    pub slice_rule: u32,
    pub wants: u32,
    pub idle_fast_path: u32,
    pub sync_fast_path: u32,
    pub performance: u32,
    pub predict: u32,
    pub model: u32,
    pub pad: u32,
    pub prediction: Prediction,
}

/// `struct baton_config`
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Config {
    pub cpus: u32,
    pub words: u32,
    pub llcs: u32,
    pub part: u32,
    pub online: [u64; MASK_WORDS],
    pub llc_mask: [[u64; MASK_WORDS]; MAX_LLCS],
    pub cpu_llc: [u8; MAX_CPUS],
}

/// A structure without padding of the compiler's: all its bytes have values.
pub trait Plain {}
impl Plain for Config {}
impl Plain for Options {}

/// The bytes of a structure of the relay's.
#[allow(unsafe_code)]
#[must_use]
pub fn bytes_of<T: Plain>(value: &T) -> &[u8] {
    // SAFETY: repr(C), padded by hand: every byte is initialised.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(value).cast(), size_of::<T>()) }
}

/// `struct baton_shared`
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Shared {
    pub asleep: u32,
    pub pad0: u32,
    pub alive_ns: u64,
    pub pad1: [u64; 6],
    pub silent: u32,
    pub waiting: u32,
    pub exited: u32,
    pub exit_kind: u32,
    pub exit_code: i64,
    pub lost: u64,
    pub silent_since_ns: u64,
    pub timer_ns: u64,
    pub offline: u32,
    pub cpus_online: u32,
    pub generation: u32,
    pub abilities: u32,
    pub model: u32,
    pub model_off: u32,
    pub idle: [u64; MASK_WORDS],
    pub online: [u64; MASK_WORDS],
    pub exit_reason: [u8; EXIT_MSG_LEN],
    pub exit_msg: [u8; EXIT_MSG_LEN],
    pub perf: [u16; MAX_CPUS],
}

/// Names of the counters, in the order of `enum baton_counter`.
pub const COUNTERS: [&str; 41] = [
    "events",
    "lost",
    "enqueues",
    "held",
    "fast_idle",
    "fast_sync",
    "kernel_threads",
    "batches",
    "decisions",
    "stale",
    "gone",
    "invalid",
    "retries",
    "rescues",
    "bypassed",
    "starved",
    "to_idle",
    "preemptions",
    "holds",
    "process_wakeups",
    "dry",
    "cut",
    "hinted",
    "hints",
    "fed",
    "taken_over",
    "perf_set",
    "perf_ignored",
    "deferred",
    "handovers",
    "guess_model",
    "guess_average",
    "guess_unsure",
    "guess_off",
    "guess_apart",
    "model_off",
    "model_on",
    "judged",
    "error_model",
    "error_average",
    "guess_regular",
];

/// Who placed a task, in the order of `enum baton_by`.
pub const BY: [&str; 8] = [
    "policy", "hint", "idle", "sync", "kernel", "rescue", "bypass", "starve",
];

pub const TASK_WAITING: u32 = 1;
pub const TASK_RUNNING: u32 = 2;

/// `struct baton_task`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Task {
    pub runtime_ns: u64,
    pub burst_ns: u64,
    pub for_ns: u64,
    pub dsq: u64,
    pub key_offset: i64,
    pub wait_sum_ns: u64,
    pub wait_max_ns: u64,
    pub cgroup: u64,
    pub waits: u32,
    pub pid: u32,
    pub tgid: u32,
    pub cpu: u32,
    pub weight: u32,
    pub state: u32,
    pub by: [u32; BY.len()],
    pub name: [u8; NAME_LEN],
}

/// `struct baton_stats`
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct RawStats {
    pub counter: [u64; COUNTERS.len()],
    pub queue_to_decision: [u64; HIST_BUCKETS],
    pub decision_to_run: [u64; HIST_BUCKETS],
    pub wait: [u64; HIST_BUCKETS],
    pub wakeup: [u64; HIST_BUCKETS],
    pub wait_max_ns: u64,
    pub silent_wait_max_ns: u64,
    pub wait_max_pid: u32,
    pub pad: u32,
}

#[cfg(test)]
#[allow(unsafe_code)]
mod tests {
    use std::mem::{offset_of, size_of};

    use super::*;

    unsafe extern "C" {
        static baton_layout: [u64; 64];
        static baton_layout_len: u64;
    }

    #[test]
    fn rust_and_c_agree() {
        let ours = [
            size_of::<Event>(),
            offset_of!(Event, pid),
            offset_of!(Event, kind),
            offset_of!(Event, flags),
            size_of::<Info>(),
            offset_of!(Info, name),
            offset_of!(Info, allowed),
            size_of::<EventInfo>(),
            offset_of!(EventInfo, info),
            size_of::<EventFeatures>(),
            offset_of!(EventFeatures, guess),
            size_of::<Command>(),
            offset_of!(Command, key_offset),
            offset_of!(Command, kind),
            offset_of!(Command, result),
            offset_of!(Command, perf),
            size_of::<Batch>(),
            size_of::<Config>(),
            size_of::<Options>(),
            offset_of!(Options, hint_interval_ns),
            offset_of!(Options, requeue_patience_ns),
            offset_of!(Options, mode),
            offset_of!(Options, sync_fast_path),
            offset_of!(Options, performance),
            offset_of!(Options, model),
            offset_of!(Options, prediction),
            offset_of!(Prediction, by),
            offset_of!(Prediction, is_guarded),
            offset_of!(Prediction, slices),
            offset_of!(Config, online),
            offset_of!(Config, llc_mask),
            offset_of!(Config, cpu_llc),
            size_of::<Shared>(),
            offset_of!(Shared, silent),
            offset_of!(Shared, exit_code),
            offset_of!(Shared, lost),
            offset_of!(Shared, generation),
            offset_of!(Shared, abilities),
            offset_of!(Shared, model),
            offset_of!(Shared, idle),
            offset_of!(Shared, online),
            offset_of!(Shared, exit_msg),
            offset_of!(Shared, perf),
            size_of::<RawStats>(),
            offset_of!(RawStats, queue_to_decision),
            offset_of!(RawStats, wait),
            offset_of!(RawStats, wait_max_ns),
            size_of::<Task>(),
            offset_of!(Task, cgroup),
            offset_of!(Task, waits),
            offset_of!(Task, by),
            COUNTERS.len(),
        ];
        // SAFETY: constants of a C object that is linked into this test.
        let (theirs, len) = unsafe { (&baton_layout, baton_layout_len as usize) };
        assert_eq!(ours.map(|value| value as u64)[..], theirs[..len]);
    }
}
