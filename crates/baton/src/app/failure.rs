//! Why a command failed: a sentence with the remedy for people, a code and an exit
//! status for programs.

use std::{io::Write, process::ExitCode};

use serde::Serialize;

/// What kind of failure it is. The names and the exit statuses do not change from
/// release to release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Something failed that should not; exit status 1.
    Failure,
    /// A file could not be read or written; exit status 1.
    Io,
    /// The kernel took the machine back from the policy; exit status 1.
    Ejected,
    /// The policy panicked; exit status 1.
    Panicked,
    /// Another scheduler is loaded; exit status 1.
    Busy,
    /// A replay took other decisions than the recorded run; exit status 1.
    ReplayDiffers,
    /// The arguments make no sense; exit status 2.
    Usage,
    /// There is no such policy; exit status 2.
    UnknownPolicy,
    /// The policy has no such parameter, or not with this value; exit status 2.
    BadParameter,
    /// There is no such workload, or not with these parameters; exit status 2.
    BadWorkload,
    /// There is no such machine, or its file has a mistake; exit status 2.
    BadMachine,
    /// A file of task classes that cannot be read, has a mistake, or does not fit the
    /// machine; exit status 2.
    BadClasses,
    /// A cgroup that does not exist or cannot be read; exit status 2.
    BadCgroup,
    /// A log that cannot be replayed; exit status 2.
    BadLog,
    /// A recording that cannot be read; exit status 2.
    BadRecording,
    /// A name that a project cannot have; exit status 2.
    BadName,
    /// Something is there already; exit status 2.
    Exists,
    /// Root is needed; exit status 3.
    NoRoot,
    /// The kernel has no `sched_ext`, no BTF, or a defect; exit status 3.
    NoSchedExt,
    /// The program was built without what is needed; exit status 3.
    NotBuilt,
    /// The machine cannot do what was asked, for another reason; exit status 3.
    Machine,
    /// A code and an exit status from elsewhere, such as the VM's.
    Other(&'static str, u8),
}

impl Code {
    /// The stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Failure => "failure",
            Self::Io => "io",
            Self::Ejected => "ejected",
            Self::Panicked => "panicked",
            Self::Busy => "busy",
            Self::ReplayDiffers => "replay-differs",
            Self::Usage => "usage",
            Self::UnknownPolicy => "unknown-policy",
            Self::BadParameter => "bad-parameter",
            Self::BadWorkload => "bad-workload",
            Self::BadMachine => "bad-machine",
            Self::BadClasses => "bad-classes",
            Self::BadCgroup => "bad-cgroup",
            Self::BadLog => "bad-log",
            Self::BadRecording => "bad-recording",
            Self::BadName => "bad-name",
            Self::Exists => "exists",
            Self::NoRoot => "no-root",
            Self::NoSchedExt => "no-sched-ext",
            Self::NotBuilt => "not-built",
            Self::Machine => "machine",
            Self::Other(name, _) => name,
        }
    }

    /// The exit status: 1 something failed, 2 a mistake in what was asked, 3 the
    /// machine lacks something.
    #[must_use]
    pub const fn exit_status(self) -> u8 {
        match self {
            Self::Failure
            | Self::Io
            | Self::Ejected
            | Self::Panicked
            | Self::Busy
            | Self::ReplayDiffers => 1,
            Self::Usage
            | Self::UnknownPolicy
            | Self::BadParameter
            | Self::BadWorkload
            | Self::BadMachine
            | Self::BadClasses
            | Self::BadCgroup
            | Self::BadLog
            | Self::BadRecording
            | Self::BadName
            | Self::Exists => 2,
            Self::NoRoot | Self::NoSchedExt | Self::NotBuilt | Self::Machine => 3,
            Self::Other(_, status) => status,
        }
    }
}

/// Why a command failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What kind of failure it is.
    pub code: Code,
    /// One sentence with the remedy.
    pub message: String,
    /// Whether the command's own JSON tells of it, so that nothing else has to.
    told: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    error: Body<'a>,
}

