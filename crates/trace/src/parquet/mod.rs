//! Recordings as tables: one Parquet file of events, one of bursts.
//!
//! `docs/recording-schema.md` tells the columns; a change there gets a new [`SCHEMA_VERSION`].
//! Every table has the names of tasks beside their numbers, as they were at the time, so that a reader
//! has nothing to join.

mod bursts;
mod column;
mod events;
mod file;

use std::io;

pub use bursts::BurstTable;
pub use events::EventTable;

/// The version of both tables' columns and metadata.
pub const SCHEMA_VERSION: u32 = 1;

/// Why a table could not be written.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The file cannot be written.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The library cannot write the table.
    #[error("{0}")]
    Parquet(#[from] ::parquet::errors::ParquetError),
}
