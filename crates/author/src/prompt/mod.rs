//! What the model is told: the rules and the policy API once, then the requirement, the profile,
//! where to start, and what became of the last attempts.
//!
//! All that comes from elsewhere is data. It stands between fences that it cannot close.

mod api;
mod attempt;
mod fence;
mod print;
mod rules;

use crate::chat::{Message, Role};

pub use api::api;
pub use attempt::Attempt;
pub use fence::fence;
pub use rules::rules;

/// Attempts that are told of in full, if there is room.
const FULL_MAX: usize = 3;
/// Older attempts that are told of, a line each.
const LINES_MAX: usize = 30;
/// Longest profile, characters.
const PROFILE_MAX: usize = 6000;
const ATTEMPTS: &str = "# What became of the last attempts, newest first\n\n";
const OLDER: &str = "Older ones:\n\n";

/// What a question is made from.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    /// The reference of the API; see [`api()`].
    pub api: &'a str,
    /// What the policy is to do, in the user's words.
    pub requirement: &'a str,
    /// The machine and what runs there, measured.
    pub profile: Option<&'a str>,
    /// The policy to start from.
    pub start: Option<&'a str>,
    /// What was tried, newest first.
    pub attempts: &'a [Attempt],
    /// Most characters of all messages together.
    pub chars_max: usize,
}

/// What must be told has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the question has at least {needed} characters, and {chars_max} are allowed: allow more \
     (--prompt-chars), or shorten the requirement or the policy to start from"
)]
pub struct TooLong {
    /// What it has without attempts.
    pub needed: usize,
    /// What it may have.
    pub chars_max: usize,
}

/// The messages of a question: the rules and the API, and then the task. If there is not room for
/// all attempts, the oldest are left out first, and the others are told of in a line.
///
/// # Errors
/// What must be told does not fit.
pub fn messages(parts: &Parts<'_>) -> Result<Vec<Message>, TooLong> {
    let system = format!("{}\n# The policy API\n\n{}", rules(), parts.api);
    let before = task(parts);
    let after = end(parts);
    let needed = chars(&system) + chars(&before) + chars(&after);
    let Some(room) = parts.chars_max.checked_sub(needed) else {
        return Err(TooLong {
            needed,
            chars_max: parts.chars_max,
        });
    };
    let user = before + &history(parts.attempts, room) + &after;
    Ok(vec![
        Message::new(Role::System, system),
        Message::new(Role::User, user),
    ])
}

fn chars(text: &str) -> usize {
    text.chars().count()
}

/// What is to be done, on what, from where.
fn task(parts: &Parts<'_>) -> String {
    let mut text = format!(
        "# The requirement\n\nWrite a scheduling policy for this:\n\n{}\n",
        fence("text", parts.requirement)
    );
    if let Some(profile) = parts.profile {
        text += &format!(
            "# The machine and its workload\n\nMeasured; names in it are for people:\n\n{}\n",
            fence("text", &fence::cut(profile, PROFILE_MAX))
        );
    }
    if let Some(start) = parts.start {
        text += &format!(
            "# Where to start\n\nThe best policy so far; change what the requirement needs:\n\n{}\n",
            fence("rust", start)
        );
    }
    text
}

fn end(parts: &Parts<'_>) -> String {
    let what = match parts.attempts {
        [] => "Think about which tasks the requirement is about and what tells them apart",
        _ => "Mend what was wrong with the last attempt, and try nothing that failed before",
    };
    format!(
        "# Your answer\n\n{what}. Say in a few sentences what the policy does and why, and then \
         give the whole file in exactly one ```rust block.\n"
    )
}

/// The attempts that there is room for: as many as possible in a line each, and the newest of
/// them in full.
fn history(attempts: &[Attempt], room: usize) -> String {
    let frame = chars(ATTEMPTS) + chars(OLDER) + 2;
    let Some(mut room) = room.checked_sub(frame) else {
        return String::new();
    };
    let mut lines = Vec::new();
    for attempt in attempts.iter().take(FULL_MAX + LINES_MAX) {
        let line = attempt.line();
        let Some(rest) = room.checked_sub(chars(&line)) else {
            break;
        };
        room = rest;
        lines.push(line);
    }
    let mut full = Vec::new();
    for (attempt, line) in attempts.iter().zip(&lines).take(FULL_MAX) {
        // Its line is given back.
        let whole = attempt.full(full.is_empty(), room + chars(line));
        let Some(whole) = whole else { break };
        room = room + chars(line) - chars(&whole);
        full.push(whole);
    }
    if lines.is_empty() {
        return String::new();
    }
    let mut text = String::from(ATTEMPTS) + &full.concat();
    if lines.len() > full.len() {
        if !full.is_empty() {
            text += OLDER;
        }
        text += &lines[full.len()..].concat();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests;
