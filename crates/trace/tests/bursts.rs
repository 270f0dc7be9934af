//! Events joined to bursts.

use baton_trace::{Begin, Burst, Bursts, End, Event, Left, Losses, What, Woken};

fn at(time_ns: u64, cpu: u32, what: What) -> Event {
    Event { time_ns, cpu, what }
}

fn switch(time_ns: u64, cpu: u32, prev: u32, left: Left, next: u32) -> Event {
    at(time_ns, cpu, What::Switch { prev, left, next })
}

fn wakeup(time_ns: u64, cpu: u32, pid: u32, waker: u32) -> Event {
    let how = Woken::Sleep;
    let target = cpu;
    at(
        time_ns,
        cpu,
        What::Wakeup {
            pid,
            waker,
            how,
            target,
        },
    )
}

/// A line for each burst.
fn lines(events: &[Event]) -> Vec<String> {
    let line = |burst: &Burst| {
        let whole = if burst.is_whole() { "" } else { " censored" };
        format!(
            "{}: {}..{} ran {} waited {} in {}, slept {:?}, {:?} to {:?}{whole}",
            burst.pid,
            burst.began_ns,
            burst.ended_ns,
            burst.ran_ns,
            burst.waited_ns,
            burst.pieces,
            burst.slept_ns,
            burst.begin,
            burst.end
        )
    };
    Bursts::of(events.iter().copied())
        .iter()
        .map(line)
        .collect()
}

#[test]
fn preempted_pieces_are_joined_until_the_task_sleeps() {
    use Left::{Runnable, Sleeps};
    let events = [
        switch(100, 0, 9, Runnable, 0),
        wakeup(110, 0, 7, 0),
        switch(112, 0, 0, Runnable, 7),
        switch(120, 0, 7, Runnable, 9),
        // It goes on elsewhere.
        switch(125, 1, 0, Runnable, 7),
        switch(140, 1, 7, Sleeps, 0),
        wakeup(200, 0, 7, 9),
        switch(201, 1, 0, Runnable, 7),
        switch(203, 1, 7, Left::Blocks, 0),
        switch(210, 0, 9, Left::Stopped, 0),
    ];
    assert_eq!(
        lines(&events),
        [
            "7: 110..140 ran 23 waited 7 in 2, slept None, Woken(0) to Sleeps",
            "7: 200..203 ran 2 waited 1 in 1, slept Some(60), Woken(9) to Blocks",
            "9: 0..210 ran 190 waited 20 in 2, slept None, Unseen to Stopped censored",
        ]
    );
    let bursts = Bursts::of(events);
    assert_eq!(bursts[0].latency_ns, Some(2));
    assert_eq!(bursts[2].latency_ns, None);
    assert_eq!((bursts[0].cpu, bursts[1].cpu), (1, 1));
    let first: Vec<u64> = bursts.iter().map(|burst| burst.first_ns).collect();
    assert_eq!(first, [8, 2, 100], "what was preempted first counts");
}

#[test]
fn the_recordings_ends_cut_bursts() {
    let events = [
        switch(50, 0, 7, Left::Sleeps, 8),
        wakeup(60, 0, 7, 8),
        wakeup(80, 0, 6, 8),
    ];
    assert_eq!(
        lines(&events),
        [
            "7: 0..50 ran 50 waited 0 in 1, slept None, Unseen to Sleeps censored",
            // 6 and 7 wait and have not run.
            "8: 50..80 ran 30 waited 0 in 1, slept None, Unseen to Cut censored",
        ]
    );
}

#[test]
fn a_number_that_is_given_again_is_another_task() {
    let fork = |time_ns, child| at(time_ns, 0, What::Fork { parent: 5, child });
    let new = |time_ns, pid| {
        let (waker, how, target) = (5, Woken::New, 1);
        at(
            time_ns,
            0,
            What::Wakeup {
                pid,
                waker,
                how,
                target,
            },
        )
    };
    let events = [
        switch(1, 1, 0, Left::Runnable, 4),
        switch(2, 1, 4, Left::Sleeps, 0),
        fork(10, 7),
        new(11, 7),
        switch(12, 1, 0, Left::Runnable, 7),
        at(15, 1, What::Exit { pid: 7 }),
        switch(16, 1, 7, Left::Exits, 0),
        fork(20, 7),
        new(21, 7),
        switch(22, 1, 0, Left::Runnable, 7),
        switch(30, 1, 7, Left::Exits, 0),
        // The end of this one was not seen.
        fork(40, 7),
        new(41, 7),
        switch(42, 1, 0, Left::Runnable, 7),
        switch(43, 1, 7, Left::Runnable, 0),
        fork(50, 7),
    ];
    assert_eq!(
        lines(&events)[1..],
        [
            "7: 11..16 ran 4 waited 1 in 1, slept None, Forked(5) to Exits",
            "7: 21..30 ran 8 waited 1 in 1, slept None, Forked(5) to Exits",
            "7: 41..50 ran 1 waited 1 in 1, slept None, Forked(5) to Cut censored",
        ]
    );
}

