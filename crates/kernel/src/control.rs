//! The socket at which a running policy's process can be asked things: for its counters,
//! or for the relay itself, so that another policy's process takes over.
//!
//! A line of JSON asks, a line of JSON answers. Only root can connect. To take over, a
//! process sends `handoff` and gets the relay's descriptors; when it has mapped them,
//! `pause` has the policy leave the relay alone, which schedules by itself what waits for
//! too long. With `taken` the new process says that it schedules, and this one ends; if
//! it goes away without a word, this one goes on.

use std::{
    fs,
    io::{self, BufRead, BufReader, IoSlice, Write},
    net::Shutdown,
    os::{
        fd::AsRawFd,
        unix::{
            fs::{DirBuilderExt, MetadataExt, PermissionsExt},
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use baton_machine::ClassFile;
use nix::sys::socket::{ControlMessage, MsgFlags, getsockopt, sendmsg, sockopt::PeerCredentials};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    abi, classes,
    part::Part,
    realtime::{Bell, Urgent},
    relay::Attached,
    shared::Shared,
    stats::Stats,
    tasks::TaskReport,
    watch::Watch,
};

/// Names another directory for the socket.
const DIRECTORY_VARIABLE: &str = "BATON_RUN";
const DIRECTORY: &str = "/run/baton";
const SOCKET: &str = "control";
/// How long a policy may take to pause: longer than a call of it is allowed to.
const PAUSE_PATIENCE: Duration = Duration::from_secs(3);
/// How long the process that takes over may take to begin.
const TAKE_PATIENCE: Duration = Duration::from_secs(15);
/// How long a connection may say nothing, and how long it may not read its answer.
const IDLE_PATIENCE: Duration = Duration::from_secs(60);
const WRITE_PATIENCE: Duration = Duration::from_secs(1);
const CONNECTIONS_MAX: usize = 16;
/// How often the server looks up although nobody asks: what ends it rings a bell.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);
/// Pause after a connection that could not be accepted, so that such an error is no loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Longest line that is read.
const LINE_MAX: u64 = 1 << 16;

/// Where the socket is.
#[must_use]
pub fn socket_path() -> PathBuf {
    let directory = std::env::var_os(DIRECTORY_VARIABLE).unwrap_or_else(|| DIRECTORY.into());
    Path::new(&directory).join(SOCKET)
}

/// What can be asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Request {
    /// Who schedules, and the counters.
    Status,
    /// Every task.
    Tasks,
    /// The relay, to take over.
    Handoff {
        /// The asker's [`abi::VERSION`]; layouts of another version differ.
        abi: u32,
    },
    /// The policy is to leave the relay alone.
    Pause,
    /// The asker schedules now.
    Taken {
        /// Its policy.
        policy: String,
        /// Its process.
        pid: u32,
    },
}

/// Who took over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Successor {
    pub(crate) policy: String,
    pub(crate) pid: u32,
}

/// What the server tells and hands out.
pub(crate) struct Served {
    pub(crate) attached: Attached,
    pub(crate) shared: Arc<Shared>,
    pub(crate) watch: Arc<Watch>,
    pub(crate) policy: &'static str,
    pub(crate) mode: &'static str,
    pub(crate) options: abi::Options,
    pub(crate) began: Instant,
    /// What the policy's tasks are sorted by, if there are classes.
    pub(crate) classes: Option<Arc<ClassFile>>,
    /// The tasks that the policy schedules, unless they are all.
    pub(crate) part: Mutex<Option<Part>>,
    pub(crate) successor: Mutex<Option<Successor>>,
    /// Held by the connection that takes over.
    pub(crate) handoff: Mutex<()>,
}

impl Served {
    /// Who took over, once somebody has.
    pub(crate) fn successor(&self) -> Option<Successor> {
        let place = self.successor.lock();
        place.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The part of the machine that the policy schedules, if it is a part.
    pub(crate) fn part(&self) -> MutexGuard<'_, Option<Part>> {
        self.part.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the part's tasks back, for a process that ends without more ado.
    pub(crate) fn end_part(&self) {
        if let Some(part) = &mut *self.part() {
            part.give_back(&self.attached.scheduled());
        }
    }
}

/// Tells the server's thread, which sleeps, that it is over.
#[derive(Debug)]
struct Stop {
    flag: AtomicBool,
    bell: Bell,
}

/// Threads that answer at the socket until it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
    path: PathBuf,
    /// The socket file that is ours: a successor puts its own in its place.
    inode: u64,
}

