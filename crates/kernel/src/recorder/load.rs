//! The recorder's programs: loaded, attached, and what of them the kernel does not take.
#![allow(unsafe_code)]

use std::{
    io::{self, Read},
    mem::size_of,
    os::fd::AsFd,
    path::Path,
};

use baton_trace::Absent;
use libbpf_rs::{
    Link, MapCore, Object, ObjectBuilder, OpenObject, PrintLevel, ReferencesType,
    btf::{
        Btf,
        types::{Func, FuncProto, Ptr, Typedef, Var},
    },
};

use super::{
    abi::{Config, Task},
    error::RecordError,
    rings::{Rings, Sizes},
};
use crate::{
    abi::bytes_of,
    relay::{is_root, keep_log, kernel_release, log_tail},
    ring::Ring,
    symbols::{has_address, without_unknown},
    tasks,
};

static OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/record.bpf.o"));

/// Lists tasks when it is read.
const TASKS: &str = "record_tasks";

/// Whether this machine can be recorded at all.
pub(super) fn check() -> Result<(), RecordError> {
    if !is_root() {
        return Err(RecordError::NotRoot);
    }
    if !Path::new("/sys/kernel/btf/vmlinux").exists() {
        let release = kernel_release();
        return Err(RecordError::NoBtf { release });
    }
    Ok(())
}

/// The programs at work. They end when this is dropped.
#[derive(Debug)]
pub(super) struct Programs {
    links: Vec<Link>,
    object: Object,
}

/// Programs that run, the memory that they write, and what they cannot record.
pub(super) struct Attached {
    pub(super) programs: Programs,
    pub(super) rings: Rings,
    pub(super) shared: Ring,
    pub(super) absent: Vec<Absent>,
}

/// Loads and attaches. Nothing is recorded before [`Rings::begin`].
pub(super) fn attach(
    sizes: Sizes,
    online: &[u32],
    trampolines: bool,
) -> Result<Attached, RecordError> {
    libbpf_rs::set_print(Some((PrintLevel::Debug, keep_log)));
    let kernel = Kernel::look()?;
    let mut attached = attach_some(sizes, online, trampolines, &kernel)?;
    if !kernel.tells_interrupts {
        attached.absent.push(Absent {
            kind: "interrupts".into(),
            why:
                "this kernel does not let it be seen whether an interrupt is served: the waker of \
                  whom one wakes is the task that it came upon"
                    .into(),
        });
    }
    Ok(attached)
}

/// By trampolines, or else probes, or else without the balancer's questions.
fn attach_some(
    sizes: Sizes,
    online: &[u32],
    trampolines: bool,
    kernel: &Kernel,
) -> Result<Attached, RecordError> {
    let mut why = "it has no function can_migrate_task of its own".to_owned();
    // A kernel may have the functions and refuse to have them watched, at once or in the end.
    for ways in [Ways::Trampolines, Ways::Probes] {
        let possible = match ways {
            Ways::Trampolines => trampolines && kernel.queues,
            _ => true,
        };
        if !possible || !kernel.asks {
            continue;
        }
        match attach_with(sizes, online, kernel, ways) {
            Ok(attached) => return Ok(attached),
            Err(RecordError::Load { source, .. }) => why = source.to_string(),
            Err(error) => return Err(error),
        }
    }
    let mut attached = attach_with(sizes, online, kernel, Ways::Tracepoints)?;
    attached.absent.push(Absent {
        kind: "can_migrate".into(),
        why: format!("this kernel does not let the balancer's questions be seen: {why}"),
    });
    Ok(attached)
}

/// How functions of the kernel are watched: the balancer's question, and the request to another CPU
/// to complete a wakeup.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ways {
    /// Both by trampolines.
    Trampolines,
    /// The question by probes; the waker by a tracepoint.
    Probes,
    /// The question not at all.
    Tracepoints,
}

impl Ways {
    /// Whether a program is loaded; those for something else always are.
    fn want(self, program: &str) -> bool {
        match program {
            "record_asked" | "record_remote" => self == Self::Trampolines,
            "record_question" | "record_answer" => self == Self::Probes,
            "record_waking" => self != Self::Trampolines,
            _ => true,
        }
    }
}

