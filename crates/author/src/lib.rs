//! A language model writes scheduling policies, and what judges them.
//!
//! - [`chat`]: the client of a language model's service;
//! - [`ledger`]: the record of every candidate, in a directory;
//! - [`Diagnostic`], [`Stage`]: what is wrong with a candidate.

pub mod chat;
mod diagnostic;
pub mod source;
pub mod ledger;

pub use diagnostic::{Diagnostic, Stage};
