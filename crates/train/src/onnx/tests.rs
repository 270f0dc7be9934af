//! Small graphs, made by hand.

use super::{
    proto::{
        Attribute, DOUBLE, Dim, FLOAT, Graph, INT64, Model as File, Node, Shape, Tensor,
        TensorType, Type, ValueInfo,
    },
    *,
};
use crate::{Look, Unit};
use baton_model::Outputs;

const ML: &str = "ai.onnx.ml";

fn value(name: &str, width: i64) -> ValueInfo {
    let dim = |dim_value| Dim { dim_value };
    ValueInfo {
        name: name.into(),
        r#type: Some(Type {
            tensor_type: Some(TensorType {
                shape: Some(Shape {
                    dim: vec![dim(0), dim(width)],
                }),
            }),
        }),
    }
}

fn floats(name: &str, dims: &[i64], values: &[f32]) -> Tensor {
    Tensor {
        name: name.into(),
        dims: dims.to_vec(),
        data_type: FLOAT,
        float_data: values.to_vec(),
        ..Tensor::default()
    }
}

fn node(op_type: &str, input: &[&str], output: &str) -> Node {
    Node {
        op_type: op_type.into(),
        input: input.iter().map(|name| (*name).to_owned()).collect(),
        output: vec![output.into()],
        ..Node::default()
    }
}

fn attribute(name: &str) -> Attribute {
    Attribute {
        name: name.into(),
        ..Attribute::default()
    }
}

fn with(mut node: Node, attributes: impl IntoIterator<Item = Attribute>) -> Node {
    node.attribute.extend(attributes);
    node
}

fn int(name: &str, i: i64) -> Attribute {
    Attribute {
        i,
        ..attribute(name)
    }
}

/// From `x` to `y`, for two features.
fn file(nodes: Vec<Node>, initializer: Vec<Tensor>) -> File {
    File {
        graph: Some(Graph {
            node: nodes,
            initializer,
            input: vec![value("x", 2)],
            output: vec![value("y", 1)],
        }),
        ..File::default()
    }
}

fn reading(unit: Unit) -> Reading {
    Reading {
        look: Look::plain([Feature::Last1, Feature::Slept]),
        unit,
    }
}

fn imported(file: &File, unit: Unit) -> Result<Imported, OnnxError> {
    let onnx = Onnx::parse("a.onnx", &file.encode_to_vec())?;
    import(&[onnx], &reading(unit), &[])
}

fn refused(file: &File) -> String {
    imported(file, Unit::Steps)
        .expect_err("it is refused")
        .to_string()
}

fn infer(model: &Model, last1: u16, slept: u16) -> Outputs {
    let mut features = [0; FEATURES];
    features[Feature::Last1 as usize] = last1;
    features[Feature::Slept as usize] = slept;
    model.infer(&features)
}

/// Checks a network against what it should give, within a step.
fn check(nodes: Vec<Node>, constants: Vec<Tensor>, wanted: impl Fn(f64, f64) -> f64) {
    for unit in [Unit::Steps, Unit::Octaves] {
        let imported = imported(&file(nodes.clone(), constants.clone()), unit);
        let model = imported.unwrap_or_else(|error| panic!("{error}")).model;
        for last1 in [0_u16, 1, 500, 4000, 10_240] {
            for slept in [0_u16, 77, 3000, 10_240] {
                let found = f64::from(infer(&model, last1, slept)[0]);
                let [one, two] = [last1, slept].map(|value| f64::from(value) / unit.steps());
                let wanted = wanted(one, two) * unit.steps();
                assert!(
                    (found - wanted).abs() <= 1.5,
                    "{unit:?} {last1} {slept}: {found} {wanted}"
                );
            }
        }
    }
}

/// Two neurons and an output: relu(a - b / 2), relu(b / 4 + a / 8), and three quarters of the first and half
/// of the second.
const HIDDEN: [f32; 4] = [1.0, 0.125, -0.5, 0.25];
const OUTPUT: [f32; 2] = [0.75, 0.5];

fn wanted(a: f64, b: f64) -> f64 {
    0.75 * (a - b / 2.0).max(0.0) + 0.5 * (b / 4.0 + a / 8.0).max(0.0)
}

