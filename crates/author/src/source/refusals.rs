//! Which paths are not for policies, and what to use instead.

use super::{model::Model, tokens};

/// Modules of `std` that hold nothing of the world outside.
const MODULES: &[&str] = &[
    "any",
    "array",
    "ascii",
    "borrow",
    "boxed",
    "cell",
    "char",
    "clone",
    "cmp",
    "collections",
    "convert",
    "default",
    "error",
    "fmt",
    "hash",
    "hint",
    "iter",
    "marker",
    "mem",
    "num",
    "ops",
    "option",
    "prelude",
    "rc",
    "result",
    "slice",
    "str",
    "string",
    "vec",
];
/// Primitive types have modules, too.
const PRIMITIVES: &[&str] = &[
    "bool", "f32", "f64", "i8", "i16", "i32", "i64", "i128", "isize", "u8", "u16", "u32", "u64",
    "u128", "usize",
];
const COLLECTIONS: &[&str] = &[
    "BTreeMap",
    "BTreeSet",
    "BinaryHeap",
    "VecDeque",
    "binary_heap",
    "btree_map",
    "btree_set",
    "vec_deque",
];
/// Crates that the compiler brings along.
pub(super) const ROOTS: &[&str] = &["std", "core", "alloc"];

/// A code, what it is, and a remedy.
pub(super) type Refusal = (&'static str, String, &'static str);

/// Why a path is not for policies.
pub(super) fn refusal(words: &[String], model: &Model) -> Option<Refusal> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["baton", module @ ("app" | "kernel"), ..] => Some((
            "forbidden-path",
            format!("`baton::{module}`"),
            "What a policy needs is in `baton::prelude` and in `baton` itself.",
        )),
        [root] if ROOTS.contains(&root) => None,
        [root, module, ref rest @ ..] if ROOTS.contains(&root) => std_refusal(root, module, rest),
        [name, ..] if !model.declares(name) => unordered(name).filter(|_| words.len() <= 2),
        _ => None,
    }
}

fn unordered(name: &str) -> Option<Refusal> {
    matches!(name, "HashMap" | "HashSet" | "RandomState" | "DefaultHasher").then(|| {
        (
            "hash-map",
            format!("`{name}`: its order differs from run to run"),
            "Keep what belongs to a task in `type Task`, `cx.state(task)`; else use a BTreeMap or BTreeSet.",
        )
    })
}

fn std_refusal(root: &str, module: &str, rest: &[&str]) -> Option<Refusal> {
    let last = rest.last().copied().unwrap_or(module);
    if let Some(refusal) = unordered(last).or_else(|| unordered(rest.first().copied()?)) {
        return Some(refusal);
    }
    let path = || format!("`{root}::{module}`");
    if let Some((code, _, help)) = tokens::forbidden(last).filter(|_| last != "line") {
        return Some((code, format!("`{root}::{last}`"), help));
    }
    let (code, help) = match module {
        "collections" => {
            let first = rest.first().copied().unwrap_or("*");
            let known = COLLECTIONS.contains(&first) || matches!(first, "*" | "self");
            return (!known).then(|| {
                let help = "BTreeMap, BTreeSet, BinaryHeap and VecDeque are there.";
                (
                    "forbidden-path",
                    format!("`{root}::collections::{first}`"),
                    help,
                )
            });
        }
        "hash" => {
            let known = matches!(
                rest.first(),
                None | Some(&("Hash" | "Hasher" | "*" | "BuildHasher"))
            );
            return (!known).then(|| {
                let help = "Order things by their keys; randomness comes from `cx.rng()`.";
                ("forbidden-path", format!("`{root}::hash::{last}`"), help)
            });
        }
        "io" | "fs" | "net" | "path" | "process" | "os" | "ffi" => (
            "io",
            "A policy knows what `Setup` and `Context` tell it; results go through `counts`.",
        ),
        "thread" | "sync" | "task" | "future" | "panic" => (
            "thread",
            "A policy is called on one thread and owns its state: make it a field.",
        ),
        "env" => (
            "environment",
            "Read parameters with `setup.param(\"name\", default)`.",
        ),
        "time" => (
            "clock",
            "The time is `cx.now_ns()`; durations are `u64`, as in `5 * MS`.",
        ),
        "random" => (
            "forbidden-path",
            "Randomness comes from `cx.rng()`, which has a seed.",
        ),
        "ptr" | "pin" => ("address", "Tasks are told apart by `TaskId`."),
        "*" => (
            "forbidden-path",
            "Name what is used: `use std::collections::BTreeMap;`.",
        ),
        _ if MODULES.contains(&module) || PRIMITIVES.contains(&module) => return None,
        // Macros and the like, which stand at the root.
        _ if tokens::MACROS.contains(&module) => return None,
        _ => (
            "forbidden-path",
            "Policies compute with what `Context` tells them.",
        ),
    };
    Some((code, path(), help))
}
