//! Each rule, with what it refuses and what it lets pass: parts of a small policy.

use baton_author::{
    Stage,
    source::{lint, parse},
};

/// A policy with these items and this body of `enqueue`.
fn policy(items: &str, body: &str) -> String {
    format!(
        "use baton::prelude::*;
{items}
struct X {{ queue: Vec<TaskId>, tree: std::collections::BTreeMap<u64, TaskId>, wait: std::collections::VecDeque<TaskId>, load: Vec<u64>, running: Vec<Option<TaskId>> }}
impl Policy for X {{
    const NAME: &'static str = \"x\";
    const SUMMARY: &'static str = \"an example\";
    type Task = Kept;
    fn new(setup: &Setup<'_>) -> Self {{ todo!() }}
    fn enqueue(&mut self, cx: &mut Context<'_, Kept>, task: TaskId, enqueue: &Enqueue) {{
{body}
    }}
    fn exit(&mut self, cx: &mut Context<'_, Kept>, task: TaskId) {{
        self.queue.pop(); self.tree.remove(&0); self.wait.pop_front();
    }}
}}
#[derive(Clone, Copy, Debug, Default)]
struct Kept {{ key: u64, since_ns: u64 }}
baton::main!(X);
"
    )
}

/// The codes of all mistakes.
fn codes(text: &str) -> Vec<String> {
    let (stage, mistakes) = match parse(text, &["fifo"]) {
        Ok(source) => (Stage::Lint, lint(&source)),
        Err(mistakes) => (Stage::Parse, mistakes),
    };
    for mistake in &mistakes {
        assert_eq!(mistake.stage, stage, "{mistake}");
        assert!(!mistake.message.is_empty());
    }
    let mut codes: Vec<String> = mistakes.into_iter().map(|mistake| mistake.code).collect();
    codes.dedup();
    codes
}

fn body(body: &str, expected: &[&str]) {
    assert_eq!(codes(&policy("", body)), expected, "{body}");
}

fn items(items: &str, expected: &[&str]) {
    assert_eq!(codes(&policy(items, "")), expected, "{items}");
}

fn both(items: &str, body: &str, expected: &[&str]) {
    assert_eq!(codes(&policy(items, body)), expected, "{items}\n{body}");
}

#[test]
fn macros() {
    body("assert!(task.index() < 10, \"bound {}\", 3);", &[]);
    body(
        "debug_assert_eq!(1, 1, \"{enqueue:?}\"); let v = vec![0u64; 4]; let w = vec![1, 2];",
        &[],
    );
    body(
        "if matches!(enqueue.reason, EnqueueReason::Wakeup | EnqueueReason::New if true) {}",
        &[],
    );
    body("if !(enqueue.sync) { return !(1 == 1); }", &[]);
    items("macro_rules! m { () => {} }", &["macro"]);
    body("m!(1);", &["macro"]);
    body("assert!(m!(1));", &["macro"]);
    body("baton::hidden!(1);", &["macro"]);
    body("other::vec![1];", &["macro"]);
    body("let t = include_str!(\"x\");", &["include"]);
    body("let t = std::include_bytes!(\"x\");", &["include"]);
    body("assert!(vec![include!(\"x\")].is_empty());", &["include"]);
    body("let t = env!(\"HOME\");", &["environment"]);
    body("let t = option_env!(\"HOME\");", &["environment"]);
    body("println!(\"x\");", &["output"]);
    body("dbg!(task);", &["output"]);
    body("core::arch::asm!(\"nop\");", &["assembly"]);
    items(
        "use core::include_str as vec;",
        &["include", "forbidden-path"],
    );
    items("use baton::TaskId as vec;", &["forbidden-path"]);
    body("assert!(let = 3);", &["macro"]);
}

