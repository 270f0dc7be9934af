//! Scheduling policies, a file or folder each: formula, source, parameters, code.
//!
//! [`list`] names them; [`with_policy`] goes from a name to the type:
//!
//! ```
//! use baton_policies::{Visitor, with_policy};
//! use baton_policy::{Driver, Machine, Policy, Setup};
//!
//! struct Slice<'a>(&'a Machine);
//!
//! impl Visitor for Slice<'_> {
//!     type Output = u64;
//!
//!     fn visit<P: Policy + 'static>(self) -> u64 {
//!         let driver = Driver::<P>::new(&Setup::new(self.0, 1)).unwrap();
//!         driver.options().slice_ns
//!     }
//! }
//!
//! let machine = Machine::uniform("example", 2);
//! assert_eq!(with_policy("fifo", Slice(&machine)), Some(20_000_000));
//! assert_eq!(with_policy("lifo", Slice(&machine)), None);
//! ```
//!
//! The crate is pure, as policies are: no clock, no thread, no file, no `std`.
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;

mod cpus;
mod held;

use baton_policy::Policy;

/// A parameter of a policy, given as `name=value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Param {
    /// Its name; the unit of a quantity stands at the end.
    pub name: &'static str,
    /// The value where none is given.
    pub default: &'static str,
    /// What it does.
    pub meaning: &'static str,
}

/// A policy in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// [`Policy::NAME`].
    pub name: &'static str,
    /// [`Policy::SUMMARY`].
    pub summary: &'static str,
    /// Its parameters, in the order of their importance.
    pub params: &'static [Param],
}

/// What to do with a policy whose type is found by name.
pub trait Visitor {
    /// What comes of it.
    type Output;

    /// Called with the type.
    fn visit<P: Policy + 'static>(self) -> Self::Output;
}

/// Makes the list. A policy is a file with a type that implements [`Policy`] and a
/// `PARAMS`, and one line below.
macro_rules! policies {
    ($($module:ident::$policy:ident,)+) => {
        $(
            mod $module;
            pub use $module::$policy;
        )+

        /// Every policy, the simplest first.
        #[must_use]
        pub const fn list() -> &'static [Entry] {
            &[$(Entry {
                name: $policy::NAME,
                summary: $policy::SUMMARY,
                params: $module::PARAMS,
            },)+]
        }

        /// Calls the visitor with the policy of this name; `None` if there is none.
        pub fn with_policy<V: Visitor>(name: &str, visitor: V) -> Option<V::Output> {
            match name {
                $($policy::NAME => Some(visitor.visit::<$policy>()),)+
                _ => None,
            }
        }
    };
}

policies! {
    fifo::Fifo,
    edf::Edf,
    learned::Learned,
    eevdf::Eevdf,
    priority::Priority,
    hybrid::Hybrid,
}
