//! Whatever a model writes, the examination itself does not fail.

use std::fs;

use baton_author::source::{SIZE_MAX, extract, lint, parse};

/// SplitMix64: the same texts in each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

fn texts() -> Vec<String> {
    let mut paths = Vec::new();
    for folder in [
        "tests/candidates",
        "../policies/src",
        "../policies/src/eevdf",
    ] {
        let folder = format!("{}/{folder}", env!("CARGO_MANIFEST_DIR"));
        let files = fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().path());
        paths.extend(files.filter(|path| path.extension().is_some_and(|ext| ext == "rs")));
    }
    paths.sort();
    paths
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect()
}

/// Takes out, doubles, swaps and puts in, by words.
fn mutate(text: &str, random: &mut Random) -> String {
    const NEW: &[&str] = &[
        "(",
        ")",
        "{",
        "}",
        "[",
        "]",
        "'",
        "\"",
        "#",
        "!",
        "::",
        "é",
        "\u{0}",
        "|",
        "<",
        ">",
        "=",
        "self",
        "loop",
        "match",
        "impl",
        "vec![",
        "matches!(",
        "format!(\"{x:?}\")",
        "0xffff",
        "as",
        "b'",
        "r#\"",
        "/*",
        "..",
        "=>",
        "&",
        "unsafe",
        "use std as s;",
        "static",
        "fn f() {",
    ];
    let mut words: Vec<&str> = text
        .split_inclusive(|letter: char| !letter.is_alphanumeric())
        .collect();
    for _ in 0..=random.below(4) {
        let (one, other) = (random.below(words.len()), random.below(words.len()));
        match random.below(4) {
            0 => drop(words.remove(one)),
            1 => words.swap(one, other),
            2 => words.insert(one, NEW[random.below(NEW.len())]),
            _ => words.insert(one, words[other]),
        }
    }
    words.concat()
}

#[test]
fn a_thousand_mutations() {
    let texts = texts();
    let mut random = Random(1);
    let (mut parsed, mut linted) = (0, 0);
    for round in 0..1_000 {
        let text = mutate(&texts[round % texts.len()], &mut random);
        let main = if text.contains("main!") {
            ""
        } else {
            "\nbaton::main!(Fifo);"
        };
        let text = format!("{text}{main}");
        let _ = extract(&text);
        if let Ok(source) = parse(&text, &[]) {
            parsed += 1;
            linted += lint(&source).len();
        }
    }
    assert!(
        parsed > 50 && linted > 0,
        "{parsed} of 1,000 parsed, with {linted} mistakes"
    );
}

#[test]
fn noise() {
    let mut random = Random(2);
    for _ in 0..200 {
        let length = random.below(400);
        let bytes: Vec<u8> = (0..length).map(|_| random.next() as u8).collect();
        let text = String::from_utf8_lossy(&bytes);
        let _ = (extract(&text), parse(&text, &[]));
    }
}

/// As large as it can be, and as deep in each way.
#[test]
fn extremes() {
    let fill = |part: &str| part.repeat((SIZE_MAX - 400) / part.len());
    let bodies = [
        "(",
        "{",
        "[",
        "!",
        "-",
        "&",
        "*",
        "a.",
        "a(",
        "1+",
        "1 as u8 as ",
        "a?.",
        "|a|",
        "if a {} else ",
        "return ",
        "a = ",
        "a..",
        "match a { _ => ",
        "move || ",
        "&&",
        "'a: loop {",
        "vec![",
        "a;",
        "fn f() {",
        "f(a),",
        "a::",
        "Vec<",
        "let Some(",
        "x => {",
        "/*",
        "r#",
        "\"{{",
        "assert!(",
    ];
    for part in bodies {
        let text = format!(
            "struct X; impl Policy for X {{ fn enqueue(&mut self) {{ {} }} }} baton::main!(X);",
            fill(part)
        );
        let _ = (extract(&text), parse(&text, &[]));
        let whole = format!("const NAME: u8 = {}", fill(part));
        let _ = (extract(&whole), parse(&whole, &[]));
    }
}
