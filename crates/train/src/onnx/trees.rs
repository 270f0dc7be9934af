//! Trees of any shape, made full, and of floats, made integers.

use baton_model::{DEPTH_MAX, Defect, Forest, Node, TREES_MAX, Tree};

use super::{
    Fault,
    columns::{Column, Columns},
    ensemble::{Ensemble, Mode, Place},
};

/// Bits of a leaf's integer after the point, at most: what 64 leaves lose is below a thousandth of a step.
const FRACTION_MAX: i32 = 16;

/// What sums of leaves are kept below, as those of networks are.
const SUM_MAX: f64 = (1_u64 << 30) as f64;

/// Trees for a forest; those of a single leaf are in the base.
pub(super) struct Grown {
    pub base: Vec<f64>,
    pub trees: Vec<FloatTree>,
}

/// A full tree, with leaves in steps.
pub(super) struct FloatTree {
    output: usize,
    nodes: Vec<Node>,
    leaves: Vec<f64>,
}

/// What is left of a tree where a comparison whose outcome is known is no node.
enum Kept {
    Leaf(f64),
    Node(Node, Box<[Self; 2]>),
}

impl Ensemble {
    /// The trees of a forest: comparisons in whole steps above the least of an input's range, each of them with
    /// the same outcome for every value.
    pub fn grown(&self, columns: &Columns) -> Result<Grown, Fault> {
        let unit = columns.unit.steps();
        let mut grown = Grown {
            base: self.base.iter().map(|base| base * unit).collect(),
            trees: Vec::new(),
        };
        if self.roots.len() > TREES_MAX {
            return Err(Fault::trees(self.roots.len()));
        }
        for (number, root) in self.roots.iter().enumerate() {
            for output in 0..self.outputs() {
                let kept = self
                    .kept(*root, output, columns, 0)
                    .map_err(|fault| match fault {
                        None => Fault::unsupported(
                            format!("tree {number} has more than {DEPTH_MAX} levels"),
                            "train with max_depth=6",
                        ),
                        Some(defect) => defect.into(),
                    })?;
                match kept {
                    Kept::Leaf(value) => grown.base[output] += value * unit,
                    Kept::Node(..) => grown.trees.push(kept.full(output, unit)),
                }
            }
        }
        Ok(grown)
    }

    /// What is left of the tree at a place, for one output; none of what is too deep.
    fn kept(
        &self,
        at: usize,
        output: usize,
        columns: &Columns,
        depth: usize,
    ) -> Result<Kept, Option<Defect>> {
        let (column, mode, threshold, ways) = match &self.places[at] {
            Place::Leaf(values) => return Ok(Kept::Leaf(values[output])),
            Place::Branch { .. } if depth == DEPTH_MAX => return Err(None),
            Place::Branch {
                column,
                mode,
                threshold,
                ways,
            } => (*column, *mode, *threshold, *ways),
        };
        if !threshold.is_finite() {
            return Err(Some(Defect::NotFinite));
        }
        let below = |way: usize| self.kept(ways[way], output, columns, depth + 1);
        let input = match columns.list[column] {
            Column::Constant(value) => {
                let holds = mode.holds(value / columns.unit.steps(), threshold);
                return below(usize::from(!holds));
            }
            Column::Input(input) => input,
        };
        // A product by a power of two, so nothing is lost.
        let steps = threshold * columns.unit.steps();
        let (last, left, right) = match mode {
            Mode::AtMost => (steps.floor(), 0, 1),
            Mode::Below => (steps.ceil() - 1.0, 0, 1),
            Mode::AtLeast => (steps.ceil() - 1.0, 1, 0),
            Mode::Above => (steps.floor(), 1, 0),
        };
        let last = last - columns.least(input);
        if last < 0.0 {
            return below(right);
        }
        let range = columns.inputs.list[input].range;
        if last >= f64::from(range.high - range.low) {
            return below(left);
        }
        let node = Node {
            input: input as u8,
            threshold: last as u16,
        };
        Ok(match [below(left)?, below(right)?] {
            // Of a tree for the other output nothing is left.
            [Kept::Leaf(left), Kept::Leaf(right)] if left == right => Kept::Leaf(left),
            ways => Kept::Node(node, Box::new(ways)),
        })
    }
}

