//! Runs [`Pipe`]: a token to and fro over two pipes.

use super::Context;
use crate::error::{Error, TOO_MANY_FILES, TOO_MANY_TASKS};
use crate::histogram::Durations;
use crate::names;
use crate::report::{Better, PartReport, micros, seconds};
use crate::spec::Pipe;
use crate::sys::child::Child;
use crate::sys::clock;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsRawFd;
use std::thread;

const PART: &str = "pipe";

/// One task's ends of the two pipes.
struct Ends {
    from: PipeReader,
    to: PipeWriter,
}

/// What the first task measured.
struct Played {
    rounds: u32,
    elapsed_ns: u64,
    round_trips: Durations,
}

/// The calling thread is the first of the two tasks.
pub(crate) fn run(pipe: &Pipe, context: &Context<'_>) -> Result<PartReport, Error> {
    let refused = || Error::os(PART, "pipe", TOO_MANY_FILES);
    let (from_pong, to_ping) = io::pipe().map_err(refused())?;
    let (from_ping, to_pong) = io::pipe().map_err(refused())?;
    let ping_ends = Ends {
        from: from_pong,
        to: to_pong,
    };
    let pong_ends = Ends {
        from: from_ping,
        to: to_ping,
    };
    let refused = || Error::os(PART, "second task", TOO_MANY_TASKS);
    if pipe.threads {
        thread::scope(|scope| {
            let pong = thread::Builder::new().name(names::task_name(names::PONG, context.salt));
            let spawned = pong.spawn_scoped(scope, move || return_token(&pong_ends));
            spawned.map_err(refused())?;
            // The second task ends when these ends close, at the latest with this function.
            play(pipe, context, ping_ends)
        })
    } else {
        let name = names::task_name_c(names::PONG, context.salt);
        let keep = [pong_ends.from.as_raw_fd(), pong_ends.to.as_raw_fd()];
        let _pong = Child::fork(&name, &keep, || return_token(&pong_ends)).map_err(refused())?;
        // Only the child holds these now, so its death is an end of file here.
        drop(pong_ends);
        play(pipe, context, ping_ends)
    }
}

fn play(pipe: &Pipe, context: &Context<'_>, ends: Ends) -> Result<PartReport, Error> {
    let mut played = Played {
        rounds: 0,
        elapsed_ns: 0,
        round_trips: Durations::new(),
    };
    context.gate.ready();
    if context.gate.wait_foreground() {
        send_token(pipe.rounds, context, ends, &mut played)
            .map_err(|error| Error::worker(PART, format!("the second task is gone ({error})")))?;
    }
    Ok(report(pipe, &played))
}

/// The first task: it has the token and sends it on.
fn send_token(
    rounds: u32,
    context: &Context<'_>,
    mut ends: Ends,
    played: &mut Played,
) -> io::Result<()> {
    let mut token = [1];
    let start_ns = clock::now_ns();
    let mut last_ns = start_ns;
    while played.rounds < rounds && !context.gate.is_cancelled() {
        ends.to.write_all(&token)?;
        ends.from.read_exact(&mut token)?;
        let now_ns = clock::now_ns();
        played.round_trips.record_ns(now_ns - last_ns);
        last_ns = now_ns;
        played.rounds += 1;
    }
    played.elapsed_ns = last_ns - start_ns;
    Ok(())
}

/// The second task: it returns the token until the pipe closes.
fn return_token(ends: &Ends) -> i32 {
    let mut token = [0];
    loop {
        let passed = (&ends.from)
            .read_exact(&mut token)
            .and_then(|()| (&ends.to).write_all(&token));
        if passed.is_err() {
            return 0;
        }
    }
}

fn report(pipe: &Pipe, played: &Played) -> PartReport {
    let mut report = PartReport::new(PART);
    let elapsed_s = seconds(played.elapsed_ns.max(1));
    let trips = &played.round_trips;
    report.metric("time_s", "s", seconds(played.elapsed_ns), Better::Lower);
    report.metric(
        "rounds_per_s",
        "1/s",
        f64::from(played.rounds) / elapsed_s,
        Better::Higher,
    );
    for (name, quantile) in [("round_trip_p50_us", 0.5), ("round_trip_p99_us", 0.99)] {
        report.metric(
            name,
            "us",
            micros(trips.quantile_ns(quantile)),
            Better::Lower,
        );
    }
    report.histogram("round_trip", trips);
    if played.rounds < pipe.rounds {
        report.unfinished = Some(format!("{} of {} rounds", played.rounds, pipe.rounds));
    }
    report
}
