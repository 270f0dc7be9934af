//! From a candidate's source to its program, by the compiler alone: no Cargo, no build script, no
//! dependency, no `unsafe`; contained, for the compiler does what a source makes it do.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
    time::Duration,
};

use baton_sandbox::{Ended, How, Limits, Sandbox};
use baton_trial::protocol::SOURCE_FILE;
use serde_json::Value;

use crate::{Diagnostic, Error, Library, Stage, diagnostic::clean, error::file};

/// Where the sources lie for the compiler.
const INSIDE: &str = "/candidate";
/// Enough to mend; the rest follows from these more often than not.
const DIAGNOSTICS_MAX: usize = 12;

/// The candidate becomes a module, so that its text is compiled as it stands, and has no standard library
/// but the one that it is given.
const LIBRARY: &str = r#"#![no_std]
#![forbid(unsafe_code)]
#![allow(warnings)]

#[path = "policy.rs"]
mod policy;

pub use policy::visit;
"#;

/// What a policy's text need not say. It comes last, so that lines keep their numbers.
const PRELUDE: &str = "\n#[allow(unused_imports)]\nuse ::std::prelude::v1::*;\n";

const PROGRAM: &str = "baton_trial::__use_arena!();

fn main() -> std::process::ExitCode {
    candidate::visit(baton_trial::Main)
}
";

/// The folders of a candidate's directory.
struct Paths {
    sources: PathBuf,
    library: PathBuf,
    program: PathBuf,
}

impl Paths {
    fn of(directory: &Path) -> Self {
        Self {
            sources: directory.join("sources"),
            library: directory.join("library"),
            program: directory.join("program"),
        }
    }

    fn candidate(&self) -> PathBuf {
        self.library.join("libcandidate.rlib")
    }
}

/// As `--extern` takes it.
fn with(name: &str, path: &Path) -> String {
    format!("{name}={}", path.display())
}

/// Compiles candidates.
#[derive(Clone, Debug)]
pub struct Compiler {
    library: Library,
    sandbox: Sandbox,
}

/// What comes of linking: the program, or what is wrong with the source.
pub type Compiled = Result<PathBuf, Vec<Diagnostic>>;

impl Compiler {
    /// Compiles with this library. The sandbox is empty but for the program that it is made with.
    ///
    /// # Errors
    /// Nothing can be contained here.
    pub fn new(library: Library, sandbox: Sandbox) -> Result<Self, Error> {
        sandbox.probe()?;
        Ok(Self { library, sandbox })
    }

    /// What a candidate's program is linked with.
    #[must_use]
    pub const fn library(&self) -> &Library {
        &self.library
    }

    /// Compiles the text, up to a library in the directory, which must be there; what else lies in it is not
    /// seen. Takes a fraction of a second; [`Compiler::link`] makes a program of it.
    ///
    /// # Errors
    /// The compiler cannot be run, or it was stopped. A candidate's mistakes are no error.
    pub fn compile(
        &self,
        text: &str,
        directory: &Path,
        stop: &AtomicBool,
    ) -> Result<Result<(), Vec<Diagnostic>>, Error> {
        let paths = Paths::of(directory);
        for folder in [&paths.sources, &paths.library, &paths.program] {
            fs::create_dir_all(folder).map_err(file("make", folder))?;
        }
        let texts = [
            (SOURCE_FILE, &*format!("{text}{PRELUDE}")),
            ("lib.rs", LIBRARY),
            ("main.rs", PROGRAM),
        ];
        for (name, text) in texts {
            let path = paths.sources.join(name);
            fs::write(&path, text).map_err(file("write", path))?;
        }
        let library = &self.library;
        let names = [with("std", &library.std), with("baton", &library.facade)];
        let mut arguments = vec!["--crate-name=candidate", "--crate-type=rlib"];
        arguments.extend(names.iter().flat_map(|name| ["--extern", name]));
        let source = format!("{INSIDE}/lib.rs");
        self.run(&arguments, &source, &paths.candidate(), &paths, None, stop)
    }

    /// Makes a program of what was compiled in the directory, with the harness: seconds, for all that the
    /// policy's type goes into is compiled now.
    ///
    /// # Errors
    /// As [`Compiler::compile`].
    pub fn link(&self, directory: &Path, stop: &AtomicBool) -> Result<Compiled, Error> {
        let paths = Paths::of(directory);
        let names = [
            with("candidate", &paths.candidate()),
            with("baton_trial", &self.library.trial),
        ];
        let mut arguments = vec!["--crate-name=program", "--crate-type=bin"];
        arguments.extend(names.iter().flat_map(|name| ["--extern", name]));
        let program = paths.program.join("program");
        let source = format!("{INSIDE}/main.rs");
        let made = Some(&*paths.library);
        let linked = self.run(&arguments, &source, &program, &paths, made, stop)?;
        Ok(linked.map(|()| program))
    }

