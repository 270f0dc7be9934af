//! What fields tracepoints have: perf copies the kernel's descriptions into its file.
//!
//! The section is the one that trace-cmd's files have, see trace-cmd.dat(5), format 6: a prefix,
//! two descriptions of pages, the events of ftrace, then those of each system.

use super::ImportFault;
use crate::Left;

/// First bytes of the section.
const MAGIC: &[u8] = b"\x17\x08\x44tracing";

/// The tracepoints that are read.
#[derive(Clone, Debug, Default)]
pub(super) struct Tracepoints {
    pub(super) switch: Option<Switch>,
    pub(super) waking: Option<Wakeup>,
    pub(super) wakeup: Option<Wakeup>,
    pub(super) wakeup_new: Option<Wakeup>,
    pub(super) fork: Option<Fork>,
    pub(super) exit: Option<Exit>,
    pub(super) migrate: Option<Migrate>,
    /// Names of all, by their numbers.
    pub(super) names: Vec<(u16, String)>,
}

/// `sched_switch`.
#[derive(Clone, Debug)]
pub(super) struct Switch {
    pub(super) id: u16,
    pub(super) prev_pid: Field,
    pub(super) prev_comm: Field,
    pub(super) prev_prio: Field,
    pub(super) next_pid: Field,
    pub(super) next_comm: Field,
    pub(super) next_prio: Field,
    prev_state: Field,
    /// Bits of the state and the letters that they stand for.
    letters: Vec<(u64, char)>,
}

/// `sched_waking`, `sched_wakeup` or `sched_wakeup_new`.
#[derive(Clone, Debug)]
pub(super) struct Wakeup {
    pub(super) id: u16,
    pub(super) pid: Field,
    pub(super) comm: Field,
    pub(super) prio: Field,
    pub(super) target: Field,
    pub(super) flags: Field,
    pub(super) current: Field,
}

/// `sched_process_fork`.
#[derive(Clone, Debug)]
pub(super) struct Fork {
    pub(super) id: u16,
    pub(super) parent: Field,
    pub(super) child: Field,
}

/// `sched_process_exit`.
#[derive(Clone, Debug)]
pub(super) struct Exit {
    pub(super) id: u16,
    pub(super) pid: Field,
}

/// `sched_migrate_task`.
#[derive(Clone, Debug)]
pub(super) struct Migrate {
    pub(super) id: u16,
    pub(super) pid: Field,
    pub(super) from: Field,
    pub(super) to: Field,
}

/// Where a field lies in a tracepoint's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    offset: usize,
    size: usize,
    signed: bool,
}

impl Field {
    /// A number of 1 to 8 bytes; none if the bytes end before it.
    pub(super) fn number(self, raw: &[u8]) -> Option<i64> {
        let bytes = self.bytes(raw)?;
        let mut word = [0; 8];
        word.get_mut(..self.size)?.copy_from_slice(bytes);
        if self.signed && bytes.last().is_some_and(|high| *high >= 0x80) {
            word[self.size..].fill(0xff);
        }
        Some(i64::from_le_bytes(word))
    }

    /// A number that is no less than 0, such as a pid.
    pub(super) fn natural(self, raw: &[u8]) -> Option<u32> {
        u32::try_from(self.number(raw)?).ok()
    }

    /// A task's name.
    pub(super) fn name(self, raw: &[u8]) -> Option<[u8; 16]> {
        let bytes = self.bytes(raw)?;
        let length = bytes.iter().position(|byte| *byte == 0);
        let length = length.unwrap_or(bytes.len()).min(15);
        let mut name = [0; 16];
        name[..length].copy_from_slice(&bytes[..length]);
        Some(name)
    }

    fn bytes(self, raw: &[u8]) -> Option<&[u8]> {
        raw.get(self.offset..)?.get(..self.size)
    }
}

