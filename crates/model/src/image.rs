//! A model as the kernel reads it: `struct baton_model` of `bpf/include/model.bpf.h`.

use alloc::{vec, vec::Vec};

use crate::{
    DEPTH_MAX, Forest, INPUTS_MAX, Input, Inputs, LAYERS_MAX, Model, Network, Node, OUTPUTS_MAX,
    Range, TREES_MAX, WIDTH_MAX,
};

/// The first word of an image; changes with its layout.
pub const IMAGE_MAGIC: u32 = 0x4254_4d01;

const KIND_NETWORK: u32 = 1;
const KIND_FOREST: u32 = 2;

/// Neurons are computed two at a time, and so many pairs side by side.
const BLOCK_PAIRS: usize = 6;
/// Words of weights, and as many more as a row can reach beyond.
const WEIGHTS: usize = 2048;
const WEIGHTS_SPARE: usize = WIDTH_MAX * BLOCK_PAIRS + BLOCK_PAIRS;
/// Places of a tree: 1 is its root, and those below place p are 2p and 2p + 1.
const PLACES: usize = 1 << DEPTH_MAX;

const HEAD_BYTES: usize = 8 * 4 + INPUTS_MAX * (2 + 2 + 1 + 1);
const NETWORK_BYTES: usize = LAYERS_MAX * (4 * 4 + WIDTH_MAX * 4) + (WEIGHTS + WEIGHTS_SPARE) * 8;
const FOREST_BYTES: usize = OUTPUTS_MAX * 4 + TREES_MAX * 2 + TREES_MAX * PLACES * (4 + 4);

/// Bytes of an image.
pub const IMAGE_BYTES: usize = HEAD_BYTES + NETWORK_BYTES + FOREST_BYTES;

/// Where the layers, the weights, the sums of leaves and the nodes begin, and where all ends: for the test that
/// compares them with C's.
#[doc(hidden)]
pub const IMAGE_OFFSETS: [usize; 5] = [
    HEAD_BYTES,
    HEAD_BYTES + LAYERS_MAX * (4 * 4 + WIDTH_MAX * 4),
    HEAD_BYTES + NETWORK_BYTES,
    HEAD_BYTES + NETWORK_BYTES + OUTPUTS_MAX * 4 + TREES_MAX * 2,
    IMAGE_BYTES,
];

/// The bytes of a model for the kernel, in the order of bytes of this machine.
///
/// Two weights of 16 bits stand in one word of 64, as `low + high * 2^32`: one multiplication serves two
/// neurons, and since no sum leaves 32 bits, neither half disturbs the other but for a borrow,
/// which is known from the lower half's sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image(Vec<u8>);

/// Writes the fields one after the other.
struct Fields(Vec<u8>);

impl Fields {
    fn words(&mut self, words: impl IntoIterator<Item = u32>, count: usize) {
        let end = self.0.len() + count * 4;
        self.0
            .extend(words.into_iter().take(count).flat_map(u32::to_ne_bytes));
        self.0.resize(end, 0);
    }

    fn zeros(&mut self, bytes: usize) {
        self.0.resize(self.0.len() + bytes, 0);
    }

    fn head(&mut self, kind: u32, inputs: &Inputs, outputs: usize, parts: usize, shift: u32) {
        let counts = [inputs.list.len(), outputs, parts].map(|count| count as u32);
        self.words([IMAGE_MAGIC, kind], 2);
        self.words(counts, 3);
        // The base counts from 1: 0 is none.
        let base = inputs.base.map_or(0, |base| base as u32 + 1);
        self.words([shift, base, 0], 3);
        let inputs = &inputs.list;
        for end in [
            |input: &Input| input.range.low,
            |input: &Input| input.range.high,
        ] {
            let values = inputs.iter().flat_map(|input| end(input).to_ne_bytes());
            let bytes = self.0.len() + INPUTS_MAX * 2;
            self.0.extend(values);
            self.0.resize(bytes, 0);
        }
        for of in [
            |input: &Input| input.feature as u8,
            |input: &Input| u8::from(input.relative),
        ] {
            let bytes = self.0.len() + INPUTS_MAX;
            self.0.extend(inputs.iter().map(of));
            self.0.resize(bytes, 0);
        }
    }

