//! Traces for Perfetto, read back.

use baton_trace::{Event, Left, Losses, Perfetto, TaskInfo, What, Woken};

/// The fields of a message that are numbers, and those that are bytes.
type Fields = (Vec<(u64, u64)>, Vec<(u64, Vec<u8>)>);

fn fields(mut bytes: &[u8]) -> Fields {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (first, rest) = bytes.split_first().expect("cut in a number");
            *bytes = rest;
            value |= u64::from(first & 0x7f) << shift;
            if first & 0x80 == 0 {
                return value;
            }
        }
        panic!("a number without end")
    }
    let mut found = Fields::default();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        match tag & 7 {
            0 => found.0.push((tag >> 3, varint(&mut bytes))),
            1 => {
                let (head, rest) = bytes.split_at(8);
                bytes = rest;
                let value = u64::from_le_bytes(head.try_into().unwrap());
                found.0.push((tag >> 3, value));
            }
            2 => {
                let length = varint(&mut bytes) as usize;
                let (head, rest) = bytes.split_at(length);
                bytes = rest;
                found.1.push((tag >> 3, head.to_vec()));
            }
            other => panic!("wire type {other}"),
        }
    }
    found
}

fn number(fields: &Fields, wanted: u64) -> Option<u64> {
    let mut numbers = fields.0.iter();
    numbers.find_map(|(field, value)| (*field == wanted).then_some(*value))
}

fn text(fields: &Fields, wanted: u64) -> String {
    let mut all = fields.1.iter();
    let found = all.find_map(|(field, value)| (*field == wanted).then_some(value));
    found.map_or(String::new(), |bytes| {
        String::from_utf8(bytes.clone()).unwrap()
    })
}

/// A line for each packet: time, track, kind, name, value, flows.
fn lines(file: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    for (_, packet) in fields(file).1 {
        let packet = fields(&packet);
        if let Some((_, track)) = packet.1.iter().find(|(field, _)| *field == 60) {
            let track = fields(track);
            let parent = number(&track, 5).unwrap_or(0);
            lines.push(format!(
                "track {:x} below {parent:x}: {}",
                number(&track, 1).unwrap(),
                text(&track, 2)
            ));
            continue;
        }
        let event = fields(&packet.1.iter().find(|(field, _)| *field == 11).unwrap().1);
        let kind = ["begin", "end", "mark", "count"][number(&event, 9).unwrap() as usize - 1];
        let mut line = format!(
            "{} {:x} {kind} {}",
            number(&packet, 8).unwrap(),
            number(&event, 11).unwrap(),
            text(&event, 23)
        );
        for (field, name) in [(30, "value"), (47, "flow"), (48, "flow end")] {
            if let Some(value) = number(&event, field) {
                line += &format!(" {name} {value}");
            }
        }
        lines.push(line.trim_end().to_owned());
    }
    lines
}

fn info(pid: u32, name: &str) -> TaskInfo {
    let mut bytes = [0; 16];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    TaskInfo {
        pid,
        tgid: pid,
        name: bytes,
        prio: 120,
        kernel: false,
    }
}

fn event(time_ns: u64, cpu: u32, what: What) -> Event {
    Event { time_ns, cpu, what }
}

fn switch(prev: u32, left: Left, next: u32) -> What {
    What::Switch { prev, left, next }
}

/// A hog is preempted by a task that it wakes.
fn events() -> Vec<Event> {
    vec![
        event(1, 0, What::Task(info(7, "hog"))),
        event(1, 0, What::Task(info(8, "ping"))),
        event(
            10,
            0,
            What::Wakeup {
                pid: 8,
                waker: 7,
                how: Woken::Sleep,
                target: 0,
            },
        ),
        event(20, 0, switch(7, Left::Runnable, 8)),
        event(30, 0, switch(8, Left::Sleeps, 7)),
    ]
}

#[test]
fn a_recording_becomes_tracks_slices_arrows_and_counters() {
    let mut perfetto = Perfetto::new(Vec::new());
    let mut group = perfetto.group("first", 1).unwrap();
    for event in events() {
        group.event(&event).unwrap();
    }
    group.finish().unwrap();
    let expected = "\
track 100000001 below 0: first
track 100000002 below 100000001: runnable tasks
track 100000003 below 100000001: waiting tasks
track 100000010 below 100000001: CPU 0
10 100000010 mark wakes ping 8 flow 1
10 100000002 count  value 1
10 100000003 count  value 1
0 100000010 begin hog 7
20 100000010 end
20 100000010 begin ping 8 flow end 1
20 100000002 count  value 2
30 100000010 end
30 100000010 begin hog 7
30 100000002 count  value 1
30 100000003 count  value 0
30 100000010 end";
    assert_eq!(lines(&perfetto.finish().unwrap()).join("\n"), expected);
}

#[test]
fn two_recordings_stand_side_by_side() {
    let mut perfetto = Perfetto::new(Vec::new());
    for name in ["first", "second"] {
        let mut group = perfetto.group(name, 1).unwrap();
        for event in events() {
            group.event(&event).unwrap();
        }
        group.finish().unwrap();
    }
    let lines = lines(&perfetto.finish().unwrap());
    let (first, second) = lines.split_at(lines.len() / 2);
    assert_eq!(second[0], "track 200000001 below 0: second");
    assert!(first.contains(&"10 100000010 mark wakes ping 8 flow 1".to_owned()));
    assert!(second.contains(&"10 200000010 mark wakes ping 8 flow 2".to_owned()));
    assert_eq!(first.len(), second.len());
}

#[test]
fn losses_end_slices_and_absurd_cpus_have_no_track() {
    let mut perfetto = Perfetto::new(Vec::new());
    let mut group = perfetto.group("x", 1).unwrap();
    group
        .event(&event(5, 0, switch(0, Left::Runnable, 7)))
        .unwrap();
    group
        .event(&event(
            9,
            0,
            What::Lost {
                count: 3,
                of: Losses::Any,
            },
        ))
        .unwrap();
    group
        .event(&event(9, u32::MAX, switch(0, Left::Runnable, 7)))
        .unwrap();
    group.finish().unwrap();
    let lines = lines(&perfetto.finish().unwrap());
    assert!(lines.contains(&"9 100000010 end".to_owned()), "{lines:#?}");
    assert!(lines.contains(&"9 100000010 mark 3 events lost".to_owned()));
    assert!(lines.iter().all(|line| !line.contains("CPU 1")));
}

#[test]
fn what_leaves_a_cpu_after_a_loss_did_not_run_since_the_beginning() {
    let mut perfetto = Perfetto::new(Vec::new());
    let mut group = perfetto.group("x", 2).unwrap();
    group
        .event(&event(
            5,
            0,
            What::Lost {
                count: 3,
                of: Losses::Any,
            },
        ))
        .unwrap();
    for cpu in 0..2 {
        group
            .event(&event(9, cpu, switch(7 + cpu, Left::Sleeps, 0)))
            .unwrap();
    }
    group.finish().unwrap();
    let lines = lines(&perfetto.finish().unwrap());
    let begins = lines.iter().filter(|line| line.contains("begin"));
    let begins: Vec<_> = begins.collect();
    // Of the CPU that lost nothing alone.
    assert_eq!(begins.len(), 1, "{lines:#?}");
    assert!(begins[0].starts_with("0 100000011 begin"), "{lines:#?}");
}
