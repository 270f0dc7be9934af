//! The record of every candidate, in a workspace directory.
//!
//! ```text
//! ledger.jsonl             what happened, a line for each record, only ever added to
//! candidates/0001/         a candidate's files: policy.rs, prompt.md, answer.md, verdict.json
//! accepted/NAME.rs         the accepted ones, to start from
//! ```
//!
//! - [`Ledger`]: the directory, which one process at a time writes;
//! - [`Record`]: what a line says;
//! - [`View`]: what all lines come to, and what a run that goes on needs;
//! - [`Budgets`], [`Totals`], [`Money`]: what may be spent and what was;
//! - [`source_digest`]: by which equal sources are found;
//! - [`list`], [`show`]: for people.
//!
//! There is no clock in here: the time of a record comes with it.

mod budget;
mod digest;
mod files;
mod money;
mod record;
mod store;
mod table;
mod view;

#[cfg(test)]
pub(crate) use view::tests as view_tests;

pub use budget::{Budgets, Exhausted, Left, Totals};
pub use digest::{source_digest, text_digest};
pub use files::candidate_directory;
pub use money::{Money, MoneyError, Prices};
pub use record::{
    Accepted, Asked, Author, Begun, Candidate, Line, Measured, Record, Refused, ServiceName, Spent,
    StageDone,
};
pub use store::{Ledger, LedgerError, Read};
pub use table::{list, show};
pub use view::{Entry, Questions, State, View};
