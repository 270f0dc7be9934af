//! A graph as a chain: what is done to the values of a row, one step after the other, from the only input to
//! the only output.

use std::collections::BTreeMap;

use super::{
    Fault,
    proto::{self, DOUBLE, FLOAT, INT64, Node},
};

/// A chain has no more steps, and a constant is made in no more.
const STEPS_MAX: usize = 256;
const HOPS_MAX: usize = 8;

/// Numbers of a tensor, at most.
const NUMBERS_MAX: usize = 1 << 16;

const SUPPORTED: &str = "what can be imported are dense networks (Gemm, MatMul, Add, Sub, Mul, Div, Relu, \
                         Scaler) and TreeEnsembleRegressor: train one of these";

/// Constant numbers, row by row.
pub(super) struct Tensor {
    pub dims: Vec<usize>,
    pub values: Vec<f64>,
}

/// A node, and which of its inputs is what came before; all others are constants.
pub(super) struct Step<'a> {
    pub node: &'a Node,
    pub flow: usize,
}

pub(super) struct Graph<'a> {
    graph: &'a proto::Graph,
    /// By the name of what they give.
    nodes: BTreeMap<&'a str, &'a Node>,
    initializers: BTreeMap<&'a str, &'a proto::Tensor>,
}

impl<'a> Graph<'a> {
    pub fn new(model: &'a proto::Model) -> Result<Self, Fault> {
        let Some(graph) = &model.graph else {
            return Err(Fault::Malformed("it has no graph".into()));
        };
        let mut nodes = BTreeMap::new();
        for node in &graph.node {
            for output in &node.output {
                if !output.is_empty() && nodes.insert(output.as_str(), node).is_some() {
                    return Err(Fault::Malformed(format!("two nodes give {output:?}")));
                }
            }
        }
        let initializers = graph.initializer.iter();
        Ok(Self {
            graph,
            nodes,
            initializers: initializers
                .map(|tensor| (tensor.name.as_str(), tensor))
                .collect(),
        })
    }

    /// The name of the only input, and how many values it has, where the file says that.
    pub fn input(&self) -> Result<(&'a str, Option<usize>), Fault> {
        // Old files name constants among the inputs, too.
        let is_open = |value: &&proto::ValueInfo| !self.initializers.contains_key(&value.name[..]);
        let inputs: Vec<&proto::ValueInfo> = self.graph.input.iter().filter(is_open).collect();
        let [input] = inputs[..] else {
            return Err(Fault::unsupported(
                format!("it has {} inputs, and one is read", inputs.len()),
                "export it with a single input of all features",
            ));
        };
        let shape = input.r#type.as_ref();
        let shape = shape.and_then(|of| of.tensor_type.as_ref()?.shape.as_ref());
        let width = match shape.map(|shape| &shape.dim[..]) {
            None | Some([]) => None,
            Some([_, width]) => usize::try_from(width.dim_value)
                .ok()
                .filter(|width| *width > 0),
            Some(dims) => {
                return Err(Fault::unsupported(
                    format!("its input has {} dimensions, and 2 are read", dims.len()),
                    "export it with an input of rows of features",
                ));
            }
        };
        Ok((&input.name, width))
    }

