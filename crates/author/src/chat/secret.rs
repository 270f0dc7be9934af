//! A key that is hard to give away by mistake.

use std::{fmt, sync::Arc};

use zeroize::Zeroizing;

/// Below this a key is a placeholder, such as `ollama`, and an ordinary word in an answer.
const SECRET_LEN_MIN: usize = 8;
const SCRUBBED: &str = "***";

/// The key of a service. It cannot be printed or serialised, its debug form is `***`, clones share
/// one copy, and the memory is overwritten when the last one goes.
#[derive(Clone)]
pub struct Secret(Arc<Zeroizing<String>>);

impl Secret {
    /// A key from text, without the white space around it; `None` if there is none, or if it has
    /// characters that no key has and no header can carry.
    #[must_use]
    pub fn new(text: String) -> Option<Self> {
        let text = Zeroizing::new(text);
        let key = text.trim();
        let is_key = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
        is_key.then(|| Self(Arc::new(Zeroizing::new(key.to_owned()))))
    }

    /// The text without the key. For messages: even a short key is taken out of them.
    #[must_use]
    pub fn scrub(&self, text: &str) -> String {
        text.replace(self.0.as_str(), SCRUBBED)
    }

    /// The text without the key, unless the key is no more than a word.
    #[must_use]
    pub fn scrub_answer(&self, text: String) -> String {
        if self.0.len() < SECRET_LEN_MIN || !text.contains(self.0.as_str()) {
            return text;
        }
        self.scrub(&text)
    }

    /// The value of the header that carries it.
    pub(super) fn bearer(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("Bearer {}", self.0.as_str()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SCRUBBED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned()).unwrap()
    }

    #[test]
    fn a_key_has_no_white_space() {
        assert_eq!(*secret(" sk-123\n").bearer(), "Bearer sk-123");
        for text in ["", "  \n", "two words", "line\nline", "kéy"] {
            assert!(Secret::new(text.to_owned()).is_none(), "{text}");
        }
    }

    #[test]
    fn it_is_not_shown() {
        assert_eq!(format!("{:?}", Some(secret("sk-12345678"))), "Some(***)");
        assert_eq!(secret("sk-12345678").scrub("no sk-12345678!"), "no ***!");
        assert_eq!(secret("ollama").scrub("ollama says no"), "*** says no");
    }

    #[test]
    fn a_placeholder_stays_in_answers() {
        let text = || "ollama and sk-12345678".to_owned();
        assert_eq!(secret("ollama").scrub_answer(text()), text());
        assert_eq!(secret("sk-12345678").scrub_answer(text()), "ollama and ***");
    }
}
