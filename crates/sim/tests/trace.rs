//! The Perfetto trace, read back.

mod common;

use baton_sim::simulate;
use common::config;

/// A field of a message: its number, and its value or content.
#[derive(Clone, Debug)]
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// Reads protocol buffers: a list of fields.
fn fields(mut bytes: &[u8]) -> Vec<(u32, Value<'_>)> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let (first, rest) = bytes.split_first().expect("cut in a number");
            *bytes = rest;
            value |= u64::from(first & 0x7f) << shift;
            if first & 0x80 == 0 {
                return value;
            }
        }
        unreachable!()
    }
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let number = (tag >> 3) as u32;
        let value = match tag & 7 {
            0 => Value::Number(varint(&mut bytes)),
            1 => {
                let (head, rest) = bytes.split_at(8);
                bytes = rest;
                Value::Number(u64::from_le_bytes(head.try_into().unwrap()))
            }
            2 => {
                let length = varint(&mut bytes) as usize;
                let (head, rest) = bytes.split_at(length);
                bytes = rest;
                Value::Bytes(head)
            }
            other => panic!("wire type {other}"),
        };
        found.push((number, value));
    }
    found
}

fn number(fields: &[(u32, Value<'_>)], wanted: u32) -> Option<u64> {
    fields.iter().find_map(|(number, value)| match value {
        Value::Number(value) if *number == wanted => Some(*value),
        _ => None,
    })
}

fn bytes<'a>(fields: &[(u32, Value<'a>)], wanted: u32) -> Option<&'a [u8]> {
    fields.iter().find_map(|(number, value)| match value {
        Value::Bytes(value) if *number == wanted => Some(*value),
        _ => None,
    })
}

fn text(fields: &[(u32, Value<'_>)], wanted: u32) -> String {
    String::from_utf8(bytes(fields, wanted).unwrap_or_default().to_vec()).unwrap()
}

#[test]
fn tracks_slices_arrows_and_counters_come_back() {
    let config = config("2-cpu", "pipe:rounds=20+hogs:count=2");
    let outcome = simulate("edf", &config, true).unwrap();
    let file = outcome.trace.unwrap().perfetto("edf");
    let (mut tracks, mut begun, mut slices, mut counters) = (Vec::new(), [0u64; 2], 0, 0);
    let (mut flows, mut flow_ends, mut last_ns) = (Vec::new(), 0, 0);
    for (number_of, packet) in fields(&file) {
        assert_eq!(number_of, 1);
        let Value::Bytes(packet) = packet else {
            panic!("a packet is a message")
        };
        let packet = fields(packet);
        assert_eq!(number(&packet, 10), Some(1));
        if let Some(track) = bytes(&packet, 60) {
            let track = fields(track);
            assert_eq!(number(&track, 1).map(|uuid| uuid >> 32), Some(1));
            tracks.push(text(&track, 2));
            continue;
        }
        let time_ns = number(&packet, 8).unwrap();
        assert!(time_ns >= last_ns, "time goes back");
        last_ns = time_ns;
        let event = fields(bytes(&packet, 11).unwrap());
        let track = number(&event, 11).unwrap() as u32;
        match number(&event, 9).unwrap() {
            1 => {
                slices += 1;
                begun[track as usize - 16] += 1;
                assert!(!text(&event, 23).is_empty());
                if let Some(flow) = number(&event, 48) {
                    assert!(flows.contains(&flow));
                    flow_ends += 1;
                }
            }
            2 => begun[track as usize - 16] -= 1,
            3 => flows.extend(number(&event, 47)),
            4 => counters += 1,
            other => panic!("event type {other}"),
        }
        assert!(begun.iter().all(|open| *open <= 1), "slices overlap");
    }
    assert_eq!(
        tracks,
        ["edf", "runnable tasks", "waiting tasks", "CPU 0", "CPU 1"]
    );
    assert_eq!(begun, [0, 0], "a slice has no end");
    assert!(slices as u64 >= outcome.report.switches && counters > 0);
    // Each round wakes both tasks.
    assert!(flow_ends >= 40, "{flow_ends}");
    // What is traced is what happens without a trace.
    assert_eq!(
        outcome.report,
        simulate("edf", &config, false).unwrap().report
    );
}
