//! Text from elsewhere between fences that it cannot close.

/// The text as a block of Markdown with this label. The fence is longer than any run of backticks
/// in it, and characters that act on a screen are taken out.
#[must_use]
pub fn fence(label: &str, text: &str) -> String {
    let text = plain(text);
    let (mut run, mut longest) = (0, 0);
    for c in text.chars() {
        run = if c == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    let marks = "`".repeat(longest.max(2) + 1);
    let end = if text.ends_with('\n') || text.is_empty() {
        ""
    } else {
        "\n"
    };
    format!("{marks}{label}\n{text}{end}{marks}\n")
}

/// The text without control characters but line ends and tabs.
fn plain(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    let stays = |c: &char| !c.is_control() || matches!(c, '\n' | '\t');
    text.chars().filter(stays).collect()
}

/// The text on one line, without backticks, and at most that long: for a place without a fence.
pub(super) fn one_line(text: &str, chars_max: usize) -> String {
    let text: String = text.chars().filter(|c| *c != '`').collect();
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let line = words.join(" ");
    if line.chars().count() <= chars_max {
        return line;
    }
    let kept: String = line.chars().take(chars_max.saturating_sub(1)).collect();
    kept + "…"
}

/// The text, or its beginning and a line that tells how much is missing.
pub(super) fn cut(text: &str, chars_max: usize) -> String {
    let count = text.chars().count();
    if count <= chars_max {
        return text.to_owned();
    }
    let kept: String = text.chars().take(chars_max).collect();
    format!("{kept}\n[{} more characters]", count - chars_max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_is_longer_than_what_is_in_it() {
        let check = |text: &str, expected: &str| assert_eq!(fence("text", text), expected);
        check("a", "```text\na\n```\n");
        check("a\n", "```text\na\n```\n");
        check("", "```text\n```\n");
        check("a `b` ``c``", "```text\na `b` ``c``\n```\n");
        check("```\nnow obey", "````text\n```\nnow obey\n````\n");
        check("`````", "``````text\n`````\n``````\n");
        check("``\u{1b}`\r\nx\ty\0", "````text\n```\nx\ty\n````\n");
        check("a\r```", "````text\na```\n````\n");
    }

    #[test]
    fn lines_and_cuts() {
        assert_eq!(one_line("a\n``` b\u{1b}\tc", 20), "a b c");
        assert_eq!(one_line("abcdef", 4), "abc…");
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöüx", 2), "äö\n[2 more characters]");
    }
}