impl Switch {
    /// Why the task leaves.
    pub(super) fn left(&self, raw: &[u8]) -> Option<Left> {
        let state = self.prev_state.number(raw)? as u64;
        let mut letters = self.letters.iter();
        let found = letters.find(|(bit, _)| state & bit != 0);
        Some(match found.map(|(_, letter)| letter) {
            None | Some('R') => Left::Runnable,
            // A thread of the kernel with nothing to do (I) sleeps, too.
            Some('S' | 'I') => Left::Sleeps,
            Some('T' | 't' | 'P') => Left::Stopped,
            Some('X' | 'Z' | 'x') => Left::Exits,
            Some(_) => Left::Blocks,
        })
    }
}

/// A description of one tracepoint.
struct Description<'a> {
    id: u16,
    fields: Vec<(&'a str, Field)>,
    print: &'a str,
}

impl<'a> Description<'a> {
    fn parse(text: &'a str) -> Option<(&'a str, Self)> {
        let after = |line: &'a str, key: &str| line.trim().strip_prefix(key);
        let name = text.lines().find_map(|line| after(line, "name:"))?.trim();
        let id = text.lines().find_map(|line| after(line, "ID:"))?.trim();
        let print = text.lines().find_map(|line| after(line, "print fmt:"));
        let fields = text.lines().filter_map(|line| {
            let line = after(line, "field:")?;
            let mut parts = line.split(';').map(str::trim);
            let declared = parts.next()?;
            let mut number = |key: &str| parts.next()?.strip_prefix(key)?.parse::<usize>().ok();
            let field = Field {
                offset: number("offset:")?,
                size: number("size:")?,
                signed: number("signed:")? == 1,
            };
            let name = declared.rsplit([' ', '\t', '*']).next()?;
            Some((name.split('[').next()?, field))
        });
        let description = Self {
            id: id.parse().ok()?,
            fields: fields.collect(),
            print: print.unwrap_or(""),
        };
        Some((name, description))
    }

    /// A field that must be there: a number of up to 8 bytes.
    fn number(&self, tracepoint: &'static str, field: &'static str) -> Result<Field, ImportFault> {
        let found = self.any(tracepoint, field)?;
        if matches!(found.size, 1 | 2 | 4 | 8) {
            return Ok(found);
        }
        Err(ImportFault::Field { tracepoint, field })
    }

    fn any(&self, tracepoint: &'static str, field: &'static str) -> Result<Field, ImportFault> {
        let mut fields = self.fields.iter();
        let found = fields.find(|(name, _)| *name == field);
        let found = found.map(|(_, found)| *found);
        found.ok_or(ImportFault::Field { tracepoint, field })
    }

    /// Pairs such as `{ 0x00000001, "S" }` in the text that prints the tracepoint.
    fn letters(&self) -> Vec<(u64, char)> {
        let mut letters = Vec::new();
        for part in self.print.split('{').skip(1) {
            let Some((number, rest)) = part.split_once(',') else {
                continue;
            };
            let number = number.trim();
            let value = match number.strip_prefix("0x") {
                Some(digits) => u64::from_str_radix(digits, 16),
                None => number.parse(),
            };
            let letter = rest
                .trim()
                .strip_prefix('"')
                .and_then(|rest| rest.chars().next());
            if let (Ok(value), Some(letter)) = (value, letter) {
                letters.push((value, letter));
            }
        }
        letters
    }
}

/// The rest of the section.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, length: u64) -> Option<&'a [u8]> {
        let length = usize::try_from(length).ok()?;
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let length = self.0.iter().position(|byte| *byte == 0)?;
        let text = self.take(length as u64)?;
        self.take(1)?;
        Some(text)
    }

    fn half(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    /// So many bytes as are said before them.
    fn sized(&mut self) -> Option<&'a [u8]> {
        let length = u64::from_le_bytes(self.take(8)?.try_into().ok()?);
        self.take(length)
    }
}

