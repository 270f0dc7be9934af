//! Benchmarks that no author sees: the same questions asked otherwise, on another machine too, drawn from a
//! secret. A candidate that learned the shown ones by heart gains nothing here.

use std::{
    fs,
    io::{ErrorKind, Write as _},
    path::Path,
};

use baton_machine::MachineFile;

use crate::{Error, benchmark::Benchmark, error::file};

/// The secret's file in the workspace, its owner's alone.
const FILE: &str = "hidden.seed";
/// Small machines on which the default workloads load all CPUs.
const MACHINES: &[&str] = &["2-cpu", "4-cpu-smt", "laptop-hybrid"];

/// The secret of a workspace.
#[derive(Clone, Copy)]
pub struct Hidden {
    seed: u64,
}

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hidden")
    }
}

impl Hidden {
    /// With this secret.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The workspace's secret, drawn when it is first asked for.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn of(workspace: &Path) -> Result<Self, Error> {
        let path = workspace.join(FILE);
        if !path.exists() {
            let drawn = fastrand::Rng::new().u64(..);
            // Whole or not at all; such a file is its owner's alone.
            let mut made =
                tempfile::NamedTempFile::new_in(workspace).map_err(file("write", &path))?;
            write!(made, "{drawn:016x}").map_err(file("write", &path))?;
            if let Err(error) = made.persist_noclobber(&path)
                && error.error.kind() != ErrorKind::AlreadyExists
            {
                return Err(file("write", &path)(error.error));
            }
        }
        let text = fs::read_to_string(&path).map_err(file("read", &path))?;
        let seed = u64::from_str_radix(text.trim(), 16).map_err(|_| {
            let problem =
                "it is no number of 16 digits; take the file away, and a new one is drawn";
            file("read", &path)(std::io::Error::new(ErrorKind::InvalidData, problem))
        })?;
        Ok(Self::new(seed))
    }

    /// The shown benchmark, asked otherwise: the same kinds of workloads with other numbers, once on the same
    /// machine and once on another one.
    #[must_use]
    pub fn benchmarks(&self, shown: &Benchmark) -> [Benchmark; 2] {
        let mut random = fastrand::Rng::with_seed(self.seed);
        let mut others = MACHINES.to_vec();
        others.retain(|machine| *machine != shown.machine);
        let other = others[random.usize(..others.len())].to_owned();
        [shown.machine.clone(), other].map(|machine| Benchmark {
            workloads: shown
                .workloads
                .iter()
                .map(|workload| varied(workload, cpus(&machine), &mut random))
                .collect(),
            machine,
            runs: shown.runs,
            seed: random.u64(..),
        })
    }
}

/// How many CPUs it has, as many as are loaded at most.
fn cpus(machine: &str) -> u32 {
    let file = MachineFile::find(machine);
    file.map_or(2, |file| file.cpu_count()).clamp(1, 64)
}

/// The workload with other numbers, that so many CPUs have their work with.
fn varied(workload: &str, cpus: u32, random: &mut fastrand::Rng) -> String {
    let parts = workload.split('+').map(|part| {
        let kind = part.split(':').next().unwrap_or(part);
        let mut number = |from: u32, to: u32| random.u32(from..=to);
        match kind {
            "frames" => format!(
                "frames:fps={},seconds=2,load=0.{}",
                number(40, 100),
                number(25, 60)
            ),
            "hogs" => format!("hogs:count={}", number(cpus, cpus * 2)),
            "pipe" => format!("pipe:rounds={}", number(800, 2500)),
            "messaging" => format!(
                "messaging:groups={},fan={},loops={}",
                number(1, 3),
                number(6, 24),
                number(10, 30)
            ),
            "requests" => format!(
                "requests:work_us={},workers={},seconds=2",
                number(200, 900),
                number(3, 8)
            ),
            "build" => format!(
                "build:units={},unit_ms={},jobs={}",
                number(40, 80),
                number(20, 90),
                number(cpus + 1, cpus * 3)
            ),
            // Other seeds and names of tasks are something, too.
            _ => part.to_owned(),
        }
    });
    parts.collect::<Vec<_>>().join("+")
}

#[cfg(test)]
mod tests {
    use baton_workload::Workload;

    use super::*;

    #[test]
    fn every_workload_that_is_drawn_can_be_run() {
        let shown = Benchmark {
            workloads: [
                "frames+hogs",
                "pipe:rounds=9+hogs",
                "requests",
                "messaging",
                "build",
                "game",
            ]
            .map(str::to_owned)
            .to_vec(),
            machine: "2-cpu".to_owned(),
            runs: 10,
            seed: 1,
        };
        for secret in 0..200 {
            let drawn = Hidden::new(secret).benchmarks(&shown);
            assert_eq!(drawn, Hidden::new(secret).benchmarks(&shown));
            assert_eq!(drawn[0].machine, "2-cpu");
            assert_ne!(drawn[1].machine, "2-cpu");
            for workload in drawn.iter().flat_map(|drawn| &drawn.workloads) {
                assert!(workload.parse::<Workload>().is_ok(), "{workload}");
            }
        }
    }

    #[test]
    fn a_workspace_keeps_its_secret_to_its_owner() {
        use std::os::unix::fs::PermissionsExt as _;

        let workspace = tempfile::tempdir().unwrap();
        let first = Hidden::of(workspace.path()).unwrap();
        assert_eq!(Hidden::of(workspace.path()).unwrap().seed, first.seed);
        let mode = fs::metadata(workspace.path().join(FILE))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(format!("{first:?}"), "Hidden");
    }
}
