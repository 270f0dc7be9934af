//! Whom to ask, and what.

use std::{net::IpAddr, time::Duration};

use serde::{Deserialize, Serialize};
use ureq::http::Uri;

use super::Secret;

/// Who says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// What holds for the whole conversation.
    System,
    /// Who asks.
    User,
    /// The model.
    Assistant,
}

/// Something that was said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who said it.
    pub role: Role,
    /// What.
    pub content: String,
}

impl Message {
    /// Something that this one says.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self {
            role,
            content: content.into(),
        }
    }
}

/// When a question is asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// How often, after the first time.
    pub times: u32,
    /// How long to wait before the first of them; before each other twice as long.
    pub first: Duration,
    /// Longest wait, also where the service asks for a longer one.
    pub longest: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            times: 4,
            first: Duration::from_secs(1),
            longest: Duration::from_secs(60),
        }
    }
}

/// A language model at a service.
#[derive(Clone, Debug)]
pub struct Service {
    /// What stands before `/chat/completions`; checked by [`Service::new`].
    base_url: String,
    /// The model's name at the service.
    pub model: String,
    /// What the service wants to see, if anything.
    key: Option<Secret>,
    /// How much chance there is in an answer; without one the service's own.
    pub temperature: Option<f64>,
    /// The seed of that chance, for services that take one.
    pub seed: Option<u64>,
    /// Most tokens of an answer.
    pub max_tokens: u32,
    /// How long a question may take, retries included.
    pub timeout: Duration,
    /// When to ask again.
    pub retry: Retry,
}

/// Why this cannot be a service. The messages never hold the URL: it may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// Not the URL of a service.
    #[error(
        "the service's URL {0}: give one such as http://127.0.0.1:8080/v1 or https://HOST/v1 \
         (--url, or BATON_AUTHOR_URL)"
    )]
    Url(&'static str),
    /// A user's name or password in the URL.
    #[error(
        "the service's URL has a user's name or a password in it, which other programs would see: \
         take it out, and give the key by --key-file or BATON_AUTHOR_KEY"
    )]
    Credentials,
    /// A key that anybody on the way could read.
    #[error(
        "the key would go to {host} unencrypted: give an https URL, reach the service through a \
         tunnel to localhost, or give no key"
    )]
    PlainKey {
        /// The host.
        host: String,
    },
    /// No model.
    #[error("no model is named: give --model NAME, or set BATON_AUTHOR_MODEL")]
    NoModel,
}

/// Whether a URL's host is this machine.
fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let lower = bare.to_ascii_lowercase();
    match bare.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => address.to_canonical().is_loopback(),
        Ok(address) => address.is_loopback(),
        Err(_) => lower == "localhost" || lower.ends_with(".localhost"),
    }
}

fn checked(url: &str) -> Result<Uri, ServiceError> {
    if url.is_empty() {
        return Err(ServiceError::Url("is empty"));
    }
    if url.contains(['?', '#']) {
        return Err(ServiceError::Url("has a query or a fragment"));
    }
    let uri: Uri = url.parse().map_err(|_| ServiceError::Url("is none"))?;
    match uri.scheme_str() {
        Some("http" | "https") => {}
        Some(_) => return Err(ServiceError::Url("is neither http nor https")),
        None => return Err(ServiceError::Url("has no http:// or https://")),
    }
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    if authority.contains('@') {
        return Err(ServiceError::Credentials);
    }
    if uri.host().is_none_or(str::is_empty) {
        return Err(ServiceError::Url("has no host"));
    }
    Ok(uri)
}

impl Service {
    /// The service at this URL, asked for this model; the rest is settled by assigning fields.
    ///
    /// # Errors
    /// The URL is none, or its scheme or what else is in it would show the key to others.
    pub fn new(
        base_url: &str,
        model: impl Into<String>,
        key: Option<Secret>,
    ) -> Result<Self, ServiceError> {
        let trimmed = base_url.trim().trim_end_matches('/');
        let base = trimmed.strip_suffix("/chat/completions").unwrap_or(trimmed);
        let uri = checked(base)?;
        let host = uri.host().unwrap_or_default();
        if key.is_some() && uri.scheme_str() == Some("http") && !is_loopback(host) {
            let host = host.to_owned();
            return Err(ServiceError::PlainKey { host });
        }
        let model = model.into();
        if model.trim().is_empty() {
            return Err(ServiceError::NoModel);
        }
        Ok(Self {
            base_url: base.to_owned(),
            model,
            key,
            temperature: None,
            seed: None,
            max_tokens: 8192,
            timeout: Duration::from_secs(600),
            retry: Retry::default(),
        })
    }