#[test]
fn attributes() {
    items(
        "#[derive(Debug, Clone, Copy)] #[must_use] #[repr(u8)] enum E { A, B }",
        &[],
    );
    items("#[derive(Default)] enum E { #[default] A }", &[]);
    items(
        "/// Doc.\n#[doc = \"more\"] #[inline(always)] #[allow(clippy::all)] const fn f() {}",
        &[],
    );
    items(
        "#[rustfmt::skip] #[cold] #[expect(dead_code)] fn f() {}",
        &[],
    );
    items("#[cfg(test)] mod tests {}", &["attribute"]);
    items("#[test] fn f() {}", &["attribute"]);
    items("#[cfg_attr(all(), path = \"x\")] fn f() {}", &["attribute"]);
    body("if cfg!(debug_assertions) {}", &["attribute"]);
    items("#[derive(Serialize)] struct S;", &["attribute"]);
    items("#[derive(serde::Serialize)] struct S;", &["attribute"]);
    items("#[repr(C)] struct S;", &["attribute"]);
    items("#[no_mangle] fn f() {}", &["attribute"]);
    items(
        "#[doc = include_str!(\"x\")] fn f() {}",
        &["attribute", "include"],
    );
    items("#[path = \"x.rs\"] mod y;", &["outside-file"]);
    body("let v = vec![#[cfg(all())] 1];", &["attribute"]);
    assert_eq!(
        codes(&format!("#![no_std]\n{}", policy("", ""))),
        ["attribute"]
    );
    assert_eq!(
        codes(&format!("#![allow(dead_code)]\n{}", policy("", ""))),
        [""; 0]
    );
}

#[test]
fn what_candidates_cannot_contain() {
    items("mod inner { pub fn f() {} }", &[]);
    items("mod y;", &["outside-file"]);
    items("extern crate alloc;", &["extern"]);
    items("extern \"C\" { fn f(); }", &["extern"]);
    items("extern \"C\" fn f() {}", &["extern"]);
    items("type F = extern \"C\" fn();", &["extern"]);
    body("unsafe { f() }", &["unsafe"]);
    items("unsafe fn f() {}", &["unsafe"]);
    items("unsafe impl Send for X {}", &["unsafe"]);
    body("assert!(unsafe { f() });", &["unsafe"]);
    items("static TABLE: [u64; 2] = [1, 2]; const N: usize = 2;", &[]);
    items("fn f(x: &'static [u64]) {}", &[]);
    items("static mut N: u64 = 0;", &["global-state"]);
    items(
        "static N: std::sync::atomic::AtomicU64 = x();",
        &["global-state"],
    );
    items("static N: Mutex<u64> = x();", &["global-state"]);
    body("thread_local!(static N: u64 = 0);", &["global-state"]);
    items("fn f( {", &["syntax"]);
    items("fn f() { let x = ; }", &["syntax"]);
}

#[test]
fn entry() {
    let text = policy("", "");
    let with = |from: &str, to: &str| codes(&text.replace(from, to));
    assert_eq!(with("baton::main!(X)", "main!(X)"), [""; 0]);
    assert_eq!(with("baton::main!(X);", ""), ["no-main"]);
    assert_eq!(
        with("baton::main!(X);", "baton::main!(X); baton::main!(X);"),
        ["no-main"]
    );
    assert_eq!(with("baton::main!(X)", "baton::main!(X<u8>)"), ["no-main"]);
    assert_eq!(with("baton::main!(X)", "baton::main!(Y)"), ["no-policy"]);
    assert_eq!(with("\"x\"", "\"X\""), ["bad-name"]);
    assert_eq!(with("\"x\"", "\"fifo\""), ["bad-name"]);
    assert_eq!(with("\"x\"", "\"\""), ["bad-name"]);
    assert_eq!(with("\"x\"", "concat()"), ["bad-name"]);
    assert_eq!(with("\"an example\"", "\"two\\nlines\""), ["bad-name"]);
    body("baton::main!(X);", &["no-main"]);
    let long = format!("{text}// {}", "x".repeat(70_000));
    assert_eq!(codes(&long), ["too-large"]);
}

