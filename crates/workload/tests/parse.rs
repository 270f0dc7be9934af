//! Workloads from text, and back.

use baton_workload::{Count, Part, Workload, aliases, list};

/// The text is a workload that prints as `short`, and in full as `full`; both parse back to it.
fn check(text: &str, short: &str, full: &str) {
    let workload: Workload = text
        .parse()
        .unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(workload.to_string(), short, "{text}");
    assert_eq!(format!("{workload:#}"), full, "{text}");
    for printed in [short, full] {
        assert_eq!(
            printed.parse::<Workload>().ok().as_ref(),
            Some(&workload),
            "{printed}"
        );
    }
    let json = serde_json::to_string(&workload).expect("a workload is a string");
    assert_eq!(serde_json::from_str::<Workload>(&json).ok(), Some(workload));
}

/// The text is refused with this message.
fn check_refused(text: &str, message: &str) {
    match text.parse::<Workload>() {
        Ok(workload) => panic!("{text} was read as {workload:#}"),
        Err(error) => assert_eq!(error.to_string(), message, "{text}"),
    }
}

#[test]
fn parts_and_parameters() {
    check(
        "messaging",
        "messaging",
        "messaging:groups=4,loops=100,fan=20,threads=yes",
    );
    check(
        " messaging: groups = 2 ,threads=false",
        "messaging:groups=2,threads=no",
        "messaging:groups=2,loops=100,fan=20,threads=no",
    );
    check("pipe:rounds=3000", "pipe", "pipe:rounds=3000,threads=yes");
    check("hogs:count=4", "hogs:count=4", "hogs:count=4,seconds=3");
    check(
        "hogs:count=1/cpu,seconds=0.5",
        "hogs:count=1/cpu,seconds=0.5",
        "hogs:count=1/cpu,seconds=0.5",
    );
    check(
        "frames:load=0.25",
        "frames:load=0.25",
        "frames:fps=60,load=0.25,jitter=0.2,deadline=1,seconds=5",
    );
    check(
        "build:jobs=4,units=40",
        "build:jobs=4,units=40",
        "build:jobs=4,units=40,unit_ms=40,builds=1,seconds=3",
    );
    check(
        "compile:optimize=2",
        "compile:optimize=2",
        "compile:jobs=2/cpu,optimize=2",
    );
    check(
        "isolation:forks=0,rate=1000,burst_us=0",
        "isolation:forks=0,rate=1000,burst_us=0",
        "isolation:hogs=4/cpu,forks=0,rate=1000,burst_us=0,seconds=5",
    );
    check(
        "requests:fan=4,workers=8",
        "requests:workers=8,fan=4",
        "requests:messengers=2,workers=8,fan=4,work_us=1000,load=0.5,seconds=5",
    );
    check(
        "audio:rate=375",
        "audio:rate=375",
        "audio:rate=375,load=0.05,seconds=5",
    );
    check(
        "stream:load=1.5,threads=4",
        "stream:load=1.5,threads=4",
        "stream:rate=60,load=1.5,jitter=0.2,threads=4,seconds=5",
    );
    check(
        "tenants:weights=50/100/200",
        "tenants:weights=50/100/200",
        "tenants:weights=50/100/200,hogs=1/cpu,rate=100,burst_us=500,seconds=5",
    );
}

#[test]
fn a_word_stands_for_several_parts() {
    let game = "frames:load=0.7+audio";
    let full =
        "frames:fps=60,load=0.7,jitter=0.2,deadline=1,seconds=5+audio:rate=200,load=0.05,seconds=5";
    check("game", game, full);
    check(
        " game : fps=120",
        "frames:fps=120,load=0.7+audio",
        &full.replace("fps=60", "fps=120"),
    );
    check(
        "game:load=0.4",
        "frames:load=0.4+audio",
        &full.replace("0.7", "0.4"),
    );
    check(
        "game+stream",
        "frames:load=0.7+audio+stream",
        &format!("{full}+stream:rate=60,load=0.5,jitter=0.2,threads=2,seconds=5"),
    );
    check_refused(
        "game+audio",
        "`audio` occurs twice; name it once and raise its numbers instead",
    );
    check_refused(
        "game:rate=4",
        "`frames` has no parameter `rate`; it has fps, load, jitter, deadline, seconds",
    );
    for alias in aliases() {
        let parts = alias.name.parse::<Workload>().expect("it is listed");
        assert_eq!(alias.to_string().parse().ok(), Some(parts));
    }
}

