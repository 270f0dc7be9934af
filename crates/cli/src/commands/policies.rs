//! `baton policies`: what there is to run.

use std::process::ExitCode;

use baton::{
    Policy,
    app::{Code, Failure, did_you_mean},
};
use baton_policies::{Visitor, list, with_policy};
use baton_policy::{Driver, Machine, Mode, Setup};
use serde_json::{Value, json};

use crate::table::{Align, table};

/// List the policies that come with Baton, and their parameters
#[derive(clap::Args)]
#[command(after_help = "Example:\n  baton policies --json")]
pub(crate) struct Args {
    /// Print JSON: a list of `name`, `summary`, `modes` and `params`
    #[arg(long)]
    json: bool,
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    if args.json {
        outln!("{}", json!(list().iter().map(describe).collect::<Vec<_>>()));
        return Ok(ExitCode::SUCCESS);
    }
    let mut rows = Vec::new();
    for policy in list() {
        let modes: Vec<_> = modes(policy.name).map(Mode::name).collect();
        rows.push([policy.name, "", policy.summary].map(String::from).into());
        let meaning = "the modes that it has (run --mode)".to_owned();
        rows.push(vec!["  --mode".to_owned(), modes.join(", "), meaning]);
        for param in policy.params {
            let name = format!("  {}", param.name);
            rows.push(vec![
                name,
                param.default.to_owned(),
                param.meaning.to_owned(),
            ]);
        }
    }
    out!("{}", table(&rows, |_| Align::Left));
    Ok(ExitCode::SUCCESS)
}

fn describe(policy: &baton_policies::Entry) -> Value {
    let params: Vec<_> = policy
        .params
        .iter()
        .map(
            |param| json!({"name": param.name, "default": param.default, "meaning": param.meaning}),
        )
        .collect();
    let modes: Vec<_> = modes(policy.name).map(Mode::name).collect();
    json!({"name": policy.name, "summary": policy.summary, "modes": modes, "params": params})
}

/// Whether a policy can be made in a mode.
struct Has(Mode);

impl Visitor for Has {
    type Output = bool;

    fn visit<P: Policy + 'static>(self) -> bool {
        let machine = Machine::uniform("any", 2);
        Driver::<P>::new(&Setup::new(&machine, 1).with_mode(self.0)).is_ok()
    }
}

/// The modes that a policy has, on a machine of equal CPUs.
fn modes(policy: &str) -> impl Iterator<Item = Mode> {
    let has = move |mode: &Mode| with_policy(policy, Has(*mode)) == Some(true);
    Mode::ALL.into_iter().filter(has)
}

/// The names, in the order of the list.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    list().iter().map(|policy| policy.name)
}

/// The complaint about a policy that does not exist; `or` names another way out.
pub(crate) fn unknown(name: &str, or: &str) -> Failure {
    let known: Vec<_> = names().collect();
    let message = format!(
        "there is no policy `{name}`{}: choose from {}, {or}",
        did_you_mean(name, names()),
        known.join(", ")
    );
    Failure::new(Code::UnknownPolicy, message)
}
