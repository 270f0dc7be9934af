//! One program of a build, on its own side: what it reads, computes and writes.

use crate::calibration::compute;
use crate::names::fnv1a;
use crate::real::make::Step;
use crate::sys::shared::SharedCounters;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

/// What programs say goes into this file of the directory.
pub(super) const LOG: &str = "log";
/// The shared counters, by index: first how many programs have begun, then for each slot, in a
/// cache line of its own, the units computed.
pub(super) const COUNTERS: &str = "counters";
pub(super) const STARTED: usize = 0;
pub(super) const LINE: usize = 8;
/// The headers of a project.
pub(super) const HEADERS: u32 = 16;
/// How many of them a unit reads.
const HEADERS_READ: u32 = 6;
/// A unit writes in so many steps, with its computation between them, as a compiler does.
const WRITES: u64 = 4;
/// An object is so many times as long as its source.
const GROWTH: usize = 2;
/// Objects begin with this, then come, eight bytes each: build, index, digest of the inputs,
/// length and digest of the content.
const MAGIC: &[u8; 8] = b"batonobj";
const HEAD_BYTES: usize = 48;

/// What one program shall do.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Task {
    pub(super) dir: PathBuf,
    pub(super) step: Step,
    /// Units of the build.
    pub(super) units: u32,
    pub(super) slot: usize,
    /// Units to compute.
    pub(super) work: u64,
    /// Units between two counts.
    pub(super) chunk: u64,
}

/// The number of counters for so many slots.
pub(super) fn counters(jobs: usize) -> usize {
    LINE * (1 + jobs)
}

pub(super) fn header(dir: &Path, header: u32) -> PathBuf {
    dir.join(format!("header-{header}"))
}

pub(super) fn source(dir: &Path, index: u32) -> PathBuf {
    dir.join(format!("source-{index}"))
}

pub(super) fn objects(dir: &Path) -> PathBuf {
    dir.join("objects")
}

fn object(dir: &Path, build: u32, index: u32) -> PathBuf {
    objects(dir).join(format!("{build}-{index}"))
}

/// The life of a program, by its arguments.
pub(crate) fn be_child(arguments: &[OsString]) -> io::Result<()> {
    let unreadable = || io::Error::other("not the arguments of a build's program");
    let task = Task::read(arguments).ok_or_else(unreadable)?;
    let counters = SharedCounters::open(&task.dir.join(COUNTERS))?;
    if counters.len() < self::counters(task.slot + 1) {
        return Err(unreadable());
    }
    counters[STARTED].fetch_add(1, Ordering::Relaxed);
    let work = |units: u64| {
        let mut left = units;
        while left > 0 {
            let chunk = left.min(task.chunk.max(1));
            compute(chunk);
            counters[LINE * (1 + task.slot)].fetch_add(chunk, Ordering::Relaxed);
            left -= chunk;
        }
    };
    match task.step {
        Step::Unit { build, index } => task.compile(build, index, work),
        Step::Link { build, .. } => task.link(build, work),
    }
}

impl Task {
    /// As arguments of the program.
    pub(super) fn arguments(&self) -> Vec<OsString> {
        let (kind, build, index) = match self.step {
            Step::Unit { build, index } => ("unit", build, index),
            Step::Link { build, index } => ("link", build, index),
        };
        let numbers = [
            u64::from(build),
            u64::from(index),
            u64::from(self.units),
            self.slot as u64,
            self.work,
            self.chunk,
        ];
        let mut arguments = vec![kind.into(), self.dir.clone().into()];
        arguments.extend(numbers.map(|number| OsString::from(number.to_string())));
        arguments
    }

    fn read(arguments: &[OsString]) -> Option<Self> {
        let [kind, dir, numbers @ ..] = arguments else {
            return None;
        };
        let numbers: Option<Vec<u64>> = numbers
            .iter()
            .map(|number| number.to_str()?.parse().ok())
            .collect();
        let [build, index, units, slot, work, chunk] = numbers?.try_into().ok()?;
        let (build, index) = (build.try_into().ok()?, index.try_into().ok()?);
        let step = match kind.to_str()? {
            "unit" => Step::Unit { build, index },
            "link" => Step::Link { build, index },
            _ => return None,
        };
        Some(Self {
            dir: dir.into(),
            step,
            units: units.try_into().ok()?,
            slot: slot.try_into().ok()?,
            work,
            chunk,
        })
    }

