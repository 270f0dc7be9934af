//! The tree of files that goes into the guest.

use std::{
    collections::BTreeMap,
    fs::File,
    io::Write,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use super::{
    cpio,
    elf::{self, Kind},
    path::{MERGED, find_in_path, guest_name},
};
use crate::Error;

/// Directories in a packed directory nest less deeply than this.
const MAX_DEPTH: u32 = 64;
/// Interpreters of interpreters end somewhere.
const MAX_INTERPRETERS: u32 = 4;

enum Node {
    Dir { mode: u32 },
    Bytes { mode: u32, content: Vec<u8> },
    Host { mode: u32, path: PathBuf },
    Link { target: String },
    CharDevice { major: u32, minor: u32 },
}

/// Files by their path in the guest, without the leading slash. Sorted, so that a directory comes
/// before what is in it.
pub(crate) struct Tree {
    nodes: BTreeMap<PathBuf, Node>,
}

impl Tree {
    /// An empty root, with the directories and devices that init needs.
    pub(crate) fn new() -> Self {
        let mut tree = Self {
            nodes: BTreeMap::new(),
        };
        for dir in [
            "dev",
            "etc",
            "proc",
            "run",
            "sys",
            "usr/bin",
            "usr/lib",
            "usr/lib64",
            "var",
        ] {
            tree.dir(Path::new(dir));
        }
        tree.insert("tmp".into(), Node::Dir { mode: 0o1777 });
        tree.insert("root".into(), Node::Dir { mode: 0o700 });
        for (old, new) in MERGED {
            let target = if old.contains('/') { "bin" } else { new };
            tree.link(old, target);
        }
        // Init's own messages go to the console, before there is a devtmpfs.
        tree.insert(
            "dev/console".into(),
            Node::CharDevice { major: 5, minor: 1 },
        );
        tree
    }

    pub(crate) fn bytes(&mut self, guest: &str, content: Vec<u8>) {
        self.insert(
            guest_name(Path::new(guest)),
            Node::Bytes {
                mode: 0o644,
                content,
            },
        );
    }

    /// The few files of /etc that C libraries ask for, and the loader's cache: it knows directories
    /// that no run path names.
    pub(crate) fn pack_config_files(&mut self) {
        self.bytes("/etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n".to_vec());
        self.bytes("/etc/group", b"root:x:0:\n".to_vec());
        self.bytes("/etc/hosts", b"127.0.0.1 localhost baton\n".to_vec());
        self.bytes(
            "/etc/nsswitch.conf",
            b"passwd: files\ngroup: files\nhosts: files\n".to_vec(),
        );
        if let Ok(cache) = std::fs::read("/etc/ld.so.cache") {
            self.bytes("/etc/ld.so.cache", cache);
        }
    }

    /// A link at `guest`, taken literally; what is there already stays.
    pub(crate) fn link(&mut self, guest: &str, target: &str) {
        if !self.nodes.contains_key(Path::new(guest)) {
            self.insert(
                guest.into(),
                Node::Link {
                    target: target.into(),
                },
            );
        }
    }

    pub(crate) fn has(&self, guest: &Path) -> bool {
        self.nodes.contains_key(&guest_name(guest))
    }

    /// Makes a directory and those above it.
    pub(crate) fn dir(&mut self, guest: &Path) {
        let name = guest_name(guest);
        if !name.as_os_str().is_empty() && !self.nodes.contains_key(&name) {
            self.insert(name, Node::Dir { mode: 0o755 });
        }
    }

    /// Packs a file or directory of the host at `guest`, and whatever programs in it need to run.
    pub(crate) fn pack(&mut self, host: &Path, guest: &Path) -> Result<(), Error> {
        let data = host.metadata().map_err(pack_error(host))?;
        if data.is_dir() {
            self.pack_dir(host, guest, 0)
        } else {
            self.pack_program(host, guest, 0)
        }
    }

    /// Packs a program at the path that it has on the host.
    pub(crate) fn pack_here(&mut self, host: &Path) -> Result<(), Error> {
        self.pack(host, host)
    }

    fn pack_dir(&mut self, host: &Path, guest: &Path, depth: u32) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(pack_error(host)(std::io::Error::other(
                "directories nest too deeply",
            )));
        }
        self.dir(guest);
        let mut entries = std::fs::read_dir(host)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(pack_error(host))?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let (path, guest) = (entry.path(), guest.join(entry.file_name()));
            let Ok(data) = path.metadata() else { continue }; // a dangling link
            if data.is_dir() && path.is_symlink() {
                // Kept as it is: to follow it may lead in circles.
                let target = std::fs::read_link(&path).map_err(pack_error(&path))?;
                self.link(
                    &guest_name(&guest).to_string_lossy(),
                    &target.to_string_lossy(),
                );
            } else if data.is_dir() {
                self.pack_dir(&path, &guest, depth + 1)?;
            } else if data.is_file() {
                // In a directory, files of other systems may lie about: their libraries are not missed.
                match self.pack_program(&path, &guest, 0) {
                    Err(Error::Library { .. }) => self.pack_file(&path, &guest)?,
                    other => other?,
                }
            }
        }
        Ok(())
    }

    /// Packs a file, with its interpreter and libraries if it is a program.
    fn pack_program(&mut self, host: &Path, guest: &Path, depth: u32) -> Result<(), Error> {
        if self.has(guest) && guest_name(host) == guest_name(guest) {
            return Ok(());
        }
        self.pack_file(host, guest)?;
        match elf::kind(host).map_err(pack_error(host))? {
            Kind::Dynamic { interpreter } => self.pack_libraries(host, &interpreter),
            Kind::Library => match own_interpreter() {
                Some(interpreter) => self.pack_libraries(host, &interpreter),
                None => Ok(()),
            },
            Kind::Script { words } if depth < MAX_INTERPRETERS => {
                // `env` is followed by the interpreter's name, perhaps after options.
                for word in words.iter().filter(|word| !word.starts_with('-')).take(2) {
                    if let Some(program) = find_in_path(word) {
                        self.pack_program(&program, &program, depth + 1)?;
                    }
                }
                Ok(())
            }
            Kind::Script { .. } | Kind::Plain => Ok(()),
        }
    }

    fn pack_libraries(&mut self, binary: &Path, interpreter: &Path) -> Result<(), Error> {
        for library in elf::libraries(binary, interpreter)? {
            if !self.has(&library) {
                self.pack_file(&library, &library)?;
            }
        }
        Ok(())
    }

    fn pack_file(&mut self, host: &Path, guest: &Path) -> Result<(), Error> {
        let data = host.metadata().map_err(pack_error(host))?;
        if !data.is_file() {
            let problem = std::io::Error::other("it is neither a file nor a directory");
            return Err(pack_error(host)(problem));
        }
        // Set-user-id means nothing in a guest where all is root's.
        let mode = data.permissions().mode() & 0o777;
        self.insert(
            guest_name(guest),
            Node::Host {
                mode,
                path: host.into(),
            },
        );
        Ok(())
    }

    fn insert(&mut self, name: PathBuf, node: Node) {
        if let Some(parent) = name.parent() {
            self.dir(parent);
        }
        self.nodes.insert(name, node);
    }

    /// Writes the archive and returns its size in bytes.
    pub(crate) fn write(&self, out: impl Write) -> Result<u64, Error> {
        let mut writer = cpio::Writer::new(std::io::BufWriter::with_capacity(1 << 18, out));
        for (name, node) in &self.nodes {
            let text = name.to_string_lossy();
            match node {
                Node::Dir { mode } => writer.dir(&text, *mode),
                Node::Bytes { mode, content } => {
                    writer.file(&text, *mode, content.len() as u64, &mut content.as_slice())
                }
                Node::Host { mode, path } => File::open(path).and_then(|mut file| {
                    let size = file.metadata()?.len();
                    writer.file(&text, *mode, size, &mut file)
                }),
                Node::Link { target } => writer.link(&text, target),
                Node::CharDevice { major, minor } => writer.char_device(&text, *major, *minor),
            }
            .map_err(|source| match node {
                Node::Host { path, .. } => pack_error(path)(source),
                _ => Error::Host {
                    what: "writing the initramfs",
                    source,
                },
            })?;
        }
        writer
            .finish()
            .map_err(Error::host("writing the initramfs"))
    }
}

