//! How deep a file can nest, before anything walks it by recursion.
//!
//! Brackets nest, and so do operators, calls and `else if` without any bracket. So depth is
//! counted in tokens: of each stretch between semicolons, commas and blocks, all count as if
//! each stood within the last.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

use super::at;
use crate::{Diagnostic, Stage};

/// Most brackets within brackets.
const BRACKETS_MAX: usize = 64;
/// Most tokens on the way from the file to its deepest expression.
const DEPTH_MAX: usize = 2000;

/// Refuses what is too deep.
pub(super) fn check(stream: &TokenStream) -> Result<(), Diagnostic> {
    match depth(stream, 0)? {
        ..=DEPTH_MAX => Ok(()),
        _ => Err(too_deep(stream)),
    }
}

fn depth(stream: &TokenStream, brackets: usize) -> Result<usize, Diagnostic> {
    if brackets > BRACKETS_MAX {
        return Err(too_deep(stream));
    }
    let (mut deepest, mut stretch, mut within) = (0, 0, 0);
    let mut trees = stream.clone().into_iter().peekable();
    while let Some(tree) = trees.next() {
        stretch += 1;
        let mut ends = false;
        match &tree {
            TokenTree::Group(group) => {
                within = within.max(depth(&group.stream(), brackets + 1)?);
                let block = group.delimiter() == Delimiter::Brace;
                ends = block && trees.peek().is_none_or(begins);
            }
            TokenTree::Punct(punct) => ends = matches!(punct.as_char(), ';' | ','),
            TokenTree::Ident(_) | TokenTree::Literal(_) => {}
        }
        if ends || trees.peek().is_none() {
            deepest = deepest.max(stretch + within);
            (stretch, within) = (0, 0);
        }
    }
    Ok(deepest)
}

/// Whether this token begins something new after a block.
fn begins(tree: &TokenTree) -> bool {
    match tree {
        TokenTree::Ident(ident) => ident != "else" && ident != "as",
        TokenTree::Punct(punct) => match punct.as_char() {
            '#' => true,
            '\'' => punct.spacing() == Spacing::Joint,
            _ => false,
        },
        TokenTree::Group(_) | TokenTree::Literal(_) => true,
    }
}

fn too_deep(stream: &TokenStream) -> Diagnostic {
    let first = stream.clone().into_iter().next();
    let span = first.map_or_else(proc_macro2::Span::call_site, |tree| tree.span());
    let message = "this nests too deeply";
    at(Stage::Parse, "too-deep", span, message).help("Divide it into functions and variables.")
}
