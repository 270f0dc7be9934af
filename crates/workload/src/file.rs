//! Workload files, in TOML: the same descriptions as in text, a table for each part.
//!
//! `docs/workload.toml` shows one. A file's parts stand in the order in which a text joins them.

use crate::error::Error;
use crate::parse::{Values, Written};
use crate::spec::{Place, Workload};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use toml::{Spanned, Value};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(default)]
    part: Vec<Spanned<BTreeMap<Spanned<String>, Spanned<Value>>>>,
}

/// Where in the text, and what is wrong there.
type Mistake = (Range<usize>, String);

impl Workload {
    /// The workload of this text, such as `frames+hogs`, or of the file at this path, which ends in
    /// `.toml`.
    ///
    /// # Errors
    /// The file cannot be read, or the text or file has a mistake; of a file, the error names the line.
    pub fn find(text_or_path: &str) -> Result<Self, Error> {
        let path = Path::new(text_or_path);
        if path.extension().is_none_or(|extension| extension != "toml") {
            return text_or_path.parse();
        }
        let text = std::fs::read_to_string(path).map_err(|source| Error::Unreadable {
            path: path.into(),
            source,
        })?;
        Self::parse_file(text_or_path, &text)
    }

    /// Reads a workload file's text; `file` names it in errors.
    ///
    /// # Errors
    /// The text has a mistake; the error names its line.
    pub fn parse_file(file: &str, text: &str) -> Result<Self, Error> {
        read(text).map_err(|(span, problem)| Error::Malformed {
            file: file.to_owned(),
            line: text[..span.start.min(text.len())].matches('\n').count() + 1,
            problem,
        })
    }
}