#[test]
fn depth() {
    for (open, close) in [
        ("(", ")"),
        ("!", ""),
        ("{", "}"),
        ("1 + ", ""),
        ("x.y().", "z()"),
        ("|a| ", ""),
    ] {
        for count in [20, 5_000] {
            let deep = format!(
                "let x = {}1{};",
                open.repeat(count),
                close.repeat(count.min(if close == "z()" { 1 } else { count }))
            );
            let found = codes(&policy("", &deep));
            if count > 20 {
                assert_eq!(found, ["too-deep"], "{open}");
            }
        }
        let most = format!("let x = {}1{};", open.repeat(1_900), close);
        let _ = codes(&policy("", &most));
    }
    let chain = format!("if a {{}} {}", "else if a {} ".repeat(1_500));
    body(&chain, &["too-deep"]);
}

#[test]
fn paths() {
    items(
        "use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque, btree_map::Entry};",
        &[],
    );
    items(
        "use std::{cmp::{self, Reverse}, fmt, mem, iter, ops::Bound};",
        &[],
    );
    items("use core::num::NonZeroU32; use std::collections::*;", &[]);
    items("use std::collections::HashMap;", &["hash-map"]);
    items(
        "use std::collections::{self as c, VecDeque}; type M = c::HashMap<u64, u64>;",
        &["hash-map"],
    );
    items(
        "use std::collections::*; struct M(HashMap<u64, u64>);",
        &["hash-map"],
    );
    items(
        "use std::collections::hash_map::Entry;",
        &["forbidden-path"],
    );
    items("use std::time::Instant;", &["clock"]);
    items("use std::{time as t};", &["clock"]);
    items("use std as s; fn f() { s::fs::read(1); }", &["io"]);
    items(
        "use std as s; use s as t; fn f() { self::t::fs::read(1); }",
        &["io"],
    );
    items("use std::*;", &["forbidden-path"]);
    body("let now = std::time::SystemTime::now();", &["clock"]);
    body("let now = <std::time::Instant>::now();", &["clock"]);
    body("assert!(std::thread::current().id() == x);", &["thread"]);
    body("let x = matches!(1, std::process::ID);", &["io"]);
    body("let t = std::env::var(x);", &["environment"]);
    body(
        "let n = core::sync::atomic::AtomicU64::new(0);",
        &["thread"],
    );
    body("let r = std::panic::catch_unwind(f);", &["thread"]);
    body("let r = core::intrinsics::abort();", &["forbidden-path"]);
    body("let r = alloc::alloc::alloc(l);", &["forbidden-path"]);
    body("baton::kernel::arena();", &["forbidden-path"]);
    body("let p = self as *const Self as usize;", &["address"]);
    body("let p = self.queue.as_ptr();", &["address"]);
    both("fn f() {}", "let p = f as usize;", &["address"]);
    both(
        "mod time { pub fn now() -> u64 { 0 } }",
        "time::now();",
        &[],
    );
    both("struct HashMap;", "let m = HashMap;", &[]);
    body(
        "let m = u64::MAX + std::u64::MAX + core::cmp::max(1, 2);",
        &[],
    );
}

