//! The policies that a client can name, and the sources of those that come with Baton.

use super::{
    errors::{Code, Failure},
    store::Store,
};

/// Baselines of the simulator that are no policies.
pub(super) const BASELINES: [&str; 4] = ["kernel", "cfs", "bfs", "oracle"];

/// What stands before the name of an accepted policy.
const ACCEPTED: &str = "accepted/";

/// What a client names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// A policy that comes with Baton, or a baseline.
    BuiltIn(&'static str),
    /// A candidate of the workspace.
    Candidate(u32),
}

/// What a text names: a built-in policy, a baseline, a candidate's number, or `accepted/NAME`.
pub(super) fn named(text: &str, store: &Store) -> Result<Named, Failure> {
    if let Ok(id) = text.parse::<u32>() {
        return store.entry(id).map(|_| Named::Candidate(id));
    }
    if let Some(name) = text.strip_prefix(ACCEPTED) {
        let view = store.view()?;
        let mut entries = view.candidates.values().rev();
        let found = entries.find(|entry| entry.accepted.is_some() && entry.name() == Some(name));
        return match found {
            Some(entry) => Ok(Named::Candidate(entry.candidate.id)),
            None => Err(unknown(text)),
        };
    }
    let built_in = baton_policies::list().iter().map(|policy| policy.name);
    let mut known = built_in.chain(BASELINES);
    known
        .find(|known| *known == text)
        .map(Named::BuiltIn)
        .ok_or_else(|| unknown(text))
}

/// There is no such policy.
pub(super) fn unknown(text: &str) -> Failure {
    let shown: String = text.chars().take(64).collect();
    Failure::new(
        Code::UnknownPolicy,
        format!("there is no policy `{shown}`"),
        "Give a name that `policies` lists, a candidate's number such as `3`, or `accepted/NAME`.",
    )
}

macro_rules! sources {
    ($($policy:literal: $($file:literal),+;)+) => {
        /// The files of a built-in policy: its own first, then what it shares with others.
        pub(super) fn sources(policy: &str) -> &'static [(&'static str, &'static str)] {
            match policy {
                $($policy => &[$(($file, include_str!(concat!("../../../policies/src/", $file)))),+],)+
                _ => &[],
            }
        }
    };
}

sources! {
    "fifo": "fifo.rs";
    "edf": "edf.rs";
    "learned": "learned.rs", "edf.rs";
    "eevdf": "eevdf/mod.rs", "eevdf/clock.rs", "eevdf/compete.rs", "eevdf/groups.rs",
        "eevdf/history.rs", "eevdf/order.rs", "eevdf/release.rs";
    "priority": "priority.rs", "priority/level.rs", "priority/send.rs", "held.rs", "cpus.rs";
    "hybrid": "hybrid.rs", "edf.rs", "held.rs", "cpus.rs";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_policy_has_its_source() {
        for policy in baton_policies::list() {
            let [(file, text), ..] = sources(policy.name) else {
                panic!("{} has none", policy.name);
            };
            let name = format!("const NAME: &'static str = \"{}\"", policy.name);
            assert!(text.contains(&name), "{file}");
        }
        assert!(sources("kernel").is_empty());
    }

    #[test]
    fn files_that_a_policy_uses_come_with_it() {
        for policy in baton_policies::list() {
            let files = sources(policy.name);
            for (file, text) in files {
                for (module, needed) in
                    [("held", "held.rs"), ("cpus", "cpus.rs"), ("edf", "edf.rs")]
                {
                    let uses = text.contains(&format!("crate::{module}"))
                        || text.contains(&format!("\n    {module}::"));
                    let has = files.iter().any(|(file, _)| *file == needed);
                    assert!(!uses || has, "{file} of {} uses {needed}", policy.name);
                }
            }
        }
    }

    #[test]
    fn what_texts_name() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().to_owned());
        assert_eq!(named("edf", &store).unwrap(), Named::BuiltIn("edf"));
        assert_eq!(named("kernel", &store).unwrap(), Named::BuiltIn("kernel"));
        assert_eq!(named("1", &store).unwrap_err().code, Code::UnknownCandidate);
        store.add("fn a() {}", None, || Ok(())).unwrap();
        assert_eq!(named("1", &store).unwrap(), Named::Candidate(1));
        for text in ["", "accepted/x", "../x", "/etc/passwd", "EDF"] {
            assert_eq!(named(text, &store).unwrap_err().code, Code::UnknownPolicy);
        }
    }
}