    fn run(
        &self,
        arguments: &[&str],
        source: &str,
        output: &Path,
        paths: &Paths,
        made: Option<&Path>,
        stop: &AtomicBool,
    ) -> Result<Result<(), Vec<Diagnostic>>, Error> {
        // No output before there is one to look for.
        let _ = fs::remove_file(output);
        let library = &self.library;
        let dependencies = format!("dependency={}", library.dependencies.display());
        let common = [
            "--edition=2024",
            "-Copt-level=2",
            "-Cstrip=debuginfo",
            "--error-format=json",
            "--cap-lints=forbid",
            "-Funsafe_code",
            "-L",
            &dependencies,
            "-o",
            &output.to_string_lossy(),
        ];
        let sandbox = self
            .sandbox
            .clone()
            .system()
            .read(&library.sysroot)
            .read(&library.dependencies)
            .read(&library.std)
            .read(&library.facade)
            .read(&library.trial)
            .read_as(&paths.sources, INSIDE)
            .env("PATH", "/usr/bin:/bin")
            .limits(Limits {
                wall: Duration::from_secs(90),
                cpu: Duration::from_secs(90),
                memory_bytes: 3 << 30,
                processes: 64,
                ..Limits::default()
            });
        let sandbox = made.into_iter().fold(sandbox, Sandbox::read);
        let folder = output.parent().unwrap_or(output);
        let sandbox = sandbox.write(folder).dir("/tmp");
        let arguments = arguments.iter().copied().chain(common).chain([source]);
        let ended = sandbox.run(&library.rustc, arguments, &[], stop)?;
        judge(&ended, output)
    }
}

/// What the compiler's end says.
fn judge(ended: &Ended, output: &Path) -> Result<Result<(), Vec<Diagnostic>>, Error> {
    let wrong = match ended.status {
        How::Exit(0) if output.is_file() => return Ok(Ok(())),
        How::Stopped => return Err(Error::Stopped),
        How::Limit(which) => vec![
            Diagnostic::new(
                Stage::Compile,
                "compile-limit",
                format!("the compiler was ended at the limit of its {which}"),
            )
            .help("A policy compiles in a second: leave out what makes the compiler work."),
        ],
        How::Signal(signal) => vec![
            Diagnostic::new(
                Stage::Compile,
                "compile-limit",
                format!(
                    "the compiler ended by signal {signal}, as it does without memory or stack"
                ),
            )
            .help("A policy compiles in a second: leave out what makes the compiler work."),
        ],
        _ => {
            let found = diagnostics(&String::from_utf8_lossy(&ended.stderr));
            match found.is_empty() {
                false => found,
                true => vec![Diagnostic::new(
                    Stage::Compile,
                    "compiler",
                    format!(
                        "the compiler {} and said nothing of a mistake",
                        ended.status
                    ),
                )],
            }
        }
    };
    Ok(Err(wrong))
}

/// The errors among the compiler's messages.
fn diagnostics(messages: &str) -> Vec<Diagnostic> {
    let read = |line: &str| serde_json::from_str::<Value>(line).ok();
    let errors = messages.lines().filter_map(read).filter_map(|message| {
        let text = message["message"].as_str()?;
        let is_error = message["level"]
            .as_str()
            .is_some_and(|level| level.starts_with("error"));
        // The last message only counts.
        if !is_error || text.starts_with("aborting due to") {
            return None;
        }
        Some(diagnostic(&message, text))
    });
    let mut found: Vec<Diagnostic> = Vec::new();
    for error in errors {
        if !found.contains(&error) {
            found.push(error);
        }
        if found.len() >= DIAGNOSTICS_MAX {
            break;
        }
    }
    found
}

/// The text with the names that a candidate's author knows.
fn known(text: &str) -> String {
    let text = text.replace("baton_candidate::", "baton::");
    text.replace("baton_policy::", "baton::")
        .replace("baton_std::", "std::")
}

fn diagnostic(message: &Value, text: &str) -> Diagnostic {
    let code = message["code"]["code"].as_str().unwrap_or("rustc");
    let mut found = Diagnostic::new(Stage::Compile, code, text);
    let spans = message["spans"].as_array().into_iter().flatten();
    let own = |span: &&Value| {
        let file = span["file_name"].as_str().unwrap_or_default();
        span["is_primary"] == true && file.ends_with(SOURCE_FILE)
    };
    if let Some(span) = spans.clone().find(own) {
        let number = |name: &str| {
            span[name]
                .as_u64()
                .and_then(|value| u32::try_from(value).ok())
        };
        (found.line, found.column) = (number("line_start"), number("column_start"));
        if let Some(label) = span["label"].as_str().filter(|label| !label.is_empty()) {
            found.message.push_str(&format!(": {label}"));
        }
    }
    let notes = message["children"].as_array().into_iter().flatten();
    let notes = notes.filter_map(|child| child["message"].as_str());
    let notes: Vec<&str> = notes.filter(|note| note.len() < 300).take(3).collect();
    if !notes.is_empty() {
        found = found.help(known(&notes.join("; ")));
    }
    found.message = clean(&known(&found.message));
    found
}
