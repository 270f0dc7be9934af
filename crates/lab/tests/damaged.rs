//! Results that are old, foreign or damaged: an error that says what is wrong, never a panic.

mod common;

use baton_lab::{
    compare::compare,
    judge::{Rules, judge},
    read::Problem,
    results::Results,
    table,
};
use common::{TIME, about, add, results};
use serde_json::Value;

fn good() -> Results {
    let mut results = results(&["kernel", "kernel/2", "edf"]);
    for (seed, variant) in ["kernel", "kernel/2", "edf"].into_iter().enumerate() {
        add(
            &mut results,
            variant,
            "pipe",
            TIME,
            &about(1.0, 0.1, 10, seed as u64),
        );
    }
    results
        .runs
        .iter_mut()
        .for_each(|run| run.cpu_s = Some(1.0));
    results
}

fn document() -> Value {
    serde_json::to_value(good()).unwrap()
}

#[track_caller]
fn check(text: &str, words: &str) {
    let problem = Results::parse(text.as_bytes()).expect_err(text).to_string();
    assert!(problem.contains(words), "{problem}");
}

/// What is said when this is changed.
#[track_caller]
fn changed(change: impl Fn(&mut Value), words: &str) {
    let mut document = document();
    change(&mut document);
    check(&document.to_string(), words);
}

#[test]
fn what_was_written_is_read() {
    let text = serde_json::to_vec(&good()).unwrap();
    assert_eq!(Results::parse(&text).unwrap(), good());
}

#[test]
fn files() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("results.json");
    let said = Results::read(&path).unwrap_err().to_string();
    assert!(
        said.contains("cannot read") && said.contains("results.json"),
        "{said}"
    );
    let said = Results::read(directory.path()).unwrap_err().to_string();
    assert!(said.contains("cannot read"), "{said}");
    std::fs::write(&path, "{").unwrap();
    let said = Results::read(&path).unwrap_err().to_string();
    assert!(
        said.contains("results.json: it is not JSON, or was cut off"),
        "{said}"
    );
}

#[test]
fn foreign_texts() {
    check("", "it is not JSON");
    check("<html>", "it is not JSON");
    check("[1, 2]", "not the results of an experiment");
    check("{}", "it has no `schema` and `experiment`");
    check(r#"{"cells": [], "runs": 3}"#, "`baton bench`");
    let text = serde_json::to_string(&good()).unwrap();
    check(&text[..text.len() / 2], "cut off");
}

#[test]
fn other_schemas() {
    changed(
        |document| document["schema"] = 2.into(),
        "its schema is 2, and this build reads 1",
    );
    changed(
        |document| document["schema"] = "one".into(),
        "its schema is \"one\"",
    );
}

#[test]
fn fields() {
    changed(|document| document["variants"] = 3.into(), "it is damaged");
    changed(
        |document| document["runs"][0]["status"] = "great".into(),
        "unknown variant `great`",
    );
    changed(
        |document| document["runs"][0]["round"] = (-1).into(),
        "line 1 column",
    );
    let run = |document: &mut Value| {
        document["runs"][1]
            .as_object_mut()
            .unwrap()
            .remove("values")
    };
    changed(|document| drop(run(document)), "missing field `values`");
}

#[test]
fn contradictions() {
    changed(
        |document| document["variants"] = Value::Array(vec![]),
        "there are no variants",
    );
    changed(
        |document| document["variants"][2]["name"] = "kernel".into(),
        "two variants `kernel`",
    );
    changed(
        |document| document["variants"][1]["same_as"] = "eevdf".into(),
        "the same as `eevdf`",
    );
    changed(
        |document| document["runs"][4]["variant"] = "fifo".into(),
        "runs[4] is of `fifo`",
    );
    changed(
        |document| document["runs"][4]["workload"] = "build".into(),
        "runs[4] is of `build`",
    );
    changed(
        |document| document["runs"][4]["round"] = 3.into(),
        "round 3 of `kernel` on `pipe` is there twice",
    );
    changed(
        |document| document["runs"][4]["cpu_s"] = (-1).into(),
        "a duration is below 0",
    );
    changed(
        |document| document["metrics"][0]["workload"] = "build".into(),
        "which is no workload",
    );
    changed(
        |document| {
            let metric = document["metrics"][0].clone();
            document["metrics"].as_array_mut().unwrap().push(metric);
        },
        "two metrics `pipe.time_s`",
    );
}

/// Whatever can be read can be judged, compared and printed.
fn use_all(text: &[u8], good: &Results) -> bool {
    let Ok(results) = Results::parse(text) else {
        return false;
    };
    let judgement = judge(&results, &Rules::default());
    let _ = table::judgement(&judgement);
    for relative in [false, true] {
        let _ = table::comparison(&compare(good, &results, &Rules::default(), relative));
    }
    true
}

#[test]
fn bytes_at_random() {
    let text = serde_json::to_vec(&good()).unwrap();
    let good = good();
    let mut read = 0;
    for seed in 0..3000 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut bytes = text.clone();
        for _ in 0..rng.usize(1..4) {
            let at = rng.usize(0..bytes.len());
            match rng.u8(0..4) {
                0 => bytes[at] = rng.u8(..),
                1 => bytes[at] = b"0123456789-+.eE{}[]\",:nN"[rng.usize(0..24)],
                2 => drop(bytes.drain(at..(at + rng.usize(1..40)).min(bytes.len()))),
                _ => bytes.insert(at, b"0123456789\"}],"[rng.usize(0..14)]),
            }
            if bytes.is_empty() {
                bytes.push(b'{');
            }
        }
        let done = std::panic::catch_unwind(|| use_all(&bytes, &good));
        match done {
            Ok(is_read) => read += u32::from(is_read),
            Err(_) => panic!("seed {seed} panics"),
        }
    }
    assert!(
        read > 100,
        "only {read} could be read: the test looks at the parser alone"
    );
}

