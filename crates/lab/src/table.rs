//! Judgements as text, for a person at a terminal.

use std::collections::BTreeMap;

use crate::check::Outcome;
use crate::compare::Comparison;
use crate::judge::{Cell, Effect, Judgement, Scale, Verdict};

/// A table of all cells, the notes, and what was refused.
pub fn judgement(judgement: &Judgement) -> String {
    let mut text = cells(&judgement.cells, "baseline");
    text.push_str(&legend(
        &printable(&format!("to {}, round by round", judgement.baseline)),
        judgement.rules.confidence,
    ));
    text.push_str(&reasons(&judgement.cells));
    for refusal in &judgement.refused {
        let (round, variant) = (refusal.round + 1, &refusal.variant);
        let (workload, reason) = (&refusal.workload, &refusal.reason);
        add(
            &mut text,
            &format!("refused: round {round}, {variant}, {workload}: {reason}."),
        );
    }
    for note in &judgement.notes {
        add(&mut text, &format!("note: {note}"));
    }
    text
}

/// A table of what changed.
pub fn comparison(comparison: &Comparison) -> String {
    let mut text = cells(&comparison.cells, "before");
    let of = match comparison.relative {
        true => "of what a variant is to its baseline, now to before",
        false => "of now to before",
    };
    text.push_str(&legend(of, comparison.rules.confidence));
    text.push_str(&reasons(&comparison.cells));
    for warning in &comparison.warnings {
        add(&mut text, &format!("warning: {warning}"));
    }
    for note in &comparison.notes {
        add(&mut text, &format!("note: {note}"));
    }
    text
}

/// What a check found.
pub fn outcome(outcome: &Outcome) -> String {
    let mut text = String::new();
    for problem in &outcome.problems {
        add(&mut text, &format!("problem: {problem}"));
    }
    for (kind, findings) in [
        ("regression", &outcome.regressions),
        ("unsure", &outcome.unsure),
    ] {
        for finding in findings {
            let (workload, variant) = (&finding.workload, &finding.variant);
            let (metric, verdict, why) = (&finding.metric, finding.verdict, &finding.why);
            add(
                &mut text,
                &format!("{kind}: {metric} of {workload} under {variant}: {verdict}: {why}"),
            );
        }
    }
    for warning in &outcome.warnings {
        add(&mut text, &format!("warning: {warning}"));
    }
    text.push_str(&format!(
        "{}: {} cells checked, {} regressions, {} with too few runs\n",
        if outcome.passed { "passed" } else { "failed" },
        outcome.checked,
        outcome.regressions.len(),
        outcome.unsure.len()
    ));
    text
}

/// A text without what a terminal would take for commands, in one line. Names, reasons and notes come
/// from files and from the last words of programs.
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|char| if char.is_control() { '?' } else { char })
        .collect()
}

/// Adds a line.
fn add(text: &mut String, line: &str) {
    text.push_str(&printable(line));
    text.push('\n');
}

fn cells(cells: &[Cell], other: &str) -> String {
    let mut workload = "";
    let mut rows = vec![header(&[
        "", "metric", "variant", "n", other, "now", "ratio", "interval", "p", "least p", "A/A",
        "verdict",
    ])];
    if other == "baseline" {
        rows[0][5] = "variant".to_owned();
    }
    for cell in cells {
        if cell.workload != workload {
            workload = &cell.workload;
            rows.push(vec![workload.to_owned()]);
        }
        rows.push(row(cell));
    }
    columns(&rows, |column| (3..=10).contains(&column))
}

/// Why cells have no verdict. The same reason holds for all metrics of a workload, mostly.
pub fn reasons(cells: &[Cell]) -> String {
    let judged = [Verdict::Better, Verdict::Worse, Verdict::NoDifference];
    let odd = cells.iter().filter(|cell| !judged.contains(&cell.verdict));
    let mut reasons: BTreeMap<(&str, &str, &str), Vec<&str>> = BTreeMap::new();
    for cell in odd {
        let key = (
            cell.workload.as_str(),
            cell.variant.as_str(),
            cell.why.as_str(),
        );
        reasons.entry(key).or_default().push(&cell.metric);
    }
    let line = |((workload, variant, why), metrics): ((&str, &str, &str), Vec<&str>)| {
        let line = format!("{variant}, {workload} ({}): {why}.", metrics.join(", "));
        printable(&line) + "\n"
    };
    reasons.into_iter().map(line).collect()
}

fn legend(ratios: &str, confidence: f64) -> String {
    format!(
        "\n* stands for its workload. Ratios are {ratios}, above 1 is worse; +x and -x are differences, above \
         0 is worse. Intervals have a confidence of {} %. p is corrected for all starred cells of the \
         variant, or for the others of the variant and workload; least p is the smallest that so many runs can lead to, \
         corrected likewise.\n",
        confidence * 100.0,
    )
}

