//! What the relay knows of each task: its state, how long it waited, who placed it.
#![allow(unsafe_code)]

use std::{
    fs::File,
    io::{self, Read as _},
    mem::size_of,
    os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
};

use baton_policy::TaskName;
use serde::{Deserialize, Serialize};

use crate::abi;

/// What a task does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    /// It has a CPU.
    Running,
    /// It is runnable and has none.
    Waiting,
    /// Neither.
    Sleeping,
}

/// One task, as the relay knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskReport {
    /// The kernel's number of the thread.
    pub pid: u32,
    /// Its process.
    pub tgid: u32,
    /// Its name.
    pub name: String,
    /// Where it runs or ran last.
    pub cpu: u32,
    /// 1 to 10,000; 100 by default.
    pub weight: u32,
    /// The kernel's number of its cgroup; 0 where it has none.
    pub cgroup: u64,
    /// The name of its class, where there are classes and it has one.
    pub class: Option<String>,
    /// What it does.
    pub state: TaskState,
    /// Since when, in nanoseconds.
    pub for_ns: u64,
    /// The queue that it stands in, if it waits.
    pub queue: Option<String>,
    /// CPU time of its life.
    pub runtime_ns: u64,
    /// CPU time since its last sleep.
    pub burst_ns: u64,
    /// What the policy last added to the keys that the relay computes.
    pub key_offset_ns: i64,
    /// How often it waited for a CPU, since the relay was loaded.
    pub waits: u32,
    /// How long in all.
    pub wait_sum_ns: u64,
    /// How long at most.
    pub wait_max_ns: u64,
    /// Who placed it and how often, by [`abi::BY`].
    pub placed_by: [u32; abi::BY.len()],
}

/// Has the relay's iterator `program` write all its tasks.
pub(crate) fn read(program: BorrowedFd<'_>) -> io::Result<Vec<TaskReport>> {
    let mut bytes = Vec::new();
    iterate(program)?.read_to_end(&mut bytes)?;
    let records = bytes.chunks_exact(size_of::<abi::Task>());
    Ok(records
        .map(|record| {
            // SAFETY: long enough, and every bit pattern is a Task.
            report(&unsafe { std::ptr::read_unaligned(record.as_ptr().cast()) })
        })
        .collect())
}

/// What an iterator writes, as a file to read.
pub(crate) fn iterate(program: BorrowedFd<'_>) -> io::Result<File> {
    // SAFETY: plain system calls; each descriptor that they return is new.
    let link = unsafe {
        let link = libbpf_sys::bpf_link_create(
            program.as_raw_fd(),
            0,
            libbpf_sys::BPF_TRACE_ITER,
            std::ptr::null(),
        );
        owned(link)?
    };
    // SAFETY: as above.
    let iterator = unsafe { owned(libbpf_sys::bpf_iter_create(link.as_raw_fd()))? };
    Ok(File::from(iterator))
}

/// # Safety
/// A descriptor that is nobody's yet, or an error.
unsafe fn owned(answer: i32) -> io::Result<OwnedFd> {
    if answer < 0 {
        return Err(io::Error::from_raw_os_error(-answer));
    }
    // SAFETY: by the caller.
    Ok(unsafe { OwnedFd::from_raw_fd(answer) })
}

fn report(raw: &abi::Task) -> TaskReport {
    let state = match raw.state {
        abi::TASK_RUNNING => TaskState::Running,
        abi::TASK_WAITING => TaskState::Waiting,
        _ => TaskState::Sleeping,
    };
    TaskReport {
        pid: raw.pid,
        tgid: raw.tgid,
        name: TaskName(raw.name).to_string(),
        cpu: raw.cpu,
        weight: raw.weight,
        cgroup: raw.cgroup,
        class: None,
        state,
        for_ns: raw.for_ns,
        queue: (state == TaskState::Waiting).then(|| queue_name(raw.dsq)),
        runtime_ns: raw.runtime_ns,
        burst_ns: raw.burst_ns,
        key_offset_ns: raw.key_offset,
        waits: raw.waits,
        wait_sum_ns: raw.wait_sum_ns,
        wait_max_ns: raw.wait_max_ns,
        placed_by: raw.by,
    }
}

/// The queues of `bpf/relay/state.h`, and the kernel's own.
fn queue_name(dsq: u64) -> String {
    match dsq {
        0 => "on its way".to_owned(),
        0x1000..0x2000 => format!("hold of LLC {}", dsq - 0x1000),
        0x2000..0x3000 => format!("leased of LLC {}", dsq - 0x2000),
        0x3000..0x4000 => format!("ready of LLC {}", dsq - 0x3000),
        0x4000..0x5000 => format!("rescue of LLC {}", dsq - 0x4000),
        0x1_0000..0x2_0000 => format!("pinned of CPU {}", dsq - 0x1_0000),
        0x8000_0000_0000_0001 => "global".to_owned(),
        _ => "local".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_have_names() {
        assert_eq!(queue_name(0x3002), "ready of LLC 2");
        assert_eq!(queue_name(0x1_0001), "pinned of CPU 1");
        assert_eq!(queue_name(0x8000_0000_0000_0002), "local");
        let raw = abi::Task {
            state: abi::TASK_WAITING,
            dsq: 0x1000,
            ..abi::Task::default()
        };
        assert_eq!(report(&raw).queue.as_deref(), Some("hold of LLC 0"));
        assert_eq!(report(&abi::Task::default()).queue, None);
    }
}
