//! A language model writes scheduling policies, and what judges them.
//!
//! - [`chat`]: the client of a language model's service;
//! - [`Diagnostic`], [`Stage`]: what is wrong with a candidate.

pub mod chat;
mod diagnostic;
pub mod source;

pub use diagnostic::{Diagnostic, Stage};
