//! Which attributes a candidate may have: those that change neither what is compiled nor where.

use proc_macro2::{Delimiter, Ident, Span, TokenStream, TokenTree};

use super::at;
use crate::{Diagnostic, Stage};

/// Attributes that say nothing of the place where they are compiled.
const ALLOWED: &[&str] = &[
    "allow",
    "cold",
    "default",
    "deprecated",
    "derive",
    "doc",
    "expect",
    "inline",
    "must_use",
    "non_exhaustive",
    "repr",
    "rustfmt",
    "warn",
];
/// Those of a whole file.
const INNER: &[&str] = &["allow", "doc", "expect", "warn"];
const DERIVES: &[&str] = &[
    "Clone",
    "Copy",
    "Debug",
    "Default",
    "Eq",
    "Hash",
    "Ord",
    "PartialEq",
    "PartialOrd",
];
const REPRS: &[&str] = &[
    "u8",
    "u16",
    "u32",
    "u64",
    "i8",
    "i16",
    "i32",
    "i64",
    "transparent",
];

/// What is wrong with the attribute whose `#` stands before these tokens.
pub(super) fn check(after: &[TokenTree]) -> Option<Diagnostic> {
    let (inner, group) = match after {
        [TokenTree::Punct(bang), TokenTree::Group(group), ..] if bang.as_char() == '!' => {
            (true, group)
        }
        [TokenTree::Group(group), ..] => (false, group),
        _ => return None,
    };
    if group.delimiter() != Delimiter::Bracket {
        return None;
    }
    let trees: Vec<TokenTree> = group.stream().into_iter().collect();
    let Some(TokenTree::Ident(name)) = trees.first() else {
        return Some(refused(group.span_open(), "this attribute"));
    };
    let (word, rest) = (name.to_string(), &trees[1..]);
    let allowed = if inner { INNER } else { ALLOWED };
    if word == "path" {
        let help = "Write the module's items into this file.";
        return Some(
            at(
                Stage::Parse,
                "outside-file",
                name.span(),
                "a policy is one file",
            )
            .help(help),
        );
    }
    if word == "macro_use" || word == "macro_export" {
        let message = "a policy defines no macros";
        return Some(at(Stage::Parse, "macro", name.span(), message));
    }
    if !allowed.contains(&word.as_str()) {
        return Some(refused(name.span(), &word));
    }
    arguments(name, &word, rest)
}

/// The rest of an attribute: it must not smuggle anything in.
fn arguments(name: &Ident, word: &str, rest: &[TokenTree]) -> Option<Diagnostic> {
    let list = match rest {
        [TokenTree::Group(group)] => Some(words(&group.stream())),
        _ => None,
    };
    let is_text =
        matches!(rest, [TokenTree::Punct(eq), TokenTree::Literal(_)] if eq.as_char() == '=');
    let fits = match word {
        "derive" => return derives(name.span(), &list.unwrap_or_default()),
        "repr" => list.is_some_and(|list| list.iter().all(|word| REPRS.contains(&word.as_str()))),
        "rustfmt" => true,
        "cold" | "default" | "non_exhaustive" => rest.is_empty(),
        "doc" => is_text || list.is_some_and(|list| list.iter().all(|word| word == "hidden")),
        "must_use" | "deprecated" => rest.is_empty() || is_text,
        "inline" => rest.is_empty() || list.is_some(),
        _ => list.is_some(),
    };
    (!fits).then(|| refused(name.span(), word))
}

fn derives(span: Span, list: &[String]) -> Option<Diagnostic> {
    let foreign = list.iter().find(|name| {
        let path = matches!(
            name.as_str(),
            "std" | "core" | "fmt" | "hash" | "cmp" | "clone"
        );
        !path && !DERIVES.contains(&name.as_str())
    })?;
    let message = format!("`{foreign}` cannot be derived: a policy has no crates but baton");
    let help = format!("What can be derived is {}.", DERIVES.join(", "));
    Some(at(Stage::Parse, "attribute", span, message).help(help))
}

/// All words of a list, however deep.
fn words(stream: &TokenStream) -> Vec<String> {
    let mut found = Vec::new();
    for tree in stream.clone() {
        match tree {
            TokenTree::Ident(word) => found.push(word.to_string()),
            TokenTree::Group(group) => found.extend(words(&group.stream())),
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
    found
}

fn refused(span: Span, word: &str) -> Diagnostic {
    let (message, help) = match word {
        "cfg" | "cfg_attr" | "test" => (
            format!("`{word}`: a policy is the same wherever it is built"),
            "Leave it out; what is to be chosen at the start is a parameter, `setup.param`.",
        ),
        _ => (
            format!("`{word}` is no attribute that a policy may have"),
            "Allowed are derive, allow, expect, warn, inline, cold, must_use, doc, default, repr of an integer.",
        ),
    };
    at(Stage::Parse, "attribute", span, message).help(help)
}
