//! Models in the kernel, by themselves: `bpf/infer.bpf.c`.
//!
//! What the kernel's just-in-time compiler makes of `bpf/include/model.bpf.h` must give the bits that
//! `baton-model` gives, and [`Inference::time`] tells what it takes. No scheduler is involved, and
//! nothing of the machine is changed.

use baton_model::{FEATURES, Features, Image, Model, OUTPUTS_MAX, Outputs};
use libbpf_rs::{
    MapCore, MapFlags, MapMut, Object, ObjectBuilder, PrintLevel, ProgramInput, ProgramMut,
};
use std::os::fd::{AsFd, AsRawFd};

use crate::{
    decide::run_program,
    relay::{is_root, keep_log, log_tail},
};

static OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/infer.bpf.o"));

/// How many inputs a run of the program answers.
const BATCH: usize = 1024;
/// An input and its answer: 15 features of 16 bits and 2 bytes unused, then the outputs.
const ANSWER_AT: usize = (FEATURES + 1) * 2;
const ITEM_BYTES: usize = ANSWER_AT + OUTPUTS_MAX * 4;

/// Why nothing can be inferred in the kernel.
#[derive(Debug, thiserror::Error)]
pub enum InferenceError {
    /// The caller may not load BPF.
    #[error("loading BPF programs needs root: run with sudo")]
    NotRoot,
    /// The kernel, or libbpf, refused.
    #[error("the kernel refused while {step}: {source}{log}")]
    Refused {
        /// What was being done.
        step: &'static str,
        /// libbpf's error.
        source: libbpf_rs::Error,
        /// The end of the verifier's log, if it wrote one.
        log: String,
    },
    /// The program did not answer the whole batch.
    #[error("the program ended with {0} where 1024 inputs had to be answered")]
    Unanswered(i64),
}

fn refused(step: &'static str) -> impl Fn(libbpf_rs::Error) -> InferenceError {
    move |source| InferenceError::Refused {
        step,
        source,
        log: log_tail(),
    }
}

/// What a run takes, nanoseconds, as the kernel tells it: means over the repetitions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Times {
    /// Of a program that does nothing.
    pub nothing_ns: f64,
    /// Of one that computes a network of 15-10-1 a weight at a time: the yardstick on this machine.
    pub plain_ns: f64,
    /// Of one that predicts once.
    pub model_ns: f64,
}

impl Times {
    /// What the prediction adds, nanoseconds.
    #[must_use]
    pub fn net_ns(&self) -> f64 {
        self.model_ns - self.nothing_ns
    }

    /// What the plain network adds, nanoseconds.
    #[must_use]
    pub fn plain_net_ns(&self) -> f64 {
        self.plain_ns - self.nothing_ns
    }
}

/// The programs, loaded. They end when this is dropped.
#[derive(Debug)]
pub struct Inference {
    object: Object,
}

impl Inference {
    /// Loads the programs.
    ///
    /// # Errors
    /// The caller is not root, or the kernel refused.
    pub fn load() -> Result<Self, InferenceError> {
        if !is_root() {
            return Err(InferenceError::NotRoot);
        }
        libbpf_rs::set_print(Some((PrintLevel::Debug, keep_log)));
        let object = ObjectBuilder::default()
            .open_memory(OBJECT)
            .and_then(|open| open.load())
            .map_err(refused("loading the programs"))?;
        Ok(Self { object })
    }

    /// Has the programs compute with this model.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn set(&mut self, model: &Model) -> Result<(), InferenceError> {
        let image = Image::of(model);
        self.map("model_map")
            .update(&0_u32.to_ne_bytes(), image.bytes(), MapFlags::ANY)
            .map_err(refused("writing the model"))
    }

    /// What the model predicts for each input.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn infer(&mut self, all: &[Features]) -> Result<Vec<Outputs>, InferenceError> {
        let mut found = Vec::with_capacity(all.len());
        for batch in all.chunks(BATCH) {
            for (key, features) in (0_u32..).zip(batch) {
                self.write(key, features)?;
            }
            let program = self.program("infer_batch").as_fd().as_raw_fd();
            let answered = run_program(program, &mut [])
                .map_err(libbpf_rs::Error::from_raw_os_error)
                .map_err(refused("answering a batch"))?;
            if answered as usize != BATCH {
                return Err(InferenceError::Unanswered(i64::from(answered as i32)));
            }
            for key in (0_u32..).take(batch.len()) {
                found.push(self.read(key)?);
            }
        }
        Ok(found)
    }

    /// What one prediction takes with these features, beside a program that does nothing.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn time(&mut self, features: &Features, repeat: u32) -> Result<Times, InferenceError> {
        self.write(0, features)?;
        Ok(Times {
            nothing_ns: self.repeat("infer_nothing", repeat)?,
            plain_ns: self.repeat("infer_plain", repeat)?,
            model_ns: self.repeat("infer_once", repeat)?,
        })
    }

    fn repeat(&mut self, program: &str, repeat: u32) -> Result<f64, InferenceError> {
        // The least packet that the kernel takes.
        let packet = [0; 64];
        let input = ProgramInput {
            data_in: Some(&packet),
            repeat,
            ..ProgramInput::default()
        };
        let output = self
            .program(program)
            .test_run(input)
            .map_err(refused("measuring"))?;
        Ok(output.duration.as_nanos() as f64)
    }

    fn write(&mut self, key: u32, features: &Features) -> Result<(), InferenceError> {
        let mut item = [0; ITEM_BYTES];
        for (bytes, value) in item.chunks_exact_mut(2).zip(features) {
            bytes.copy_from_slice(&value.to_ne_bytes());
        }
        self.map("batch_map")
            .update(&key.to_ne_bytes(), &item, MapFlags::ANY)
            .map_err(refused("writing an input"))
    }

    fn read(&mut self, key: u32) -> Result<Outputs, InferenceError> {
        let item = self
            .map("batch_map")
            .lookup(&key.to_ne_bytes(), MapFlags::ANY)
            .map_err(refused("reading an answer"))?
            .unwrap_or_default();
        let mut outputs = Outputs::default();
        for (output, bytes) in outputs.iter_mut().zip(item[ANSWER_AT..].as_chunks().0) {
            *output = i32::from_ne_bytes(*bytes);
        }
        Ok(outputs)
    }

    fn map(&mut self, name: &str) -> MapMut<'_> {
        let mut maps = self.object.maps_mut();
        maps.find(|map| map.name() == name)
            .unwrap_or_else(|| panic!("infer.bpf.c has the map {name}"))
    }

    fn program(&mut self, name: &str) -> ProgramMut<'_> {
        let mut programs = self.object.progs_mut();
        programs
            .find(|program| program.name() == name)
            .unwrap_or_else(|| panic!("infer.bpf.c has the program {name}"))
    }
}
