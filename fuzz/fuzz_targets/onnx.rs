//! ONNX models that come from elsewhere. What is imported predicts without an overflow, and its file is read again.
#![no_main]

use baton_model::{FEATURES, Image, ModelFile, Provenance};
use baton_train::{
    Look, Reading, Unit,
    onnx::{Onnx, import},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let plain = Look::plain(baton_model::Feature::ALL);
    for (look, unit) in [(plain, Unit::Octaves), (Look::default(), Unit::Steps)] {
        let reading = Reading { look, unit };
        let Ok(onnx) = Onnx::parse("fuzz", bytes) else {
            return;
        };
        let origin = onnx.origin();
        let Ok(imported) = import(&[onnx], &reading, &[]) else {
            continue;
        };
        for value in [0, 1, 5000, 10240, u16::MAX] {
            let _ = imported.model.infer(&[value; FEATURES]);
        }
        let _ = Image::of(&imported.model);
        let file = ModelFile {
            model: imported.model,
            provenance: Provenance {
                trainer: origin,
                ..Provenance::default()
            },
            scores: Vec::new(),
        };
        let text = file.text().expect("it has no scores");
        assert_eq!(ModelFile::parse(text.as_bytes()).ok(), Some(file));
    }
});
