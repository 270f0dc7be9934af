//! The inner stages of sandboxes, for tests: their own `main` is not theirs.

fn main() {
    baton_sandbox::run_if_child();
    eprintln!("this is for tests: it runs as a part of them");
}
