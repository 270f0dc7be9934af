//! Variables of the kernel that a program may only use where they have an address.
//!
//! A kernel's BTF describes its variables for each CPU, but their addresses stand in its table of symbols
//! only if it was built with `CONFIG_KALLSYMS_ALL`. Where it was not, the kernel refuses a whole
//! program for the mention of one, though the program would do without: libbpf takes a weak variable for
//! missing only if the BTF has none of its name.
#![allow(unsafe_code)]

use std::{
    borrow::Cow,
    os::fd::{FromRawFd, OwnedFd},
};

use libbpf_rs::btf::{Btf, types::Var};
use libbpf_sys::{
    BPF_ALU64, BPF_DW, BPF_EXIT, BPF_IMM, BPF_JMP, BPF_K, BPF_LD, BPF_MOV,
    BPF_PROG_TYPE_RAW_TRACEPOINT, BPF_PSEUDO_BTF_ID, bpf_insn, bpf_prog_load,
};

/// What Baton's programs do without if they must.
const OPTIONAL: [&str; 2] = ["__preempt_count", "runqueues"];

/// The object with names that this kernel does not know in the place of those variables that have no address here.
pub(crate) fn without_unknown(object: &'static [u8]) -> Cow<'static, [u8]> {
    let Ok(btf) = Btf::from_vmlinux() else {
        return Cow::Borrowed(object);
    };
    OPTIONAL
        .into_iter()
        .filter(|name| !has_address(&btf, name))
        .fold(Cow::Borrowed(object), |object, name| renamed(object, name))
}

/// Whether a program may take the variable's address. Of one that the BTF does not have, libbpf knows that
/// it may not.
pub(crate) fn has_address(btf: &Btf<'_>, name: &str) -> bool {
    let Some(variable) = btf.type_by_name::<Var<'_>>(name) else {
        return true;
    };
    loads_address(u32::from(variable.type_id()))
}

/// Loads a program that takes the address and ends.
fn loads_address(id: u32) -> bool {
    let instruction = |code: u32, source: u32, imm: u32| {
        let mut instruction = bpf_insn {
            code: code as u8,
            imm: imm.cast_signed(),
            ..bpf_insn::default()
        };
        instruction.set_src_reg(source as u8);
        instruction
    };
    let program = [
        instruction(BPF_LD | BPF_DW | BPF_IMM, BPF_PSEUDO_BTF_ID, id),
        instruction(0, 0, 0),
        instruction(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0),
        instruction(BPF_JMP | BPF_EXIT, 0, 0),
    ];
    // SAFETY: the instructions and both texts live over the call, and there are as many as told.
    let loaded = unsafe {
        bpf_prog_load(
            BPF_PROG_TYPE_RAW_TRACEPOINT,
            c"baton_address".as_ptr(),
            c"GPL".as_ptr(),
            program.as_ptr(),
            program.len() as libbpf_sys::size_t,
            std::ptr::null_mut(),
        )
    };
    if loaded >= 0 {
        // SAFETY: the call gave this descriptor to nobody else.
        drop(unsafe { OwnedFd::from_raw_fd(loaded) });
    }
    // Other refusals than a missing symbol tell nothing of the symbol.
    loaded != -libc::ENOENT
}

/// The object with another first letter wherever the name stands.
fn renamed<'a>(object: Cow<'a, [u8]>, name: &str) -> Cow<'a, [u8]> {
    let whole = [b"\0", name.as_bytes(), b"\0"].concat();
    let places: Vec<usize> = object
        .windows(whole.len())
        .enumerate()
        .filter(|(_, window)| *window == whole)
        .map(|(place, _)| place + 1)
        .collect();
    let mut object = object.into_owned();
    for place in places {
        object[place] = b'X';
    }
    Cow::Owned(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_names_alone_are_renamed() {
        let object = b"\0__preempt_count\0preempt_count\0\0my__preempt_count\0__preempt_count\0";
        let found = renamed(Cow::Borrowed(&object[..]), "__preempt_count");
        assert_eq!(
            &*found,
            b"\0X_preempt_count\0preempt_count\0\0my__preempt_count\0X_preempt_count\0"
        );
    }

    /// Every variable that the kernel's table of symbols has can be had, and no other.
    #[test]
    fn it_agrees_with_the_table_of_symbols() {
        if !crate::relay::is_root() {
            eprintln!("not tried: loading BPF needs root");
            return;
        }
        let btf = Btf::from_vmlinux().expect("this kernel has BTF");
        let symbols = std::fs::read_to_string("/proc/kallsyms").expect("it has a table");
        for name in OPTIONAL {
            if btf.type_by_name::<Var<'_>>(name).is_none() {
                continue;
            }
            let is_there = symbols
                .lines()
                .any(|line| line.split(' ').nth(2) == Some(name));
            assert_eq!(has_address(&btf, name), is_there, "{name}");
        }
    }
}
