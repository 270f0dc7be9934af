//! The page: what the template is filled with.

use askama::Template;
use serde::Serialize;

use super::charts::{Charts, QUANTILES};
use super::raw::Plain;
use super::runs::Runs;
use super::verdicts::{Mark, Table};
use super::words::Answer;
use super::{Error, Timeline, numbers, raw, verdicts, words};
use crate::judge::Judgement;
use crate::results::Results;

const STYLE: &str = include_str!("../../assets/report.css");
const SCRIPT: &str = include_str!("../../assets/report.js");
const D3: &str = include_str!("../../assets/d3.min.js");
const PLOT: &str = include_str!("../../assets/plot.umd.min.js");

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    results: &'a Results,
    judgement: &'a Judgement,
    place: String,
    amount: String,
    caveat: Option<&'static str>,
    /// Of the intervals, such as `95 %`.
    confidence: String,
    base: &'a str,
    base_what: &'a str,
    answers: Vec<Answer>,
    marks: [(Mark, &'static str); 6],
    primary: Table,
    secondary: Table,
    sections: Vec<Section<'a>>,
    charts: &'a Charts,
    quantiles: [&'static str; 4],
    facts: Vec<(String, String)>,
    raw: Vec<Plain>,
    counters: Option<Plain>,
    results_json: String,
    charts_json: String,
    style: &'static str,
    libraries: [&'static str; 2],
    script: &'static str,
}

/// The charts of one workload, as places in the list of all.
struct Section<'a> {
    name: &'a str,
    primary: Vec<usize>,
    secondary: Vec<usize>,
}

pub(super) fn make(
    results: &Results,
    judgement: &Judgement,
    timelines: &[Timeline],
) -> Result<String, Error> {
    let runs = Runs::of(results, judgement);
    let charts = Charts::of(results, judgement, &runs, timelines);
    let first = results.variants.first();
    let page = Page {
        results,
        judgement,
        place: words::place(&results.environment).join(" · "),
        amount: words::amount(results).join(" · "),
        caveat: words::caveat(&results.environment),
        confidence: format!("{}\u{a0}%", judgement.rules.confidence * 100.0),
        base: first.map_or("", |variant| &variant.name),
        base_what: first.map_or("", |variant| &variant.what),
        answers: words::answers(results, judgement, &runs),
        marks: [
            (Mark::Better, "better"),
            (Mark::Worse, "worse"),
            (Mark::Same, "no difference shown"),
            (Mark::Few, "too few runs"),
            (Mark::Broken, "failed or refused"),
            (Mark::Base, "baseline"),
        ],
        primary: verdicts::table(results, judgement, &runs, true),
        secondary: verdicts::table(results, judgement, &runs, false),
        sections: sections(results, &charts),
        quantiles: QUANTILES.map(|(_, name)| name),
        facts: facts(results),
        raw: raw::tables(results, judgement),
        counters: raw::counters(results, &runs),
        results_json: embedded(results)?,
        charts_json: embedded(&charts)?,
        charts: &charts,
        style: STYLE,
        libraries: [D3, PLOT],
        script: SCRIPT,
    };
    Ok(page.render()?)
}

fn sections<'a>(results: &'a Results, charts: &Charts) -> Vec<Section<'a>> {
    let section = |workload: &'a crate::results::Workload| {
        let of_it = |primary: bool| {
            let all = charts.metrics.iter().enumerate();
            let chosen = all.filter(|(_, series)| series.workload == workload.name);
            chosen
                .filter(|(_, series)| series.primary == primary)
                .map(|(at, _)| at)
                .collect()
        };
        Section {
            name: &workload.name,
            primary: of_it(true),
            secondary: of_it(false),
        }
    };
    results.workloads.iter().map(section).collect()
}

/// The environment, line by line.
fn facts(results: &Results) -> Vec<(String, String)> {
    let environment = &results.environment;
    let mut facts = vec![
        ("Backend", environment.backend.clone()),
        ("Machine", environment.machine.clone()),
        ("CPUs", environment.cpus.to_string()),
        ("Processor", environment.processor.clone()),
        ("Kernel", environment.kernel.clone()),
        (
            "Accelerator",
            environment.accelerator.clone().unwrap_or_default(),
        ),
    ];
    if let Some(git) = &environment.git {
        let state = if git.dirty {
            ", with changes that are not committed"
        } else {
            ""
        };
        facts.push(("Source", format!("commit {}{state}", git.commit)));
    }
    facts.extend([
        ("Started", results.started.clone()),
        ("Took", numbers::duration(results.wall_s)),
        ("Rounds planned", results.runs_planned.to_string()),
        ("Seed", results.seed.to_string()),
    ]);
    let versions = environment.versions.iter();
    let versions = versions.map(|(name, version)| (format!("Version of {name}"), version.clone()));
    let facts = facts
        .into_iter()
        .map(|(name, fact)| (name.to_owned(), fact));
    facts
        .chain(versions)
        .filter(|(_, fact)| !fact.is_empty())
        .collect()
}

/// Data as JSON that can stand in a script element: without `<`, it cannot end the element.
fn embedded(data: &impl Serialize) -> Result<String, Error> {
    Ok(serde_json::to_string(data)?.replace('<', "\\u003c"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_cannot_end_its_element() {
        let text = embedded(&["</script><!--", "a<b"]).unwrap();
        assert!(!text.contains('<'));
        let back: Vec<String> = serde_json::from_str(&text).unwrap();
        assert_eq!(back, ["</script><!--", "a<b"]);
    }

    #[test]
    fn what_is_inlined_cannot_end_its_element() {
        for code in [D3, PLOT, SCRIPT] {
            assert!(!code.contains("</script") && !code.contains("<!--"));
        }
        assert!(!STYLE.contains("</style"));
    }
}
