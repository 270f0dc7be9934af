//! Files of task classes, in TOML: which tasks belong together, and what is asked for them.
//!
//! A file is a list of `[[class]]` tables; `docs/classes.toml` shows every key. A task belongs to the
//! first class whose patterns match it.

use std::path::Path;

use baton_policy::{CLASSES_MAX, Class, ClassId, Classes, CpuSet, Machine};
use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor},
};
use toml::Spanned;

use crate::{
    ClassError,
    glob::{NameGlob, PathGlob},
    mistake::{self, Mistake},
};

/// Deadlines that make sense: below, no decision comes in time; above, none is needed.
const DEADLINE_MS: std::ops::RangeInclusive<f64> = 0.1..=10_000.0;
/// As in `cpu.weight`.
const WEIGHT: std::ops::RangeInclusive<u32> = 1..=10_000;
const PRIORITY: std::ops::RangeInclusive<i32> = -100..=100;

/// A file of task classes: the table that a policy sees, and who belongs where.
#[derive(Clone, Debug)]
pub struct ClassFile {
    file: String,
    classes: Classes,
    rules: Vec<Rule>,
}

/// Who belongs to one class: a list that is empty matches everybody.
#[derive(Clone, Debug)]
struct Rule {
    cgroups: Vec<PathGlob>,
    tasks: Vec<NameGlob>,
    /// Where `allowed` and `preferred` stand in the file.
    cpu_lines: [usize; 2],
}

/// The classes whose cgroup patterns match one cgroup, whatever the names of its tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CgroupMatches(u64);

/// A task's class, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Classified {
    /// The class; `None` if none matches.
    pub class: Option<ClassId>,
    /// Whether knowing the path of its cgroup would not change it.
    pub settled: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(default)]
    class: Vec<Spanned<RawClass>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawClass {
    name: Spanned<String>,
    cgroup: Option<Spanned<Patterns>>,
    task: Option<Spanned<Patterns>>,
    deadline_ms: Option<Spanned<f64>>,
    weight: Option<Spanned<u32>>,
    priority: Option<Spanned<i32>>,
    allowed: Option<Spanned<String>>,
    preferred: Option<Spanned<String>>,
}

/// One pattern, or a list of them.
struct Patterns(Vec<String>);

