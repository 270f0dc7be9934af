use super::*;

const GOOD: &str = "name = \"m\"\nsockets = 2\nllcs_per_socket = 2\ncores_per_llc = 3\n\
                    threads_per_core = 2\n";

fn parse(text: &str) -> Result<MachineFile, String> {
    MachineFile::parse("m.toml", text).map_err(|error| error.to_string())
}

#[track_caller]
fn check_error(text: &str, expected: &str) {
    assert_eq!(parse(text).unwrap_err(), expected);
}

#[test]
fn groups_follow_the_numbering() {
    let file = parse(&format!("{GOOD}[numa]\nnodes = 2\n")).unwrap();
    let machine = file.machine();
    assert_eq!(machine.cpus.len(), 24);
    let last = machine.cpus[23];
    assert_eq!(
        (last.core, last.llc, last.node, last.package),
        (11, 3, 1, 1)
    );
    assert_eq!(machine.siblings(5).to_string(), "4-5");
    assert_eq!(machine.llc_cpus(1).to_string(), "6-11");
    assert_eq!(file.node_cpus(1).to_string(), "12-23");
    assert_eq!(machine.node_distance, [[10, 20], [20, 10]]);
    assert_eq!(file.memory_mib, 2048);
}

#[test]
fn classes_make_a_hybrid() {
    let text =
        format!("{GOOD}core_classes = [{{ name = \"E\", cores = \"6-11\", capacity = 512 }}]\n");
    let machine = parse(&text).unwrap().machine();
    assert_eq!(
        (machine.cpus[11].capacity, machine.cpus[12].capacity),
        (1024, 512)
    );
    assert!(machine.is_hybrid());
}

#[test]
fn a_class_can_have_fewer_threads() {
    let class = "{ name = \"E\", cores = \"6-11\", capacity = 512, threads = 1 }";
    let text = format!("{GOOD}core_classes = [{class}]\n[numa]\nnodes = 2\n");
    let file = parse(&text).unwrap();
    let machine = file.machine();
    assert_eq!((file.cpu_count(), machine.cpus.len()), (18, 18));
    assert_eq!(machine.siblings(11).to_string(), "10-11");
    assert_eq!(machine.siblings(12).to_string(), "12");
    assert_eq!(file.node_cpus(1).to_string(), "12-17");
    assert_eq!(machine.cpus[17].core, 11);
    assert_eq!(
        file.vm_obstacle().unwrap(),
        "its cores have different numbers of threads"
    );
    let text = text.replace("threads = 1", "threads = 3");
    let expected = "m.toml:6: threads = 3 is outside 1 to threads_per_core, 2";
    check_error(&text, expected);
}

#[test]
fn mistakes_name_line_and_remedy() {
    check_error(
        &GOOD.replace("sockets = 2\n", "sockets = 0\n"),
        "m.toml:2: sockets = 0 is outside 1 to 1024",
    );
    check_error(
        &GOOD.replace("cores_per_llc = 3", "cores_per_llc = 300"),
        "m.toml:2: sockets x llcs_per_socket x cores_per_llc x threads_per_core is 2400 CPUs, \
         more than 1024: make one of them smaller",
    );
    check_error(
        &format!("{GOOD}[numa]\nnodes = 3\n"),
        "m.toml:7: numa.nodes = 3 must be 1 to 64 and divide the 4 last-level caches, as a \
         node holds whole caches",
    );
    check_error(
        &format!("{GOOD}[numa]\nnodes = 2\ndistances = [[10, 20]]\n"),
        "m.toml:8: numa.distances must have 2 rows of 2 numbers",
    );
    check_error(
        &format!("{GOOD}[numa]\nnodes = 2\ndistances = [[10, 20], [10, 10]]\n"),
        "m.toml:8: numa.distances: from node 1 to node 0 cannot be 10: a node is 10 from \
         itself and 11 to 254 from others",
    );
    check_error(
        &format!("{GOOD}core_classes = [{{ name = \"E\", cores = \"12\", capacity = 5 }}]\n"),
        "m.toml:6: there is no core 12: the last is 11",
    );
    check_error(
        &format!("{GOOD}memory_mib = 1\n"),
        "m.toml:6: memory_mib = 1 is outside 256 to 16777215",
    );
    check_error(
        &format!("{GOOD}[costs]\nswitch_ns = 1\nsmt_percent = 0\n"),
        "m.toml:8: costs.smt_percent = 0 is outside 1 to 100",
    );
}

#[test]
fn toml_mistakes_name_the_line_too() {
    check_error(
        &format!("{GOOD}soket = 2\n"),
        "m.toml:6: unknown field `soket`, expected one of `name`, `description`, `sockets`, \
         `llcs_per_socket`, `cores_per_llc`, `threads_per_core`, `memory_mib`, `numa`, \
         `core_classes`, `costs`",
    );
    let error = parse("name = \"m\"\nsockets = two\n").unwrap_err();
    assert!(
        error.starts_with("m.toml:2: ") && !error.contains('\n'),
        "{error}"
    );
    let error = parse("name = \"m\"\n").unwrap_err();
    assert!(error.contains("missing field `sockets`"), "{error}");
    let error = parse(&GOOD.replace("sockets = 2\n", "sockets = -2\n")).unwrap_err();
    assert!(error.starts_with("m.toml:2: "), "{error}");
}

#[test]
fn find_knows_names_and_paths() {
    assert_eq!(MachineFile::find("2-cpu").unwrap().cpu_count(), 2);
    assert_eq!(
        MachineFile::find("3-cpu").unwrap_err().to_string(),
        "no machine is called `3-cpu`: give the path of a machine file, or one of 2-cpu, \
         2-cpu-emulated, 4-cpu-smt, 8-cpu-2-socket-numa, laptop-hybrid, 2-socket-48-core, 8-node-numa, 1024-cpu"
    );
    let error = MachineFile::find("./none.toml").unwrap_err().to_string();
    assert!(
        error.starts_with("cannot read machine file ./none.toml: "),
        "{error}"
    );
}
