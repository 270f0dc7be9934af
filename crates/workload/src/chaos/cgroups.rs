//! Moves victims between cgroups and changes the cgroups' weights.

use super::Scene;
use super::tally::Disturbance;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// The cgroups below our own one.
const CHILDREN: usize = 4;
/// The default, which is also the witnesses' own: above it they would wait by right.
const WEIGHT_MAX: u32 = 100;
/// A cgroup whose last process has just ended can be busy for a moment.
const REMOVE_TRIES: u32 = 100;
const REMOVE_PAUSE: Duration = Duration::from_millis(10);

/// A cgroup of our own with some children; removed at the end.
pub(super) struct Cgroups {
    root: PathBuf,
    /// The cgroup that victims come from and return to.
    home: PathBuf,
    own: PathBuf,
    children: Vec<PathBuf>,
    weights: bool,
    /// Whether the controller was turned on here and must be turned off again.
    enabled_cpu: bool,
    removed: bool,
    /// What is missing.
    pub(super) note: Option<String>,
}

impl Cgroups {
    /// Makes the cgroups, or tells why there are none.
    pub(super) fn create(root: Option<&Path>) -> Result<Self, String> {
        let root = match root {
            Some(root) => root.to_owned(),
            None => mounted().ok_or("no cgroup v2 is mounted; mount -t cgroup2 none DIR")?,
        };
        let own = root.join(format!("baton-chaos-{}", std::process::id()));
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
            note: None,
        };
        cgroups
            .fill()
            .map_err(|error| format!("cannot create children ({error})"))?;
        Ok(cgroups)
    }

    fn fill(&mut self) -> io::Result<()> {
        let control = self.root.join("cgroup.subtree_control");
        let has_cpu = |file: &Path| {
            let words = fs::read_to_string(file).unwrap_or_default();
            words.split_whitespace().any(|word| word == "cpu")
        };
        if has_cpu(&self.root.join("cgroup.controllers")) && !has_cpu(&control) {
            self.enabled_cpu = fs::write(&control, "+cpu").is_ok();
        }
        self.weights = fs::write(self.own.join("cgroup.subtree_control"), "+cpu").is_ok();
        if !self.weights {
            self.note = Some("no cgroup weights: the cpu controller is not to be had".to_owned());
        }
        for child in 0..CHILDREN {
            let path = self.own.join(format!("{child}"));
            fs::create_dir(&path)?;
            self.children.push(path);
        }
        Ok(())
    }

    /// Moves victims and changes weights, until calm.
    pub(super) fn shuffle(&mut self, scene: &Scene<'_>, pids: &[i32]) {
        let mut random = scene.random(6);
        let count = |disturbance, result| scene.tallies.count(disturbance, &result);
        while !scene.is_calm() {
            let victim = pids[random.usize(..pids.len())];
            let child = random.usize(..CHILDREN);
            match random.u8(..8) {
                0..4 => count(
                    Disturbance::CgroupMove,
                    enter(&self.children[child], victim),
                ),
                4 => count(Disturbance::CgroupMove, enter(&self.home, victim)),
                5 => {
                    // A cgroup that lives for one visit.
                    let brief = self.own.join("brief");
                    count(Disturbance::CgroupCreate, fs::create_dir(&brief));
                    count(Disturbance::CgroupMove, enter(&brief, victim));
                    count(Disturbance::CgroupMove, enter(&self.home, victim));
                    // If that fails it is removed at the end.
                    let _ = fs::remove_dir(&brief);
                }
                _ if self.weights => {
                    let weight = random.u32(1..=WEIGHT_MAX);
                    let file = self.children[child].join("cpu.weight");
                    count(
                        Disturbance::CgroupWeight,
                        fs::write(file, weight.to_string()),
                    );
                }
                _ => {}
            }
            scene.pause(Duration::from_micros(random.u64(1000..15_000)));
        }
    }

    /// Removes the cgroups; tells what a person must do if that fails.
    pub(super) fn remove(mut self) -> Option<String> {
        self.tear_down()
    }

    fn tear_down(&mut self) -> Option<String> {
        if std::mem::replace(&mut self.removed, true) {
            return None;
        }
        let mut paths = std::mem::take(&mut self.children);
        let brief = self.own.join("brief");
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
        if self.enabled_cpu && fs::write(self.root.join("cgroup.subtree_control"), "-cpu").is_err()
        {
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

/// Moves a process.
fn enter(cgroup: &Path, pid: i32) -> io::Result<()> {
    fs::write(cgroup.join("cgroup.procs"), pid.to_string())
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
        assert!(Cgroups::create(Some(missing)).is_err_and(|reason| reason.contains("be root")));
    }
}
