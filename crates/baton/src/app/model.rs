//! Models that people name.

use std::{path::Path, sync::Arc};

use baton_model::{FileError, ModelFile};

use super::{Code, Failure};

/// Reads a model's file.
///
/// # Errors
/// It cannot be read, or is no model that can be used.
pub fn model(path: &Path) -> Result<ModelFile, Failure> {
    ModelFile::read(path).map_err(|error| match &error {
        FileError::Io(error) => Failure::io("read", path, error),
        _ => Failure::new(
            Code::Other("bad-model", 2),
            format!("{}: {error}", path.display()),
        ),
    })
}

/// The model that `--model` names, if it names one.
pub(super) fn named(path: Option<&Path>) -> Result<Option<Arc<ModelFile>>, Failure> {
    Ok(path.map(model).transpose()?.map(Arc::new))
}

/// The complaint about a model for a policy that uses none.
#[cfg(feature = "kernel")]
pub(super) fn unused(policy: &str) -> Failure {
    let message = format!("{policy} uses no model: leave --model out, or run learned");
    Failure::new(Code::BadParameter, message)
}
