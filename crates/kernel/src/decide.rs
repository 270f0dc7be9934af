//! Hands batches of commands to the relay.
#![allow(unsafe_code)]

use std::{
    mem::size_of,
    os::fd::{AsRawFd, OwnedFd},
};

use crate::{abi, shared::Batch};

/// Runs a SYSCALL program on a context, which may be empty; its answer, or the system's
/// error number.
pub fn run_program(program: i32, context: &mut [u8]) -> Result<u32, i32> {
    let mut options = libbpf_sys::bpf_test_run_opts {
        sz: size_of::<libbpf_sys::bpf_test_run_opts>() as libbpf_sys::size_t,
        ..Default::default()
    };
    if !context.is_empty() {
        options.ctx_in = context.as_mut_ptr().cast();
        options.ctx_size_in = context.len() as u32;
    }
    // SAFETY: the options and the context live over the call.
    let answer = unsafe { libbpf_sys::bpf_prog_test_run_opts(program, &mut options) };
    if answer < 0 {
        Err(-answer)
    } else {
        Ok(options.retval)
    }
}

/// Sends commands and tells what became of each.
#[derive(Debug)]
pub struct Decider {
    program: OwnedFd,
    batch: Batch,
}

impl Decider {
    pub(crate) fn new(program: OwnedFd, batch: Batch) -> Self {
        Self { program, batch }
    }

    /// Carries out up to [`abi::BATCH_MAX`] commands; `results` sees each with its
    /// result filled in.
    ///
    /// # Errors
    /// The system's error number, when the relay is gone.
    pub fn run(
        &mut self,
        commands: &[abi::Command],
        mut results: impl FnMut(&abi::Command),
    ) -> Result<(), i32> {
        for chunk in commands.chunks(abi::BATCH_MAX) {
            self.batch.put(chunk);
            run_program(self.program.as_raw_fd(), &mut [])?;
            self.batch.commands()[..chunk.len()]
                .iter()
                .for_each(&mut results);
        }
        Ok(())
    }
}
