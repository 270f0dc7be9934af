//! From an answer in Markdown to the one file of a policy in it.

use std::str::FromStr;

use proc_macro2::TokenStream;

use super::apart;
use crate::{Diagnostic, Stage};

/// A fenced block.
struct Block<'a> {
    label: String,
    lines: Vec<&'a str>,
    is_closed: bool,
}

/// The policy in an answer: the one fenced block that is Rust, by its label or for want of one,
/// and holds `baton::main!`. An answer without fences can be the bare file.
///
/// # Errors
/// `no-code`, if there is none; `several-policies`, if there are several that differ; `cut-off`,
/// if the answer ends in the midst of it.
pub fn extract(answer: &str) -> Result<String, Diagnostic> {
    let blocks = blocks(answer);
    let rust = blocks.iter().filter(|block| block.is_rust());
    let rust: Vec<&Block<'_>> = rust.collect();
    if let Some(last) = blocks
        .last()
        .filter(|last| !last.is_closed && last.is_rust())
    {
        let text = last.text();
        // A file that is whole has only lost its fence.
        if !is_whole(&text) {
            return Err(cut_off());
        }
    }
    let mut found: Vec<String> = rust.iter().map(|block| block.text()).collect();
    found.retain(|text| has_main(text));
    found.dedup_by_key(|text| text.trim().to_string());
    match found.len() {
        1 => checked(found.remove(0)),
        0 if rust.iter().any(|block| is_torn(&block.text())) => Err(cut_off()),
        0 if blocks.is_empty() => bare(answer),
        // What it lacks is for the parser to tell.
        0 => {
            let policy = rust.iter().map(|block| block.text());
            let policy = policy.filter(|text| text.contains("impl Policy for"));
            policy.into_iter().next_back().ok_or_else(no_code)
        }
        count => {
            let message = format!("the answer holds {count} policies that differ");
            let help = "Answer with one block that holds the whole file.";
            Err(Diagnostic::new(Stage::Parse, "several-policies", message).help(help))
        }
    }
}

/// An answer without fences.
fn bare(answer: &str) -> Result<String, Diagnostic> {
    let begins = |word: &str| {
        answer
            .lines()
            .any(|line| line.trim_start().starts_with(word))
    };
    let is_policy = begins("use baton") && begins("impl Policy for");
    let is_begun = begins("use baton") && is_torn(answer);
    match is_policy || is_begun {
        true => checked(answer.into()),
        false => Err(no_code()),
    }
}

fn checked(text: String) -> Result<String, Diagnostic> {
    if is_torn(&text) {
        return Err(cut_off());
    }
    Ok(text)
}

fn has_main(text: &str) -> bool {
    let code = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    code.into_iter()
        .any(|line| line.contains("main!(") || line.contains("main! ("))
}

fn is_whole(text: &str) -> bool {
    has_main(text) && !is_torn(text)
}

/// Whether more brackets open than close.
fn is_torn(text: &str) -> bool {
    let count = |set: &str| text.chars().filter(|letter| set.contains(*letter)).count();
    let opens = count("([{") > count(")]}");
    opens && apart(|| TokenStream::from_str(text).is_err()).unwrap_or(true)
}

fn blocks(answer: &str) -> Vec<Block<'_>> {
    let mut blocks: Vec<Block<'_>> = Vec::new();
    let mut open: Option<(char, usize)> = None;
    for line in answer.lines() {
        let fence = fence(line);
        match (open, fence) {
            (None, Some((mark, length, label))) => {
                open = Some((mark, length));
                blocks.push(Block {
                    label: label.to_ascii_lowercase(),
                    lines: Vec::new(),
                    is_closed: false,
                });
            }
            (Some((mark, length)), Some((closing, count, "")))
                if mark == closing && count >= length =>
            {
                open = None;
                if let Some(block) = blocks.last_mut() {
                    block.is_closed = true;
                }
            }
            (Some(_), _) => {
                if let Some(block) = blocks.last_mut() {
                    block.lines.push(line);
                }
            }
            (None, None) => {}
        }
    }
    blocks
}

/// A fence: its mark, how long it is, and what stands behind.
fn fence(line: &str) -> Option<(char, usize, &str)> {
    let text = line.trim_start();
    let mark = text
        .chars()
        .next()
        .filter(|mark| matches!(mark, '`' | '~'))?;
    let rest = text.trim_start_matches(mark);
    let length = text.len() - rest.len();
    // Code in a line can begin it, too.
    (length >= 3 && !rest.contains('`')).then(|| (mark, length, rest.trim()))
}

impl Block<'_> {
    fn is_rust(&self) -> bool {
        let mut words = self.label.split(|letter: char| !letter.is_alphanumeric());
        matches!(words.next(), None | Some("" | "rust" | "rs"))
    }

    fn text(&self) -> String {
        let mut text = self.lines.join("\n");
        text.push('\n');
        text
    }
}

fn no_code() -> Diagnostic {
    let message = "the answer holds no policy";
    Diagnostic::new(Stage::Parse, "no-code", message)
        .help("Answer with one block ```rust that holds the whole file, `baton::main!` included.")
}

fn cut_off() -> Diagnostic {
    let message = "the answer ends in the midst of the policy";
    Diagnostic::new(Stage::Parse, "cut-off", message)
        .help("Write a shorter file, and less before it.")
}