fn read(text: &str) -> Result<Workload, Mistake> {
    let raw: Raw = toml::from_str(text).map_err(|error| {
        let span = error.span().unwrap_or(0..0);
        // Some of toml's messages go over several lines; the sentence is one.
        (span, error.message().trim_end().replace('\n', ", "))
    })?;
    if raw.part.is_empty() {
        let problem = "there is no part: begin one with [[part]] and its `kind`".to_owned();
        return Err((0..0, problem));
    }
    let tables = raw.part.into_iter().map(|table| {
        let span = table.span();
        Table::read(table.into_inner(), span)
    });
    let tables: Vec<Table> = tables.collect::<Result<_, _>>()?;
    let parts = tables.iter().flat_map(Table::parts);
    let parts: Vec<(&Table, Written<'_>)> = parts.collect();
    let mut workload = Workload { parts: Vec::new() };
    let count = parts.len();
    for (index, (table, part)) in parts.into_iter().enumerate() {
        Values::new(part, Place::of(index, count))
            .and_then(|values| workload.add(&values))
            .map_err(|error| (table.span_of(&error), error.to_string()))?;
    }
    Ok(workload)
}

/// One part as written.
struct Table {
    kind: String,
    kind_span: Range<usize>,
    settings: Vec<(Spanned<String>, String)>,
}

impl Table {
    fn read(
        table: BTreeMap<Spanned<String>, Spanned<Value>>,
        span: Range<usize>,
    ) -> Result<Self, Mistake> {
        let mut kind = None;
        let mut settings = Vec::new();
        for (key, value) in table {
            let value_span = value.span();
            let Some(text) = text_of(value.as_ref()) else {
                let problem = format!(
                    "{} must be a number, a text in quotes, or true or false",
                    key.as_ref()
                );
                return Err((value_span, problem));
            };
            if key.as_ref() == "kind" {
                kind = Some((text, value_span));
            } else {
                settings.push((key, text));
            }
        }
        let Some((kind, kind_span)) = kind else {
            let problem = "a part needs its `kind`, such as kind = \"frames\"".to_owned();
            return Err((span, problem));
        };
        Ok(Self {
            kind,
            kind_span,
            settings,
        })
    }

    /// The part that it describes, or the several for which its kind stands.
    fn parts(&self) -> impl Iterator<Item = (&Self, Written<'_>)> {
        let given = self.settings.iter();
        let given = given.map(|(key, value)| (key.as_ref().as_str(), value.as_str()));
        let parts = Written::expand(&self.kind, given.collect());
        parts.into_iter().map(move |part| (self, part))
    }

    /// The line of what an error is about: a parameter, else the part's kind.
    fn span_of(&self, error: &Error) -> Range<usize> {
        let (Error::UnknownParameter { name, .. } | Error::BadValue { name, .. }) = error else {
            return self.kind_span.clone();
        };
        let mut settings = self.settings.iter();
        let found = settings.find(|(key, _)| key.as_ref() == name);
        found.map_or(self.kind_span.clone(), |(key, _)| key.span())
    }
}

/// A value as it stands in a workload's text.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Boolean(true) => Some("yes".to_owned()),
        Value::Boolean(false) => Some("no".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../../docs/workload.toml");

    #[track_caller]
    fn check_error(text: &str, expected: &str) {
        let error = Workload::parse_file("w.toml", text).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn a_file_says_what_a_text_says() {
        let file = Workload::parse_file("workload.toml", EXAMPLE).unwrap();
        let text = "frames:load=0.4,deadline=2+hogs:count=1/cpu+pipe:threads=no";
        assert_eq!(file, text.parse().unwrap());
    }

    #[test]
    fn a_word_for_several_parts_is_a_kind_too() {
        let file = "[[part]]\nkind = \"game\"\nfps = 90\n[[part]]\nkind = \"build\"\n";
        let file = Workload::parse_file("w.toml", file).unwrap();
        assert_eq!(file, "game:fps=90+build".parse().unwrap());
        check_error(
            "[[part]]\nkind = \"game\"\nrate = 90\n",
            "w.toml:3: `frames` has no parameter `rate`; it has fps, load, jitter, deadline, seconds",
        );
    }

    #[test]
    fn mistakes_name_line_and_remedy() {
        check_error(
            "# nothing\n",
            "w.toml:1: there is no part: begin one with [[part]] and its `kind`",
        );
        check_error(
            "[[part]]\nkind = \"pipe\"\n\n[[part]]\ncount = 3\n",
            "w.toml:4: a part needs its `kind`, such as kind = \"frames\"",
        );
        check_error(
            "[[part]]\nkind = \"pipe\"\n\n[[part]]\nkind = \"hogs\"\nseconds = 3\ncount = 0\n",
            "w.toml:7: `hogs:count=0` cannot be: give a number from 1 to 4096, or 1/cpu to 64/cpu",
        );
        check_error(
            "[[part]]\nkind = \"pipe\"\nround = 3\n",
            "w.toml:3: `pipe` has no parameter `round`; it has rounds, threads",
        );
        check_error(
            "[[part]]\nkind = \"pipe\"\nrounds = [3]\n",
            "w.toml:3: rounds must be a number, a text in quotes, or true or false",
        );
        check_error(
            "[[part]]\nkind = \"pipe\"\n[[part]]\nkind = \"pipe\"\n",
            "w.toml:4: `pipe` occurs twice; name it once and raise its numbers instead",
        );
        check_error(
            "[[part]]\nrounds = 3\nkind = \"pip\"\n",
            &format!(
                "w.toml:3: there is no workload `pip`; choose from {}, or join several by `+`",
                crate::kinds::known()
            ),
        );
        // A value that another one's default does not allow stands at its own line, or at the kind's.
        let frames = "[[part]]\nkind = \"frames\"\ndeadline = 1\nload = 3.5\n";
        check_error(
            frames,
            "w.toml:4: `frames:load=3.5` cannot be: its frames cannot be on time; add deadline=5",
        );
        for (text, line) in [
            ("[[part]]\nkind = pipe\n", 2),
            ("[[part]]\nkind = \"pipe\"\nkind = \"hogs\"\n", 3),
            ("\n[[parts]]\nkind = \"pipe\"\n", 2),
            ("part = 3\n", 1),
        ] {
            let error = Workload::parse_file("w.toml", text)
                .unwrap_err()
                .to_string();
            let begins = error.starts_with(&format!("w.toml:{line}: "));
            assert!(begins && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn a_path_ends_in_toml() {
        assert_eq!(Workload::find("hogs:count=1/cpu").unwrap().parts().len(), 1);
        let error = Workload::find("/nowhere/w.toml").unwrap_err().to_string();
        assert!(
            error.starts_with("cannot read workload file /nowhere/w.toml: "),
            "{error}"
        );
    }
}
