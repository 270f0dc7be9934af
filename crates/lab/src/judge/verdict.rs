//! The rules of a verdict, in the order in which they are asked.

use std::collections::BTreeMap;

use super::{Cell, Effect, Rules, Sample, Scale, Verdict};
use crate::results::Status;
use crate::table;

/// The verdict on a cell and the reason. `reference` names what it is compared with.
pub(crate) fn of(cell: &Cell, rules: &Rules, reference: &str) -> (Verdict, String) {
    if let Some(&refused) = cell.sample.runs.get(&Status::Refused) {
        let why = format!("{refused} of its runs cannot have done what they report");
        return (Verdict::Refused, why);
    }
    if let Some(too_few) = too_few(cell, rules, reference) {
        return too_few;
    }
    let (Some(effect), Some(p)) = (cell.effect, cell.p_corrected) else {
        return (
            Verdict::NoDifference,
            "the values are too large to be compared".into(),
        );
    };
    match doubt(cell, &effect, p, rules, reference) {
        Some(why) => (Verdict::NoDifference, why),
        None => {
            let verdict = match effect.is_worse() {
                true => Verdict::Worse,
                false => Verdict::Better,
            };
            (verdict, shown(cell, &effect, p))
        }
    }
}

fn too_few(cell: &Cell, rules: &Rules, reference: &str) -> Option<(Verdict, String)> {
    let (failed, beside) = (cell.sample.failures(), cell.baseline.failures());
    if cell.pairs < rules.runs_min {
        let verdict = match failed > beside {
            true => Verdict::Failed,
            false => Verdict::TooFew,
        };
        let mut why = format!(
            "{} runs can be compared, and {} are needed",
            cell.pairs, rules.runs_min
        );
        for (whose, sample) in [
            (cell.variant.as_str(), &cell.sample),
            (reference, &cell.baseline),
        ] {
            if let Some(text) = failures(sample) {
                why.push_str(&format!("; {whose}: {text}"));
            }
        }
        return Some((verdict, why));
    }
    let least = cell.p_least_planned? * cell.family as f64;
    (least > rules.level).then(|| {
        let why = format!(
            "even the clearest result would have p = {} among {} cells: more runs are needed",
            table::p(least.min(1.0)),
            cell.family
        );
        (Verdict::TooFew, why)
    })
}

/// Why a difference is not shown, if it is not.
fn doubt(cell: &Cell, effect: &Effect, p: f64, rules: &Rules, reference: &str) -> Option<String> {
    if cell.sample.values == cell.baseline.values {
        return Some("all values are equal".into());
    }
    if effect.holds_no_change() {
        return Some("the interval holds no change".into());
    }
    if p > rules.level {
        let mut why = format!(
            "p = {} after correction, above {}",
            table::p(p),
            rules.level
        );
        why.push_str(&equal_pairs(cell, rules).unwrap_or_default());
        return Some(why);
    }
    if let Some(spread) = cell.aa_spread.filter(|&spread| effect.size() <= spread) {
        let spread = match effect.scale {
            Scale::Ratio => table::ratio(spread),
            Scale::Difference => table::figure(spread),
        };
        return Some(format!("within what the A/A check finds, {spread}"));
    }
    let (failed, beside) = (cell.sample.failures(), cell.baseline.failures());
    (failed > beside && !effect.is_worse()).then(|| {
        format!("better in the runs that ended well, but {failed} failed, of {reference} {beside}")
    })
}

/// That too many pairs are equal for the others to show anything, if they are.
fn equal_pairs(cell: &Cell, rules: &Rules) -> Option<String> {
    let least = cell.p_least?;
    if least <= cell.p_least_planned? || least * cell.family as f64 <= rules.level {
        return None;
    }
    let pairs = cell.sample.values.iter().zip(&cell.baseline.values);
    let equal = pairs.filter(|(new, old)| new == old).count();
    Some(format!(
        "; {equal} of {} pairs are equal, and the others cannot have less than p = {}",
        cell.pairs,
        table::p(least)
    ))
}

fn shown(cell: &Cell, effect: &Effect, p: f64) -> String {
    let neutral = effect.scale.neutral();
    let side = if effect.is_worse() { "above" } else { "below" };
    let mut why = format!(
        "the interval lies {side} {neutral}; p = {} among {} cells",
        table::p(p),
        cell.family
    );
    if let Some(text) = failures(&cell.sample) {
        why.push_str(&format!("; {}: {text}", cell.variant));
    }
    why
}

/// `2 timeout, 1 ejected, 3 missing of 10`.
pub(crate) fn failures(sample: &Sample) -> Option<String> {
    let bad: BTreeMap<&str, usize> = sample
        .runs
        .iter()
        .filter(|(status, _)| **status != Status::Ok)
        .map(|(status, count)| (status.text(), *count))
        .chain((sample.missing > 0).then_some(("missing", sample.missing)))
        .collect();
    let all = sample.runs.values().sum::<usize>() + sample.missing;
    let parts: Vec<String> = bad
        .iter()
        .map(|(word, count)| format!("{count} {word}"))
        .collect();
    (!parts.is_empty()).then(|| format!("{} of {all}", parts.join(", ")))
}
