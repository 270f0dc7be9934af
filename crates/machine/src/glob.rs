//! Patterns for the names of tasks and the paths of cgroups.

/// Bytes of a task's name that the kernel keeps.
const NAME_MAX: usize = 15;

/// A pattern for a task's name: `*` stands for any bytes, `?` for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NameGlob(String);

impl NameGlob {
    /// Reads a pattern.
    ///
    /// # Errors
    /// One that can match no name, with the remedy.
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        let literal = text.len() - text.matches('*').count();
        if text.is_empty() {
            return Err("an empty pattern matches no task: write `*` for all".to_owned());
        }
        if literal > NAME_MAX {
            return Err(format!(
                "`{text}` can match no task: the kernel keeps {NAME_MAX} bytes of a name, so \
                 write at most as many, or `*` for the rest"
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// Whether it matches. Takes no memory: the scheduling thread asks.
    pub(crate) fn matches(&self, name: &[u8]) -> bool {
        let pattern = self.0.as_bytes();
        greedy(
            pattern.len(),
            name.len(),
            |at| pattern[at] == b'*',
            |at, byte| pattern[at] == b'?' || pattern[at] == name[byte],
        )
    }
}

/// A pattern for a cgroup's path below the root of the hierarchy: within a directory's
/// name `*` and `?` as for tasks; a whole `**` stands for any directories, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PathGlob(Vec<Segment>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Any,
    Name(NameGlob),
}

impl PathGlob {
    /// Reads a pattern.
    ///
    /// # Errors
    /// One that is no path from the root, or has `**` within a name; with the remedy.
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        let Some(below) = text.strip_prefix('/') else {
            return Err(format!(
                "`{text}` does not begin with `/`: write the path below the cgroup root, such as \
                 `/{text}`"
            ));
        };
        if below.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let segment = |name: &str| match name {
            "**" => Ok(Segment::Any),
            "" => Err(format!(
                "`{text}` has an empty directory name: write one `/` between names and none at \
                 the end"
            )),
            _ if name.contains("**") => Err(format!(
                "`{text}` has `**` within a name: write it between two `/`, or one `*`"
            )),
            _ => Ok(Segment::Name(NameGlob(name.to_owned()))),
        };
        below
            .split('/')
            .map(segment)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether it matches a path such as `/user.slice/a.scope`; the root is `/`.
    pub(crate) fn matches(&self, path: &str) -> bool {
        let names = path.split('/').filter(|name| !name.is_empty());
        let names: Vec<&[u8]> = names.map(str::as_bytes).collect();
        greedy(
            self.0.len(),
            names.len(),
            |at| self.0[at] == Segment::Any,
            |at, name| match &self.0[at] {
                Segment::Any => true,
                Segment::Name(glob) => glob.matches(names[name]),
            },
        )
    }
}

/// Matches a pattern with wildcards: the last wildcard takes one more item whenever what
/// follows it fails, and that suffices, as earlier ones need never take more.
fn greedy(
    patterns: usize,
    items: usize,
    is_wild: impl Fn(usize) -> bool,
    fits: impl Fn(usize, usize) -> bool,
) -> bool {
    let (mut pattern, mut item) = (0, 0);
    // The pattern's place behind the last wildcard, and the first item it did not take.
    let mut retry: Option<(usize, usize)> = None;
    while item < items {
        if pattern < patterns && is_wild(pattern) {
            pattern += 1;
            retry = Some((pattern, item));
        } else if pattern < patterns && fits(pattern, item) {
            pattern += 1;
            item += 1;
        } else if let Some((behind, taken)) = retry {
            pattern = behind;
            item = taken + 1;
            retry = Some((behind, item));
        } else {
            return false;
        }
    }
    (pattern..patterns).all(is_wild)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let check = |pattern: &str, name: &str, expected| {
            let glob = NameGlob::new(pattern).unwrap();
            assert_eq!(glob.matches(name.as_bytes()), expected, "{pattern} {name}");
        };
        check("game", "game", true);
        check("game", "games", false);
        check("game", "gam", false);
        check("game*", "game", true);
        check("game*", "game:render", true);
        check("*", "", true);
        check("*render", "game:render", true);
        check("*a*b*", "xaxbx", true);
        check("*a*b*", "xbxax", false);
        check("*ab", "aab", true);
        check("frame-?", "frame-1", true);
        check("frame-?", "frame-", false);
        // A task's name may have a slash, and anything else is taken literally.
        check("kworker/*", "kworker/0:1", true);
        check("[ab]", "a", false);
        check("[ab]", "[ab]", true);
    }

    #[test]
    fn paths() {
        let check = |pattern: &str, path: &str, expected| {
            let glob = PathGlob::new(pattern).unwrap();
            assert_eq!(glob.matches(path), expected, "{pattern} {path}");
        };
        check("/", "/", true);
        check("/", "/a", false);
        check("/**", "/", true);
        check("/**", "/a/b", true);
        check("/games/**", "/games", true);
        check("/games/**", "/games/a/b", true);
        check("/games/**", "/gamesx", false);
        check("/games/*", "/games/a", true);
        check("/games/*", "/games", false);
        check("/games/*", "/games/a/b", false);
        check(
            "/user.slice/**/app-*.scope",
            "/user.slice/app-1.scope",
            true,
        );
        check(
            "/user.slice/**/app-*.scope",
            "/user.slice/user-1000.slice/x/app-steam.scope",
            true,
        );
        check("/**/a/**/b", "/x/a/y/a/b", true);
        check("/**/a/**/b", "/x/b/y/a", false);
        check(r"/dev-\x2duuid.swap", r"/dev-\x2duuid.swap", true);
    }

    #[test]
    fn what_cannot_match_is_refused() {
        for (pattern, word) in [("", "write `*`"), ("sixteen-bytes-xx", "15 bytes")] {
            assert!(NameGlob::new(pattern).unwrap_err().contains(word));
        }
        // Fifteen bytes, and any number of stars.
        assert!(NameGlob::new("**fifteen-bytes-x**").is_ok());
        for (pattern, word) in [
            ("games", "`/games`"),
            ("", "begin with `/`"),
            ("/games/", "none at the end"),
            ("//a", "empty directory name"),
            ("/a**", "within a name"),
        ] {
            let error = PathGlob::new(pattern).unwrap_err();
            assert!(error.contains(word), "{pattern}: {error}");
        }
    }
}
