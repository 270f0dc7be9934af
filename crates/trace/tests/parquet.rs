//! Tables, written and read back.

use baton_policy::Machine;
use baton_trace::{
    Bursts, Event, Header, Left, Losses, RelayEvent, TaskInfo, What, Woken,
    parquet::{BurstTable, EventTable},
};
use bytes::Bytes;
use parquet::{
    file::reader::{FileReader, SerializedFileReader},
    record::{Field, Row},
};

fn events() -> Vec<Event> {
    let at = |time_ns, what| Event {
        time_ns,
        cpu: 1,
        what,
    };
    let mut name = [0; 16];
    name[..3].copy_from_slice(b"hog");
    let info = TaskInfo {
        pid: 7,
        tgid: 6,
        name,
        prio: 120,
        kernel: false,
    };
    vec![
        at(5, What::Task(info)),
        at(
            9,
            What::Wakeup {
                pid: 7,
                waker: 8,
                how: Woken::Sleep,
                target: 0,
            },
        ),
        at(
            10,
            What::Switch {
                prev: 0,
                left: Left::Runnable,
                next: 7,
            },
        ),
        at(
            12,
            What::CanMigrate {
                pid: 7,
                from: 1,
                to: 0,
                allowed: false,
            },
        ),
        at(
            13,
            What::Relay(RelayEvent::Decided {
                pid: 7,
                cpu: None,
                slice_ns: 3_000_000,
                waited_ns: 4,
            }),
        ),
        at(
            20,
            What::Switch {
                prev: 7,
                left: Left::Blocks,
                next: 0,
            },
        ),
        at(
            1 << 40,
            What::Lost {
                count: 4,
                of: Losses::Any,
            },
        ),
    ]
}

fn header() -> Header {
    let mut header = Header::new("test", Machine::uniform("two", 2));
    header.kernel = "7.0".into();
    header.names_hidden = true;
    header
}

/// Rows, and the metadata as `key=value`.
fn read(file: Vec<u8>) -> (Vec<Row>, Vec<String>) {
    let reader = SerializedFileReader::new(Bytes::from(file)).unwrap();
    let metadata = reader.metadata().file_metadata().key_value_metadata();
    let pairs = metadata.unwrap().iter();
    let pairs = pairs
        .map(|pair| format!("{}={}", pair.key, pair.value.clone().unwrap_or_default()))
        .collect();
    let rows = reader.get_row_iter(None).unwrap();
    (rows.map(Result::unwrap).collect(), pairs)
}

/// The columns of a row that are not null, as text.
fn filled(row: &Row) -> String {
    let columns = row.get_column_iter();
    let filled = columns.filter(|(_, value)| **value != Field::Null);
    let texts: Vec<_> = filled
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    texts.join(" ")
}

#[test]
fn events_come_back() {
    let mut table = EventTable::new(Vec::new(), &header()).unwrap();
    for event in events() {
        table.event(&event).unwrap();
    }
    let (rows, metadata) = read(table.finish().unwrap());
    let rows: Vec<_> = rows.iter().map(filled).collect();
    let task = "tgid=6 name=\"hog\"";
    let expected = [
        format!("time_ns=5 cpu=1 kind=\"task\" pid=7 {task} prio=120 kernel=false"),
        format!("time_ns=9 cpu=1 kind=\"wakeup\" pid=7 {task} by_pid=8 to_cpu=0 new=false"),
        format!("time_ns=10 cpu=1 kind=\"switch\" pid=7 {task} prev_pid=0"),
        format!(
            "time_ns=12 cpu=1 kind=\"can_migrate\" pid=7 {task} from_cpu=1 to_cpu=0 allowed=false"
        ),
        format!("time_ns=13 cpu=1 kind=\"decided\" pid=7 {task} slice_ns=3000000 waited_ns=4"),
        "time_ns=20 cpu=1 kind=\"switch\" pid=0 prev_pid=7 prev_name=\"hog\" left=\"blocks\""
            .to_owned(),
        "time_ns=1099511627776 cpu=1 kind=\"lost\" count=4 tasks_only=false".to_owned(),
    ];
    assert_eq!(rows, expected);
    for pair in [
        "baton.table=events",
        "baton.schema_version=1",
        "baton.kernel=7.0",
        "baton.names_hidden=true",
        "baton.cpus=2",
        "baton.events=7",
        "baton.lost=4",
    ] {
        assert!(metadata.contains(&pair.to_owned()), "{pair}: {metadata:?}");
    }
}

#[test]
fn bursts_come_back() {
    let mut table = BurstTable::new(Vec::new(), &header()).unwrap();
    for event in events() {
        table.event(&event).unwrap();
    }
    let (rows, metadata) = read(table.finish().unwrap());
    let rows: Vec<_> = rows.iter().map(filled).collect();
    assert_eq!(
        rows,
        [
            "pid=7 tgid=6 name=\"hog\" cpu=1 began_ns=9 ended_ns=20 ran_ns=10 first_ns=10 waited_ns=1 \
             latency_ns=1 pieces=1 begin=\"woken\" by_pid=8 end=\"blocks\" censored=false"
        ]
    );
    assert!(metadata.contains(&"baton.table=bursts".to_owned()));
    assert!(metadata.contains(&"baton.bursts=1".to_owned()));
}

#[test]
fn many_rows_make_several_groups() {
    let mut table = EventTable::new(Vec::new(), &header()).unwrap();
    let mut bursts = BurstTable::new(Vec::new(), &header()).unwrap();
    let mut all = Vec::new();
    for index in 0..600_000u64 {
        let (prev, next) = ((index % 5) as u32, ((index + 1) % 5) as u32);
        let left = if index % 3 == 0 {
            Left::Sleeps
        } else {
            Left::Runnable
        };
        let event = Event {
            time_ns: index * 1000,
            cpu: 0,
            what: What::Switch { prev, left, next },
        };
        table.event(&event).unwrap();
        bursts.event(&event).unwrap();
        all.push(event);
    }
    let file = table.finish().unwrap();
    // Numbers that rise evenly and few pids: far below the 20 bytes that a row has.
    assert!(file.len() < 600_000 * 4, "{}", file.len());
    let reader = SerializedFileReader::new(Bytes::from(file)).unwrap();
    assert_eq!(reader.metadata().num_row_groups(), 3);
    assert_eq!(reader.metadata().file_metadata().num_rows(), 600_000);
    let (rows, _) = read(bursts.finish().unwrap());
    assert_eq!(rows.len(), Bursts::of(all).len());
}