#[test]
fn combinations_have_their_own_defaults() {
    check(
        "pipe + hogs",
        "pipe+hogs",
        "pipe:rounds=200,threads=yes+hogs:count=2/cpu,seconds=3",
    );
    check(
        "pipe:rounds=3000+hogs:count=4",
        "pipe:rounds=3000+hogs:count=4",
        "pipe:rounds=3000,threads=yes+hogs:count=4,seconds=3",
    );
    // A build behind another part goes on as long as that one; in front it is what is measured.
    check(
        "frames+build",
        "frames+build",
        "frames:fps=60,load=0.5,jitter=0.2,deadline=1,seconds=5\
         +build:jobs=2/cpu,units=50,unit_ms=40,builds=endless,seconds=3",
    );
    check(
        "build+hogs",
        "build+hogs",
        "build:jobs=2/cpu,units=50,unit_ms=40,builds=1,seconds=3+hogs:count=2/cpu,seconds=3",
    );
    check(
        "frames+build:builds=1",
        "frames+build:builds=1",
        "frames:fps=60,load=0.5,jitter=0.2,deadline=1,seconds=5\
         +build:jobs=2/cpu,units=50,unit_ms=40,builds=1,seconds=3",
    );
}

#[test]
fn examples_and_defaults_of_the_list_parse() {
    for kind in list() {
        for text in [kind.name, kind.example] {
            let workload: Workload = text
                .parse()
                .unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(workload.parts()[0].kind(), kind);
        }
        let full = format!("{:#}", kind.name.parse::<Workload>().expect("parsed above"));
        for parameter in kind.parameters {
            assert!(
                full.contains(&format!("{}={}", parameter.name, parameter.default)),
                "{full}"
            );
        }
    }
}

#[test]
fn what_cannot_be_is_refused_with_a_remedy() {
    let known = "messaging, pipe, frames, hogs, build, compile, isolation, requests, audio, stream, \
                 tenants, game";
    check_refused(
        " ",
        &format!("the workload is empty; name one of {known}, or several joined by `+`"),
    );
    check_refused(
        "pipes",
        &format!("there is no workload `pipes`; choose from {known}, or join several by `+`"),
    );
    check_refused(
        "pipe+",
        &format!("there is no workload ``; choose from {known}, or join several by `+`"),
    );
    check_refused(
        "hogs+hogs",
        "`hogs` occurs twice; name it once and raise its numbers instead",
    );
    check_refused(
        "pipe:loops=3",
        "`pipe` has no parameter `loops`; it has rounds, threads",
    );
    check_refused(
        "pipe:rounds=1,rounds=2",
        "`pipe` is given `rounds` twice; give it once",
    );
    check_refused(
        "pipe:rounds=0",
        "`pipe:rounds=0` cannot be: give a whole number from 1 to 100000000",
    );
    check_refused(
        "pipe:rounds",
        "`pipe:rounds=` cannot be: give a whole number from 1 to 100000000",
    );
    check_refused(
        "pipe:threads=maybe",
        "`pipe:threads=maybe` cannot be: give yes or no",
    );
    check_refused(
        "hogs:count=0/cpu",
        "`hogs:count=0/cpu` cannot be: give a number from 1 to 4096, or 1/cpu to 64/cpu",
    );
    check_refused(
        "build:jobs=0",
        "`build:jobs=0` cannot be: give a number from 1 to 4096, or 1/cpu to 64/cpu",
    );
    check_refused(
        "build:builds=all",
        "`build:builds=all` cannot be: give a number from 1 to 1000000, or endless",
    );
    check_refused(
        "compile:optimize=4",
        "`compile:optimize=4` cannot be: give a whole number from 0 to 3",
    );
    check_refused(
        "isolation:burst_us=3000",
        "`isolation:burst_us=3000` cannot be: half a CPU is the most: 2500 at this rate",
    );
    check_refused(
        "tenants:burst_us=6000",
        "`tenants:burst_us=6000` cannot be: half a CPU is the most: 5000 at this rate",
    );
    for weights in ["100", "100/0", "100/", "1/2/x", "100/10001"] {
        let message = format!(
            "`tenants:weights={weights}` cannot be: \
             give 2 to 16 weights from 1 to 10000, such as 100/300"
        );
        check_refused(&format!("tenants:weights={weights}"), &message);
    }
    check_refused(
        "stream:load=1.7",
        "`stream:load=1.7` cannot be: its pictures cannot be on time; add threads=3",
    );
    check_refused(
        "frames:load=NaN",
        "`frames:load=NaN` cannot be: give a number from 0.001 to 4",
    );
    check_refused(
        "frames:load=1.5",
        "`frames:load=1.5` cannot be: its frames cannot be on time; add deadline=2",
    );
}

#[test]
fn counts_follow_the_machine() {
    let count = |text: &str| match text.parse::<Workload>().expect("valid").parts() {
        [Part::Hogs(hogs)] => hogs.count,
        other => panic!("{other:?}"),
    };
    assert_eq!(count("hogs"), Count::PerCpu(2));
    assert_eq!(count("hogs").on(3), 6);
    assert_eq!(count("hogs:count=5").on(3), 5);
}
