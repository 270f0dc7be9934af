//! The table of events.

use std::io::Write;

use ::parquet::data_type::ByteArray;

use super::{
    TableError,
    column::{AnyColumn, Bools, Ints, Longs, Texts, int, long, text},
    file::{File, GROUP_ROWS, Tasks},
};
use crate::{Event, Header, Left, Losses, RelayEvent, What, Woken};

const SCHEMA: &str = "
message events {
    REQUIRED INT64 time_ns;
    REQUIRED INT32 cpu;
    REQUIRED BYTE_ARRAY kind (UTF8);
    OPTIONAL INT32 pid;
    OPTIONAL INT32 tgid;
    OPTIONAL BYTE_ARRAY name (UTF8);
    OPTIONAL INT32 prev_pid;
    OPTIONAL BYTE_ARRAY prev_name (UTF8);
    OPTIONAL BYTE_ARRAY left (UTF8);
    OPTIONAL INT32 by_pid;
    OPTIONAL BYTE_ARRAY by_name (UTF8);
    OPTIONAL INT32 from_cpu;
    OPTIONAL INT32 to_cpu;
    OPTIONAL BOOLEAN new;
    OPTIONAL BOOLEAN allowed;
    OPTIONAL INT64 slice_ns;
    OPTIONAL INT64 waited_ns;
    OPTIONAL INT32 prio;
    OPTIONAL BOOLEAN kernel;
    OPTIONAL INT64 count;
    OPTIONAL BOOLEAN tasks_only;
}";

/// One row's columns, beside time, CPU and kind.
#[derive(Clone, Copy, Default)]
struct Row {
    pid: Option<u32>,
    prev_pid: Option<u32>,
    left: Option<Left>,
    by_pid: Option<u32>,
    from_cpu: Option<u32>,
    to_cpu: Option<u32>,
    new: Option<bool>,
    allowed: Option<bool>,
    slice_ns: Option<u64>,
    waited_ns: Option<u64>,
    prio: Option<u8>,
    kernel: Option<bool>,
    count: Option<u64>,
    tasks_only: Option<bool>,
}

struct Columns {
    time_ns: Longs,
    cpu: Ints,
    kind: Texts,
    pid: Ints,
    tgid: Ints,
    name: Texts,
    prev_pid: Ints,
    prev_name: Texts,
    left: Texts,
    by_pid: Ints,
    by_name: Texts,
    from_cpu: Ints,
    to_cpu: Ints,
    new: Bools,
    allowed: Bools,
    slice_ns: Longs,
    waited_ns: Longs,
    prio: Ints,
    kernel: Bools,
    count: Longs,
    tasks_only: Bools,
}

/// Texts that come again and again.
struct Words {
    kinds: [ByteArray; 11],
    lefts: [ByteArray; 5],
}

/// A table of events that is written, see `docs/recording-schema.md`.
pub struct EventTable<W: Write + Send> {
    file: File<W>,
    columns: Columns,
    words: Words,
    tasks: Tasks,
    rows: usize,
    events: u64,
    lost: u64,
}

impl<W: Write + Send> EventTable<W> {
    /// Begins the table of a recording with this header.
    ///
    /// # Errors
    /// Those of the file.
    pub fn new(out: W, header: &Header) -> Result<Self, TableError> {
        Ok(Self {
            file: File::new(out, "events", SCHEMA, &["time_ns"], header)?,
            columns: Columns::new(),
            words: Words::new(),
            tasks: Tasks::default(),
            rows: 0,
            events: 0,
            lost: 0,
        })
    }

    /// Adds an event. Events come in the order of time.
    ///
    /// # Errors
    /// Those of the file.
    pub fn event(&mut self, event: &Event) -> Result<(), TableError> {
        if let What::Task(info) = &event.what {
            self.tasks.learn(info);
        }
        if let What::Lost { count, .. } = event.what {
            self.lost = self.lost.saturating_add(count);
        }
        let (kind, row) = row_of(&event.what);
        let columns = &mut self.columns;
        columns.time_ns.put(long(event.time_ns));
        columns.cpu.put(int(event.cpu));
        columns.kind.put(self.words.kinds[kind as usize].clone());
        columns.put(&row, &self.tasks, &self.words);
        self.events += 1;
        self.rows += 1;
        if self.rows == GROUP_ROWS {
            self.flush()?;
        }
        Ok(())
    }

    /// Ends the table.
    ///
    /// # Errors
    /// Those of the file.
    pub fn finish(mut self) -> Result<W, TableError> {
        if self.rows > 0 {
            self.flush()?;
        }
        let last = [("events", self.events), ("lost", self.lost)];
        Ok(self.file.finish(&last)?)
    }

    fn flush(&mut self) -> Result<(), TableError> {
        self.rows = 0;
        let columns = &mut self.columns;
        Ok(self.file.group(|group| {
            columns.time_ns.write_to(group)?;
            columns.cpu.write_to(group)?;
            columns.kind.write_to(group)?;
            columns.pid.write_to(group)?;
            columns.tgid.write_to(group)?;
            columns.name.write_to(group)?;
            columns.prev_pid.write_to(group)?;
            columns.prev_name.write_to(group)?;
            columns.left.write_to(group)?;
            columns.by_pid.write_to(group)?;
            columns.by_name.write_to(group)?;
            columns.from_cpu.write_to(group)?;
            columns.to_cpu.write_to(group)?;
            columns.new.write_to(group)?;
            columns.allowed.write_to(group)?;
            columns.slice_ns.write_to(group)?;
            columns.waited_ns.write_to(group)?;
            columns.prio.write_to(group)?;
            columns.kernel.write_to(group)?;
            columns.count.write_to(group)?;
            columns.tasks_only.write_to(group)
        })?)
    }
}