#[test]
fn values_at_random() {
    let good = good();
    let odd = [
        "null",
        "0",
        "-0.0",
        "-1",
        "1e308",
        "-1e308",
        "5e-324",
        "1e-300",
        "4294967295",
        "18446744073709551615",
        "\"\"",
        "\"edf\"",
        "[]",
        "{}",
        "true",
        "[[0.5,1e308]]",
    ];
    let mut read = 0;
    for seed in 0..3000 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut document = document();
        for _ in 0..rng.usize(1..5) {
            let value = serde_json::from_str(odd[rng.usize(0..odd.len())]).unwrap();
            replace(&mut document, value, &mut rng);
        }
        let text = document.to_string().into_bytes();
        match std::panic::catch_unwind(|| use_all(&text, &good)) {
            Ok(is_read) => read += u32::from(is_read),
            Err(_) => panic!("seed {seed} panics"),
        }
    }
    assert!(read > 100, "only {read} could be read");
}

/// Puts a value somewhere; mostly among the runs.
fn replace(at: &mut Value, value: Value, rng: &mut fastrand::Rng) {
    let mut at = at;
    loop {
        let is_leaf = match at {
            Value::Array(entries) => entries.is_empty(),
            Value::Object(fields) => fields.is_empty(),
            _ => true,
        };
        if is_leaf || rng.u8(0..12) == 0 {
            *at = value;
            return;
        }
        at = match at {
            Value::Array(entries) => {
                let index = rng.usize(0..entries.len());
                &mut entries[index]
            }
            Value::Object(fields) => {
                let index = rng.usize(0..fields.len());
                match fields.contains_key("runs") && rng.u8(0..4) > 0 {
                    true => &mut fields["runs"],
                    false => fields.values_mut().nth(index).expect("there is one"),
                }
            }
            _ => return,
        };
    }
}

#[test]
fn a_text_that_is_too_deep() {
    let deep = format!(r#"{{"schema":1,"experiment":{}"#, "[".repeat(100_000));
    assert!(matches!(
        Results::parse(deep.as_bytes()),
        Err(Problem::Json(_) | Problem::Foreign(_))
    ));
}
