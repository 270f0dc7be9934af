//! Names that tell tasks apart and nothing else.

use std::hash::Hasher;

use siphasher::sip::SipHasher24;

use crate::event::TaskInfo;

/// Puts a keyed hash in the place of a task's name. The key is random and is kept nowhere, so that
/// equal names of one recording are equal, and nobody can try names against the hashes.
#[derive(Clone)]
pub struct NameHider {
    key: [u8; 16],
}

impl std::fmt::Debug for NameHider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NameHider")
    }
}

impl NameHider {
    /// With a key of this process's own.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn random() -> std::io::Result<Self> {
        let mut key = [0; 16];
        getrandom::fill(&mut key).map_err(|error| std::io::Error::other(error.to_string()))?;
        Ok(Self { key })
    }

    /// With a given key, for tests.
    #[must_use]
    pub const fn with_key(key: [u8; 16]) -> Self {
        Self { key }
    }

    /// Hides the name.
    pub fn hide(&self, task: &mut TaskInfo) {
        task.name = self.hidden(task.name);
    }

    /// The name's hash (SipHash-2-4), in 16 hexadecimal digits.
    #[must_use]
    pub fn hidden(&self, name: [u8; 16]) -> [u8; 16] {
        let mut hasher = SipHasher24::new_with_key(&self.key);
        hasher.write(&name);
        let hash = hasher.finish();
        std::array::from_fn(|at| {
            let digit = (hash >> (60 - 4 * at) & 0xf) as u8;
            if digit < 10 {
                b'0' + digit
            } else {
                b'a' + digit - 10
            }
        })
    }
}