#[test]
fn literals() {
    body("let x = self.queue.first().expect(\"it has one\");", &[]);
    items(
        "fn f(s: &Setup<'_>) -> u64 { s.param(\"slice_ms\", 3) }",
        &[],
    );
    items(
        "const SLICE: &str = \"slice_ms\"; fn f(s: &Setup<'_>) -> u64 { s.param(SLICE, 3) }",
        &[],
    );
    items(
        "fn f(s: &Setup<'_>) -> u64 { let get = |name, default: u64| s.param(name, default); get(\"a\", 1) }",
        &[],
    );
    items(
        "fn get(s: &Setup<'_>, name: &'static str) -> u64 { s.param(name, 1) } fn f(s: &Setup<'_>) -> u64 { get(s, \"a\") }",
        &[],
    );
    items(
        "impl X { fn tell(&self, tell: &mut dyn FnMut(&'static str, u64)) { tell(\"a\", 1); } }",
        &[],
    );
    items(
        "const W: [u64; 4] = [100, 110, 120, 122]; const N: u64 = 1_000_000_000; const H: u64 = 0x9e37_79b9_7f4a_7c15;",
        &[],
    );
    body("let a = \"bash\";", &["task-name-literal"]);
    body("let a = r#\"bash\"#;", &["task-name-literal"]);
    body("let a = b\"bash\";", &["task-name-literal"]);
    body("let a = c\"bash\";", &["task-name-literal"]);
    body("let a = 'b'; ", &["task-name-literal"]);
    body("let a = b'b';", &["task-name-literal"]);
    body("let a = 98 as char;", &["task-name-literal"]);
    body("let a = char::from(98);", &["task-name-literal"]);
    body("let a = std::char::from_u32(98);", &["task-name-literal"]);
    body("let a = [98, 97, 115, 104];", &["task-name-literal"]);
    body(
        "let a = [98u8, 97, 115, 104, 0, 0];",
        &["task-name-literal"],
    );
    body(
        "let a = u32::from_be_bytes(*b\"bash\");",
        &["task-name-literal"],
    );
    body("let a = 0x6261_7368;", &["task-name-literal"]);
    body("let a = 1650553704u32;", &["task-name-literal"]);
    body(
        "assert!(x == \"bash\", \"message\");",
        &["task-name-literal"],
    );
    body("assert!(matches!(x, b\"bash\"));", &["task-name-literal"]);
    body("let a = format!(\"{}\", \"bash\");", &["task-name-literal"]);
    items("const A: &str = \"bash\";", &["task-name-literal"]);
    items(
        "const A: &str = \"bash\"; fn f(s: &Setup<'_>) -> bool { s.param(A, 1); x == A }",
        &["task-name-literal"],
    );
    items(
        "impl Y { const A: &'static [u8] = b\"bash\"; }",
        &["task-name-literal"],
    );
}

#[test]
fn names() {
    body(
        "let same = cx.task(task).info.name == cx.task(task).info.name;",
        &[],
    );
    both(
        "use std::collections::BTreeMap;",
        "let name = cx.tasks().get(task).map(|t| t.info.name); let known = name.is_some_and(|n| n == cx.task(task).info.name);",
        &[],
    );
    body(
        "let a = cx.task(task).info.name.as_bytes();",
        &["task-name-read"],
    );
    body(
        "let n = cx.task(task).info.name; let a = n.as_bytes();",
        &["task-name-read"],
    );
    body(
        "let n = &cx.task(task).info.name; let a = n.0[0];",
        &["task-name-read"],
    );
    body(
        "let info = &cx.task(task).info; let t = format!(\"{}\", info.name);",
        &["task-name-read"],
    );
    body(
        "let name = cx.task(task).info.name; let t = format!(\"{name}\");",
        &["task-name-read"],
    );
    body(
        "let t = format!(\"{:?}\", cx.task(task));",
        &["task-name-read"],
    );
    body(
        "let t = cx.task(task).info.name.to_string();",
        &["task-name-read"],
    );
    body("let a = TaskName::as_bytes(&x);", &["task-name-read"]);
    body(
        "let same = cx.task(task).info.name == TaskName(x);",
        &["task-name-read"],
    );
    body(
        "let TaskName(bytes) = cx.task(task).info.name;",
        &["task-name-read"],
    );
    body(
        "let TaskInfo { name, .. } = cx.task(task).info; let a = name.as_bytes();",
        &["task-name-read"],
    );
    body(
        "cx.tasks().get(task).map(|t| t.info.name.as_bytes().len());",
        &["task-name-read"],
    );
    body(
        "std::hash::Hash::hash(&cx.task(task).info.name, &mut h);",
        &["task-name-read"],
    );
    items(
        "type N = baton::TaskName; fn f() { N::new(x); }",
        &["task-name-read"],
    );
    items("use baton::TaskName as N;", &["forbidden-path"]);
    items("impl std::hash::Hasher for X {}", &["task-name-read"]);
    both(
        "fn begins(n: &TaskName) -> u8 { n.as_bytes()[0] }",
        "begins(&cx.task(task).info.name);",
        &["task-name-read"],
    );
    both(
        "fn begins<T: Look>(n: T) -> u8 { n.look()[0] }",
        "begins(cx.task(task).info.name);",
        &["task-name-read"],
    );
    both(
        "impl X { fn name(&self, n: TaskName) -> [u8; 16] { n.0 } }",
        "",
        &["task-name-read"],
    );
    both(
        "struct Level { name: &'static str, rank: u32 } fn f(l: &Level) -> usize { l.name.len() }",
        "",
        &[],
    );
    body(
        "assert!(enqueue.seq > 0, \"{}\", cx.task(task).info.name);",
        &[],
    );
}