    fn network(&mut self, network: &Network) {
        let mut weights: Vec<u64> = Vec::with_capacity(WEIGHTS);
        let mut before = network.inputs().list.len();
        for layer in network.layers() {
            let pairs = layer.bias.len().div_ceil(2);
            self.words(
                [
                    before as u32,
                    pairs as u32,
                    layer.shift,
                    weights.len() as u32,
                ],
                4,
            );
            self.words(layer.bias.iter().map(|bias| *bias as u32), WIDTH_MAX);
            let rows: Vec<&[i16]> = layer.weights.iter().map(Vec::as_slice).collect();
            for block in rows.chunks(2 * BLOCK_PAIRS) {
                for input in 0..before {
                    weights.extend(block.chunks(2).map(|pair| {
                        let half =
                            |row: Option<&&[i16]>| row.map_or(0, |row| i64::from(row[input]));
                        (half(pair.first()) + (half(pair.get(1)) << 32)) as u64
                    }));
                }
            }
            // What a neuron that is there for its pair alone gives meets no weight.
            before = layer.bias.len();
        }
        self.zeros((LAYERS_MAX - network.layers().len()) * (4 * 4 + WIDTH_MAX * 4));
        let bytes = self.0.len() + (WEIGHTS + WEIGHTS_SPARE) * 8;
        self.0
            .extend(weights.into_iter().flat_map(u64::to_ne_bytes));
        self.0.resize(bytes, 0);
    }

    fn forest(&mut self, forest: &Forest) {
        self.words(forest.base().iter().map(|base| *base as u32), OUTPUTS_MAX);
        let bytes = self.0.len() + 2 * TREES_MAX;
        let mut each = vec![0; 2 * TREES_MAX];
        for (index, tree) in forest.trees().iter().enumerate() {
            each[index] = tree.output;
            each[TREES_MAX + index] = tree.depth() as u8;
        }
        self.0.extend(each);
        self.0.resize(bytes, 0);
        for index in 0..TREES_MAX {
            let nodes = forest
                .trees()
                .get(index)
                .map_or(&[][..], |tree| &tree.nodes);
            // No tree has the place 0.
            let first = core::iter::once(0);
            let packed = nodes.iter().map(|node| packed_node(node, forest.inputs()));
            self.words(first.chain(packed), PLACES);
        }
        for index in 0..TREES_MAX {
            let leaves = forest
                .trees()
                .get(index)
                .map_or(&[][..], |tree| &tree.leaves);
            self.words(leaves.iter().map(|leaf| *leaf as u32), PLACES);
        }
    }
}

/// A node that looks at the features themselves: what lies outside the input's range is on the same side of every
/// threshold within it as the range's end, so nothing has to be clamped.
fn packed_node(node: &Node, inputs: &Inputs) -> u32 {
    let input = inputs.list[usize::from(node.input)];
    let Range { low, high } = input.range;
    let threshold = low + node.threshold;
    if threshold >= high {
        // Nothing goes right: no feature, as it is, is above this.
        return u32::from(u16::MAX);
    }
    u32::from(input.relative) << 20 | (input.feature as u32) << 16 | u32::from(threshold)
}

impl Image {
    /// The image of a model.
    #[must_use]
    pub fn of(model: &Model) -> Self {
        let mut fields = Fields(Vec::with_capacity(IMAGE_BYTES));
        let (inputs, outputs) = (model.inputs(), model.outputs());
        match model {
            Model::Network(network) => {
                fields.head(KIND_NETWORK, inputs, outputs, network.layers().len(), 0);
                fields.network(network);
                fields.zeros(FOREST_BYTES);
            }
            Model::Forest(forest) => {
                fields.head(
                    KIND_FOREST,
                    inputs,
                    outputs,
                    forest.trees().len(),
                    forest.shift(),
                );
                fields.zeros(NETWORK_BYTES);
                fields.forest(forest);
            }
        }
        debug_assert_eq!(fields.0.len(), IMAGE_BYTES);
        Self(fields.0)
    }

    /// [`IMAGE_BYTES`] bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

// The widest network that can be has its place.
const _: () = {
    let first = INPUTS_MAX * WIDTH_MAX / 2;
    let hidden = (LAYERS_MAX - 2) * WIDTH_MAX * WIDTH_MAX / 2;
    let last = WIDTH_MAX * OUTPUTS_MAX / 2;
    assert!(first + hidden + last <= WEIGHTS);
};
