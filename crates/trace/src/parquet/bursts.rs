//! The table of bursts.

use std::io::Write;

use super::{
    TableError,
    column::{AnyColumn, Bools, Ints, Longs, Texts, int, long, text},
    file::{File, GROUP_ROWS, Tasks},
};
use crate::{Begin, Burst, Bursts, End, Event, Header, What};

const SCHEMA: &str = "
message bursts {
    REQUIRED INT32 pid;
    OPTIONAL INT32 tgid;
    OPTIONAL BYTE_ARRAY name (UTF8);
    REQUIRED INT32 cpu;
    REQUIRED INT64 began_ns;
    REQUIRED INT64 ended_ns;
    REQUIRED INT64 ran_ns;
    REQUIRED INT64 first_ns;
    REQUIRED INT64 waited_ns;
    OPTIONAL INT64 latency_ns;
    REQUIRED INT32 pieces;
    OPTIONAL INT64 slept_ns;
    REQUIRED BYTE_ARRAY begin (UTF8);
    OPTIONAL INT32 by_pid;
    OPTIONAL BYTE_ARRAY by_name (UTF8);
    REQUIRED BYTE_ARRAY end (UTF8);
    REQUIRED BOOLEAN censored;
}";

struct Columns {
    pid: Ints,
    tgid: Ints,
    name: Texts,
    cpu: Ints,
    began_ns: Longs,
    ended_ns: Longs,
    ran_ns: Longs,
    first_ns: Longs,
    waited_ns: Longs,
    latency_ns: Longs,
    pieces: Ints,
    slept_ns: Longs,
    begin: Texts,
    by_pid: Ints,
    by_name: Texts,
    end: Texts,
    censored: Bools,
}

/// A table of bursts that is written from a recording's events, see `docs/recording-schema.md`.
pub struct BurstTable<W: Write + Send> {
    file: File<W>,
    columns: Columns,
    tasks: Tasks,
    joiner: Bursts,
    found: Vec<Burst>,
    rows: usize,
    bursts: u64,
    lost: u64,
}

impl<W: Write + Send> BurstTable<W> {
    /// Begins the table of a recording with this header.
    ///
    /// # Errors
    /// Those of the file.
    pub fn new(out: W, header: &Header) -> Result<Self, TableError> {
        Ok(Self {
            file: File::new(out, "bursts", SCHEMA, &["began_ns", "ended_ns"], header)?,
            columns: Columns::new(),
            tasks: Tasks::default(),
            joiner: Bursts::new(),
            found: Vec::new(),
            rows: 0,
            bursts: 0,
            lost: 0,
        })
    }

    /// Takes an event in. Events come in the order of time.
    ///
    /// # Errors
    /// Those of the file.
    pub fn event(&mut self, event: &Event) -> Result<(), TableError> {
        self.joiner.event(event, &mut self.found);
        self.put_found()?;
        if let What::Lost { count, .. } = event.what {
            self.lost = self.lost.saturating_add(count);
        }
        // After that: what ended with a number's next task was the last one's.
        if let What::Task(info) = &event.what {
            self.tasks.learn(info);
        }
        Ok(())
    }

    /// Ends the recording and the table.
    ///
    /// # Errors
    /// Those of the file.
    pub fn finish(mut self) -> Result<W, TableError> {
        std::mem::take(&mut self.joiner).finish(&mut self.found);
        self.put_found()?;
        if self.rows > 0 {
            self.flush()?;
        }
        let last = [("bursts", self.bursts), ("lost", self.lost)];
        Ok(self.file.finish(&last)?)
    }

    fn put_found(&mut self) -> Result<(), TableError> {
        for burst in std::mem::take(&mut self.found) {
            self.columns.put(&burst, &self.tasks);
            self.bursts += 1;
            self.rows += 1;
            if self.rows == GROUP_ROWS {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), TableError> {
        self.rows = 0;
        let columns = &mut self.columns;
        Ok(self.file.group(|group| {
            columns.pid.write_to(group)?;
            columns.tgid.write_to(group)?;
            columns.name.write_to(group)?;
            columns.cpu.write_to(group)?;
            columns.began_ns.write_to(group)?;
            columns.ended_ns.write_to(group)?;
            columns.ran_ns.write_to(group)?;
            columns.first_ns.write_to(group)?;
            columns.waited_ns.write_to(group)?;
            columns.latency_ns.write_to(group)?;
            columns.pieces.write_to(group)?;
            columns.slept_ns.write_to(group)?;
            columns.begin.write_to(group)?;
            columns.by_pid.write_to(group)?;
            columns.by_name.write_to(group)?;
            columns.end.write_to(group)?;
            columns.censored.write_to(group)
        })?)
    }
}

impl Columns {
    const fn new() -> Self {
        Self {
            pid: Ints::required(),
            tgid: Ints::optional(),
            name: Texts::optional(),
            cpu: Ints::required(),
            began_ns: Longs::required(),
            ended_ns: Longs::required(),
            ran_ns: Longs::required(),
            first_ns: Longs::required(),
            waited_ns: Longs::required(),
            latency_ns: Longs::optional(),
            pieces: Ints::required(),
            slept_ns: Longs::optional(),
            begin: Texts::required(),
            by_pid: Ints::optional(),
            by_name: Texts::optional(),
            end: Texts::required(),
            censored: Bools::required(),
        }
    }

    fn put(&mut self, burst: &Burst, tasks: &Tasks) {
        let (begin, by) = match burst.begin {
            Begin::Woken(by) => ("woken", Some(by)),
            Begin::Forked(by) => ("forked", Some(by)),
            Begin::Unseen => ("unseen", None),
        };
        let end = match burst.end {
            End::Sleeps => "sleeps",
            End::Blocks => "blocks",
            End::Stopped => "stopped",
            End::Exits => "exits",
            End::Cut => "cut",
        };
        self.pid.put(int(burst.pid));
        self.tgid.put_option(tasks.tgid(burst.pid));
        self.name.put_option(tasks.name(burst.pid));
        self.cpu.put(int(burst.cpu));
        self.began_ns.put(long(burst.began_ns));
        self.ended_ns.put(long(burst.ended_ns));
        self.ran_ns.put(long(burst.ran_ns));
        self.first_ns.put(long(burst.first_ns));
        self.waited_ns.put(long(burst.waited_ns));
        self.latency_ns.put_option(burst.latency_ns.map(long));
        self.pieces.put(int(burst.pieces));
        self.slept_ns.put_option(burst.slept_ns.map(long));
        self.begin.put(text(begin));
        self.by_pid.put_option(by.map(int));
        self.by_name.put_option(by.and_then(|by| tasks.name(by)));
        self.end.put(text(end));
        self.censored.put(!burst.is_whole());
    }
}
