//! Models and data sets: the same bytes are read as each of them. A model that is accepted predicts without an
//! overflow, which the sanitizers of arithmetic see.
#![no_main]

use baton_model::{FEATURES, Image, Model, ModelFile};
use baton_train::Data;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(file) = ModelFile::parse(bytes) {
        let again = ModelFile::parse(file.text().expect("scores are numbers").as_bytes());
        assert_eq!(again.ok().as_ref(), Some(&file));
        for value in [0, 1, 5000, 10240, u16::MAX] {
            let _ = file.model.infer(&[value; FEATURES]);
        }
        let _ = Image::of(&file.model);
    }
    // Few bytes have the right digest, so the model by itself too.
    if let Ok(model) = serde_json::from_slice::<Model>(bytes) {
        for value in [0, 1, 5000, 10240, u16::MAX] {
            let _ = model.infer(&[value; FEATURES]);
        }
        let _ = Image::of(&model);
    }
    if let Ok(data) = Data::parse(bytes) {
        assert_eq!(Data::parse(&data.bytes()).ok().as_ref(), Some(&data));
        let _ = data.thinned(3, 1);
    }
});