    /// The steps from the input to the output.
    pub fn steps(&self) -> Result<Vec<Step<'a>>, Fault> {
        let (input, _) = self.input()?;
        let [output] = &self.graph.output[..] else {
            return Err(Fault::unsupported(
                format!(
                    "it has {} outputs, and one is read",
                    self.graph.output.len()
                ),
                "export it with a single output, of one value or two",
            ));
        };
        let (mut steps, mut name) = (Vec::new(), output.name.as_str());
        while name != input {
            let Some(node) = self.nodes.get(name) else {
                return Err(Fault::Malformed(format!("nothing gives {name:?}")));
            };
            if steps.len() == STEPS_MAX {
                let what = format!("it has more than {STEPS_MAX} steps");
                return Err(Fault::unsupported(what, SUPPORTED));
            }
            if node.output.first().map(String::as_str) != Some(name) {
                return Err(unsupported(node));
            }
            let inputs = node.input.iter().enumerate();
            let flows: Vec<(usize, &String)> = inputs
                .filter(|(_, name)| !name.is_empty() && !self.is_constant(name))
                .collect();
            let [(flow, before)] = flows[..] else {
                return Err(Fault::unsupported(
                    format!("{} joins {} values that vary", title(node), flows.len()),
                    SUPPORTED,
                ));
            };
            steps.push(Step { node, flow });
            name = before;
        }
        steps.reverse();
        Ok(steps)
    }

    /// The nodes that a constant is made by, the last one first; none of what varies.
    fn source(&self, name: &'a str) -> Option<(Vec<&'a Node>, Option<&'a proto::Tensor>)> {
        let (mut name, mut made_by) = (name, Vec::new());
        for _ in 0..HOPS_MAX {
            if let Some(tensor) = self.initializers.get(name).copied() {
                return Some((made_by, Some(tensor)));
            }
            let node = *self.nodes.get(name)?;
            made_by.push(node);
            match (&node.op_type[..], &node.input[..]) {
                ("Constant", _) => return Some((made_by, None)),
                ("Identity" | "Cast" | "Transpose", [before]) => name = before,
                _ => return None,
            }
        }
        None
    }

    fn is_constant(&self, name: &'a str) -> bool {
        self.source(name).is_some()
    }

    /// A constant's numbers.
    pub fn constant(&self, name: &'a str) -> Result<Tensor, Fault> {
        let Some((mut made_by, initializer)) = self.source(name) else {
            return Err(Fault::Malformed(format!("{name:?} is no constant")));
        };
        let mut tensor = match initializer {
            Some(initializer) => numbers(initializer)?,
            None => made_by
                .pop()
                .map_or_else(|| Err(Fault::Malformed("no constant".into())), constant)?,
        };
        for node in made_by.into_iter().rev() {
            match &node.op_type[..] {
                "Cast" => check_cast(node)?,
                "Transpose" => tensor = tensor.transposed(node)?,
                _ => {}
            }
        }
        Ok(tensor)
    }

    /// The constant that is a node's input with this number.
    pub fn constant_of(&self, node: &'a Node, number: usize) -> Result<Tensor, Fault> {
        match node.input.get(number) {
            Some(name) if !name.is_empty() => self.constant(name),
            _ => Err(Fault::Malformed(format!(
                "{} has no input {number}",
                title(node)
            ))),
        }
    }

    /// Whether a step hands so many values on as they are.
    ///
    /// # Errors
    /// It moves or rounds them.
    pub fn is_idle(&self, step: &Step<'a>, width: usize) -> Result<bool, Fault> {
        let node = step.node;
        if !is_standard(node) {
            return Ok(false);
        }
        let keeps = match &node.op_type[..] {
            "Identity" | "Dropout" => true,
            "Cast" => {
                check_cast(node)?;
                true
            }
            "Flatten" => int(node, "axis", 1) == 1,
            "Squeeze" => width == 1,
            "Reshape" => self.keeps_rows(node, width)?,
            _ => return Ok(false),
        };
        if keeps {
            return Ok(true);
        }
        Err(Fault::unsupported(
            format!("{} takes rows apart", title(node)),
            "export a model of rows with one value or two",
        ))
    }

    fn keeps_rows(&self, node: &'a Node, width: usize) -> Result<bool, Fault> {
        let shape: Vec<f64> = match node.input.len() {
            1 => ints(node, "shape").iter().map(|dim| *dim as f64).collect(),
            _ => self.constant_of(node, 1)?.values,
        };
        // A row's values one below the other are still in their order. So skl2onnx ends networks, of two
        // outputs as well.
        Ok(match shape[..] {
            [all] => all == -1.0,
            [rows, values] => {
                let is_row = values == width as f64 || (rows != -1.0 && values == -1.0);
                is_row || values == 0.0 || (rows == -1.0 && values == 1.0)
            }
            _ => false,
        })
    }
}

/// How a node is called in a message.
pub(super) fn title(node: &Node) -> String {
    match &node.name[..] {
        "" => format!("the node {:?}", node.op_type),
        name => format!("the node {:?} ({name:?})", node.op_type),
    }
}

/// What a node does cannot be imported.
pub(super) fn unsupported(node: &Node) -> Fault {
    let activations = ["Sigmoid", "Tanh", "LeakyRelu", "Elu", "Gelu", "Softplus"];
    let trees = ["TreeEnsemble", "TreeEnsembleClassifier"];
    let remedy = match &node.op_type[..] {
        name if activations.contains(&name) => {
            "of activations there is Relu alone: train with activation='relu'"
        }
        name if trees.contains(&name) => {
            "export a regressor, with target_opset={'': 18, 'ai.onnx.ml': 3}"
        }
        _ => SUPPORTED,
    };
    Fault::unsupported(format!("{} cannot be imported", title(node)), remedy)
}

/// Whether an operator is ONNX's own.
pub(super) fn is_standard(node: &Node) -> bool {
    matches!(&node.domain[..], "" | "ai.onnx")
}

/// Whether it is one of ONNX's for classical machine learning.
pub(super) fn is_ml(node: &Node) -> bool {
    node.domain == "ai.onnx.ml"
}

fn attribute<'a>(node: &'a Node, name: &str) -> Option<&'a proto::Attribute> {
    node.attribute.iter().find(|found| found.name == name)
}

pub(super) fn int(node: &Node, name: &str, default: i64) -> i64 {
    attribute(node, name).map_or(default, |found| found.i)
}

pub(super) fn float(node: &Node, name: &str, default: f64) -> f64 {
    attribute(node, name).map_or(default, |found| found.f.into())
}

/// An attribute's text; empty where there is none.
pub(super) fn text<'a>(node: &'a Node, name: &str) -> &'a [u8] {
    attribute(node, name).map_or(&[], |found| &found.s)
}

pub(super) fn ints<'a>(node: &'a Node, name: &str) -> &'a [i64] {
    attribute(node, name).map_or(&[], |found| &found.ints)
}

