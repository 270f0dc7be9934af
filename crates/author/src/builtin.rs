//! Sources of Baton's own policies, as candidates would write them: to begin with.

const FIFO: &str = include_str!("../../../templates/policy/src/main.rs");
const EDF: &str = include_str!("../../policies/src/edf.rs");

/// The source of a built-in policy, where it is a single file.
#[must_use]
pub fn source(name: &str) -> Option<String> {
    match name {
        "fifo" => Some(FIFO.to_owned()),
        "edf" => Some(as_candidate(EDF, "Edf")),
        _ => None,
    }
}

/// A file of `baton-policies` as an author would have written it.
fn as_candidate(text: &str, policy: &str) -> String {
    let mut text = text.replace("use crate::Param;\n\n", "");
    // The table of parameters is for lists.
    if let Some(begin) = text.find("pub(crate) const PARAMS")
        && let Some(length) = text[begin..].find("\n];\n")
    {
        text.replace_range(begin..begin + length + 4, "");
    }
    text = text.replace("use baton_policy::{", "use baton::{");
    text.push_str(&format!("\nbaton::main!({policy});\n"));
    text
}

#[cfg(test)]
mod tests {
    use crate::source::{lint, parse};

    #[test]
    fn they_are_candidates() {
        for name in ["fifo", "edf"] {
            let text = super::source(name).unwrap();
            let source = parse(&text, &[]).unwrap();
            assert_eq!((&*source.name, lint(&source)), (name, Vec::new()));
            assert!(
                !text.contains("crate::") && !text.contains("PARAMS"),
                "{name}"
            );
        }
    }
}
