//! The report as a text: what must be in it whatever the results are.

mod report_support;

use baton_lab::judge::{Judgement, Rules, judge};
use baton_lab::report::{Timeline, html};
use baton_lab::results::{Results, Status};
use report_support::{judgement, results, timelines};

fn page(results: &Results) -> String {
    html(results, &judgement(results), &timelines()).expect("the page can be made")
}

/// What is between these two texts, for the first time.
fn between<'a>(text: &'a str, begin: &str, end: &str) -> &'a str {
    let (_, rest) = text
        .split_once(begin)
        .unwrap_or_else(|| panic!("{begin} is missing"));
    rest.split_once(end)
        .unwrap_or_else(|| panic!("{end} is missing"))
        .0
}

#[test]
fn every_cell_has_a_row() {
    let results = results();
    let page = page(&results);
    let verdicts = between(&page, "id=\"verdicts\"", "id=\"measurements\"");
    let groups: Vec<&str> = verdicts.split("<tr class=\"group\">").skip(1).collect();
    assert_eq!(groups.len(), results.metrics.len());
    for group in groups {
        for variant in &results.variants {
            let cell = format!("{}</th>", variant.name);
            assert!(
                group.contains(&cell),
                "{} is missing in {group}",
                variant.name
            );
        }
    }
    for cell in judgement(&results).cells {
        assert!(
            verdicts.contains(&cell.why.replace('\'', "&#39;")),
            "{}",
            cell.why
        );
    }
}

#[test]
fn every_value_is_in_the_tables() {
    let results = results();
    let page = page(&results);
    let values = between(&page, "id=\"values\"", "</main>");
    for run in &results.runs {
        assert!(values.contains(&format!("<td class=\"number\">{}</td>", run.seed)));
        for (name, value) in &run.values {
            let cell = format!("<td class=\"number\">{value}</td>");
            assert!(
                values.contains(&cell),
                "{name} {value} of round {}",
                run.round
            );
        }
    }
    let rows =
        values.matches("<tr><td>").count() + values.matches("<tr class=\"broken\"><td>").count();
    assert!(rows >= results.runs.len());
}

#[test]
fn what_failed_is_told() {
    let results = results();
    let page = page(&results);
    let verdicts = between(&page, "id=\"verdicts\"", "id=\"measurements\"");
    for text in ["12 of 12 ejected", "3 of 12 out of time", "1 of 12 refused"] {
        assert!(verdicts.contains(text), "{text}");
    }
    let answers = between(&page, "id=\"answers\"", "id=\"verdicts\"");
    assert!(
        answers.contains("24 ejected, 3 out of time and 1 refused"),
        "{answers}"
    );
    let refusal = &judgement(&results).refused[0];
    let values = between(&page, "id=\"values\"", "</main>");
    assert!(values.contains(&format!("refused: {}", refusal.reason)));
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let results = results();
    assert_eq!(page(&results), page(&results));
}

/// A text that does something wherever it is not escaped.
const HOSTILE: &str = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'&<!--";

fn hostile() -> (Results, Vec<Timeline>) {
    let mut results = results();
    let (variant, workload) = (
        results.variants[1].name.clone(),
        results.workloads[0].name.clone(),
    );
    for text in [
        &mut results.experiment,
        &mut results.description,
        &mut results.source,
        &mut results.started,
        &mut results.environment.machine,
        &mut results.environment.processor,
        &mut results.environment.kernel,
        &mut results.environment.backend,
    ] {
        *text = HOSTILE.to_owned();
    }
    results.environment.accelerator = Some(HOSTILE.to_owned());
    results
        .environment
        .versions
        .insert(HOSTILE.to_owned(), HOSTILE.to_owned());
    results.notes.push(HOSTILE.to_owned());
    results.variants[1].name = HOSTILE.to_owned();
    results.variants[1].what = HOSTILE.to_owned();
    results.workloads[0].name = HOSTILE.to_owned();
    results.workloads[0].what = HOSTILE.to_owned();
    for metric in &mut results.metrics {
        if metric.workload == workload {
            metric.workload = HOSTILE.to_owned();
            metric.unit = HOSTILE.to_owned();
        }
    }
    let last = results.metrics.len() - 1;
    let renamed = std::mem::replace(&mut results.metrics[last].name, HOSTILE.to_owned());
    for run in &mut results.runs {
        if run.variant == variant {
            run.variant = HOSTILE.to_owned();
            run.problem = Some(HOSTILE.to_owned());
        }
        if run.workload == workload {
            run.workload = HOSTILE.to_owned();
        }
        if let Some(value) = run.values.remove(&renamed) {
            run.values.insert(HOSTILE.to_owned(), value);
        }
        if let Some((_, latency)) = run.latencies.pop_first() {
            run.latencies.insert(HOSTILE.to_owned(), latency);
        }
        run.counters.insert(HOSTILE.to_owned(), 7);
    }
    let mut timelines = timelines();
    for made in &mut timelines {
        made.variant = HOSTILE.to_owned();
        made.workload = HOSTILE.to_owned();
        for task in &mut made.tasks {
            task.name = format!("{HOSTILE} 7");
        }
    }
    (results, timelines)
}

