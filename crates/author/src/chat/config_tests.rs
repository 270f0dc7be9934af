use std::{fs, os::unix::fs::PermissionsExt as _};

use super::*;

const KEY: &str = "sk-12345678";
const URL: &str = "https://a.example/v1";

struct Case {
    directory: tempfile::TempDir,
    env: Vec<(&'static str, String)>,
    flags: Flags,
}

impl Case {
    fn new(env: &[(&'static str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let home = directory.path().to_str().unwrap().to_owned();
        let mut env: Vec<_> = env.iter().map(|(k, v)| (*k, (*v).to_owned())).collect();
        env.push(("HOME", home));
        Self {
            directory,
            env,
            flags: Flags::default(),
        }
    }

    fn write(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn file(self, text: &str) -> Self {
        self.write(".config/baton/author.toml", text, 0o600);
        self
    }

    fn flags(mut self, url: &str, model: &str) -> Self {
        (self.flags.url, self.flags.model) = (Some(url.into()), Some(model.into()));
        self
    }

    fn run(&self) -> Result<Configured, ConfigError> {
        let env = |name: &str| {
            let found = self.env.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.clone())
        };
        configure(&self.flags, &env)
    }

    fn check(&self, url: &str, model: &str, key: Option<&str>, warnings: usize) {
        let configured = self.run().unwrap();
        let service = &configured.service;
        assert_eq!((service.base_url(), service.model.as_str()), (url, model));
        let sent = service.key().map(|key| key.bearer().to_string());
        assert_eq!(sent, key.map(|key| format!("Bearer {key}")));
        assert_eq!(
            configured.warnings.len(),
            warnings,
            "{:?}",
            configured.warnings
        );
        assert!(!format!("{configured:?}").contains(KEY));
    }

    fn fails(&self, part: &str) {
        let error = self.run().unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
        assert!(!error.contains(KEY), "{error}");
    }
}

#[test]
fn flags_go_before_the_environment_and_that_before_the_file() {
    let file = "url = 'https://file.example/v1'\nmodel = 'of-file'\nseed = 1";
    let env = [("BATON_AUTHOR_URL", URL), ("BATON_AUTHOR_MODEL", "of-env")];
    Case::new(&[])
        .file(file)
        .check("https://file.example/v1", "of-file", None, 0);
    Case::new(&env).file(file).check(URL, "of-env", None, 0);
    let flags = Case::new(&env)
        .file(file)
        .flags("https://flag.example/v1", "of-flag");
    flags.check("https://flag.example/v1", "of-flag", None, 0);
    assert_eq!(flags.run().unwrap().service.seed, Some(1));
    let env = [
        ("OPENAI_BASE_URL", "https://other.example"),
        ("BATON_AUTHOR_MODEL", "m"),
    ];
    Case::new(&env)
        .file(file)
        .check("https://other.example", "m", None, 0);
    let env = [("BATON_AUTHOR_URL", " "), ("BATON_AUTHOR_MODEL", "")];
    Case::new(&env)
        .file(file)
        .check("https://file.example/v1", "of-file", None, 0);
}

#[test]
fn what_is_missing_is_told() {
    Case::new(&[]).fails("give --url");
    Case::new(&[("BATON_AUTHOR_URL", URL)]).fails("give --model");
    Case::new(&[("OPENAI_API_KEY", KEY)]).fails("give --url");
    let mut nowhere = Case::new(&[]);
    nowhere.env.clear();
    nowhere.fails("give --url");
}

#[test]
fn a_key_comes_from_several_places() {
    Case::new(&[("BATON_AUTHOR_KEY", KEY)])
        .flags(URL, "m")
        .check(URL, "m", Some(KEY), 0);
    let mut case = Case::new(&[("BATON_AUTHOR_KEY", "sk-other")]).flags(URL, "m");
    case.flags.key_file = Some(case.write("key", &format!("{KEY}\n"), 0o600));
    case.check(URL, "m", Some(KEY), 0);
    let with = |setting: &str| format!("url = '{URL}'\nmodel = 'm'\n{setting}");
    let check = |case: Case, setting: &str| case.file(&with(setting)).check(URL, "m", Some(KEY), 0);
    check(Case::new(&[]), &format!("key = '{KEY}'"));
    check(Case::new(&[("MY_KEY", KEY)]), "key_env = 'MY_KEY'");
    let case = Case::new(&[]);
    case.write(".config/baton/key", KEY, 0o600);
    check(case, "key_file = 'key'");
    let case = Case::new(&[]);
    case.write("keys/a", KEY, 0o600);
    check(case, "key_file = '~/keys/a'");
}

#[test]
fn a_key_goes_to_its_own_service_only() {
    let openai = [("OPENAI_API_KEY", KEY)];
    let to = |url| Case::new(&openai).flags(url, "m");
    to("https://api.openai.com/v1").check("https://api.openai.com/v1", "m", Some(KEY), 0);
    to(URL).check(URL, "m", None, 1);
    to("http://localhost:1/v1").check("http://localhost:1/v1", "m", None, 0);
    let based = [
        ("OPENAI_API_KEY", KEY),
        ("OPENAI_BASE_URL", "https://a.example/other"),
    ];
    Case::new(&based)
        .flags(URL, "m")
        .check(URL, "m", Some(KEY), 0);
    Case::new(&based)
        .flags("https://b.example", "m")
        .check("https://b.example", "m", None, 1);
    let file = format!("url = '{URL}'\nkey = '{KEY}'");
    let case = Case::new(&[]).file(&file).flags("https://b.example", "m");
    case.check("https://b.example", "m", None, 1);
}

#[test]
fn a_key_over_plain_http_is_refused() {
    let case = Case::new(&[("BATON_AUTHOR_KEY", KEY)]).flags("http://10.0.0.2/v1", "m");
    case.fails("unencrypted: give an https URL");
}

#[test]
fn files_that_others_can_read_are_told_of() {
    let mut case = Case::new(&[]).flags(URL, "m");
    case.flags.key_file = Some(case.write("key", KEY, 0o644));
    case.check(URL, "m", Some(KEY), 1);
    let case = Case::new(&[]).flags(URL, "m");
    case.write(
        ".config/baton/author.toml",
        &format!("key = '{KEY}'"),
        0o640,
    );
    case.check(URL, "m", Some(KEY), 1);
    case.write(".config/baton/author.toml", "seed = 3", 0o644);
    case.check(URL, "m", None, 0);
}

#[test]
fn mistakes_are_told_without_the_key() {
    let file = |text: &str| Case::new(&[]).flags(URL, "m").file(text);
    file(&format!("seed = 1\nkey = '{KEY}")).fails("author.toml:2: ");
    file(&format!("kee = '{KEY}'")).fails("author.toml:1: ");
    file(&format!("key = ['{KEY}']")).fails("author.toml:1: ");
    file(&format!("key = '{KEY} {KEY}'")).fails("holds no key");
    file("key_env = 'MISSING'").fails("MISSING holds no key");
    file(&format!("key = '{KEY}'\nkey_env = 'X'")).fails("one of");
    file("key_file = 'missing'").fails("correct --key-file");
    file("temperature = 3.0").fails("give 0 to 2");
    file("temperature = nan").fails("give 0 to 2");
    file("max_tokens = 0").fails("give 16 to 1000000");
    file("timeout_s = 0").fails("give 1 to 86400");
    let mut case = Case::new(&[]).flags(URL, "m");
    case.flags.key_file = Some(case.write("key", &"k".repeat(70_000), 0o600));
    case.fails("more than 64 KiB");
}
