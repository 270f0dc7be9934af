//! What an experiment found, as a table for people and as a document for programs.

use std::path::{Path, PathBuf};

use baton_lab::{
    engine::Ended,
    judge::{Cell, Judgement, Scale, Verdict},
    results::{Metric, Results, Status},
    stats,
    table::{self as judged, printable},
};
use serde::Serialize;

use crate::table::{ALSO_SHOWN, Align, number, table};

/// What was written.
pub(super) struct Files {
    pub(super) directory: PathBuf,
    pub(super) results: PathBuf,
    pub(super) report: PathBuf,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
pub(super) struct Document<'a> {
    directory: &'a Path,
    results: &'a Path,
    report: &'a Path,
    /// `done`, `stopped` or `limit`.
    ended: &'static str,
    made: usize,
    planned: usize,
    problems: Vec<String>,
    notes: &'a [String],
    judgement: &'a Judgement,
}

pub(super) fn document<'a>(
    results: &'a Results,
    judgement: &'a Judgement,
    ended: &Ended,
    files: &'a Files,
) -> Document<'a> {
    let rounds = results.runs_planned as usize;
    Document {
        directory: &files.directory,
        results: &files.results,
        report: &files.report,
        ended: match ended {
            Ended::Stopped => "stopped",
            Ended::Limit => "limit",
            _ => "done",
        },
        made: results.runs.len(),
        planned: rounds * results.variants.len() * results.workloads.len(),
        problems: problems(results),
        notes: &results.notes,
        judgement,
    }
}

/// The medians of what stands for each workload with their ratios; then, where there are verdicts, all
/// cells with theirs.
pub(super) fn text(results: &Results, judgement: &Judgement) -> String {
    let environment = &results.environment;
    let place = match environment.backend.as_str() {
        "sim" => format!("{}, simulated", environment.machine),
        "vm" => format!(
            "Linux {} on {} (VM)",
            environment.kernel, environment.machine
        ),
        _ => format!("Linux {} on this machine", environment.kernel),
    };
    let mut text = format!(
        "{}, {} rounds, seed {}, {:.0} s in all\n\n",
        printable(&place),
        results.runs_planned,
        results.seed,
        results.wall_s
    );
    let align = |column| {
        if column < 2 {
            Align::Left
        } else {
            Align::Right
        }
    };
    let mut rows = rows(results, judgement);
    for word in rows.iter_mut().flatten() {
        *word = printable(word);
    }
    text.push_str(&table(&rows, align));
    text.push_str(&format!(
        "\nmedians; in brackets the ratio to {baseline}, round by round, above 1 is worse\n",
        baseline = printable(&judgement.baseline),
    ));
    let untold = [Verdict::TooFew, Verdict::Failed];
    if judgement
        .cells
        .iter()
        .any(|cell| !untold.contains(&cell.verdict))
    {
        text.push_str(&format!("\n{}", judged::judgement(judgement)));
    } else {
        text.push_str(&no_verdicts(results, judgement));
    }
    for problem in problems(results) {
        text.push_str(&format!("not measured: {}\n", printable(&problem)));
    }
    for note in &results.notes {
        text.push_str(&format!("note: {}\n", printable(note)));
    }
    text
}

/// Why there are none: too few rounds were asked for, or what the cells and the judgement say.
fn no_verdicts(results: &Results, judgement: &Judgement) -> String {
    let (rounds, least) = (results.runs_planned, judgement.rules.runs_min);
    if (rounds as usize) < least {
        return format!("no verdicts: {rounds} rounds are too few, give --runs {least} or more\n");
    }
    let mut text = format!("no verdicts:\n{}", judged::reasons(&judgement.cells));
    for note in &judgement.notes {
        text.push_str(&format!("note: {}\n", printable(note)));
    }
    text
}

fn rows(results: &Results, judgement: &Judgement) -> Vec<Vec<String>> {
    let mut head = vec!["workload".to_owned(), "metric".to_owned()];
    head.extend(results.variants.iter().map(|variant| variant.name.clone()));
    let mut rows = vec![head];
    let mut workload = "";
    let mut first_part = "";
    for metric in results
        .metrics_in_order()
        .into_iter()
        .filter(|metric| is_shown(metric))
    {
        let (part, name) = metric.name.split_once('.').unwrap_or(("", &metric.name));
        let is_new = metric.workload != workload;
        if is_new {
            (workload, first_part) = (&metric.workload, part);
        }
        // Of a part behind the one that is measured.
        let name = match part == first_part {
            true => name.to_owned(),
            false => format!("{part} {name}"),
        };
        let first = if is_new {
            workload.to_owned()
        } else {
            String::new()
        };
        let mut row = vec![first, name];
        row.extend(cells(results, judgement, metric));
        rows.push(row);
    }
    rows
}

/// Whether the table shows a metric: what stands for its workload, all of a command, and some others.
fn is_shown(metric: &Metric) -> bool {
    let name = metric.name.split_once('.');
    metric.primary || name.is_none_or(|(_, name)| ALSO_SHOWN.contains(&name))
}

