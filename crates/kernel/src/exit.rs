//! Why a scheduler ended, in words.

use std::fmt;

use serde::Serialize;

/// Why the relay was detached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ExitReason {
    /// A signal asked for it.
    Signal,
    /// The time was over.
    TimeOver,
    /// The kernel took the machine back: the scheduler did something forbidden, or
    /// let a runnable task wait for too long.
    Ejected {
        /// The kernel's word for it.
        reason: String,
        /// The kernel's message.
        message: String,
    },
    /// The condition of [`crate::RunConfig::guard`] did not hold.
    GuardBroken {
        /// The condition.
        condition: String,
        /// What was found instead, nanoseconds.
        value_ns: u64,
    },
    /// Another process took over; the relay goes on.
    Switched {
        /// Its policy.
        policy: String,
        /// Its process.
        pid: u32,
    },
    /// Somebody else asked the kernel to detach it (SysRq-S, or an operation).
    Detached {
        /// The kernel's word for it.
        reason: String,
    },
}

/// First of the kernel's numbers for errors (`SCX_EXIT_ERROR`).
const FIRST_ERROR: u32 = 1024;

impl ExitReason {
    /// The reason for the kernel's `scx_exit_kind`.
    #[must_use]
    pub fn from_kernel(kind: u32, reason: String, message: String) -> Self {
        if kind >= FIRST_ERROR {
            Self::Ejected { reason, message }
        } else {
            Self::Detached { reason }
        }
    }

    /// Whether the scheduler was thrown out for its behaviour.
    #[must_use]
    pub fn is_ejection(&self) -> bool {
        matches!(self, Self::Ejected { .. })
    }
}

impl fmt::Display for ExitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signal => f.write_str("stopped by a signal"),
            Self::TimeOver => f.write_str("the time was over"),
            Self::Ejected { reason, message } if message.is_empty() => {
                write!(f, "ejected by the kernel: {reason}")
            }
            Self::Ejected { reason, message } => {
                write!(f, "ejected by the kernel: {reason}: {message}")
            }
            Self::GuardBroken {
                condition,
                value_ns,
            } => {
                let value_ms = *value_ns as f64 / 1e6;
                write!(f, "{condition} did not hold: {value_ms:.3} ms")
            }
            Self::Switched { policy, pid } => {
                write!(f, "{policy} took over (process {pid})")
            }
            Self::Detached { reason } => write!(f, "detached by the kernel: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_apart() {
        let error = ExitReason::from_kernel(1026, "runnable task stall".into(), "cat[7]".into());
        assert!(error.is_ejection());
        assert_eq!(
            error.to_string(),
            "ejected by the kernel: runnable task stall: cat[7]"
        );
        assert!(!ExitReason::from_kernel(67, "sysrq-S".into(), String::new()).is_ejection());
    }
}
