//! `baton train`, `baton eval` and `baton learn`, on recordings of the simulator.

mod common;

use std::{fs, path::Path};

use common::baton;
use tempfile::TempDir;

/// Recordings of three workloads.
fn recordings(directory: &Path) -> Vec<String> {
    recordings_of(directory, "2-cpu")
}

fn recordings_of(directory: &Path, machine: &str) -> Vec<String> {
    ["requests+hogs", "frames+hogs", "messaging"]
        .iter()
        .map(|workload| {
            let path = directory.join(format!("{}.rec", workload.replace('+', "-")));
            let path = path.to_string_lossy().into_owned();
            let sim = ["sim", "edf", "--machine", machine, "--for", "3s"];
            let given = baton(&[&sim[..], &["--workload", workload, "--trace", &path]].concat());
            assert_eq!(given.status, 0, "{}", given.stderr);
            path
        })
        .collect()
}

fn train(files: &[String], more: &[&str]) -> common::Given {
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    baton(&[&["train"], &files[..], more].concat())
}

#[test]
fn from_recordings_to_a_model_and_back() {
    let directory = TempDir::new().expect("a directory");
    let at = |name: &str| directory.path().join(name).to_string_lossy().into_owned();
    let files = recordings(directory.path());
    let (model, data) = (at("model.json"), at("all.bursts"));
    let given = train(&files, &["-o", &model, "--data", &data, "--json"]);
    assert_eq!(given.status, 0, "{}", given.stderr);
    let report: serde_json::Value = serde_json::from_str(&given.stdout).expect("JSON");
    let held_out = report["held_out"].as_array().expect("a list");
    assert_eq!(report["split"], "application");
    for scores in held_out
        .iter()
        .flat_map(|held_out| held_out["scores"].as_array().expect("a list"))
    {
        let share = scores["agreement"].as_f64().expect("a number");
        assert!((0.0..=1.0).contains(&share), "{scores}");
    }
    assert!(
        report["agreement"]["trees"]
            .as_f64()
            .is_some_and(|share| share > 0.0)
    );
    let names: Vec<&str> = held_out
        .iter()
        .filter_map(|held_out| held_out["application"].as_str())
        .collect();
    assert_eq!(names, ["requests-hogs", "frames-hogs", "messaging"]);
    let ratios = &report["loss_against_exponential_average"];
    assert_eq!(
        ratios["exponential average"]
            .as_f64()
            .map(|ratio| (ratio * 1e6).round()),
        Some(1e6)
    );
    assert!(
        ratios["trees"]
            .as_f64()
            .is_some_and(|ratio| ratio > 0.0 && ratio < 3.0),
        "{ratios}"
    );

    // The data set gives the same model as the recordings.
    let again = at("again.json");
    let given = train(&[data], &["-o", &again]);
    assert_eq!(given.status, 0, "{}", given.stderr);
    assert!(
        given.stdout.contains("exponential average") && given.stdout.contains("Agreement"),
        "{}",
        given.stdout
    );
    let read = |path: &str| fs::read(path).expect("it is there");
    assert_eq!(read(&model), read(&again));

    let given = baton(&["eval", &model, &files[0], "--json"]);
    assert_eq!(given.status, 0, "{}", given.stderr);
    let report: serde_json::Value = serde_json::from_str(&given.stdout).expect("JSON");
    assert_eq!(report["refused"], false);
    assert_eq!(report["scores"].as_array().map(Vec::len), Some(8));
}