impl Tracepoints {
    pub(super) fn parse(section: &[u8]) -> Result<Self, ImportFault> {
        let mut found = Self::default();
        let mut fault = None;
        let mut each = |text: &[u8]| {
            if let Some((name, description)) =
                std::str::from_utf8(text).ok().and_then(Description::parse)
                && let Err(error) = found.learn(name, &description)
            {
                fault.get_or_insert(error);
            }
        };
        // What follows the events, names of functions and the like, is of no use here.
        walk(section, &mut each)
            .ok_or(ImportFault::Missing("readable descriptions of tracepoints"))?;
        match fault {
            Some(fault) => Err(fault),
            None if found.switch.is_none() => Err(ImportFault::Missing("switches")),
            None => Ok(found),
        }
    }

    fn learn(&mut self, name: &str, described: &Description<'_>) -> Result<(), ImportFault> {
        let id = described.id;
        self.names.push((id, name.to_owned()));
        match name {
            "sched_switch" => self.switch = Some(switch(described)?),
            "sched_waking" => self.waking = Some(wakeup("sched_waking", described)?),
            "sched_wakeup" => self.wakeup = Some(wakeup("sched_wakeup", described)?),
            "sched_wakeup_new" => self.wakeup_new = Some(wakeup("sched_wakeup_new", described)?),
            "sched_process_fork" => {
                let field = |name| described.number("sched_process_fork", name);
                self.fork = Some(Fork {
                    id,
                    parent: field("parent_pid")?,
                    child: field("child_pid")?,
                });
            }
            "sched_process_exit" => {
                let pid = described.number("sched_process_exit", "pid")?;
                self.exit = Some(Exit { id, pid });
            }
            "sched_migrate_task" => {
                let field = |name| described.number("sched_migrate_task", name);
                self.migrate = Some(Migrate {
                    id,
                    pid: field("pid")?,
                    from: field("orig_cpu")?,
                    to: field("dest_cpu")?,
                });
            }
            _ => {}
        }
        Ok(())
    }
}

fn switch(described: &Description<'_>) -> Result<Switch, ImportFault> {
    let field = |name| described.number("sched_switch", name);
    let text = |name| described.any("sched_switch", name);
    let mut letters = described.letters();
    if letters.is_empty() {
        // As kernels from 4.14 on have them.
        letters = "SDTtXZPI"
            .chars()
            .enumerate()
            .map(|(bit, letter)| (1 << bit, letter))
            .collect();
    }
    Ok(Switch {
        id: described.id,
        prev_pid: field("prev_pid")?,
        prev_comm: text("prev_comm")?,
        prev_prio: field("prev_prio")?,
        prev_state: field("prev_state")?,
        next_pid: field("next_pid")?,
        next_comm: text("next_comm")?,
        next_prio: field("next_prio")?,
        letters,
    })
}

fn wakeup(name: &'static str, described: &Description<'_>) -> Result<Wakeup, ImportFault> {
    let field = |field| described.number(name, field);
    Ok(Wakeup {
        id: described.id,
        pid: field("pid")?,
        comm: described.any(name, "comm")?,
        prio: field("prio")?,
        target: field("target_cpu")?,
        flags: field("common_flags")?,
        current: field("common_pid")?,
    })
}

/// Gives each description of a tracepoint to `each`.
fn walk(section: &[u8], each: &mut impl FnMut(&[u8])) -> Option<()> {
    let mut rest = Rest(section.strip_prefix(MAGIC)?);
    rest.text()?;
    // Byte order, size of a long, size of a page.
    rest.take(6)?;
    for _ in 0..2 {
        rest.text()?;
        rest.sized()?;
    }
    for _ in 0..rest.half()? {
        rest.sized()?;
    }
    for _ in 0..rest.half()? {
        rest.text()?;
        for _ in 0..rest.half()? {
            each(rest.sized()?);
        }
    }
    Some(())
}