#[test]
fn ids() {
    body(
        "if enqueue.waker == 0 || cx.task(task).info.cgroup == 0 {}",
        &[],
    );
    body("let cpu = cx.task(task).key.pid % 2; if cpu == 1 {}", &[]);
    body("if cx.task(task).key.pid == enqueue.waker {}", &[]);
    body("if cx.task(task).key.pid == 1234 {}", &["task-id-literal"]);
    body(
        "let p = cx.task(task).key.pid; if 1234 == p {}",
        &["task-id-literal"],
    );
    body("if cx.task(task).info.tgid > 1000 {}", &["task-id-literal"]);
    body(
        "match cx.task(task).key.pid { 7 => {} _ => {} }",
        &["task-id-literal"],
    );
    body("if let 7 = cx.task(task).key.pid {}", &["task-id-literal"]);
    body(
        "if matches!(cx.task(task).info.cgroup, 10..=20) {}",
        &["task-id-literal"],
    );
    body(
        "if [1, 2].contains(&cx.task(task).key.pid) {}",
        &["task-id-literal"],
    );
    body(
        "if (3..9).contains(&cx.task(task).key.pid) {}",
        &["task-id-literal"],
    );
    body(
        "if cx.task(task).key.pid - 1234 == 0 {}",
        &["task-id-literal"],
    );
    body(
        "if cx.task(task).key.pid ^ 1234 == 0 {}",
        &["task-id-literal"],
    );
    body(
        "if cx.task(task).key.pid.abs_diff(1234) == 0 {}",
        &["task-id-literal"],
    );
    body(
        "if cx.task(task).key.pid.eq(&1234) {}",
        &["task-id-literal"],
    );
    body(
        "let k = TaskKey { pid: 1234, start_ns: 0 };",
        &["task-id-literal"],
    );
    body(
        "if let TaskKey { pid: 1234, .. } = cx.task(task).key {}",
        &["task-id-literal"],
    );
    body(
        "for p in [7, 8] { if cx.task(task).key.pid == p {} }",
        &["task-id-literal"],
    );
    both(
        "const P: [u32; 2] = [7, 8];",
        "P.iter().any(|p| *p == cx.task(task).key.pid);",
        &["task-id-literal"],
    );
    both(
        "const P: u32 = 7;",
        "if cx.task(task).key.pid == P {}",
        &["task-id-literal"],
    );
    both(
        "const P: u32 = 7;",
        "match cx.task(task).key.pid { P => {} _ => {} }",
        &["task-id-literal"],
    );
    both(
        "fn known(p: u32) -> bool { p == 1234 }",
        "known(cx.task(task).key.pid);",
        &["task-id-literal"],
    );
    both(
        "fn pid(cx: &Context<'_, Kept>, t: TaskId) -> u32 { cx.task(t).key.pid }",
        "if pid(cx, task) == 9 {}",
        &["task-id-literal"],
    );
    both(
        "struct O { owner: u32 } impl O { fn is(&self) -> bool { self.owner == 9 } }",
        "let o = O { owner: cx.task(task).key.pid };",
        &["task-id-literal"],
    );
    body("if cx.task(task).info.weight == 100 {}", &[]);
}

