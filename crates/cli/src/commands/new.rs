//! `baton new`: a policy project of one's own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use baton::app::{Code, Failure};

use crate::failures::fail;

/// The checkout that this program was built from; it may be gone.
const FACADE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../baton");
const VERSION: &str = env!("CARGO_PKG_VERSION");

const MAIN: &str = include_str!("../../../../templates/policy/src/main.rs");
const MANIFEST: &str = include_str!("../../../../templates/policy/Cargo.toml.template");
const README: &str = include_str!("../../../../templates/policy/README.md");
const IGNORE: &str = include_str!("../../../../templates/policy/gitignore");

/// Make a policy project, ready to run
///
/// The project holds a scheduler that works, first come, first served, to change at
/// will.
#[derive(clap::Args)]
#[command(after_help = "Example:
  baton new mine && cd mine
  baton vm --policy . -- baton workload pipe")]
pub(crate) struct Args {
    /// The name of the project, its directory and its policy
    name: String,
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    let name = args.name.as_str();
    check(name)?;
    let root = Path::new(name);
    if root.exists() {
        let message = format!("{name} exists already: choose another name, or remove it");
        return fail(Code::Exists, message);
    }
    let replaced = |text: &str| text.replace("{{name}}", name);
    let files = [
        (
            "Cargo.toml",
            replaced(MANIFEST).replace("{{baton}}", &dependency()),
        ),
        (
            "src/main.rs",
            MAIN.replace("\"fifo\"", &format!("\"{name}\"")),
        ),
        ("README.md", replaced(README)),
        (".gitignore", IGNORE.to_owned()),
    ];
    for (file, text) in files {
        let path = root.join(file);
        let folder = path.parent().unwrap_or(root);
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&path, text))
            .map_err(|error| Failure::io("write", &path, &error))?;
    }
    outln!("{name} is made. Next:\n  cd {name}\n  baton vm --policy . -- baton workload pipe");
    Ok(ExitCode::SUCCESS)
}

/// A name that cargo takes for a package, and that is no crate of ours.
fn check(name: &str) -> Result<(), Failure> {
    let mut letters = name.chars();
    let begins = letters
        .next()
        .is_some_and(|first| first.is_ascii_lowercase());
    let goes_on =
        letters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_');
    if !begins || !goes_on || name.len() > 60 {
        let message = format!(
            "`{name}` cannot name a policy: use lower-case letters, digits, - and _, a letter first"
        );
        return Err(Failure::new(Code::BadName, message));
    }
    if ["baton", "test", "core", "std", "alloc"].contains(&name) || name.starts_with("baton-") {
        let message = format!("the name `{name}` is taken: choose another one");
        return Err(Failure::new(Code::BadName, message));
    }
    Ok(())
}

/// The facade: the checkout's if it is still there, else the released version.
fn dependency() -> String {
    match PathBuf::from(FACADE).canonicalize() {
        Ok(path) if path.join("Cargo.toml").is_file() => {
            // TOML's basic strings take the escapes that Rust's Debug writes for paths.
            format!("{{ path = {:?} }}", path.display().to_string())
        }
        _ => format!("\"{VERSION}\""),
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn names() {
        for name in ["mine", "my-policy2", "a_b"] {
            assert!(check(name).is_ok(), "{name}");
        }
        for name in ["", "-x", "../x", "a/b", "My", "2x", "x y", "baton", "ä"] {
            assert!(check(name).is_err(), "{name}");
        }
    }
}
