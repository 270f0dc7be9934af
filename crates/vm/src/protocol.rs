//! What host and guest say to each other.
//!
//! The host leaves a [`Config`] in the initramfs. Over the control port go lines of JSON, one message
//! each; over the other ports plain bytes. The guest tells how many bytes it sent, so that the host
//! knows when it has them all, and only then lets the guest go.

use std::io::{BufRead, Read};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Where the configuration lies in the guest; its presence tells init that it is init.
pub(crate) const CONFIG_PATH: &str = "/etc/baton-vm.json";
/// A control message is shorter than this.
const MAX_LINE_BYTES: u64 = 64 * 1024;

/// Names of the virtio-serial ports.
pub(crate) mod port {
    /// Control messages, both ways.
    pub(crate) const CONTROL: &str = "baton.control";
    /// The command's standard output.
    pub(crate) const STDOUT: &str = "baton.stdout";
    /// The command's standard error.
    pub(crate) const STDERR: &str = "baton.stderr";
    /// A tar stream of the files asked for.
    pub(crate) const FILES: &str = "baton.files";
}

/// What init shall do.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Config {
    /// The command and its arguments. JSON has no bytes, so arguments are text.
    pub(crate) argv: Vec<String>,
    /// Its whole environment.
    pub(crate) env: Vec<(String, String)>,
    /// Its working directory; made if it does not exist.
    pub(crate) cwd: String,
    /// Paths to send when the command has ended, in the order of the tar stream's top directories.
    pub(crate) out: Vec<String>,
}

/// From guest to host.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromGuest {
    /// Init runs and starts the command next.
    Ready { release: String },
    /// All is over; the counts are those of the whole run.
    Exit {
        /// The command's exit status; 128 + N when signal N ended it.
        status: i32,
        stdout_bytes: u64,
        stderr_bytes: u64,
        files_bytes: u64,
        /// Those of `Config::out` that do not exist.
        missing: Vec<String>,
    },
    /// Init cannot go on.
    Failed { problem: String },
}

/// From host to guest.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromHost {
    /// Send this signal to the command's process group.
    Signal { number: i32 },
    /// The host has everything: power off.
    Bye,
}

/// One message as its line.
pub(crate) fn line(message: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(message).unwrap_or_default();
    line.push(b'\n');
    line
}

/// The next message that can be understood; `None` at the end. The other side may be broken or
/// hostile, so lines have a bound and noise is skipped.
pub(crate) fn next<M: DeserializeOwned>(reader: &mut impl BufRead) -> Option<M> {
    loop {
        let mut line = Vec::new();
        let count = reader
            .by_ref()
            .take(MAX_LINE_BYTES)
            .read_until(b'\n', &mut line)
            .ok()?;
        if count == 0 {
            return None;
        }
        if let Ok(message) = serde_json::from_slice(&line) {
            return Some(message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_noise() {
        let mut bytes = b"noise\n{}\n".to_vec();
        bytes.extend(vec![b'x'; 100_000]);
        bytes.push(b'\n');
        bytes.extend(line(&FromHost::Signal { number: 2 }));
        bytes.extend(line(&FromHost::Bye));
        let mut reader = bytes.as_slice();
        assert!(matches!(
            next(&mut reader),
            Some(FromHost::Signal { number: 2 })
        ));
        assert!(matches!(next(&mut reader), Some(FromHost::Bye)));
        assert!(next::<FromHost>(&mut reader).is_none());
    }
}
