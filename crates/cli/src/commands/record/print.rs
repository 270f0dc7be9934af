//! Progress while it records.

use std::{
    io::{IsTerminal as _, Write as _, stderr},
    time::{Duration, Instant},
};

use baton::kernel::recorder;

use crate::summary::size;

const PERIOD: Duration = Duration::from_secs(1);

/// A line on standard error, where a person watches.
pub(super) struct Progress {
    watched: bool,
    began: Instant,
    shown: Instant,
    before: recorder::Progress,
}

impl Progress {
    pub(super) fn new(quiet: bool) -> Self {
        let watched = !quiet && stderr().is_terminal();
        let began = Instant::now();
        if watched {
            eprint!("recording; Ctrl-C ends it");
        }
        Self {
            watched,
            began,
            shown: began,
            before: recorder::Progress::default(),
        }
    }

    pub(super) fn show(&mut self, now: &recorder::Progress) {
        let passed = self.shown.elapsed();
        if !self.watched || passed < PERIOD {
            return;
        }
        let rate = (now.events - self.before.events) as f64 / passed.as_secs_f64();
        eprint!(
            "\r\x1b[Krecorded {:.0} s: {} events ({rate:.0}/s), {} lost, {}",
            self.began.elapsed().as_secs_f64(),
            now.events,
            now.lost,
            size(now.bytes),
        );
        let _ = stderr().flush();
        self.shown = Instant::now();
        self.before = *now;
    }

    pub(super) fn end(&self) {
        if self.watched {
            eprint!("\r\x1b[K");
        }
    }
}
