//! The child: waits for the new root, gives up whatever it has, and becomes the program.

use crate::wire::{Blame, Fault, Ids, Status, Step, Task, receive, send};
use crate::{Limits, calls, rules, stage::FAILED};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::{set_dumpable, set_no_new_privs};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid, setsid};
use rustix::thread::{CapabilitySet, CapabilitySets};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Address space that programs reserve and do not use.
const RESERVED_BYTES: u64 = 1 << 30;
/// Open files of a process.
const OPEN_FILES: u64 = 1024;
/// Processes that the kernel allows beyond the limit, so that the supervisor sees it passed.
const PROCESSES_SEEN: u64 = 16;

/// Becomes the program; returns if that fails, or if there is none. `line` is the number of the
/// pipe to the supervisor.
pub(crate) fn be_child(line: i32) -> i32 {
    // Opened anew, it is closed when the program is executed.
    let Ok(status) = File::options()
        .write(true)
        .open(format!("/proc/self/fd/{line}"))
    else {
        return FAILED;
    };
    let _ = nix::unistd::close(line);
    let last = match prepare(&status).and_then(|task| Ok((contain(&task)?, task))) {
        Ok((landlock_abi, Task { program: None, .. })) => Status::Contained { landlock_abi },
        Ok((_, task)) => Status::Fault(execute(&task)),
        Err(fault) => Status::Fault(fault),
    };
    let _ = send(&status, &last);
    FAILED
}

/// Enters a user namespace of its own, in which limits are counted for it alone, and waits for the
/// supervisor to have made the root and the users.
fn prepare(status: &File) -> Result<Task, Fault> {
    unshare(CloneFlags::CLONE_NEWUSER).blame(Step::Namespaces, || "enter a user namespace")?;
    // The supervisor writes files of this process, which that has made root's.
    set_dumpable(true).blame(Step::Privileges, || "be seen by the supervisor")?;
    // When the host's memory is short, this goes first.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    send(status, &Status::Ready).blame(Step::Stage, || "speak to the supervisor")?;
    receive(Input)
        .and_then(|task| task.ok_or_else(|| io::ErrorKind::UnexpectedEof.into()))
        .blame(Step::Stage, || "read what is to be run")
}

/// Standard input without a buffer: what follows the task is the program's.
struct Input;

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(nix::unistd::read(io::stdin().as_fd(), buffer)?)
    }
}

/// Gives up users, limits, privileges, files and system calls, in this order; Landlock's version.
fn contain(task: &Task) -> Result<u32, Fault> {
    setsid().blame(Step::Privileges, || "leave the terminal")?;
    become_user(task.ids)?;
    set_limits(&task.limits)?;
    std::env::set_current_dir(&task.dir).blame(Step::Dir, || "enter the working directory")?;
    drop_capabilities()?;
    set_no_new_privs().blame(Step::Privileges, || "give up new privileges")?;
    let landlock_abi = rules::restrict(task)?;
    calls::refuse()?;
    Ok(landlock_abi)
}

/// Executes the program; returns only if that fails.
fn execute(task: &Task) -> Fault {
    let program = task.program.as_deref().unwrap_or_default();
    let error = Command::new(program)
        .args(&task.args)
        .env_clear()
        .envs(task.env.iter().map(|(name, value)| (name, value)))
        .exec();
    Fault::new(Step::Exec, "execute the program", &error)
}

fn become_user(ids: Ids) -> Result<(), Fault> {
    let (uid, gid) = (Uid::from_raw(ids.uid), Gid::from_raw(ids.gid));
    if ids.from_root {
        setgroups(&[]).blame(Step::Users, || "leave groups")?;
    }
    setresgid(gid, gid, gid).blame(Step::Users, || format!("become group {gid}"))?;
    setresuid(uid, uid, uid).blame(Step::Users, || format!("become user {uid}"))
}

/// Sets the kernel's limits, none of them above what the caller has itself.
fn set_limits(limits: &Limits) -> Result<(), Fault> {
    let cpu_s = limits.cpu.as_secs().saturating_add(1);
    let memory_bytes = limits
        .memory_bytes
        .saturating_mul(2)
        .saturating_add(RESERVED_BYTES);
    for (resource, value) in [
        (Resource::RLIMIT_AS, memory_bytes),
        (Resource::RLIMIT_FSIZE, limits.file_bytes),
        (Resource::RLIMIT_CPU, cpu_s),
        (
            Resource::RLIMIT_NPROC,
            u64::from(limits.processes) + PROCESSES_SEEN,
        ),
        (Resource::RLIMIT_NOFILE, OPEN_FILES),
        (Resource::RLIMIT_CORE, 0),
        (Resource::RLIMIT_MEMLOCK, 0),
        (Resource::RLIMIT_MSGQUEUE, 0),
        (Resource::RLIMIT_RTPRIO, 0),
        (Resource::RLIMIT_NICE, 0),
    ] {
        let value = getrlimit(resource).map_or(value, |(_, hard)| value.min(hard));
        setrlimit(resource, value, value)
            .blame(Step::Limits, || format!("set the limit {resource:?}"))?;
    }
    Ok(())
}

/// Gives up every capability, and the chance to get one by executing a file.
fn drop_capabilities() -> Result<(), Fault> {
    for number in 0..u64::BITS {
        let one = CapabilitySet::from_bits_retain(1 << number);
        match rustix::thread::remove_capability_from_bounding_set(one) {
            Err(rustix::io::Errno::INVAL) => break, // The kernel has no more.
            result => result.blame(Step::Privileges, || "give up capabilities for good")?,
        }
    }
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, none)
        .and_then(|()| rustix::thread::clear_ambient_capability_set())
        .blame(Step::Privileges, || "give up capabilities")
}