impl<'de> Deserialize<'de> for Patterns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;

        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Patterns;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a pattern, or a list of patterns")
            }

            fn visit_str<E>(self, text: &str) -> Result<Patterns, E> {
                Ok(Patterns(vec![text.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Patterns, A::Error> {
                let mut patterns = Vec::new();
                while let Some(pattern) = list.next_element()? {
                    patterns.push(pattern);
                }
                Ok(Patterns(patterns))
            }
        }

        deserializer.deserialize_any(OneOrMany)
    }
}

impl ClassFile {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// The file cannot be read, or has a mistake; the error names its line.
    pub fn load(path: &Path) -> Result<Self, ClassError> {
        let text = std::fs::read_to_string(path).map_err(|source| ClassError::Unreadable {
            path: path.into(),
            source,
        })?;
        Self::parse(&path.display().to_string(), &text)
    }

    /// Reads a file's text; `file` names it in errors.
    ///
    /// # Errors
    /// The text has a mistake; the error names its line.
    pub fn parse(file: &str, text: &str) -> Result<Self, ClassError> {
        let raw = mistake::read::<Raw>(text);
        let checked = raw.and_then(|raw| check(raw, text));
        let (classes, rules) = checked.map_err(|(span, problem)| ClassError::Malformed {
            file: file.into(),
            line: mistake::line(text, &span),
            problem,
        })?;
        Ok(Self {
            file: file.into(),
            classes,
            rules,
        })
    }

    /// The table of classes.
    #[must_use]
    pub const fn classes(&self) -> &Classes {
        &self.classes
    }

    /// Whether a class depends on the cgroup of a task.
    #[must_use]
    pub fn names_cgroups(&self) -> bool {
        self.rules.iter().any(|rule| !rule.cgroups.is_empty())
    }

    /// Looks whether the machine has the CPUs that the classes name.
    ///
    /// # Errors
    /// A class that would have none.
    pub fn check(&self, machine: &Machine) -> Result<(), ClassError> {
        let possible = CpuSet::first(machine.cpus.len());
        for (class, rule) in self.classes.iter().zip(&self.rules) {
            let lists = [("allowed", &class.allowed), ("preferred", &class.preferred)];
            for ((key, list), line) in lists.into_iter().zip(rule.cpu_lines) {
                let Some(list) = list else { continue };
                if list.intersection(&possible).is_empty() {
                    let problem = format!(
                        "{key} = \"{list}\" of class `{}` names no CPU of this machine: it has \
                         {possible}",
                        class.name
                    );
                    return Err(ClassError::Malformed {
                        file: self.file.clone(),
                        line,
                        problem,
                    });
                }
            }
        }
        Ok(())
    }

    /// The classes whose cgroup patterns match the cgroup at `path` below the root.
    #[must_use]
    pub fn match_cgroup(&self, path: &str) -> CgroupMatches {
        let rules = self.rules.iter().enumerate();
        let matching = rules.filter(|(_, rule)| rule.cgroups.iter().any(|glob| glob.matches(path)));
        CgroupMatches(matching.fold(0, |bits, (index, _)| bits | 1 << index))
    }

    /// The class of a task of this name in a cgroup that matches so; `None` while its path is not
    /// known. Takes no memory.
    #[must_use]
    pub fn classify(&self, name: &[u8], cgroup: Option<CgroupMatches>) -> Classified {
        let mut settled = true;
        for (index, rule) in self.rules.iter().enumerate() {
            let named = rule.tasks.is_empty() || rule.tasks.iter().any(|glob| glob.matches(name));
            let inside = match cgroup {
                _ if rule.cgroups.is_empty() => Some(true),
                Some(CgroupMatches(bits)) => Some(bits & 1 << index != 0),
                None => None,
            };
            match (named, inside) {
                (true, Some(true)) => {
                    let class = ClassId::new(index);
                    return Classified { class, settled };
                }
                (true, None) => settled = false,
                _ => {}
            }
        }
        Classified {
            class: None,
            settled,
        }
    }
}

fn check(raw: Raw, text: &str) -> Result<(Classes, Vec<Rule>), Mistake> {
    if let Some(over) = raw.class.get(CLASSES_MAX) {
        let problem = format!("there are more than {CLASSES_MAX} classes: join some of them");
        return Err((over.span(), problem));
    }
    if raw.class.is_empty() {
        let problem = "there is no class: begin one with [[class]]".to_owned();
        return Err((0..0, problem));
    }
    let mut classes: Vec<Class> = Vec::new();
    let mut rules = Vec::new();
    for raw in raw.class {
        let (class, rule) = raw.into_inner().check(text, &classes)?;
        classes.push(class);
        rules.push(rule);
    }
    // Not more than CLASSES_MAX, as checked above.
    let classes = Classes::new(classes).unwrap_or_default();
    Ok((classes, rules))
}

impl RawClass {
    fn check(self, text: &str, before: &[Class]) -> Result<(Class, Rule), Mistake> {
        let name = self.name.as_ref().trim().to_owned();
        if name.is_empty() || name.contains(char::is_whitespace) {
            let problem = format!("name `{name}` must be one word");
            return Err((self.name.span(), problem));
        }
        if before.iter().any(|class| class.name == name) {
            let problem = format!("there are two classes `{name}`: give each a name of its own");
            return Err((self.name.span(), problem));
        }
        if self.cgroup.is_none() && self.task.is_none() {
            let problem = format!(
                "class `{name}` says not who belongs to it: give `cgroup` or `task`; task = \"*\" \
                 takes everybody who is left"
            );
            return Err((self.name.span(), problem));
        }
        let line = |list: &Option<Spanned<String>>| {
            list.as_ref()
                .map_or(0, |list| mistake::line(text, &list.span()))
        };
        let rule = Rule {
            cgroups: globs("cgroup", self.cgroup, PathGlob::new)?,
            tasks: globs("task", self.task, NameGlob::new)?,
            cpu_lines: [line(&self.allowed), line(&self.preferred)],
        };
        let deadline_ms = within("deadline_ms", self.deadline_ms, &DEADLINE_MS)?;
        let allowed_span = self.allowed.as_ref().map(Spanned::span);
        let preferred_span = self.preferred.as_ref().map(Spanned::span);
        let class = Class {
            name,
            deadline_ns: deadline_ms.map(|ms| (ms * 1e6) as u64),
            weight: within("weight", self.weight, &WEIGHT)?,
            priority: within("priority", self.priority, &PRIORITY)?.unwrap_or(0),
            allowed: cpus("allowed", self.allowed)?,
            preferred: cpus("preferred", self.preferred)?,
        };
        if let (Some(allowed), Some(preferred)) = (&class.allowed, &class.preferred)
            && !preferred.is_subset(allowed)
        {
            let problem = format!(
                "preferred = \"{preferred}\" goes beyond allowed = \"{allowed}\": name CPUs of it"
            );
            return Err((preferred_span.or(allowed_span).unwrap_or(0..0), problem));
        }
        Ok((class, rule))
    }
}

fn globs<G>(
    key: &str,
    patterns: Option<Spanned<Patterns>>,
    read: impl Fn(&str) -> Result<G, String>,
) -> Result<Vec<G>, Mistake> {
    let Some(patterns) = patterns else {
        return Ok(Vec::new());
    };
    let span = patterns.span();
    let patterns = patterns.into_inner().0;
    if patterns.is_empty() {
        let problem = format!("{key} = [] matches nobody: name a pattern, or leave the key out");
        return Err((span, problem));
    }
    let read =
        |text: &String| read(text).map_err(|error| (span.clone(), format!("{key}: {error}")));
    patterns.iter().map(read).collect()
}

fn within<T: PartialOrd + Copy + std::fmt::Display>(
    key: &str,
    value: Option<Spanned<T>>,
    range: &std::ops::RangeInclusive<T>,
) -> Result<Option<T>, Mistake> {
    let Some(value) = value else { return Ok(None) };
    if range.contains(value.as_ref()) {
        return Ok(Some(*value.as_ref()));
    }
    let (value, span) = (*value.as_ref(), value.span());
    let problem = format!(
        "{key} = {value} is outside {} to {}",
        range.start(),
        range.end()
    );
    Err((span, problem))
}

fn cpus(key: &str, list: Option<Spanned<String>>) -> Result<Option<CpuSet>, Mistake> {
    let Some(list) = list else { return Ok(None) };
    match list.as_ref().parse::<CpuSet>() {
        Ok(set) if !set.is_empty() => Ok(Some(set)),
        _ => {
            let problem = format!("{key} must be a list of CPUs such as \"0-3,8\"");
            Err((list.span(), problem))
        }
    }
}

#[cfg(test)]
#[path = "classes_tests.rs"]
mod tests;
