//! A language model writes scheduling policies, and what judges them.
//!
//! - [`source`]: the answer's policy, read and looked through before anything compiles it;
//! - [`Compiler`], [`Library`]: the compiler alone, contained, against libraries built before;
//! - [`Program`]: a compiled candidate, asked in its sandbox;
//! - [`Checker`]: the stages up to a real kernel in a VM; [`vm`] is the last of them;
//! - [`benchmark`]: beside what it started from, by the lab;
//! - [`chat`]: the model's service; [`prompt`]: what it is told;
//! - [`controller`]: the loop around the model; [`hidden`]: what decides in the end;
//! - [`ledger`]: every candidate, and what it cost;
//! - [`Workshop`]: the compiler, made when it is first needed;
//! - [`mcp`]: the same as tools for programs of others, over the Model Context Protocol.
//!
//! What is wrong with a candidate is a [`Diagnostic`]; what is wrong with this machine is an [`Error`].

pub mod benchmark;
pub mod builtin;
pub mod chat;
mod check;
mod compile;
pub mod controller;
mod diagnostic;
mod error;
pub mod hidden;
pub mod ledger;
mod library;
pub mod mcp;
mod program;
pub mod prompt;
pub mod source;
pub mod vm;
mod workshop;

pub use check::{Checked, Checker, Depth, StageDone, taken};
pub use compile::{Compiled, Compiler};
pub use diagnostic::{Diagnostic, Stage};
pub use error::Error;
pub use library::Library;
pub use program::Program;
pub use workshop::Workshop;
