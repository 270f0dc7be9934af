//! Sums of trees.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::{Defect, Features, INPUTS_MAX, Inputs, OUTPUTS_MAX, Outputs, VALUE_MAX, network::fits};

/// A tree has no more levels of nodes than this.
pub const DEPTH_MAX: usize = 6;

/// A forest has no more trees than this.
pub const TREES_MAX: usize = 64;

/// Where a tree goes left or right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// The input, by its place in the forest's list.
    pub input: u8,
    /// Up to this it goes left, above it right. The input counts from the least value of its range.
    pub threshold: u16,
}

/// A tree of which all levels are full: nodes and leaves by level, from left to right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tree {
    /// To which of the outputs it adds.
    pub output: u8,
    /// 2^depth - 1 nodes.
    pub nodes: Vec<Node>,
    /// 2^depth leaves.
    pub leaves: Vec<i32>,
}

/// Trees whose leaves are added up: gradient-boosted ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Forest {
    inputs: Inputs,
    /// What each output begins with.
    base: Vec<i32>,
    trees: Vec<Tree>,
    /// By how many bits sums are shifted right at the end.
    shift: u32,
}

/// As it stands in a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    inputs: Inputs,
    base: Vec<i32>,
    trees: Vec<Tree>,
    shift: u32,
}

impl TryFrom<Unchecked> for Forest {
    type Error = Defect;

    fn try_from(forest: Unchecked) -> Result<Self, Defect> {
        Self::new(forest.inputs, forest.base, forest.trees, forest.shift)
    }
}

impl Tree {
    /// Its levels of nodes.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.leaves.len().checked_ilog2().unwrap_or(0) as usize
    }

    fn leaf(&self, values: &[u16; INPUTS_MAX]) -> i32 {
        let mut place = 1;
        for _ in 0..self.depth() {
            let node = self.nodes[place - 1];
            place = 2 * place + usize::from(values[usize::from(node.input)] > node.threshold);
        }
        self.leaves[place - self.leaves.len()]
    }

    fn check(&self, index: usize, inputs: usize, outputs: usize) -> Result<(), Defect> {
        let shape = |what, found, expected| {
            Err(Defect::Shape {
                what,
                found,
                expected,
            })
        };
        let leaves = self.leaves.len();
        if !leaves.is_power_of_two() || !(2..=1 << DEPTH_MAX).contains(&leaves) {
            return shape("leaves of a tree, a power of two", leaves, 1 << DEPTH_MAX);
        }
        if self.nodes.len() != leaves - 1 {
            return shape("nodes of a tree", self.nodes.len(), leaves - 1);
        }
        if usize::from(self.output) >= outputs {
            return shape("number of a tree's output", self.output.into(), outputs - 1);
        }
        for node in &self.nodes {
            if usize::from(node.input) >= inputs {
                return shape("number of a node's input", node.input.into(), inputs - 1);
            }
            if node.threshold > VALUE_MAX {
                let threshold = i64::from(node.threshold);
                let sum = (threshold, threshold);
                return Err(Defect::Overflow { part: index, sum });
            }
        }
        Ok(())
    }
}

impl Forest {
    /// Checks sizes, and that no sum of leaves overflows.
    ///
    /// # Errors
    /// What is wrong.
    pub fn new(
        inputs: Inputs,
        base: Vec<i32>,
        trees: Vec<Tree>,
        shift: u32,
    ) -> Result<Self, Defect> {
        inputs.check()?;
        let shape = |what, found, expected| {
            Err(Defect::Shape {
                what,
                found,
                expected,
            })
        };
        if base.is_empty() || base.len() > OUTPUTS_MAX {
            return shape("outputs of a forest", base.len(), OUTPUTS_MAX);
        }
        if trees.is_empty() || trees.len() > TREES_MAX {
            return shape("trees", trees.len(), TREES_MAX);
        }
        if shift > 31 {
            return Err(Defect::Shift(shift));
        }
        for (index, tree) in trees.iter().enumerate() {
            tree.check(index, inputs.list.len(), base.len())?;
        }
        for (output, base) in base.iter().enumerate() {
            let base = i64::from(*base);
            let mut sum = (base.min(0), base.max(0));
            for (index, tree) in trees.iter().enumerate() {
                if usize::from(tree.output) != output {
                    continue;
                }
                let leaves = tree.leaves.iter().map(|leaf| i64::from(*leaf));
                sum.0 += leaves.clone().min().unwrap_or(0).min(0);
                sum.1 += leaves.max().unwrap_or(0).max(0);
                if !fits(sum) {
                    return Err(Defect::Overflow { part: index, sum });
                }
            }
            // Also of an output that no tree adds to.
            if !inputs.has_room(sum, shift) {
                return Err(Defect::Overflow { part: output, sum });
            }
        }
        Ok(Self {
            inputs,
            base,
            trees,
            shift,
        })
    }

