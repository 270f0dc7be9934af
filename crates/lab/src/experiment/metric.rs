//! Figures in what a command printed.

use baton_workload::Better;
use regex::Regex;
use serde::{Deserialize, Serialize};

/// A figure that a command prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figure {
    /// Its name, such as `time_s`.
    pub name: String,
    /// Its unit, such as `s`.
    pub unit: String,
    /// Which direction is an improvement.
    pub better: Better,
    /// Whether it stands for the workload.
    pub primary: bool,
    /// Where it stands.
    pub find: Find,
}

/// Where a figure stands in a command's output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Find {
    /// What the one group of this regular expression matches, in standard output or standard
    /// error; the last match, for many commands tell their progress first.
    Pattern(String),
    /// A pointer as RFC 6901 has it, such as `/jobs/0/usec`, into the document on standard output.
    Json(String),
}

impl Find {
    /// The pattern of this text, if it is one with one group.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence.
    pub fn pattern(text: &str) -> Result<Self, String> {
        let pattern = Regex::new(text).map_err(|error| {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            format!(
                "this is no regular expression: {}",
                last.trim_start_matches("error: ")
            )
        })?;
        // The whole match counts as a group too.
        match pattern.captures_len() - 1 {
            1 => Ok(Self::Pattern(text.to_owned())),
            groups => Err(format!(
                "a pattern needs one group in brackets around the figure, and this has {groups}; \
                 write others as (?:...)"
            )),
        }
    }

    /// The pointer of this text.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence.
    pub fn json(text: &str) -> Result<Self, String> {
        if text.starts_with('/') {
            return Ok(Self::Json(text.to_owned()));
        }
        Err(format!(
            "`{text}` is no JSON pointer: write it with slashes, such as /jobs/0/usec"
        ))
    }
}

impl Figure {
    /// Its value in what a command wrote.
    ///
    /// # Errors
    /// It is not there, or no number; in a sentence.
    pub fn value(&self, stdout: &str, stderr: &str) -> Result<f64, String> {
        let name = &self.name;
        let text = match &self.find {
            Find::Pattern(pattern) => {
                let regex = Regex::new(pattern).map_err(|error| error.to_string())?;
                let last = |text| {
                    regex
                        .captures_iter(text)
                        .last()
                        .and_then(|found| found.get(1))
                };
                let found = last(stdout).or_else(|| last(stderr));
                let found = found.ok_or_else(|| {
                    format!("{name}: nothing that the command printed matches `{pattern}`")
                })?;
                found.as_str().replace([',', '_'], "")
            }
            Find::Json(pointer) => {
                let document: serde_json::Value = serde_json::from_str(stdout.trim())
                    .map_err(|error| format!("{name}: the command printed no JSON: {error}"))?;
                let found = document.pointer(pointer);
                let found = found.ok_or_else(|| {
                    format!("{name}: the command's document has nothing at `{pointer}`")
                })?;
                let text = found.as_str().map(str::to_owned);
                text.unwrap_or_else(|| found.to_string())
            }
        };
        match text.trim().parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(value),
            _ => Err(format!("{name}: `{}` is no number", text.trim())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(find: Find) -> Figure {
        Figure {
            name: "x".into(),
            unit: "s".into(),
            better: Better::Lower,
            primary: true,
            find,
        }
    }

    #[test]
    fn patterns_find_the_last_match_in_either_stream() {
        let figure = figure(Find::pattern(r"time: ([\d.,]+)").unwrap());
        assert_eq!(figure.value("time: 1.5\ntime: 2.5\n", "time: 9"), Ok(2.5));
        assert_eq!(figure.value("", "time: 1,234.5"), Ok(1234.5));
        let missing = figure.value("nothing", "").unwrap_err();
        assert!(
            missing.contains("nothing that the command printed matches"),
            "{missing}"
        );
        let no_number = figure.value("time: 1.2.3", "").unwrap_err();
        assert_eq!(no_number, "x: `1.2.3` is no number");
    }

    #[test]
    fn pointers_find_numbers_and_texts_of_numbers() {
        let figure = figure(Find::json("/jobs/1/usec").unwrap());
        assert_eq!(figure.value(r#"{"jobs":[0,{"usec":7}]}"#, ""), Ok(7.0));
        assert_eq!(figure.value(r#"{"jobs":[0,{"usec":"7.5"}]}"#, ""), Ok(7.5));
        for (stdout, expected) in [
            (r#"{"jobs":[]}"#, "nothing at"),
            (r#"{"jobs":[0,{"usec":null}]}"#, "no number"),
            ("{", "no JSON"),
        ] {
            let problem = figure.value(stdout, "").unwrap_err();
            assert!(problem.contains(expected), "{problem}");
        }
    }

    #[test]
    fn bad_places_are_refused() {
        for (pattern, expected) in [
            ("time", "has 0"),
            ("(a)(b)", "has 2"),
            ("(", "no regular expression"),
        ] {
            let problem = Find::pattern(pattern).unwrap_err();
            assert!(
                problem.contains(expected) && !problem.contains('\n'),
                "{problem}"
            );
        }
        assert!(
            Find::json("jobs.0")
                .unwrap_err()
                .contains("no JSON pointer")
        );
    }
}
