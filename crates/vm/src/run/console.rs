//! The kernel's console: kept for the case that something goes wrong.

use std::{
    io::Read,
    sync::{Arc, Mutex, PoisonError},
};

/// What is kept of it; a kernel in trouble can talk without end.
const KEEP_BYTES: usize = 64 * 1024;
/// What an error shows of it.
const TAIL_LINES: usize = 30;
/// How reports of a kernel's fatal trouble begin.
const TROUBLE: &[&str] = &[
    "BUG: ",
    "Oops: ",
    "general protection fault",
    "Kernel panic",
];

/// The last bytes of a console, filled by one thread and read by others.
#[derive(Clone, Default)]
pub(crate) struct Console(Arc<Mutex<Vec<u8>>>);

impl Console {
    /// Reads until the console closes.
    pub(crate) fn fill(&self, mut from: impl Read) {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            kept.extend_from_slice(&buffer[..count]);
            if kept.len() > 2 * KEEP_BYTES {
                let surplus = kept.len() - KEEP_BYTES;
                kept.drain(..surplus);
            }
        }
    }

    pub(crate) fn text(&self) -> String {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&kept).replace('\r', "")
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_empty()
    }

    /// The last lines, without terminal sequences.
    pub(crate) fn tail(&self) -> String {
        let lines = self.lines();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }

    /// If the kernel panicked: where its trouble began and what follows. The cause comes first in a
    /// panic's report, and its end is registers.
    pub(crate) fn panic(&self) -> Option<String> {
        let lines = self.lines();
        lines
            .iter()
            .find(|line| line.contains("Kernel panic - not syncing"))?;
        let first = lines
            .iter()
            .position(|line| TROUBLE.iter().any(|word| line.contains(word)))?;
        Some(lines[first..lines.len().min(first + TAIL_LINES)].join("\n"))
    }

    fn lines(&self) -> Vec<String> {
        let text: String = self
            .text()
            .chars()
            .filter(|&c| c == '\n' || c == '\t' || !c.is_control())
            .collect();
        text.lines()
            .filter(|line| !line.trim().is_empty())
            .map(Into::into)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_bounded_and_clean() {
        let console = Console::default();
        let text: String = (0..100_000)
            .map(|line| format!("\x1b[0mline {line}\r\n"))
            .collect();
        console.fill(text.as_bytes());
        assert!(console.text().len() <= 2 * KEEP_BYTES);
        let tail = console.tail();
        assert_eq!(tail.lines().count(), TAIL_LINES);
        assert!(tail.ends_with("line 99999"));
        assert!(console.panic().is_none() && !console.is_empty());
    }

    #[test]
    fn a_panic_is_shown_from_its_cause() {
        let console = Console::default();
        console.fill(
            b"fine\nBUG: kernel NULL pointer\nRAX: 0\nKernel panic - not syncing: x\n".as_slice(),
        );
        assert!(
            console
                .panic()
                .unwrap()
                .starts_with("BUG: kernel NULL pointer\nRAX")
        );
    }
}
