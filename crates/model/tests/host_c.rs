//! The same bits from C on the host: `bpf/include/model.bpf.h` by the host's compiler.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use baton_model::{
    Change, Context, DRIFT_WINDOW, Drift, FEATURES, Feature, Features, Given, Guess, History,
    IMAGE_BYTES, IMAGE_OFFSETS, Image, Input, Inputs, Layer, Model, Network, OUTPUTS_MAX, Outputs,
    Prediction, Predictor, Range, Waker, hash_name, log2_q8,
    samples::{ends, extremes, features, forest, model, network, sixteen},
    slice_ns,
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
            .args([
                "-pthread",
                "-fsanitize=undefined",
                "-fno-sanitize-recover",
                "-o",
            ])
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

/// Whatever happens to a task.
fn events(rng: &mut Rng, count: usize) -> Vec<[u64; 4]> {
    let number = |rng: &mut Rng| {
        let bits = rng.below(64);
        rng.next_u64() >> bits
    };
    let mut now_ns = 0_u64;
    (0..count)
        .map(|_| {
            let what = rng.below(10).min(6) % 5;
            let (mut first, second, third) = (number(rng), number(rng), rng.next_u64());
            if what == 0 {
                now_ns = now_ns.wrapping_add(first);
                first = now_ns;
            }
            [what, first, second, third]
        })
        .collect()
}

#[test]
fn histories_are_the_same() {
    let host = Host::compile();
    for seed in 0..40 {
        let mut rng = Rng::new(seed);
        let events = events(&mut rng, 5000);
        let input: Vec<u8> = events
            .iter()
            .flatten()
            .flat_map(|word| word.to_ne_bytes())
            .collect();
        let told = host.run(Some("history"), &input);
        let mut history = History::default();
        for (index, event) in events.iter().enumerate() {
            let [what, first, second, third] = *event;
            match what {
                0 => history.woken(first, Some(second)),
                1 => history.ran(first),
                2 => history.preempted(),
                3 => history.slept(),
                _ => history.lost(),
            }
            let by_task = third & 1 != 0;
            let features = history.features(&Context {
                waker: by_task.then_some(Waker {
                    last_ns: first,
                    is_relative: third >> 1 & 1 != 0,
                }),
                weight: second as u32,
                is_kernel: third >> 2 & 1 != 0,
                name: third as u16,
            });
            let at = index * FEATURES * 2;
            let c: Vec<u16> = told[at..at + FEATURES * 2]
                .as_chunks()
                .0
                .iter()
                .map(|bytes| u16::from_ne_bytes(*bytes))
                .collect();
            assert_eq!(c, features, "seed {seed}, event {index}: {event:?}");
        }
    }
}

/// A question as `struct question` of host.c, and the same for Rust.
struct Question {
    rule: Prediction,
    draw: (u64, u64),
    had_ns: u64,
    outputs: [i32; 2],
    count: u32,
    weight: u32,
    average: u16,
    burst: u16,
    deviation: u16,
    known: u16,
    is_reset: bool,
}

