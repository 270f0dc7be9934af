//! System calls that no contained program needs, and in which the kernel's holes are found.
//!
//! A list of what is refused, not of what is allowed: programs and compilers of all kinds run here,
//! and what they may reach is the business of namespaces and Landlock. This narrows the kernel that
//! they can attack.

use crate::wire::{Fault, Step};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};
use std::collections::BTreeMap;
use std::io;

/// Refused with EPERM.
const REFUSED: &[i64] = &[
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_userfaultfd,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_quotactl,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_reboot,
    libc::SYS_syslog,
    libc::SYS_acct,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_lookup_dcookie,
    // Memory that is no process's own, so that nobody would be seen to use it.
    libc::SYS_memfd_create,
    libc::SYS_memfd_secret,
    libc::SYS_shmget,
    libc::SYS_msgget,
    libc::SYS_semget,
    libc::SYS_mq_open,
    libc::SYS_mbind,
    libc::SYS_move_pages,
    libc::SYS_migrate_pages,
];

/// Said not to exist, for which programs have another way.
const UNKNOWN: &[i64] = &[
    // Its flags lie in memory, where a filter cannot look; the C library then uses clone.
    libc::SYS_clone3,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
];

/// Namespaces that clone could make.
const NAMESPACES: &[i32] = &[
    libc::CLONE_NEWNS,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWCGROUP,
];

/// The same calls once more, as the x32 interface of x86-64 numbers them.
const X32: i64 = 0x4000_0000;

/// Refuses these calls to this process and all that come of it.
pub(crate) fn refuse() -> Result<(), Fault> {
    let fault = |words: String| {
        Fault::new(
            Step::Calls,
            "refuse system calls (seccomp)",
            &io::Error::other(words),
        )
    };
    for program in filters().map_err(|error| fault(error.to_string()))? {
        seccompiler::apply_filter(&program).map_err(|error| fault(error.to_string()))?;
    }
    Ok(())
}

fn filters() -> Result<[BpfProgram; 2], seccompiler::BackendError> {
    let mut refused = whole(REFUSED);
    let local = [SeccompCmpOp::Ne].map(|op| condition(op, libc::AF_UNIX));
    let sockets = rules(local)?;
    let namespaces = rules(NAMESPACES.iter().map(|flag| {
        let flag = *flag;
        #[expect(clippy::cast_sign_loss, reason = "flags are bits")]
        condition(SeccompCmpOp::MaskedEq(u64::from(flag as u32)), flag)
    }))?;
    for (call, rules) in [
        (libc::SYS_socket, &sockets),
        (libc::SYS_socketpair, &sockets),
        (libc::SYS_clone, &namespaces),
    ] {
        refused.insert(call, rules.clone());
        refused.insert(call | X32, rules.clone());
    }
    Ok([
        filter(refused, libc::EPERM)?,
        filter(whole(UNKNOWN), libc::ENOSYS)?,
    ])
}

/// Each of them, whatever its arguments are.
fn whole(calls: &[i64]) -> BTreeMap<i64, Vec<SeccompRule>> {
    calls
        .iter()
        .flat_map(|call| [(*call, Vec::new()), (call | X32, Vec::new())])
        .collect()
}

/// A condition on the first argument.
fn condition(op: SeccompCmpOp, value: i32) -> Result<SeccompCondition, seccompiler::BackendError> {
    #[expect(
        clippy::cast_sign_loss,
        reason = "flags are bits, and families are positive"
    )]
    SeccompCondition::new(0, SeccompCmpArgLen::Dword, op, u64::from(value as u32))
}

/// A rule for each condition, of which any one is enough.
fn rules(
    conditions: impl IntoIterator<Item = Result<SeccompCondition, seccompiler::BackendError>>,
) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    conditions
        .into_iter()
        .map(|condition| SeccompRule::new(vec![condition?]))
        .collect()
}

fn filter(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    errno: i32,
) -> Result<BpfProgram, seccompiler::BackendError> {
    SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(errno.unsigned_abs()),
        std::env::consts::ARCH.try_into()?,
    )?
    .try_into()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_filters_are_programs() {
        let [refused, unknown] = super::filters().unwrap();
        assert!(refused.len() > 2 * super::REFUSED.len());
        assert!(unknown.len() > 2 * super::UNKNOWN.len());
    }
}
