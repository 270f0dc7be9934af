//! The same bits from C on the host: `bpf/include/model.bpf.h` by the host's compiler.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use baton_model::{
    Features, IMAGE_BYTES, IMAGE_OFFSETS, Image, Model, OUTPUTS_MAX, Outputs, log2_q8,
    samples::{ends, extremes, features, forest, model, network, sixteen},
};
use baton_policy::Rng;
use tempfile::TempDir;

/// The C program, in a directory of its own.
struct Host {
    directory: TempDir,
    program: PathBuf,
}

impl Host {
    /// The program ends with an error where a sum overflows, a shift goes too far or an index is out of bounds.
    fn compile() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let program = directory.path().join("host");
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
        let status = Command::new(&compiler)
            .args(["-O2", "-Wall", "-Wextra", "-Werror"])
            .args(["-fsanitize=undefined", "-fno-sanitize-recover", "-o"])
            .arg(&program)
            .arg("-I")
            .arg(root.join("../../bpf/include"))
            .arg(root.join("tests/host.c"))
            .status()
            .unwrap_or_else(|error| panic!("{compiler}: {error}"));
        assert!(status.success(), "{compiler}: {status}");
        Self { directory, program }
    }

    /// What it writes when it reads this.
    fn run(&self, argument: Option<&str>, input: &[u8]) -> Vec<u8> {
        // By a file: it writes while it reads.
        let path = self.directory.path().join("input");
        std::fs::write(&path, input).expect("the input is written");
        let output = Command::new(&self.program)
            .args(argument)
            .stdin(File::open(&path).expect("the input is there"))
            .stderr(Stdio::inherit())
            .output()
            .expect("it starts");
        assert!(output.status.success(), "{}", output.status);
        output.stdout
    }

    fn infer(&self, model: &Model, all: &[Features]) -> Vec<Outputs> {
        let mut input = Image::of(model).bytes().to_vec();
        input.extend(all.iter().flatten().flat_map(|value| value.to_ne_bytes()));
        let bytes = self.run(None, &input);
        let (numbers, rest) = bytes.as_chunks::<4>();
        assert!(rest.is_empty());
        let numbers: Vec<i32> = numbers
            .iter()
            .map(|bytes| i32::from_ne_bytes(*bytes))
            .collect();
        numbers.as_chunks::<OUTPUTS_MAX>().0.to_vec()
    }

    fn compare(&self, model: &Model, all: &[Features], what: &str) {
        let found = self.infer(model, all);
        assert_eq!(found.len(), all.len(), "{what}");
        for (features, found) in all.iter().zip(found) {
            assert_eq!(found, model.infer(features), "{what}: {features:?}");
        }
    }
}

#[test]
fn the_layout_is_the_same() {
    let told = Host::compile().run(Some("layout"), &[]);
    let told: Vec<usize> = String::from_utf8_lossy(&told)
        .split_whitespace()
        .filter_map(|number| number.parse().ok())
        .collect();
    assert_eq!(
        told, IMAGE_OFFSETS,
        "layers, weights, leaves' sums, nodes, all"
    );
    assert_eq!(told.last(), Some(&IMAGE_BYTES));
}

#[test]
fn a_million_inputs_give_the_same_bits() {
    let host = Host::compile();
    let models = 200;
    for seed in 0..models {
        let mut rng = Rng::new(seed);
        let mut below = |bound| rng.below(bound);
        let model = model(&mut below);
        let all: Vec<Features> = (0..1_000_000 / models)
            .map(|_| features(&mut below))
            .collect();
        host.compare(&model, &all, &format!("seed {seed}"));
    }
}

#[test]
fn all_extremes_give_the_same_bits() {
    let host = Host::compile();
    let mut rng = Rng::new(1);
    let mut below = |bound| rng.below(bound);
    let all: Vec<Features> = extremes().collect();
    for (what, model) in [
        ("15-10-1", network(&[15, 10, 1], &mut below)),
        (
            "the largest network",
            network(&[15, 32, 32, 32, 4], &mut below),
        ),
        ("the largest forest", forest(64, 6, 4, &mut below)),
        ("a stump", forest(1, 1, 1, &mut below)),
        ("sums at both ends of 32 bits", ends()),
        ("sixteen inputs", sixteen(&mut below)),
    ] {
        host.compare(&model, &all, what);
    }
}

#[test]
fn logarithms_are_the_same() {
    let mut rng = Rng::new(3);
    let mut values: Vec<u64> = (0..64)
        .flat_map(|bit| [(1 << bit) - 1, 1 << bit, (1 << bit) + 1])
        .collect();
    values.extend((0..100_000).map(|_| {
        let bits = rng.below(64);
        rng.next_u64() >> bits
    }));
    let input: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_ne_bytes())
        .collect();
    let told = Host::compile().run(Some("log"), &input);
    let told: Vec<u16> = told
        .as_chunks()
        .0
        .iter()
        .map(|bytes| u16::from_ne_bytes(*bytes))
        .collect();
    let expected: Vec<u16> = values.iter().map(|value| log2_q8(*value)).collect();
    assert_eq!(told, expected);
}
