//! What an experiment found, in sentences.

use super::numbers::{duration, times, whole};
use super::runs::{Runs, word};
use crate::judge::{Cell, Judgement, Scale, Verdict};
use crate::results::{Environment, Results, Status};

/// One variant's answer.
pub(super) struct Answer {
    pub(super) variant: String,
    /// Its place, for its colour.
    pub(super) index: usize,
    pub(super) what: String,
    pub(super) sentence: String,
}

/// The answer of each variant beside the first, from the metrics that stand for the workloads.
pub(super) fn answers(results: &Results, judgement: &Judgement, runs: &Runs<'_>) -> Vec<Answer> {
    let base = results
        .variants
        .first()
        .map_or("", |variant| variant.name.as_str());
    let beside = results.variants.iter().enumerate().skip(1);
    beside
        .map(|(index, variant)| {
            let found = Found::of(judgement, &variant.name);
            let mut sentence = match &variant.same_as {
                Some(same) => found.check(same),
                None => found.sentence(base),
            };
            sentence.push_str(&troubles(results, runs, &variant.name));
            Answer {
                variant: variant.name.clone(),
                index,
                what: variant.what.clone(),
                sentence: sentence.trim().to_owned(),
            }
        })
        .collect()
}

/// The primary cells of one variant by what is said of them.
#[derive(Default)]
struct Found<'a> {
    better: Vec<&'a Cell>,
    worse: Vec<&'a Cell>,
    same: Vec<&'a Cell>,
    few: Vec<&'a Cell>,
    broken: Vec<&'a Cell>,
    /// Whether a workload has several metrics that stand for it, so that its name is not enough.
    several: bool,
}

impl<'a> Found<'a> {
    fn of(judgement: &'a Judgement, variant: &str) -> Self {
        let mut found = Self::default();
        let of_it = judgement
            .cells
            .iter()
            .filter(|cell| cell.primary && cell.variant == variant);
        let mut workload = None;
        for cell in of_it {
            found.several |= workload == Some(&cell.workload);
            workload = Some(&cell.workload);
            let kind = match cell.verdict {
                Verdict::Better => &mut found.better,
                Verdict::Worse => &mut found.worse,
                Verdict::NoDifference => &mut found.same,
                Verdict::TooFew => &mut found.few,
                Verdict::Failed | Verdict::Refused => &mut found.broken,
            };
            kind.push(cell);
        }
        found
    }

    fn sentence(&self, base: &str) -> String {
        let told = self.better.len() + self.worse.len() + self.same.len() + self.few.len();
        let cells = told + self.broken.len();
        if cells == 0 {
            return "It has no value that could be compared.".to_owned();
        }
        let mut parts = Vec::new();
        if !self.better.is_empty() {
            parts.push(format!(
                "better than {base} in {}",
                self.list(&self.better, true)
            ));
        }
        if !self.worse.is_empty() {
            let than = if parts.is_empty() {
                format!("than {base} ")
            } else {
                String::new()
            };
            parts.push(format!("worse {than}in {}", self.list(&self.worse, true)));
        }
        let mut text = String::new();
        if !parts.is_empty() {
            text = format!("It is {}", parts.join(" and "));
            if self.worse.is_empty() && cells > self.better.len() {
                text.push_str(", worse in none");
            }
            text.push_str(". ");
        }
        if !self.same.is_empty() {
            let all = self.same.len() == cells && cells > 1;
            let to = if parts.is_empty() {
                format!(" from {base}")
            } else {
                String::new()
            };
            let list = if all {
                "any workload".to_owned()
            } else {
                self.list(&self.same, false)
            };
            text.push_str(&format!("No difference{to} is shown in {list}. "));
        }
        if !self.few.is_empty() {
            text.push_str(&format!(
                "Too few runs for {}. ",
                self.list(&self.few, false)
            ));
        }
        if !self.broken.is_empty() {
            text.push_str(&format!(
                "Nothing to say of {}. ",
                self.list(&self.broken, false)
            ));
        }
        text
    }

    /// Of a variant that is the same as another.
    fn check(&self, same: &str) -> String {
        let differ: Vec<&Cell> = [self.better.as_slice(), &self.worse].concat();
        let cells = differ.len() + self.same.len();
        let known = match (differ.len(), cells) {
            (_, 0) => "It cannot be told yet whether they differ.".to_owned(),
            (0, _) => "No difference is shown, as it must be.".to_owned(),
            (_, _) => format!(
                "They differ in {} all the same: differences of that size mean nothing here.",
                self.list(&differ, true)
            ),
        };
        format!("It is {same} a second time, as a check. {known} ")
    }

