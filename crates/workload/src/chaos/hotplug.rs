//! Takes CPUs offline and brings them back.

use super::Scene;
use super::tally::Disturbance;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The CPUs that may go. Never CPU 0: some machines cannot go on without it.
pub(super) struct Hotplug {
    root: PathBuf,
    cpus: Vec<usize>,
    offline: Vec<usize>,
}

impl Hotplug {
    /// Finds the CPUs that are online and can be taken offline, or tells why there are none.
    pub(super) fn find(root: &Path) -> Result<Self, String> {
        let entries = fs::read_dir(root)
            .map_err(|error| format!("cannot list {} ({error})", root.display()))?;
        let mut cpus: Vec<usize> = entries
            .flatten()
            .filter_map(|entry| {
                entry
                    .file_name()
                    .to_str()?
                    .strip_prefix("cpu")?
                    .parse()
                    .ok()
            })
            .filter(|&cpu| cpu != 0)
            .filter(|&cpu| {
                let state = fs::read_to_string(online_file(root, cpu));
                state.is_ok_and(|state| state.trim() == "1")
            })
            .collect();
        cpus.sort_unstable();
        if cpus.is_empty() {
            return Err(format!("no CPU in {} can be taken offline", root.display()));
        }
        Ok(Self {
            root: root.to_owned(),
            cpus,
            offline: Vec::new(),
        })
    }

    /// Takes random CPUs offline and brings them back, until calm.
    pub(super) fn toggle(&mut self, scene: &Scene<'_>) {
        let mut random = scene.random(5);
        while !scene.is_calm() {
            let cpu = self.cpus[random.usize(..self.cpus.len())];
            let (online, disturbance) = match self.offline.contains(&cpu) {
                true => (true, Disturbance::CpuOnline),
                false => (false, Disturbance::CpuOffline),
            };
            scene.tallies.count(disturbance, &self.set(cpu, online));
            scene.pause(Duration::from_millis(random.u64(50..500)));
        }
        for cpu in self.offline.clone() {
            scene
                .tallies
                .count(Disturbance::CpuOnline, &self.set(cpu, true));
        }
    }

    /// Brings all CPUs back; tells what a person must do if that fails.
    pub(super) fn restore(mut self) -> Option<String> {
        self.bring_back()
    }

    fn bring_back(&mut self) -> Option<String> {
        for cpu in self.offline.clone() {
            // Who is not back then is in the note.
            let _ = self.set(cpu, true);
        }
        let (first, root) = (self.offline.first()?, self.root.display());
        Some(format!(
            "CPU {first} is still offline; write 1 to {root}/cpu{first}/online"
        ))
    }

    fn set(&mut self, cpu: usize, online: bool) -> io::Result<()> {
        if !online {
            // First, so that a stop between the two cannot forget it.
            self.offline.push(cpu);
        }
        let written = fs::write(online_file(&self.root, cpu), if online { "1" } else { "0" });
        if online == written.is_ok() {
            self.offline.retain(|&other| other != cpu);
        }
        written
    }
}

impl Drop for Hotplug {
    fn drop(&mut self) {
        // `restore` has said what there is to say; this is for when it was not reached.
        self.bring_back();
    }
}

fn online_file(root: &Path, cpu: usize) -> PathBuf {
    root.join(format!("cpu{cpu}/online"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory that looks like the kernel's, with the given CPUs' states.
    fn cpu_root(name: &str, cpus: &[(usize, &str)]) -> PathBuf {
        let root = std::env::temp_dir().join(format!("baton-{name}-{}", std::process::id()));
        for (cpu, state) in cpus {
            fs::create_dir_all(root.join(format!("cpu{cpu}"))).unwrap();
            fs::write(online_file(&root, *cpu), state).unwrap();
        }
        root
    }

    #[test]
    fn never_cpu_0_and_all_come_back() {
        let root = cpu_root(
            "hotplug",
            &[(0, "1\n"), (1, "1\n"), (2, "0\n"), (10, "1\n")],
        );
        let state = |cpu| fs::read_to_string(online_file(&root, cpu)).unwrap();
        let mut hotplug = Hotplug::find(&root).unwrap();
        assert_eq!(hotplug.cpus, [1, 10]);
        hotplug.set(1, false).unwrap();
        hotplug.set(10, false).unwrap();
        hotplug.set(10, true).unwrap();
        assert_eq!(
            (state(1).as_str(), hotplug.offline.as_slice()),
            ("0", &[1][..])
        );
        drop(hotplug);
        assert_eq!((state(1).as_str(), state(2).as_str()), ("1", "0\n"));
        fs::remove_dir_all(&root).unwrap();
        assert!(Hotplug::find(&root).is_err());
    }
}
