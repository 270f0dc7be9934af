//! Recordings as tables and for Perfetto: whatever a reader gives can be written, and is there again.
#![no_main]

use baton_fuzz::{Words, recording};
use baton_policy::Machine;
use baton_trace::{
    Event, Header, Perfetto, Recording,
    parquet::{BurstTable, EventTable},
};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use parquet::{
    file::reader::{FileReader, SerializedFileReader},
    record::RowAccessor,
};

fuzz_target!(|bytes: &[u8]| {
    let header = Header::new("fuzz", Machine::uniform("fuzz", 4));
    export(&header, &recording::events(&mut Words::new(bytes), 4));
    for file in [Some(bytes.to_vec()), recording::as_blocks(bytes)] {
        let file = file.unwrap_or_default();
        if let Ok(mut read) = Recording::read_from(file.as_slice(), "fuzz") {
            let events: Vec<Event> = read.by_ref().map_while(Result::ok).collect();
            export(read.header(), &events);
        }
    }
});

fn export(header: &Header, events: &[Event]) {
    let mut table = EventTable::new(Vec::new(), header).expect("a table");
    let mut bursts = BurstTable::new(Vec::new(), header).expect("a table");
    let mut perfetto = Perfetto::new(Vec::new());
    let mut group = perfetto.group("fuzz", header.cpus()).expect("a group");
    for event in events {
        table.event(event).expect("a row");
        bursts.event(event).expect("a row");
        group.event(event).expect("a packet");
    }
    group.finish().expect("an end");
    perfetto.finish().expect("an end");
    let times = times(table.finish().expect("an end"), 0);
    let expected = events.iter().map(|event| event.time_ns);
    assert!(expected.map(long).eq(times), "times differ");
    let file = bursts.finish().expect("an end");
    let (began, ended) = (times_of_bursts(&file, 4), times_of_bursts(&file, 5));
    assert!(
        began
            .iter()
            .zip(ended)
            .all(|(began, ended)| *began <= ended)
    );
}

/// As the tables have it.
fn long(time_ns: u64) -> i64 {
    i64::try_from(time_ns).unwrap_or(i64::MAX)
}

fn times_of_bursts(file: &[u8], column: usize) -> Vec<i64> {
    times(file.to_vec(), column)
}

fn times(file: Vec<u8>, column: usize) -> Vec<i64> {
    let reader = SerializedFileReader::new(Bytes::from(file)).expect("a file");
    let rows = reader.get_row_iter(None).expect("rows");
    let row = |row: Result<parquet::record::Row, _>| row.expect("a row").get_long(column);
    rows.map(row).collect::<Result<_, _>>().expect("times")
}