fn attach_with(
    sizes: Sizes,
    online: &[u32],
    kernel: &Kernel,
    ways: Ways,
) -> Result<Attached, RecordError> {
    let failed = |step| move |source| refused(step, source);
    let mut open = ObjectBuilder::default()
        .open_memory(&without_unknown(OBJECT))
        .map_err(failed("opening it"))?;
    configure(&mut open, sizes, kernel, ways).map_err(failed("configuring it"))?;
    let object = open.load().map_err(failed("loading it"))?;
    let rings = Rings::map(&object, sizes, online).map_err(RecordError::system(UNMAPPED))?;
    let shared = map(&object, "shared_ring");
    let shared = Ring::map(shared.as_fd(), sizes.shared_bytes as usize)
        .map_err(RecordError::system(UNMAPPED))?;
    let programs = object.progs_mut();
    let links = programs
        .filter(|program| program.name() != TASKS && program.autoload())
        .map(|program| program.attach())
        .collect::<Result<_, _>>()
        .map_err(failed("attaching it"))?;
    Ok(Attached {
        programs: Programs { links, object },
        rings,
        shared,
        absent: Vec::new(),
    })
}

const UNMAPPED: &str = "cannot map the recorder's memory";

pub(super) fn refused(step: &'static str, source: libbpf_rs::Error) -> RecordError {
    let log = log_tail();
    RecordError::Load { step, source, log }
}

pub(super) fn map<'a>(object: &'a Object, name: &str) -> libbpf_rs::Map<'a> {
    let map = object.maps().find(|map| map.name() == name);
    map.expect("the recorder has the map")
}

/// What of the kernel decides how the programs are loaded.
struct Kernel {
    /// It has the balancer's question as a function.
    asks: bool,
    /// It has the request to another CPU as a function.
    queues: bool,
    /// `sched_switch` does not tell the state of the task that leaves.
    old_switch: bool,
    /// Whether an interrupt is served can be seen: x86 from 6.14 on.
    tells_interrupts: bool,
}

impl Kernel {
    fn look() -> Result<Self, RecordError> {
        let btf = Btf::from_vmlinux().map_err(|source| refused("reading its types", source))?;
        let arguments = btf
            .type_by_name::<Typedef<'_>>("btf_trace_sched_switch")
            .and_then(|typedef| Ptr::try_from(typedef.referenced_type()).ok())
            .and_then(|pointer| FuncProto::try_from(pointer.referenced_type()).ok())
            .map(|prototype| prototype.len());
        let has = |name: &str| btf.type_by_name::<Func<'_>>(name).is_some();
        Ok(Self {
            asks: has("can_migrate_task"),
            queues: has("__smp_call_single_queue"),
            // The first argument is the tracepoint's own.
            old_switch: arguments.is_some_and(|count| count < 5),
            tells_interrupts: btf.type_by_name::<Var<'_>>("__preempt_count").is_some()
                && has_address(&btf, "__preempt_count"),
        })
    }
}

fn configure(
    open: &mut OpenObject,
    sizes: Sizes,
    kernel: &Kernel,
    ways: Ways,
) -> Result<(), libbpf_rs::Error> {
    let config = Config {
        words: sizes.words,
        old_switch: u32::from(kernel.old_switch),
        pad: 0,
    };
    for mut map in open.maps_mut() {
        match map.name().to_string_lossy().as_ref() {
            ".rodata.config" => map.set_initial_value(bytes_of(&config))?,
            "rings" => {
                map.set_value_size((sizes.words * 8) as u32)?;
                map.set_max_entries(sizes.rings)?;
            }
            "shared_ring" => map.set_max_entries(sizes.shared_bytes)?,
            _ => {}
        }
    }
    for mut program in open.progs_mut() {
        let wanted = ways.want(&program.name().to_string_lossy());
        program.set_autoload(wanted);
    }
    Ok(())
}

impl Programs {
    /// Every task that there is.
    pub(super) fn tasks(&self) -> io::Result<Vec<Task>> {
        let program = self.object.progs().find(|program| program.name() == TASKS);
        let program = program.expect("the recorder has the program");
        let mut bytes = Vec::new();
        tasks::iterate(program.as_fd())?.read_to_end(&mut bytes)?;
        let records = bytes.chunks_exact(size_of::<Task>());
        Ok(records
            // SAFETY: long enough, and every bit pattern is a Task.
            .map(|record| unsafe { std::ptr::read_unaligned(record.as_ptr().cast()) })
            .collect())
    }

    /// The memory that the relay's recorder writes, too.
    pub(super) fn map(&self, name: &str) -> libbpf_rs::Map<'_> {
        map(&self.object, name)
    }

    /// Stops all programs; what they wrote can still be read.
    pub(super) fn detach(&mut self) {
        self.links.clear();
    }
}
