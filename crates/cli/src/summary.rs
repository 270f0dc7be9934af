//! What a recording holds, for people.

use std::path::Path;

use baton_trace::Summary;

use crate::table::{Align, table};

/// How many names are shown.
const TASKS: usize = 10;

/// Tells what a recording holds.
pub(crate) fn print(path: &Path, summary: &Summary) {
    let seconds = summary.duration_ns as f64 / 1e9;
    let per_event = summary.bytes as f64 / summary.events.max(1) as f64;
    outln!(
        "{}: {} events in {seconds:.1} s on {} CPUs, {} ({per_event:.1} bytes an event)",
        path.display(),
        summary.events,
        summary.cpus,
        size(summary.bytes),
    );
    let kinds = summary.kinds.list();
    let kinds = kinds.iter().filter(|(_, count)| *count > 0);
    let rows: Vec<_> = kinds
        .map(|(name, count)| vec![format!("  {name}"), count.to_string()])
        .collect();
    out!("{}", table(&rows, align));
    if summary.lost > 0 {
        outln!(
            "{} events found no room and are missing: record with a larger --buffer",
            summary.lost
        );
    }
    for absent in &summary.absent {
        outln!("no {}: {}", absent.kind, absent.why);
    }
    outln!();
    let ms = |ns: u64| format!("{:.1}", ns as f64 / 1e6);
    let head = [
        "task",
        "tasks",
        "CPU ms",
        "runs",
        "wakeups",
        "wait ms",
        "max wait ms",
    ];
    let mut rows = vec![head.map(String::from).to_vec()];
    rows.extend(summary.tasks.iter().take(TASKS).map(|tasks| {
        vec![
            tasks.name.clone(),
            tasks.tasks.to_string(),
            ms(tasks.runtime_ns),
            tasks.runs.to_string(),
            tasks.wakeups.to_string(),
            ms(tasks.wait_ns),
            ms(tasks.wait_max_ns),
        ]
    }));
    out!("{}", table(&rows, align));
}

fn align(column: usize) -> Align {
    if column == 0 {
        Align::Left
    } else {
        Align::Right
    }
}

/// A number of bytes, for people.
pub(crate) fn size(bytes: u64) -> String {
    let bytes = bytes as f64;
    match bytes {
        ..1e3 => format!("{bytes} B"),
        ..1e6 => format!("{:.1} kB", bytes / 1e3),
        ..1e9 => format!("{:.1} MB", bytes / 1e6),
        _ => format!("{:.2} GB", bytes / 1e9),
    }
}
