//! Which Debian mirror this machine is configured to use, and the keys to check it by.

use std::path::{Path, PathBuf};

/// Names a Debian mirror on machines that are not Debian and so have none configured.
const MIRROR_VARIABLE: &str = "BATON_DEBIAN_MIRROR";
/// Where the package debian-archive-keyring puts its keys.
const KEYRINGS: &[&str] = &[
    "/usr/share/keyrings/debian-archive-keyring.pgp",
    "/usr/share/keyrings/debian-archive-keyring.gpg",
];

/// A mirror and the keyring that its signatures are checked with.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) mirror: String,
    pub(super) keyring: Option<PathBuf>,
}

/// One configured archive.
#[derive(Debug, Default, PartialEq, Eq)]
struct Entry {
    uris: Vec<String>,
    suites: Vec<String>,
    components: Vec<String>,
    signed_by: Option<PathBuf>,
}

/// The mirror of the machine's own configuration, else the one that the variable
/// `BATON_DEBIAN_MIRROR` names. The keyring is the configured one, else the packaged one, else
/// none.
pub(super) fn find() -> Option<Source> {
    find_in(Path::new("/etc/apt"), std::env::var(MIRROR_VARIABLE).ok())
}

fn find_in(apt: &Path, named: Option<String>) -> Option<Source> {
    let named = named.filter(|mirror| !mirror.is_empty());
    let mut source = best(&read_entries(apt)).or(named.map(|mirror| Source {
        mirror,
        keyring: None,
    }))?;
    if source
        .keyring
        .as_ref()
        .is_none_or(|keyring| !keyring.exists())
    {
        source.keyring = KEYRINGS
            .iter()
            .map(PathBuf::from)
            .find(|keyring| keyring.exists());
    }
    Some(source)
}

fn read_entries(apt: &Path) -> Vec<Entry> {
    let mut files = vec![apt.join("sources.list")];
    if let Ok(entries) = std::fs::read_dir(apt.join("sources.list.d")) {
        let mut more: Vec<_> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect();
        more.sort();
        files.extend(more);
    }
    let mut found = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("list") => found.extend(text.lines().filter_map(one_line)),
            Some("sources") => found.extend(deb822(&text)),
            _ => {}
        }
    }
    found
}

/// `deb [signed-by=FILE arch=...] URI SUITE COMPONENT...`; sources.list(5).
fn one_line(line: &str) -> Option<Entry> {
    let line = line.split('#').next()?.trim().strip_prefix("deb")?;
    let mut rest = line.strip_prefix([' ', '\t'])?.trim_start();
    let mut entry = Entry::default();
    if let Some(inner) = rest.strip_prefix('[') {
        let (options, after) = inner.split_once(']')?;
        let key = options
            .split_whitespace()
            .find_map(|option| option.strip_prefix("signed-by="));
        entry.signed_by = key.and_then(key_path);
        rest = after;
    }
    let mut words = rest.split_whitespace().map(String::from);
    entry.uris.push(words.next()?);
    entry.suites.push(words.next()?);
    entry.components = words.collect();
    Some(entry)
}

/// Stanzas of `Field: values`, continued on indented lines; sources.list(5).
fn deb822(text: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    for stanza in lines.split(|line| line.trim().is_empty()) {
        let mut entry = Entry::default();
        let (mut is_deb, mut enabled, mut field) = (false, true, String::new());
        for line in stanza {
            let mut values = *line;
            if !line.starts_with([' ', '\t'])
                && let Some((name, rest)) = line.split_once(':')
            {
                field = name.to_ascii_lowercase();
                values = rest;
            }
            let mut words = values.split_whitespace();
            let all = words.clone().map(String::from);
            match field.as_str() {
                "types" => is_deb |= words.any(|word| word == "deb"),
                "enabled" => enabled = words.next() != Some("no"),
                "uris" => entry.uris.extend(all),
                "suites" => entry.suites.extend(all),
                "components" => entry.components.extend(all),
                "signed-by" => {
                    entry.signed_by = entry.signed_by.take().or_else(|| key_path(words.next()?));
                }
                _ => {}
            }
        }
        if is_deb && enabled && !entry.uris.is_empty() {
            entries.push(entry);
        }
    }
    entries
}

