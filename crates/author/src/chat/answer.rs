//! What is sent and what comes back.
//!
//! Services differ in what they leave out, so an answer is read leniently: only its text has to be
//! there.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{ChatError, Message, Service};

/// Longest piece of a service's own words in a message.
const TOLD_MAX: usize = 300;
/// Characters of a token, about, where nobody counts them.
const TOKEN_CHARS: u64 = 4;

/// Why the model wrote no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Finish {
    /// It was done.
    Stop,
    /// It was cut off.
    Length,
    /// The service does not say, or says something else.
    Other,
}

/// What an answer took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the question.
    pub prompt_tokens: u64,
    /// Tokens of the answer, those of thinking included.
    pub completion_tokens: u64,
    /// Whether the service did not tell and a token was taken for four characters.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub estimated: bool,
}

impl Usage {
    /// Both together.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.prompt_tokens.saturating_add(self.completion_tokens)
    }
}

/// What a model said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The text, without thinking.
    pub text: String,
    /// Why it ends.
    pub finish: Finish,
    /// What it took.
    pub usage: Usage,
    /// How long it took, retries included.
    pub took: Duration,
}

/// Tokens of a text, about.
pub(super) fn estimate(text: &str) -> u64 {
    (text.chars().count() as u64).div_ceil(TOKEN_CHARS)
}

/// Tokens of a question, about: each message has a few of its own.
pub(super) fn estimate_prompt(messages: &[Message]) -> u64 {
    let of = |message: &Message| 4 + estimate(&message.content);
    messages.iter().map(of).sum()
}

/// The name that a service has for the limit of an answer: newer hosted models take another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    MaxTokens,
    MaxCompletionTokens,
}

/// The body of a question.
pub(super) fn question(
    service: &Service,
    messages: &[Message],
    max_tokens: u64,
    limit: Limit,
) -> Value {
    let mut body = Map::new();
    body.insert("model".into(), service.model.clone().into());
    let messages = messages
        .iter()
        .map(|message| serde_json::json!({"role": message.role, "content": message.content}));
    body.insert("messages".into(), messages.collect());
    let name = match limit {
        Limit::MaxTokens => "max_tokens",
        Limit::MaxCompletionTokens => "max_completion_tokens",
    };
    body.insert(name.into(), max_tokens.into());
    if let Some(temperature) = service.temperature {
        body.insert("temperature".into(), temperature.into());
    }
    if let Some(seed) = service.seed {
        body.insert("seed".into(), seed.into());
    }
    body.insert("stream".into(), false.into());
    Value::Object(body)
}

/// A text from elsewhere, for a message: without the key, on one line, short.
pub(super) fn told(service: &Service, text: &str) -> String {
    // The key goes first: cut in half, it would not be found.
    let text = service.scrub(text);
    let mut words = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        if word.is_empty() {
            continue;
        }
        if !words.is_empty() {
            words.push(' ');
        }
        words.push_str(word);
        if words.len() > TOLD_MAX {
            let end = (0..=TOLD_MAX)
                .rev()
                .find(|end| words.is_char_boundary(*end));
            let end = end.unwrap_or_default();
            words.truncate(end);
            words.push('…');
            break;
        }
    }
    if words.is_empty() {
        words.push_str("it says nothing");
    }
    words
}

/// What a service says of its own error, in whichever of the usual forms, unscrubbed.
pub(super) fn error_text(value: &Value) -> Option<&str> {
    let error = value.get("error");
    error
        .and_then(|error| error.get("message"))
        .or(error)
        .or_else(|| value.get("message"))
        .or_else(|| value.get("detail"))
        .and_then(Value::as_str)
}

/// The text of `content`: a string, or an array of parts.
fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let text = |part: &Value| match part {
                Value::String(text) => Some(text.clone()),
                _ => part.get("text").and_then(Value::as_str).map(str::to_owned),
            };
            parts.iter().filter_map(text).collect()
        }
        _ => String::new(),
    }
}

/// The text after the thinking that some services leave in it.
fn without_thinking(text: &str) -> (&str, bool) {
    let Some(rest) = text.trim_start().strip_prefix("<think>") else {
        return (text, false);
    };
    match rest.split_once("</think>") {
        Some((_, said)) => (said.trim_start(), true),
        None => ("", true),
    }
}

fn usage_of(value: &Value, messages: &[Message], text: &str) -> Usage {
    let count = |name: &str| value.get("usage")?.get(name)?.as_u64();
    match (count("prompt_tokens"), count("completion_tokens")) {
        (Some(prompt_tokens), Some(completion_tokens)) => Usage {
            prompt_tokens,
            completion_tokens,
            estimated: false,
        },
        (prompt, completion) => Usage {
            prompt_tokens: prompt.unwrap_or_else(|| estimate_prompt(messages)),
            completion_tokens: completion.unwrap_or_else(|| estimate(text)),
            estimated: true,
        },
    }
}

/// Reads what a service answered with success; `took` is left to the caller.
pub(super) fn read(
    service: &Service,
    messages: &[Message],
    body: &[u8],
) -> Result<Answer, ChatError> {
    let malformed = |what: String| ChatError::Malformed {
        host: service.host().to_owned(),
        what,
    };
    let value: Value = serde_json::from_slice(body).map_err(|_| {
        let start = told(service, &String::from_utf8_lossy(body));
        malformed(format!("it is no JSON ({start})"))
    })?;
    if value.get("error").is_some_and(|error| !error.is_null()) {
        let message = error_text(&value).unwrap_or_default();
        return Err(ChatError::Rejected {
            host: service.host().to_owned(),
            status: 200,
            message: told(service, message),
        });
    }
    let choice = value
        .get("choices")
        .and_then(|choices| choices.get(0))
        .ok_or_else(|| malformed("it has no choices".into()))?;
    let message = choice
        .get("message")
        .ok_or_else(|| malformed("its choice has no message".into()))?;
    if let Some(refusal) = message.get("refusal").and_then(Value::as_str)
        && !refusal.trim().is_empty()
    {
        let message = told(service, refusal);
        return Err(ChatError::Refused { message });
    }
    let finish = match choice.get("finish_reason").and_then(Value::as_str) {
        Some("stop") => Finish::Stop,
        Some("length") => Finish::Length,
        _ => Finish::Other,
    };
    let whole = text_of(message.get("content").unwrap_or(&Value::Null));
    let (text, thought) = without_thinking(&whole);
    if text.trim().is_empty() {
        let thinking = finish == Finish::Length || thought;
        return Err(ChatError::NoText { thinking });
    }
    let usage = usage_of(&value, messages, &whole);
    let text = match service.key() {
        Some(key) => key.scrub_answer(text.to_owned()),
        None => text.to_owned(),
    };
    Ok(Answer {
        text,
        finish,
        usage,
        took: Duration::ZERO,
    })
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
