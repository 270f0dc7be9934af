//! `baton mcp`: what a program needs to write policies and to judge them, as tools of the Model Context
//! Protocol over standard input and output.
//!
//! A client names policies, candidates, machines, workloads and jobs; the one path that a tool takes leads
//! to a file beneath the workspace. No tool runs a shell, reaches a network, or touches this machine's
//! scheduler. What candidates are made of and what they do is contained as everywhere in this crate.
//!
//! - [`serve`]: the server, from its settings to its end;
//! - `tools`: what clients call, by theme; `figures`: what runs came to;
//! - `job`, `jobs`, `call`: long work, and the calls that wait for it; `budget`: what it may take;
//! - `store`, `paths`, `policies`: the workspace, and what names in it mean;
//! - `programs`, `contained`: candidates and built-in policies, run;
//! - `errors`: why a tool did not do what was asked, as data.

mod budget;
mod call;
mod contained;
mod errors;
mod figures;
mod job;
mod jobs;
mod paths;
mod policies;
mod programs;
mod server;
mod store;
mod tools;

pub use budget::{Left, Limits};
pub use call::Called;
pub use errors::{Code, Failure};
pub use job::{JobView, State};
pub use server::{Settings, serve};

use server::Server;
