//! Arguments, with usage errors told like all others.

use clap::{CommandFactory, FromArgMatches, error::ErrorKind};

use super::{Code, Failure, wants_json};

/// Parses the program's arguments. `describe` has the last word on the command.
/// Help and version are printed and end the program with 0; with `--json` among the
/// arguments, a mistake in them comes back as a [`Failure`], otherwise clap prints it
/// with the usage and ends the program with 2.
///
/// # Errors
/// A mistake in the arguments, with [`Code::Usage`].
pub fn parse<A>(describe: impl FnOnce(clap::Command) -> clap::Command) -> Result<A, Failure>
where
    A: CommandFactory + FromArgMatches,
{
    let command = hide_only(describe(A::command()));
    let parsed = command
        .try_get_matches()
        .and_then(|matches| A::from_arg_matches(&matches));
    parsed.map_err(|error| {
        let is_mistake = error.use_stderr()
            && error.kind() != ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
        if !is_mistake || !wants_json() {
            error.exit();
        }
        let text = error.render().to_string();
        let first = text.lines().next().unwrap_or_default();
        let sentence = first.strip_prefix("error: ").unwrap_or(first);
        Failure::new(Code::Usage, format!("{sentence}; see --help"))
    })
}

/// A takeover keeps the part of the machine that was scheduled before: `switch` has the arguments of
/// `run`, and this one only to say so.
fn hide_only(command: clap::Command) -> clap::Command {
    if command.find_subcommand("switch").is_none() {
        return command;
    }
    command.mut_subcommand("switch", |switch| {
        switch.mut_arg("only", |only| only.hide(true))
    })
}