#[test]
fn a_loss_cuts_whoever_it_may_concern() {
    let events = [
        wakeup(5, 0, 7, 0),
        switch(10, 0, 0, Left::Runnable, 7),
        wakeup(15, 1, 8, 0),
        switch(20, 1, 0, Left::Runnable, 8),
        wakeup(30, 0, 9, 7),
        // 7 runs there, 9 waits; 8 runs on.
        at(
            60,
            0,
            What::Lost {
                count: 3,
                of: Losses::Any,
            },
        ),
        switch(70, 0, 9, Left::Sleeps, 0),
        switch(80, 1, 8, Left::Sleeps, 0),
        wakeup(90, 1, 7, 0),
        switch(91, 1, 0, Left::Runnable, 7),
        switch(95, 1, 7, Left::Sleeps, 0),
    ];
    assert_eq!(
        lines(&events),
        [
            // It ran at least up to the last event of its CPU.
            "7: 5..30 ran 20 waited 5 in 1, slept None, Woken(0) to Cut censored",
            "9: 70..70 ran 0 waited 0 in 1, slept None, Unseen to Sleeps censored",
            "8: 15..80 ran 60 waited 5 in 1, slept None, Woken(0) to Sleeps",
            // For how long it slept is not known.
            "7: 90..95 ran 4 waited 1 in 1, slept None, Woken(0) to Sleeps",
        ]
    );
}

/// Lost forks, names and exits say nothing of who ran: every burst stays as it was.
#[test]
fn a_loss_of_tasks_cuts_nobody() {
    let mut events = vec![
        wakeup(5, 0, 7, 0),
        switch(10, 0, 0, Left::Runnable, 7),
        switch(30, 0, 7, Left::Sleeps, 0),
        wakeup(40, 0, 7, 0),
        switch(50, 0, 0, Left::Runnable, 7),
        wakeup(55, 0, 9, 7),
        switch(80, 0, 7, Left::Runnable, 9),
        switch(85, 0, 9, Left::Exits, 7),
        switch(90, 0, 7, Left::Sleeps, 0),
    ];
    let whole = lines(&events);
    assert!(whole.iter().all(|line| !line.ends_with("censored")));
    for place in (1..events.len()).rev() {
        let time_ns = events[place].time_ns;
        let of = Losses::Tasks;
        events.insert(place, at(time_ns, 0, What::Lost { count: 2, of }));
    }
    assert_eq!(lines(&events), whole);
}

#[test]
fn events_that_contradict_each_other_give_no_panic_and_no_false_length() {
    let events = [
        switch(10, 0, 0, Left::Runnable, 7),
        // It leaves a CPU that it was not on.
        switch(20, 1, 7, Left::Sleeps, 0),
        switch(30, 0, 8, Left::Runnable, 0),
        switch(5, u32::MAX, 1, Left::Runnable, 2),
        wakeup(31, 0, 0, 0),
        wakeup(32, 0, 9, 0),
        wakeup(33, 0, 9, 0),
    ];
    for line in lines(&events) {
        assert!(line.ends_with("censored"), "{line}");
    }
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    for _ in 0..200 {
        let mut time_ns = 0;
        let events: Vec<Event> = (0..200)
            .map(|_| {
                time_ns += rng.u64(0..5);
                let (cpu, pid) = (rng.u32(0..3), rng.u32(0..6));
                let left = [Left::Runnable, Left::Sleeps, Left::Exits][rng.usize(0..3)];
                match rng.u8(0..8) {
                    0 => wakeup(time_ns, cpu, pid, 0),
                    1 => at(
                        time_ns,
                        cpu,
                        What::Lost {
                            count: 1,
                            of: Losses::Any,
                        },
                    ),
                    2 => {
                        let (parent, child) = (0, pid);
                        at(time_ns, cpu, What::Fork { parent, child })
                    }
                    _ => switch(time_ns, cpu, pid, left, rng.u32(0..6)),
                }
            })
            .collect();
        for burst in Bursts::of(events) {
            assert!(burst.began_ns <= burst.ended_ns, "{burst:?}");
            let all_ns = burst.ended_ns - burst.began_ns;
            assert!(burst.ran_ns + burst.waited_ns <= all_ns, "{burst:?}");
            assert!(burst.first_ns <= burst.ran_ns, "{burst:?}");
            if burst.pieces == 1 {
                assert_eq!(burst.first_ns, burst.ran_ns, "{burst:?}");
            }
            assert!(burst.pid != 0 && burst.pieces > 0);
        }
    }
}

#[test]
fn every_burst_of_ours_ends_as_it_should() {
    assert_eq!(Bursts::of([]), []);
    let burst = Bursts::of([switch(3, 0, 4, Left::Exits, 0)])[0];
    assert_eq!((burst.begin, burst.end), (Begin::Unseen, End::Exits));
}
