//! What recordings hold.

use std::path::Path;

use baton_trace::{Audit, Ending, Recording, Summary};

/// What must hold in every recording.
pub fn audit(path: impl AsRef<Path>) -> Audit {
    let mut audit = Audit::default();
    for event in Recording::open(path).unwrap() {
        audit.add(&event.unwrap());
    }
    audit
}

/// What it comes to.
pub fn summary(path: impl AsRef<Path>) -> Summary {
    Summary::of(&mut Recording::open(path).unwrap()).unwrap()
}

/// Whether these bytes are a recording with its end.
pub fn is_whole(bytes: &[u8]) -> bool {
    let Ok(mut recording) = Recording::read_from(bytes, "test") else {
        return false;
    };
    recording.by_ref().all(|event| event.is_ok())
        && matches!(recording.ending(), Some(Ending::Whole(_)))
}