/// Kinds of rows, as indices of [`KINDS`].
#[derive(Clone, Copy)]
enum Kind {
    Task,
    Switch,
    Wakeup,
    Fork,
    Exit,
    Migrate,
    CanMigrate,
    Enqueue,
    Decided,
    Rescued,
    Lost,
}

const KINDS: [&str; 11] = [
    "task",
    "switch",
    "wakeup",
    "fork",
    "exit",
    "migrate",
    "can_migrate",
    "enqueue",
    "decided",
    "rescued",
    "lost",
];

const LEFTS: [&str; 5] = ["runnable", "sleeps", "blocks", "stopped", "exits"];

fn row_of(what: &What) -> (Kind, Row) {
    let none = Row::default();
    let of = |pid: u32| Row {
        pid: Some(pid),
        ..none
    };
    match *what {
        What::Task(info) => {
            let row = Row {
                prio: Some(info.prio),
                kernel: Some(info.kernel),
                ..of(info.pid)
            };
            (Kind::Task, row)
        }
        What::Switch { prev, left, next } => {
            let row = Row {
                prev_pid: Some(prev),
                // Nobody leaves an idle CPU for a reason.
                left: Some(left).filter(|_| prev != 0),
                ..of(next)
            };
            (Kind::Switch, row)
        }
        What::Wakeup {
            pid,
            waker,
            how,
            target,
        } => {
            let row = Row {
                by_pid: Some(waker),
                to_cpu: Some(target),
                new: Some(how == Woken::New),
                ..of(pid)
            };
            (Kind::Wakeup, row)
        }
        What::Fork { parent, child } => {
            let row = Row {
                by_pid: Some(parent),
                ..of(child)
            };
            (Kind::Fork, row)
        }
        What::Exit { pid } => (Kind::Exit, of(pid)),
        What::Migrate { pid, from, to } => {
            let row = Row {
                from_cpu: Some(from),
                to_cpu: Some(to),
                ..of(pid)
            };
            (Kind::Migrate, row)
        }
        What::CanMigrate {
            pid,
            from,
            to,
            allowed,
        } => {
            let row = Row {
                from_cpu: Some(from),
                to_cpu: Some(to),
                allowed: Some(allowed),
                ..of(pid)
            };
            (Kind::CanMigrate, row)
        }
        What::Relay(RelayEvent::Enqueue { pid }) => (Kind::Enqueue, of(pid)),
        What::Relay(RelayEvent::Decided {
            pid,
            cpu,
            slice_ns,
            waited_ns,
        }) => {
            let row = Row {
                to_cpu: cpu,
                slice_ns: Some(slice_ns),
                waited_ns: Some(waited_ns),
                ..of(pid)
            };
            (Kind::Decided, row)
        }
        What::Relay(RelayEvent::Rescued { pid }) => (Kind::Rescued, of(pid)),
        What::Lost { count, of } => {
            let row = Row {
                count: Some(count),
                tasks_only: Some(of == Losses::Tasks),
                ..none
            };
            (Kind::Lost, row)
        }
    }
}

impl Words {
    fn new() -> Self {
        Self {
            kinds: KINDS.map(text),
            lefts: LEFTS.map(text),
        }
    }

    fn left(&self, left: Left) -> ByteArray {
        let index = match left {
            Left::Runnable => 0,
            Left::Sleeps => 1,
            Left::Blocks => 2,
            Left::Stopped => 3,
            Left::Exits => 4,
        };
        self.lefts[index].clone()
    }
}

impl Columns {
    const fn new() -> Self {
        Self {
            time_ns: Longs::required(),
            cpu: Ints::required(),
            kind: Texts::required(),
            pid: Ints::optional(),
            tgid: Ints::optional(),
            name: Texts::optional(),
            prev_pid: Ints::optional(),
            prev_name: Texts::optional(),
            left: Texts::optional(),
            by_pid: Ints::optional(),
            by_name: Texts::optional(),
            from_cpu: Ints::optional(),
            to_cpu: Ints::optional(),
            new: Bools::optional(),
            allowed: Bools::optional(),
            slice_ns: Longs::optional(),
            waited_ns: Longs::optional(),
            prio: Ints::optional(),
            kernel: Bools::optional(),
            count: Longs::optional(),
            tasks_only: Bools::optional(),
        }
    }

    fn put(&mut self, row: &Row, tasks: &Tasks, words: &Words) {
        let name = |pid: Option<u32>| pid.and_then(|pid| tasks.name(pid));
        self.pid.put_option(row.pid.map(int));
        self.tgid
            .put_option(row.pid.and_then(|pid| tasks.tgid(pid)));
        self.name.put_option(name(row.pid));
        self.prev_pid.put_option(row.prev_pid.map(int));
        self.prev_name.put_option(name(row.prev_pid));
        self.left.put_option(row.left.map(|left| words.left(left)));
        self.by_pid.put_option(row.by_pid.map(int));
        self.by_name.put_option(name(row.by_pid));
        self.from_cpu.put_option(row.from_cpu.map(int));
        self.to_cpu.put_option(row.to_cpu.map(int));
        self.new.put_option(row.new);
        self.allowed.put_option(row.allowed);
        self.slice_ns.put_option(row.slice_ns.map(long));
        self.waited_ns.put_option(row.waited_ns.map(long));
        self.prio.put_option(row.prio.map(i32::from));
        self.kernel.put_option(row.kernel);
        self.count.put_option(row.count.map(long));
        self.tasks_only.put_option(row.tasks_only);
    }
}
