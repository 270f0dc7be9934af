//! A language model writes scheduling policies, and what judges them.

mod diagnostic;
pub mod source;

pub use diagnostic::{Diagnostic, Stage};