fn header(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn row(cell: &Cell) -> Vec<String> {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let star = if cell.primary { "*" } else { "" };
    let variant = match &cell.same_as {
        Some(original) => format!("{} (A/A: {original})", cell.variant),
        None => cell.variant.clone(),
    };
    let scale = cell.effect.map_or(Scale::Ratio, |effect| effect.scale);
    vec![
        star.to_owned(),
        format!("{} [{}]", cell.metric, cell.unit),
        variant,
        cell.pairs.to_string(),
        or_dash(cell.baseline.median.map(figure)),
        or_dash(cell.sample.median.map(figure)),
        or_dash(cell.effect.map(|effect| on_scale(scale, effect.median))),
        or_dash(cell.effect.as_ref().map(interval)),
        or_dash(cell.p_corrected.map(p)),
        or_dash(
            cell.p_least
                .map(|least| p((least * cell.family as f64).min(1.0))),
        ),
        or_dash(cell.aa_spread.map(|spread| on_scale(scale, spread))),
        cell.verdict.text().to_owned(),
    ]
}

/// `0.81 to 0.97`.
pub fn interval(effect: &Effect) -> String {
    let end = |value| on_scale(effect.scale, value);
    format!("{} to {}", end(effect.low), end(effect.high))
}

/// A ratio, or a difference with its sign.
pub fn on_scale(scale: Scale, value: f64) -> String {
    match scale {
        Scale::Ratio => ratio(value),
        Scale::Difference if value > 0.0 => format!("+{}", figure(value)),
        Scale::Difference => figure(value),
    }
}

/// A ratio with two places, three near 1.
pub fn ratio(value: f64) -> String {
    match value {
        near if (0.9..1.1).contains(&near) => format!("{near:.3}"),
        small if small < 0.01 => format!("{small:.2e}"),
        large if large >= 1e5 => format!("{large:.2e}"),
        other => format!("{other:.2}"),
    }
}

/// A probability.
pub fn p(value: f64) -> String {
    match value {
        small if small < 0.001 => format!("{small:.0e}"),
        small if small < 0.1 => format!("{small:.3}"),
        other => format!("{other:.2}"),
    }
}

/// At least three significant digits.
pub fn figure(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude >= 1e7 || (magnitude > 0.0 && magnitude < 1e-3) {
        return format!("{value:.3e}");
    }
    baton_workload::number(value)
}

/// Rows with columns as wide as their widest cell. A row of one cell is a title, which no column
/// makes room for.
pub fn columns(rows: &[Vec<String>], is_right: impl Fn(usize) -> bool) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows.iter().filter(|row| row.len() > 1) {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let cell = printable(cell);
            let width = if row.len() > 1 { widths[column] } else { 0 };
            line.push_str(&match is_right(column) {
                true => format!("{cell:>width$}  "),
                false => format!("{cell:<width$}  "),
            });
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Finding;

    #[test]
    fn figures() {
        let check = |given: String, expected: &str| assert_eq!(given, expected);
        check(ratio(0.998_76), "0.999");
        check(ratio(1.5), "1.50");
        check(ratio(216.09), "216.09");
        check(p(1.08e-5), "1e-5");
        check(p(0.0321), "0.032");
        check(p(1.0), "1.00");
        check(figure(40_380_000.0), "4.038e7");
        check(figure(0.0), "0");
        check(on_scale(Scale::Difference, 2.0), "+2");
        check(on_scale(Scale::Difference, -2.0), "-2");
    }

    #[test]
    fn nothing_commands_the_terminal() {
        let outcome = Outcome {
            passed: false,
            problems: vec!["a\u{1b}[2J".into()],
            regressions: vec![Finding {
                workload: "w\u{1b}]0;x\u{7}".into(),
                metric: "m\r".into(),
                variant: "v\u{9b}".into(),
                verdict: Verdict::Failed,
                effect: None,
                threshold: 1.05,
                why: "why\npassed: all".into(),
            }],
            unsure: Vec::new(),
            checked: 1,
            warnings: vec!["b\u{8}".into()],
        };
        let rows = [vec!["x\u{1b}c".to_owned(), "y\t".to_owned()]];
        let text = super::outcome(&outcome) + &columns(&rows, |_| false);
        let odd = text.chars().find(|c| c.is_control() && *c != '\n');
        assert_eq!(odd, None, "{text:?}");
        assert_eq!(text.lines().count(), 5, "{text}");
    }

    #[test]
    fn titles_take_no_room() {
        let rows = [
            vec!["a long title".to_owned()],
            vec!["a".into(), "1".into()],
        ];
        assert_eq!(columns(&rows, |column| column == 1), "a long title\na  1\n");
    }
}