    /// What stands before `/chat/completions`. It holds no secret.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The key.
    #[must_use]
    pub const fn key(&self) -> Option<&Secret> {
        self.key.as_ref()
    }

    /// The host, and the port if it is named.
    #[must_use]
    pub fn host(&self) -> &str {
        let rest = self.base_url.split("://").nth(1).unwrap_or_default();
        rest.split('/').next().unwrap_or_default()
    }

    /// Whether it is on this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        is_local(&self.base_url)
    }

    /// The text without the key.
    pub(super) fn scrub(&self, text: &str) -> String {
        match &self.key {
            Some(key) => key.scrub(text),
            None => text.to_owned(),
        }
    }
}

/// Whether a URL's service is on this machine.
pub(super) fn is_local(url: &str) -> bool {
    checked(url).is_ok_and(|uri| uri.host().is_some_and(is_loopback))
}

/// A URL's scheme, host and port: who a key is for.
pub(super) fn origin(url: &str) -> Option<String> {
    let uri = checked(url.trim()).ok()?;
    let scheme = uri.scheme_str()?;
    let port = uri.port_u16();
    let port = port.unwrap_or(if scheme == "https" { 443 } else { 80 });
    Some(format!(
        "{scheme}://{}:{port}",
        uri.host()?.to_ascii_lowercase()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_key(url: &str) -> Result<String, ServiceError> {
        let key = Secret::new("sk-12345678".into());
        Service::new(url, "m", key).map(|service| service.base_url)
    }

    #[test]
    fn urls_are_tidied() {
        let check = |url, base: &str| assert_eq!(with_key(url).as_deref(), Ok(base), "{url}");
        check("http://127.0.0.1:8080/v1", "http://127.0.0.1:8080/v1");
        check(" https://a.example/v1/ ", "https://a.example/v1");
        check(
            "https://a.example/v1/chat/completions",
            "https://a.example/v1",
        );
        check("http://[::1]:1234", "http://[::1]:1234");
        check("http://LOCALHOST/v1", "http://LOCALHOST/v1");
        check(
            "http://[::ffff:127.0.0.1]/v1",
            "http://[::ffff:127.0.0.1]/v1",
        );
    }

    #[test]
    fn a_key_stays_secret() {
        let hosts = [
            "10.0.0.2",
            "a.example",
            "localhost.a.example",
            "127.0.0.1.example",
        ];
        for host in hosts {
            let error = with_key(&format!("http://{host}/v1")).unwrap_err();
            let host = host.to_owned();
            assert_eq!(error, ServiceError::PlainKey { host });
        }
        assert!(Service::new("http://10.0.0.2:8080/v1", "m", None).is_ok());
    }

    #[test]
    fn what_is_no_url_is_refused_and_not_shown() {
        for url in [
            "",
            "a.example/v1",
            "ftp://a.example",
            "https://",
            "https://a.example/v1?key=hunter2",
            "https://a.example/v1#hunter2",
            "https://user:hunter2@a.example/v1",
            "http://hunter2@127.0.0.1/v1",
            "not a url hunter2",
        ] {
            let error = with_key(url).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
            assert!(error.contains(": "), "{error}");
        }
    }

    #[test]
    fn an_origin_has_a_port() {
        assert_eq!(
            origin("https://A.example/v1").as_deref(),
            Some("https://a.example:443")
        );
        assert_eq!(
            origin("http://localhost:1"),
            Some("http://localhost:1".into())
        );
        assert_eq!(origin("x"), None);
    }

    #[test]
    fn a_host_is_told() {
        let service = Service::new("https://a.example:1/v1", "m", None).unwrap();
        assert_eq!((service.host(), service.is_local()), ("a.example:1", false));
    }
}