#[derive(Serialize)]
struct Body<'a> {
    code: &'a str,
    exit_status: u8,
    message: &'a str,
}

impl Failure {
    /// A failure of this kind.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            told: false,
        }
    }

    /// The failure as the member `error` of a command's own document, which is printed
    /// instead of one about the failure alone.
    ///
    /// # Errors
    /// When the document cannot be made.
    pub fn within(mut self, document: &impl Serialize) -> Result<(Self, String), Self> {
        #[derive(Serialize)]
        struct Whole<'a, T> {
            #[serde(flatten)]
            document: &'a T,
            error: Body<'a>,
        }
        let error = self.body();
        match serde_json::to_string(&Whole { document, error }) {
            Ok(text) => {
                self.told = true;
                Ok((self, text))
            }
            Err(_) => Err(self),
        }
    }

    fn body(&self) -> Body<'_> {
        Body {
            code: self.code.name(),
            exit_status: self.code.exit_status(),
            message: &self.message,
        }
    }

    /// A file that could not be read or written.
    #[must_use]
    pub fn io(what: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::new(
            Code::Io,
            format!("cannot {what} {}: {error}", path.display()),
        )
    }

    /// Tells of the failure: as JSON on stdout where the other results would be, or
    /// as a sentence on stderr. Returns the exit status.
    #[must_use]
    pub fn report(&self, json: bool) -> ExitCode {
        let status = self.code.exit_status();
        if json && self.told {
            // It stands in what was printed.
        } else if json {
            let error = self.body();
            let text = serde_json::to_string(&Document { error }).unwrap_or_default();
            let _ = writeln!(std::io::stdout(), "{text}");
        } else {
            let red = anstyle::AnsiColor::Red.on_default().bold();
            let _ = writeln!(anstream::stderr(), "{red}error{red:#}: {}", self.message);
        }
        ExitCode::from(status)
    }
}

/// Whether the program's own arguments ask for JSON; those after `--` belong to
/// another command.
#[must_use]
pub fn wants_json() -> bool {
    std::env::args_os()
        .take_while(|arg| arg != "--")
        .any(|arg| arg == "--json")
}

/// What to add to a complaint about an unknown name: the nearest known one.
///
/// ```
/// assert_eq!(baton::app::did_you_mean("fifa", ["fifo", "edf"]), " (did you mean `fifo`?)");
/// assert_eq!(baton::app::did_you_mean("chess", ["fifo", "edf"]), "");
/// ```
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let nearest = known
        .into_iter()
        .map(|other| (distance(name, other), other))
        .min();
    match nearest {
        Some((distance, other)) if distance <= 2 && distance < other.chars().count() => {
            format!(" (did you mean `{other}`?)")
        }
        _ => String::new(),
    }
}

/// The Levenshtein distance: insertions, deletions and replacements from one text
/// to the other. Rows of the usual table, kept one at a time.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, have) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, want) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(have != *want);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        let check = |from, to, expected| assert_eq!(distance(from, to), expected, "{from} {to}");
        check("", "", 0);
        check("", "edf", 3);
        check("fifo", "fifo", 0);
        check("kitten", "sitting", 3);
    }

    #[test]
    fn a_failure_can_stand_in_a_document() {
        let failure = Failure::new(Code::Ejected, "stalled");
        let (_, text) = failure.within(&serde_json::json!({"wall_s": 1.5})).unwrap();
        let whole: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(whole["wall_s"], 1.5);
        assert_eq!(whole["error"]["code"], "ejected");
        assert_eq!(whole["error"]["message"], "stalled");
    }

    #[test]
    fn suggestions_are_near() {
        assert_eq!(
            did_you_mean("eevd", ["fifo", "eevdf"]),
            " (did you mean `eevdf`?)"
        );
        assert_eq!(did_you_mean("x", ["a"]), "");
    }
}
