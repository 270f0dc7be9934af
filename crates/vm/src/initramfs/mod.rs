//! The guest's root: what the command needs, a shell with the usual tools, and init.
//!
//! Files keep the paths that they have on the host, so that a command line means the same in the
//! guest. It is a cpio archive in memory, uncompressed: under emulation the guest would spend more
//! time on decompression than on copying.

mod cpio;
mod elf;
mod path;
mod tools;
mod tree;
mod words;

pub(crate) use path::find_in_path;
pub(crate) use tools::{add_tools, is_tool};
pub(crate) use tree::Tree;
pub(crate) use words::programs;
