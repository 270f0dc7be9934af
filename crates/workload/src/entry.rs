//! The hidden entry: a program that runs workloads is the program of their processes too.
//!
//! Some tasks of a workload are programs that are executed, not only forked. So that nothing needs
//! to be installed for them, the program that runs the workload executes itself again, and what it
//! shall be this time stands in its arguments.

use crate::real;
use std::ffi::{OsStr, OsString};
use std::sync::atomic::{AtomicBool, Ordering};

/// Argument zero of a workload's process.
pub(crate) const MARK: &str = "baton-workload-child";

static CALLED: AtomicBool = AtomicBool::new(false);

/// Does what a workload's process shall do, and exits, if this is one; otherwise returns at once.
///
/// A program that runs workloads must call this first thing in `main`, before it reads its
/// arguments. Without that, workloads that execute programs (`build`) are refused, but for those
/// run with [`RunOptions::program`](crate::RunOptions::program).
///
/// ```no_run
/// fn main() -> Result<(), baton_workload::Error> {
///     baton_workload::run_if_child();
///     let report = baton_workload::run(&"build:units=10".parse()?, &Default::default())?;
///     print!("{report}");
///     Ok(())
/// }
/// ```
pub fn run_if_child() {
    let mut arguments = std::env::args_os();
    if arguments.next().as_deref() == Some(OsStr::new(MARK)) {
        let arguments: Vec<OsString> = arguments.collect();
        std::process::exit(match real::build::be_child(&arguments) {
            Ok(()) => 0,
            Err(error) => {
                // Into the build's log, from which the supervisor reads it.
                eprintln!("{error}");
                1
            }
        });
    }
    CALLED.store(true, Ordering::Relaxed);
}

/// Whether this program can be executed again as a workload's process.
pub(crate) fn is_called() -> bool {
    CALLED.load(Ordering::Relaxed)
}
