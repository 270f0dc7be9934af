//! The bench's table.

use std::fmt::Write as _;

use super::{
    BASELINE,
    guest::Plan,
    summary::{Cell, Summary},
};
use crate::table::{ALSO_SHOWN, Align, number, table};

/// Whether tables show a cell: what stands for its part, and some others.
pub(super) fn is_shown(cell: &Cell) -> bool {
    cell.primary || ALSO_SHOWN.contains(&cell.metric.as_str())
}

/// The medians with their ratios, then the relay's counters.
pub(crate) fn text(plan: &Plan, summary: &Summary) -> String {
    let mut text = format!(
        "Linux {} on {} (VM), {} rounds, seed {}, {:.0} s in all\n\n",
        summary.kernel, summary.machine, summary.runs, summary.seed, summary.wall_s
    );
    if summary.boots > 1 {
        let _ = write!(text, "in {} VMs: a guest's kernel died\n\n", summary.boots);
    }
    let align = |column| {
        if column < 2 {
            Align::Left
        } else {
            Align::Right
        }
    };
    text.push_str(&table(&medians(plan, summary), align));
    text.push_str("\nmedians; in brackets the ratio to the kernel's own EEVDF, above 1 is worse\n");
    if !summary.counters.is_empty() {
        let align = |column| {
            if column == 0 {
                Align::Left
            } else {
                Align::Right
            }
        };
        let _ = write!(text, "\n{}", table(&counters(plan, summary), align));
        text.push_str("\nthe relay's counters, summed over the rounds\n");
    }
    for failure in &summary.failures {
        let _ = writeln!(text, "not measured: {failure}");
    }
    text
}

fn medians(plan: &Plan, summary: &Summary) -> Vec<Vec<String>> {
    let variants = plan.variants();
    let mut head = vec!["workload".to_owned(), "metric".to_owned()];
    head.extend(variants.iter().map(|variant| (*variant).to_owned()));
    let mut rows = vec![head];
    let (mut workload, mut part) = ("", "");
    // The cells of one metric follow each other, one for each variant.
    for cells in summary.cells.chunks(variants.len()) {
        let Some(first) = cells.first() else { continue };
        if !is_shown(first) {
            continue;
        }
        let name = if first.workload == workload {
            ""
        } else {
            first.workload.as_str()
        };
        if !name.is_empty() {
            part = &first.part;
        }
        // Of a part behind the one that is measured.
        let metric = match first.part == part {
            true => first.metric.clone(),
            false => format!("{} {}", first.part, first.metric),
        };
        let mut row = vec![name.to_owned(), metric];
        row.extend(cells.iter().map(median));
        rows.push(row);
        workload = &first.workload;
    }
    rows
}

fn median(cell: &Cell) -> String {
    let Some(value) = cell.median else {
        return "-".to_owned();
    };
    match cell.ratio {
        _ if cell.variant == BASELINE => number(value),
        Some(ratio) => format!("{} ({ratio:.2}x)", number(value)),
        None => format!("{} (--)", number(value)),
    }
}

fn counters(plan: &Plan, summary: &Summary) -> Vec<Vec<String>> {
    let mut head = vec!["counter".to_owned()];
    head.extend(plan.policies.iter().cloned());
    let mut rows = vec![head];
    let mut names: Vec<&String> = summary
        .counters
        .values()
        .flat_map(|sums| sums.keys())
        .collect();
    names.sort();
    names.dedup();
    for name in names {
        let value = |policy: &String| summary.counters.get(policy)?.get(name).copied();
        let values: Vec<Option<u64>> = plan.policies.iter().map(value).collect();
        if values.iter().flatten().any(|value| *value > 0) {
            let cells = values
                .iter()
                .map(|value| value.map_or("-".into(), |v| v.to_string()));
            rows.push(std::iter::once(name.clone()).chain(cells).collect());
        }
    }
    let mut waits = vec!["longest wait, ms".to_owned()];
    waits.extend(plan.policies.iter().map(|policy| {
        summary
            .wait_max_ms
            .get(policy)
            .map_or("-".into(), |wait_ms| format!("{wait_ms:.1}"))
    }));
    rows.push(waits);
    rows
}
