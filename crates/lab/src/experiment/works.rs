//! The workloads of an experiment file, and how a command's figures are found.

use std::ops::Range;

use baton_workload::{Better, Workload};
use serde::Deserialize;
use toml::Spanned;

use super::{
    Figure, Find, Runs, Work,
    file::{Mistake, argv, word},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawWork {
    name: Option<Spanned<String>>,
    run: Option<Spanned<String>>,
    command: Option<Spanned<Vec<String>>>,
    #[serde(default)]
    pack: Vec<String>,
    #[serde(default)]
    metric: Vec<Spanned<RawMetric>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMetric {
    name: Spanned<String>,
    unit: String,
    better: Spanned<String>,
    #[serde(default)]
    primary: bool,
    pattern: Option<Spanned<String>>,
    json: Option<Spanned<String>>,
}

impl RawWork {
    pub(super) fn check(self, span: Range<usize>) -> Result<Work, Mistake> {
        let (run, default) = match (&self.run, &self.command) {
            (Some(run), None) => {
                if let Some(metric) = self.metric.first() {
                    let problem = "one of our workloads has its own metrics: [[workload.metric]] \
                                   belongs to a command";
                    return Err((metric.span(), problem.to_owned()));
                }
                let workload = Workload::find(run.as_ref());
                let workload = workload.map_err(|error| (run.span(), error.to_string()))?;
                (Runs::Ours(workload), Some(run.as_ref().clone()))
            }
            (None, Some(command)) => {
                let figures = figures(self.metric, &span)?;
                let argv = argv("command", command)?;
                (Runs::Command { argv, figures }, None)
            }
            _ => {
                let problem = "a workload is one of run = \"frames+hogs\" and command = [...]";
                return Err((span, problem.to_owned()));
            }
        };
        let name = match (&self.name, default) {
            (Some(name), _) => word("name", name)?,
            (None, Some(name)) => name,
            (None, None) => {
                let problem = "a command needs a `name`, such as name = \"perf-pipe\"".to_owned();
                return Err((span, problem));
            }
        };
        Ok(Work {
            name,
            run,
            pack: self.pack,
        })
    }
}

fn figures(raw: Vec<Spanned<RawMetric>>, work: &Range<usize>) -> Result<Vec<Figure>, Mistake> {
    if raw.is_empty() {
        let problem = "a command needs a figure to find: add a [[workload.metric]]".to_owned();
        return Err((work.clone(), problem));
    }
    let mut figures: Vec<Figure> = Vec::new();
    for metric in raw {
        let span = metric.span();
        let figure = metric.into_inner().check(span.clone())?;
        if figures.iter().any(|other| other.name == figure.name) {
            return Err((span, format!("there are two metrics `{}`", figure.name)));
        }
        if figure.primary && figures.iter().any(|other| other.primary) {
            return Err((span, "a workload has one primary metric".to_owned()));
        }
        figures.push(figure);
    }
    if !figures.iter().any(|figure| figure.primary) {
        figures[0].primary = true;
    }
    Ok(figures)
}

impl RawMetric {
    fn check(self, span: Range<usize>) -> Result<Figure, Mistake> {
        let better = match self.better.as_ref().as_str() {
            "lower" => Better::Lower,
            "higher" => Better::Higher,
            other => {
                let problem = format!("better = \"{other}\" must be lower or higher");
                return Err((self.better.span(), problem));
            }
        };
        let find = match (&self.pattern, &self.json) {
            (Some(pattern), None) => {
                let find = Find::pattern(pattern.as_ref());
                find.map_err(|problem| (pattern.span(), problem))?
            }
            (None, Some(json)) => {
                let find = Find::json(json.as_ref());
                find.map_err(|problem| (json.span(), problem))?
            }
            _ => {
                let problem = "a metric is found by one of pattern = '...' and json = \"/...\"";
                return Err((span, problem.to_owned()));
            }
        };
        Ok(Figure {
            name: word("name", &self.name)?,
            unit: self.unit,
            better,
            primary: self.primary,
            find,
        })
    }
}
