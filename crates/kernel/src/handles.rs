//! The relay's parts as descriptors: what its process holds, and passes on when
//! another policy's process takes over.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
};

use baton_model::{Image, Model};
use libbpf_rs::{Link, MapCore, Object};

use crate::{
    Error, abi,
    decide::{Decider, run_program},
    realtime,
    relay::Channel,
    ring::Ring,
    shared::{Batch, Shared},
    stats::{Stats, read_stats},
    tasks::{self, TaskReport},
};

/// How many descriptors a relay is.
pub(crate) const COUNT: usize = 11;

/// Every part of an attached relay that its process needs. The relay schedules as long
/// as somebody holds the link.
#[derive(Debug)]
pub(crate) struct Handles {
    /// Only held.
    link: OwnedFd,
    /// Only held: the kernel ends a timer whose map no process has.
    timer: OwnedFd,
    events: OwnedFd,
    shared: OwnedFd,
    batch: OwnedFd,
    stats: OwnedFd,
    decide: OwnedFd,
    start: OwnedFd,
    switch: OwnedFd,
    tasks: OwnedFd,
    models: OwnedFd,
    ring_bytes: u32,
}

impl Handles {
    pub(crate) fn of(link: &Link, object: &Object, ring_bytes: u32) -> io::Result<Self> {
        let map = |name: &str| {
            let map = object.maps().find(|map| map.name() == name);
            map.expect("the relay has the map")
                .as_fd()
                .try_clone_to_owned()
        };
        let program = |name: &str| {
            let program = object.progs().find(|program| program.name() == name);
            program
                .expect("the relay has the program")
                .as_fd()
                .try_clone_to_owned()
        };
        Ok(Self {
            link: link.as_fd().try_clone_to_owned()?,
            timer: map("timer_map")?,
            events: map("events")?,
            shared: map("shared_map")?,
            batch: map("batch_map")?,
            stats: map("stats_map")?,
            decide: program("relay_decide")?,
            start: program("relay_start")?,
            switch: program("relay_switch")?,
            tasks: program("relay_tasks")?,
            models: map("model_map")?,
            ring_bytes,
        })
    }

    /// The descriptors, in the order that [`Handles::from_fds`] expects.
    pub(crate) fn fds(&self) -> [i32; COUNT] {
        [
            &self.link,
            &self.timer,
            &self.events,
            &self.shared,
            &self.batch,
            &self.stats,
            &self.decide,
            &self.start,
            &self.switch,
            &self.tasks,
            &self.models,
        ]
        .map(AsRawFd::as_raw_fd)
    }

    pub(crate) fn from_fds(fds: [OwnedFd; COUNT], ring_bytes: u32) -> Self {
        let [
            link,
            timer,
            events,
            shared,
            batch,
            stats,
            decide,
            start,
            switch,
            tasks,
            models,
        ] = fds;
        Self {
            link,
            timer,
            events,
            shared,
            batch,
            stats,
            decide,
            start,
            switch,
            tasks,
            models,
            ring_bytes,
        }
    }

    pub(crate) const fn ring_bytes(&self) -> u32 {
        self.ring_bytes
    }

    /// The ends that a scheduling thread holds.
    pub(crate) fn channel(&self) -> Result<Channel, Error> {
        let channel = || -> io::Result<Channel> {
            Ok(Channel {
                ring: Ring::map(self.events.as_fd(), self.ring_bytes as usize)?,
                ring_fd: self.events.try_clone()?,
                decider: Decider::new(self.decide.try_clone()?, Batch::map(self.batch.as_fd())?),
            })
        };
        channel().map_err(unmapped)
    }

    /// The shared memory.
    pub(crate) fn shared(&self) -> Result<Shared, Error> {
        Shared::map(self.shared.as_fd()).map_err(unmapped)
    }

    /// Arms the relay's timer.
    pub(crate) fn start_timer(&self) -> Result<(), Error> {
        start_timer(self.start.as_fd())
    }

    /// Makes the relay serve another policy: it forgets what the last one said, and
    /// publishes what waits.
    pub(crate) fn switch_to(&self, options: &abi::Options) -> Result<(), Error> {
        let mut context = abi::bytes_of(options).to_vec();
        let answer = run_program(self.switch.as_raw_fd(), &mut context);
        expect_done(answer, "cannot switch the relay to another policy")
    }

    /// Writes a model where the relay does not look now; the place, which is to be named in options.
    pub(crate) fn write_model(&self, shared: &Shared, model: &Model) -> Result<u32, Error> {
        let place = (shared.model() + 1) % abi::MODELS_MAX;
        write_model(self.models.as_fd(), place, model)?;
        Ok(place)
    }

    /// The counters now.
    pub(crate) fn stats(&self) -> Stats {
        read_stats(self.stats.as_fd())
    }

    /// Every task that the relay schedules, as it is now.
    pub(crate) fn tasks(&self) -> io::Result<Vec<TaskReport>> {
        tasks::read(self.tasks.as_fd())
    }

    /// Lets the relay go, and tells its last counters.
    pub(crate) fn close(self) -> Stats {
        drop(self.link);
        read_stats(self.stats.as_fd())
    }
}

/// Writes a model into the map of models.
#[allow(unsafe_code)]
pub(crate) fn write_model(map: BorrowedFd<'_>, place: u32, model: &Model) -> Result<(), Error> {
    let image = Image::of(model);
    // SAFETY: a live key, and a value as large as the map's, which a test compares.
    let answer = unsafe {
        libbpf_sys::bpf_map_update_elem(
            map.as_raw_fd(),
            (&raw const place).cast(),
            image.bytes().as_ptr().cast(),
            0,
        )
    };
    match answer {
        0 => Ok(()),
        _ => Err(Error::System {
            what: "cannot give the relay its model",
            source: io::Error::last_os_error(),
        }),
    }
}

/// Arms the relay's timer, by its program `relay_start`.
pub(crate) fn start_timer(program: BorrowedFd<'_>) -> Result<(), Error> {
    let answer = realtime::on_lowest_cpu(|| run_program(program.as_raw_fd(), &mut []));
    expect_done(answer, "cannot start the relay's timer")
}

/// Has the relay find out what the kernel can do, by its program `relay_abilities`.
pub(crate) fn find_abilities(program: BorrowedFd<'_>) -> Result<(), Error> {
    let answer = run_program(program.as_raw_fd(), &mut []);
    expect_done(answer, "cannot ask the relay what this kernel can do")
}

fn unmapped(source: io::Error) -> Error {
    Error::System {
        what: "cannot map the relay's memory",
        source,
    }
}

fn expect_done(answer: Result<u32, i32>, what: &'static str) -> Result<(), Error> {
    match answer {
        Ok(0) => Ok(()),
        Ok(refusal) => Err(Error::System {
            what,
            source: io::Error::from_raw_os_error(refusal.cast_signed().wrapping_neg()),
        }),
        Err(errno) => Err(Error::System {
            what,
            source: io::Error::from_raw_os_error(errno),
        }),
    }
}
