//! Where the service's settings come from: flags, then the environment, then a file.
//!
//! A key is meant for one service. One that comes from a general place, such as `OPENAI_API_KEY`,
//! goes to the service of the same place only.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    Secret, Service, ServiceError,
    key_file::{self, KeyFileError},
    service::{is_local, origin},
    settings_file::{File, KEYS},
};

/// Where `OPENAI_API_KEY` may go without a word about it.
const OPENAI: &str = "https://api.openai.com:443";

/// What was given on the command line. A key itself is never: others would see it there.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--url`.
    pub url: Option<String>,
    /// `--model`.
    pub model: Option<String>,
    /// `--key-file`.
    pub key_file: Option<PathBuf>,
    /// `--temperature`.
    pub temperature: Option<f64>,
    /// `--model-seed`.
    pub seed: Option<u64>,
    /// `--max-tokens`.
    pub max_tokens: Option<u32>,
    /// `--timeout`.
    pub timeout: Option<Duration>,
}

/// A service, and what its user should know.
#[derive(Clone, Debug)]
pub struct Configured {
    /// The service.
    pub service: Service,
    /// Sentences for the user, such as that a key can be read by others.
    pub warnings: Vec<String>,
}

/// Why there is no service. No message holds a key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Nobody said which.
    #[error(
        "no service of a language model is named: give --url, such as http://127.0.0.1:8080/v1 for \
         llama.cpp or http://127.0.0.1:11434/v1 for Ollama, or set BATON_AUTHOR_URL"
    )]
    NoUrl,
    /// What was said makes no service.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// The file cannot be read.
    #[error("cannot read {}: {source}; make it readable, or take it away", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file has a mistake. Its text is not shown: a key may stand in it.
    #[error("{}:{line}: this is no setting; the file can have {KEYS}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// The file names more than one key.
    #[error("{}: it can have one of key, key_file and key_env; take the others out", path.display())]
    ManyKeys {
        /// The file.
        path: PathBuf,
    },
    /// The key's file.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// A key that cannot be one.
    #[error(
        "{from} holds no key: a key is one line without blanks, in ASCII; correct it, or take it away"
    )]
    NoKey {
        /// The variable or the file.
        from: String,
    },
    /// A number out of its range.
    #[error("{name} is {value}: give {range}")]
    Range {
        /// The setting.
        name: &'static str,
        /// What was given.
        value: String,
        /// What can be.
        range: &'static str,
    },
}

struct Sources<'a> {
    flags: &'a Flags,
    env: &'a dyn Fn(&str) -> Option<String>,
    file: File,
    warnings: Vec<String>,
}

