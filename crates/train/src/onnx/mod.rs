//! Models that were trained elsewhere, from ONNX files.
//!
//! A graph is read as a chain of steps on rows of features (`graph`). Dense networks (`network`) and sums of
//! trees (`ensemble`, `trees`) become models in integers; whatever else a graph does is refused with what to do
//! about it. Comparisons of trees have the same outcome in integers for every value; sums are rounded, and
//! [`Difference`] tells by how much.
//!
//! A [`Reading`] says what the values mean that an ONNX model takes and gives: as they stand in the table that
//! [`write_table`](crate::write_table) writes for it.

mod columns;
mod ensemble;
mod fault;
mod graph;
mod network;
mod proto;
mod trees;

#[cfg(test)]
mod tests;

use baton_model::{Defect, Dense, FEATURES, Feature, Features, Model, quantise};
use baton_policy::Rng;
use prost::Message as _;
use sha2::{Digest, Sha256};

pub use fault::{Fault, OnnxError};

use crate::{Reading, Sample};
use columns::Columns;
use ensemble::Ensemble;

/// Bytes of a file, at most: the largest model that Baton can compute has a quarter of that in any of
/// ONNX's encodings, and a damaged file takes at most a hundred times its size while it is read.
pub const BYTES_MAX: u64 = 2 << 20;

/// Where no samples tell how far integers are from floats, so many random values do.
const RANDOM: usize = 4096;

/// An ONNX file that was read, but not yet understood.
pub struct Onnx {
    file: String,
    digest: String,
    model: proto::Model,
}

/// What came of an import.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// The model: an output for each value that the ONNX models give.
    pub model: Model,
    /// Features that the ONNX model looks at and this one does not, since they do not vary in the samples.
    pub constant: Vec<Feature>,
    /// How far integers are from floats.
    pub difference: Difference,
}

/// How far predictions in integers are from those in floats, in steps: 256 are an octave. Half a step is what
/// rounding the prediction takes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Difference {
    /// So many were compared: those of the samples, or of random values.
    pub predictions: usize,
    /// The mean.
    pub mean: f64,
    /// The greatest.
    pub most: f64,
}

/// A model in floats.
enum Floats {
    Network(Vec<Dense>),
    Trees(Ensemble),
}

impl Onnx {
    /// Reads a file's bytes; `file` is how it is called in errors.
    ///
    /// # Errors
    /// It is too large, or no ONNX model.
    pub fn parse(file: impl Into<String>, bytes: &[u8]) -> Result<Self, OnnxError> {
        let file = file.into();
        if bytes.len() as u64 > BYTES_MAX {
            let fault = Fault::TooLarge;
            return Err(OnnxError { file, fault });
        }
        let model = match proto::Model::decode(bytes) {
            Ok(model) => model,
            Err(error) => {
                let fault = Fault::Malformed(error.to_string());
                return Err(OnnxError { file, fault });
            }
        };
        let digest = Sha256::digest(bytes);
        Ok(Self {
            file,
            digest: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
            model,
        })
    }

    /// What made the file, as it says, and the file's SHA-256: for a model's provenance.
    #[must_use]
    pub fn origin(&self) -> String {
        let proto::Model {
            producer_name,
            producer_version,
            ..
        } = &self.model;
        format!(
            "{} of {producer_name} {producer_version}, SHA-256 {}",
            self.file, self.digest
        )
    }

    fn floats(&self, columns: &Columns) -> Result<Floats, OnnxError> {
        let read = || {
            let graph = graph::Graph::new(&self.model)?;
            let (_, width) = graph.input()?;
            let named = columns.list.len();
            if let Some(taken) = width.filter(|taken| *taken != named) {
                return Err(Fault::Features { taken, named });
            }
            let steps = graph.steps()?;
            Ok(if steps.iter().any(ensemble::is_ensemble) {
                Floats::Trees(ensemble::ensemble(&graph, &steps, columns)?)
            } else {
                Floats::Network(network::layers(&graph, &steps, columns)?)
            })
        };
        read().map_err(|fault| self.failed(fault))
    }

    fn failed(&self, fault: impl Into<Fault>) -> OnnxError {
        OnnxError {
            file: self.file.clone(),
            fault: fault.into(),
        }
    }
}

