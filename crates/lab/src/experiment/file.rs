//! Experiment files, in TOML.

use std::{collections::BTreeMap, ops::Range, path::Path, time::Duration};

use baton_policy::Mode;
use serde::{Deserialize, de::DeserializeOwned};
use toml::{Spanned, Value};

use super::{
    Backend, Described, Error, Experiment, Limits, Lines, Scheduler, Variant, Work, works::RawWork,
};

/// Where in the text, and what is wrong there.
pub(super) type Mistake = (Range<usize>, String);

const RUNS: u32 = 10;
const RUNS_MAX: u32 = 10_000;
const WARMUP_MAX: u32 = 100;
/// A scheduler that starves a workload cannot keep the others from being measured. The longest of
/// ours, `compile`, takes some 15 s on two emulated processors.
const RUN_LIMIT_S: f64 = 120.0;
/// A day; longer than that nobody waits.
const LIMIT_MAX_S: f64 = 86_400.0;
const ITEMS_MAX: usize = 64;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    name: Spanned<String>,
    #[serde(default)]
    description: String,
    backend: Spanned<String>,
    machine: Option<Spanned<String>>,
    kernel: Option<Spanned<String>>,
    runs: Option<Spanned<u32>>,
    warmup: Option<Spanned<u32>>,
    boots: Option<Spanned<u32>>,
    #[serde(default = "one")]
    seed: u64,
    #[serde(default)]
    aa: bool,
    limits: Option<RawLimits>,
    #[serde(default)]
    variant: Vec<Spanned<RawVariant>>,
    #[serde(default)]
    workload: Vec<Spanned<RawWork>>,
}

