//! `audio` and `stream`: threads that work once a period, what they do and what is measured.

use crate::histogram::Durations;
use crate::report::{Better, PartReport, micros};

/// Work that comes once a period, and must be done before the next period begins: the mixer of an audio
/// server, an encoder of video.
///
/// Beat `k` has its tick at `k / rate`. A thread wakes for it, shares the work with its helpers, and has
/// done it when all have. A beat that is met with its period already over is dropped, as a buffer that
/// was played or a picture that is left out, and counts as missed; its time runs to the end of the beat
/// that is done in its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Periodic {
    /// Beats a second.
    pub rate: u32,
    /// The work of one beat, all threads together, as a share of what one CPU does in a period.
    pub load: f64,
    /// The work varies evenly by up to this share, up or down.
    pub jitter: f64,
    /// Threads that share the work.
    pub threads: u32,
    /// Duration in seconds where no other part bounds the run.
    pub seconds: f64,
}

impl Periodic {
    /// The time between two ticks.
    pub fn period_ns(&self) -> u64 {
        1_000_000_000 / u64::from(self.rate)
    }

    /// The CPU time of each thread for one beat, on an undisturbed CPU. The same seed and beat give the
    /// same time, whatever happened to other beats.
    pub fn work_ns(&self, seed: u64, beat: u64) -> f64 {
        let mixed = seed ^ beat.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (u64::from(self.rate) << 40);
        let varied = 1.0 + self.jitter * (2.0 * fastrand::Rng::with_seed(mixed).f64() - 1.0);
        self.load * self.period_ns() as f64 * varied / f64::from(self.threads)
    }
}

/// What was measured.
#[derive(Clone, Debug, Default)]
pub struct Beats {
    /// From the tick to the end of the work.
    pub responses: Durations,
    /// From the tick until the thread that slept for it ran.
    pub wakeups: Durations,
    on_time: u64,
    missed: u64,
    dropped: u64,
    /// Those dropped directly before the next one.
    skipped: u64,
}

impl Beats {
    /// A beat was met with its period already over.
    pub fn skip(&mut self) {
        self.skipped += 1;
    }

    /// A beat was done, whose tick was then.
    pub fn done(&mut self, tick_ns: u64, now_ns: u64, period_ns: u64) {
        self.settle(tick_ns, now_ns, period_ns);
        let response_ns = now_ns.saturating_sub(tick_ns);
        self.responses.record_ns(response_ns);
        if response_ns <= period_ns {
            self.on_time += 1;
        } else {
            self.missed += 1;
        }
    }

    /// Counts the beats that were dropped before this tick.
    pub fn settle(&mut self, tick_ns: u64, now_ns: u64, period_ns: u64) {
        for back in 1..=self.skipped {
            let dropped_ns = tick_ns.saturating_sub(back * period_ns);
            self.responses.record_ns(now_ns.saturating_sub(dropped_ns));
        }
        self.missed += self.skipped;
        self.dropped += self.skipped;
        self.skipped = 0;
    }

    /// The figures.
    pub fn report(&self, part: &'static str) -> PartReport {
        let mut report = PartReport::new(part);
        let us = |durations: &Durations, quantile| micros(durations.quantile_ns(quantile));
        let (responses, wakeups) = (&self.responses, &self.wakeups);
        report.metric("response_p99_us", "us", us(responses, 0.99), Better::Lower);
        report.metric("response_p50_us", "us", us(responses, 0.5), Better::Lower);
        report.metric("wakeup_p99_us", "us", us(wakeups, 0.99), Better::Lower);
        let all = self.on_time + self.missed;
        let share = self.on_time as f64 / all.max(1) as f64;
        report.metric("on_time_share", "1", share, Better::Higher);
        report.metric("missed", "beats", self.missed as f64, Better::Lower);
        report.metric("dropped", "beats", self.dropped as f64, Better::Lower);
        report.metric("beats", "beats", all as f64, Better::Higher);
        report.histogram("response", responses);
        report.histogram("wakeup", wakeups);
        if all == 0 {
            report.unfinished = Some("no beat was done".to_owned());
        }
        report
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn threads_share_a_beat() {
        let mut stream = Periodic {
            rate: 100,
            load: 0.5,
            jitter: 0.0,
            threads: 2,
            seconds: 1.0,
        };
        assert_eq!(stream.work_ns(1, 7), 2.5e6);
        stream.jitter = 0.2;
        let works: Vec<f64> = (0..100).map(|beat| stream.work_ns(1, beat)).collect();
        assert!(works.iter().all(|work| (2.0e6..=3.0e6).contains(work)));
        assert_ne!(works[0], works[1]);
    }

    #[test]
    fn every_beat_is_counted_with_its_own_time() {
        let mut beats = Beats::default();
        beats.done(10 * MS, 20 * MS, 10 * MS);
        beats.skip();
        beats.skip();
        beats.done(40 * MS, 51 * MS, 10 * MS);
        let report = beats.report("stream");
        let value = |name: &str| {
            let mut metrics = report.metrics.iter();
            metrics.find(|metric| metric.name == name).unwrap().value
        };
        assert_eq!((value("beats"), value("missed")), (4.0, 3.0));
        assert_eq!((value("dropped"), value("on_time_share")), (2.0, 0.25));
        assert_eq!(beats.responses.max_ns(), 31 * MS);
        assert!(report.unfinished.is_none());
        assert!(Beats::default().report("audio").unfinished.is_some());
    }
}
