//! Asking a running policy's process, and taking its relay over.

use std::{
    io::{self, IoSliceMut, Read, Write},
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::PathBuf,
    thread,
    time::Duration,
};

use baton_machine::Cgroup;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use serde_json::Value;

use crate::{
    Error, abi,
    control::{Request, socket_path},
    handles::{COUNT, Handles},
};

const ANSWER_PATIENCE: Duration = Duration::from_secs(5);
const CONNECT_TRIES: u32 = 10;
const CONNECT_PAUSE: Duration = Duration::from_millis(200);
const ANSWER_MAX: usize = 64 << 20;

/// A relay that schedules.
pub(crate) struct RunningRelay {
    pub(crate) handles: Handles,
    /// The policy that it serves.
    pub(crate) policy: String,
    /// The cgroup whose tasks alone it has; without, it has all.
    pub(crate) only: Option<Cgroup>,
}

/// A connection to the process that schedules.
#[derive(Debug)]
pub struct Running {
    stream: UnixStream,
}

impl Running {
    /// Connects to the process that schedules this machine.
    ///
    /// # Errors
    /// When no policy runs, or the caller is not root.
    pub fn connect() -> Result<Self, Error> {
        let path = socket_path();
        let stream = UnixStream::connect(&path).map_err(|source| match source.kind() {
            io::ErrorKind::PermissionDenied => Error::NotRoot,
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Error::NothingRuns,
            _ => Error::Control(format!("{}: {source}", path.display())),
        })?;
        stream
            .set_read_timeout(Some(ANSWER_PATIENCE))
            .map_err(broken)?;
        Ok(Self { stream })
    }

    /// Asks, and takes the answer: an object whose `ok` is true.
    ///
    /// # Errors
    /// When the process refuses or goes away.
    pub fn ask(&mut self, request: &Request) -> Result<Value, Error> {
        self.send(request)?;
        let mut line = Vec::new();
        let mut part = vec![0; 1 << 14];
        // It says nothing that was not asked for, so a line is all there is.
        while line.last() != Some(&b'\n') && line.len() < ANSWER_MAX {
            match self.stream.read(&mut part).map_err(broken)? {
                0 => break,
                length => line.extend_from_slice(&part[..length]),
            }
        }
        accepted(&line)
    }

    fn send(&mut self, request: &Request) -> Result<(), Error> {
        let mut line = serde_json::to_vec(request).map_err(|error| broken(error.into()))?;
        line.push(b'\n');
        self.stream.write_all(&line).map_err(broken)
    }

    /// Connects and gets the relay. Another process may be taking it over at the same time: then this one asks the new owner.
    pub(crate) fn with_relay() -> Result<(Self, RunningRelay), Error> {
        let mut tries = 1;
        loop {
            let gotten = Self::connect().and_then(|mut running| {
                let relay = running.take_relay()?;
                Ok((running, relay))
            });
            match gotten {
                Err(Error::Control(_)) if tries < CONNECT_TRIES => {
                    tries += 1;
                    thread::sleep(CONNECT_PAUSE);
                }
                gotten => return gotten,
            }
        }
    }

    fn take_relay(&mut self) -> Result<RunningRelay, Error> {
        self.send(&Request::Handoff { abi: abi::VERSION })?;
        let mut buffer = [0; 4096];
        let mut room = nix::cmsg_space!([i32; COUNT]);
        let mut parts = [IoSliceMut::new(&mut buffer)];
        let (length, fds) = {
            let message = recvmsg::<()>(
                self.stream.as_raw_fd(),
                &mut parts,
                Some(&mut room),
                MsgFlags::MSG_CMSG_CLOEXEC,
            )
            .map_err(|errno| broken(errno.into()))?;
            let mut fds = Vec::new();
            for part in message.cmsgs().map_err(|errno| broken(errno.into()))? {
                if let ControlMessageOwned::ScmRights(received) = part {
                    fds.extend(received.into_iter().map(own));
                }
            }
            (message.bytes, fds)
        };
        let answer = accepted(&buffer[..length])?;
        let fds: [OwnedFd; COUNT] = fds.try_into().map_err(|fds: Vec<OwnedFd>| {
            Error::Control(format!("{} descriptors came instead of {COUNT}", fds.len()))
        })?;
        let ring_bytes = answer["ring_bytes"]
            .as_u64()
            .and_then(|bytes| u32::try_from(bytes).ok())
            .ok_or_else(|| Error::Control("the answer has no ring_bytes".into()))?;
        let only = answer["only"].as_str().map(|directory| Cgroup {
            path: answer["only_path"].as_str().unwrap_or(directory).to_owned(),
            directory: PathBuf::from(directory),
        });
        Ok(RunningRelay {
            handles: Handles::from_fds(fds, ring_bytes),
            policy: answer["policy"].as_str().unwrap_or_default().to_owned(),
            only,
        })
    }
}

#[allow(unsafe_code)]
fn own(fd: i32) -> OwnedFd {
    // SAFETY: the kernel made it for this message, and nobody else has it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

fn accepted(line: &[u8]) -> Result<Value, Error> {
    let answer: Value = serde_json::from_slice(line)
        .map_err(|_| Error::Control("it went away without an answer".into()))?;
    if answer["ok"] == true {
        return Ok(answer);
    }
    let problem = answer["error"].as_str().unwrap_or("it gives no reason");
    Err(Error::Control(problem.to_owned()))
}

fn broken(error: io::Error) -> Error {
    Error::Control(error.to_string())
}
