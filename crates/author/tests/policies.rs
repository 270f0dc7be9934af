//! Baton's own policies, written as candidates: what is in use must pass.

use std::fs;

use baton_author::{
    Diagnostic,
    source::{lint, parse},
};

/// A policy's file from its crate, as it would stand in a candidate.
fn file(path: &str) -> String {
    let path = format!("{}/../policies/src/{path}", env!("CARGO_MANIFEST_DIR"));
    let mut text = fs::read_to_string(path).unwrap();
    // A candidate has no table of parameters.
    if let Some(begin) = text.find("pub(crate) const PARAMS") {
        let end = begin + text[begin..].find("\n];\n").unwrap() + 4;
        text.replace_range(begin..end, "");
    }
    text = text.replace("alloc::vec", "std::vec");
    for only_tested in ["history", "tests"] {
        text = text.replace(&format!("#[cfg(test)]\nmod {only_tested};\n"), "");
    }
    let attribute = "    #[cfg(test)]\n";
    text.replace(attribute, "")
}

/// A file with its modules within.
fn with_modules(text: &str, modules: &[(&str, &str)]) -> String {
    let mut text = text.to_string();
    for (name, path) in modules {
        text = text.replace(&format!("\nmod {name};\n"), "\n");
        text.push_str(&format!("mod {name} {{\n{}\n}}\n", file(path)));
    }
    text
}

fn check(policy: &str, text: &str) -> Vec<Diagnostic> {
    let text = format!("{text}\nbaton::main!({policy});\n");
    let source = parse(&text, &[]).unwrap_or_else(|mistakes| {
        let mistakes: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        panic!("{policy}: {}", mistakes.join("\n"));
    });
    assert_eq!(source.policy, policy);
    lint(&source)
}

fn passes(policy: &str, text: &str) {
    let mistakes = check(policy, text);
    let mistakes: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    assert!(mistakes.is_empty(), "{policy}: {}", mistakes.join("\n"));
}

#[test]
fn fifo_and_the_template() {
    passes("Fifo", &file("fifo.rs"));
    let template = format!(
        "{}/../../templates/policy/src/main.rs",
        env!("CARGO_MANIFEST_DIR")
    );
    let template = fs::read_to_string(template).unwrap();
    let source = parse(&template, &[]).unwrap();
    assert_eq!(source.name, "fifo");
    assert_eq!(source.summary, "first come, first served");
    assert_eq!(lint(&source), []);
}

#[test]
fn edf() {
    passes("Edf", &file("edf.rs"));
}

#[test]
fn learned() {
    let learned = with_modules(&file("learned.rs"), &[("edf", "edf.rs")]);
    // `by=truth` bounds what a guess can be worth; a candidate must not have it.
    let mistakes = check("Learned", &learned);
    let codes: Vec<&str> = mistakes
        .iter()
        .map(|mistake| mistake.code.as_str())
        .collect();
    assert_eq!(codes, ["truth", "truth"], "{mistakes:?}");
}

#[test]
fn hybrid() {
    let modules = [("cpus", "cpus.rs"), ("held", "held.rs"), ("edf", "edf.rs")];
    passes("Hybrid", &with_modules(&file("hybrid.rs"), &modules));
}

#[test]
fn priority() {
    let modules = [
        ("cpus", "cpus.rs"),
        ("held", "held.rs"),
        ("level", "priority/level.rs"),
        ("send", "priority/send.rs"),
    ];
    passes("Priority", &with_modules(&file("priority.rs"), &modules));
}

/// Its tree is its own, so that nothing is allocated; a candidate uses a BTreeMap.
#[test]
fn eevdf_but_for_its_tree() {
    let modules = ["clock", "compete", "groups", "order", "release"];
    let paths = modules.map(|name| format!("eevdf/{name}.rs"));
    let modules: Vec<(&str, &str)> = modules
        .into_iter()
        .zip(paths.iter().map(String::as_str))
        .collect();
    let mistakes = check("Eevdf", &with_modules(&file("eevdf/mod.rs"), &modules));
    let told: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    let about_the_tree = |mistake: &Diagnostic| mistake.code == "recursion";
    assert!(mistakes.iter().all(about_the_tree), "{}", told.join("\n"));
    assert_eq!(mistakes.len(), 2, "{}", told.join("\n"));
}
