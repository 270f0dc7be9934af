//! Landlock: the second fence around files, behind the new root, and one against ports and signals.

use crate::wire::{Fault, Step, Task};
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};
use std::io;

/// The newest version that is asked for; older kernels do what they can of it.
const NEWEST: ABI = ABI::V10;

/// Restricts this process, and all that come of it, to the places of the task; Landlock's version.
pub(crate) fn restrict(task: &Task) -> Result<u32, Fault> {
    let fault = |error: RulesetError| {
        Fault::new(
            Step::Landlock,
            "restrict it by Landlock",
            &io::Error::other(error.to_string()),
        )
    };
    let status = rules(task)
        .and_then(RulesetCreated::restrict_self)
        .map_err(fault)?;
    match (status.ruleset, status.landlock) {
        (
            RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced,
            LandlockStatus::Available {
                effective_abi,
                kernel_abi,
            },
        ) => Ok(kernel_abi
            .and_then(|abi| u32::try_from(abi).ok())
            .unwrap_or(effective_abi as u32)),
        _ => Err(Fault::new(
            Step::Landlock,
            "restrict it by Landlock",
            &io::Error::other("this kernel has none, or it is not enabled"),
        )),
    }
}

fn rules(task: &Task) -> Result<RulesetCreated, RulesetError> {
    let readable = AccessFs::from_read(NEWEST);
    let shown = AccessFs::ReadFile | AccessFs::ReadDir;
    let device = AccessFs::ReadFile | AccessFs::WriteFile;
    let mut rules = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?;
    let fixed = [
        ("/tmp", AccessFs::from_all(NEWEST)),
        ("/proc", shown),
        ("/dev", shown),
        ("/dev/null", device),
        ("/dev/zero", device),
        ("/dev/full", device),
    ];
    let asked = task.reads.iter().map(|path| (path.as_path(), readable));
    let written = task.writes.iter();
    for (path, access) in fixed
        .iter()
        .map(|(path, access)| (std::path::Path::new(path), *access))
        .chain(asked)
        .chain(written.map(|path| (path.as_path(), AccessFs::from_all(NEWEST))))
    {
        // What cannot be opened cannot be used either.
        if let Ok(open) = PathFd::new(path) {
            let access = of_file(path, access);
            rules = rules.add_rule(PathBeneath::new(open, access))?;
        }
    }
    Ok(rules)
}

/// Leaves out what makes sense for directories only.
fn of_file(path: &std::path::Path, access: BitFlags<AccessFs>) -> BitFlags<AccessFs> {
    if path.is_dir() {
        access
    } else {
        access & AccessFs::from_file(NEWEST)
    }
}