#[test]
fn matrices_and_sums_are_layers() {
    let nodes = vec![
        with(node("Cast", &["x"], "c"), [int("to", FLOAT.into())]),
        node("MatMul", &["c", "w1"], "m1"),
        node("Add", &["m1", "b1"], "s1"),
        node("Relu", &["s1"], "h"),
        node("Identity", &["h"], "i"),
        node("MatMul", &["i", "w2"], "m2"),
        node("Add", &["b2", "m2"], "s2"),
        node("Reshape", &["s2", "shape"], "y"),
    ];
    let shape = Tensor {
        name: "shape".into(),
        dims: vec![2],
        data_type: INT64,
        int64_data: vec![-1, 1],
        ..Tensor::default()
    };
    let double = Tensor {
        name: "b2".into(),
        dims: vec![1],
        data_type: DOUBLE,
        raw_data: 0.5_f64.to_le_bytes().to_vec(),
        ..Tensor::default()
    };
    let constants = vec![
        floats("w1", &[2, 2], &HIDDEN),
        floats("b1", &[1, 2], &[0.25, 0.0]),
        floats("w2", &[2, 1], &OUTPUT),
        double,
        shape,
    ];
    check(nodes, constants, |a, b| {
        wanted(a, b) + 0.75 * ((a - b / 2.0 + 0.25).max(0.0) - (a - b / 2.0).max(0.0)) + 0.5
    });
}

#[test]
fn gemm_is_a_layer_turned_or_not() {
    let float = |name: &str, f| Attribute {
        f,
        ..attribute(name)
    };
    let turned = |node| with(node, [int("transB", 1)]);
    let nodes = vec![
        turned(node("Gemm", &["x", "w1"], "s1")),
        node("Relu", &["s1"], "h"),
        with(
            node("Gemm", &["h", "w2", "b2"], "y"),
            [float("alpha", 2.0), float("beta", 4.0)],
        ),
        // Nobody asks for this.
        node("Shape", &["h"], "unused"),
    ];
    let raw = |mut tensor: Tensor| {
        let values = std::mem::take(&mut tensor.float_data);
        tensor.raw_data = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        tensor
    };
    let constants = vec![
        raw(floats("w1", &[2, 2], &[1.0, -0.5, 0.125, 0.25])),
        floats("w2", &[2, 1], &OUTPUT.map(|weight| weight / 2.0)),
        floats("b2", &[1], &[0.5]),
    ];
    check(nodes, constants, |a, b| wanted(a, b) + 2.0);
}

#[test]
fn scaling_goes_into_the_weights() {
    let list = |name: &str, floats: &[f32]| Attribute {
        floats: floats.to_vec(),
        ..attribute(name)
    };
    let mut scaler = with(
        node("Scaler", &["x"], "s"),
        [list("offset", &[8.0, 16.0]), list("scale", &[0.5, 0.25])],
    );
    scaler.domain = ML.into();
    let value = Attribute {
        t: Some(Box::new(floats("", &[2], &[2.0, 4.0]))),
        ..attribute("value")
    };
    let nodes = vec![
        scaler,
        with(node("Constant", &[], "c"), [value]),
        node("Mul", &["s", "c"], "m"),
        node("Add", &["mean", "m"], "a"),
        node("Sub", &["a", "one"], "b"),
        node("Sub", &["one", "b"], "d"),
        node("Div", &["d", "minus"], "e"),
        node("Transpose", &["w"], "t"),
        node("MatMul", &["e", "t"], "y"),
    ];
    let constants = vec![
        floats("mean", &[2], &[8.0, 16.0]),
        floats("one", &[], &[1.0]),
        floats("minus", &[1], &[-1.0]),
        floats("w", &[1, 2], &[0.5, 0.25]),
    ];
    // Scaling gives a - 1 and b - 1; then 1 less that, over -1.
    check(nodes, constants, |a, b| (a - 2.0) / 2.0 + (b - 2.0) / 4.0);
}

