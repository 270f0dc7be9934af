//! By what equal texts are known.

use std::fmt::Write as _;

use proc_macro2::{TokenStream, TokenTree};
use sha2::{Digest as _, Sha256};

/// Deepest nesting of brackets that is read as Rust: the reader goes down as deep.
const NESTING_MAX: usize = 200;

/// The digest of a text: SHA-256, in hexadecimal.
#[must_use]
pub fn text_digest(text: &str) -> String {
    let mut digest = String::with_capacity(64);
    for byte in Sha256::digest(text) {
        let _ = write!(digest, "{byte:02x}");
    }
    digest
}

/// The digest of a source without its comments, its documentation and its white space: equal for
/// sources that the compiler takes for equal. What is no Rust is taken without white space.
#[must_use]
pub fn source_digest(source: &str) -> String {
    let mut words = String::new();
    let tokens = is_shallow(source).then(|| source.parse::<TokenStream>());
    match tokens {
        Some(Ok(tokens)) => add(tokens, &mut words),
        _ => source
            .split_whitespace()
            .for_each(|word| words.push_str(word)),
    }
    text_digest(&words)
}

fn is_shallow(source: &str) -> bool {
    let (mut depth, mut deepest) = (0_usize, 0);
    for byte in source.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest <= NESTING_MAX
}

/// Adds the tokens, one a line; comments are none, and documentation is left out.
fn add(tokens: TokenStream, words: &mut String) {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Punct(punct) if punct.as_char() == '#' => {
                let inner = tokens.next_if(|next| is_punct(next, '!'));
                if tokens.next_if(is_documentation).is_none() {
                    words.push_str(if inner.is_some() { "#\n!\n" } else { "#\n" });
                }
            }
            TokenTree::Group(group) => {
                let delimiter = group.delimiter();
                let _ = writeln!(words, "open {delimiter:?}");
                add(group.stream(), words);
                let _ = writeln!(words, "close {delimiter:?}");
            }
            other => {
                let _ = writeln!(words, "{other}");
            }
        }
    }
}

fn is_punct(token: &TokenTree, wanted: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == wanted)
}

fn is_documentation(token: &TokenTree) -> bool {
    let TokenTree::Group(group) = token else {
        return false;
    };
    let mut inner = group.stream().into_iter();
    let is_doc = matches!(inner.next(), Some(TokenTree::Ident(name)) if name == "doc");
    is_doc && inner.next().is_some_and(|token| is_punct(&token, '='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_sha_256() {
        let of_nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(text_digest(""), of_nothing);
    }

    #[test]
    fn comments_and_white_space_do_not_count() {
        let equal = |a: &str, b: &str| source_digest(a) == source_digest(b);
        let plain = "fn f(x: u64) -> u64 { x + 1 }";
        assert!(equal(
            plain,
            "//! Top.\n/// Doc.\nfn f( x:u64 )->u64 {\n// why\nx+1 /* one */ }\n"
        ));
        assert!(equal(
            "#[inline] fn f() {}",
            "#[doc = \"x\"]\n#[inline]\nfn f(){}"
        ));
        assert!(!equal(plain, "fn f(x: u64) -> u64 { x + 2 }"));
        assert!(!equal(plain, "fn f(x: u64) -> u64 { x1 }"));
        assert!(!equal("#[inline] fn f() {}", "fn f() {}"));
        assert!(!equal("#[doc(hidden)] fn f() {}", "fn f() {}"));
        assert!(!equal("f(\"a b\")", "f(\"ab\")"));
        assert!(!equal("(a)", "[a]"));
    }

    #[test]
    fn what_is_no_rust_has_one_too() {
        assert_eq!(source_digest("fn f( {"), source_digest("fn  f({"));
        assert_ne!(source_digest("fn f( {"), source_digest("fn g( {"));
        let deep = "(".repeat(100_000) + &")".repeat(100_000);
        assert_eq!(source_digest(&deep).len(), 64);
    }
}