#[test]
fn machines_are_held_out_and_data_is_kept_small() {
    let directory = TempDir::new().expect("a directory");
    let at = |name: &str| directory.path().join(name).to_string_lossy().into_owned();
    let mut files = Vec::new();
    for machine in ["2-cpu", "4-cpu-smt"] {
        let folder = directory.path().join(machine);
        fs::create_dir(&folder).expect("it is made");
        files.extend(recordings_of(&folder, machine));
    }
    let given = train(&files[..3], &["--split", "machine"]);
    assert_eq!(given.status, 2, "{}", given.stderr);
    assert!(given.stderr.contains("another machine"), "{}", given.stderr);

    let small = at("small.bursts");
    let bounded = ["--data", &small, "--data-size", "24"];
    let given = train(&files, &[&bounded[..], &["--data-only", "--json"]].concat());
    assert_eq!(given.status, 0, "{}", given.stderr);
    let report: serde_json::Value = serde_json::from_str(&given.stdout).expect("JSON");
    let groups = report["groups"].as_array().expect("a list");
    assert_eq!(groups.len(), 6, "{report}");
    let size = fs::metadata(&small).expect("it is there").len();
    assert!((20 << 10..=24 << 10).contains(&size), "{size}");
    let bytes = fs::read(&small).expect("it is there");
    let given = train(
        &files,
        &["--data", &small, "--data-size", "24", "--data-only"],
    );
    assert_eq!(given.status, 0, "{}", given.stderr);
    assert!(given.stdout.contains("messaging"), "{}", given.stdout);
    assert_eq!(
        fs::read(&small).expect("it is there"),
        bytes,
        "the same again"
    );

    let all = at("all.bursts");
    let given = train(&files, &["--data", &all, "--data-only"]);
    assert_eq!(given.status, 0, "{}", given.stderr);
    let given = train(&[all], &["--split", "machine", "--json"]);
    assert_eq!(given.status, 0, "{}", given.stderr);
    let report: serde_json::Value = serde_json::from_str(&given.stdout).expect("JSON");
    let rows: Vec<(&str, &str)> = report["held_out"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|row| {
            (
                row["held_out"].as_str().unwrap_or(""),
                row["application"].as_str().unwrap_or(""),
            )
        })
        .collect();
    assert_eq!(rows.len(), 6, "{rows:?}");
    assert!(
        rows[..3]
            .iter()
            .all(|row| row.0.starts_with("2-cpu 2 CPUs")),
        "{rows:?}"
    );
    assert!(
        rows[3..]
            .iter()
            .all(|row| row.0.starts_with("4-cpu-smt 4 CPUs")),
        "{rows:?}"
    );
    let given = train(&[small], &["--split", "time", "--samples", "1000"]);
    assert_eq!(
        given.status, 2,
        "too few of each: {}{}",
        given.stdout, given.stderr
    );
}

#[test]
fn a_network_is_a_model_too_and_the_reference_is_none() {
    let directory = TempDir::new().expect("a directory");
    let files = recordings(directory.path());
    let model = directory
        .path()
        .join("model.json")
        .to_string_lossy()
        .into_owned();
    let given = train(&files, &["--trainer", "network", "-o", &model]);
    assert_eq!(given.status, 0, "{}", given.stderr);
    let given = train(&files, &["--trainer", "reference", "-o", &model]);
    assert_eq!(given.status, 2, "{}", given.stderr);
    assert!(given.stderr.contains("milliseconds"), "{}", given.stderr);
}

#[test]
fn what_is_no_model_is_refused() {
    let directory = TempDir::new().expect("a directory");
    let files = recordings(directory.path());
    let path = directory
        .path()
        .join("model.json")
        .to_string_lossy()
        .into_owned();
    assert_eq!(train(&files, &["-o", &path]).status, 0);
    let text = fs::read_to_string(&path).expect("it is there");
    for (what, changed, says) in [
        (
            "another seed",
            text.replace("\"seed\":1", "\"seed\":2"),
            "changed after",
        ),
        ("cut", text[..text.len() / 2].to_owned(), "not a model"),
        (
            "another schema",
            text.replace("\"schema\":1", "\"schema\":7"),
            "train it again",
        ),
        ("something else", "{}".to_owned(), "not a model"),
    ] {
        fs::write(&path, changed).expect("it is written");
        let given = baton(&["eval", &path, &files[0]]);
        assert_eq!(given.status, 2, "{what}: {}", given.stderr);
        assert!(given.stderr.contains(says), "{what}: {}", given.stderr);
    }
    let given = baton(&["eval", "/nowhere.json", &files[0]]);
    assert_eq!(given.status, 1, "{}", given.stderr);
    let given = baton(&["train", &path]);
    assert_eq!(given.status, 2, "{}", given.stderr);
    let given = baton(&["train", "/nowhere.rec"]);
    assert_eq!(given.status, 1, "{}", given.stderr);
}

