//! One question and its answer: attempts, waits, the deadline, and the caller's wish to stop.

use std::{
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    Answer, ChatError, Message, Service,
    answer::{self, Limit},
    http::{self, Client, Reply},
    judge::{self, Verdict},
};

/// How often the wish to stop is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// An answer that may have fewer tokens is not worth its question.
const ANSWER_TOKENS_MIN: u64 = 256;

/// What is left of a budget for a question and its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    /// Tokens of both; `None` is without limit.
    pub tokens: Option<u64>,
    /// Time; [`Service::timeout`] holds too.
    pub time: Option<Duration>,
}

/// Asks a model, and again where the service is busy or the connection breaks, all within the
/// service's timeout and what is left of the budget. The wish to stop is heeded within 200 ms; the
/// request that is under way then is abandoned, and ends on its own at the deadline.
///
/// # Errors
/// See [`ChatError`]. No error holds the key, whatever the service says.
pub fn complete(
    service: &Service,
    messages: &[Message],
    left: &Allowance,
    stop: &AtomicBool,
) -> Result<Answer, ChatError> {
    let begun = Instant::now();
    let max_tokens = max_tokens(service, messages, left)?;
    let question = Question {
        service,
        messages,
        max_tokens,
        begun,
        timeout: left
            .time
            .map_or(service.timeout, |time| time.min(service.timeout)),
        stop,
    };
    let mut answer = question.ask_until_answered()?;
    answer.took = begun.elapsed();
    Ok(answer)
}

fn max_tokens(service: &Service, messages: &[Message], left: &Allowance) -> Result<u64, ChatError> {
    let most = u64::from(service.max_tokens);
    let Some(left) = left.tokens else {
        return Ok(most);
    };
    let needed = answer::estimate_prompt(messages);
    if left < needed.saturating_add(most.min(ANSWER_TOKENS_MIN)) {
        return Err(ChatError::OverBudget { needed, left });
    }
    Ok(most.min(left - needed))
}

struct Question<'a> {
    service: &'a Service,
    messages: &'a [Message],
    max_tokens: u64,
    begun: Instant,
    timeout: Duration,
    stop: &'a AtomicBool,
}

impl Question<'_> {
    fn ask_until_answered(&self) -> Result<Answer, ChatError> {
        let client = http::client(self.service);
        let (mut limit, mut attempts, mut last) = (Limit::MaxTokens, 0, None);
        loop {
            let left = self.timeout.saturating_sub(self.begun.elapsed());
            if left.is_zero() {
                return Err(self.deadline(last));
            }
            let body = answer::question(self.service, self.messages, self.max_tokens, limit);
            attempts += 1;
            let reply = self.ask(&client, body.to_string(), left)?;
            match judge::judge(self.service, self.messages, reply) {
                Verdict::Answer(answer) => return Ok(answer),
                Verdict::Failed(error) => return Err(error),
                Verdict::TimedOut => return Err(self.deadline(last)),
                Verdict::OtherLimit(error) => {
                    if limit == Limit::MaxCompletionTokens {
                        return Err(error);
                    }
                    limit = Limit::MaxCompletionTokens;
                    attempts -= 1;
                }
                Verdict::Again { message, wait } => {
                    if attempts > self.service.retry.times {
                        return Err(ChatError::Busy {
                            host: self.service.host().to_owned(),
                            attempts,
                            message,
                        });
                    }
                    last = Some(message);
                    self.wait(wait.unwrap_or_else(|| self.back_off(attempts)), &last)?;
                }
            }
        }
    }

    fn deadline(&self, last: Option<String>) -> ChatError {
        ChatError::Deadline {
            host: self.service.host().to_owned(),
            limit: self.timeout,
            last,
        }
    }

    /// The wait after so many attempts.
    fn back_off(&self, attempts: u32) -> Duration {
        let doublings = attempts.saturating_sub(1).min(16);
        self.service.retry.first.saturating_mul(1 << doublings)
    }

    /// Waits, at most as long as the service's settings let it; not at all where the deadline
    /// would come first.
    fn wait(&self, wait: Duration, last: &Option<String>) -> Result<(), ChatError> {
        let wait = wait.min(self.service.retry.longest);
        let end = self.begun.elapsed().saturating_add(wait);
        if end >= self.timeout {
            return Err(self.deadline(last.clone()));
        }
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Err(ChatError::Stopped);
            }
            let left = end.saturating_sub(self.begun.elapsed());
            if left.is_zero() {
                return Ok(());
            }
            thread::sleep(left.min(LOOK));
        }
    }

    /// One attempt, in a thread that is left alone if the caller wants to stop.
    fn ask(&self, client: &Client, body: String, left: Duration) -> Result<Reply, ChatError> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(ChatError::Stopped);
        }
        let (sender, receiver) = mpsc::sync_channel(1);
        let (client, service) = (client.clone(), self.service.clone());
        let attempt = move || {
            // Nobody listens any more if the caller stopped.
            let _ = sender.send(http::post(&client, &service, &body, left));
        };
        thread::Builder::new()
            .name("baton-chat".into())
            .spawn(attempt)
            .map_err(|error| ChatError::Thread(error.to_string()))?;
        loop {
            match receiver.recv_timeout(LOOK) {
                Ok(reply) => return Ok(reply),
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    if self.stop.load(Ordering::Relaxed) {
                        return Err(ChatError::Stopped);
                    }
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    return Err(ChatError::Thread("it ended early".into()));
                }
            }
        }
    }
}
