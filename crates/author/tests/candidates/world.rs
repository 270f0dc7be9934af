//~ parse
//! Wants more than a policy gets.

#![feature(test)] //~ attribute

extern crate alloc; //~ extern

use baton::prelude::*;

mod helper; //~ outside-file

macro_rules! ns { //~ macro
    ($ms:expr) => {
        $ms * 1_000_000
    };
}

static mut COUNT: u64 = 0; //~ global-state

#[derive(serde::Serialize)] //~ attribute
struct World;

impl Policy for World {
    const NAME: &'static str = "world";
    const SUMMARY: &'static str = "wants more than a policy gets";
    type Task = ();

    fn new(_: &Setup<'_>) -> Self {
        let _text = include_str!("table.txt"); //~ include
        let _home = option_env!("HOME"); //~ environment
        Self
    }

    fn enqueue(&mut self, cx: &mut Context<'_, ()>, task: TaskId, _: &Enqueue) {
        unsafe { COUNT += 1 }; //~ unsafe
        println!("enqueue {task:?}"); //~ output
        cx.ready(task, ns!(1)); //~ macro
    }
}

#[cfg(test)] //~ attribute
mod tests {}

baton::main!(World);
