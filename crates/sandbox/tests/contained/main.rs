//! Hostile programs in real sandboxes: as the user that runs the tests, and, if that is root, as an
//! ordinary one too.

mod common;
mod compile;
mod ends;
mod files;
mod limits;
mod outside;
mod user;
