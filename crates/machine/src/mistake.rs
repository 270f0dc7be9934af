//! Mistakes in TOML files, told with their line.

use std::ops::Range;

use serde::de::DeserializeOwned;

/// A mistake: where in the text, and the sentence about it.
pub(crate) type Mistake = (Range<usize>, String);

/// Reads a text; what toml has against it is a mistake too.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Result<T, Mistake> {
    toml::from_str(text).map_err(|error| {
        let span = error.span().unwrap_or(0..0);
        // Some of toml's messages go over several lines; the sentence is one.
        (span, error.message().trim_end().replace('\n', ", "))
    })
}

/// The line of a mistake, from 1.
pub(crate) fn line(text: &str, span: &Range<usize>) -> usize {
    let before = text.get(..span.start.min(text.len())).unwrap_or(text);
    before.matches('\n').count() + 1
}