    /// Reads headers and a source, computes, and writes the object as it goes.
    fn compile(&self, build: u32, index: u32, work: impl Fn(u64)) -> io::Result<()> {
        let mut random = fastrand::Rng::with_seed(u64::from(index));
        let mut digest = 0;
        for _ in 0..HEADERS_READ {
            let header = header(&self.dir, random.u32(..HEADERS));
            digest = mix(digest, fnv1a(fs::read(header)?));
        }
        let input = fs::read(source(&self.dir, index))?;
        digest = mix(digest, fnv1a(input.iter().copied()));
        let mut content = vec![0; GROWTH * input.len()];
        fastrand::Rng::with_seed(digest).fill(&mut content);
        let head = [
            u64::from(build),
            u64::from(index),
            digest,
            content.len() as u64,
            fnv1a(content.iter().copied()),
        ];
        let path = object(&self.dir, build, index);
        let unfinished = path.with_extension("new");
        let mut file = File::create(&unfinished)?;
        file.write_all(MAGIC)?;
        for number in head {
            file.write_all(&number.to_le_bytes())?;
        }
        let length = content.len().div_ceil(WRITES as usize);
        let mut left = self.work;
        for (piece, writes_left) in content.chunks(length).zip((1..=WRITES).rev()) {
            let share = left / writes_left;
            work(share);
            left -= share;
            file.write_all(piece)?;
        }
        work(left);
        fs::rename(unfinished, path)
    }

    /// Reads all objects, checks them, computes, writes the program and removes the objects.
    fn link(&self, build: u32, work: impl Fn(u64)) -> io::Result<()> {
        let (mut program, mut digest) = (Vec::new(), 0);
        let share = self.work / u64::from(self.units.max(1));
        for index in 0..self.units {
            let path = object(&self.dir, build, index);
            let bytes = fs::read(&path)?;
            let (unit, content) = check(&bytes, build, index)
                .ok_or_else(|| io::Error::other(format!("{} is damaged", path.display())))?;
            digest = mix(digest, unit);
            program.extend_from_slice(content);
            work(share);
        }
        work(self.work - share * u64::from(self.units));
        program.extend(digest.to_le_bytes());
        let unfinished = self.dir.join(format!("program-{build}.new"));
        fs::write(&unfinished, program)?;
        fs::rename(unfinished, self.dir.join("program"))?;
        (0..self.units).try_for_each(|index| fs::remove_file(object(&self.dir, build, index)))
    }
}

/// The digest of the inputs and the content of an object, if it is whole and the right one.
fn check(object: &[u8], build: u32, index: u32) -> Option<(u64, &[u8])> {
    let (head, content) = object.split_at_checked(HEAD_BYTES)?;
    let number = |place: usize| -> Option<u64> {
        Some(u64::from_le_bytes(
            head.get(8 * place..8 * place + 8)?.try_into().ok()?,
        ))
    };
    let right = head.starts_with(MAGIC)
        && number(1)? == u64::from(build)
        && number(2)? == u64::from(index)
        && number(4)? == content.len() as u64
        && number(5)? == fnv1a(content.iter().copied());
    right.then_some((number(3)?, content))
}

/// Takes another digest into one.
fn mix(digest: u64, other: u64) -> u64 {
    (digest.rotate_left(17) ^ other).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn task(dir: &Path, step: Step) -> Task {
        Task {
            dir: dir.to_owned(),
            step,
            units: 2,
            slot: 1,
            work: 1003,
            chunk: 10,
        }
    }

    #[test]
    fn arguments_come_back() {
        let task = task(Path::new("/a b"), Step::Link { build: 3, index: 0 });
        assert_eq!(Task::read(&task.arguments()), Some(task.clone()));
        assert_eq!(Task::read(&task.arguments()[..7]), None);
        assert!(be_child(&[]).is_err());
    }

    #[test]
    fn units_become_a_program_and_damage_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        (0..HEADERS).for_each(|n| fs::write(header(dir, n), format!("h{n}")).unwrap());
        (0..2).for_each(|n| fs::write(source(dir, n), format!("source {n}")).unwrap());
        fs::create_dir(objects(dir)).unwrap();
        let units_done = Cell::new(0);
        let work = |units| units_done.set(units_done.get() + units);
        let compile = |index| {
            let step = Step::Unit { build: 5, index };
            task(dir, step).compile(5, index, work).unwrap();
        };
        let link = || task(dir, Step::Link { build: 5, index: 0 }).link(5, work);
        let mut programs = Vec::new();
        for _ in 0..2 {
            (0..2).for_each(compile);
            link().unwrap();
            programs.push(fs::read(dir.join("program")).unwrap());
            assert_eq!(fs::read_dir(objects(dir)).unwrap().count(), 0);
        }
        assert_eq!(units_done.get(), 6 * 1003);
        assert!(programs[0] == programs[1] && programs[0].len() == 2 * 2 * 8 + 8);
        compile(0);
        assert!(link().is_err(), "an object is missing");
        compile(1);
        let mut bytes = fs::read(object(dir, 5, 1)).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(object(dir, 5, 1), bytes).unwrap();
        let error = link().unwrap_err().to_string();
        assert!(error.ends_with("objects/5-1 is damaged"), "{error}");
    }
}