#[test]
fn what_was_learned_elsewhere_is_a_model() {
    let directory = TempDir::new().expect("a directory");
    let at = |name: &str| directory.path().join(name).to_string_lossy().into_owned();
    let files = recordings(directory.path());
    let (table, model) = (at("bursts.csv"), at("model.json"));
    let given = baton(&["learn", "export", &files[0], "-o", &table, "--json"]);
    assert_eq!(given.status, 0, "{}", given.stderr);
    let report: serde_json::Value = serde_json::from_str(&given.stdout).expect("JSON");
    let text = fs::read_to_string(&table).expect("it is there");
    let rows = text.lines().count() as u64 - 1;
    assert_eq!(report["rows"].as_u64(), Some(rows));

    let onnx = |name: &str| {
        format!(
            "{}/../train/tests/data/{name}.onnx",
            env!("CARGO_MANIFEST_DIR")
        )
    };
    let import = |models: &[&str], more: &[&str]| {
        let models: Vec<String> = models.iter().map(|name| onnx(name)).collect();
        let models: Vec<&str> = models.iter().map(String::as_str).collect();
        baton(&[&["learn", "import"], &models[..], &["-o", &model], more].concat())
    };
    let both = ["boosted-median", "boosted-p90"];
    let given = import(&both, &["--data", &files[0], "--json"]);
    assert_eq!(given.status, 0, "{}", given.stderr);
    let report: serde_json::Value = serde_json::from_str(&given.stdout).expect("JSON");
    assert_eq!(report["outputs"], 2);
    let difference = &report["difference"];
    assert_eq!(difference["predictions"].as_u64(), Some(2 * rows));
    assert!(
        difference["most_steps"]
            .as_f64()
            .is_some_and(|most| most <= 0.501),
        "{report}"
    );
    // It learned from something else, so whether it is refused does not matter.
    let given = baton(&["eval", &model, &files[0], "--json"]);
    let report: serde_json::Value = serde_json::from_str(&given.stdout).expect("JSON");
    assert_eq!(report["samples"].as_u64(), Some(rows), "{}", given.stdout);

    let given = import(&["mlp-2"], &["--unit", "octaves"]);
    assert_eq!(given.status, 0, "{}", given.stderr);
    assert!(given.stdout.contains("a network of"), "{}", given.stdout);
    let given = import(&["mlp-1"], &[]);
    assert_eq!(given.status, 2, "{}", given.stderr);
    assert!(given.stderr.contains("takes 15 values"), "{}", given.stderr);
    let given = import(&["mlp-2"], &["--features", "last1,nothing"]);
    assert_eq!(given.status, 2, "{}", given.stderr);
    assert!(
        given.stderr.contains("there is no feature"),
        "{}",
        given.stderr
    );
}

/// `contrary.onnx` guesses 37 octaves less twice the average, to which the average is added: short bursts
/// for tasks whose bursts were long, and long ones for the others.
#[test]
fn a_model_that_its_mirror_equals_is_refused() {
    let directory = TempDir::new().expect("a directory");
    let model = directory.path().join("model.json");
    let model = model.to_string_lossy();
    let onnx = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/contrary.onnx");
    let named = ["--features", "average", "--unit", "octaves", "-o", &model];
    let given = baton(&[&["learn", "import", onnx], &named[..]].concat());
    assert_eq!(given.status, 0, "{}", given.stderr);
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/bursts.data");
    let given = baton(&["eval", &model, data]);
    assert_eq!(given.status, 1, "{}", given.stdout);
    assert!(
        given.stderr.contains("its mirror image"),
        "{}",
        given.stderr
    );
    // The one that comes with Baton is none such.
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/bursts.json");
    let given = baton(&["eval", shipped, data]);
    assert_eq!(given.status, 0, "{}", given.stderr);
}
