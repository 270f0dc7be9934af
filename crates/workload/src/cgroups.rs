//! Cgroups (version 2) of our own, removed at the end.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// A cgroup whose last process has just ended can be busy for a moment.
const REMOVE_TRIES: u32 = 100;
const REMOVE_PAUSE: Duration = Duration::from_millis(10);
/// The name of a child for one visit.
const BRIEF: &str = "brief";

/// A cgroup of our own with some children; removed at the end.
pub(crate) struct Cgroups {
    root: PathBuf,
    /// The cgroup that processes come from and return to.
    home: PathBuf,
    own: PathBuf,
    children: Vec<PathBuf>,
    weights: bool,
    /// Whether the controller was turned on here and must be turned off again.
    enabled_cpu: bool,
    removed: bool,
}

/// A child that lives for one visit.
pub(crate) struct Brief<'a> {
    cgroups: &'a Cgroups,
    path: PathBuf,
}

impl Cgroups {
    /// Makes the cgroup `baton-NAME-PID` with these children, or tells why there is none. `root` is
    /// where cgroup v2 is mounted, looked up if not given.
    pub(crate) fn create(
        root: Option<&Path>,
        name: &str,
        children: &[&str],
    ) -> Result<Self, String> {
        let root = match root {
            Some(root) => root.to_owned(),
            None => mounted().ok_or("no cgroup v2 is mounted; mount -t cgroup2 none DIR")?,
        };
        let own = root.join(format!("baton-{name}-{}", std::process::id()));
        fs::create_dir(&own)
            .map_err(|error| format!("cannot create {} ({error}); be root", own.display()))?;
        let mut cgroups = Self {
            home: home(&root),
            root,
            own,
            children: Vec::new(),
            weights: false,
            enabled_cpu: false,
            removed: false,
        };
        cgroups
            .fill(children)
            .map_err(|error| format!("cannot create children ({error})"))?;
        Ok(cgroups)
    }

    fn fill(&mut self, children: &[&str]) -> io::Result<()> {
        let control = self.root.join("cgroup.subtree_control");
        let has_cpu = |file: &Path| {
            let words = fs::read_to_string(file).unwrap_or_default();
            words.split_whitespace().any(|word| word == "cpu")
        };
        if has_cpu(&self.root.join("cgroup.controllers")) && !has_cpu(&control) {
            self.enabled_cpu = put(&control, "+cpu").is_ok();
        }
        self.weights = put(&self.own.join("cgroup.subtree_control"), "+cpu").is_ok();
        for child in children {
            let path = self.own.join(child);
            fs::create_dir(&path)?;
            self.children.push(path);
        }
        Ok(())
    }

    /// Whether the children have weights, which takes the cpu controller.
    pub(crate) fn has_weights(&self) -> bool {
        self.weights
    }

    /// Moves a process into a child, by the order of creation.
    pub(crate) fn enter(&self, child: usize, pid: i32) -> io::Result<()> {
        enter(&self.children[child], pid)
    }

    /// Moves a process to where it came from.
    pub(crate) fn send_home(&self, pid: i32) -> io::Result<()> {
        enter(&self.home, pid)
    }

    /// Sets a child's weight, 1 to 10000; 100 is the default.
    pub(crate) fn set_weight(&self, child: usize, weight: u32) -> io::Result<()> {
        put(
            &self.children[child].join("cpu.weight"),
            &weight.to_string(),
        )
    }

    /// The CPU time of all processes that are or were in a child, in nanoseconds.
    pub(crate) fn cpu_ns(&self, child: usize) -> io::Result<u64> {
        let text = fs::read_to_string(self.children[child].join("cpu.stat"))?;
        parse_usage(&text).ok_or_else(|| io::Error::other("cpu.stat has no usage_usec"))
    }

    /// Ends all processes in a child, also those that are just being forked, on kernels that can
    /// (Linux 5.14).
    pub(crate) fn kill(&self, child: usize) {
        // An older kernel has no such file; then killing one by one and `remove` have to do.
        let _ = put(&self.children[child].join("cgroup.kill"), "1");
    }

