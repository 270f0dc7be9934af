//! The data set that comes with Baton, of which `docs/data-card.md` tells.

use std::{collections::BTreeSet, path::Path};

use baton_model::ModelFile;
use baton_train::Data;

/// Fewer samples of an application on a machine are not judged.
const SAMPLES_MIN: usize = 200;
const BYTES_MAX: u64 = 2 << 20;

#[test]
fn it_is_of_many_applications_and_two_machines() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/bursts.data");
    let size = std::fs::metadata(&path)
        .expect("models/bursts.data is there")
        .len();
    assert!(size <= BYTES_MAX, "{size} bytes");
    let data = Data::read(&path).expect("it is read");
    let of_machine = |machine: usize| -> BTreeSet<u16> {
        let mut counts = vec![0; data.applications.len()];
        for sample in &data.samples {
            if usize::from(data.machine_of(sample)) == machine && !sample.cut {
                counts[usize::from(sample.application)] += 1;
            }
        }
        let many = (0..).zip(counts).filter(|(_, count)| *count >= SAMPLES_MIN);
        many.map(|(application, _)| application).collect()
    };
    let machines: Vec<_> = (0..data.machines.len()).map(of_machine).collect();
    let used = machines
        .iter()
        .filter(|applications| applications.len() >= 5);
    assert!(used.count() >= 2, "{:?}", data.machines);
    let applications: BTreeSet<_> = machines.iter().flatten().collect();
    assert!(applications.len() >= 10, "{:?}", data.applications);
    the_model_is_of(data.clone());
    // The card names it.
    let card = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/data-card.md");
    let card = std::fs::read_to_string(card).expect("it is text");
    assert!(card.contains(&data.digest()), "{}", data.digest());
}

/// The model that comes with Baton learned from this data, but for Baton's own workloads.
fn the_model_is_of(data: Data) {
    let ours = ["build", "frames", "messaging", "requests"].map(String::from);
    let others = data.without(&ours).expect("they are there");
    assert_eq!(others.digest(), ModelFile::shipped().provenance.data);
}
