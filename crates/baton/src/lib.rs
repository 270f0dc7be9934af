//! Write a Linux CPU scheduler as an ordinary Rust program.
//!
//! A scheduler is a type that implements [`Policy`]; [`main!`] makes a program of
//! it. This is all of one that runs tasks in the order in which they come:
//!
//! ```no_run
#![doc = include_str!("../../../templates/policy/src/main.rs")]
//! ```
//!
//! The program has a command line of its own: `run` schedules this machine (root
//! and a kernel with `sched_ext`), `replay` feeds a recorded run to the policy again
//! and compares its decisions. `baton vm --policy DIRECTORY -- COMMAND` runs it on a
//! kernel in a VM, which needs neither root nor `sched_ext`.
//!
//! Without the feature `kernel` a policy builds without clang and only replays.

pub mod app;

pub use baton_policy::*;

#[cfg(feature = "kernel")]
pub use baton_kernel as kernel;

/// Makes a program of a [`Policy`]: expands to `fn main()`, and with the feature
/// `kernel` to the allocator that the scheduling thread needs.
///
/// ```no_run
/// use baton::prelude::*;
///
/// struct Nobody;
///
/// /// Decides about no task, and so leaves all of them to rescue.
/// impl Policy for Nobody {
///     const NAME: &'static str = "nobody";
///     const SUMMARY: &'static str = "leaves every task to rescue";
///     type Task = ();
///
///     fn new(_: &Setup<'_>) -> Self {
///         Self
///     }
///
///     fn enqueue(&mut self, _: &mut Context<'_, ()>, _: TaskId, _: &Enqueue) {}
/// }
///
/// baton::main!(Nobody);
/// ```
#[macro_export]
macro_rules! main {
    ($policy:ty) => {
        $crate::__use_arena!();

        fn main() -> ::std::process::ExitCode {
            $crate::app::main::<$policy>()
        }
    };
}

#[cfg(feature = "kernel")]
#[doc(hidden)]
#[macro_export]
macro_rules! __use_arena {
    () => {
        #[global_allocator]
        static BATON_ARENA: $crate::kernel::arena::Arena = $crate::kernel::arena::Arena;
    };
}

#[cfg(not(feature = "kernel"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __use_arena {
    () => {};
}
