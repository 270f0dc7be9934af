//! The libraries' errors as failures with codes.

use baton::app::{Code, Failure};

/// The failure in or behind an error.
pub(crate) fn failure(error: &anyhow::Error) -> Failure {
    if let Some(failure) = error.downcast_ref::<Failure>() {
        return failure.clone();
    }
    let code = if let Some(error) = error.downcast_ref::<baton_vm::Error>() {
        Code::Other(error.code(), error.exit_code())
    } else if error.is::<baton_machine::Error>() {
        Code::BadMachine
    } else if let Some(error) = error.downcast_ref::<baton_workload::Error>() {
        match error {
            baton_workload::Error::Os { .. } | baton_workload::Error::Worker { .. } => {
                Code::Failure
            }
            baton_workload::Error::Missing { .. } => Code::Machine,
            _ => Code::BadWorkload,
        }
    } else {
        Code::Failure
    };
    Failure::new(code, format!("{error:#}"))
}

/// Ends a command with a sentence and a code.
pub(crate) fn fail<T>(code: Code, message: impl Into<String>) -> anyhow::Result<T> {
    Err(Failure::new(code, message).into())
}
