//! The relay's events, where a policy runs: programs that listen at functions of the relay
//! which do nothing else.
#![allow(unsafe_code)]

use std::{
    fs,
    os::fd::{AsFd, AsRawFd, FromRawFd as _, OwnedFd},
};

use libbpf_rs::{Link, Object, ObjectBuilder, query::ProgInfoIter};

use super::load::{Programs, refused};
use crate::relay::loaded_scheduler;

static OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/record_relay.bpf.o"));

/// What the relay calls itself, as the kernel tells it.
const NAME: &str = "baton";

/// Who listens, in which of the relay's programs, and where.
const LISTENERS: [(&str, &str, &str); 3] = [
    ("record_enqueue", "relay_enqueue", "relay_saw_enqueue"),
    ("record_decided", "relay_decide", "relay_saw_decided"),
    ("record_rescued", "relay_start", "relay_saw_rescued"),
];

/// Maps that the recorder's programs have in common.
const MAPS: [&str; 3] = [".data.control", ".data.heads", "shared_ring"];

/// Listens to the relay that schedules, whichever that is.
#[derive(Debug)]
pub(super) struct RelayListener<T = (Link, Object)> {
    /// The relay that is listened to: how often schedulers had been loaded with it.
    loaded: Option<String>,
    attached: Vec<T>,
    /// Why the relay that schedules is not listened to.
    unheard: Option<String>,
}

impl<T> Default for RelayListener<T> {
    fn default() -> Self {
        Self {
            loaded: None,
            attached: Vec::new(),
            unheard: None,
        }
    }
}

impl RelayListener {
    /// Attaches to a relay that came, and lets one go that went. One that cannot be listened to, such
    /// as one that goes meanwhile, is tried again the next time.
    pub(super) fn look(&mut self, programs: &Programs) {
        let count = fs::read_to_string("/sys/kernel/sched_ext/enable_seq").ok();
        let scheduler = loaded_scheduler();
        let is_relay = scheduler.is_some_and(|name| name.starts_with(NAME));
        let loaded = if is_relay { count } else { None };
        self.follow(loaded, |listener, program, function| {
            attach(programs, listener, program, function).map_err(|source| {
                let refused = refused("attaching it to the relay", source).to_string();
                refused.lines().next().unwrap_or_default().to_owned()
            })
        });
    }
}

impl<T> RelayListener<T> {
    fn follow(
        &mut self,
        loaded: Option<String>,
        attach: impl Fn(&str, &str, &str) -> Result<T, String>,
    ) {
        if loaded == self.loaded {
            // Also where one that could not be listened to is gone.
            self.unheard = None;
            return;
        }
        self.stop();
        if loaded.is_none() {
            return;
        }
        let attached = LISTENERS
            .into_iter()
            .map(|(listener, program, function)| attach(listener, program, function))
            .collect();
        match attached {
            Ok(attached) => {
                self.attached = attached;
                self.loaded = loaded;
            }
            Err(why) => self.unheard = Some(why),
        }
    }

    /// Lets the relay go.
    pub(super) fn stop(&mut self) {
        self.attached.clear();
        self.loaded = None;
        self.unheard = None;
    }

    /// Whether a relay is listened to.
    pub(super) fn listens(&self) -> bool {
        !self.attached.is_empty()
    }

    /// Why the relay that schedules is not listened to.
    pub(super) fn unheard(&self) -> Option<&str> {
        self.unheard.as_deref()
    }
}

fn attach(
    programs: &Programs,
    listener: &str,
    program: &str,
    function: &str,
) -> libbpf_rs::Result<(Link, Object)> {
    let target = newest(program)?;
    let mut open = ObjectBuilder::default().open_memory(OBJECT)?;
    for mut map in open.maps_mut() {
        let name = map.name().to_string_lossy().into_owned();
        if MAPS.contains(&name.as_str()) {
            map.reuse_fd(programs.map(&name).as_fd())?;
        }
    }
    for mut program in open.progs_mut() {
        let wanted = program.name() == listener;
        program.set_autoload(wanted);
        if wanted {
            program.set_attach_target(target.as_raw_fd(), Some(function.to_owned()))?;
        }
    }
    let object = open.load()?;
    let link = {
        let program = object
            .progs_mut()
            .find(|program| program.name() == listener);
        program
            .expect("the recorder has the program")
            .attach_trace()?
    };
    Ok((link, object))
}

/// The program of this name that was loaded last.
fn newest(name: &str) -> libbpf_rs::Result<OwnedFd> {
    let missing = || libbpf_rs::Error::from_raw_os_error(libc::ENOENT);
    let found = ProgInfoIter::default()
        .filter(|info| info.name == name)
        .map(|info| info.id)
        .max()
        .ok_or_else(missing)?;
    // SAFETY: a plain system call; a descriptor that it returns is new.
    unsafe {
        let fd = libbpf_sys::bpf_prog_get_fd_by_id(found);
        if fd < 0 {
            return Err(libbpf_rs::Error::from_raw_os_error(-fd));
        }
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_that_cannot_be_listened_to_is_tried_again() {
        let mut relay = RelayListener::<u32>::default();
        let first = || Some("1".to_owned());
        // The last of the programs is missing.
        relay.follow(first(), |listener, _, _| match listener {
            "record_rescued" => Err("gone".into()),
            _ => Ok(1),
        });
        assert!(!relay.listens());
        assert_eq!(relay.unheard(), Some("gone"));
        relay.follow(first(), |_, _, _| Ok(2));
        assert_eq!((relay.unheard(), &relay.attached[..]), (None, &[2; 3][..]));
        // It is attached to once.
        relay.follow(first(), |_, _, _| unreachable!());
        assert!(relay.listens());
        relay.follow(Some("2".into()), |_, _, _| Err("busy".into()));
        assert!(!relay.listens() && relay.unheard() == Some("busy"));
        // Who is gone is not missed.
        relay.follow(None, |_, _, _| unreachable!());
        assert!(!relay.listens() && relay.unheard().is_none());
    }
}
