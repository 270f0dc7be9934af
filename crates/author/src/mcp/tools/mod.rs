//! The tools, by what they are about.

pub(super) mod about;
pub(super) mod check;
pub(super) mod compare;
pub(super) mod explain;
pub(super) mod ledger;
pub(super) mod play;
pub(super) mod reference;
pub(super) mod write;

use schemars::JsonSchema;
use serde::Deserialize;

use super::errors::{Code, Failure};

/// A tool that takes nothing.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// Texts that are no workload a simulator plays, and the workload as the parser prints it.
fn workload(text: &str) -> Result<String, Failure> {
    let bad = |problem: String| {
        let help = "`workloads` lists the kinds with their parameters.";
        Failure::new(Code::BadWorkload, problem, help)
    };
    if text.len() > 1000 {
        return Err(bad(
            "the workload's text is longer than 1000 bytes".to_owned()
        ));
    }
    // Only the parser, never the finder: that one opens files.
    let workload: baton_workload::Workload = text
        .parse()
        .map_err(|error: baton_workload::Error| bad(error.to_string()))?;
    let mut parts = workload.parts().iter();
    if let Some(part) = parts.find(|part| part.kind().name == "compile") {
        let kind = part.kind().name;
        return Err(bad(format!(
            "`{kind}` cannot be simulated: it runs real programs"
        )));
    }
    Ok(workload.to_string())
}

/// The name of a described machine, never a file's.
fn machine(name: Option<&str>) -> Result<String, Failure> {
    let name = name.unwrap_or("2-cpu");
    let names = baton_machine::builtin_names();
    match names.iter().find(|known| **known == name) {
        Some(known) => Ok((*known).to_owned()),
        None => {
            let shown: String = name.chars().take(64).collect();
            Err(Failure::new(
                Code::BadMachine,
                format!("there is no described machine `{shown}`"),
                format!("Choose from {}.", names.join(", ")),
            ))
        }
    }
}

/// Does something short that reads or writes files, off the thread that answers.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| {
        Err(Failure::new(
            Code::Failure,
            error.to_string(),
            "This is a defect of Baton.",
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workloads_are_never_files() {
        assert_eq!(workload("pipe:rounds=100").unwrap(), "pipe:rounds=100");
        for text in [
            "",
            "x",
            "docs/workload.toml",
            "/etc/passwd",
            "a.rec",
            "compile",
            "pipe+pipe",
        ] {
            assert_eq!(
                workload(text).unwrap_err().code,
                Code::BadWorkload,
                "{text}"
            );
        }
        assert!(workload(&"pipe+".repeat(1000)).is_err());
    }

    #[test]
    fn machines_are_never_files() {
        assert_eq!(machine(None).unwrap(), "2-cpu");
        assert_eq!(machine(Some("laptop-hybrid")).unwrap(), "laptop-hybrid");
        for name in ["host", "recorded", "../2-cpu.toml", "/proc/self/environ"] {
            assert_eq!(machine(Some(name)).unwrap_err().code, Code::BadMachine);
        }
    }
}
