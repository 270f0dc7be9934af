//! Which programs a command line starts, beside its first word.
//!
//! `sh -c 'perf stat x | tee log'` or `timeout 5 stress-ng` name programs that must be packed too.
//! This is a guess that errs on the generous side: a program that is packed and not used costs a
//! little memory, and one that is missing is named by the shell.

/// Commands that start the command among their arguments.
const WRAPPERS: &[&str] = &[
    "chrt",
    "env",
    "exec",
    "gdb",
    "ionice",
    "nice",
    "nohup",
    "numactl",
    "perf",
    "prlimit",
    "setpriv",
    "setsid",
    "stdbuf",
    "strace",
    "taskset",
    "time",
    "timeout",
    "trace-cmd",
    "xargs",
];
const SHELLS: &[&str] = &["ash", "bash", "dash", "sh", "zsh"];
/// Words after which a shell expects a command.
const KEYWORDS: &[&str] = &[
    "!", "do", "elif", "else", "if", "then", "until", "while", "{",
];

/// Words of `argv` that may name programs, the first one included.
pub(crate) fn programs(argv: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    from_words(argv.iter().map(String::as_str), &mut found);
    for (shell, rest) in argv.iter().zip(1..) {
        // The script follows the option -c, which may be one of several letters.
        let is_flag = |word: &&String| {
            word.starts_with('-') && !word.starts_with("--") && word.ends_with('c')
        };
        if is_in(SHELLS, shell)
            && let Some(script) = argv[rest..].iter().skip_while(|word| !is_flag(word)).nth(1)
        {
            from_script(script, &mut found);
        }
    }
    found
}

fn from_script(script: &str, found: &mut Vec<String>) {
    for command in script.split(['\n', ';', '|', '&', '(', ')', '`']) {
        let words = command
            .split_whitespace()
            .map(|word| word.trim_matches(['"', '\'']))
            .skip_while(|word| KEYWORDS.contains(word) || is_assignment(word));
        from_words(words, found);
    }
}

fn from_words<'a>(mut words: impl Iterator<Item = &'a str>, found: &mut Vec<String>) {
    let Some(first) = words.next() else { return };
    found.push(first.into());
    if is_in(WRAPPERS, first) {
        // Options and numbers of the wrapper name no program, so all words can be tried.
        found.extend(words.filter(|word| !word.starts_with('-')).map(Into::into));
    }
}

fn is_in(names: &[&str], word: &str) -> bool {
    names.contains(&word.rsplit('/').next().unwrap_or(word))
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(argv: &[&str], expected: &[&str]) {
        let argv: Vec<String> = argv.iter().map(ToString::to_string).collect();
        assert_eq!(programs(&argv), expected, "{argv:?}");
    }

    #[test]
    fn finds_the_programs() {
        check(&["true"], &["true"]);
        check(&["echo", "node"], &["echo"]);
        check(
            &["timeout", "-s", "INT", "5", "x"],
            &["timeout", "INT", "5", "x"],
        );
        check(
            &["sh", "-c", "A=1 perf stat x | tee log; exit 3"],
            &["sh", "perf", "stat", "x", "tee", "exit"],
        );
        check(&["bash", "-o", "pipefail", "-c", "a"], &["bash", "a"]);
        check(&["sh", "-ec", "if a; then b & fi"], &["sh", "a", "b", "fi"]);
        check(
            &["taskset", "1", "/bin/sh", "-c", "x $(y)"],
            &["taskset", "1", "/bin/sh", "x $(y)", "x", "y"],
        );
    }
}
