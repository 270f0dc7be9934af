//! What things cost on a machine: the table `[costs]` of a machine file. Only the simulator reads it.
//!
//! Every cost has a default, so that a file names those alone that differ. The defaults are orders of
//! magnitude of current x86 servers; each says where it comes from. A result of the simulator should
//! hold from half to twice their value.

use serde::Deserialize;
use toml::Spanned;

use crate::mistake::Mistake;

/// Makes the structs and the check from one list: documentation, name, default, least and most.
macro_rules! costs {
    ($($(#[$doc:meta])* $name:ident: $default:literal, $least:literal..=$most:literal;)+) => {
        /// Costs of a machine, whole numbers in the unit at the end of the name.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Costs {
            $($(#[$doc])* pub $name: u64,)+
        }

        impl Default for Costs {
            fn default() -> Self {
                Self { $($name: $default,)+ }
            }
        }

        #[derive(Default, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct RawCosts {
            $($name: Option<Spanned<u64>>,)+
        }

        impl RawCosts {
            pub(crate) fn check(self) -> Result<Costs, Mistake> {
                let mut costs = Costs::default();
                $(if let Some(given) = self.$name {
                    let value = *given.as_ref();
                    if !($least..=$most).contains(&value) {
                        let problem = format!(
                            concat!("costs.", stringify!($name), " = {} is outside {} to {}"),
                            value, $least as u64, $most as u64
                        );
                        return Err((given.span(), problem));
                    }
                    costs.$name = value;
                })+
                Ok(costs)
            }
        }

        impl Costs {
            /// Every cost by its name, in the order of the documentation.
            pub fn entries(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name)),+].into_iter()
            }

            /// The costs with the one of this name changed, within its bounds; `None` if there is
            /// none of this name. For looking whether a result depends on a cost.
            #[must_use]
            pub fn with(mut self, name: &str, value: u64) -> Option<Self> {
                match name {
                    $(stringify!($name) => self.$name = value.clamp($least, $most),)+
                    _ => return None,
                }
                Some(self)
            }
        }
    };
}

