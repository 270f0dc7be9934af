//! The compiler of candidates, made when it is first needed: its library takes minutes the first time.

use std::{
    path::PathBuf,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use baton_sandbox::Sandbox;

use crate::{Compiler, Error, Library};

/// How often those who wait look whether they are stopped.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Makes the compiler in the background, once for all who ask.
#[derive(Clone, Debug)]
pub struct Workshop {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    target: PathBuf,
    sandbox: Sandbox,
    state: Mutex<State>,
    changed: Condvar,
    stop: AtomicBool,
}

#[derive(Debug)]
enum State {
    Idle,
    Making,
    Made(Box<Compiler>),
    /// Those who wait take the reason; who asks later tries again.
    Failed(Arc<Error>),
}

impl Workshop {
    /// Builds the library into this directory. Programs run in sandboxes like this one.
    #[must_use]
    pub fn new(target: PathBuf, sandbox: Sandbox) -> Self {
        Self {
            inner: Arc::new(Inner {
                target,
                sandbox,
                state: Mutex::new(State::Idle),
                changed: Condvar::new(),
                stop: AtomicBool::new(false),
            }),
        }
    }

    /// What programs run in.
    #[must_use]
    pub fn sandbox(&self) -> &Sandbox {
        &self.inner.sandbox
    }

    /// The compiler, as soon as it is made. Whoever gives up waiting does not end the making; `see` is
    /// called if there is something to wait for.
    ///
    /// # Errors
    /// It cannot be made, or the flag was set.
    pub fn compiler(
        &self,
        stop: &AtomicBool,
        see: &mut dyn FnMut(),
    ) -> Result<Compiler, Arc<Error>> {
        let inner = &self.inner;
        let mut state = inner.lock();
        if !matches!(*state, State::Made(_)) {
            see();
        }
        if matches!(*state, State::Idle | State::Failed(_)) {
            *state = State::Making;
            let this = Arc::clone(inner);
            thread::spawn(move || this.make());
        }
        loop {
            match &*state {
                State::Made(compiler) => return Ok(Compiler::clone(compiler)),
                State::Failed(error) => return Err(Arc::clone(error)),
                State::Idle | State::Making => {}
            }
            if stop.load(Ordering::Relaxed) {
                return Err(Arc::new(Error::Stopped));
            }
            let waited = inner.changed.wait_timeout(state, LOOK_INTERVAL);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Ends the making, with all processes that it started; nothing is made after that.
    pub fn close(&self) {
        self.inner.stop.store(true, Ordering::Relaxed);
    }

    /// Whether nothing is being made.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        !matches!(*self.inner.lock(), State::Making)
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn make(&self) {
        // A panic must not leave them waiting.
        let made = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.compiler()));
        let made = made.unwrap_or_else(|_| Err(Error::Library("its making panicked".to_owned())));
        *self.lock() = match made {
            Ok(compiler) => State::Made(Box::new(compiler)),
            Err(error) => State::Failed(Arc::new(error)),
        };
        self.changed.notify_all();
    }

    fn compiler(&self) -> Result<Compiler, Error> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Error::Stopped);
        }
        // Before minutes are spent on a library for nothing.
        self.sandbox.probe()?;
        let library = Library::build_until(&self.target, Some(&self.stop))?;
        Compiler::new(library, self.sandbox.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_closed_makes_nothing_and_leaves_nobody_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let workshop = Workshop::new(folder.path().join("target"), Sandbox::new());
        workshop.close();
        let mut waits = 0;
        let stop = AtomicBool::new(false);
        let error = workshop.compiler(&stop, &mut || waits += 1).unwrap_err();
        assert!(matches!(*error, Error::Stopped));
        assert_eq!((waits, workshop.is_idle()), (1, true));
    }
}