/// Trees of which each is a root and two leaves, or a leaf: feature, mode, threshold, leaves.
fn stumps(trees: &[(i64, &str, f32, [f32; 2])], more: Vec<Attribute>) -> File {
    let ints = |name: &str, of: &dyn Fn(i64, i64) -> i64| Attribute {
        ints: (0..trees.len() as i64)
            .flat_map(|tree| (0..3).map(move |place| (tree, place)))
            .map(|(tree, place)| of(tree, place))
            .collect(),
        ..attribute(name)
    };
    let modes = trees
        .iter()
        .flat_map(|(_, mode, ..)| [*mode, "LEAF", "LEAF"]);
    let values = trees
        .iter()
        .flat_map(|(.., threshold, _)| [*threshold, 0.0, 0.0]);
    let weights = trees
        .iter()
        .flat_map(|(.., leaves)| [0.0, leaves[0], leaves[1]]);
    let root = |value: i64| move |_: i64, place: i64| if place == 0 { value } else { 0 };
    let feature = |tree: i64, place: i64| {
        if place == 0 {
            trees[tree as usize].0
        } else {
            0
        }
    };
    let votes = weights.enumerate().filter(|(index, _)| index % 3 > 0);
    let (places, weights): (Vec<usize>, Vec<f32>) = votes.unzip();
    let of_votes = |name: &str, of: &dyn Fn(i64) -> i64| Attribute {
        ints: places.iter().map(|place| of(*place as i64)).collect(),
        ..attribute(name)
    };
    let mut ensemble = with(
        node("TreeEnsembleRegressor", &["x"], "y"),
        [
            ints("nodes_treeids", &|tree, _| tree),
            ints("nodes_nodeids", &|_, place| place),
            ints("nodes_featureids", &feature),
            ints("nodes_truenodeids", &root(1)),
            ints("nodes_falsenodeids", &root(2)),
            of_votes("target_treeids", &|place| place / 3),
            of_votes("target_nodeids", &|place| place % 3),
            of_votes("target_ids", &|_| 0),
        ],
    );
    ensemble.attribute.extend([
        Attribute {
            strings: modes.map(|mode| mode.as_bytes().to_vec()).collect(),
            ..attribute("nodes_modes")
        },
        Attribute {
            floats: values.collect(),
            ..attribute("nodes_values")
        },
        Attribute {
            floats: weights,
            ..attribute("target_weights")
        },
    ]);
    ensemble.attribute.extend(more);
    ensemble.domain = ML.into();
    file(vec![ensemble], Vec::new())
}

#[test]
fn comparisons_are_exact_at_every_value() {
    let holds = |mode: &str, value: f64, threshold: f64| match mode {
        "BRANCH_LEQ" => value <= threshold,
        "BRANCH_LT" => value < threshold,
        "BRANCH_GTE" => value >= threshold,
        _ => value > threshold,
    };
    for unit in [Unit::Steps, Unit::Octaves] {
        for mode in ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT"] {
            for threshold in [
                -3.5_f32, -1e30, 0.0, 0.25, 7.0, 7.5, 20.001, 40.0, 41.0, 3e9,
            ] {
                let file = stumps(&[(1, mode, threshold, [10.0, 20.0])], Vec::new());
                let model = imported(&file, unit).expect("it is imported").model;
                for slept in 0..=10_240 {
                    let value = f64::from(slept) / unit.steps();
                    let leaf = if holds(mode, value, threshold.into()) {
                        10.0
                    } else {
                        20.0
                    };
                    let found = infer(&model, 5000, slept)[0];
                    assert_eq!(
                        f64::from(found),
                        leaf * unit.steps(),
                        "{mode} {threshold} {slept}"
                    );
                }
            }
        }
    }
}

