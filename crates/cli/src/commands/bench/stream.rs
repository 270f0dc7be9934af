//! The guest's lines as they come, with progress for a person who waits.

use std::{
    io::{IsTerminal as _, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::guest::{Line, Plan};

/// Takes bytes, keeps lines.
#[derive(Clone)]
pub(crate) struct Stream {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    rest: Vec<u8>,
    lines: Vec<Line>,
    /// Rounds that are over.
    rounds: u32,
    cells: usize,
    cells_max: usize,
    names: Vec<String>,
    watched: bool,
}

impl Stream {
    /// For the lines that this plan leads to.
    pub(crate) fn new(plan: &Plan) -> Self {
        let inner = Inner {
            rest: Vec::new(),
            lines: Vec::new(),
            rounds: 0,
            cells: 0,
            cells_max: plan.runs as usize * plan.variants().len() * plan.workloads.len(),
            names: plan
                .workloads
                .iter()
                .map(|named| named.name.clone())
                .collect(),
            watched: std::io::stderr().is_terminal(),
        };
        Self {
            inner: Arc::new(Mutex::new(inner)),
        }
    }

    /// How many rounds are over.
    pub(crate) fn rounds(&self) -> u32 {
        self.lock().rounds
    }

    /// Forgets what came of the round that is not over: it will be measured anew.
    pub(crate) fn forget_rest(&self) {
        let mut inner = self.lock();
        let rounds = inner.rounds;
        inner.rest.clear();
        inner.lines.retain(|line| line.round() < rounds);
        let is_cell = |line: &&Line| matches!(line, Line::Cell { .. });
        inner.cells = inner.lines.iter().filter(is_cell).count();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lines that came.
    pub(crate) fn finish(self) -> Vec<Line> {
        let mut inner = self.lock();
        if inner.watched {
            eprint!("\r\x1b[K");
        }
        std::mem::take(&mut inner.lines)
    }
}

impl Inner {
    fn line(&mut self, bytes: &[u8]) {
        let Ok(line) = serde_json::from_slice::<Line>(bytes) else {
            return;
        };
        match &line {
            Line::Cell {
                round,
                variant,
                workload,
                ..
            } => {
                self.cells += 1;
                if self.watched {
                    let name = self.names.get(*workload).map_or("", String::as_str);
                    eprint!(
                        "\r\x1b[K[{}/{}] round {}: {name} under {variant}",
                        self.cells,
                        self.cells_max,
                        round + 1
                    );
                }
            }
            Line::Failed {
                round,
                variant,
                problem,
            } => {
                if self.watched {
                    eprint!("\r\x1b[K");
                }
                eprintln!("round {}, {variant}: {problem}", round + 1);
            }
            Line::Round { round } => self.rounds = round + 1,
            Line::Policy { .. } => {}
        }
        self.lines.push(line);
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut inner = self.lock();
        inner.rest.extend_from_slice(bytes);
        while let Some(end) = inner.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = inner.rest.drain(..=end).collect();
            inner.line(&line);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
