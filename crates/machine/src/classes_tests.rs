use super::*;

fn parse(text: &str) -> Result<ClassFile, String> {
    ClassFile::parse("c.toml", text).map_err(|error| error.to_string())
}

const EXAMPLE: &str = include_str!("../../../docs/classes.toml");

#[test]
fn the_example_is_valid_and_shows_every_key() {
    let file = parse(EXAMPLE).unwrap();
    let game = file.classes().iter().find(|class| class.name == "game");
    assert_eq!(game.unwrap().deadline_ns, Some(5_000_000));
    assert!(file.names_cgroups());
    for key in [
        "name",
        "cgroup",
        "task",
        "deadline_ms",
        "weight",
        "priority",
        "allowed",
        "preferred",
    ] {
        let shown = EXAMPLE
            .lines()
            .any(|line| line.starts_with(&format!("{key} = ")));
        assert!(shown, "{key}");
    }
}

#[test]
fn values_are_taken_over() {
    let file = parse(
        "[[class]]\nname = \"a\"\ntask = \"*\"\ndeadline_ms = 0.5\nweight = 300\npriority = -3\n\
         allowed = \"0-3\"\npreferred = \"2\"\n[[class]]\nname = \"b\"\ntask = [\"x\", \"y*\"]\n",
    )
    .unwrap();
    let expected = [
        Class {
            name: "a".into(),
            deadline_ns: Some(500_000),
            weight: Some(300),
            priority: -3,
            allowed: Some(CpuSet::first(4)),
            preferred: Some([2].into_iter().collect()),
        },
        Class {
            name: "b".into(),
            ..Class::default()
        },
    ];
    assert!(file.classes().iter().eq(&expected));
    assert!(!file.names_cgroups());
}

/// What stands after the first line, `[[class]]`, and what the error says.
const MISTAKES: &[(&str, &str)] = &[
    (
        "name = \"a\"\n",
        "c.toml:2: class `a` says not who belongs to it: give `cgroup` or `task`; \
      task = \"*\" takes everybody who is left",
    ),
    (
        "name = \"a b\"\ntask = \"*\"\n",
        "c.toml:2: name `a b` must be one word",
    ),
    (
        "name = \"a\"\ntask = \"*\"\nweight = 0\n",
        "c.toml:4: weight = 0 is outside 1 to 10000",
    ),
    (
        "name = \"a\"\ntask = \"*\"\npriority = 101\n",
        "c.toml:4: priority = 101 is outside -100 to 100",
    ),
    (
        "name = \"a\"\ntask = \"*\"\ndeadline_ms = 0\n",
        "c.toml:4: deadline_ms = 0 is outside 0.1 to 10000",
    ),
    (
        "name = \"a\"\ntask = \"*\"\nallowed = \"4-\"\n",
        "c.toml:4: allowed must be a list of CPUs such as \"0-3,8\"",
    ),
    (
        "name = \"a\"\ntask = \"*\"\npreferred = \"\"\n",
        "c.toml:4: preferred must be a list of CPUs such as \"0-3,8\"",
    ),
    (
        "name = \"a\"\ntask = \"*\"\nallowed = \"0-3\"\npreferred = \"3-4\"\n",
        "c.toml:5: preferred = \"3-4\" goes beyond allowed = \"0-3\": name CPUs of it",
    ),
    (
        "name = \"a\"\ncgroup = \"games\"\n",
        "c.toml:3: cgroup: `games` does not begin with `/`: write the path below the cgroup root, such as `/games`",
    ),
    (
        "name = \"a\"\ntask = \"a-name-of-20-bytes-x\"\n",
        "c.toml:3: task: `a-name-of-20-bytes-x` can match no task: the kernel keeps 15 bytes of a name, so \
      write at most as many, or `*` for the rest",
    ),
    (
        "name = \"a\"\ntask = []\n",
        "c.toml:3: task = [] matches nobody: name a pattern, or leave the key out",
    ),
    (
        "name = \"a\"\ntask = 5\n",
        "c.toml:3: invalid type: integer `5`, expected a pattern, or a list of patterns",
    ),
    (
        "name = \"a\"\ntask = [\"x\", 5]\n",
        "c.toml:3: invalid type: integer `5`, expected a string",
    ),
    (
        "name = \"a\"\nnice = 5\n",
        "c.toml:3: unknown field `nice`, expected one of `name`, `cgroup`, `task`, \
      `deadline_ms`, `weight`, `priority`, `allowed`, `preferred`",
    ),
    ("task = \"*\"\n", "c.toml:1: missing field `name`"),
    (
        "name = \"a\"\ntask = \"*\"\n[[class]]\nname = \"a\"\ntask = \"*\"\n",
        "c.toml:5: there are two classes `a`: give each a name of its own",
    ),
];

