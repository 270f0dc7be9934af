//! `docs/results-schema.md` and the code: each field of `results.json` is in the document, with its
//! type, and each that is in the document is written.

use std::collections::{BTreeMap, BTreeSet};

use baton_lab::results::{
    Environment, Git, Latency, Metric, Results, Run, SCHEMA, Status, Variant, Workload,
};
use baton_workload::Better;
use serde_json::Value;

const DOCUMENT: &str = include_str!("../../../docs/results-schema.md");

/// Objects whose keys are names, not fields.
const BY_NAME: [&str; 4] = [
    "environment.versions",
    "runs[].values",
    "runs[].latencies",
    "runs[].counters",
];

const STATUSES: [Status; 6] = [
    Status::Ok,
    Status::Failed,
    Status::Ejected,
    Status::Unloadable,
    Status::Timeout,
    Status::Refused,
];

/// Results with something in every field, but for what may be null: that only if `full`. Written without
/// `..`, so that a new field is given here, too.
fn example(full: bool) -> Results {
    let text = |text: &str| full.then(|| text.to_owned());
    Results {
        schema: SCHEMA,
        experiment: "made".into(),
        description: "What is it?".into(),
        source: "name = \"made\"".into(),
        seed: 1,
        runs_planned: 1,
        environment: Environment {
            backend: "vm".into(),
            kernel: "7.0".into(),
            machine: "2-cpu".into(),
            cpus: 2,
            processor: "any".into(),
            accelerator: text("kvm"),
            versions: BTreeMap::from([("baton".into(), "0.1.0".into())]),
            git: full.then(|| Git {
                commit: "0123".into(),
                dirty: true,
            }),
        },
        variants: ["kernel", "kernel/2"].map(variant(full)).into(),
        workloads: vec![Workload {
            name: "pipe".into(),
            what: "pipe:rounds=3000".into(),
        }],
        metrics: vec![Metric {
            workload: "pipe".into(),
            name: "pipe.time_s".into(),
            unit: "s".into(),
            better: Better::Lower,
            primary: true,
        }],
        runs: vec![run(full)],
        notes: vec!["a note".into()],
        started: "2026-01-31T12:00:00Z".into(),
        wall_s: 1.5,
    }
}

fn variant(full: bool) -> impl Fn(&str) -> Variant {
    move |name| Variant {
        name: name.into(),
        what: "the kernel's own".into(),
        same_as: name
            .strip_suffix("/2")
            .filter(|_| full)
            .map(ToOwned::to_owned),
        prefix: full,
    }
}

fn run(full: bool) -> Run {
    let time_s = if full { 0.25 } else { f64::NAN };
    Run {
        round: 0,
        boot: 0,
        variant: "kernel".into(),
        workload: "pipe".into(),
        seed: 1,
        status: Status::Failed,
        problem: full.then(|| "it failed".to_owned()),
        values: BTreeMap::from([("pipe.time_s".into(), time_s)]),
        latencies: BTreeMap::from([(
            "pipe.round_trip".into(),
            Latency {
                count: 2,
                points: vec![(0.5, 10.5), (1.0, 20.0)],
            },
        )]),
        cpu_s: full.then_some(0.5),
        wall_s: 0.5,
        counters: BTreeMap::from([("wakes".into(), 7)]),
    }
}

/// The path of what a value at this path holds.
fn below(path: &str, key: &str) -> String {
    match path {
        "" => key.to_owned(),
        _ => format!("{path}.{key}"),
    }
}

/// All values at the paths of fields: lists are `[]`, and objects by name `{}`.
fn fields<'a>(path: &str, value: &'a Value, found: &mut BTreeMap<String, Vec<&'a Value>>) {
    match value {
        Value::Object(object) if BY_NAME.contains(&path) => {
            assert!(!object.is_empty(), "{path} of the example is empty");
            for value in object.values() {
                fields(&format!("{path}{{}}"), value, found);
            }
        }
        Value::Object(object) => {
            for (key, value) in object {
                let path = below(path, key);
                found.entry(path.clone()).or_default().push(value);
                fields(&path, value, found);
            }
        }
        Value::Array(list) => {
            for value in list {
                fields(&format!("{path}[]"), value, found);
            }
        }
        _ => {}
    }
}

/// The text in the first pair of backticks.
fn code(text: &str) -> Option<&str> {
    text.split('`').nth(1)
}

/// What the document has: the type of each field, by its path. A heading in backticks says where the
/// fields of the table below it are.
fn documented() -> BTreeMap<String, String> {
    let (mut path, mut in_table) = (String::new(), false);
    let mut found = BTreeMap::new();
    for line in DOCUMENT.lines() {
        if line.starts_with('#') {
            path = code(line).unwrap_or_default().to_owned();
        }
        let cells: Vec<&str> = line.split(" | ").collect();
        match line.strip_prefix("| ") {
            None if !line.starts_with('|') => in_table = false,
            Some(_) if cells[0] == "| field" => in_table = true,
            Some(first) if in_table => {
                let name = code(first).expect("a field stands in backticks");
                let known = found.insert(below(&path, name), cells[1].to_owned());
                assert_eq!(known, None, "{} is there twice", below(&path, name));
            }
            _ => {}
        }
    }
    found
}

