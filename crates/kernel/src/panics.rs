//! What the scheduling thread does first when its policy panics.

use std::{
    cell::RefCell,
    panic::{self, PanicHookInfo},
    sync::{Arc, Once, atomic::Ordering},
};

use crate::{realtime, watch::Watch};

type Hook = Box<dyn Fn(&PanicHookInfo<'_>) + Sync + Send>;

thread_local! {
    static WATCH: RefCell<Option<Arc<Watch>>> = const { RefCell::new(None) };
}

/// From now on, before a panic of the calling thread is told, the thread leaves its real-time
/// class and says so to the thread that watches it.
///
/// Telling it can take seconds, with a backtrace: a real-time thread would be taken for a
/// loop meanwhile, and the machine would wait for its scheduler. The program's panic hook
/// tells it, as before; a hook that it sets later has to do without this.
pub fn tell_at_leisure(watch: Arc<Watch>) {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| panic::set_hook(stepping_down(panic::take_hook())));
    WATCH.set(Some(watch));
}

fn stepping_down(tell: Hook) -> Hook {
    Box::new(move |info| {
        step_down();
        tell(info);
    })
}

fn step_down() {
    // A thread that ends may have lost it already.
    let _ = WATCH.try_with(|watch| {
        let watch = watch.try_borrow();
        if let Some(watch) = watch.ok().as_deref().and_then(Option::as_ref) {
            realtime::leave_fifo();
            watch.entered_ns.store(0, Ordering::Relaxed);
            watch.panicked.store(true, Ordering::Release);
        }
    });
}

#[cfg(test)]
mod tests {
    use std::{fs, sync::Mutex, thread};

    use super::*;
    use crate::realtime::Bell;

    /// The calling thread's scheduling class, a number of sched(7).
    fn class() -> u32 {
        let stat = fs::read_to_string("/proc/thread-self/stat").unwrap();
        let (_, behind_name) = stat.rsplit_once(')').unwrap();
        let class = behind_name.split_whitespace().nth(38).unwrap();
        class.parse().unwrap()
    }

    #[test]
    fn a_panic_is_known_before_it_is_told_and_only_of_its_own_thread() {
        let watch = || Arc::new(Watch::new(Bell::new().unwrap()));
        let (panicking, other) = (watch(), watch());
        let told = Arc::new(Mutex::new(None));
        let before = Arc::new(panic::take_hook());
        let (tell, of, tell_others) = (
            Arc::clone(&told),
            Arc::clone(&panicking),
            Arc::clone(&before),
        );
        panic::set_hook(stepping_down(Box::new(move |info| {
            if thread::current().name() == Some("asked to panic") {
                let known = of.panicked.load(Ordering::Acquire);
                *tell.lock().unwrap() = Some((known, class()));
            } else {
                tell_others(info);
            }
        })));
        WATCH.set(Some(Arc::clone(&other)));
        let seen = Arc::clone(&panicking);
        let thread = thread::Builder::new().name("asked to panic".into());
        let thread = thread.spawn(move || {
            seen.entered_ns.store(7, Ordering::Relaxed);
            WATCH.set(Some(seen));
            // Only root may.
            let _ = realtime::enter_fifo();
            panic!("as the test asked");
        });
        let ended = thread.unwrap().join();
        panic::set_hook(Box::new(move |info| before(info)));
        assert!(ended.is_err());
        let ordinary = 0;
        assert_eq!(*told.lock().unwrap(), Some((true, ordinary)));
        assert_eq!(panicking.entered_ns.load(Ordering::Relaxed), 0);
        assert!(!other.panicked.load(Ordering::Acquire));
    }
}