impl Server {
    /// Opens the socket, in the place of one that another process left.
    pub(crate) fn open(served: Arc<Served>) -> io::Result<Self> {
        let path = socket_path();
        if let Some(directory) = path.parent() {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(directory)?;
        }
        let own = path.with_extension(std::process::id().to_string());
        let _ = fs::remove_file(&own);
        let opened = listen(&own, &path);
        if opened.is_err() {
            let _ = fs::remove_file(&own);
        }
        let (listener, inode) = opened?;
        let stop = Arc::new(Stop {
            flag: AtomicBool::new(false),
            bell: Bell::new()?,
        });
        let thread = {
            let stop = Arc::clone(&stop);
            thread::Builder::new()
                .name("baton-control".into())
                .spawn(move || serve(&listener, &served, &stop))?
        };
        Ok(Self {
            stop,
            thread: Some(thread),
            path,
            inode,
        })
    }
}

/// A listening socket, made as `own` and then put at `path`; and its file's inode.
fn listen(own: &Path, path: &Path) -> io::Result<(UnixListener, u64)> {
    let listener = UnixListener::bind(own)?;
    fs::set_permissions(own, fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    let inode = fs::metadata(own)?.ino();
    fs::rename(own, path)?;
    Ok((listener, inode))
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.flag.store(true, Ordering::Relaxed);
        self.stop.bell.ring();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        if fs::metadata(&self.path).is_ok_and(|file| file.ino() == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Accepts connections, each with a thread of its own, until told to stop or until the
/// relay, which is given away once, is somebody else's. Then no connection is left.
/// It sleeps until somebody connects: one that looked again and again would cost the
/// machine more than a policy does.
fn serve(listener: &UnixListener, served: &Arc<Served>, stop: &Stop) {
    let mut connections: Vec<(UnixStream, JoinHandle<()>)> = Vec::new();
    while !stop.flag.load(Ordering::Relaxed) && served.successor().is_none() {
        connections.retain(|(_, thread)| !thread.is_finished());
        match listener.accept() {
            Ok((stream, _)) if connections.len() < CONNECTIONS_MAX => {
                // Who asks and goes away has no answer to miss.
                if let Ok(connection) = attend(stream, served) {
                    connections.push(connection);
                }
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                stop.bell.wait(listener.as_raw_fd(), LOOK_INTERVAL);
            }
            Err(_) => stop.bell.wait(-1, ACCEPT_PAUSE),
        }
    }
    for (stream, thread) in connections {
        let _ = stream.shutdown(Shutdown::Both);
        let _ = thread.join();
    }
}

/// A thread for one connection, and a handle to end it by.
fn attend(stream: UnixStream, served: &Arc<Served>) -> io::Result<(UnixStream, JoinHandle<()>)> {
    let peer = getsockopt(&stream, PeerCredentials)?;
    if peer.uid() != 0 {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(IDLE_PATIENCE))?;
    stream.set_write_timeout(Some(WRITE_PATIENCE))?;
    let (handle, served) = (stream.try_clone()?, Arc::clone(served));
    let thread = thread::Builder::new()
        .name("baton-answer".into())
        .spawn(move || {
            let _ = answer(stream, &served);
        })?;
    Ok((handle, thread))
}

/// Answers one connection, until it closes or the relay is somebody else's.
fn answer(stream: UnixStream, served: &Served) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut last = None;
    loop {
        let Some(request) = read_request(&mut reader)? else {
            return Ok(());
        };
        match request {
            Ok(Request::Status) => say(reader.get_mut(), &status(served, &mut last))?,
            Ok(Request::Tasks) => match tasks(served) {
                Ok(tasks) => say(reader.get_mut(), &json!({ "ok": true, "tasks": tasks }))?,
                Err(error) => refuse(reader.get_mut(), &format!("cannot list tasks: {error}"))?,
            },
            Ok(Request::Handoff { abi }) => {
                let Ok(_alone) = served.handoff.try_lock() else {
                    return refuse(reader.get_mut(), "another process is taking over");
                };
                return hand_off(&mut reader, served, abi);
            }
            Ok(Request::Pause | Request::Taken { .. }) => {
                refuse(reader.get_mut(), "nothing was handed over")?;
            }
            Err(problem) => refuse(reader.get_mut(), &problem)?,
        }
    }
}

/// The next request; none at the connection's end.
fn read_request(reader: &mut BufReader<UnixStream>) -> io::Result<Option<Result<Request, String>>> {
    let mut line = String::new();
    io::Read::take(&mut *reader, LINE_MAX).read_line(&mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    let request = serde_json::from_str(&line);
    Ok(Some(
        request.map_err(|error| format!("not a request: {error}")),
    ))
}

/// All tasks, with the names of their classes.
fn tasks(served: &Served) -> io::Result<Vec<TaskReport>> {
    let mut tasks = served.attached.handles().tasks()?;
    if let Some(file) = &served.classes {
        classes::name_classes(file, &mut tasks)?;
    }
    Ok(tasks)
}

/// Who schedules, all counters, and those since this connection last asked.
fn status(served: &Served, last: &mut Option<(Instant, Stats)>) -> Value {
    let (now, stats) = (Instant::now(), served.attached.stats());
    let (since, before) = last
        .replace((now, stats.clone()))
        .unwrap_or_else(|| (served.began, Stats::default()));
    json!({
        "ok": true,
        "policy": served.policy,
        "only": served.part().as_ref().map(Part::report),
        "performance": served.shared.performance(),
        "mode": served.mode,
        "model_off": (served.options.predict == abi::PREDICT_PLACE)
            .then(|| served.shared.model_off()),
        "pid": std::process::id(),
        "uptime_s": served.began.elapsed().as_secs_f64(),
        "window_s": now.duration_since(since).as_secs_f64(),
        "window": stats.clone().since(&before),
        "stats": stats,
    })
}

/// Gives the relay away, pauses the policy, and waits for word of the new owner. Where
/// none comes, the policy goes on.
fn hand_off(reader: &mut BufReader<UnixStream>, served: &Served, version: u32) -> io::Result<()> {
    if served.successor().is_some() {
        return refuse(reader.get_mut(), "another process took over");
    }
    if version != abi::VERSION {
        let problem = format!(
            "the running policy's relay has version {}, yours {version}: use one version of Baton",
            abi::VERSION
        );
        return refuse(reader.get_mut(), &problem);
    }
    // The gap is not to depend on the load.
    let _urgent = Urgent::now();
    send_relay(reader.get_mut(), served)?;
    reader.get_mut().set_read_timeout(Some(TAKE_PATIENCE))?;
    let Some(Ok(Request::Pause)) = read_request(reader)? else {
        return refuse(reader.get_mut(), "`pause` was to come next");
    };
    if !served.watch.pause(PAUSE_PATIENCE) {
        served.watch.resume();
        return refuse(reader.get_mut(), "the running policy does not pause");
    }
    let taken = say(reader.get_mut(), &json!({ "ok": true })).and_then(|()| await_taken(reader));
    if let Ok(successor) = taken {
        let mut place = served
            .successor
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *place = Some(successor);
        // Who knows what the tasks were gives them back at the end: one of the two.
        let mut part = served.part();
        let former = part.as_ref().map(Part::record);
        let said = say(reader.get_mut(), &json!({ "ok": true, "former": former }));
        if let (Ok(()), Some(part)) = (&said, &mut *part) {
            part.hand_over();
        }
        return said;
    }
    // The relay may serve the other's options already.
    let _ = served.attached.handles().switch_to(&served.options);
    served.watch.resume();
    Ok(())
}

fn send_relay(stream: &mut UnixStream, served: &Served) -> io::Result<()> {
    let handles = served.attached.handles();
    let cgroup = served.part().as_ref().map(|part| part.cgroup().clone());
    let mut line = serde_json::to_vec(&json!({
        "ok": true,
        "policy": served.policy,
        "ring_bytes": handles.ring_bytes(),
        "only": cgroup.as_ref().map(|cgroup| &cgroup.directory),
        "only_path": cgroup.as_ref().map(|cgroup| &cgroup.path),
    }))?;
    line.push(b'\n');
    let fds = handles.fds();
    sendmsg::<()>(
        stream.as_raw_fd(),
        &[IoSlice::new(&line)],
        &[ControlMessage::ScmRights(&fds)],
        MsgFlags::empty(),
        None,
    )?;
    Ok(())
}

fn await_taken(reader: &mut BufReader<UnixStream>) -> io::Result<Successor> {
    match read_request(reader)? {
        Some(Ok(Request::Taken { policy, pid })) => Ok(Successor { policy, pid }),
        _ => Err(io::ErrorKind::ConnectionAborted.into()),
    }
}

fn refuse(stream: &mut UnixStream, problem: &str) -> io::Result<()> {
    say(stream, &json!({ "ok": false, "error": problem }))
}

fn say(stream: &mut UnixStream, value: &Value) -> io::Result<()> {
    let mut line = value.to_string();
    line.push('\n');
    stream.write_all(line.as_bytes())
}