costs! {
    /// From one task to another on a CPU, charged to the one that comes. 1.2 to 1.5 us on servers
    /// with pinned tasks in B. Sigoure's "How long does it take to make a context switch?" (2010);
    /// lmbench's `lat_ctx` gives 1 to 2 us.
    switch_ns: 1_500, 0..=1_000_000;
    /// What waking another task costs the waker: about half of lmbench's one-way pipe latency on one
    /// CPU without the switch.
    wake_ns: 700, 0..=1_000_000;
    /// From the request to another CPU's interrupt handler. ghOSt (SOSP 2021, table 3): a remote
    /// commit takes 1.8 us where a local one takes 0.9.
    ipi_ns: 1_000, 0..=1_000_000;
    /// Leaving the shallow idle state: the exit latency of C1 in the kernel's `intel_idle` tables is
    /// 1 to 2 us.
    idle_exit_ns: 2_000, 0..=10_000_000;
    /// Leaving the deep idle state: the exit latency of C6 in the same tables is 85 to 170 us.
    deep_exit_ns: 100_000, 0..=10_000_000;
    /// How long a CPU idles before it is in the deep state: the target residency of C6 there is 200
    /// to 600 us.
    deep_after_ns: 600_000, 0..=10_000_000_000;
    /// The period of the tick on a busy CPU: `CONFIG_HZ=250`, as Debian and Ubuntu build it.
    tick_period_ns: 4_000_000, 100_000..=100_000_000;
    /// One tick: the timer's interrupt and what it does; 1 to 2 us in measurements of OS noise such as
    /// the kernel's `osnoise` documentation shows.
    tick_ns: 1_000, 0..=1_000_000;
    /// A system call with little work, such as a read of some bytes from a pipe: lmbench's `lat_syscall`
    /// and `lat_pipe`, with mitigations.
    syscall_ns: 500, 0..=1_000_000;
    /// Sending a small message through a socket, or receiving it: lmbench's `lat_unix` is one and a half
    /// to two times its `lat_pipe`.
    message_ns: 1_000, 0..=1_000_000;
    /// What it costs a receiver more to find no message, sleep, and look again when it is woken. On a
    /// processor a part of `switch_ns`, as lmbench's `lat_ctx` measures that between tasks that wait for
    /// each other, and so left to that one by default; an emulated one takes longer.
    message_wait_ns: 0, 0..=1_000_000;
    /// How long a thread of the kernel's own computes when it wakes: a kworker, RCU, a softirq's rest. Of
    /// the order of what the kernel's `osnoise` documentation shows for a thread.
    noise_ns: 20_000, 0..=10_000_000;
    /// How often that happens for each last-level cache, on average; 0: never.
    noise_period_ns: 10_000_000, 0..=10_000_000_000;
    /// Creating a process, for the parent: lmbench's `lat_proc fork` gives 60 to 150 us.
    fork_ns: 100_000, 0..=100_000_000;
    /// Executing a program, for the child: `lat_proc exec` less `lat_proc fork`, 200 to 500 us.
    exec_ns: 400_000, 0..=100_000_000;
    /// Ending a process, for itself: its memory is given back.
    exit_ns: 50_000, 0..=100_000_000;
    /// Refilling a core's own caches from the cache that cores share, for each KiB of working set: about
    /// 25 GB/s of L3 bandwidth for one core.
    refill_llc_ns_per_kib: 40, 0..=100_000;
    /// Refilling from the node's memory after a move to another last-level cache: about 10 GB/s for one
    /// core. Within 100 us to milliseconds in all, as in Li, Ding and Shen, "Quantifying the cost of context
    /// switch" (ExpCS 2007).
    refill_memory_ns_per_kib: 100, 0..=100_000;
    /// As before, after a move to another node at distance 20; grows and shrinks with the distance.
    /// Remote bandwidth is half to two thirds of the local one in Intel's Memory Latency Checker.
    refill_remote_ns_per_kib: 180, 0..=100_000;
    /// A core's own cache: no more than this is lost by a move within a last-level cache. 1 MiB of L2 in
    /// Intel's and AMD's server cores since 2017 and 2022.
    core_cache_kib: 1_024, 1..=1_048_576;
    /// The share of a last-level cache that one task can hope for; no more is lost by leaving it.
    llc_share_kib: 8_192, 1..=1_048_576;
    /// How fast a hardware thread runs while its sibling is busy, in percent of alone. Two together do
    /// then 1.24 times the work: within the 1.15 to 1.3 of Marr et al., "Hyper-Threading Technology
    /// Architecture and Microarchitecture" (Intel Technology Journal, 2002).
    smt_percent: 62, 1..=100;
    /// From an event that wakes a policy's process to its first look at the ring, on a busy CPU: a wake by
    /// eventfd takes 2.7 to 4 us (measured for Baton, see docs/simulator.md).
    process_wake_ns: 4_000, 0..=100_000_000;
    /// One batch of a policy's process: looking at the ring and one system call for all decisions. An
    /// empty BPF program by syscall took 0.5 us (measured likewise).
    process_batch_ns: 1_000, 0..=100_000_000;
    /// One event in a batch. ghOSt: 265 ns for a message to a global agent.
    process_event_ns: 300, 0..=10_000_000;
    /// One decision in a batch. ghOSt: 888 ns for a local commit; several in one batch cost less each.
    process_decision_ns: 500, 0..=10_000_000;
    /// What the relay's programs add to a wakeup, for the waker: its choice of a CPU, the enqueue and its
    /// event. On a processor 0.1 to 0.3 us, a small part of what is uncertain about `wake_ns`, and so left
    /// to that one by default; an emulated one takes a hundred times as long (docs/benchmarks.md).
    relay_wake_ns: 0, 0..=1_000_000;
    /// What they add to a switch, for the task that comes: the dispatch, and what is counted at the end of
    /// one task's run and the begin of the other's. As `relay_wake_ns`, beside `switch_ns`.
    relay_switch_ns: 0, 0..=1_000_000;
    /// Events that the ring between relay and process holds: 4 MiB of records of 104 bytes.
    ring_events: 40_000, 16..=16_000_000;
    /// Power of a CPU of full capacity that computes; smaller ones need their share by capacity. A
    /// server's package of 200 W and 48 cores.
    busy_mw: 4_000, 0..=1_000_000;
    /// The slowest that a policy can have a CPU compute (`Decision::performance`), in percent of its full
    /// speed: 0.8 of 4 GHz, as processors of laptops and servers offer.
    slowest_percent: 20, 1..=100;
    /// Power of an idle CPU in the shallow state: about a tenth to a fifth of a busy one.
    idle_mw: 600, 0..=1_000_000;
    /// Power of an idle CPU in the deep state.
    deep_mw: 50, 0..=1_000_000;
}

#[cfg(test)]
mod tests {
    use super::Costs;

    #[test]
    fn costs_are_changed_by_name_within_their_bounds() {
        let costs = Costs::default().with("smt_percent", 400).unwrap();
        assert_eq!(costs.smt_percent, 100);
        assert_eq!(costs.clone().with("smt", 1), None);
        assert!(
            costs
                .entries()
                .any(|entry| entry == ("tick_period_ns", 4_000_000))
        );
    }
}
