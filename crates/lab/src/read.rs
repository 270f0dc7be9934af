//! Reads `results.json`, whatever somebody gave for it: what is no such file, of another schema, damaged
//! or contradicts itself is an error that says so.

use std::{
    collections::BTreeSet,
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::results::{Results, SCHEMA};

/// A file that is longer is not read. A thousand runs with their distributions take some 10 MB.
const BYTES_MAX: u64 = 1 << 30;

/// Why results cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What is wrong with its text.
    #[error("{}: {problem}", path.display())]
    Bad {
        /// The file.
        path: PathBuf,
        /// What.
        problem: Problem,
    },
}

/// What is wrong with a text that should be results.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// It is longer than anything that the lab writes.
    #[error("it is longer than {} MiB, which no results are", BYTES_MAX >> 20)]
    Long,
    /// It is not JSON, or was cut off.
    #[error("it is not JSON, or was cut off: {0}; write it anew with `baton lab run`")]
    Json(serde_json::Error),
    /// It is JSON of something else.
    #[error("it is not the results of an experiment: {0}")]
    Foreign(&'static str),
    /// It is of another schema.
    #[error(
        "its schema is {0}, and this build reads {SCHEMA}: use the build that wrote it, or run the experiment \
         again"
    )]
    Schema(String),
    /// A field is missing or is not what it should be.
    #[error("it is damaged: {0}")]
    Field(serde_json::Error),
    /// Two fields contradict each other.
    #[error("it is damaged: {0}")]
    Contradiction(String),
}

/// What is looked at first.
#[derive(Deserialize)]
struct Head {
    schema: Option<serde_json::Value>,
    experiment: Option<serde_json::Value>,
    cells: Option<serde::de::IgnoredAny>,
}

impl Results {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// It cannot be read, is no results, of another schema, or damaged.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let io = |source| Error::Io {
            path: path.to_owned(),
            source,
        };
        let bad = |problem| Error::Bad {
            path: path.to_owned(),
            problem,
        };
        let file = File::open(path).map_err(io)?;
        let mut bytes = Vec::new();
        file.take(BYTES_MAX + 1)
            .read_to_end(&mut bytes)
            .map_err(io)?;
        if bytes.len() as u64 > BYTES_MAX {
            return Err(bad(Problem::Long));
        }
        Self::parse(&bytes).map_err(bad)
    }

    /// Reads a text.
    ///
    /// # Errors
    ///
    /// It is no results, of another schema, or damaged.
    pub fn parse(text: &[u8]) -> Result<Self, Problem> {
        let head: Head = serde_json::from_slice(text).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => Problem::Foreign("it is no JSON object"),
            _ => Problem::Json(error),
        })?;
        if head.experiment.is_none() && head.cells.is_some() {
            let hint =
                "it looks like the figures of `baton bench`; only `baton lab run` writes results";
            return Err(Problem::Foreign(hint));
        }
        let schema = match (head.schema, head.experiment) {
            (Some(schema), Some(_)) => schema,
            _ => return Err(Problem::Foreign("it has no `schema` and `experiment`")),
        };
        if schema != SCHEMA {
            return Err(Problem::Schema(schema.to_string()));
        }
        let results: Self = serde_json::from_slice(text).map_err(Problem::Field)?;
        results
            .contradiction()
            .map_or(Ok(results), |text| Err(Problem::Contradiction(text)))
    }

    /// What in it cannot be.
    fn contradiction(&self) -> Option<String> {
        if self.variants.is_empty() {
            return Some("there are no variants".into());
        }
        self.names().or_else(|| self.run_by_run())
    }

    fn names(&self) -> Option<String> {
        let variants: Vec<&str> = self
            .variants
            .iter()
            .map(|variant| variant.name.as_str())
            .collect();
        let workloads: Vec<&str> = self
            .workloads
            .iter()
            .map(|load| load.name.as_str())
            .collect();
        for (kind, names) in [("variant", &variants), ("workload", &workloads)] {
            if let Some(name) = repeated(names) {
                return Some(format!("there are two {kind}s `{name}`"));
            }
        }
        for variant in &self.variants {
            if let Some(original) = &variant.same_as
                && (original == &variant.name || !variants.contains(&original.as_str()))
            {
                let name = &variant.name;
                return Some(format!(
                    "`{name}` is the same as `{original}`, which is no other variant"
                ));
            }
        }
        let metrics: Vec<(&str, &str)> = self
            .metrics
            .iter()
            .map(|metric| (metric.workload.as_str(), metric.name.as_str()))
            .collect();
        if let Some((workload, name)) = repeated(&metrics) {
            return Some(format!("there are two metrics `{name}` of `{workload}`"));
        }
        let stray = metrics
            .iter()
            .find(|(workload, _)| !workloads.contains(workload))?;
        Some(format!(
            "the metric `{}` is of `{}`, which is no workload",
            stray.1, stray.0
        ))
    }

    fn run_by_run(&self) -> Option<String> {
        let variants: BTreeSet<&str> = self
            .variants
            .iter()
            .map(|known| known.name.as_str())
            .collect();
        let workloads: BTreeSet<&str> = self
            .workloads
            .iter()
            .map(|known| known.name.as_str())
            .collect();
        let mut seen = BTreeSet::new();
        for (index, run) in self.runs.iter().enumerate() {
            let at = format!("runs[{index}]");
            let (variant, workload) = (run.variant.as_str(), run.workload.as_str());
            if !variants.contains(variant) {
                return Some(format!("{at} is of `{variant}`, which is no variant"));
            }
            if !workloads.contains(workload) {
                return Some(format!("{at} is of `{workload}`, which is no workload"));
            }
            if !seen.insert((run.round, variant, workload)) {
                let round = run.round;
                return Some(format!(
                    "{at}: round {round} of `{variant}` on `{workload}` is there twice"
                ));
            }
            let duration = |value: f64| value.is_finite() && value >= 0.0;
            if !duration(run.wall_s) || !run.cpu_s.is_none_or(duration) {
                return Some(format!("{at}: a duration is below 0"));
            }
        }
        None
    }
}

fn repeated<T: Ord + Copy>(names: &[T]) -> Option<T> {
    let mut seen = BTreeSet::new();
    names.iter().copied().find(|name| !seen.insert(*name))
}
