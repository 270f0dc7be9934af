//! Compiles the relay and the recorder with clang, and a small C file that tells the layout of
//! `abi.h` to a test.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// Oldest clang whose BPF code the kernel's verifier takes.
const CLANG_MIN: u32 = 16;
/// Newest clang to look for by its versioned name.
const CLANG_MAX: u32 = 24;

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo"));
    let bpf = root.join("../../bpf");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo"));
    println!("cargo::rerun-if-changed={}", bpf.display());
    println!("cargo::rerun-if-changed=csrc");
    println!("cargo::rerun-if-env-changed=CLANG");

    let compiler = Compiler::find(&bpf, &out);
    compiler.compile("relay");
    compiler.compile("record");
    compiler.compile("record_relay");
    compiler.compile("infer");
    cc::Build::new()
        .file(root.join("csrc/layout.c"))
        .include(bpf.join("include"))
        .compile("baton_layout");
}

/// clang, with what it needs to know.
struct Compiler {
    clang: String,
    headers: PathBuf,
    bpf: PathBuf,
    out: PathBuf,
}

impl Compiler {
    fn find(bpf: &Path, out: &Path) -> Self {
        Self {
            clang: find_clang(),
            headers: libbpf_headers(out),
            bpf: bpf.into(),
            out: out.into(),
        }
    }

    /// Makes `NAME.bpf.o` of `NAME.bpf.c`.
    fn compile(&self, name: &str) {
        let arch = match env::var("CARGO_CFG_TARGET_ARCH").as_deref() {
            Ok("aarch64") => "arm64",
            _ => "x86",
        };
        let clang = &self.clang;
        let output = Command::new(clang)
            .args([
                "-g",
                "-O2",
                "-Wall",
                "-Werror",
                "-target",
                "bpf",
                "-mcpu=v3",
                "-D__BPF__",
            ])
            .arg(format!("-D__TARGET_ARCH_{arch}"))
            .arg("-I")
            .arg(&self.headers)
            .arg("-I")
            .arg(self.bpf.join("include"))
            .arg("-I")
            .arg(&self.bpf)
            .arg("-c")
            .arg(self.bpf.join(format!("{name}.bpf.c")))
            .arg("-o")
            .arg(self.out.join(format!("{name}.bpf.o")))
            .output();
        match output {
            Ok(output) if output.status.success() => {}
            Ok(output) => {
                panic!(
                    "{clang} cannot compile {name}.bpf.c:\n{}",
                    String::from_utf8_lossy(&output.stderr)
                )
            }
            Err(error) => panic!("cannot start {clang}: {error}"),
        }
    }
}

/// `libbpf-sys` tells where its headers lie, without the `bpf/` that includes say.
fn libbpf_headers(out: &Path) -> PathBuf {
    let include = env::var_os("DEP_BPF_INCLUDE").expect("libbpf-sys tells its headers");
    let include = PathBuf::from(include);
    if include.join("bpf/bpf_helpers.h").exists() {
        return include;
    }
    let headers = out.join("headers");
    let target = headers.join("bpf");
    std::fs::create_dir_all(&target).expect("the output directory can be written");
    for name in [
        "bpf_helpers.h",
        "bpf_helper_defs.h",
        "bpf_tracing.h",
        "bpf_core_read.h",
        "bpf_endian.h",
    ] {
        std::fs::copy(include.join(name), target.join(name)).expect("libbpf's headers can be read");
    }
    headers
}

fn find_clang() -> String {
    let named = env::var("CLANG").ok();
    let versioned = (CLANG_MIN..=CLANG_MAX)
        .rev()
        .map(|version| format!("clang-{version}"));
    named
        .into_iter()
        .chain(versioned)
        .chain(["clang".to_string()])
        .find(|clang| clang_version(clang).is_some_and(|version| version >= CLANG_MIN))
        .unwrap_or_else(|| {
            panic!(
                "no clang of version {CLANG_MIN} or later found: install one \
                 (Debian, Ubuntu: apt install clang-19; Fedora, Arch: package clang), \
                 or name it in the environment variable CLANG"
            )
        })
}

fn clang_version(clang: &str) -> Option<u32> {
    let output = Command::new(clang).arg("-dumpversion").output().ok()?;
    String::from_utf8(output.stdout)
        .ok()?
        .trim()
        .split('.')
        .next()?
        .parse()
        .ok()
}