#[test]
fn loops_that_are_bounded() {
    body(
        "while let Some(id) = self.wait.pop_front() { cx.ready(id, 0); }",
        &[],
    );
    body(
        "while let Some(id) = self.queue.first() { let id = *id; self.queue.remove(0); }",
        &[],
    );
    body(
        "while let Some((key, id)) = self.tree.first_key_value() { self.tree.pop_first(); }",
        &[],
    );
    body("while !self.queue.is_empty() { self.queue.pop(); }", &[]);
    body(
        "loop { let Some(id) = self.wait.pop_front() else { break }; cx.ready(id, 0); }",
        &[],
    );
    body(
        "for cpu in cx.online().iter() { self.load[cpu as usize] += 1; }",
        &[],
    );
    body(
        "for cpu in &cx.machine().cpus {} for l in &mut self.load { *l = 0; } let b = self.load.iter().min();",
        &[],
    );
    body(
        "for i in 0..8 {} for cpu in 0..self.load.len() {} for slot in &self.running {}",
        &[],
    );
    body(
        "let best = self.running.iter().position(|r| r.is_none());",
        &[],
    );
    body(
        "let first = self.queue.iter().take(16).min(); let next = self.tree.values().next(); let r = self.tree.range(5..).next();",
        &[],
    );
    body("let mut i = 0; while i < 8 { i += 1; }", &[]);
    body(
        "let all = std::mem::take(&mut self.queue); for id in all { cx.ready(id, 0); }",
        &[],
    );
    body("for id in self.queue.drain(..) { cx.ready(id, 0); }", &[]);
    body(
        "let n = self.tree.len(); let has = self.tree.contains_key(&3); let t = cx.tasks().get(task);",
        &[],
    );
    both(
        "impl X { fn rare(&self) -> usize { self.queue.iter().count() } }",
        "",
        &[],
    );
    body(
        "if self.queue.len() < 64 { self.queue.push(task); } for id in &self.queue {}",
        &[],
    );
    body(
        "let x = loop { if enqueue.sync { break 3; } else { self.wait.pop_front(); } };",
        &[],
    );
}

#[test]
fn loops_without_a_bound() {
    let unbounded = &["unbounded-loop"];
    body(
        "let best = cx.tasks().iter().min_by_key(|(_, t)| t.state.key);",
        unbounded,
    );
    body(
        "let tasks = cx.tasks(); for (id, t) in tasks.iter() {}",
        unbounded,
    );
    body("for id in &self.queue {}", unbounded);
    body("for id in self.queue.iter() {}", unbounded);
    body(
        "for i in 0..self.queue.len() { let t = self.queue[i]; }",
        unbounded,
    );
    body("for i in (0..self.wait.len()).rev() {}", unbounded);
    body(
        "let at = self.queue.iter().position(|id| *id == task);",
        unbounded,
    );
    body("if self.queue.contains(&task) {}", unbounded);
    body("self.queue.retain(|id| *id != task);", unbounded);
    body("self.queue.sort_by_key(|id| id.index());", unbounded);
    body("let q = &mut self.queue; q.sort();", unbounded);
    body(
        "let Self { queue, .. } = self; for id in queue.iter() {}",
        unbounded,
    );
    body("let m = self.tree.values().max(); ", unbounded);
    body("let m = self.tree.range(..9).count();", unbounded);
    body(
        "let m = std::collections::BTreeMap::values(&self.tree).max();",
        unbounded,
    );
    body(
        "let v: Vec<TaskId> = Vec::from_iter(&self.queue);",
        unbounded,
    );
    body(
        "for id in self.queue.drain(..) { self.queue.push(id); }",
        unbounded,
    );
    body("loop {}", unbounded);
    body("while true {}", unbounded);
    body("while enqueue.sync { cx.ready(task, 0); }", unbounded);
    body("for i in 0.. { cx.ready(task, i); }", unbounded);
    body("for i in 0..1_000_000 {}", unbounded);
    both(
        "impl X { fn best(&self) -> Option<&TaskId> { self.queue.iter().max() } }",
        "self.best();",
        unbounded,
    );
    both(
        "impl X { fn best(&self) -> Option<&TaskId> { self.queue.iter().max() } }",
        "Self::best(self);",
        unbounded,
    );
    both(
        "fn best(queue: &[TaskId]) -> Option<&TaskId> { queue.iter().max() }",
        "best(&self.queue);",
        unbounded,
    );
    both(
        "struct Q { waiting: Vec<Entry> } struct Entry { key: u64, task: TaskId } impl Q { fn best(&self) -> Option<&Entry> { self.waiting.iter().min_by_key(|e| e.key) } } struct Y { q: Q } impl Y { fn f(&self) { self.q.best(); } }",
        "y.f();",
        unbounded,
    );
    both(
        "type List = Vec<(u64, TaskId)>; struct Q { waiting: List }",
        "fn inner(q: &Q) { for e in &q.waiting {} } inner(&q);",
        unbounded,
    );
    body(
        "let f = |x: &Self| x.queue.iter().count(); f(self);",
        unbounded,
    );
    body(
        "let all: Vec<u64> = (0..4).map(|i| self.queue.iter().count() as u64).collect();",
        unbounded,
    );
    body(
        "assert!(self.queue.iter().all(|id| *id != task));",
        unbounded,
    );
}

