//! What a reply means: an answer, a failure, or that the question is to be put again.

use std::time::Duration;

use serde_json::Value;

use super::{
    Answer, ChatError, Message, Service,
    answer::{self, told},
    http::{REPLY_MIB_MAX, Reply},
};

/// What to do.
pub(super) enum Verdict {
    /// It is answered.
    Answer(Answer),
    /// It will not be.
    Failed(ChatError),
    /// The deadline is over.
    TimedOut,
    /// The service knows the limit of an answer by its other name; the error counts if it does not.
    OtherLimit(ChatError),
    /// Ask again.
    Again {
        /// Why.
        message: String,
        /// After this time, if the service names one.
        wait: Option<Duration>,
    },
}

pub(super) fn judge(service: &Service, messages: &[Message], reply: Reply) -> Verdict {
    let host = || service.host().to_owned();
    let told = |text: &str| told(service, text);
    Verdict::Failed(match reply {
        Reply::Answered {
            status,
            retry_after,
            location,
            body,
        } => match status {
            200..=299 => match answer::read(service, messages, &body) {
                Ok(answer) => return Verdict::Answer(answer),
                Err(error) => error,
            },
            300..=399 => ChatError::Redirected {
                host: host(),
                to: told(location.as_deref().unwrap_or("another place")),
            },
            _ => return refusal(service, status, retry_after, &body),
        },
        Reply::TimedOut => return Verdict::TimedOut,
        Reply::Broken(message) => {
            return Verdict::Again {
                message,
                wait: None,
            };
        }
        Reply::Unreachable(why) => ChatError::Unreachable {
            host: host(),
            why: told(&why),
        },
        Reply::Untrusted(why) => ChatError::Tls {
            host: host(),
            why: told(&why),
        },
        Reply::TooBig => ChatError::TooBig {
            host: host(),
            limit_mib: REPLY_MIB_MAX,
        },
        Reply::NotHttp(what) => ChatError::Malformed {
            host: host(),
            what: told(&what),
        },
    })
}

/// A status of failure.
fn refusal(service: &Service, status: u16, retry_after: Option<Duration>, body: &[u8]) -> Verdict {
    let text = String::from_utf8_lossy(body);
    let value: Value = serde_json::from_str(&text).unwrap_or_default();
    let said = answer::error_text(&value).unwrap_or(&text);
    let message = told(service, said);
    let host = service.host().to_owned();
    let word = |name: &str| {
        let word = value.get("error").and_then(|error| error.get(name));
        word.and_then(Value::as_str).unwrap_or_default()
    };
    let no_credit = word("code") == "insufficient_quota" || word("type") == "insufficient_quota";
    Verdict::Failed(match status {
        401 | 403 => ChatError::Unauthorized {
            host,
            sent: service.key().is_some(),
            status,
            message,
        },
        402 => ChatError::NoCredit { host, message },
        429 if no_credit => ChatError::NoCredit { host, message },
        404 | 405 => ChatError::NotFound {
            host,
            model: service.model.clone(),
            message,
        },
        501 | 505 => ChatError::Rejected {
            host,
            status,
            message,
        },
        408 | 425 | 429 | 500..=599 => {
            return Verdict::Again {
                message: format!("{message} ({status})"),
                wait: retry_after,
            };
        }
        _ if status == 413 || is_too_long(word("code"), word("type"), said) => {
            ChatError::TooLong { message }
        }
        _ => {
            let error = ChatError::Rejected {
                host,
                status,
                message,
            };
            if said.contains("max_completion_tokens") {
                return Verdict::OtherLimit(error);
            }
            error
        }
    })
}

/// Whether a rejected question has more tokens than the model takes. Services say so in their own
/// words.
fn is_too_long(code: &str, kind: &str, said: &str) -> bool {
    let said = said.to_ascii_lowercase();
    code == "context_length_exceeded"
        || kind == "exceed_context_size_error"
        || ["context length", "context size", "context window"]
            .iter()
            .any(|words| said.contains(words))
}