#[test]
fn mistakes_name_line_and_remedy() {
    for (rest, expected) in MISTAKES {
        let error = parse(&format!("[[class]]\n{rest}")).unwrap_err();
        assert_eq!(error, *expected, "{rest}");
    }
    assert_eq!(
        parse("# nothing\n").unwrap_err(),
        "c.toml:1: there is no class: begin one with [[class]]"
    );
    let many: String = (0..=CLASSES_MAX)
        .map(|number| format!("[[class]]\nname = \"c{number}\"\ntask = \"*\"\n"))
        .collect();
    assert_eq!(
        parse(&many).unwrap_err(),
        "c.toml:193: there are more than 64 classes: join some of them"
    );
    let error = ClassFile::load(Path::new("/nowhere/c.toml")).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("cannot read the file of task classes /nowhere/c.toml: ")
    );
}

#[test]
fn cpus_that_the_machine_lacks() {
    let file = parse("[[class]]\nname = \"a\"\ntask = \"*\"\nallowed = \"2-9\"\n").unwrap();
    assert!(file.check(&Machine::uniform("m", 3)).is_ok());
    assert_eq!(
        file.check(&Machine::uniform("m", 2))
            .unwrap_err()
            .to_string(),
        "c.toml:4: allowed = \"2-9\" of class `a` names no CPU of this machine: it has 0-1"
    );
}

/// Classes: by cgroup, by both, by name, and the rest of /batch.
const RULES: &str = r#"
[[class]]
name = "game"
cgroup = "/games/**"
[[class]]
name = "make"
cgroup = ["/build/*", "/batch/**"]
task = "cc*"
[[class]]
name = "audio"
task = ["pipewire*", "jackd"]
[[class]]
name = "batch"
cgroup = "/batch/**"
"#;

#[test]
fn the_first_match_wins() {
    let file = parse(RULES).unwrap();
    let check = |cgroup: Option<&str>, task: &str, class: Option<&str>, settled| {
        let matches = cgroup.map(|path| file.match_cgroup(path));
        let found = file.classify(task.as_bytes(), matches);
        let name = found.class.and_then(|id| file.classes().get(id));
        let name = name.map(|class| class.name.as_str());
        assert_eq!((name, found.settled), (class, settled), "{cgroup:?} {task}");
    };
    check(Some("/games"), "jackd", Some("game"), true);
    check(Some("/build/1"), "cc1", Some("make"), true);
    check(Some("/build/1"), "ld", None, true);
    check(Some("/batch/x"), "cc1", Some("make"), true);
    check(Some("/batch/x"), "ld", Some("batch"), true);
    check(Some("/batch/x"), "jackd", Some("audio"), true);
    check(Some("/"), "pipewire-pulse", Some("audio"), true);
    // What the path could still change.
    check(None, "jackd", Some("audio"), false);
    check(None, "sh", None, false);
    let names_only = parse("[[class]]\nname = \"a\"\ntask = \"a\"\n").unwrap();
    let found = names_only.classify(b"b", None);
    assert_eq!((found.class, found.settled), (None, true));
}
