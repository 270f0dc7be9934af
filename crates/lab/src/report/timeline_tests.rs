//! What a timeline shows of a run.

use super::*;
use baton_trace::{TaskInfo, Woken};

fn event(time_ns: u64, cpu: u32, what: What) -> Event {
    Event { time_ns, cpu, what }
}

fn named(pid: u32, text: &str) -> Event {
    let mut name = [0; 16];
    name[..text.len()].copy_from_slice(text.as_bytes());
    let info = TaskInfo {
        pid,
        tgid: pid,
        name,
        prio: 120,
        kernel: false,
    };
    event(0, 0, What::Task(info))
}

fn switch(time_ns: u64, cpu: u32, prev: u32, left: Left, next: u32) -> Event {
    event(time_ns, cpu, What::Switch { prev, left, next })
}

fn wake(time_ns: u64, pid: u32, target: u32) -> Event {
    let how = Woken::Sleep;
    event(
        time_ns,
        0,
        What::Wakeup {
            pid,
            waker: 0,
            how,
            target,
        },
    )
}

const ALL: Window = Window {
    begin_ns: 0,
    length_ns: 1000,
};

#[test]
fn stays_wakeups_and_waiting_come_from_switches() {
    let events = [
        named(7, "hog"),
        named(8, "game"),
        switch(100, 1, 0, Left::Runnable, 7),
        wake(200, 8, 1),
        switch(350, 1, 7, Left::Runnable, 8),
        switch(500, 1, 8, Left::Sleeps, 7),
    ];
    let made = Timeline::of(events, 2, ALL);
    let slice = |begin_ns, end_ns, task| Slice {
        cpu: 1,
        begin_ns,
        end_ns,
        task,
    };
    assert_eq!(
        made.slices,
        [slice(100, 350, 0), slice(350, 500, 1), slice(500, 1000, 0)]
    );
    let names: Vec<&str> = made.tasks.iter().map(|task| task.name.as_str()).collect();
    assert_eq!(names, ["hog 7", "game 8"]);
    let wakeup = Wakeup {
        time_ns: 200,
        ran_ns: Some(350),
        cpu: 1,
        task: 1,
    };
    assert_eq!(made.wakeups, [wakeup]);
    assert_eq!(made.waiting, [(100, 0), (200, 1), (500, 0)]);
    assert_eq!((made.length_ns, made.cut, made.lost), (1000, false, 0));
}

#[test]
fn salted_names_can_be_told() {
    let events = [named(7, "5f3a"), switch(300, 0, 7, Left::Sleeps, 9)];
    let real = |name: &str| if name == "5f3a" { "hog" } else { name }.to_owned();
    let made = Timeline::of(events, 1, ALL).renamed(real);
    let names: Vec<&str> = made.tasks.iter().map(|task| task.name.as_str()).collect();
    assert_eq!(names, ["hog 7", "task 9"]);
}

#[test]
fn a_window_cuts_what_reaches_into_it() {
    let events = [
        switch(100, 0, 0, Left::Runnable, 7),
        switch(600, 0, 7, Left::Sleeps, 0),
        wake(700, 7, 0),
        switch(5000, 0, 0, Left::Runnable, 7),
    ];
    let window = Window {
        begin_ns: 400,
        length_ns: 500,
    };
    let made = Timeline::of(events, 1, window);
    let slice = Slice {
        cpu: 0,
        begin_ns: 0,
        end_ns: 200,
        task: 0,
    };
    assert_eq!(made.slices, [slice]);
    assert_eq!(made.tasks[0].name, "task 7");
    let wakeup = Wakeup {
        time_ns: 300,
        ran_ns: None,
        cpu: 0,
        task: 0,
    };
    assert_eq!(made.wakeups, [wakeup]);
    assert_eq!(made.length_ns, 500);
}

#[test]
fn the_task_before_the_first_switch_ran_since_the_begin() {
    let made = Timeline::of([switch(300, 0, 9, Left::Blocks, 0)], 1, ALL);
    assert_eq!(made.slices.len(), 1);
    assert_eq!((made.slices[0].begin_ns, made.slices[0].end_ns), (0, 300));
}

#[test]
fn nothing_is_told_of_what_was_lost() {
    let events = [
        switch(100, 0, 0, Left::Runnable, 7),
        event(
            400,
            0,
            What::Lost {
                count: 12,
                of: Losses::Any,
            },
        ),
        switch(600, 0, 8, Left::Sleeps, 0),
    ];
    let made = Timeline::of(events, 1, ALL);
    assert_eq!(made.lost, 12);
    let slice = Slice {
        cpu: 0,
        begin_ns: 400,
        end_ns: 600,
        task: 0,
    };
    assert_eq!(made.slices, [slice]);
    assert_eq!(made.tasks[0].name, "task 8");
}

#[test]
fn much_is_cut_and_foreign_cpus_do_no_harm() {
    let busy = (0..20_000u64).map(|n| {
        let cpu = if n % 3 == 0 { u32::MAX } else { 0 };
        let (prev, next) = if n % 2 == 0 { (1, 2) } else { (2, 1) };
        switch(n * 10, cpu, prev, Left::Runnable, next)
    });
    let events: Vec<Event> = busy.collect();
    let window = Window {
        begin_ns: 0,
        length_ns: u64::MAX,
    };
    let made = Timeline::of(&events, u32::MAX, window);
    assert!(made.cut);
    assert!(made.slices.len() <= MOST_SLICES + MOST_CPUS as usize);
    assert!(
        made.slices
            .iter()
            .all(|slice| slice.end_ns <= made.length_ns)
    );
    assert!(made.slices.iter().all(|slice| slice.cpu < MOST_CPUS));
}