fn pack_error(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Pack { path, source }
}

/// The loader of this very program: libraries name none.
fn own_interpreter() -> Option<PathBuf> {
    match elf::kind(Path::new("/proc/self/exe")).ok()? {
        Kind::Dynamic { interpreter } => Some(interpreter),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(tree: &Tree) -> Vec<String> {
        tree.nodes
            .keys()
            .map(|name| name.display().to_string())
            .collect()
    }

    #[test]
    fn a_program_brings_its_libraries_once() {
        let mut tree = Tree::new();
        tree.pack_here(Path::new("/bin/ls")).unwrap();
        let names = names(&tree);
        assert!(names.contains(&"usr/bin/ls".into()));
        assert!(
            names.iter().any(|name| name.ends_with("/libc.so.6")),
            "{names:?}"
        );
        assert!(
            names.iter().all(|name| !name.starts_with("lib/")),
            "{names:?}"
        );
        let mut bytes = Vec::new();
        let size = tree.write(&mut bytes).unwrap();
        assert_eq!(size as usize, bytes.len());
    }

    #[test]
    fn directories_scripts_and_parents() {
        let dir = tempfile::TempDir::new().unwrap();
        std::fs::create_dir(dir.path().join("a")).unwrap();
        std::fs::write(dir.path().join("a/run"), "#!/bin/sh\n").unwrap();
        std::os::unix::fs::symlink("nowhere", dir.path().join("a/dangling")).unwrap();
        std::os::unix::fs::symlink("..", dir.path().join("a/up")).unwrap();
        let mut tree = Tree::new();
        tree.pack(dir.path(), Path::new("/opt/x")).unwrap();
        let names = names(&tree);
        for name in [
            "opt",
            "opt/x",
            "opt/x/a",
            "opt/x/a/run",
            "opt/x/a/up",
            "usr/bin/sh",
        ] {
            assert!(names.contains(&name.into()), "{name} not in {names:?}");
        }
        assert!(!names.contains(&"opt/x/a/dangling".into()));
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Tree::new()
            .pack_here(Path::new("/no/such"))
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("cannot pack /no/such: "), "{error}");
    }
}