#[test]
fn names_from_outside_stay_texts() {
    let (results, timelines) = hostile();
    let page = html(&results, &judgement(&results), &timelines).unwrap();
    assert!(!page.contains("<script>alert") && !page.contains("<img") && !page.contains("<!--"));
    // Two elements of data, two libraries and the page's own script.
    assert_eq!(page.matches("<script").count(), 5);
    assert_eq!(page.matches("</script").count(), 5);
    let embedded = between(&page, "id=\"results\">", "</script>");
    let back: Results = serde_json::from_str(embedded).expect("the data is JSON");
    assert_eq!(back, results);
}

#[test]
fn nothing_is_fetched() {
    let page = page(&results());
    let (head, _) = page.split_once("<script type").unwrap();
    for text in ["http:", "https:", "src=", "@import", "url("] {
        assert!(!head.contains(text), "{text}");
    }
    assert!(page.contains("default-src 'none'"));
}

/// Whatever is missing or absurd makes a page that says so.
#[test]
fn odd_results_make_a_page() {
    let check = |change: &dyn Fn(&mut Results)| {
        let mut results = results();
        change(&mut results);
        let judgement = judge(&results, &Rules::default());
        let made = html(&results, &judgement, &timelines()).unwrap();
        assert!(made.ends_with("</html>\n") || made.ends_with("</html>"));
        made
    };
    let empty = check(&|results| results.variants.clear());
    assert!(empty.contains("Nothing is compared here: there is no variant."));
    let single = check(&|results| results.variants.truncate(1));
    assert!(single.contains("there is one variant."));
    check(&|results| results.runs.clear());
    check(&|results| results.metrics.clear());
    check(&|results| results.workloads.clear());
    check(&|results| {
        for run in &mut results.runs {
            run.status = Status::Failed;
        }
    });
    check(&|results| results.runs.iter_mut().for_each(|run| run.round = u32::MAX));
    let values = [f64::NAN, f64::INFINITY, 0.0, -1.0, 1e300, 1e-300];
    for value in values {
        check(&|results| {
            results.wall_s = value;
            for run in &mut results.runs {
                run.values.values_mut().for_each(|known| *known = value);
                run.cpu_s = Some(value);
                for latency in run.latencies.values_mut() {
                    latency.points.iter_mut().for_each(|point| point.1 = value);
                }
            }
        });
    }
}

#[test]
fn a_page_without_verdicts_has_the_measurements() {
    let results = results();
    let page = html(
        &results,
        &Judgement {
            cells: Vec::new(),
            ..judgement(&results)
        },
        &[],
    )
    .unwrap();
    assert!(page.contains("id=\"measurements\"") && !page.contains("id=\"timelines\""));
}

#[test]
fn recorded_runs_are_told_from_measured_ones() {
    let results = results();
    let judgement = judgement(&results);
    let words = "The runs were made for this";
    let page = html(&results, &judgement, &timelines()).unwrap();
    assert!(page.contains("kernel, frames+hogs, round 2") && !page.contains(words));
    let mut recorded = timelines();
    recorded.iter_mut().for_each(|made| made.recorded = true);
    let page = html(&results, &judgement, &recorded).unwrap();
    assert!(page.contains("kernel, frames+hogs, recorded") && page.contains(words));
    assert!(!page.contains("frames+hogs, round"));
}
