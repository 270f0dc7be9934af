//! Weights on a real kernel: processes that only compute, at different nice values.

use std::{
    fs,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::{
    charge::Charge,
    guest::{Outcome, counter},
};

/// Nice values and the kernel's weights for them (`sched_prio_to_weight`). On two
/// CPUs the heaviest is due 0.79 of one, so all shares can be had.
const HOGS: [(i32, f64); 7] = [
    (-5, 3121.0),
    (0, 1024.0),
    (0, 1024.0),
    (0, 1024.0),
    (0, 1024.0),
    (5, 335.0),
    (5, 335.0),
];
const SECONDS: u64 = 12;
/// Bound of the error of each share, as a share of it.
const TOLERANCE: f64 = 0.05;

/// A process that computes for ever, and ends with this value.
pub struct Hog {
    child: Child,
}

impl Hog {
    pub fn start(nice: i32) -> Result<Self, String> {
        let own = std::env::current_exe().map_err(|error| error.to_string())?;
        let child = Command::new(own)
            .args(["spin", &nice.to_string()])
            .stdin(Stdio::null())
            .spawn()
            .map_err(|error| format!("cannot start a hog: {error}"))?;
        Ok(Self { child })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Binds it to one CPU.
    #[allow(unsafe_code)]
    pub fn pinned(self, cpu: usize) -> Result<Self, String> {
        // SAFETY: the set is a valid value and has the size told.
        let answer = unsafe {
            let mut one: libc::cpu_set_t = std::mem::zeroed();
            libc::CPU_SET(cpu, &mut one);
            libc::sched_setaffinity(self.pid().cast_signed(), size_of_val(&one), &one)
        };
        match answer {
            0 => Ok(self),
            _ => Err(format!("cannot bind a hog to CPU {cpu}")),
        }
    }

    /// CPU time so far, in the ticks of `/proc`.
    pub fn ticks(&self) -> Result<u64, String> {
        ticks_of(self.pid())
    }
}

impl Drop for Hog {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// CPU time of a process, in the ticks of `/proc`.
pub fn ticks_of(pid: u32) -> Result<u64, String> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    // After the name, which may hold spaces, utime and stime are fields 11 and 12.
    let fields = text.rsplit(')').next().unwrap_or_default();
    let times = fields.split_whitespace().skip(11).take(2);
    let times: Result<Vec<u64>, _> = times.map(str::parse).collect();
    match times.as_deref() {
        Ok([utime, stime]) => Ok(utime + stime),
        _ => Err(format!("{path}: {text}")),
    }
}

/// What such a process does: takes its nice value and computes.
#[allow(unsafe_code)]
pub fn spin(nice: &str) {
    let nice = nice.parse().expect("a nice value");
    // SAFETY: no pointers; 0 is the calling process.
    let answer = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) };
    assert_eq!(
        answer,
        0,
        "setpriority: {}",
        std::io::Error::last_os_error()
    );
    loop {
        std::hint::spin_loop();
    }
}

/// Processes of different weights, more than CPUs, get shares by their weights.
pub fn weights() -> Outcome {
    let charge = Charge::take("eevdf", 120)?;
    let hogs: Result<Vec<_>, _> = HOGS.iter().map(|(nice, _)| Hog::start(*nice)).collect();
    let hogs = hogs?;
    let all = |hogs: &[Hog]| hogs.iter().map(Hog::ticks).collect::<Result<Vec<_>, _>>();
    thread::sleep(Duration::from_secs(1));
    let before = all(&hogs)?;
    thread::sleep(Duration::from_secs(SECONDS));
    let after = all(&hogs)?;
    drop(hogs);
    let report = charge.stop()?;
    judge(&before, &after, &report)
}

fn judge(before: &[u64], after: &[u64], report: &Value) -> Outcome {
    let used: Vec<f64> = before
        .iter()
        .zip(after)
        .map(|(b, a)| (a - b) as f64)
        .collect();
    let used_all: f64 = used.iter().sum();
    let weight_all: f64 = HOGS.iter().map(|(_, weight)| weight).sum();
    let mut ok = used_all > 0.0;
    let mut parts = Vec::new();
    for (used, (nice, weight)) in used.iter().zip(HOGS) {
        let (share, due) = (used / used_all, weight / weight_all);
        ok &= (share / due - 1.0).abs() <= TOLERANCE;
        parts.push(format!(
            "nice {nice}: {:.1} % of {:.1}",
            share * 100.0,
            due * 100.0
        ));
    }
    let counts = ["decisions", "holds", "rescues", "bypassed", "stale", "dry"];
    let counts = counts.map(|name| format!("{} {name}", counter(report, name)));
    let text = format!("{}; {}", parts.join(", "), counts.join(", "));
    if ok { Ok(text) } else { Err(text) }
}