#[test]
fn trees_are_added_up_or_averaged() {
    let text = |name: &str, text: &str| Attribute {
        s: text.as_bytes().to_vec(),
        ..attribute(name)
    };
    let base = Attribute {
        floats: vec![100.0],
        ..attribute("base_values")
    };
    let trees = [
        (0, "BRANCH_LEQ", 5000.0, [10.0, -20.0]),
        (1, "BRANCH_LT", 3000.0, [300.0, 401.0]),
    ];
    for (how, wanted) in [("SUM", [410, 481]), ("AVERAGE", [255, 291])] {
        let more = vec![
            text("aggregate_function", how),
            base.clone(),
            int("n_targets", 1),
        ];
        let found = imported(&stumps(&trees, more), Unit::Steps).expect("it is imported");
        let model = &found.model;
        let given = [infer(model, 5000, 2999)[0], infer(model, 5001, 3000)[0]];
        // 255 and 290.5, rounded to the nearest.
        assert_eq!(given, wanted, "{how}");
        assert!(found.difference.most <= 0.5, "{:?}", found.difference);
    }
    for (what, says) in [
        (
            text("aggregate_function", "MIN"),
            "takes the MIN of its trees",
        ),
        (text("post_transform", "LOGISTIC"), "transforms its sums"),
        (int("n_targets", 3), "3 values are predicted"),
    ] {
        let error = refused(&stumps(&trees, vec![what]));
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn what_baton_cannot_compute_is_told_with_a_remedy() {
    let stump = (0, "BRANCH_LEQ", 5.0, [1.0, 2.0]);
    let many = refused(&stumps(&[stump; 65], Vec::new()));
    assert!(
        many.contains("65 trees") && many.contains("n_estimators"),
        "{many}"
    );
    let mode = refused(&stumps(&[(0, "BRANCH_EQ", 5.0, [1.0, 2.0])], Vec::new()));
    assert!(mode.contains("BRANCH_EQ"), "{mode}");
    let feature = refused(&stumps(&[(7, "BRANCH_LEQ", 5.0, [1.0, 2.0])], Vec::new()));
    assert!(feature.contains("takes 8 values"), "{feature}");
    // Both ways lead back to the root.
    let mut endless = stumps(&[stump], Vec::new());
    let graph = endless.graph.as_mut().expect("a graph");
    for attribute in &mut graph.node[0].attribute {
        if attribute.name.ends_with("enodeids") {
            attribute.ints = vec![0; 3];
        }
    }
    let endless = refused(&endless);
    assert!(endless.contains("more than 6 levels"), "{endless}");

    let wide = vec![floats("w", &[2, 33], &[0.5; 66])];
    let wide = refused(&file(vec![node("MatMul", &["x", "w"], "y")], wide));
    assert!(wide.contains("33 neurons"), "{wide}");
    let deep: Vec<Node> = (0..5)
        .map(|layer| {
            let name = |layer: i32| match layer {
                0 => "x".to_owned(),
                5 => "y".to_owned(),
                layer => format!("h{layer}"),
            };
            node("Relu", &[&name(layer)], &name(layer + 1))
        })
        .collect();
    let deep = refused(&file(deep, Vec::new()));
    assert!(deep.contains("hidden layers"), "{deep}");
    for (nodes, says) in [
        (vec![node("Tanh", &["x"], "y")], "activation='relu'"),
        (vec![node("Add", &["x", "x"], "y")], "joins 2 values"),
        (
            vec![node("Conv", &["x"], "y")],
            "\"Conv\" cannot be imported",
        ),
        (
            vec![with(node("Cast", &["x"], "y"), [int("to", 10)])],
            "rounds to another type",
        ),
        (Vec::new(), "nothing gives \"y\""),
        (vec![node("Relu", &["y"], "y")], "more than 256 steps"),
    ] {
        let error = refused(&file(nodes, Vec::new()));
        assert!(
            error.starts_with("a.onnx: ") && error.contains(says),
            "{error}"
        );
    }
    let elsewhere = Tensor {
        data_location: 1,
        ..floats("w", &[2, 1], &[])
    };
    let elsewhere = refused(&file(
        vec![node("MatMul", &["x", "w"], "y")],
        vec![elsewhere],
    ));
    assert!(elsewhere.contains("external_data=False"), "{elsewhere}");
    let infinite = vec![floats("w", &[2, 1], &[f32::INFINITY, 1.0])];
    let infinite = refused(&file(vec![node("MatMul", &["x", "w"], "y")], infinite));
    assert!(infinite.contains("no number"), "{infinite}");
    let large = vec![0; BYTES_MAX as usize + 1];
    let large = Onnx::parse("a.onnx", &large).err().expect("it is refused");
    assert_eq!(large.fault, Fault::TooLarge);
}

#[test]
fn what_is_damaged_is_read_or_refused() {
    let network = file(
        vec![
            with(node("Gemm", &["x", "w1", "b"], "s"), [int("transB", 1)]),
            node("Relu", &["s"], "h"),
            node("MatMul", &["h", "w2"], "y"),
        ],
        vec![
            floats("w1", &[2, 2], &HIDDEN),
            floats("b", &[2], &[1.0, 2.0]),
            floats("w2", &[2, 1], &OUTPUT),
        ],
    );
    let trees = stumps(
        &[
            (0, "BRANCH_LEQ", 5000.0, [10.0, -20.0]),
            (1, "BRANCH_LT", 3000.0, [300.0, 401.0]),
        ],
        Vec::new(),
    );
    let mut rng = Rng::new(11);
    for whole in [network.encode_to_vec(), trees.encode_to_vec()] {
        for round in 0..4000 {
            let mut bytes = whole.clone();
            for _ in 0..=rng.below(3) {
                let place = rng.below(bytes.len() as u64) as usize;
                match rng.below(4) {
                    0 => bytes[place] ^= 1 << rng.below(8),
                    1 => bytes[place] = rng.next_u64() as u8,
                    2 => drop(bytes.remove(place)),
                    _ => bytes.insert(place, rng.next_u64() as u8),
                }
            }
            if round % 10 == 0 {
                bytes.truncate(rng.below(bytes.len() as u64) as usize);
            }
            let Ok(onnx) = Onnx::parse("a.onnx", &bytes) else {
                continue;
            };
            if let Ok(found) = import(&[onnx], &reading(Unit::Steps), &[]) {
                let _ = infer(&found.model, 10_240, 10_240);
            }
        }
    }
}
