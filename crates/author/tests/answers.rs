//! From answers to files.

use baton_author::{
    Stage,
    source::{extract, parse},
};

const POLICY: &str = include_str!("../../../templates/policy/src/main.rs");

fn fails(answer: &str, code: &str) {
    let mistake = extract(answer).expect_err(answer);
    assert_eq!(
        (mistake.stage, mistake.code.as_str()),
        (Stage::Parse, code),
        "{answer}"
    );
    assert!(mistake.help.is_some());
}

fn finds(answer: &str) {
    let text = extract(answer).unwrap_or_else(|mistake| panic!("{mistake}: {answer}"));
    assert_eq!(text.trim(), POLICY.trim(), "{answer}");
    assert!(parse(&text, &[]).is_ok());
}

#[test]
fn the_one_block() {
    finds(&format!(
        "Here it is.\n\n```rust\n{POLICY}```\n\nIt is good."
    ));
    finds(&format!("```rs\n{POLICY}\n```"));
    finds(&format!("```Rust,no_run\n{POLICY}\n```"));
    finds(&format!("```\n{POLICY}\n```"));
    finds(&format!("~~~~rust\n{POLICY}\n~~~~\n"));
    finds(&format!(
        "```toml\nbaton::main!(X)\n```\n```rust\nlet x = 1;\n```\n```rust\n{POLICY}```"
    ));
    finds(&format!(
        "The same twice:\n```rust\n{POLICY}```\n\n```rust\n{POLICY}\n```"
    ));
    finds(&format!(
        "It ends with `baton::main!(Fifo)`; ```code``` in a line is none.\n```rust\n{POLICY}```"
    ));
    // Only the fence is lost.
    finds(&format!("```rust\n{POLICY}"));
    finds(&format!("```rust\r\n{}```\r\n", POLICY.replace('\n', "\r\n")).replace('\r', ""));
}

#[test]
fn a_bare_file() {
    finds(POLICY);
    finds(&format!("\n\n{POLICY}\n\n"));
    // Mistakes in it are for the parser to tell.
    let wrong = POLICY.replace("Self\n", "Self = \n");
    assert_eq!(extract(&wrong).unwrap(), wrong);
}

#[test]
fn no_policy() {
    fails("", "no-code");
    fails(
        "I would write `baton::main!(Fifo)` and implement Policy.",
        "no-code",
    );
    fails("```rust\nfn main() {}\n```", "no-code");
    fails(&format!("```python\n{POLICY}\n```"), "no-code");
    fails("```rust\n// baton::main!(X)\n```", "no-code");
}

#[test]
fn a_policy_without_main_is_for_the_parser() {
    let text = POLICY.replace("baton::main!(Fifo);", "");
    let found = extract(&format!("```rust\n{text}```")).unwrap();
    assert_eq!(parse(&found, &[]).unwrap_err()[0].code, "no-main");
}

#[test]
fn several_policies() {
    let other = POLICY.replace("first come", "last come");
    fails(
        &format!("```rust\n{POLICY}```\nor\n```rust\n{other}```"),
        "several-policies",
    );
}

#[test]
fn a_policy_that_is_cut_off() {
    for length in [150, 300, 420] {
        fails(&format!("```rust\n{}", &POLICY[..length]), "cut-off");
    }
    fails(&format!("```rust\n{}\n```", &POLICY[..300]), "cut-off");
    fails(&POLICY[..300], "cut-off");
    // The prose around it can be cut off, too.
    fails("First, use baton and impl Policy for (", "no-code");
}