fn one() -> u64 {
    1
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLimits {
    run_s: Option<Spanned<f64>>,
    total_s: Option<Spanned<f64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawVariant {
    name: Option<Spanned<String>>,
    kernel: Option<Spanned<bool>>,
    policy: Option<Spanned<String>>,
    mode: Option<Spanned<String>>,
    params: Option<Spanned<BTreeMap<String, Spanned<Value>>>>,
    model: Option<Spanned<String>>,
    command: Option<Spanned<Vec<String>>>,
    #[serde(rename = "crate")]
    package: Option<Spanned<String>>,
    prefix: Option<Spanned<Vec<String>>>,
    #[serde(default)]
    optional: bool,
}

pub(super) fn parse(file: &str, text: &str) -> Result<Experiment, Error> {
    let line = |span: &Range<usize>| {
        let before = text.get(..span.start.min(text.len())).unwrap_or(text);
        before.matches('\n').count() + 1
    };
    let read = || -> Result<Experiment, Mistake> {
        let raw: Raw = read(text)?;
        raw.check(file, text, &line)
    };
    read().map_err(|(span, problem)| Error::Malformed {
        file: file.to_owned(),
        line: line(&span),
        problem,
    })
}

fn read<T: DeserializeOwned>(text: &str) -> Result<T, Mistake> {
    toml::from_str(text).map_err(|error| {
        let span = error.span().unwrap_or(0..0);
        // Some of toml's messages go over several lines; the sentence is one.
        (span, error.message().trim_end().replace('\n', ", "))
    })
}

impl Raw {
    fn check(
        self,
        file: &str,
        text: &str,
        line: &dyn Fn(&Range<usize>) -> usize,
    ) -> Result<Experiment, Mistake> {
        let name = word("name", &self.name)?;
        let backend = self.backend.as_ref().parse();
        let backend: Backend = backend.map_err(|problem| (self.backend.span(), problem))?;
        let runs = within("runs", self.runs.as_ref(), RUNS, 1, RUNS_MAX)?;
        let line_of = |span: Option<Range<usize>>| span.map_or(1, |span| line(&span));
        let mut lines = Lines {
            runs: line_of(self.runs.as_ref().map(Spanned::span)),
            machine: line_of(self.machine.as_ref().map(Spanned::span)),
            kernel: line_of(self.kernel.as_ref().map(Spanned::span)),
            boots: line_of(self.boots.as_ref().map(Spanned::span)),
            ..Lines::default()
        };
        let mut variants: Vec<Variant> = Vec::new();
        for raw in self.variant {
            let span = raw.span();
            let variant = raw.into_inner().check(span.clone())?;
            if variants.iter().any(|other| other.name == variant.name) {
                let problem = format!(
                    "there are two variants `{}`: give one a `name`",
                    variant.name
                );
                return Err((span, problem));
            }
            lines.variants.push(line(&span));
            variants.push(variant);
        }
        let mut workloads: Vec<Work> = Vec::new();
        for raw in self.workload {
            let span = raw.span();
            let work = raw.into_inner().check(span.clone())?;
            if workloads.iter().any(|other| other.name == work.name) {
                let problem = format!("there are two workloads `{}`: give one a `name`", work.name);
                return Err((span, problem));
            }
            lines.workloads.push(line(&span));
            workloads.push(work);
        }
        for (what, count) in [("variant", variants.len()), ("workload", workloads.len())] {
            if !(1..=ITEMS_MAX).contains(&count) {
                let problem = format!(
                    "an experiment has 1 to {ITEMS_MAX} {what}s, and this has {count}: begin one \
                     with [[{what}]]"
                );
                return Err((0..0, problem));
            }
        }
        if self.aa {
            add_twin(&mut variants).map_err(|problem| (0..0, problem))?;
            lines.variants.push(lines.variants[0]);
        }
        let runs_span = self.runs.as_ref().map(Spanned::span);
        let experiment = Experiment {
            file: file.to_owned(),
            source: text.to_owned(),
            name,
            description: self.description.trim().to_owned(),
            backend,
            machine: self.machine.map_or("2-cpu".into(), Spanned::into_inner),
            kernel: self.kernel.map_or("default".into(), Spanned::into_inner),
            runs,
            warmup: within("warmup", self.warmup.as_ref(), 0, 0, WARMUP_MAX)?,
            boots: within("boots", self.boots.as_ref(), 1, 1, RUNS_MAX)?,
            seed: self.seed,
            limits: self.limits.unwrap_or_default().check()?,
            variants,
            workloads,
            described: Described {
                machine: None,
                lines,
            },
        };
        let excess = experiment.excess();
        excess.map_or(Ok(experiment), |problem| {
            Err((runs_span.unwrap_or(0..0), problem))
        })
    }
}

/// Adds the first variant once more, for what differs between equal things.
fn add_twin(variants: &mut Vec<Variant>) -> Result<(), String> {
    let Some(first) = variants.first() else {
        return Ok(());
    };
    let name = format!("{}-again", first.name);
    if variants.iter().any(|variant| variant.name == name) {
        return Err(format!(
            "aa = true adds the variant `{name}`: call yours by another name"
        ));
    }
    let twin = Variant {
        same_as: Some(first.name.clone()),
        name,
        ..first.clone()
    };
    variants.push(twin);
    Ok(())
}

impl RawLimits {
    fn check(self) -> Result<Limits, Mistake> {
        let duration = |name: &str, given: &Spanned<f64>| {
            let value = *given.as_ref();
            if value > 0.0 && value <= LIMIT_MAX_S {
                return Ok(Duration::from_secs_f64(value));
            }
            let problem = format!("{name} = {value} is outside 0 to {LIMIT_MAX_S}, in seconds");
            Err((given.span(), problem))
        };
        let run = self.run_s.as_ref().map(|given| duration("run_s", given));
        let total = self
            .total_s
            .as_ref()
            .map(|given| duration("total_s", given));
        Ok(Limits {
            run: run
                .transpose()?
                .unwrap_or(Duration::from_secs_f64(RUN_LIMIT_S)),
            total: total.transpose()?,
        })
    }
}

impl RawVariant {
    fn check(self, span: Range<usize>) -> Result<Variant, Mistake> {
        let is_kernel = match &self.kernel {
            Some(kernel) if !*kernel.as_ref() => {
                let problem = "kernel can only be true: leave it out to name a policy or a command";
                return Err((kernel.span(), problem.to_owned()));
            }
            kernel => kernel.is_some(),
        };
        let named = [is_kernel, self.policy.is_some(), self.command.is_some()];
        if named.iter().filter(|named| **named).count() != 1 {
            let problem = "a variant is one of kernel = true, policy = \"...\" and command = [...]";
            return Err((span, problem.to_owned()));
        }
        if self.policy.is_none() {
            let mode = self.mode.as_ref().map(Spanned::span);
            let params = self.params.as_ref().map(Spanned::span);
            let model = self.model.as_ref().map(Spanned::span);
            if let Some(span) = mode.or(params).or(model) {
                let problem =
                    "mode, params and model belong to a policy, which this variant is not";
                return Err((span, problem.to_owned()));
            }
        }
        if let (Some(package), None) = (&self.package, &self.command) {
            let problem = "crate belongs to a command, which this variant has not".to_owned();
            return Err((package.span(), problem));
        }
        let prefix = self.prefix.map(|prefix| argv("prefix", &prefix));
        let prefix = prefix.transpose()?;
        let scheduler = match (self.policy, self.command) {
            (Some(policy), _) => policy_of(policy, self.mode, self.params, self.model)?,
            (_, Some(command)) => Scheduler::Command {
                argv: argv("command", &command)?,
                package: self.package.map(package).transpose()?,
            },
            _ => Scheduler::Kernel,
        };
        let name = match &self.name {
            Some(name) => word("name", name)?,
            None => word("name", &Spanned::new(span, default_name(&scheduler)))?,
        };
        Ok(Variant {
            name,
            scheduler,
            prefix: prefix.unwrap_or_default(),
            optional: self.optional,
            same_as: None,
        })
    }
}

fn default_name(scheduler: &Scheduler) -> String {
    let base = |path: &str| {
        let name = Path::new(path).file_name().and_then(|name| name.to_str());
        name.unwrap_or(path).to_owned()
    };
    match scheduler {
        Scheduler::Kernel => "kernel".to_owned(),
        Scheduler::Policy { policy, mode, .. } if *mode != Mode::Decide => {
            base(policy) + "-" + mode.name()
        }
        Scheduler::Policy { policy, .. } => base(policy),
        Scheduler::Command { argv, .. } => base(&argv[0]),
    }
}

fn policy_of(
    policy: Spanned<String>,
    mode: Option<Spanned<String>>,
    params: Option<Spanned<BTreeMap<String, Spanned<Value>>>>,
    model: Option<Spanned<String>>,
) -> Result<Scheduler, Mistake> {
    let mode = mode.map_or(Ok(Mode::Decide), |mode| {
        Mode::named(mode.as_ref()).ok_or_else(|| {
            let problem = format!(
                "`{}` is no mode: write decide, hint or infer",
                mode.as_ref()
            );
            (mode.span(), problem)
        })
    })?;
    let params = params.map_or(Ok(Vec::new()), |params| {
        let params = params.into_inner().into_iter();
        params
            .map(|(name, value)| Ok((name, text_of(value)?)))
            .collect()
    })?;
    Ok(Scheduler::Policy {
        policy: policy.into_inner(),
        mode,
        params,
        model: model.map(Spanned::into_inner),
    })
}

/// A parameter's value as `--set` would have it.
fn text_of(value: Spanned<Value>) -> Result<String, Mistake> {
    match value.as_ref() {
        Value::String(text) => Ok(text.clone()),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Float(number) => Ok(number.to_string()),
        Value::Boolean(truth) => Ok(truth.to_string()),
        _ => {
            let problem = "a parameter is a number, a text in quotes, or true or false".to_owned();
            Err((value.span(), problem))
        }
    }
}

/// `name@version` of a package.
fn package(given: Spanned<String>) -> Result<(String, String), Mistake> {
    let is_word = |text: &str| {
        let good = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
        !text.is_empty() && !text.starts_with('-') && text.chars().all(good)
    };
    match given.as_ref().split_once('@') {
        Some((name, version)) if is_word(name) && is_word(version) => {
            Ok((name.to_owned(), version.to_owned()))
        }
        _ => {
            let problem = format!(
                "crate = \"{}\" must be a package and its version, such as scx_rustland@1.1.4",
                given.as_ref()
            );
            Err((given.span(), problem))
        }
    }
}

/// The words of a command, of which there must be one.
pub(super) fn argv(field: &str, command: &Spanned<Vec<String>>) -> Result<Vec<String>, Mistake> {
    let words = command.as_ref();
    if words.first().is_none_or(String::is_empty) {
        let problem = format!("{field} is empty: give the program and its arguments");
        return Err((command.span(), problem));
    }
    if words.iter().any(|word| word.contains('\0')) {
        return Err((command.span(), format!("{field} has a zero byte in it")));
    }
    Ok(words.clone())
}

/// A name that can stand in a table's head and in a file's name.
pub(super) fn word(field: &str, given: &Spanned<String>) -> Result<String, Mistake> {
    let name = given.as_ref().trim();
    let good = |c: char| c.is_alphanumeric() || "-_.+:=".contains(c);
    if !name.is_empty() && name.len() <= 64 && name.chars().all(good) && !name.starts_with('.') {
        return Ok(name.to_owned());
    }
    let problem = format!(
        "{field} `{name}` must be one word of letters, digits and -_.+:=, at most 64 of them"
    );
    Err((given.span(), problem))
}

fn within(
    field: &str,
    given: Option<&Spanned<u32>>,
    default: u32,
    least: u32,
    most: u32,
) -> Result<u32, Mistake> {
    let Some(given) = given else {
        return Ok(default);
    };
    let value = *given.as_ref();
    if (least..=most).contains(&value) {
        return Ok(value);
    }
    let problem = format!("{field} = {value} is outside {least} to {most}");
    Err((given.span(), problem))
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