impl Question {
    fn any(rng: &mut Rng) -> Self {
        let mut log = |bound: u64| rng.below(bound) as u16;
        let by = match log(5) {
            0 => Predictor::Average,
            1 => Predictor::Model,
            2 => Predictor::Inverted,
            3 => Predictor::Constant(log(12_000)),
            _ => Predictor::Random,
        };
        let (spread_max, average, burst) = (log(2000), log(10_241), log(10_241));
        let (deviation, known) = (log(10_241), log(4096));
        let flags = log(256);
        let middle = i32::from(log(16_384)) - 3000;
        let high = middle + i32::from(log(3000)) - 500;
        let outputs = match flags >> 6 {
            3 => [rng.next_u64() as i32, rng.next_u64() as i32],
            _ => [middle, high],
        };
        let bits = rng.below(64);
        Self {
            rule: Prediction {
                by,
                delay_max_ns: rng.below(20_000_000),
                spread_max,
                is_guarded: flags & 3 != 0,
                is_shadow: flags & 28 == 4,
                slices: true,
            },
            draw: (rng.next_u64() >> bits, rng.next_u64()),
            had_ns: rng.next_u64() >> bits,
            outputs,
            count: 1 + u32::from(flags >> 5 & 1),
            weight: rng.below(10_001) as u32,
            average,
            // Half of them near the model's, so that it is now better, now worse.
            burst: if flags & 32 != 0 {
                burst
            } else {
                middle.clamp(0, 10_240) as u16
            },
            deviation,
            known,
            is_reset: rng.below(500) == 0,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let Prediction {
            by,
            delay_max_ns,
            spread_max,
            is_guarded,
            is_shadow,
            slices,
        } = self.rule;
        let (by, constant) = match by {
            Predictor::Average | Predictor::Truth => (0_u32, 0),
            Predictor::Model => (1, 0),
            Predictor::Inverted => (2, 0),
            Predictor::Constant(log) => (3, log),
            Predictor::Random => (4, 0),
        };
        let mut bytes = delay_max_ns.to_ne_bytes().to_vec();
        bytes.extend(by.to_ne_bytes());
        bytes.extend(
            [constant, spread_max]
                .into_iter()
                .flat_map(u16::to_ne_bytes),
        );
        bytes.extend([
            is_guarded.into(),
            is_shadow.into(),
            slices.into(),
            0,
            0,
            0,
            0,
            0,
        ]);
        let words = [self.draw.0, self.draw.1, self.had_ns];
        bytes.extend(words.into_iter().flat_map(u64::to_ne_bytes));
        bytes.extend(self.outputs.into_iter().flat_map(i32::to_ne_bytes));
        bytes.extend(
            [self.count, self.weight]
                .into_iter()
                .flat_map(u32::to_ne_bytes),
        );
        let logs = [self.average, self.burst, self.deviation, self.known];
        bytes.extend(logs.into_iter().flat_map(u16::to_ne_bytes));
        bytes.extend(
            [u32::from(self.is_reset), 0]
                .into_iter()
                .flat_map(u32::to_ne_bytes),
        );
        bytes
    }

    /// The guess that a model with these outputs leads to.
    fn guess(&self, is_off: bool) -> Guess {
        let input = Input {
            feature: Feature::Last1,
            relative: false,
            range: Range { low: 0, high: 1 },
        };
        let count = self.count as usize;
        let layer = Layer {
            weights: vec![vec![0]; count],
            bias: self.outputs[..count].to_vec(),
            shift: 0,
        };
        let network = Network::new(Inputs::plain(vec![input]), vec![layer]);
        let model = Model::Network(network.expect("a network"));
        let mut features = Features::default();
        features[Feature::Average as usize] = self.average;
        features[Feature::Deviation as usize] = self.deviation;
        features[Feature::Known as usize] = self.known;
        let given = Given {
            is_off,
            draw: self.draw,
            truth_ns: None,
        };
        self.rule.guess(Some(&model), &features, &given)
    }
}

#[test]
fn guesses_and_what_they_do_are_the_same() {
    const ANSWER_BYTES: usize = 32;
    let mut rng = Rng::new(5);
    let questions: Vec<Question> = (0..200_000).map(|_| Question::any(&mut rng)).collect();
    let input: Vec<u8> = questions.iter().flat_map(Question::bytes).collect();
    let told = Host::compile().run(Some("guess"), &input);
    let (answers, rest) = told.as_chunks::<ANSWER_BYTES>();
    assert!(rest.is_empty() && answers.len() == questions.len());
    let mut drift = Drift::default();
    let mut changes = [0, 0];
    for (index, (question, answer)) in questions.iter().zip(answers).enumerate() {
        if question.is_reset {
            drift = Drift::default();
        }
        let guess = question.guess(drift.is_off());
        let change = drift.ended(&guess, question.burst);
        let change = match change {
            None => 0_u32,
            Some(Change::Off) => 1,
            Some(Change::On) => 2,
        };
        if change > 0 {
            changes[change as usize - 1] += 1;
        }
        let mut expected = question
            .rule
            .delay_ns(guess.burst, question.weight)
            .to_ne_bytes()
            .to_vec();
        let slice = slice_ns(guess.burst, question.had_ns, 2_000_000, 20_000_000);
        expected.extend(slice.to_ne_bytes());
        let logs = [guess.burst, guess.model, guess.average, guess.whose as u16];
        expected.extend(logs.into_iter().flat_map(u16::to_ne_bytes));
        expected.extend(u32::from(drift.is_off()).to_ne_bytes());
        expected.extend(change.to_ne_bytes());
        assert_eq!(answer[..], expected, "question {index}: {guess:?}");
    }
    assert!(changes[0] > 2, "a model was off {} times", changes[0]);
}

#[test]
fn judging_survives_many_cpus_at_once() {
    let told = Host::compile().run(Some("race"), &[]);
    let told = String::from_utf8_lossy(&told);
    let numbers: Vec<u32> = told
        .split_whitespace()
        .filter_map(|number| number.parse().ok())
        .collect();
    let [until, is_off] = numbers[..] else {
        panic!("{told}");
    };
    assert!(until <= 2 * DRIFT_WINDOW, "off after {until} bursts");
    assert_eq!(is_off, 0, "it did not come back");
}

#[test]
fn hashes_of_names_are_the_same() {
    let mut rng = Rng::new(9);
    let names: Vec<[u8; 16]> = (0..1000)
        .map(|_| std::array::from_fn(|_| rng.below(300).min(255) as u8 & rng.next_u64() as u8))
        .collect();
    let told = Host::compile().run(Some("name"), &names.concat());
    let told: Vec<u16> = told
        .as_chunks()
        .0
        .iter()
        .map(|bytes| u16::from_ne_bytes(*bytes))
        .collect();
    let expected: Vec<u16> = names.iter().map(hash_name).collect();
    assert_eq!(told, expected);
}