/// Whether a field of this type may be null.
fn may_be_null(kind: &str) -> bool {
    kind.contains("or null,") || kind.ends_with("or null")
}

/// Whether a value is what the document calls it.
fn is_of(value: &Value, kind: &str) -> bool {
    match value {
        Value::Null => may_be_null(kind),
        Value::Bool(_) => kind == "bool",
        Value::String(_) => kind.starts_with("text"),
        Value::Number(number) if number.is_f64() => kind.starts_with("number"),
        Value::Number(_) => kind.starts_with("integer"),
        Value::Array(_) => kind.starts_with("list of "),
        Value::Object(_) => kind.starts_with("object"),
    }
}

#[test]
fn every_field_is_in_the_document_and_no_other() {
    let example = serde_json::to_value(example(true)).unwrap();
    let mut written = BTreeMap::new();
    fields("", &example, &mut written);
    let documented = documented();
    let written: BTreeSet<&String> = written.keys().collect();
    let known: BTreeSet<&String> = documented.keys().collect();
    let missing: Vec<_> = written.difference(&known).collect();
    assert!(
        missing.is_empty(),
        "docs/results-schema.md has not: {missing:?}"
    );
    let gone: Vec<_> = known.difference(&written).collect();
    assert!(gone.is_empty(), "only docs/results-schema.md has: {gone:?}");
}

#[test]
fn every_type_is_the_documents() {
    let examples = [true, false].map(|full| serde_json::to_value(example(full)).unwrap());
    let mut written = BTreeMap::new();
    for example in &examples {
        fields("", example, &mut written);
    }
    for (path, kind) in documented() {
        let values = &written[&path];
        for value in values {
            assert!(is_of(value, &kind), "{path}: `{kind}`, and it is {value}");
        }
        let null = values.iter().any(|value| value.is_null());
        assert_eq!(null, may_be_null(&kind), "{path}: `{kind}`");
        let by_name = BY_NAME.contains(&path.as_str());
        assert_eq!(by_name, kind.starts_with("object by name"), "{path}");
    }
}

#[test]
fn numbers_and_words_are_the_documents() {
    let schema = format!("This is schema `{SCHEMA}`");
    assert!(DOCUMENT.contains(&schema), "{schema}");
    let table = DOCUMENT
        .split("| `status` | how the run ended |")
        .nth(1)
        .unwrap();
    let table = table.split("\n\n").next().unwrap();
    let words: BTreeSet<&str> = table.lines().skip(2).filter_map(code).collect();
    assert_eq!(words, STATUSES.map(Status::text).into());
    for status in STATUSES {
        // A match without a rest, so that a new status is put into the list.
        match status {
            Status::Ok | Status::Failed | Status::Ejected => {}
            Status::Unloadable | Status::Timeout | Status::Refused => {}
        }
        assert_eq!(serde_json::to_value(status).unwrap(), status.text());
    }
    for better in [Better::Lower, Better::Higher] {
        let word = serde_json::to_value(better).unwrap();
        let better = &documented_row("better");
        assert!(better.contains(&format!("`{}`", word.as_str().unwrap())));
    }
}

fn documented_row(field: &str) -> String {
    let start = format!("| `{field}` |");
    let row = DOCUMENT.lines().find(|line| line.starts_with(&start));
    row.unwrap().to_owned()
}

/// Adds a field to every object.
fn widen(path: &str, value: &mut Value) {
    match value {
        Value::Object(object) => {
            let by_name = BY_NAME.contains(&path);
            for (key, value) in object.iter_mut() {
                let path = if by_name {
                    format!("{path}{{}}")
                } else {
                    below(path, key)
                };
                widen(&path, value);
            }
            if !by_name {
                object.insert("later".into(), Value::from(vec![1]));
            }
        }
        Value::Array(list) => {
            let path = format!("{path}[]");
            list.iter_mut().for_each(|value| widen(&path, value));
        }
        _ => {}
    }
}

#[test]
fn fields_of_later_builds_are_passed_over() {
    let mut later = serde_json::to_value(example(true)).unwrap();
    widen("", &mut later);
    assert_eq!(
        later["runs"][0]["latencies"]["pipe.round_trip"]["later"][0],
        1
    );
    let read = Results::parse(later.to_string().as_bytes()).unwrap();
    assert_eq!(read, example(true));
}

/// Takes away what is null.
fn narrow(value: &mut Value) {
    match value {
        Value::Object(object) => {
            object.retain(|_, value| !value.is_null());
            object.values_mut().for_each(narrow);
        }
        Value::Array(list) => list.iter_mut().for_each(narrow),
        _ => {}
    }
}

#[test]
fn what_may_be_null_may_be_missing() {
    let mut earlier = serde_json::to_value(example(false)).unwrap();
    narrow(&mut earlier);
    assert!(earlier["environment"].get("git").is_none());
    let read = Results::parse(earlier.to_string().as_bytes()).unwrap();
    // A value that is missing is none; it was no number.
    let mut expected = example(false);
    expected.runs[0].values.clear();
    assert_eq!(read, expected);
}
