//! `report.html`: what an experiment found, as one page that needs nothing else. The tables and
//! their small drawings are made here; a script in the page draws the charts.

mod charts;
mod forest;
mod latency;
mod numbers;
mod page;
mod raw;
mod runs;
mod timeline;
mod verdicts;
mod words;

pub use timeline::{LONGEST_NS, MOST_CPUS, MOST_SLICES, Slice, Task, Timeline, Wakeup, Window};

use crate::{judge::Judgement, results::Results};

/// Why a report could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The template did not run.
    #[error("the report's page could not be made: {0}")]
    Page(#[from] askama::Error),
    /// The data did not become JSON.
    #[error("the report's data could not be written: {0}")]
    Data(#[from] serde_json::Error),
}

/// The report as a page of HTML. The same input gives the same bytes.
///
/// Timelines of variants that the results do not name are shown last.
///
/// # Errors
/// The page could not be made of them.
pub fn html(
    results: &Results,
    judgement: &Judgement,
    timelines: &[Timeline],
) -> Result<String, Error> {
    page::make(results, judgement, timelines)
}
