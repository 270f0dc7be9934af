//! Recordings of a machine's scheduling.
//!
//! - [`event`]: what can be in one;
//! - [`header`]: what a recording says of itself, at its beginning and its end;
//! - [`writer`], [`reader`]: the file, whose format `docs/recording.md` tells: `frame` has
//!   its blocks and `codec` the events in them;
//! - [`names`]: names that tell tasks apart and nothing else;
//! - [`audit`]: what must hold in one;
//! - [`summary`]: what a recording comes to;
//! - [`bursts`]: how long tasks compute between two sleeps;
//! - [`perfetto`]: traces for Perfetto's viewer;
//! - `parquet`, behind a feature: tables of events and of bursts;
//! - `perf`, behind a feature: recordings of `perf sched record`;
//! - [`error`]: what can be wrong.

pub mod audit;
pub mod bursts;
mod codec;
pub mod error;
pub mod event;
mod frame;
pub mod header;
mod label;
pub mod names;
#[cfg(feature = "parquet")]
pub mod parquet;
#[cfg(feature = "perf")]
pub mod perf;
pub mod perfetto;
pub mod reader;
pub mod summary;
pub mod writer;

pub use audit::Audit;
pub use bursts::{Begin, Burst, Bursts, End};
pub use error::{Fault, ReadError, WriteError};
pub use event::{Event, Left, Losses, RelayEvent, TaskInfo, What, Woken};
pub use header::{Absent, Ending, Header, Trailer};
pub use names::NameHider;
pub use perfetto::Perfetto;
pub use reader::Recording;
pub use summary::Summary;
pub use writer::Writer;
