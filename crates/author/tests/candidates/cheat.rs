//~ lint
//! Knows whom it is judged with.

use baton::prelude::*;

const LATENCY: &[u8] = b"latency"; //~ task-name-literal
const PACKED: u64 = 0x6c61_7465_6e63_7900; //~ task-name-literal

struct Cheat;

impl Policy for Cheat {
    const NAME: &'static str = "cheat";
    const SUMMARY: &'static str = "knows whom it is judged with";
    type Task = ();

    fn new(_: &Setup<'_>) -> Self {
        Self
    }

    fn enqueue(&mut self, cx: &mut Context<'_, ()>, task: TaskId, _: &Enqueue) {
        let info = cx.task(task).info;
        let name = info.name;
        let pid = cx.task(task).key.pid;
        let mut key = cx.now_ns();
        if name.as_bytes() == LATENCY { //~ task-name-read
            key = 0;
        }
        let packed = u64::from_be_bytes(first(&name));
        if packed == PACKED || is_benchmark(pid) {
            key = 1;
        }
        let shown = format!("{name}"); //~ task-name-read
        if shown.len() == 7 || matches!(pid, 1000..=2000) { //~ task-id-literal
            key = 2;
        }
        let spelt: String = [108u8, 97, 116, 101].iter().map(|byte| *byte as char).collect(); //~ task-name-literal
        if shown == spelt {
            key = 3;
        }
        cx.ready(task, key);
    }
}

fn first(name: &baton::TaskName) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&name.0[..8]); //~ task-name-read
    bytes
}

fn is_benchmark(pid: u32) -> bool {
    pid > 4_000 //~ task-id-literal
}

baton::main!(Cheat);
