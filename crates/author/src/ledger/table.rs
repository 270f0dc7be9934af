//! The ledger for people.

use std::{fmt::Write as _, fs, path::Path};

use super::{Entry, View, candidate_directory, files::shown};

/// Longest reason in the table, characters.
const REASON_MAX: usize = 60;
/// Longest name there.
const NAME_MAX: usize = 24;

const HEAD: [&str; 8] = [
    "id", "parent", "name", "state", "stage", "reason", "tokens", "took",
];
/// Columns of numbers, which stand at the right.
const RIGHT: [bool; 8] = [true, true, false, false, false, false, true, true];

/// All candidates, one a line, and what was spent.
#[must_use]
pub fn list(view: &View) -> String {
    if view.candidates.is_empty() {
        return "no candidates yet\n".into();
    }
    let mut rows = vec![HEAD.map(str::to_owned)];
    rows.extend(view.candidates.values().map(|entry| row(view, entry)));
    let width = |column: usize| {
        let widths = rows.iter().map(|row| row[column].chars().count());
        widths.max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = widths[column];
            let _ = match RIGHT[column] {
                true => write!(line, "{cell:>width$}  "),
                false => write!(line, "{cell:<width$}  "),
            };
        }
        text += line.trim_end();
        text.push('\n');
    }
    text.push('\n');
    text += &totals(view);
    text
}

fn row(view: &View, entry: &Entry) -> [String; 8] {
    let questions = view.questions(entry.candidate.id);
    let took_ms = questions.took_ms.saturating_add(entry.stages_ms());
    let refused = entry.refused.as_ref();
    let dash = || "-".to_owned();
    [
        format!("{:04}", entry.candidate.id),
        entry
            .candidate
            .parent
            .map_or_else(dash, |id| format!("{id:04}")),
        entry.name().map_or_else(dash, |name| cut(name, NAME_MAX)),
        entry.state.to_string(),
        match refused {
            Some(refused) => refused.stage.to_string(),
            None => entry.passed().map_or_else(dash, |stage| stage.to_string()),
        },
        refused.map_or_else(dash, |refused| cut(&refused.why, REASON_MAX)),
        questions.tokens.to_string(),
        seconds(took_ms),
    ]
}

fn totals(view: &View) -> String {
    let totals = &view.totals;
    let mut text = format!(
        "{} tokens ({} asked, {} answered), {}, {}, {} evaluations, {} rounds\n",
        totals.tokens(),
        totals.prompt_tokens,
        totals.completion_tokens,
        totals.cost,
        seconds(totals.wall_ms),
        totals.evaluations,
        totals.rounds
    );
    if let Some(best) = view.best() {
        let id = best.candidate.id;
        let name = best
            .name()
            .map_or_else(String::new, |name| format!(" {}", shown(name)));
        let _ = writeln!(text, "best: {id:04}{name}");
    }
    text
}

/// Everything about one candidate; `None` if there is none of this number.
#[must_use]
pub fn show(view: &View, directory: &Path, id: u32) -> Option<String> {
    let entry = view.candidates.get(&id)?;
    let mut text = format!("candidate {id:04}: {}\n", entry.state);
    let mut field = |name: &str, value: &str| {
        let _ = writeln!(text, "  {name:<9} {}", shown(value));
    };
    field("name", entry.name().unwrap_or("-"));
    field("author", &entry.candidate.author.to_string());
    let line: Vec<String> = view
        .line_of(id)
        .iter()
        .skip(1)
        .map(|id| format!("{id:04}"))
        .collect();
    if !line.is_empty() {
        field("from", &line.join(", from "));
    }
    field("source", &entry.candidate.source);
    let questions = view.questions(id);
    if questions.count > 0 {
        let round = questions.round;
        let asked = format!(
            "{} in round {round}, {} tokens, {}, {}",
            questions.count,
            questions.tokens,
            questions.cost,
            seconds(questions.took_ms)
        );
        field("questions", &asked);
    }
    if let Some(refused) = &entry.refused {
        let why = format!("{} [{}] at {}", refused.why, refused.code, refused.stage);
        field("refused", &why);
    }
    if let Some(accepted) = &entry.accepted {
        field(
            "accepted",
            &format!("by {} as {}", accepted.by, accepted.file),
        );
    }
    text += &stages(entry);
    text += &measured(entry);
    text += &files(directory, id);
    Some(text)
}

fn stages(entry: &Entry) -> String {
    let mut text = String::new();
    for done in &entry.stages {
        let passed = if done.passed { "passed" } else { "not passed" };
        let took = seconds(done.took_ms);
        let _ = writeln!(text, "\n{}: {passed}, {took}", done.stage);
        for diagnostic in &done.diagnostics {
            for line in diagnostic.to_string().lines() {
                let _ = writeln!(text, "  {}", shown(line));
            }
        }
    }
    text
}

fn measured(entry: &Entry) -> String {
    let mut text = String::new();
    for measured in &entry.measured {
        let _ = writeln!(text, "\nmeasured with {}", shown(&measured.what));
        for (name, cells) in [("better", &measured.better), ("worse", &measured.worse)] {
            match cells {
                serde_json::Value::Array(all) => {
                    let _ = writeln!(text, "  {name}: {}", all.len());
                    for cell in all {
                        let _ = writeln!(text, "    {}", shown(&cell.to_string()));
                    }
                }
                serde_json::Value::Null => {
                    let _ = writeln!(text, "  {name}: 0");
                }
                other => {
                    let _ = writeln!(text, "  {name}: {}", shown(&other.to_string()));
                }
            }
        }
    }
    text
}

fn files(directory: &Path, id: u32) -> String {
    let directory = candidate_directory(directory, id);
    let Ok(entries) = fs::read_dir(&directory) else {
        return format!("\nfiles: none in {}\n", directory.display());
    };
    let mut names: Vec<String> = entries
        .flatten()
        .map(|entry| {
            let bytes = entry.metadata().map_or(0, |metadata| metadata.len());
            let name = entry.file_name();
            format!("  {} ({bytes} bytes)\n", shown(&name.to_string_lossy()))
        })
        .collect();
    names.sort();
    format!("\nfiles in {}\n{}", directory.display(), names.concat())
}

fn seconds(ms: u64) -> String {
    format!("{}.{} s", ms / 1000, ms % 1000 / 100)
}

/// A text on one line and no longer than that.
fn cut(text: &str, most: usize) -> String {
    let text = shown(text);
    if text.chars().count() <= most {
        return text;
    }
    let kept: String = text.chars().take(most - 1).collect();
    kept + "…"
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
