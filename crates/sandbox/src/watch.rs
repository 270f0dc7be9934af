//! What all processes of the namespace use, from its `/proc`.
//!
//! Only numbers of the kernel's own are read. A process chooses its name, which stands among them,
//! so what follows the last parenthesis is taken.

use nix::unistd::{SysconfVar, sysconf};
use std::fs;
use std::time::Duration;

/// What processes use at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Use {
    /// Processes and threads.
    pub(crate) tasks: u64,
    /// Resident memory.
    pub(crate) memory_bytes: u64,
    /// Processor time, in the kernel's ticks, with that of their children that are gone.
    pub(crate) cpu_ticks: u64,
}

impl Use {
    /// Sums over all processes but the supervisor, which is process 1.
    pub(crate) fn now(page_bytes: u64) -> Self {
        let mut sum = Self::default();
        let Ok(entries) = fs::read_dir("/proc") else {
            return sum;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let number = name.to_str().and_then(|name| name.parse::<u32>().ok());
            if number.is_none_or(|number| number == 1) {
                continue;
            }
            let path = entry.path();
            // A process that is gone by now uses nothing.
            let stat = fs::read(path.join("stat")).unwrap_or_default();
            let (tasks, cpu_ticks) = of_stat(&stat).unwrap_or_default();
            let statm = fs::read_to_string(path.join("statm")).unwrap_or_default();
            let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
            sum.tasks += tasks;
            sum.cpu_ticks += cpu_ticks;
            sum.memory_bytes += pages.unwrap_or(0u64).saturating_mul(page_bytes);
        }
        sum
    }
}

/// Threads, and processor time with that of children, from `/proc/PID/stat` (proc(5)).
fn of_stat(stat: &[u8]) -> Option<(u64, u64)> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let text = std::str::from_utf8(&stat[end + 1..]).ok()?;
    let fields: Vec<&str> = text.split_whitespace().collect();
    // The first one here is the third of the line.
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let cpu = field(14)? + field(15)? + field(16)? + field(17)?;
    // A process that has ended and was not waited for holds its number, and no thread.
    Some((field(20)?.max(1), cpu))
}

/// Bytes of a page.
pub(crate) fn page_bytes() -> u64 {
    number(SysconfVar::PAGE_SIZE, 4096)
}

/// A number of the kernel's ticks, as time.
pub(crate) fn ticks(count: u64) -> Duration {
    let per_s = number(SysconfVar::CLK_TCK, 100);
    Duration::from_millis(count.saturating_mul(1000) / per_s)
}

fn number(variable: SysconfVar, otherwise: u64) -> u64 {
    let value = sysconf(variable).ok().flatten();
    let value = value.and_then(|value| u64::try_from(value).ok());
    value.filter(|value| *value > 0).unwrap_or(otherwise)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_pass_for_numbers() {
        let stat = b"7 (a) R 1 9) S 1 2 3 4 5 6 7 8 9 10 100 20 3 4 20 0 5 0 77 1000 50\n";
        assert_eq!(of_stat(stat), Some((5, 127)));
        assert_eq!(of_stat(b"7 (a"), None);
        assert_eq!(of_stat(b"7 (a) S 1"), None);
    }

    #[test]
    fn this_machine_has_processes() {
        let sum = Use::now(page_bytes());
        assert!(sum.tasks > 0 && sum.memory_bytes > 0, "{sum:?}");
    }
}
