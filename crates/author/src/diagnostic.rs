//! What is wrong with a candidate, as data: for a language model, a program and a person alike.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a candidate goes through, in this order.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The answer holds a policy, written in the part of Rust that candidates may use.
    Parse,
    /// The compiler takes it.
    Compile,
    /// It does nothing that a policy must not do, or that would be too slow.
    Lint,
    /// Equal events give equal decisions; names mean nothing.
    Properties,
    /// In the simulator nothing breaks and nobody starves, whatever fails around it.
    Invariants,
    /// The same on a real kernel.
    Vm,
    /// It is better than what it started from.
    Benchmark,
}

impl Stage {
    /// All of them, in order.
    pub const ALL: [Self; 7] = [
        Self::Parse,
        Self::Compile,
        Self::Lint,
        Self::Properties,
        Self::Invariants,
        Self::Vm,
        Self::Benchmark,
    ];

    /// Its name in files and on the screen.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Parse => "parse",
            Self::Compile => "compile",
            Self::Lint => "lint",
            Self::Properties => "properties",
            Self::Invariants => "invariants",
            Self::Vm => "vm",
            Self::Benchmark => "benchmark",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Diagnostic {
    /// Where it was found.
    pub stage: Stage,
    /// What kind of mistake it is: a stable word, such as `task-name-literal` or `E0308`.
    pub code: String,
    /// What is wrong, in a sentence.
    pub message: String,
    /// The line in the candidate's source, from 1, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The column there, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl Diagnostic {
    /// A mistake without a place.
    pub fn new(stage: Stage, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            stage,
            code: code.into(),
            message: clean(&message.into()),
            line: None,
            column: None,
            help: None,
        }
    }

    /// The same at this place, both from 1.
    #[must_use]
    pub fn at(mut self, line: u32, column: u32) -> Self {
        (self.line, self.column) = (Some(line), Some(column));
        self
    }

    /// The same with a remedy.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(clean(&help.into()));
        self
    }
}

/// Longest message, characters: a candidate may have a say in it.
const MESSAGE_MAX: usize = 1000;

/// The text without what a terminal would obey, and cut to a length that can be read.
pub(crate) fn clean(text: &str) -> String {
    let plain = |c: char| {
        if c.is_control() && c != '\n' {
            '\u{fffd}'
        } else {
            c
        }
    };
    let mut cleaned: String = text.chars().take(MESSAGE_MAX).map(plain).collect();
    if text.chars().nth(MESSAGE_MAX).is_some() {
        cleaned.push('\u{2026}');
    }
    cleaned
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, "{line}:{column}: ")?;
        }
        write!(f, "{} [{}]", self.message, self.code)?;
        match &self.help {
            Some(help) => write!(f, "\n  help: {help}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_message_reaches_the_terminal_as_a_command() {
        let message = format!("\u{1b}]52;c;x\u{7}{}", "long".repeat(1000));
        let diagnostic = Diagnostic::new(Stage::Compile, "x", message).help("\u{1b}[2J");
        let text = diagnostic.to_string();
        assert!(
            !text.chars().any(|c| c.is_control() && c != '\n'),
            "{text:?}"
        );
        assert!(text.chars().count() < 1100);
    }
}
