//! What candidates have in the place of the standard library: data, arithmetic and text. There are no
//! files, threads, clocks, sockets, environment or output in it, and no map whose order changes from run
//! to run. A candidate is compiled with this crate under the name `std`, so what is not here does not
//! exist for it, whatever it writes.
#![no_std]
#![forbid(unsafe_code)]
// Some write `std::u64::MAX`.
#![allow(clippy::legacy_numeric_constants)]
extern crate alloc;

pub use alloc::{borrow, boxed, format, rc, slice, str, string, vec};
pub use core::{
    any, array, ascii, cell, char, clone, cmp, convert, default, error, fmt, hash, hint, iter,
    marker, mem, num, ops, option, result,
};
pub use core::{
    assert, assert_eq, assert_ne, debug_assert, debug_assert_eq, debug_assert_ne, matches, panic,
    todo, unimplemented, unreachable, write, writeln,
};
pub use core::{f32, f64, i8, i16, i32, i64, i128, isize, u8, u16, u32, u64, u128, usize};

/// Collections with an order of their own.
pub mod collections {
    pub use alloc::collections::{
        BTreeMap, BTreeSet, BinaryHeap, VecDeque, binary_heap, btree_map, btree_set, vec_deque,
    };
}

/// What needs no `use`.
pub mod prelude {
    /// Of every edition.
    pub mod v1 {
        pub use alloc::{
            borrow::ToOwned,
            boxed::Box,
            format,
            string::{String, ToString},
            vec,
            vec::Vec,
        };
    }
}
