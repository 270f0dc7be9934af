//! The scales of values.

/// Times are taken for at most this, nanoseconds: 18 minutes.
pub(crate) const TIME_MAX: u64 = 1 << 40;

/// The logarithm to the base of 2, times 256: whole below the power of two, linear between two of them, so
/// it is below the true one by 23 at most. 0 and 1 give 0, and what is above 2^40 counts as that.
///
/// ```
/// # use baton_model::log2_q8;
/// assert_eq!(log2_q8(1), 0);
/// assert_eq!(log2_q8(1024), 10 * 256);
/// assert_eq!(log2_q8(1536), 10 * 256 + 128);
/// assert_eq!(log2_q8(u64::MAX), 40 * 256);
/// ```
#[must_use]
pub const fn log2_q8(value: u64) -> u16 {
    if value <= 1 {
        return 0;
    }
    let value = if value > TIME_MAX { TIME_MAX } else { value };
    let log = value.ilog2();
    // The 8 bits after the first one.
    let rest = (value << (63 - log) >> 55) & 255;
    (log as u16) * 256 + rest as u16
}

/// The value of which [`log2_q8`] is this; what is below 0 counts as 0, and above 40 * 256 as that.
///
/// ```
/// # use baton_model::{exp2_q8, log2_q8};
/// assert_eq!(exp2_q8(-5), 1);
/// assert_eq!(exp2_q8(10 * 256 + 128), 1536);
/// assert!((0..=40 * 256).filter(|log| *log >= 8 * 256).all(|log| log2_q8(exp2_q8(log)) == log as u16));
/// ```
#[must_use]
pub const fn exp2_q8(log: i32) -> u64 {
    if log <= 0 {
        return 1;
    }
    if log >= 40 * 256 {
        return TIME_MAX;
    }
    let (whole, rest) = (log as u32 / 256, log as u64 % 256);
    (1 << whole) + ((rest << whole) >> 8)
}

/// 14 bits of a hash of a task's name (FNV-1a by Fowler, Noll and Vo, folded), up to the first zero.
#[must_use]
pub const fn hash_name(name: &[u8; 16]) -> u16 {
    let mut hash: u32 = 0x811c_9dc5;
    let mut index = 0;
    while index < name.len() && name[index] != 0 {
        hash = (hash ^ name[index] as u32).wrapping_mul(0x0100_0193);
        index += 1;
    }
    ((hash ^ (hash >> 14) ^ (hash >> 28)) & 0x3fff) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_is_near_the_true_one_and_never_falls() {
        let mut before = 0;
        for step in 0..4000_u32 {
            let value = 1.007_f64.powf(f64::from(step)) as u64;
            let log = log2_q8(value);
            assert!(log >= before, "{value}");
            before = log;
            let capped = value.clamp(1, TIME_MAX) as f64;
            let distance = (f64::from(log) - capped.log2() * 256.0).abs();
            assert!(distance <= 23.1, "{value}: {distance}");
        }
    }

    #[test]
    fn names_differ() {
        let name = |text: &str| {
            let mut name = [0; 16];
            name[..text.len()].copy_from_slice(text.as_bytes());
            name
        };
        assert_eq!(hash_name(&name("")), hash_name(&[0; 16]));
        let hashes: std::collections::BTreeSet<_> = (0..200)
            .map(|number| hash_name(&name(&format!("worker-{number}"))))
            .collect();
        assert!(hashes.len() > 190, "{}", hashes.len());
        let mut cut = name("bash");
        cut[10] = 7;
        assert_eq!(
            hash_name(&cut),
            hash_name(&name("bash")),
            "what follows a zero does not count"
        );
    }
}