/// What the table has of a metric, variant by variant.
fn cells(results: &Results, judgement: &Judgement, metric: &Metric) -> Vec<String> {
    let of_metric =
        |cell: &&Cell| (&cell.workload, &cell.metric) == (&metric.workload, &metric.name);
    let judged: Vec<&Cell> = judgement.cells.iter().filter(of_metric).collect();
    let shown = |value: Option<f64>| value.map_or("-".to_owned(), number);
    let variants = results.variants.iter().map(|variant| {
        if variant.name == judgement.baseline {
            let values = results.runs.iter().filter(|run| {
                let is_of = run.variant == variant.name && run.workload == metric.workload;
                is_of && run.status == Status::Ok
            });
            let values: Vec<f64> = values
                .filter_map(|run| run.values.get(&metric.name).copied())
                .collect();
            return shown(stats::median(&values));
        }
        let Some(cell) = judged.iter().find(|cell| cell.variant == variant.name) else {
            return "-".to_owned();
        };
        match (cell.sample.median, &cell.effect) {
            (None, _) => "-".to_owned(),
            (median, Some(effect)) if effect.scale == Scale::Ratio => {
                format!("{} ({:.2}x)", shown(median), effect.median)
            }
            (median, _) => format!("{} (--)", shown(median)),
        }
    });
    variants.collect()
}

/// Runs that did not come to their end, those alike in one line.
fn problems(results: &Results) -> Vec<String> {
    let mut problems: Vec<(String, usize)> = Vec::new();
    for run in results.runs.iter().filter(|run| run.status != Status::Ok) {
        let status = run.status.text();
        let problem = run.problem.as_deref().unwrap_or("no reason is known");
        let text = format!(
            "{} under {}: {status}: {problem}",
            run.workload, run.variant
        );
        match problems.iter_mut().find(|(other, _)| *other == text) {
            Some((_, times)) => *times += 1,
            None => problems.push((text, 1)),
        }
    }
    let texts = problems.into_iter().map(|(text, times)| match times {
        1 => text,
        times => format!("{text} ({times} times)"),
    });
    texts.collect()
}

#[cfg(test)]
mod tests {
    use baton_lab::judge::{Rules, judge};
    use serde_json::{Value, json};

    use super::*;

    /// So many rounds of two variants, in which the second one always fails.
    fn failing(rounds: u32) -> Results {
        let run = |variant: &str, round: u32| {
            let status = if variant == "edf" { "ejected" } else { "ok" };
            json!({
                "round": round, "boot": 0, "variant": variant, "workload": "pipe", "seed": 1,
                "status": status, "problem": (status != "ok").then_some("it said: \u{1b}[2Jgone"),
                "values": {"pipe.time_s": 1.0}, "latencies": {}, "cpu_s": 1.0, "wall_s": 1.0, "counters": {},
            })
        };
        let runs = (0..rounds).flat_map(|round| [run("kernel", round), run("edf", round)]);
        let variant = |name: &str| json!({"name": name, "what": "", "same_as": null});
        let document = json!({
            "schema": 1, "experiment": "made", "description": "", "source": "", "seed": 1,
            "runs_planned": rounds,
            "environment": {
                "backend": "vm", "kernel": "7.0", "machine": "2-cpu\u{7}", "cpus": 2, "processor": "",
                "accelerator": null, "versions": {}, "git": null,
            },
            "variants": [variant("kernel"), variant("edf")],
            "workloads": [{"name": "pipe", "what": "pipe"}],
            "metrics": [{
                "workload": "pipe", "name": "pipe.time_s", "unit": "s", "better": "lower", "primary": true,
            }],
            "runs": runs.collect::<Vec<Value>>(), "notes": ["a\u{9b}b"],
            "started": "2026-11-26T10:00:00Z", "wall_s": 24.0,
        });
        Results::parse(document.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn why_there_are_no_verdicts() {
        let text = |rounds| {
            let results = failing(rounds);
            text(&results, &judge(&results, &Rules::default()))
        };
        let few = text(3);
        assert!(
            few.contains("3 rounds are too few, give --runs 10"),
            "{few}"
        );
        let failed = text(12);
        assert!(!failed.contains("rounds are too few"), "{failed}");
        let words =
            "edf, pipe (pipe.time_s): 0 runs can be compared, and 10 are needed; edf: 12 ejected";
        assert!(failed.contains(words), "{failed}");
        assert!(failed.contains("note: There is no A/A check"), "{failed}");
    }

    #[test]
    fn nothing_commands_the_terminal() {
        let results = failing(12);
        let text = text(&results, &judge(&results, &Rules::default()));
        let odd = text.chars().find(|c| c.is_control() && *c != '\n');
        assert_eq!(odd, None, "{text:?}");
        assert!(text.contains("it said: ?[2Jgone (12 times)"), "{text}");
    }
}
