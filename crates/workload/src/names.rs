//! What the tasks of a workload are called.
//!
//! The kernel shows a name of at most 15 bytes, and a learned policy may take it as a feature. With
//! a salt the names say nothing, and differ from salt to salt, so that a policy cannot know a
//! benchmark by them; all tasks of one role still share one name, as they would in an application.

#[cfg(feature = "real")]
use std::ffi::CString;

/// Sends messages.
pub const SENDER: &str = "msg-send";
/// Receives them.
pub const RECEIVER: &str = "msg-recv";
/// Has the token first.
pub const PING: &str = "pipe-ping";
/// Returns it.
pub const PONG: &str = "pipe-pong";
/// The first stage of a frame.
pub const FRAME_INPUT: &str = "frame-input";
/// The second.
pub const FRAME_SIMULATE: &str = "frame-simulate";
/// The third.
pub const FRAME_RENDER: &str = "frame-render";
/// The last.
pub const FRAME_PRESENT: &str = "frame-present";
/// Computes and never sleeps.
pub const HOG: &str = "hog";
/// The process of the polite cgroup.
pub const POLITE: &str = "polite";
/// Computes in the hostile one.
pub const HOSTILE_HOG: &str = "hostile-hog";
/// Forks in the hostile one.
pub const HOSTILE_STORM: &str = "hostile-storm";
/// What it forks.
pub const HOSTILE_FORK: &str = "hostile-fork";
/// Compiles a unit.
pub const BUILD_UNIT: &str = "build-unit";
/// Gets requests and wakes workers.
pub const MESSENGER: &str = "req-messenger";
/// Computes a part of a request.
pub const WORKER: &str = "req-worker";
/// Mixes sound.
pub const AUDIO: &str = "audio-mixer";
/// Wakes for each picture of a stream.
pub const ENCODER: &str = "encoder";
/// Encodes a part of it.
pub const ENCODER_SLICE: &str = "encoder-slice";
/// The service of a tenant.
pub const TENANT_SERVICE: &str = "tenant-service";
/// Computes in a tenant's cgroup.
pub const TENANT_HOG: &str = "tenant-hog";
/// Links a program.
pub const BUILD_LINK: &str = "build-link";
/// The thread of a workload's process that waits for its end.
pub const MAIN: &str = "main";

/// All of them, and those of threads that see to a part, which are called as it is.
const ROLES: [&str; 30] = [
    SENDER,
    RECEIVER,
    PING,
    PONG,
    FRAME_INPUT,
    FRAME_SIMULATE,
    FRAME_RENDER,
    FRAME_PRESENT,
    HOG,
    POLITE,
    HOSTILE_HOG,
    HOSTILE_STORM,
    HOSTILE_FORK,
    BUILD_UNIT,
    MESSENGER,
    WORKER,
    AUDIO,
    ENCODER,
    ENCODER_SLICE,
    TENANT_SERVICE,
    TENANT_HOG,
    BUILD_LINK,
    MAIN,
    "messaging",
    "hogs",
    "build",
    "compile",
    "isolation",
    "requests",
    "tenants",
];

/// The name of the tasks of this role.
pub fn task_name(role: &str, salt: Option<&str>) -> String {
    let Some(salt) = salt else {
        return role.to_owned();
    };
    let text = [salt, "/", role].concat();
    let mut letters = fastrand::Rng::with_seed(fnv1a(text.bytes()));
    let length = letters.usize(4..=10);
    (0..length).map(|_| letters.lowercase()).collect()
}

/// The role of the tasks that have this name with this salt; none of a foreign one.
#[must_use]
pub fn role(name: &str, salt: &str) -> Option<&'static str> {
    ROLES
        .into_iter()
        .find(|role| task_name(role, Some(salt)) == name)
}

/// A name as [`task_name`] gives it, for a process that names itself after fork.
#[cfg(feature = "real")]
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
    #[test]
    fn roles_are_told_by_name_and_salt() {
        for role_before in ROLES {
            for salt in ["a", "5f3a"] {
                let name = task_name(role_before, Some(salt));
                assert_eq!(role(&name, salt), Some(role_before));
            }
        }
        assert_eq!(role(&task_name(HOG, Some("a")), "b"), None);
        assert_eq!(role("kworker/0:1", "a"), None);
        // None of the names above is forgotten.
        let constants = include_str!("names.rs")
            .lines()
            .filter(|line| line.starts_with("pub const "));
        let values: Vec<&str> = constants
            .filter_map(|line| line.split('"').nth(1))
            .collect();
        assert!(values.len() > 20, "{values:?}");
        for value in values {
            assert!(ROLES.contains(&value), "{value}");
        }
    }
}
