//! The files beside the ledger: each candidate's, and the accepted ones.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{Entry, LedgerError, View};

/// Longest name of a policy that a file is named after.
const NAME_LEN_MAX: usize = 64;
/// Longest line of a header, characters.
const LINE_LEN_MAX: usize = 90;
/// Most lines that a requirement takes in a header.
const REQUIREMENT_LINES_MAX: usize = 40;

/// Where a candidate's files lie.
#[must_use]
pub fn candidate_directory(directory: &Path, id: u32) -> PathBuf {
    directory.join("candidates").join(format!("{id:04}"))
}

/// Whether a file can have this name: no folder, nothing hidden.
fn is_plain(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !name.is_empty()
        && name.len() <= NAME_LEN_MAX
        && !name.starts_with('.')
        && name.bytes().all(fits)
}

pub(super) fn io_error(path: &Path) -> impl FnOnce(io::Error) -> LedgerError {
    let path = path.to_owned();
    move |source| LedgerError::Io { path, source }
}

/// Writes a file so that it is there whole or not at all.
fn write_whole(path: &Path, text: &str) -> Result<(), LedgerError> {
    let parent = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(io_error(parent))?;
    let unfinished = path.with_extension("part");
    fs::write(&unfinished, text).map_err(io_error(&unfinished))?;
    fs::rename(&unfinished, path).map_err(io_error(path))
}

/// Writes a candidate's file.
pub(super) fn write(
    directory: &Path,
    id: u32,
    name: &str,
    text: &str,
) -> Result<PathBuf, LedgerError> {
    if !is_plain(name) {
        return Err(LedgerError::Name { name: shown(name) });
    }
    let path = candidate_directory(directory, id).join(name);
    write_whole(&path, text)?;
    Ok(path)
}

/// Writes an accepted policy under its name, or under its name and its number if another one has
/// that. Returns the file, relative to the directory.
pub(super) fn keep(
    directory: &Path,
    view: &View,
    entry: &Entry,
    name: &str,
    by: &str,
) -> Result<String, LedgerError> {
    if !is_plain(name) || name.contains('.') {
        return Err(LedgerError::Name { name: shown(name) });
    }
    let id = entry.candidate.id;
    let source = candidate_directory(directory, id).join("policy.rs");
    let source = fs::read_to_string(&source).map_err(io_error(&source))?;
    let text = header(view, entry, name, by) + &source;
    let mut file = format!("accepted/{name}.rs");
    if directory.join(&file).exists() {
        file = format!("accepted/{name}-{id:04}.rs");
    }
    write_whole(&directory.join(&file), &text)?;
    Ok(file)
}

/// The comment that tells where a policy comes from.
fn header(view: &View, entry: &Entry, name: &str, by: &str) -> String {
    let id = entry.candidate.id;
    let requirement = view.run().map_or("", |begun| begun.requirement.as_str());
    let mut text = comment(&format!(
        "{name}: candidate {id:04}, by {}, accepted by {by}.",
        entry.candidate.author
    ));
    text += "//\n// Requirement:\n";
    for line in requirement.lines().take(REQUIREMENT_LINES_MAX) {
        text += &comment(&format!("  {line}"));
    }
    text += "//\n// Verdict:\n";
    for stage in &entry.stages {
        let passed = if stage.passed { "passed" } else { "not passed" };
        text += &comment(&format!("  {}: {passed}", stage.stage));
    }
    for measured in &entry.measured {
        text += &comment(&format!(
            "  {}: better in {}; worse in {}",
            measured.what,
            cells(&measured.better),
            cells(&measured.worse)
        ));
    }
    text + "\n"
}

/// How many cells a comparison has, or which, if there are few.
fn cells(value: &serde_json::Value) -> String {
    use serde_json::Value;
    match value {
        Value::Null => "none".into(),
        Value::Array(all) if all.is_empty() => "none".into(),
        Value::Array(all) if all.len() > 4 => format!("{} cells", all.len()),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A text as lines of a comment, broken between words, without what could end it or hide in it.
fn comment(text: &str) -> String {
    let text = shown(text);
    let indent: String = text.chars().take_while(|c| *c == ' ').collect();
    let (mut lines, mut line) = (String::new(), indent.clone());
    for word in text.split_whitespace() {
        let empty = line.len() == indent.len();
        if !empty && line.chars().count() + word.chars().count() >= LINE_LEN_MAX {
            lines += &format!("// {line}\n");
            line = indent.clone() + word;
        } else {
            if !empty {
                line.push(' ');
            }
            line += word;
        }
    }
    let line = format!("// {line}");
    lines + line.trim_end() + "\n"
}

/// A text without characters that act: line ends, escapes, and those that turn the direction of
/// writing, which the compiler refuses in comments.
pub(super) fn shown(text: &str) -> String {
    let acts = |c: char| {
        c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}')
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars()
        .map(|c| if acts(c) { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_their_folder() {
        for name in ["policy.rs", "verdict.json", "stage-2_log.txt"] {
            assert!(is_plain(name), "{name}");
        }
        for name in ["", ".", "..", "a/b", "/etc", ".hidden", "a b", "ü", "a\0"] {
            assert!(!is_plain(name), "{name}");
        }
    }

    #[test]
    fn comments_stay_comments() {
        assert_eq!(
            comment("a\nfn evil() {}\r\u{202e}b"),
            "// a fn evil() {} b\n"
        );
        assert_eq!(comment(""), "//\n");
        let long = comment(&format!("  {}", "word ".repeat(40)));
        assert_eq!(long.lines().count(), 3);
        assert!(
            long.lines()
                .all(|line| line.starts_with("//   word") && line.len() < 100)
        );
        assert_eq!(comment(&"x".repeat(200)).lines().count(), 1);
    }
}
