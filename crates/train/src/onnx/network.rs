//! Dense networks: what lies between two activations is one layer, whatever it is made of.

use baton_model::{Dense, LAYERS_MAX, WIDTH_MAX};

use super::{
    Fault,
    columns::Columns,
    graph::{Graph, Step, Tensor, float, floats, int, is_ml, is_standard, unsupported},
};

/// The layers so far, and what became of the last one's values since: sums of them.
struct Layers {
    done: Vec<Dense>,
    sums: Dense,
}

/// The layers of a network, rectified but for the last. The first takes a model's inputs as Baton gives them,
/// the last gives steps.
pub(super) fn layers(
    graph: &Graph<'_>,
    steps: &[Step<'_>],
    columns: &Columns,
) -> Result<Vec<Dense>, Fault> {
    let mut layers = Layers {
        done: Vec::new(),
        sums: columns.fed_from_inputs(),
    };
    for step in steps {
        if !graph.is_idle(step, layers.width())? {
            layers.take(graph, step)?;
        }
    }
    layers.scale(&vec![columns.unit.steps(); layers.width()]);
    let Layers { mut done, sums } = layers;
    done.push(sums);
    if done.len() > LAYERS_MAX {
        return Err(Fault::layers(done.len()));
    }
    Ok(done)
}

impl Layers {
    fn width(&self) -> usize {
        self.sums.bias.len()
    }

    fn take<'a>(&mut self, graph: &Graph<'a>, step: &Step<'a>) -> Result<(), Fault> {
        let (node, width) = (step.node, self.width());
        if is_ml(node) && node.op_type == "Scaler" {
            let of = |name| {
                let values = floats(node, name)?;
                let dims = vec![values.len()];
                Tensor { dims, values }.for_each(width, node)
            };
            let offset: Vec<f64> = of("offset")?.iter().map(|value| -value).collect();
            self.add(&offset);
            self.scale(&of("scale")?);
            return Ok(());
        }
        if !is_standard(node) {
            return Err(unsupported(node));
        }
        let other = || graph.constant_of(node, 1 - step.flow.min(1));
        match (&node.op_type[..], step.flow) {
            ("Gemm", 0) => self.gemm(graph, step)?,
            ("MatMul", 0) => self.multiply(&other()?, false, step)?,
            ("Add", _) => self.add(&other()?.for_each(width, node)?),
            ("Mul", _) => self.scale(&other()?.for_each(width, node)?),
            ("Sub", 0) => self.add(&negative(other()?).for_each(width, node)?),
            ("Sub", 1) => {
                self.scale(&vec![-1.0; width]);
                self.add(&other()?.for_each(width, node)?);
            }
            ("Div", 0) => {
                let divisor = other()?.for_each(width, node)?;
                let factors: Vec<f64> = divisor.iter().map(|value| 1.0 / value).collect();
                self.scale(&factors);
            }
            ("Relu", _) => self.rectify()?,
            _ => return Err(unsupported(node)),
        }
        Ok(())
    }

    /// alpha * values * B + beta * C.
    fn gemm<'a>(&mut self, graph: &Graph<'a>, step: &Step<'a>) -> Result<(), Fault> {
        let node = step.node;
        if int(node, "transA", 0) != 0 {
            return Err(unsupported(node));
        }
        let weights = graph.constant_of(node, 1)?;
        self.multiply(&weights, int(node, "transB", 0) != 0, step)?;
        let width = self.width();
        self.scale(&vec![float(node, "alpha", 1.0); width]);
        if node.input.get(2).is_some_and(|name| !name.is_empty()) {
            let beta = float(node, "beta", 1.0);
            let bias = graph.constant_of(node, 2)?.for_each(width, node)?;
            self.add(&bias.iter().map(|value| beta * value).collect::<Vec<_>>());
        }
        Ok(())
    }

    /// By a matrix of inputs and outputs, or of outputs and inputs.
    fn multiply(&mut self, by: &Tensor, turned: bool, step: &Step<'_>) -> Result<(), Fault> {
        let [rows, columns] = by.dims[..] else {
            return Err(unsupported(step.node));
        };
        let (taken, given) = if turned {
            (columns, rows)
        } else {
            (rows, columns)
        };
        if taken != self.width() {
            return Err(match self.done.is_empty() {
                true => Fault::Features {
                    taken,
                    named: self.width(),
                },
                false => Fault::Malformed(format!(
                    "a layer takes {taken} values, and the one before gives {}",
                    self.width()
                )),
            });
        }
        if given > WIDTH_MAX {
            return Err(Fault::width(given));
        }
        let weight = |from: usize, to: usize| match turned {
            true => by.values[to * columns + from],
            false => by.values[from * columns + to],
        };
        let sum = |to: usize, of: &dyn Fn(usize) -> f64| -> f64 {
            (0..taken).map(|from| weight(from, to) * of(from)).sum()
        };
        let before = &self.sums;
        let inputs = before.weights.first().map_or(0, Vec::len);
        let weights = (0..given).map(|to| {
            let row = (0..inputs).map(|input| sum(to, &|from| before.weights[from][input]));
            row.collect()
        });
        let bias = (0..given).map(|to| sum(to, &|from| before.bias[from]));
        self.sums = Dense {
            weights: weights.collect(),
            bias: bias.collect(),
        };
        Ok(())
    }

    fn add(&mut self, values: &[f64]) {
        for (bias, value) in self.sums.bias.iter_mut().zip(values) {
            *bias += value;
        }
    }

    fn scale(&mut self, factors: &[f64]) {
        let rows = self.sums.weights.iter_mut().zip(&mut self.sums.bias);
        for ((row, bias), factor) in rows.zip(factors) {
            *bias *= factor;
            row.iter_mut().for_each(|weight| *weight *= factor);
        }
    }

    fn rectify(&mut self) -> Result<(), Fault> {
        let width = self.width();
        if self.done.len() == LAYERS_MAX {
            return Err(Fault::layers(LAYERS_MAX + 1));
        }
        let unchanged = Dense {
            weights: (0..width)
                .map(|row| {
                    (0..width)
                        .map(|input| f64::from(u8::from(row == input)))
                        .collect()
                })
                .collect(),
            bias: vec![0.0; width],
        };
        self.done.push(std::mem::replace(&mut self.sums, unchanged));
        Ok(())
    }
}

