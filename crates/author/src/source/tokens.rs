//! What a candidate must not contain, wherever it stands: also within macros, where there is no
//! syntax tree. So this looks at tokens.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};

use super::{at, attributes};
use crate::{Diagnostic, Stage};

/// Macros that work on values alone.
pub(super) const MACROS: &[&str] = &[
    "assert",
    "assert_eq",
    "assert_ne",
    "debug_assert",
    "debug_assert_eq",
    "debug_assert_ne",
    "format",
    "matches",
    "panic",
    "todo",
    "unimplemented",
    "unreachable",
    "vec",
    "write",
    "writeln",
];

/// Words before a `!` that are no macro's name.
const KEYWORDS: &[&str] = &[
    "as", "box", "break", "else", "if", "in", "let", "match", "move", "mut", "ref", "return",
    "while", "yield",
];

/// Refuses what no candidate may contain.
pub(super) fn check(stream: &TokenStream) -> Vec<Diagnostic> {
    let mut mistakes = Vec::new();
    walk(stream, &mut mistakes);
    mistakes
}

fn walk(stream: &TokenStream, mistakes: &mut Vec<Diagnostic>) {
    let trees: Vec<TokenTree> = stream.clone().into_iter().collect();
    for (place, tree) in trees.iter().enumerate() {
        let (before, after) = (&trees[..place], &trees[place + 1..]);
        match tree {
            TokenTree::Group(group) => walk(&group.stream(), mistakes),
            TokenTree::Ident(ident) => mistakes.extend(word(ident, before, after)),
            TokenTree::Punct(punct) if punct.as_char() == '#' => {
                mistakes.extend(attributes::check(after));
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}

/// What is wrong with a word at its place.
fn word(ident: &Ident, before: &[TokenTree], after: &[TokenTree]) -> Option<Diagnostic> {
    let name = ident.to_string();
    let is_lifetime =
        matches!(before.last(), Some(TokenTree::Punct(punct)) if punct.as_char() == '\'');
    let follows = |at: usize, text: char| matches!(after.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == text);
    let (code, message, help) = match name.as_str() {
        _ if is_lifetime => return None,
        "unsafe" => (
            "unsafe",
            "a policy is safe code",
            "What a policy needs is in baton's prelude; none of it is unsafe.",
        ),
        "extern" => (
            "extern",
            "a policy has no crates but baton, and calls nothing foreign",
            "Vec and String are there as they are in std; leave this out.",
        ),
        "static" => return global(ident, after),
        "thread_local" => return Some(global_state(ident.span())),
        "mod" if follows(1, ';') => (
            "outside-file",
            "a policy is one file",
            "Write the module's items into this file.",
        ),
        "macro" | "macro_rules" => (
            "macro",
            "a policy defines no macros",
            "Write a function, or what the macro would expand to.",
        ),
        _ => {
            let called = follows(0, '!')
                && matches!(after.get(1), Some(TokenTree::Group(_)))
                && !KEYWORDS.contains(&name.as_str());
            return if called {
                call(&name, ident.span(), before)
            } else {
                None
            };
        }
    };
    Some(at(Stage::Parse, code, ident.span(), message).help(help))
}

/// A macro that is used.
fn call(name: &str, span: Span, before: &[TokenTree]) -> Option<Diagnostic> {
    let is_main = name == "main";
    if is_main || MACROS.contains(&name) && !is_foreign(before) {
        return None;
    }
    let (code, message, help) = forbidden(name).unwrap_or((
        "macro",
        "a policy uses no macros but assert, matches, vec, format, panic and the like",
        "Write a function, or what the macro would expand to.",
    ));
    Some(at(Stage::Parse, code, span, format!("{name}!: {message}")).help(help))
}

/// Whether a macro's path begins elsewhere than in `std`, `core` or `alloc`.
fn is_foreign(before: &[TokenTree]) -> bool {
    match before {
        [
            ..,
            TokenTree::Ident(root),
            TokenTree::Punct(a),
            TokenTree::Punct(b),
        ] if a.as_char() == ':' && b.as_char() == ':' => {
            root != "std" && root != "core" && root != "alloc"
        }
        _ => false,
    }
}

/// Why a macro of `std` is not for policies.
pub(super) fn forbidden(name: &str) -> Option<(&'static str, &'static str, &'static str)> {
    Some(match name {
        "include" | "include_str" | "include_bytes" | "concat_bytes" => (
            "include",
            "a policy is one file and reads no other",
            "Write what it needs into this file.",
        ),
        "env" | "option_env" | "file" | "line" | "column" | "module_path" => (
            "environment",
            "a policy is the same wherever it is built",
            "Read parameters with `setup.param(\"name\", default)`.",
        ),
        "asm" | "global_asm" | "naked_asm" => (
            "assembly",
            "a policy contains no assembly",
            "Write it in Rust.",
        ),
        "println" | "print" | "eprintln" | "eprint" | "dbg" => (
            "output",
            "a policy prints nothing",
            "Count what is worth knowing, and tell it in `counts`.",
        ),
        "cfg" | "cfg_select" => (
            "attribute",
            "a policy is the same wherever it is built",
            "Read parameters with `setup.param(\"name\", default)`.",
        ),
        "thread_local" => (
            "global-state",
            "a policy keeps its state in itself",
            "Make it a field of the policy, or of `type Task`.",
        ),
        _ => return None,
    })
}

fn global_state(span: Span) -> Diagnostic {
    let message = "a policy keeps its state in itself: two of them must not share any";
    at(Stage::Parse, "global-state", span, message)
        .help("Make it a field of the policy, or of `type Task` if each task has its own.")
}

/// A static item that could change.
fn global(ident: &Ident, after: &[TokenTree]) -> Option<Diagnostic> {
    let is_mut = matches!(after.first(), Some(TokenTree::Ident(word)) if word == "mut");
    let is_value =
        |tree: &&TokenTree| !matches!(tree, TokenTree::Punct(punct) if punct.as_char() == '=');
    let mut declared = after.iter().take_while(is_value);
    let could_change = is_mut || declared.any(|tree| mentions_cell(&tree.clone().into()));
    could_change.then(|| global_state(ident.span()))
}

fn mentions_cell(stream: &TokenStream) -> bool {
    const CELLS: &[&str] = &["Cell", "RefCell", "OnceCell", "LazyCell", "Mutex", "RwLock"];
    stream.clone().into_iter().any(|tree| match tree {
        TokenTree::Ident(word) => {
            let word = word.to_string();
            CELLS.contains(&word.as_str()) || word.starts_with("Atomic") || word.ends_with("Lock")
        }
        TokenTree::Group(group) => mentions_cell(&group.stream()),
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}
