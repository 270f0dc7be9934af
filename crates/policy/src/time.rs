//! Units. All times are unsigned nanoseconds; these make constants readable.

/// Nanoseconds in a microsecond.
pub const US: u64 = 1_000;
/// Nanoseconds in a millisecond.
pub const MS: u64 = 1_000_000;
/// Nanoseconds in a second.
pub const SEC: u64 = 1_000_000_000;

/// Weight of a task at nice 0 in a cgroup of weight 100, as in `cpu.weight`.
pub const WEIGHT_DEFAULT: u32 = 100;

/// Whether key `a` goes before key `b`. Keys are compared as the kernel compares
/// them, with wrap-around: only keys less than 2^63 apart have an order.
#[must_use]
pub const fn key_before(a: u64, b: u64) -> bool {
    (a.wrapping_sub(b) as i64) < 0
}

/// Scales a CPU time by a task's weight: at twice the default weight a task is
/// charged half its time. Saturates; a weight of 0 counts as 1.
///
/// ```
/// use baton_policy::weighted;
/// assert_eq!(weighted(1_000, 100), 1_000);
/// assert_eq!(weighted(1_000, 200), 500);
/// ```
#[must_use]
pub const fn weighted(runtime_ns: u64, weight: u32) -> u64 {
    let weight = if weight == 0 { 1 } else { weight as u64 };
    match runtime_ns.checked_mul(WEIGHT_DEFAULT as u64) {
        Some(scaled) => scaled / weight,
        None => u64::MAX / weight,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_wrap_around() {
        assert!(key_before(1, 2));
        assert!(!key_before(2, 2));
        assert!(key_before(u64::MAX, 0));
        assert!(!key_before(0, u64::MAX));
    }

    #[test]
    fn weights_scale_and_saturate() {
        assert_eq!(weighted(300, 1), 30_000);
        assert_eq!(weighted(300, 0), 30_000);
        assert_eq!(weighted(u64::MAX, 10_000), u64::MAX / 10_000);
    }
}