    /// Makes a further child that is removed at once or, if it cannot be, at the end.
    pub(crate) fn brief(&self) -> io::Result<Brief<'_>> {
        let path = self.own.join(BRIEF);
        fs::create_dir(&path)?;
        Ok(Brief {
            cgroups: self,
            path,
        })
    }

    /// Removes the cgroups; tells what a person must do if that fails.
    pub(crate) fn remove(mut self) -> Option<String> {
        self.tear_down()
    }

    fn tear_down(&mut self) -> Option<String> {
        if std::mem::replace(&mut self.removed, true) {
            return None;
        }
        let mut paths = std::mem::take(&mut self.children);
        let brief = self.own.join(BRIEF);
        if brief.exists() {
            paths.push(brief);
        }
        paths.push(self.own.clone());
        let failed = paths.iter().find_map(|path| {
            let error = self.remove_one(path).err()?;
            Some(format!(
                "{} is left ({error}); remove it with rmdir",
                path.display()
            ))
        });
        if self.enabled_cpu && put(&self.root.join("cgroup.subtree_control"), "-cpu").is_err() {
            return failed.or_else(|| {
                Some(format!(
                    "the cpu controller stays on in {}",
                    self.root.display()
                ))
            });
        }
        failed
    }

    /// Sends home whoever is still inside, and removes it.
    fn remove_one(&self, path: &Path) -> io::Result<()> {
        let mut tries = 0;
        loop {
            let inside = fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
            for pid in inside.lines().filter_map(|line| line.parse().ok()) {
                // It may end at this moment.
                let _ = enter(&self.home, pid);
            }
            match fs::remove_dir(path) {
                Err(error)
                    if tries < REMOVE_TRIES && error.kind() == io::ErrorKind::ResourceBusy =>
                {
                    tries += 1;
                    thread::sleep(REMOVE_PAUSE);
                }
                result => return result,
            }
        }
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        // `remove` has said what there is to say; this is for when it was not reached.
        self.tear_down();
    }
}

impl Brief<'_> {
    /// Moves a process in and out again.
    pub(crate) fn visit(&self, pid: i32) -> [io::Result<()>; 2] {
        [enter(&self.path, pid), self.cgroups.send_home(pid)]
    }
}

impl Drop for Brief<'_> {
    fn drop(&mut self) {
        // If that fails it is removed at the end.
        let _ = fs::remove_dir(&self.path);
    }
}

/// Moves a process.
fn enter(cgroup: &Path, pid: i32) -> io::Result<()> {
    put(&cgroup.join("cgroup.procs"), &pid.to_string())
}

/// Writes to one of the kernel's files, and makes none.
fn put(file: &Path, text: &str) -> io::Result<()> {
    let mut file = File::options().write(true).open(file)?;
    file.write_all(text.as_bytes())
}

/// Where cgroup v2 is mounted.
fn mounted() -> Option<PathBuf> {
    parse_mounts(&fs::read_to_string("/proc/self/mountinfo").ok()?)
}

/// The mount point, the fifth field, of the first line with the right file system after the dash.
fn parse_mounts(mounts: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let (fields, kind) = line.split_once(" - ")?;
        let point = fields.split(' ').nth(4)?;
        kind.starts_with("cgroup2 ").then(|| PathBuf::from(point))
    })
}

/// The field `usage_usec` of a cgroup's `cpu.stat`, in nanoseconds.
fn parse_usage(stat: &str) -> Option<u64> {
    let mut lines = stat.lines();
    let usage_us: u64 = lines.find_map(|line| line.strip_prefix("usage_usec ")?.parse().ok())?;
    Some(usage_us * 1000)
}

/// This process's own cgroup below the root, or the root if it is elsewhere.
fn home(root: &Path) -> PathBuf {
    let lines = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let path = lines.lines().find_map(|line| line.strip_prefix("0::/"));
    let home = root.join(path.unwrap_or(""));
    if home.join("cgroup.procs").exists() {
        home
    } else {
        root.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_mount() {
        let mounts = "\
31 28 0:27 / /sys/fs/cgroup rw,nosuid - tmpfs tmpfs rw
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw
42 31 0:39 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu
";
        assert_eq!(
            parse_mounts(mounts),
            Some(PathBuf::from("/sys/fs/cgroup/unified"))
        );
        assert_eq!(parse_mounts(""), None);
    }

    #[test]
    fn without_a_root_there_are_none() {
        let missing = Path::new("/nonexistent/cgroup");
        let made = Cgroups::create(Some(missing), "test", &[]);
        assert!(made.is_err_and(|reason| reason.contains("be root")));
    }

    #[test]
    fn reads_the_cpu_time() {
        let stat = "usage_usec 1234\nuser_usec 1000\nsystem_usec 234\n";
        assert_eq!(parse_usage(stat), Some(1_234_000));
        assert_eq!(parse_usage("user_usec 1000\n"), None);
    }

    #[test]
    fn makes_children_and_removes_everything() {
        // An ordinary directory has no controllers, else it does.
        let root = std::env::temp_dir().join(format!("baton-cgroups-{}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        let cgroups = Cgroups::create(Some(&root), "test", &["a", "b"]).unwrap();
        let own = root.join(format!("baton-test-{}", std::process::id()));
        assert!(own.join("a").is_dir() && own.join("b").is_dir());
        drop(cgroups.brief().unwrap());
        assert!(!own.join(BRIEF).exists() && !cgroups.has_weights());
        assert!(cgroups.cpu_ns(0).is_err());
        assert_eq!(cgroups.remove(), None);
        assert!(!own.exists());
        fs::remove_dir(&root).unwrap();
    }
}
