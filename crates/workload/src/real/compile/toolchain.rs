//! gcc: whether all of it is there, and which files make it up.
//!
//! What a compiler needs beside itself no list says, but it tells when asked: where its parts are
//! (`-print-prog-name`, `-print-file-name`), which headers a source includes (`-M`), and which files
//! a link takes (`--trace`).

use super::{PART, options, units};
use crate::error::{Error, NO_SCRATCH};
use crate::spec::Compile;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const REMEDY: &str = "install gcc and the C library's headers (Debian, Ubuntu: gcc libc6-dev)";
/// The programs that gcc starts.
const PARTS: [&str; 4] = ["cc1", "as", "collect2", "ld"];
/// What the linker loads although nothing names it; older compilers have none.
const PLUGIN: &str = "liblto_plugin.so";
/// Tells whether there is a C library to link with: every link takes it.
const LIBRARY: &str = "crti.o";

/// A compiler that has all its parts.
pub(super) struct Gcc {
    pub(super) path: PathBuf,
    pub(super) version: String,
    parts: Vec<PathBuf>,
}

/// The files beside the source that it takes to compile it: compiler, headers, libraries.
pub(crate) fn files(compile: &Compile, source: &Path) -> Result<Vec<PathBuf>, Error> {
    let gcc = Gcc::find()?;
    let mut files = vec![gcc.path.clone()];
    files.extend(gcc.parts.iter().cloned());
    files.extend(gcc.file(PLUGIN)?);
    files.extend(gcc.headers(compile, source)?);
    files.extend(gcc.linked()?);
    files.sort_unstable();
    files.dedup();
    Ok(files)
}

impl Gcc {
    pub(super) fn find() -> Result<Self, Error> {
        let path =
            find_program("gcc").ok_or_else(|| Error::missing(PART, "gcc not found", REMEDY))?;
        let mut gcc = Self {
            path,
            version: String::new(),
            parts: Vec::new(),
        };
        for name in PARTS {
            // Without a place of its own for it, gcc says the bare name and looks in PATH.
            let said = gcc.ask(&[format!("-print-prog-name={name}")])?;
            let part = find_program(said.trim()).ok_or_else(|| {
                Error::missing(PART, format!("gcc has no {name} to work with"), REMEDY)
            })?;
            gcc.parts.push(part);
        }
        if gcc.file(LIBRARY)?.is_none() {
            return Err(Error::missing(
                PART,
                "gcc has no C library to link with",
                REMEDY,
            ));
        }
        let version = gcc.ask(&["-dumpfullversion".into(), "-dumpversion".into()])?;
        version.trim().clone_into(&mut gcc.version);
        Ok(gcc)
    }

    /// Where gcc has a file of this name, if it has one.
    fn file(&self, name: &str) -> Result<Option<PathBuf>, Error> {
        let said = self.ask(&[format!("-print-file-name={name}")])?;
        Ok(Some(PathBuf::from(said.trim())).filter(|path| path.is_absolute()))
    }

    /// The headers outside the source that its units include.
    fn headers(&self, compile: &Compile, source: &Path) -> Result<Vec<PathBuf>, Error> {
        let (directory, units) = units(source)?;
        let mut command = self.command();
        // Some headers are included or not by the level of optimization.
        command
            .current_dir(directory)
            .args(options(compile.optimize))
            .arg("-M")
            .args(units.iter().map(|unit| format!("{unit}.c")));
        Ok(paths(&answer(&mut command)?))
    }

    /// The files that the link of a program takes, its libraries too.
    fn linked(&self) -> Result<Vec<PathBuf>, Error> {
        let dir = tempfile::tempdir().map_err(Error::os(PART, "files", NO_SCRATCH))?;
        let (source, program) = (dir.path().join("a.c"), dir.path().join("a"));
        fs::write(&source, "int main(void) { return 0; }\n")
            .map_err(Error::os(PART, "files", NO_SCRATCH))?;
        let mut command = self.command();
        command
            .env("TMPDIR", dir.path())
            .args(["-Wl,--trace", "-o"])
            .args([program, source])
            .arg("-lm");
        let mut files = paths(&answer(&mut command)?);
        files.retain(|path| !path.starts_with(dir.path()) && path.is_file());
        Ok(files)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.env("LC_ALL", "C");
        command
    }

    fn ask(&self, question: &[String]) -> Result<String, Error> {
        answer(self.command().args(question))
    }
}

/// What a command prints.
fn answer(command: &mut Command) -> Result<String, Error> {
    let output = command.output().map_err(Error::os(PART, "gcc", REMEDY))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let error = said.lines().find(|line| line.contains("error: "));
    let what = error.unwrap_or("gcc failed and said nothing");
    Err(Error::missing(PART, what, REMEDY))
}

/// The absolute paths among words, also in parentheses, as rules of make and a linker's trace have
/// them. Those of compilers have no spaces in them.
fn paths(text: &str) -> Vec<PathBuf> {
    let word_ends = |c: char| c.is_whitespace() || "()\\".contains(c);
    text.split(word_ends)
        .filter(|word| word.starts_with('/'))
        .map(PathBuf::from)
        .collect()
}

/// Finds a program as a shell does.
fn find_program(name: &str) -> Option<PathBuf> {
    let is_program = |path: &PathBuf| {
        path.metadata()
            .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
    };
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(is_program);
    }
    let path = std::env::var_os("PATH");
    std::env::split_paths(path.as_deref().unwrap_or(OsStr::new("/usr/bin:/bin")))
        .map(|directory| directory.join(name))
        .find(is_program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_in_rules_and_traces() {
        let check = |text: &str, expected: &[&str]| {
            let expected: Vec<PathBuf> = expected.iter().map(PathBuf::from).collect();
            assert_eq!(paths(text), expected, "{text}");
        };
        check(
            "a.o: a.c /usr/include/stdio.h \\\n /usr/include/x.h a.h\n",
            &["/usr/include/stdio.h", "/usr/include/x.h"],
        );
        check(
            "/usr/lib/crt1.o\n-lm (/usr/lib/libm.so)\n(/usr/lib/libc_nonshared.a)at_quick.oS\n",
            &[
                "/usr/lib/crt1.o",
                "/usr/lib/libm.so",
                "/usr/lib/libc_nonshared.a",
            ],
        );
        check("", &[]);
    }

    #[test]
    fn programs_are_found_as_a_shell_does() {
        assert!(find_program("sh").is_some_and(|path| path.is_absolute()));
        assert_eq!(find_program("/bin/sh"), Some("/bin/sh".into()));
        assert_eq!(find_program("no-such-program"), None);
        assert_eq!(find_program("/etc/passwd"), None);
    }
}