impl Kept {
    fn depth(&self) -> usize {
        match self {
            Self::Leaf(_) => 0,
            Self::Node(_, below) => 1 + below[0].depth().max(below[1].depth()),
        }
    }

    /// By level; a leaf that stands higher stands in all places below it.
    fn full(&self, output: usize, unit: f64) -> FloatTree {
        let mut level = vec![self];
        let (mut nodes, anywhere) = (
            Vec::new(),
            Node {
                input: 0,
                threshold: 0,
            },
        );
        for _ in 0..self.depth() {
            nodes.extend(level.iter().map(|kept| match kept {
                Self::Leaf(_) => anywhere,
                Self::Node(node, _) => *node,
            }));
            level = level
                .into_iter()
                .flat_map(|kept| match kept {
                    Self::Leaf(_) => [kept, kept],
                    Self::Node(_, below) => [&below[0], &below[1]],
                })
                .collect();
        }
        let leaf = |kept: &Self| match kept {
            Self::Leaf(value) => value * unit,
            Self::Node(..) => 0.0,
        };
        FloatTree {
            output,
            nodes,
            leaves: level.into_iter().map(leaf).collect(),
        }
    }
}

impl Grown {
    /// Takes another one's outputs and trees in, behind its own.
    pub fn append(&mut self, other: Self) {
        let outputs = self.base.len();
        self.base.extend(other.base);
        self.trees
            .extend(other.trees.into_iter().map(|tree| FloatTree {
                output: outputs + tree.output,
                ..tree
            }));
    }

    /// The forest in integers: leaves on the finest scale that their sums allow for.
    pub fn forest(self, columns: &Columns) -> Result<Forest, Fault> {
        if self.trees.len() > TREES_MAX {
            return Err(Fault::trees(self.trees.len()));
        }
        let most = |tree: &FloatTree| {
            let sizes = tree.leaves.iter().map(|leaf| leaf.abs());
            sizes.fold(0.0, f64::max)
        };
        let sums = self.base.iter().enumerate().map(|(output, base)| {
            let mine = self.trees.iter().filter(|tree| tree.output == output);
            base.abs() + mine.map(most).sum::<f64>()
        });
        let sum = sums.fold(0.0, f64::max);
        let numbers = self
            .trees
            .iter()
            .flat_map(|tree| &tree.leaves)
            .chain(&self.base);
        let finite = numbers.clone().all(|number| number.is_finite());
        let bits = (0..=FRACTION_MAX)
            .rev()
            .find(|bits| sum * 2_f64.powi(*bits) <= SUM_MAX);
        let Some(bits) = bits.filter(|_| finite) else {
            return Err(Defect::NotFinite.into());
        };
        let round = |number: f64| (number * 2_f64.powi(bits)).round() as i32;
        // The shift at the end rounds down, so half of a step is added here.
        let half = if bits > 0 { 1 << (bits - 1) } else { 0 };
        let base: Vec<i32> = self.base.iter().map(|base| round(*base) + half).collect();
        let mut trees: Vec<Tree> = self
            .trees
            .into_iter()
            .map(|tree| Tree {
                output: tree.output as u8,
                leaves: tree.leaves.into_iter().map(round).collect(),
                nodes: tree.nodes,
            })
            .collect();
        if trees.is_empty() {
            // A forest has a tree; one that adds nothing.
            trees.push(Tree {
                output: 0,
                nodes: vec![Node {
                    input: 0,
                    threshold: 0,
                }],
                leaves: vec![0, 0],
            });
        }
        Ok(Forest::new(
            columns.inputs.clone(),
            base,
            trees,
            bits as u32,
        )?)
    }
}
