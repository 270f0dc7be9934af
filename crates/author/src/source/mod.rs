//! The static examination of a candidate: a policy that a language model wrote, as text.
//!
//! [`extract`] finds the policy in an answer, [`parse`] sees to it that it is one file in the
//! part of Rust that candidates may use, and [`lint`] that it does nothing that a policy must
//! not do or that would be too slow. The compiler enforces most of this later, against a small
//! `std`; here the reasons are early and clear, and here is what no compiler knows.
//!
//! Nothing is run and no types are inferred: what is found is what stands there. Where a rule
//! would have to guess it lets the candidate pass, for the simulator judges it after all.
//!
//! - `answer`: from Markdown to a file;
//! - `depth`, `tokens`, `attributes`, `entry`, and `arguments` of macros: [`Stage::Parse`];
//! - `model`, `types`, `scope` with `bindings`: what is declared, and of what type a place is;
//! - `taint` with `mark` and `follow`: which values say who a task is;
//! - `paths` with `refusals`, `literals` with `texts`, `identity` with `making`, `hot`, `loops`
//!   with `progress`, `memory`, `truth`: the rules of [`Stage::Lint`].

mod answer;
mod arguments;
mod attributes;
mod bindings;
mod depth;
mod entry;
mod follow;
mod hot;
mod identity;
mod literals;
mod loops;
mod making;
mod mark;
mod memory;
mod model;
mod paths;
mod progress;
mod refusals;
mod scope;
mod taint;
mod texts;
mod tokens;
mod truth;
mod types;

use std::{str::FromStr, thread};

use proc_macro2::{Span, TokenStream};

use crate::{Diagnostic, Stage};

pub use answer::extract;

/// Most bytes of a candidate's source.
pub const SIZE_MAX: usize = 64 * 1024;
/// Most mistakes that are told at once.
const MISTAKES_MAX: usize = 40;
/// Room for a syntax tree as deep as `depth` allows; only what is used is taken.
const STACK_BYTES: usize = 64 << 20;

/// A candidate that was parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The whole file.
    pub text: String,
    /// The type that is given to `baton::main!`.
    pub policy: String,
    /// What its `NAME` says.
    pub name: String,
    /// What its `SUMMARY` says.
    pub summary: String,
}

/// Reads a candidate. `taken` are names that it must not have: those of policies that exist.
///
/// # Errors
/// What is not in the part of Rust that candidates may use, in the order of the file; all of
/// stage [`Stage::Parse`].
pub fn parse(text: &str, taken: &[&str]) -> Result<Source, Vec<Diagnostic>> {
    apart(|| {
        let (file, mut mistakes) = read(text).map_err(|mistake| vec![mistake])?;
        match entry::find(&file, taken) {
            Ok(entry) if mistakes.is_empty() => Ok(Source {
                text: text.into(),
                policy: entry.policy,
                name: entry.name,
                summary: entry.summary,
            }),
            Ok(_) => Err(tidy(mistakes)),
            Err(more) => {
                mistakes.extend(more);
                Err(tidy(mistakes))
            }
        }
    })
    .unwrap_or_else(|mistake| Err(vec![mistake]))
}

/// What a candidate does that a policy must not do, or that would be too slow, in the order
/// of the file; all of stage [`Stage::Lint`].
#[must_use]
pub fn lint(source: &Source) -> Vec<Diagnostic> {
    apart(|| {
        let file = match read(&source.text) {
            Ok((file, _)) => file,
            Err(mistake) => return vec![mistake],
        };
        let model = model::Model::of(&file);
        let mut mistakes = paths::check(&file, &model);
        mistakes.extend(literals::check(&file, &model));
        mistakes.extend(identity::check(&file, &model));
        mistakes.extend(truth::check(&file));
        let hot = hot::Hot::of(&model);
        mistakes.extend(hot.check(&model));
        mistakes.extend(loops::check(&model, &hot));
        mistakes.extend(memory::check(&model));
        tidy(mistakes)
    })
    .unwrap_or_else(|mistake| vec![mistake])
}

/// The file, and what of it is not allowed.
fn read(text: &str) -> Result<(syn::File, Vec<Diagnostic>), Diagnostic> {
    if text.len() > SIZE_MAX {
        let message = format!("the file has {} bytes", text.len());
        let help = format!("A policy has at most {SIZE_MAX} bytes.");
        return Err(Diagnostic::new(Stage::Parse, "too-large", message).help(help));
    }
    let stream = TokenStream::from_str(text).map_err(|error| syntax(error.span(), &error))?;
    depth::check(&stream)?;
    let mut mistakes = tokens::check(&stream);
    match syn::parse2::<syn::File>(stream) {
        Ok(file) => {
            mistakes.extend(entry::unknown_syntax(&file));
            Ok((file, mistakes))
        }
        // What is forbidden explains more than what the parser makes of it.
        Err(error) => match mistakes.into_iter().next() {
            Some(mistake) => Err(mistake),
            None => Err(syntax(error.span(), &error)),
        },
    }
}

fn syntax(span: Span, error: &dyn std::fmt::Display) -> Diagnostic {
    let message = format!("this is not Rust: {error}");
    at(Stage::Parse, "syntax", span, message)
}

/// A mistake at a place.
fn at(stage: Stage, code: &str, span: Span, message: impl Into<String>) -> Diagnostic {
    let start = span.start();
    Diagnostic::new(stage, code, message).at(start.line as u32, start.column as u32 + 1)
}

/// The same in the order of the file, each once.
fn tidy(mut mistakes: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let place = |mistake: &Diagnostic| (mistake.line, mistake.column, mistake.code.clone());
    mistakes.sort_by_key(place);
    mistakes.dedup_by_key(|mistake| place(mistake));
    mistakes.truncate(MISTAKES_MAX);
    mistakes
}

/// Works on a thread of its own: it has the stack for what is deep, and what the lexer keeps of
/// each file for its spans goes with it. A source on which the examination itself fails is not passed.
fn apart<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, Diagnostic> {
    let failed = |why: &str| {
        Diagnostic::new(
            Stage::Parse,
            "unexamined",
            format!("the source cannot be examined: {why}"),
        )
        .help("Write it more plainly.")
    };
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK_BYTES);
        let thread = thread.spawn_scoped(scope, work);
        let thread = thread.map_err(|error| failed(&format!("no thread: {error}")))?;
        thread
            .join()
            .map_err(|_| failed("the examination failed on it"))
    })
}