#[test]
fn recursion_and_panics() {
    both(
        "fn f(n: u64) -> u64 { if n == 0 { 0 } else { f(n - 1) } }",
        "f(3);",
        &["recursion"],
    );
    both(
        "fn f(n: u64) { g(n) } fn g(n: u64) { f(n) }",
        "f(3);",
        &["recursion"],
    );
    both(
        "impl X { fn f(&mut self) { Self::g(self) } fn g(&mut self) { self.f() } }",
        "self.f();",
        &["recursion"],
    );
    both("fn f(n: u64) -> u64 { f(n) }", "", &[]);
    body("panic!(\"no\");", &["panics"]);
    body(
        "let x = self.queue.pop().unwrap_or_else(|| todo!());",
        &["panics"],
    );
    both("fn f() { unimplemented!() }", "f();", &["panics"]);
    body(
        "let x = self.queue.pop().unwrap(); unreachable!(\"never\");",
        &[],
    );
}

#[test]
fn memory() {
    let grows = "struct M { seen: std::collections::BTreeMap<TaskKey, u64> } impl M { fn note(&mut self, k: TaskKey) { self.seen.insert(k, 1); } }";
    items(grows, &["unbounded-memory"]);
    items(
        &format!("{grows} impl M {{ fn gone(&mut self, k: TaskKey) {{ self.seen.remove(&k); }} }}"),
        &[],
    );
    items(&grows.replace("TaskKey", "TaskName"), &["unbounded-memory"]);
    items(
        &grows.replace(".insert(k, 1)", ".entry(k).or_default()"),
        &["unbounded-memory"],
    );
    both(
        "struct M { seen: std::collections::BTreeMap<u32, u64> }",
        "let mut m: M = x; m.seen.insert(cx.task(task).key.pid, 1);",
        &["unbounded-memory"],
    );
    both(
        "struct M { seen: std::collections::BTreeMap<u32, u64> }",
        "let mut m: M = x; m.seen.insert(enqueue.cpu, 1);",
        &[],
    );
    items(
        "struct M { log: Vec<u64> } impl M { fn note(&mut self) { self.log.push(1); } }",
        &[],
    );
    items(
        "struct M { log: Vec<TaskId> } impl M { fn note(&mut self, t: TaskId) { let log = &mut self.log; log.push(t); } }",
        &[],
    );
}

#[test]
fn truth() {
    body("let will = enqueue.truth_ns;", &["truth"]);
    body("let Enqueue { truth_ns, .. } = enqueue;", &["truth"]);
    body("assert!(enqueue.truth_ns.is_none());", &["truth"]);
    items("const P: Predictor = Predictor::Truth;", &["truth"]);
    items("enum By { Truth } const B: By = By::Truth;", &[]);
}
