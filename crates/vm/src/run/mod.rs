//! One run of a VM, from the description to the command's exit status.

mod channel;
mod console;
mod files;
mod interrupt;
mod panic;
mod session;
mod spawn;

use std::{
    io::{IsTerminal as _, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use baton_machine::MachineFile;

use crate::{
    Error, KernelSpec, find_kernel,
    initramfs::{Tree, add_tools, find_in_path, is_tool, programs},
    protocol::{CONFIG_PATH, Config},
    qemu,
};
use session::Session;

/// Time that a run may take unless [`Vm::timeout`] says otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(600);
/// Where guests look for programs.
const GUEST_PATH: &str = "/usr/local/bin:/usr/bin";

/// A virtual machine and the command that it shall run.
#[derive(Clone, Debug)]
pub struct Vm {
    init: PathBuf,
    machine: Option<MachineFile>,
    memory_mib: Option<u32>,
    kernel: KernelSpec,
    timeout: Duration,
    command: Vec<String>,
    also: Vec<Vec<String>>,
    env: Vec<(String, String)>,
    cwd: Option<PathBuf>,
    packs: Vec<(PathBuf, PathBuf)>,
    outs: Vec<(String, PathBuf)>,
    handle_signals: bool,
}

/// Where a run's output goes.
pub struct Sinks {
    /// The command's standard output, as it comes.
    pub stdout: Box<dyn Write + Send>,
    /// The command's standard error, as it comes.
    pub stderr: Box<dyn Write + Send>,
    /// What the run does now, for people who wait.
    pub progress: Box<dyn Fn(&str) + Send + Sync>,
}

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The command's exit status; 128 + N when signal N ended it.
    pub status: i32,
    /// The guest's `uname -r`.
    pub kernel_release: String,
    /// From QEMU's start until init ran.
    pub boot: Duration,
    /// From the call until everything was over, packing included.
    pub wall: Duration,
    /// Guest paths given to [`Vm::out`] that did not exist when the command had ended.
    pub missing: Vec<String>,
    /// The end of the kernel's console: errors, if there were any.
    pub console: String,
}

/// How a run ended, with what the command wrote.
#[derive(Clone, Debug)]
pub struct Captured {
    /// How the run ended.
    pub outcome: Outcome,
    /// Standard output, byte for byte.
    pub stdout: Vec<u8>,
    /// Standard error, byte for byte.
    pub stderr: Vec<u8>,
}

impl std::ops::Deref for Captured {
    type Target = Outcome;

    fn deref(&self) -> &Outcome {
        &self.outcome
    }
}

impl Captured {
    /// Standard output as text.
    #[must_use]
    pub fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    #[must_use]
    pub fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

impl Sinks {
    /// To this process's own streams; progress to standard error if a person watches it.
    #[must_use]
    pub fn inherit() -> Self {
        let watched = std::io::stderr().is_terminal();
        Self {
            stdout: Box::new(std::io::stdout()),
            stderr: Box::new(std::io::stderr()),
            progress: Box::new(move |text| {
                if watched {
                    eprintln!("{text}");
                }
            }),
        }
    }
}

impl Vm {
    /// A VM of two CPUs with the default kernel. `init` is the program that runs as process 1 of the
    /// guest; it must call [`guest::run_if_init`](crate::guest::run_if_init) first thing.
    #[must_use]
    pub fn new(init: impl Into<PathBuf>) -> Self {
        Self {
            init: init.into(),
            machine: None,
            memory_mib: None,
            kernel: KernelSpec::Default,
            timeout: DEFAULT_TIMEOUT,
            command: Vec::new(),
            also: Vec::new(),
            env: Vec::new(),
            cwd: None,
            packs: Vec::new(),
            outs: Vec::new(),
            handle_signals: false,
        }
    }

    /// The machine to be; `2-cpu` by default. Speeds of core classes cannot be emulated and are
    /// ignored.
    #[must_use]
    pub fn machine(mut self, machine: MachineFile) -> Self {
        self.machine = Some(machine);
        self
    }

    /// Memory in MiB, instead of the machine's own.
    #[must_use]
    pub fn memory_mib(mut self, memory_mib: u32) -> Self {
        self.memory_mib = Some(memory_mib);
        self
    }

    /// The kernel to boot.
    #[must_use]
    pub fn kernel(mut self, kernel: KernelSpec) -> Self {
        self.kernel = kernel;
        self
    }

    /// Time from QEMU's start after which the VM is stopped; 10 minutes by default.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The command and its arguments. A program of the host is packed with all that it needs, and so
    /// are programs that a shell or a wrapper such as `timeout` starts.
    #[must_use]
    pub fn command<S: Into<String>>(mut self, argv: impl IntoIterator<Item = S>) -> Self {
        self.command = argv.into_iter().map(Into::into).collect();
        self
    }

    /// Packs what this command line needs as well, which the command may start.
    #[must_use]
    pub fn also<S: Into<String>>(mut self, argv: impl IntoIterator<Item = S>) -> Self {
        self.also.push(argv.into_iter().map(Into::into).collect());
        self
    }

    /// Sets a variable in the command's environment, which has little more.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// The command's directory in the guest; by default the path of the caller's own, empty but for
    /// what is packed into it, so that relative paths mean the same.
    #[must_use]
    pub fn cwd(mut self, cwd: impl Into<PathBuf>) -> Self {
        self.cwd = Some(cwd.into());
        self
    }

    /// Packs a file, program or directory of the host at `guest`. Relative paths count from the
    /// caller's directory on both sides.
    #[must_use]
    pub fn pack(mut self, host: impl Into<PathBuf>, guest: impl Into<PathBuf>) -> Self {
        self.packs.push((host.into(), guest.into()));
        self
    }

    /// As [`pack`](Self::pack), from `HOSTPATH[:GUESTPATH]`; without the second, the path is the
    /// same. A name without a slash that is no file here is sought in `PATH`.
    #[must_use]
    pub fn pack_arg(self, text: &str) -> Self {
        match text.split_once(':') {
            Some((host, guest)) => self.pack(host, guest),
            None if !text.contains('/') && !Path::new(text).exists() => {
                let path = find_in_path(text).unwrap_or_else(|| text.into());
                self.pack(path.clone(), path)
            }
            None => self.pack(text, text),
        }
    }

    /// Copies a file or directory from the guest when the command has ended, however it ended. An
    /// existing directory `host` takes a file under its own name.
    #[must_use]
    pub fn out(mut self, guest: impl Into<String>, host: impl Into<PathBuf>) -> Self {
        self.outs.push((guest.into(), host.into()));
        self
    }

    /// As [`out`](Self::out), from `GUESTPATH[:HOSTPATH]`; without the second, to the same name in
    /// the caller's directory.
    #[must_use]
    pub fn out_arg(self, text: &str) -> Self {
        match text.split_once(':') {
            Some((guest, host)) => self.out(guest, host),
            None => {
                let name = Path::new(text).file_name().unwrap_or_default().to_owned();
                self.out(text, name)
            }
        }
    }

    /// Whether SIGINT, SIGTERM and SIGHUP of this process go to the command while it runs, and a
    /// second one stops the VM. For programs; a library's caller may have handlers of its own.
    #[must_use]
    pub fn handle_signals(mut self, handle: bool) -> Self {
        self.handle_signals = handle;
        self
    }

    /// Runs the command to its end.
    ///
    /// # Errors
    /// Whatever kept the command from ending by itself; see [`Error`].
    pub fn run(&self, sinks: Sinks) -> Result<Outcome, Error> {
        let start = Instant::now();
        // Mistakes are told first, then what is missing, before anything is fetched.
        let wanted = self.machine.as_ref();
        if let Some((machine, obstacle)) =
            wanted.and_then(|machine| Some((machine.name.clone(), machine.vm_obstacle()?)))
        {
            return Err(Error::NotAVm { machine, obstacle });
        }
        let program = qemu::find_qemu()?;
        if self.command.is_empty() {
            return Err(Error::NoCommand);
        }
        let machine = match &self.machine {
            Some(machine) => machine.clone(),
            None => MachineFile::find("2-cpu")
                .map_err(|error| Error::Guest(format!("no default machine: {error}")))?,
        };
        let memory_mib = self.memory_mib.unwrap_or(machine.memory_mib);
        let tree = self.tree()?;
        let kernel = find_kernel(&self.kernel, &*sinks.progress)?;
        let mut session = Session::prepare(
            program,
            machine,
            memory_mib,
            kernel,
            &tree,
            self.outs.clone(),
        )?;
        let mut outcome = session.run(sinks, self.timeout, self.handle_signals)?;
        outcome.wall = start.elapsed();
        Ok(outcome)
    }

    /// Runs the command to its end and keeps what it wrote.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_captured(&self) -> Result<Captured, Error> {
        let (stdout, stderr) = (Shared::default(), Shared::default());
        let outcome = self.run(Sinks {
            stdout: Box::new(stdout.clone()),
            stderr: Box::new(stderr.clone()),
            progress: Box::new(|_| {}),
        })?;
        Ok(Captured {
            outcome,
            stdout: stdout.take(),
            stderr: stderr.take(),
        })
    }

    fn tree(&self) -> Result<Tree, Error> {
        let cwd = match &self.cwd {
            Some(cwd) => cwd.clone(),
            None => std::env::current_dir().map_err(Error::host("finding this directory"))?,
        };
        let mut tree = Tree::new();
        for (host, guest) in &self.packs {
            tree.pack(host, &cwd.join(guest))?;
        }
        let argv = pack_command(&self.command, &mut tree, &cwd)?;
        for command in &self.also {
            pack_command(command, &mut tree, &cwd)?;
        }
        // Init comes where it is on the host: it may be the command too, and is packed once.
        let init = std::path::absolute(&self.init).map_err(Error::host("finding init"))?;
        tree.pack_here(&init)?;
        tree.link("init", &init.to_string_lossy());
        tree.pack_config_files();
        add_tools(&mut tree)?;
        tree.dir(&cwd);
        let config = Config {
            argv,
            env: self.environment(),
            cwd: cwd.to_string_lossy().into_owned(),
            out: self.outs.iter().map(|(guest, _)| guest.clone()).collect(),
        };
        let text = serde_json::to_vec(&config)
            .map_err(|error| Error::Guest(format!("cannot describe the command: {error}")))?;
        tree.bytes(CONFIG_PATH, text);
        Ok(tree)
    }

    fn environment(&self) -> Vec<(String, String)> {
        let own = |name: &str| {
            std::env::var(name)
                .ok()
                .map(|value| (name.to_owned(), value))
        };
        let mut env = vec![
            ("PATH".to_owned(), GUEST_PATH.to_owned()),
            ("HOME".to_owned(), "/root".to_owned()),
            ("USER".to_owned(), "root".to_owned()),
            ("LC_ALL".to_owned(), "C.UTF-8".to_owned()),
        ];
        // Libraries that the loader found by these are at the same paths in the guest.
        env.extend(
            ["LD_LIBRARY_PATH", "TERM", "RUST_BACKTRACE", "RUST_LOG"]
                .iter()
                .filter_map(|name| own(name)),
        );
        env.extend(self.env.iter().cloned());
        env
    }
}

/// Packs the programs of the command line; returns it with the program's path in the guest.
fn pack_command(command: &[String], tree: &mut Tree, cwd: &Path) -> Result<Vec<String>, Error> {
    let mut argv = command.to_vec();
    let Some(name) = command.first() else {
        return Err(Error::NoCommand);
    };
    let guest = cwd.join(name);
    if name.contains('/') && tree.has(&guest) {
        argv[0] = guest.to_string_lossy().into_owned();
    } else if let Some(found) = find_in_path(name) {
        let path = std::path::absolute(&found).map_err(Error::host("finding the command"))?;
        if !tree.has(&path) {
            tree.pack_here(&path)?;
        }
        argv[0] = path.to_string_lossy().into_owned();
    } else if !is_tool(name) {
        return Err(Error::CommandNotFound {
            command: name.clone(),
        });
    }
    for word in programs(command).into_iter().skip(1) {
        if is_tool(&word) {
            continue;
        }
        if let Some(found) = find_in_path(&word) {
            let path = std::path::absolute(found).map_err(Error::host("finding a command"))?;
            if !tree.has(&path) {
                tree.pack_here(&path)?;
            }
        }
    }
    Ok(argv)
}

/// A buffer that a run writes and its caller reads.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