/// Makes a model in integers of ONNX models that together give one value or two: the median of a burst, and its
/// 90th percentile. Two models have an output each, and are of one kind.
///
/// The samples give the ranges of features; those that do not vary are taken for constants, and what lies
/// beyond a range counts as its end. Without samples the ranges are all that features can have, which
/// costs networks some precision.
///
/// # Errors
/// A model does what Baton's cannot, or the two do not go together; the error names the file.
///
/// # Panics
/// No model is given.
pub fn import(
    models: &[Onnx],
    reading: &Reading,
    samples: &[Sample],
) -> Result<Imported, OnnxError> {
    let (first, others) = models.split_first().expect("a model is given");
    let columns = Columns::of(reading, samples);
    if columns.inputs.list.is_empty() {
        return Err(first.failed(Fault::Constant));
    }
    let mut floats = vec![first.floats(&columns)?];
    for other in others {
        floats.push(other.floats(&columns)?);
    }
    let outputs: usize = floats.iter().map(Floats::outputs).sum();
    if !(1..=2).contains(&outputs) {
        return Err(first.failed(ensemble::outputs_unsupported(outputs)));
    }
    let model = integers(models, &floats, &columns)?;
    let difference = difference(&model, &floats, &columns, samples);
    Ok(Imported {
        model,
        constant: columns.constant,
        difference,
    })
}

fn integers(models: &[Onnx], floats: &[Floats], columns: &Columns) -> Result<Model, OnnxError> {
    let (mut layers, mut grown) = (None::<Vec<Dense>>, None::<trees::Grown>);
    for (onnx, floats) in models.iter().zip(floats) {
        let failed = |fault| onnx.failed(fault);
        match floats {
            Floats::Network(next) => {
                layers = Some(match layers.take() {
                    Some(before) => network::beside(before, next.clone()).map_err(failed)?,
                    None => next.clone(),
                });
            }
            Floats::Trees(ensemble) => {
                let next = ensemble.grown(columns).map_err(failed)?;
                match &mut grown {
                    Some(before) => before.append(next),
                    None => grown = Some(next),
                }
            }
        }
        if layers.is_some() && grown.is_some() {
            return Err(failed(Fault::unsupported(
                "one model is a network, and the other has trees",
                "train both of one kind",
            )));
        }
    }
    let first = &models[0];
    let model = match (layers, grown) {
        (Some(layers), _) => quantise(columns.inputs.clone(), &layers)
            .map(|(network, _)| Model::Network(network))
            .map_err(Fault::from),
        (None, Some(grown)) => grown.forest(columns).map(Model::Forest),
        (None, None) => Err(Defect::Inputs(0).into()),
    };
    model.map_err(|fault| first.failed(fault))
}

impl Floats {
    fn outputs(&self) -> usize {
        match self {
            Self::Network(layers) => layers.last().map_or(0, |layer| layer.bias.len()),
            Self::Trees(ensemble) => ensemble.outputs(),
        }
    }

    /// What it predicts, in steps, for what a model's inputs are.
    fn predict(&self, columns: &Columns, inputs: &[f64]) -> Vec<f64> {
        match self {
            Self::Network(layers) => network::predict(layers, inputs),
            Self::Trees(ensemble) => {
                let sums = ensemble.predict(&columns.fed(inputs));
                sums.iter().map(|sum| sum * columns.unit.steps()).collect()
            }
        }
    }
}

/// Random values of all features.
fn random() -> Vec<Features> {
    let mut rng = Rng::new(1);
    let mut features = || {
        let mut features = [0; FEATURES];
        for feature in Feature::ALL {
            features[feature as usize] = rng.below(u64::from(feature.greatest()) + 1) as u16;
        }
        features
    };
    (0..RANDOM).map(|_| features()).collect()
}

fn difference(
    model: &Model,
    floats: &[Floats],
    columns: &Columns,
    samples: &[Sample],
) -> Difference {
    let tried: Vec<Features> = match samples {
        [] => random(),
        samples => samples.iter().map(|sample| sample.features).collect(),
    };
    let (mut sum, mut most, mut predictions) = (0.0, 0.0_f64, 0_usize);
    for features in &tried {
        let inputs = columns.inputs_of(features);
        let base = f64::from(columns.inputs.base_of(features));
        let found = model.infer(features);
        let wanted = floats
            .iter()
            .flat_map(|floats| floats.predict(columns, &inputs));
        for (found, wanted) in found.iter().zip(wanted) {
            let difference = (f64::from(*found) - base - wanted).abs();
            sum += difference;
            most = most.max(difference);
            predictions += 1;
        }
    }
    Difference {
        predictions,
        mean: sum / predictions.max(1) as f64,
        most,
    }
}
