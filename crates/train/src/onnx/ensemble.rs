//! `TreeEnsembleRegressor`: trees as they stand in the file.

use std::collections::BTreeMap;

use baton_model::DEPTH_MAX;

use super::{
    Fault,
    columns::Columns,
    graph::{Graph, Step, floats, int, ints, is_ml, text, texts, title, unsupported},
    proto,
};

/// How a node compares its value with its threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Mode {
    AtMost,
    Below,
    AtLeast,
    Above,
}

#[derive(Clone, Debug)]
pub(super) enum Place {
    Branch {
        column: usize,
        mode: Mode,
        threshold: f64,
        /// Where it goes if the comparison holds, and if not.
        ways: [usize; 2],
    },
    /// What it adds to each output.
    Leaf(Vec<f64>),
}

/// The trees as they stand in the file.
pub(super) struct Ensemble {
    pub places: Vec<Place>,
    pub roots: Vec<usize>,
    /// What each output begins with.
    pub base: Vec<f64>,
}

/// Whether a step is a sum of trees.
pub(super) fn is_ensemble(step: &Step<'_>) -> bool {
    is_ml(step.node) && step.node.op_type == "TreeEnsembleRegressor"
}

/// The trees of a chain, which has nothing else.
pub(super) fn ensemble<'a>(
    graph: &Graph<'a>,
    steps: &[Step<'a>],
    columns: &Columns,
) -> Result<Ensemble, Fault> {
    let mut found: Option<Ensemble> = None;
    for step in steps {
        if is_ensemble(step) && found.is_none() {
            found = Some(Ensemble::read(step.node, columns.list.len())?);
            continue;
        }
        let width = found
            .as_ref()
            .map_or(columns.list.len(), |found| found.base.len());
        if !graph.is_idle(step, width)? {
            return Err(match found {
                Some(_) => unsupported(step.node),
                None => Fault::unsupported(
                    format!("{} stands before the trees", title(step.node)),
                    "train trees on the values as they are: scaling does nothing for them",
                ),
            });
        }
    }
    found.ok_or_else(|| Fault::Malformed("it has no trees".into()))
}

impl Ensemble {
    fn read(node: &proto::Node, columns: usize) -> Result<Self, Fault> {
        let post = text(node, "post_transform");
        if !matches!(post, b"" | b"NONE") {
            return Err(Fault::unsupported(
                format!("{} transforms its sums", title(node)),
                "train with a squared or a pinball loss",
            ));
        }
        let (places, roots) = places(node, columns)?;
        let mut all = Self {
            places,
            roots,
            base: Vec::new(),
        };
        let factor = match text(node, "aggregate_function") {
            b"" | b"SUM" => 1.0,
            b"AVERAGE" => 1.0 / all.roots.len() as f64,
            other => {
                return Err(Fault::unsupported(
                    format!(
                        "{} takes the {} of its trees",
                        title(node),
                        String::from_utf8_lossy(other)
                    ),
                    "train trees of which the sum or the average counts",
                ));
            }
        };
        let outputs = int(node, "n_targets", 1);
        let outputs = match usize::try_from(outputs) {
            Ok(outputs @ 1..=2) => outputs,
            _ => return Err(outputs_unsupported(outputs)),
        };
        all.base = floats(node, "base_values")?;
        if all.base.is_empty() {
            all.base = vec![0.0; outputs];
        }
        if all.base.len() != outputs {
            return Err(malformed(node, "base_values"));
        }
        all.votes(node, factor)?;
        Ok(all)
    }

    /// Puts the leaves' values where they belong.
    fn votes(&mut self, node: &proto::Node, factor: f64) -> Result<(), Fault> {
        let outputs = self.base.len();
        let weights = floats(node, "target_weights")?;
        let [trees, nodes, targets] =
            ["target_treeids", "target_nodeids", "target_ids"].map(|name| ints(node, name));
        if [trees.len(), nodes.len(), targets.len()] != [weights.len(); 3] {
            return Err(malformed(node, "target_weights"));
        }
        let known = numbers(node);
        for (((tree, place), target), weight) in trees.iter().zip(nodes).zip(targets).zip(&weights)
        {
            let place = known
                .get(&(*tree, *place))
                .and_then(|at| self.places.get_mut(*at));
            match (place, usize::try_from(*target)) {
                (Some(Place::Leaf(values)), Ok(target)) if target < outputs => {
                    values.resize(outputs, 0.0);
                    values[target] += weight * factor;
                }
                _ => return Err(malformed(node, "target_ids")),
            }
        }
        for place in &mut self.places {
            if let Place::Leaf(values) = place {
                values.resize(outputs, 0.0);
            }
        }
        Ok(())
    }

