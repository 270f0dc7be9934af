//! The file `author.toml`.

use std::{
    io,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use zeroize::Zeroizing;

use super::{ConfigError, key_file};

/// What the file can have, for messages.
pub(super) const KEYS: &str = "url, model, key_file, key_env, key, temperature, seed, max_tokens \
                               and timeout_s";

/// Text that may be a key. It has no debug form.
#[derive(Default, Deserialize)]
#[serde(transparent)]
pub(super) struct KeyText(pub(super) String);

/// What the file says. It has no debug form: a key may be in it.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    pub(super) url: Option<String>,
    pub(super) model: Option<String>,
    pub(super) key_file: Option<PathBuf>,
    pub(super) key_env: Option<String>,
    pub(super) key: Option<KeyText>,
    pub(super) temperature: Option<f64>,
    pub(super) seed: Option<u64>,
    pub(super) max_tokens: Option<u32>,
    pub(super) timeout_s: Option<u64>,
    /// Where it lies.
    #[serde(skip)]
    pub(super) path: PathBuf,
    /// Whether others than its owner can read it.
    #[serde(skip)]
    pub(super) open_to_others: bool,
}

impl File {
    /// The file at this place; one that is not there says nothing.
    pub(super) fn read(path: &Path) -> Result<Self, ConfigError> {
        let (text, open_to_others) = match key_file::read_text(path) {
            Ok(read) => read,
            Err(error) if is_missing(&error) => return Ok(Self::default()),
            Err(source) => {
                let path = path.to_owned();
                return Err(ConfigError::Io { path, source });
            }
        };
        let text = Zeroizing::new(text);
        let mut file: Self = toml::from_str(&text).map_err(|error| {
            // The error's own text shows the line, and with it perhaps a key.
            let at = error.span().map_or(0, |span| span.start.min(text.len()));
            let before = &text.as_bytes()[..at];
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            let path = path.to_owned();
            ConfigError::File { path, line }
        })?;
        path.clone_into(&mut file.path);
        file.open_to_others = open_to_others;
        let keys = [
            file.key.is_some(),
            file.key_file.is_some(),
            file.key_env.is_some(),
        ];
        if keys.iter().filter(|given| **given).count() > 1 {
            let path = path.to_owned();
            return Err(ConfigError::ManyKeys { path });
        }
        Ok(file)
    }

    /// Whether it has a key or names one.
    pub(super) fn has_key(&self) -> bool {
        self.key.is_some() || self.key_file.is_some() || self.key_env.is_some()
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}
