//! What candidates have in the place of the facade: a file that is an author's whole program,
//! `use baton::prelude::*` to `baton::main!`, becomes a library whose policy a harness visits.
//!
//! ```
//! use baton_candidate as baton;
//! use baton::prelude::*;
//!
//! struct Fifo;
//!
//! impl Policy for Fifo {
//!     const NAME: &'static str = "fifo";
//!     const SUMMARY: &'static str = "first come, first served";
//!     type Task = ();
//!
//!     fn new(_: &Setup<'_>) -> Self {
//!         Self
//!     }
//!
//!     fn enqueue(&mut self, cx: &mut Context<'_, ()>, task: TaskId, _: &Enqueue) {
//!         cx.ready(task, cx.now_ns());
//!     }
//! }
//!
//! baton::main!(Fifo);
//!
//! struct Name;
//!
//! impl baton::Visitor for Name {
//!     type Output = &'static str;
//!
//!     fn visit<P: Policy + 'static>(self) -> &'static str {
//!         P::NAME
//!     }
//! }
//!
//! # fn main() {
//! assert_eq!(visit(Name), "fifo");
//! # }
//! ```
#![no_std]
#![forbid(unsafe_code)]

pub use baton_policy::*;

/// What is done with a candidate's policy.
pub trait Visitor {
    /// What comes of it.
    type Output;

    /// Called with the type.
    fn visit<P: Policy + 'static>(self) -> Self::Output;
}

/// Makes a candidate of a [`Policy`], as the facade's macro makes a program of it.
#[macro_export]
macro_rules! main {
    ($policy:ty) => {
        /// Calls the visitor with the candidate's policy.
        pub fn visit<V: $crate::Visitor>(visitor: V) -> V::Output {
            visitor.visit::<$policy>()
        }
    };
}
