//! One request over HTTP, and nothing else: no retries, no redirects, no more than an answer.

use std::{io, sync::Arc, time::Duration};

pub(super) use ureq::Agent as Client;
use ureq::{
    Error, Timeout,
    http::{HeaderValue, header},
    tls::{RootCerts, TlsConfig},
};

use super::Service;

/// Longest reply.
pub(super) const REPLY_MIB_MAX: u64 = 4;
/// Longest that a connection may take.
const CONNECT_MAX: Duration = Duration::from_secs(15);

/// What came of a request.
pub(super) enum Reply {
    /// The service answered.
    Answered {
        status: u16,
        /// How long it asks to wait.
        retry_after: Option<Duration>,
        /// Where it says that it is.
        location: Option<String>,
        body: Vec<u8>,
    },
    /// The time was over.
    TimedOut,
    /// The connection broke.
    Broken(String),
    /// There is none.
    Unreachable(String),
    /// It cannot be trusted.
    Untrusted(String),
    /// It is longer than an answer.
    TooBig,
    /// It is no HTTP.
    NotHttp(String),
}

/// A client for this service. Its certificates are the system's.
pub(super) fn client(service: &Service) -> Client {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::PlatformVerifier)
        .unversioned_rustls_crypto_provider(provider)
        .build();
    let mut config = Client::config_builder()
        .tls_config(tls)
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_connect(Some(CONNECT_MAX))
        .user_agent(concat!("baton/", env!("CARGO_PKG_VERSION")));
    if service.is_local() {
        // A proxy could not reach it, and has no business with it.
        config = config.proxy(None);
    }
    config.build().new_agent()
}

/// Sends a question and takes the reply.
pub(super) fn post(client: &Client, service: &Service, body: &str, left: Duration) -> Reply {
    try_post(client, service, body, left).unwrap_or_else(|error| failed(&error))
}

fn try_post(
    client: &Client,
    service: &Service,
    body: &str,
    left: Duration,
) -> Result<Reply, Error> {
    let url = format!("{}/chat/completions", service.base_url());
    let mut request = client
        .post(url)
        .config()
        .timeout_global(Some(left))
        .build()
        .header(header::CONTENT_TYPE, "application/json");
    if let Some(key) = service.key() {
        let mut value = HeaderValue::from_str(&key.bearer()).map_err(ureq::http::Error::from)?;
        value.set_sensitive(true);
        request = request.header(header::AUTHORIZATION, value);
    }
    let mut response = request.send(body)?;
    let header = |name| {
        let value = response.headers().get(name)?;
        value.to_str().ok().map(str::to_owned)
    };
    let retry_after = header(header::RETRY_AFTER).and_then(|text| seconds(&text));
    let location = header(header::LOCATION);
    let status = response.status().as_u16();
    let limited = response.body_mut().with_config();
    let body = limited.limit(REPLY_MIB_MAX << 20).read_to_vec()?;
    Ok(Reply::Answered {
        status,
        retry_after,
        location,
        body,
    })
}

/// A Retry-After in seconds; a date is not taken, and the usual wait is used instead.
fn seconds(text: &str) -> Option<Duration> {
    let seconds: f64 = text.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

fn failed(error: &Error) -> Reply {
    match error {
        Error::Timeout(Timeout::Connect | Timeout::Resolve) => {
            Reply::Unreachable("no connection in time".into())
        }
        Error::Timeout(_) => Reply::TimedOut,
        Error::BodyExceedsLimit(_) => Reply::TooBig,
        Error::Io(error) => failed_io(error),
        Error::HostNotFound => Reply::Unreachable("there is no such host".into()),
        Error::Tls(_) | Error::Rustls(_) => Reply::Untrusted(error.to_string()),
        Error::Protocol(_) | Error::Http(_) | Error::LargeResponseHeader(..) => {
            Reply::NotHttp(error.to_string())
        }
        _ => Reply::Unreachable(error.to_string()),
    }
}

fn failed_io(error: &io::Error) -> Reply {
    let inner = error.get_ref();
    if inner.is_some_and(|inner| inner.is::<rustls::Error>()) {
        return Reply::Untrusted(error.to_string());
    }
    match error.kind() {
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => Reply::Broken("the connection broke".into()),
        io::ErrorKind::ConnectionRefused => Reply::Unreachable("nothing listens there".into()),
        io::ErrorKind::TimedOut => Reply::TimedOut,
        _ => Reply::Unreachable(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_read() {
        let check = |text, expected| assert_eq!(seconds(text), expected, "{text}");
        check("2", Some(Duration::from_secs(2)));
        check(" 0.5 ", Some(Duration::from_millis(500)));
        check("-1", None);
        check("NaN", None);
        check("1e300", None);
        check("Wed, 21 Oct 2015 07:28:00 GMT", None);
    }
}
