//! Experiments on schedulers, from a description to a report that can be believed.
//!
//! A tour, in the order of an experiment's life:
//!
//! - [`experiment`]: what is compared, by what, where and how often, read from a file;
//! - [`plan`]: which run comes when;
//! - [`engine`]: makes the runs, on a simulated machine, in VMs or here;
//! - [`charge`]: a scheduler's process, started, attached and stopped;
//! - [`journal`]: what was made so far, so that a killed experiment goes on;
//! - [`gather`]: the journal as results; [`environment`]: on which machine, by which build;
//! - [`results`]: what an experiment found, as `results.json` has it, and [`read`], which reads it;
//! - [`stats`]: medians, intervals, tests;
//! - [`judge`]: from results to a verdict for each cell;
//! - [`compare`]: two results of one experiment; [`check`]: thresholds, for continuous integration;
//! - [`table`]: verdicts as text; [`report`]: the same as a page for people.
//!
//! Nothing here is linked with the kernel's backend: a scheduler is a process that is started, and so is a
//! recorder.

pub mod charge;
pub mod check;
pub mod compare;
pub mod engine;
pub mod environment;
pub mod experiment;
pub mod gather;
pub mod journal;
pub mod judge;
pub mod plan;
pub mod read;
pub mod report;
pub mod results;
pub mod stats;
pub mod table;

pub use experiment::Experiment;