/// The service that flags, environment and file name together. `env` gives a variable's value.
///
/// # Errors
/// See [`ConfigError`].
pub fn configure(
    flags: &Flags,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Configured, ConfigError> {
    // An empty variable is as good as none.
    let env = &|name: &str| env(name).filter(|value| !value.trim().is_empty());
    let file = match path(env) {
        Some(path) => File::read(&path)?,
        None => File::default(),
    };
    let mut sources = Sources {
        flags,
        env,
        file,
        warnings: Vec::new(),
    };
    let url = sources.url().ok_or(ConfigError::NoUrl)?;
    let model = (flags.model.clone())
        .or_else(|| env("BATON_AUTHOR_MODEL"))
        .or_else(|| sources.file.model.clone())
        .ok_or(ServiceError::NoModel)?;
    let key = sources.key(&url)?;
    let mut service = Service::new(&url, model, key)?;
    sources.settle(&mut service)?;
    Ok(Configured {
        service,
        warnings: sources.warnings,
    })
}

/// Where the file lies, if the environment tells.
fn path(env: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    // The specification of the XDG directories has relative ones ignored.
    let absolute = |path: String| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
    let config = env("XDG_CONFIG_HOME").and_then(absolute);
    let config = config.or_else(|| env("HOME").map(|home| Path::new(&home).join(".config")));
    config.map(|config| config.join("baton/author.toml"))
}

impl Sources<'_> {
    fn url(&self) -> Option<String> {
        (self.flags.url.clone())
            .or_else(|| (self.env)("BATON_AUTHOR_URL"))
            .or_else(|| (self.env)("OPENAI_BASE_URL"))
            .or_else(|| self.file.url.clone())
    }

    /// The key for the service at this URL.
    fn key(&mut self, url: &str) -> Result<Option<Secret>, ConfigError> {
        if let Some(path) = self.flags.key_file.clone() {
            return self.key_of_file(&path).map(Some);
        }
        if let Some(text) = (self.env)("BATON_AUTHOR_KEY") {
            return key_of("BATON_AUTHOR_KEY", text).map(Some);
        }
        if let Some(text) = (self.env)("OPENAI_API_KEY") {
            let base = (self.env)("OPENAI_BASE_URL");
            let base = base.map_or_else(|| Some(OPENAI.to_owned()), |base| origin(&base));
            if self.is_for(url, base, "OPENAI_API_KEY") {
                return key_of("OPENAI_API_KEY", text).map(Some);
            }
        }
        self.key_of_settings(url)
    }

    /// The key that the settings file holds or names.
    fn key_of_settings(&mut self, url: &str) -> Result<Option<Secret>, ConfigError> {
        let path = self.file.path.clone();
        if !self.file.has_key() {
            return Ok(None);
        }
        if let Some(own) = &self.file.url
            && !self.is_for(url, origin(own), &format!("the key of {}", path.display()))
        {
            return Ok(None);
        }
        if let Some(text) = self.file.key.take() {
            if self.file.open_to_others {
                self.warnings.push(key_file::open_to_others(&path));
            }
            return key_of(&path.display().to_string(), text.0).map(Some);
        }
        if let Some(name) = &self.file.key_env {
            let text = (self.env)(name).unwrap_or_default();
            return key_of(name, text).map(Some);
        }
        let Some(file) = self.file.key_file.clone() else {
            return Ok(None);
        };
        let home = (self.env)("HOME").unwrap_or_default();
        let file = match file.strip_prefix("~") {
            Ok(rest) => Path::new(&home).join(rest),
            Err(_) => path.parent().unwrap_or(Path::new("/")).join(file),
        };
        self.key_of_file(&file).map(Some)
    }

    fn key_of_file(&mut self, path: &Path) -> Result<Secret, ConfigError> {
        let (text, open) = key_file::read(path)?;
        if open {
            self.warnings.push(key_file::open_to_others(path));
        }
        key_of(&path.display().to_string(), text)
    }

    /// Whether a key for this origin may go to that URL; the user is told if not, unless the
    /// service is on this machine and hardly wants one.
    fn is_for(&mut self, url: &str, wanted: Option<String>, what: &str) -> bool {
        let to = origin(url);
        let is_for = to.is_some() && to == wanted;
        if !is_for && !is_local(url) {
            self.warnings.push(format!(
                "{what} is for another service and is not sent to this one: give its own key by \
                 --key-file or BATON_AUTHOR_KEY if it wants one"
            ));
        }
        is_for
    }

    /// The numbers.
    fn settle(&self, service: &mut Service) -> Result<(), ConfigError> {
        let (flags, file) = (self.flags, &self.file);
        service.temperature = flags.temperature.or(file.temperature);
        service.seed = flags.seed.or(file.seed);
        if let Some(tokens) = flags.max_tokens.or(file.max_tokens) {
            service.max_tokens = tokens;
        }
        let timeout = flags.timeout;
        if let Some(timeout) = timeout.or(file.timeout_s.map(Duration::from_secs)) {
            service.timeout = timeout;
        }
        let range = |fits: bool, name, value: &dyn fmt::Display, range| {
            let value = value.to_string();
            let error = ConfigError::Range { name, value, range };
            if fits { Ok(()) } else { Err(error) }
        };
        let temperature = service.temperature.unwrap_or_default();
        let fits = (0.0..=2.0).contains(&temperature);
        range(fits, "the temperature", &temperature, "0 to 2")?;
        let tokens = service.max_tokens;
        let fits = (16..=1_000_000).contains(&tokens);
        range(
            fits,
            "the most tokens of an answer",
            &tokens,
            "16 to 1000000",
        )?;
        let timeout_s = service.timeout.as_secs_f64();
        let fits = (1.0..=86_400.0).contains(&timeout_s);
        range(fits, "the timeout in seconds", &timeout_s, "1 to 86400")
    }
}

fn key_of(from: &str, text: String) -> Result<Secret, ConfigError> {
    let from = from.to_owned();
    Secret::new(text).ok_or(ConfigError::NoKey { from })
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