fn negative(mut tensor: Tensor) -> Tensor {
    tensor.values.iter_mut().for_each(|value| *value = -*value);
    tensor
}

/// Two networks of the same inputs side by side, as one with the outputs of both.
pub(super) fn beside(one: Vec<Dense>, other: Vec<Dense>) -> Result<Vec<Dense>, Fault> {
    if one.len() != other.len() {
        return Err(Fault::unsupported(
            format!(
                "it has {} layers, and the other network {}",
                other.len(),
                one.len()
            ),
            "train both with as many layers",
        ));
    }
    let pairs = one.into_iter().zip(other).enumerate();
    let joined = pairs.map(|(index, (one, other))| {
        let width = one.bias.len() + other.bias.len();
        if width > WIDTH_MAX {
            return Err(Fault::width(width));
        }
        let (mut weights, mut bias) = (one.weights, one.bias);
        let (left, right) = (
            weights.first().map_or(0, Vec::len),
            other.weights.first().map_or(0, Vec::len),
        );
        let mut rows = other.weights;
        if index > 0 {
            weights
                .iter_mut()
                .for_each(|row| row.resize(left + right, 0.0));
            rows.iter_mut()
                .for_each(|row| drop(row.splice(..0, vec![0.0; left])));
        }
        weights.extend(rows);
        bias.extend(other.bias);
        Ok(Dense { weights, bias })
    });
    joined.collect()
}

/// What layers give for a model's inputs, in floats.
pub(super) fn predict(layers: &[Dense], inputs: &[f64]) -> Vec<f64> {
    let mut values = inputs.to_vec();
    for (index, layer) in layers.iter().enumerate() {
        let sums = layer.weights.iter().zip(&layer.bias).map(|(row, bias)| {
            let products = row
                .iter()
                .zip(&values)
                .map(|(weight, value)| weight * value);
            let sum = products.sum::<f64>() + bias;
            if index + 1 < layers.len() {
                sum.max(0.0)
            } else {
                sum
            }
        });
        values = sums.collect();
    }
    values
}