/// A keyring's path; keys written in the configuration itself, and fingerprints, are passed over.
fn key_path(value: &str) -> Option<PathBuf> {
    let path = value.split(',').next()?;
    path.starts_with('/').then(|| path.into())
}

/// The entry that is most surely Debian's main archive. Vendors name their repositories much like
/// it, so what speaks for the real one is counted.
fn best(entries: &[Entry]) -> Option<Source> {
    let mut best: Option<(u32, Source)> = None;
    for entry in entries {
        for uri in &entry.uris {
            let score = score(entry, uri);
            if score > 0 && best.as_ref().is_none_or(|(other, _)| score > *other) {
                let mirror = uri.trim_end_matches('/').to_owned();
                best = Some((
                    score,
                    Source {
                        mirror,
                        keyring: entry.signed_by.clone(),
                    },
                ));
            }
        }
    }
    best.map(|(_, source)| source)
}

fn score(entry: &Entry, uri: &str) -> u32 {
    let plain = uri.trim_end_matches('/');
    let is_security =
        plain.contains("security") || entry.suites.iter().all(|suite| suite.contains("security"));
    let is_main = entry.components.iter().any(|component| component == "main");
    if is_security || !is_main || plain.starts_with("cdrom:") {
        return 0;
    }
    let signed = entry
        .signed_by
        .as_ref()
        .is_some_and(|path| path.to_string_lossy().contains("debian-archive"));
    let named = plain.ends_with("/debian");
    if !(signed || named) {
        return 0;
    }
    let has_updates = entry.suites.iter().any(|suite| suite.ends_with("-updates"));
    8 * u32::from(signed) + 2 * u32::from(has_updates) + u32::from(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_mirror_the_variable_counts() {
        let nowhere = Path::new("/nowhere");
        let mirror = |named: Option<&str>| Some(find_in(nowhere, named.map(Into::into))?.mirror);
        let named = "http://mirror.example/debian";
        assert_eq!(mirror(Some(named)), Some(named.into()));
        assert_eq!((mirror(Some("")), mirror(None)), (None, None));
    }

    const DEB822: &str = "\
Types: deb deb-src
# a remark
URIs: http://mirror.example/debian/
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
Enabled: no
URIs: http://off.example/debian
Suites: bookworm
Components: main

Types: deb
URIs: https://vendor.example/linux/debian
Suites: bookworm
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mDMEY
";

    #[test]
    fn the_main_archive_is_told_from_others() {
        let entries = deb822(DEB822);
        assert_eq!(entries.len(), 3);
        assert_eq!(entries[2].signed_by, None);
        let source = best(&entries).unwrap();
        assert_eq!(source.mirror, "http://mirror.example/debian");
        let keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
        assert_eq!(source.keyring, Some(keyring.into()));
    }

    #[test]
    fn one_line_lists() {
        let lines = "# deb http://old.example/debian x main\n\
                     deb-src http://mirror.example/debian trixie main\n\
                     deb http://security.example/debian-security trixie-security main\n\
                     deb https://vendor.example/debian trixie stable\n\
                     deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian trixie main contrib\n";
        let entries: Vec<_> = lines.lines().filter_map(one_line).collect();
        assert_eq!(entries.len(), 3);
        let source = best(&entries).unwrap();
        assert_eq!(source.mirror, "http://mirror.example/debian");
        assert_eq!(source.keyring, Some("/k.gpg".into()));
    }

    #[test]
    fn another_distribution_has_none() {
        let line = "deb http://archive.example/ubuntu noble main universe";
        assert_eq!(best(&[one_line(line).unwrap()]), None);
    }
}