    /// Workloads, with their ratios if asked for.
    fn list(&self, cells: &[&Cell], with_ratios: bool) -> String {
        let texts: Vec<String> = cells
            .iter()
            .map(|cell| {
                let metric = self.several.then(|| cell.metric.clone());
                let effect = cell.effect.filter(|effect| effect.scale == Scale::Ratio);
                let ratio = effect
                    .filter(|_| with_ratios)
                    .map(|ratio| times(ratio.median));
                let more: Vec<String> = metric.into_iter().chain(ratio).collect();
                match more.is_empty() {
                    true => cell.workload.clone(),
                    false => format!("{} ({})", cell.workload, more.join(", ")),
                }
            })
            .collect();
        and(&texts)
    }
}

/// `a, b and c`.
fn and(texts: &[String]) -> String {
    match texts {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// What is to be said of a variant's runs that did not end well.
fn troubles(results: &Results, runs: &Runs<'_>, variant: &str) -> String {
    let all: usize = results
        .workloads
        .iter()
        .map(|w| runs.all(&w.name, variant).len())
        .sum();
    let kinds = [
        Status::Failed,
        Status::Ejected,
        Status::Unloadable,
        Status::Timeout,
        Status::Refused,
    ];
    let parts: Vec<String> = kinds
        .into_iter()
        .filter_map(|kind| {
            let of_kind = |workload: &str| runs.troubles(workload, variant).get(&kind).copied();
            let counts = results
                .workloads
                .iter()
                .filter_map(|workload| of_kind(&workload.name));
            let count: usize = counts.sum();
            (count > 0).then(|| format!("{} {}", whole(count as u64), word(kind)))
        })
        .collect();
    match parts.is_empty() {
        true => String::new(),
        false => format!("Of its {} runs {}. ", whole(all as u64), and(&parts)),
    }
}

/// Where an experiment ran, in a few words each.
pub(super) fn place(environment: &Environment) -> Vec<String> {
    let mut words = vec![match environment.backend.as_str() {
        "sim" => "Simulated".to_owned(),
        "vm" => "In a virtual machine".to_owned(),
        "host" => "On the host itself".to_owned(),
        other => other.to_owned(),
    }];
    match environment.cpus {
        0 => words.push(environment.machine.clone()),
        cpus => {
            let plural = if cpus == 1 { "CPU" } else { "CPUs" };
            words.push(format!("{}, {cpus} {plural}", environment.machine));
        }
    }
    if !environment.kernel.is_empty() {
        words.push(format!("Linux {}", environment.kernel));
    }
    match environment.accelerator.as_deref() {
        Some("emulation") => words.push("emulated in software".to_owned()),
        Some("kvm") => words.push("KVM".to_owned()),
        Some(other) => words.push(other.to_owned()),
        None => {}
    }
    words
}

/// How much was run, in a few words each.
pub(super) fn amount(results: &Results) -> Vec<String> {
    let rounds = results
        .runs
        .iter()
        .map(|run| u64::from(run.round))
        .max()
        .map_or(0, |last| last + 1);
    let mut words = vec![
        match rounds {
            1 => "1 round".to_owned(),
            rounds => format!("{} rounds", whole(rounds)),
        },
        format!("{} runs", whole(results.runs.len() as u64)),
        format!("in {}", duration(results.wall_s)),
    ];
    if let Some(day) = results
        .started
        .split('T')
        .next()
        .filter(|day| !day.is_empty())
    {
        words.push(day.to_owned());
    }
    words
}

/// What the way in which it ran keeps the figures from showing.
pub(super) fn caveat(environment: &Environment) -> Option<&'static str> {
    match (
        environment.backend.as_str(),
        environment.accelerator.as_deref(),
    ) {
        ("sim", _) => Some(
            "The simulator knows the costs that its machine file gives and no others. What holds \
             here is to be shown on a kernel before it is said of one.",
        ),
        (_, Some("emulation")) => Some(
            "The processor was emulated in software. That shows order and overhead, and not what a \
             processor does with caches and idle states; with more virtual CPUs than cores it shows \
             order alone.",
        ),
        _ => None,
    }
}