    pub fn outputs(&self) -> usize {
        self.base.len()
    }

    /// What it gives for what it is fed with, by the file's own nodes.
    pub fn predict(&self, fed: &[f64]) -> Vec<f64> {
        let mut sums = self.base.clone();
        for root in &self.roots {
            let mut at = *root;
            // One more than the deepest tree that was accepted has.
            for _ in 0..=DEPTH_MAX {
                match &self.places[at] {
                    Place::Leaf(values) => {
                        for (sum, value) in sums.iter_mut().zip(values) {
                            *sum += value;
                        }
                        break;
                    }
                    Place::Branch {
                        column,
                        mode,
                        threshold,
                        ways,
                    } => at = ways[usize::from(!mode.holds(fed[*column], *threshold))],
                }
            }
        }
        sums
    }
}

impl Mode {
    fn of(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"BRANCH_LEQ" => Self::AtMost,
            b"BRANCH_LT" => Self::Below,
            b"BRANCH_GTE" => Self::AtLeast,
            b"BRANCH_GT" => Self::Above,
            _ => return None,
        })
    }

    pub fn holds(self, value: f64, threshold: f64) -> bool {
        match self {
            Self::AtMost => value <= threshold,
            Self::Below => value < threshold,
            Self::AtLeast => value >= threshold,
            Self::Above => value > threshold,
        }
    }
}

/// More values than a model's readers know the meaning of.
pub(super) fn outputs_unsupported(found: impl std::fmt::Display) -> Fault {
    Fault::unsupported(
        format!("{found} values are predicted, and 1 or 2 can be"),
        "predict the median, or the median and the 90th percentile",
    )
}

fn malformed(node: &proto::Node, what: &str) -> Fault {
    Fault::Malformed(format!("{what} of {} do not fit the others", title(node)))
}

/// Where a node stands in the lists, by its tree's number and its own.
fn numbers(node: &proto::Node) -> BTreeMap<(i64, i64), usize> {
    let trees = ints(node, "nodes_treeids").iter();
    let all = trees.zip(ints(node, "nodes_nodeids")).enumerate();
    all.map(|(at, (tree, node))| ((*tree, *node), at)).collect()
}

/// All nodes, and which of them are roots: those with number 0.
fn places(node: &proto::Node, columns: usize) -> Result<(Vec<Place>, Vec<usize>), Fault> {
    let [trees, ids, features, yes, no] = [
        "nodes_treeids",
        "nodes_nodeids",
        "nodes_featureids",
        "nodes_truenodeids",
        "nodes_falsenodeids",
    ]
    .map(|name| ints(node, name));
    let thresholds = floats(node, "nodes_values")?;
    let modes = texts(node, "nodes_modes");
    let count = trees.len();
    let counts = [ids, features, yes, no].map(<[i64]>::len);
    if count == 0 || counts != [count; 4] || [thresholds.len(), modes.len()] != [count; 2] {
        return Err(malformed(node, "nodes"));
    }
    let known = numbers(node);
    if known.len() != count {
        return Err(malformed(node, "numbers of nodes"));
    }
    let place = |at: usize| {
        if modes[at] == b"LEAF" {
            return Ok(Place::Leaf(Vec::new()));
        }
        let Some(mode) = Mode::of(&modes[at]) else {
            return Err(Fault::unsupported(
                format!(
                    "{} has a node of mode {}",
                    title(node),
                    String::from_utf8_lossy(&modes[at])
                ),
                "train trees that go by whether a value is above a threshold, without categories",
            ));
        };
        let column = usize::try_from(features[at]).unwrap_or(usize::MAX);
        if column >= columns {
            return Err(Fault::Features {
                taken: column.saturating_add(1),
                named: columns,
            });
        }
        let way = |to: i64| known.get(&(trees[at], to)).copied();
        let (Some(yes), Some(no)) = (way(yes[at]), way(no[at])) else {
            return Err(malformed(node, "numbers of nodes"));
        };
        Ok(Place::Branch {
            column,
            mode,
            threshold: thresholds[at],
            ways: [yes, no],
        })
    };
    let places: Vec<Place> = (0..count).map(place).collect::<Result<_, _>>()?;
    let roots: Vec<usize> = known
        .iter()
        .filter(|((_, id), _)| *id == 0)
        .map(|(_, at)| *at)
        .collect();
    let mut distinct = trees.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    if roots.len() != distinct.len() {
        return Err(malformed(node, "roots"));
    }
    Ok((places, roots))
}
