//! The smallest useful policy stays small, and the README shows the very file.

const FIFO: &str = include_str!("../../../templates/policy/src/main.rs");

#[test]
fn a_fifo_fits_in_25_lines() {
    assert!(FIFO.lines().count() <= 25, "{} lines", FIFO.lines().count());
}

#[test]
fn the_readme_shows_it() {
    let readme = include_str!("../../../README.md");
    let block = readme
        .split("```rust\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next());
    assert_eq!(
        block,
        Some(FIFO),
        "README.md and templates/policy/src/main.rs differ"
    );
}
