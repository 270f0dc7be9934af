//! What the tasks of a workload are called.
//!
//! The kernel shows a name of at most 15 bytes, and a learned policy may take it as a feature. With
//! a salt the names say nothing, and differ from salt to salt, so that a policy cannot know a
//! benchmark by them; all tasks of one role still share one name, as they would in an application.

use std::ffi::CString;

pub(crate) const SENDER: &str = "msg-send";
pub(crate) const RECEIVER: &str = "msg-recv";
pub(crate) const PING: &str = "pipe-ping";
pub(crate) const PONG: &str = "pipe-pong";
pub(crate) const FRAME_INPUT: &str = "frame-input";
pub(crate) const FRAME_SIMULATE: &str = "frame-simulate";
pub(crate) const FRAME_RENDER: &str = "frame-render";
pub(crate) const FRAME_PRESENT: &str = "frame-present";
pub(crate) const HOG: &str = "hog";
pub(crate) const POLITE: &str = "polite";
pub(crate) const HOSTILE_HOG: &str = "hostile-hog";
pub(crate) const HOSTILE_STORM: &str = "hostile-storm";
pub(crate) const HOSTILE_FORK: &str = "hostile-fork";
pub(crate) const BUILD_UNIT: &str = "build-unit";
pub(crate) const BUILD_LINK: &str = "build-link";

/// The name of the tasks of this role.
pub(crate) fn task_name(role: &str, salt: Option<&str>) -> String {
    let Some(salt) = salt else {
        return role.to_owned();
    };
    let text = [salt, "/", role].concat();
    let mut letters = fastrand::Rng::with_seed(fnv1a(text.bytes()));
    let length = letters.usize(4..=10);
    (0..length).map(|_| letters.lowercase()).collect()
}

/// The same, for a process that names itself after fork.
pub(crate) fn task_name_c(role: &str, salt: Option<&str>) -> CString {
    // The names above and the letters hold no NUL, so there is no error to lose.
    CString::new(task_name(role, salt)).unwrap_or_default()
}

/// The FNV-1a hash (Fowler, Noll, Vo): the same on every machine and in every release.
pub(crate) fn fnv1a(bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn salted_names_are_stable_distinct_and_short() {
        assert_eq!(task_name(HOG, None), "hog");
        assert_eq!(task_name(HOG, Some("a")), task_name(HOG, Some("a")));
        assert_ne!(task_name(HOG, Some("a")), task_name(HOG, Some("b")));
        assert_ne!(task_name(SENDER, Some("a")), task_name(RECEIVER, Some("a")));
        for salt in 0..100 {
            assert!(task_name(FRAME_PRESENT, Some(&salt.to_string())).len() <= 15);
        }
    }
}
