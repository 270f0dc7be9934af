//! Why there is no answer, told with the remedy and without the key.

use std::time::Duration;

/// Why there is no answer. Each message is one sentence with its remedy. What a service says of
/// itself is shortened, on one line, and the key is taken out of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChatError {
    /// The caller wanted no more.
    #[error("stopped while the model wrote")]
    Stopped,
    /// It took too long.
    #[error(
        "{host} gave no answer within {} s{}: allow more time (--timeout), or take a smaller model",
        limit.as_secs(), after(last)
    )]
    Deadline {
        /// The service.
        host: String,
        /// The limit.
        limit: Duration,
        /// What the last attempt met, if it ended.
        last: Option<String>,
    },
    /// The question alone has more tokens than are left.
    #[error(
        "the question has about {needed} tokens and the budget has {left} left: raise it (--tokens)"
    )]
    OverBudget {
        /// Its tokens, estimated.
        needed: u64,
        /// What is left.
        left: u64,
    },
    /// No connection.
    #[error("cannot reach {host}: {why}; start the service, or give another --url")]
    Unreachable {
        /// The service.
        host: String,
        /// Why.
        why: String,
    },
    /// The other end is not who it says it is, or the system has no certificates.
    #[error(
        "no encrypted connection to {host}: {why}; install the system's certificates (package \
         ca-certificates), or correct --url"
    )]
    Tls {
        /// The service.
        host: String,
        /// Why.
        why: String,
    },
    /// The service does not take the key.
    #[error(
        "{host} {} ({status}): {message}; give {} (--key-file, or BATON_AUTHOR_KEY)",
        if *.sent { "refuses the key" } else { "wants a key" },
        if *.sent { "another one" } else { "one" }
    )]
    Unauthorized {
        /// The service.
        host: String,
        /// Whether one was sent.
        sent: bool,
        /// The HTTP status.
        status: u16,
        /// What the service says.
        message: String,
    },
    /// The service has no such model, or is not at this URL.
    #[error(
        "{host} has no model `{model}`, or no chat service at this URL ({message}): correct --model, \
         or --url, which mostly ends in /v1"
    )]
    NotFound {
        /// The service.
        host: String,
        /// The model.
        model: String,
        /// What the service says.
        message: String,
    },
    /// It did not answer, however often it was asked.
    #[error(
        "{host} did not answer in {attempts} attempts, at last: {message}; try again later, or give \
         another --url"
    )]
    Busy {
        /// The service.
        host: String,
        /// How often it was asked.
        attempts: u32,
        /// What the last attempt met.
        message: String,
    },
    /// The account has nothing left.
    #[error(
        "{host} has no credit left for this key: {message}; add some there, or give another key"
    )]
    NoCredit {
        /// The service.
        host: String,
        /// What the service says.
        message: String,
    },
    /// The question is too long for the model.
    #[error(
        "the question is too long for the model: {message}; give the service a longer context, or \
         take another --model"
    )]
    TooLong {
        /// What the service says.
        message: String,
    },
    /// The service does not take the question.
    #[error("{host} rejects the question ({status}): {message}; change the settings that it names")]
    Rejected {
        /// The service.
        host: String,
        /// The HTTP status.
        status: u16,
        /// What the service says.
        message: String,
    },
    /// It is elsewhere. A key does not go where it was not meant to.
    #[error("{host} redirects to {to}, which is not followed: give the right --url")]
    Redirected {
        /// The service.
        host: String,
        /// Where it says it is.
        to: String,
    },
    /// More than an answer can be.
    #[error("{host} answers with more than {limit_mib} MiB, which is no answer: correct --url")]
    TooBig {
        /// The service.
        host: String,
        /// The limit.
        limit_mib: u64,
    },
    /// Not what the API answers.
    #[error("what {host} answers is not of the chat API: {what}; correct --url")]
    Malformed {
        /// The service.
        host: String,
        /// What is wrong.
        what: String,
    },
    /// An answer without text.
    #[error("the model answered without text{}: raise --max-tokens, or take another --model", cut(*thinking))]
    NoText {
        /// Whether all that it may write went into thinking.
        thinking: bool,
    },
    /// The model does not want to.
    #[error("the model refuses: {message}; put the requirement in other words")]
    Refused {
        /// What it says.
        message: String,
    },
    /// The system gives no thread.
    #[error(
        "cannot start a thread for the question: {0}; raise the limit of processes (ulimit -u)"
    )]
    Thread(String),
}

impl ChatError {
    /// A short stable name for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Deadline { .. } => "model-timeout",
            Self::OverBudget { .. } => "budget",
            Self::Unreachable { .. } => "model-unreachable",
            Self::Tls { .. } => "model-tls",
            Self::Unauthorized { .. } => "model-key",
            Self::NotFound { .. } => "model-not-found",
            Self::Busy { .. } => "model-busy",
            Self::NoCredit { .. } => "model-credit",
            Self::TooLong { .. } => "prompt-too-long",
            Self::Rejected { .. } => "model-rejects",
            Self::Redirected { .. } => "model-redirects",
            Self::TooBig { .. } | Self::Malformed { .. } => "model-answer",
            Self::NoText { .. } => "model-silent",
            Self::Refused { .. } => "model-refuses",
            Self::Thread(_) => "thread",
        }
    }

    /// Whether another question to the same service may well be answered: this one alone failed.
    #[must_use]
    pub const fn is_of_the_question(&self) -> bool {
        matches!(
            self,
            Self::TooLong { .. } | Self::NoText { .. } | Self::Refused { .. }
        )
    }
}

fn after(last: &Option<String>) -> String {
    last.as_ref()
        .map_or_else(String::new, |last| format!(" (the last attempt: {last})"))
}

const fn cut(thinking: bool) -> &'static str {
    if thinking {
        ", since thinking took all that it may write"
    } else {
        ""
    }
}
