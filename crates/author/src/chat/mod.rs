//! A client of the chat API that OpenAI defined and others took over: llama.cpp, Ollama, vLLM,
//! LM Studio and hosted services answer `POST {base}/chat/completions`.
//!
//! - [`Service`], [`Secret`]: whom to ask, and the key;
//! - [`configure`]: the service from flags, the environment and a file;
//! - [`complete`]: one question and its answer, with retries, within an [`Allowance`].
//!
//! A key goes to the service that it is for and nowhere else: not over plain HTTP to another
//! machine, not after a redirect, not into an error, a log or a file.

mod answer;
mod call;
mod config;
mod error;
mod http;
mod judge;
mod key_file;
mod secret;
mod service;
mod settings_file;

pub use answer::{Answer, Finish, Usage};
pub use call::{Allowance, complete};
pub use config::{ConfigError, Configured, Flags, configure};
pub use error::ChatError;
pub use key_file::KeyFileError;
pub use secret::Secret;
pub use service::{Message, Retry, Role, Service, ServiceError};
