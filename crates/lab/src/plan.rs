//! Which run comes when.
//!
//! Each round has one run of every cell, which is a workload under a variant. It takes the workloads
//! in an order drawn from the seed, and each of them under all variants in an order drawn again, so
//! that what is compared lies close in time, and no variant is always the first or the one after
//! another. Rounds are spread evenly over the boots.

use serde::{Deserialize, Serialize};

/// What a plan is made of; the same gives the same plan, here and in a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// Rounds.
    pub runs: u32,
    /// Boots of the machine; 1 at least.
    pub boots: u32,
    /// Variants.
    pub variants: usize,
    /// Workloads.
    pub workloads: usize,
    /// Seed of the order, the workloads and the names of tasks.
    pub seed: u64,
}

/// One run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cell {
    /// The round, from 0.
    pub round: u32,
    /// The boot, from 0, unless one died.
    pub boot: u32,
    /// The variant's index.
    pub variant: usize,
    /// The workload's index.
    pub workload: usize,
}

impl Shape {
    /// All runs in their order.
    #[must_use]
    pub fn cells(&self) -> Vec<Cell> {
        let mut random = fastrand::Rng::with_seed(self.seed);
        let mut cells = Vec::with_capacity(self.runs as usize * self.variants * self.workloads);
        for round in 0..self.runs {
            let boot = u64::from(round) * u64::from(self.boots) / u64::from(self.runs.max(1));
            let mut workloads: Vec<usize> = (0..self.workloads).collect();
            random.shuffle(&mut workloads);
            for workload in workloads {
                let mut variants: Vec<usize> = (0..self.variants).collect();
                random.shuffle(&mut variants);
                cells.extend(variants.into_iter().map(|variant| Cell {
                    round,
                    boot: boot as u32,
                    variant,
                    workload,
                }));
            }
        }
        cells
    }

    /// The seed of the workloads in a round, the same under every variant.
    #[must_use]
    pub const fn run_seed(&self, round: u32) -> u64 {
        self.seed.wrapping_add(round as u64)
    }

    /// What the names of simulated tasks in a run depend on, so that no scheduler learns them: another one
    /// in every run, and the same when it is made again.
    #[must_use]
    pub fn salt(&self, cell: &Cell) -> String {
        let (round, variant, workload) = (cell.round, cell.variant, cell.workload);
        format!("{:x}/{round}/{variant}/{workload}", self.seed)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn shapes() -> impl Iterator<Item = Shape> {
        (0..200).map(|seed| {
            let mut random = fastrand::Rng::with_seed(seed);
            let runs = random.u32(1..20);
            Shape {
                runs,
                boots: random.u32(1..=runs),
                variants: random.usize(1..6),
                workloads: random.usize(1..6),
                seed,
            }
        })
    }

    #[test]
    fn each_round_has_each_cell_once_and_workloads_stay_together() {
        for shape in shapes() {
            let cells = shape.cells();
            let per_round = shape.variants * shape.workloads;
            assert_eq!(cells.len(), shape.runs as usize * per_round, "{shape:?}");
            for (round, cells) in cells.chunks(per_round).enumerate() {
                assert!(
                    cells.iter().all(|cell| cell.round as usize == round),
                    "{shape:?}"
                );
                let distinct: BTreeSet<_> = cells
                    .iter()
                    .map(|cell| (cell.variant, cell.workload))
                    .collect();
                assert_eq!(distinct.len(), per_round, "{shape:?}");
                for block in cells.chunks(shape.variants) {
                    let same = block.iter().all(|cell| cell.workload == block[0].workload);
                    assert!(same, "{shape:?}");
                }
            }
        }
    }

    #[test]
    fn boots_rise_and_have_about_as_many_rounds_each() {
        for shape in shapes() {
            let cells = shape.cells();
            assert!(cells.is_sorted_by_key(|cell| cell.boot), "{shape:?}");
            let counts: Vec<u32> = (0..shape.boots)
                .map(|boot| {
                    let of_boot = cells.iter().filter(|cell| cell.boot == boot);
                    of_boot
                        .map(|cell| cell.round)
                        .collect::<BTreeSet<_>>()
                        .len() as u32
                })
                .collect();
            let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
            assert!(*least >= 1 && most - least <= 1, "{shape:?}: {counts:?}");
        }
    }

    #[test]
    fn the_order_is_the_seeds() {
        let shape = |seed| Shape {
            runs: 5,
            boots: 1,
            variants: 3,
            workloads: 4,
            seed,
        };
        assert_eq!(shape(1).cells(), shape(1).cells());
        let orders: BTreeSet<_> = (0..20).map(|seed| shape(seed).cells()).collect();
        assert_eq!(orders.len(), 20);
        // Over many rounds every variant is first about equally often.
        let many = Shape {
            runs: 1000,
            ..shape(7)
        };
        let mut first = [0; 3];
        many.cells()
            .chunks(3)
            .for_each(|block| first[block[0].variant] += 1);
        assert!(
            first.iter().all(|count| (1200..1470).contains(count)),
            "{first:?}"
        );
    }

    #[test]
    fn salts_differ_from_run_to_run() {
        let shape = shapes().nth(5).unwrap();
        let cells = shape.cells();
        let salts: BTreeSet<_> = cells.iter().map(|cell| shape.salt(cell)).collect();
        assert_eq!(salts.len(), cells.len());
    }
}
