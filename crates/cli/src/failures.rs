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
    } else if error.is::<baton_machine::ClassError>() {
        Code::BadClasses
    } else if let Some(error) = error.downcast_ref::<baton_workload::Error>() {
        match error {
            baton_workload::Error::Os { .. } | baton_workload::Error::Worker { .. } => {
                Code::Failure
            }
            baton_workload::Error::Missing { .. } => Code::Machine,
            _ => Code::BadWorkload,
        }
    } else if let Some(error) = error.downcast_ref::<baton_lab::experiment::Error>() {
        match error {
            baton_lab::experiment::Error::Unreadable { .. } => Code::Io,
            _ => Code::Other("bad-experiment", 2),
        }
    } else if let Some(error) = error.downcast_ref::<baton_lab::journal::Error>() {
        journal(error)
    } else if let Some(error) = error.downcast_ref::<baton_lab::charge::Error>() {
        charge(error)
    } else if let Some(error) = error.downcast_ref::<baton_lab::engine::Error>() {
        engine(error)
    } else if let Some(code) = author(error) {
        code
    } else {
        Code::Failure
    };
    Failure::new(code, format!("{error:#}"))
}

#[cfg(feature = "author")]
fn author(error: &anyhow::Error) -> Option<Code> {
    use baton_author::Error as E;
    if error.is::<baton_sandbox::Error>() {
        return Some(Code::Other("no-sandbox", 3));
    }
    use baton_author::{chat, controller::AuthorError, ledger::LedgerError};
    if error.is::<chat::ConfigError>() {
        return Some(Code::Other("model-service", 2));
    }
    let ledger = |error: &LedgerError| match error {
        LedgerError::InUse { .. } => Code::Busy,
        _ => Code::Other("ledger", 2),
    };
    if let Some(error) = error.downcast_ref::<LedgerError>() {
        return Some(ledger(error));
    }
    let own = match error.downcast_ref::<AuthorError>() {
        None => error.downcast_ref::<E>()?,
        Some(AuthorError::Machine(own)) => own,
        Some(AuthorError::Ledger(error)) => return Some(ledger(error)),
        Some(AuthorError::Chat(error)) => return Some(Code::Other(error.code(), 1)),
        Some(_) => return Some(Code::BadParameter),
    };
    Some(match own {
        E::Sandbox(_) => Code::Other("no-sandbox", 3),
        E::NoSource { .. } | E::NoRust { .. } | E::Library(_) | E::Vm(_) => Code::Machine,
        E::File { .. } => Code::Io,
        E::Stopped => Code::Other("stopped", 130),
        _ => Code::Failure,
    })
}

#[cfg(not(feature = "author"))]
fn author(_: &anyhow::Error) -> Option<Code> {
    None
}

fn journal(error: &baton_lab::journal::Error) -> Code {
    use baton_lab::journal::Error as E;
    match error {
        E::InUse { .. } => Code::Busy,
        E::Foreign { .. } => Code::Exists,
        E::Differs { .. } => Code::Other("another-experiment", 2),
        E::Damaged { .. } => Code::Other("bad-journal", 2),
        _ => Code::Io,
    }
}

fn charge(error: &baton_lab::charge::Error) -> Code {
    use baton_lab::charge::Error as E;
    match error {
        E::Busy { .. } => Code::Busy,
        E::Late { .. } => Code::Other("attach-timeout", 125),
        E::Start { .. } | E::Ended { .. } => Code::Other("policy-ended", 125),
        _ => Code::Failure,
    }
}

fn engine(error: &baton_lab::engine::Error) -> Code {
    use baton_lab::engine::{Error as E, Refusal};
    match error {
        E::Journal(error) => journal(error),
        E::Vm(error) => Code::Other(error.code(), error.exit_code()),
        E::Charge(error) => charge(error),
        E::Refused(Refusal::NotRoot) => Code::NoRoot,
        E::Refused(_) => Code::NoSchedExt,
        E::Elsewhere { .. } => Code::Other("another-experiment", 2),
        E::Guest(_) => Code::Other("guest", 125),
        _ => Code::Failure,
    }
}

/// Ends a command with a sentence and a code.
pub(crate) fn fail<T>(code: Code, message: impl Into<String>) -> anyhow::Result<T> {
    Err(Failure::new(code, message).into())
}