    /// The features that it looks at.
    #[must_use]
    pub const fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    /// How many values it predicts.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.base.len()
    }

    /// Its trees.
    #[must_use]
    pub fn trees(&self) -> &[Tree] {
        &self.trees
    }

    /// What each output begins with.
    #[must_use]
    pub fn base(&self) -> &[i32] {
        &self.base
    }

    /// By how many bits sums are shifted right at the end, so rounded down.
    #[must_use]
    pub const fn shift(&self) -> u32 {
        self.shift
    }

    /// What it predicts.
    #[must_use]
    pub fn infer(&self, features: &Features) -> Outputs {
        let values = self.inputs.take(features);
        let mut outputs = [0; OUTPUTS_MAX];
        outputs[..self.base.len()].copy_from_slice(&self.base);
        for tree in &self.trees {
            outputs[usize::from(tree.output)] += tree.leaf(&values);
        }
        let base = i32::from(self.inputs.base_of(features));
        for output in &mut outputs[..self.base.len()] {
            *output = (*output >> self.shift) + base;
        }
        outputs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FEATURES, Feature, Input, Range};

    fn inputs() -> Inputs {
        let input = |feature, low, high| Input {
            feature,
            relative: false,
            range: Range { low, high },
        };
        Inputs::plain(vec![
            input(Feature::Last1, 100, 10240),
            input(Feature::Slept, 0, 10240),
        ])
    }

    fn node(input: u8, threshold: u16) -> Node {
        Node { input, threshold }
    }

    fn tree() -> Tree {
        Tree {
            output: 0,
            nodes: vec![node(0, 50), node(1, 10), node(1, 20)],
            leaves: vec![1, 2, 3, 4],
        }
    }

    #[test]
    fn it_goes_left_and_right() {
        let stump = Tree {
            output: 1,
            nodes: vec![node(1, 15)],
            leaves: vec![-5, 7],
        };
        let forest =
            Forest::new(inputs(), vec![100, 0], vec![tree(), tree(), stump], 1).expect("a forest");
        let predicted = |last1: u16, slept: u16| {
            let mut features = [0; FEATURES];
            features[Feature::Last1 as usize] = last1;
            features[Feature::Slept as usize] = slept;
            forest.infer(&features)
        };
        assert_eq!(predicted(150, 10), [51, -3, 0, 0]);
        assert_eq!(predicted(150, 11), [52, -3, 0, 0]);
        assert_eq!(predicted(151, 20), [53, 3, 0, 0]);
        assert_eq!(predicted(151, 21), [54, 3, 0, 0]);
        assert_eq!(
            predicted(0, 0),
            predicted(100, 0),
            "below its range a value counts as its end"
        );
    }

    #[test]
    fn what_is_wrong_is_refused() {
        let of = |base: Vec<i32>, trees: Vec<Tree>, shift| {
            Forest::new(inputs(), base, trees, shift).unwrap_err()
        };
        let changed = |change: fn(&mut Tree)| {
            let mut tree = tree();
            change(&mut tree);
            of(vec![0], vec![tree], 0)
        };
        assert_eq!(of(vec![0], vec![tree()], 32), Defect::Shift(32));
        let shapes = [
            of(vec![], vec![tree()], 0),
            of(vec![0; 5], vec![tree()], 0),
            of(vec![0], vec![], 0),
            of(vec![0], vec![tree(); 65], 0),
            changed(|tree| tree.leaves.truncate(3)),
            changed(|tree| tree.leaves.truncate(2)),
            changed(|tree| tree.nodes[2].input = 2),
            changed(|tree| tree.output = 1),
        ];
        assert!(
            shapes
                .iter()
                .all(|defect| matches!(defect, Defect::Shape { .. })),
            "{shapes:?}"
        );
        let overflows = [
            changed(|tree| tree.nodes[0].threshold = u16::MAX),
            of(vec![i32::MAX], vec![tree()], 0),
        ];
        let mut based = inputs();
        based.base = Some(Feature::Average);
        let without_tree = Forest::new(based, vec![0, i32::MAX], vec![tree()], 0);
        assert!(matches!(
            without_tree,
            Err(Defect::Overflow { part: 1, .. })
        ));
        assert!(
            overflows
                .iter()
                .all(|defect| matches!(defect, Defect::Overflow { .. }))
        );
    }
}
