//! A language model writes scheduling policies, and what judges them.
//!
//! - [`chat`]: the client of a language model's service;
//! - [`ledger`]: the record of every candidate, in a directory;
//! - [`prompt`]: what the model is told;
//! - [`Diagnostic`], [`Stage`]: what is wrong with a candidate.

pub mod chat;
mod diagnostic;
pub mod source;
pub mod ledger;
pub mod prompt;

pub use diagnostic::{Diagnostic, Stage};
