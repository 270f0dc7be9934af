//! A run under watch: a panic of the candidate is a finding, with its place in the source.

use std::{
    cell::{Cell, RefCell},
    panic::{self, AssertUnwindSafe},
    sync::Once,
};

use baton_policy::Policy;
use baton_sim::{Config, Error, Outcome, run_outcome};

use crate::protocol::{Finding, SOURCE_FILE};

/// A panic: its message, and line and column if it is the candidate's own.
type Panic = (String, Option<(u32, u32)>);

thread_local! {
    static LAST: RefCell<Option<Panic>> = const { RefCell::new(None) };
    static IS_WATCHED: Cell<bool> = const { Cell::new(false) };
}

static HOOK: Once = Once::new();

/// Simulates, without a trace.
pub(crate) fn run<P: Policy>(config: &Config) -> Result<Outcome, Finding> {
    match caught(|| run_outcome::<P>(config, false))? {
        Ok(outcome) => Ok(outcome),
        Err(Error::Violation {
            seed,
            time_ns,
            what,
        }) => Err(Finding::new(
            "invariant",
            format!("at {time_ns} ns of the run with seed {seed}: {what}"),
            "The policy brought the backend into a state that must not be.",
        )),
        Err(error) => Err(Finding::new(
            "refused",
            error.to_string(),
            "A policy must run without parameters, on any machine.",
        )),
    }
}

/// What the function gives, or that it panicked.
pub(crate) fn caught<T>(what: impl FnOnce() -> T) -> Result<T, Finding> {
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| match IS_WATCHED.get() {
            true => note(info),
            false => before(info),
        }));
    });
    IS_WATCHED.set(true);
    let done = panic::catch_unwind(AssertUnwindSafe(what));
    IS_WATCHED.set(false);
    done.map_err(|_| {
        let last = LAST.with_borrow_mut(Option::take);
        let (text, place) = last.unwrap_or_else(|| ("it panicked".to_owned(), None));
        Finding {
            place,
            ..Finding::new(
                "panics",
                format!("the policy panicked: {text}"),
                "A panic gives the machine back to the kernel's own scheduler. Look ids up with \
                 `cx.tasks().get(id)`, and expect events in any order that the documentation allows.",
            )
        }
    })
}

fn note(info: &panic::PanicHookInfo<'_>) {
    let place = info.location().and_then(|location| {
        let own = location.file().ends_with(SOURCE_FILE);
        own.then(|| (location.line(), location.column()))
    });
    let payload = info.payload();
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    let text = text.unwrap_or_else(|| "without a message".to_owned());
    LAST.set(Some((text, place)));
}