pub(super) fn texts<'a>(node: &'a Node, name: &str) -> &'a [Vec<u8>] {
    attribute(node, name).map_or(&[], |found| &found.strings)
}

/// Numbers of an attribute, or of its twin in double precision.
pub(super) fn floats(node: &Node, name: &str) -> Result<Vec<f64>, Fault> {
    let twin = attribute(node, &format!("{name}_as_tensor"));
    match twin.and_then(|twin| twin.t.as_ref()) {
        Some(tensor) => Ok(numbers(tensor)?.values),
        None => Ok(attribute(node, name).map_or_else(Vec::new, |found| {
            found.floats.iter().map(|value| f64::from(*value)).collect()
        })),
    }
}

/// Rounding to whole numbers or to half precision would change what comes out.
fn check_cast(node: &Node) -> Result<(), Fault> {
    let to = int(node, "to", 0);
    if to == i64::from(FLOAT) || to == i64::from(DOUBLE) {
        return Ok(());
    }
    Err(Fault::unsupported(
        format!("{} rounds to another type ({to})", title(node)),
        "export a model in single or double precision",
    ))
}

fn constant(node: &Node) -> Result<Tensor, Fault> {
    if let Some(tensor) = attribute(node, "value").and_then(|found| found.t.as_ref()) {
        return numbers(tensor);
    }
    let (dims, values) = match (
        attribute(node, "value_float"),
        attribute(node, "value_floats"),
    ) {
        (Some(one), _) => (Vec::new(), vec![f64::from(one.f)]),
        (None, Some(many)) => {
            let values: Vec<f64> = many.floats.iter().map(|value| f64::from(*value)).collect();
            (vec![values.len()], values)
        }
        (None, None) => return Err(unsupported(node)),
    };
    Ok(Tensor { dims, values })
}

/// A tensor's numbers, if they are as many as its dimensions say.
fn numbers(tensor: &proto::Tensor) -> Result<Tensor, Fault> {
    let name = &tensor.name;
    if tensor.data_location != 0 {
        return Err(Fault::unsupported(
            format!("the numbers of {name:?} stand in another file"),
            "export it with all in one file (external_data=False in PyTorch)",
        ));
    }
    let raw = &tensor.raw_data[..];
    let values: Vec<f64> = match tensor.data_type {
        FLOAT if raw.is_empty() => tensor.float_data.iter().copied().map(f64::from).collect(),
        DOUBLE if raw.is_empty() => tensor.double_data.clone(),
        INT64 if raw.is_empty() => tensor
            .int64_data
            .iter()
            .map(|value| *value as f64)
            .collect(),
        FLOAT => words(raw, |word| f32::from_le_bytes(word).into()),
        DOUBLE => words(raw, f64::from_le_bytes),
        INT64 => words(raw, |word| i64::from_le_bytes(word) as f64),
        other => {
            return Err(Fault::unsupported(
                format!("the numbers of {name:?} are of ONNX's type {other}"),
                "export a model in single or double precision",
            ));
        }
    };
    let dims: Option<Vec<usize>> = tensor
        .dims
        .iter()
        .map(|dim| (*dim).try_into().ok())
        .collect();
    let count = |dims: &Vec<usize>| {
        dims.iter()
            .try_fold(1_usize, |all, dim| all.checked_mul(*dim))
    };
    match dims {
        // Of none, a dimension could be anything.
        Some(dims)
            if count(&dims) == Some(values.len()) && (1..=NUMBERS_MAX).contains(&values.len()) =>
        {
            Ok(Tensor { dims, values })
        }
        _ => Err(Fault::Malformed(format!(
            "{name:?} has {} numbers, and its dimensions are {:?}",
            values.len(),
            tensor.dims
        ))),
    }
}

fn words<const BYTES: usize>(raw: &[u8], of: impl Fn([u8; BYTES]) -> f64) -> Vec<f64> {
    let words = raw.chunks_exact(BYTES);
    words
        .map(|word| of(word.try_into().expect("chunks are exact")))
        .collect()
}

impl Tensor {
    fn transposed(self, node: &Node) -> Result<Self, Fault> {
        let order = ints(node, "perm");
        let [rows, columns] = self.dims[..] else {
            return Err(unsupported(node));
        };
        match order {
            [0, 1] => return Ok(self),
            [] | [1, 0] => {}
            _ => return Err(unsupported(node)),
        }
        let values = (0..columns).flat_map(|column| {
            let values = &self.values;
            (0..rows).map(move |row| values[row * columns + column])
        });
        let values = values.collect();
        Ok(Self {
            dims: vec![columns, rows],
            values,
        })
    }

    /// One number for each of so many values.
    pub fn for_each(&self, width: usize, node: &Node) -> Result<Vec<f64>, Fault> {
        match (&self.values[..], self.dims.last()) {
            ([one], _) => Ok(vec![*one; width]),
            (many, Some(last)) if many.len() == width && *last == width => Ok(many.to_vec()),
            _ => Err(Fault::Malformed(format!(
                "{} is given {} numbers for {width} values",
                title(node),
                self.values.len()
            ))),
        }
    }
}
