//! `baton policies`: what there is to run.

use std::process::ExitCode;

use baton::app::{Code, Failure, did_you_mean};
use baton_policies::list;
use serde_json::{Value, json};

use crate::table::{Align, table};

/// List the policies that come with Baton, and their parameters
#[derive(clap::Args)]
#[command(after_help = "Example:\n  baton policies --json")]
pub(crate) struct Args {
    /// Print JSON: a list of `name`, `summary` and `params`
    #[arg(long)]
    json: bool,
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    if args.json {
        println!("{}", json!(list().iter().map(describe).collect::<Vec<_>>()));
        return Ok(ExitCode::SUCCESS);
    }
    let mut rows = Vec::new();
    for policy in list() {
        rows.push([policy.name, "", policy.summary].map(String::from).into());
        for param in policy.params {
            let name = format!("  {}", param.name);
            rows.push(vec![
                name,
                param.default.to_owned(),
                param.meaning.to_owned(),
            ]);
        }
    }
    print!("{}", table(&rows, |_| Align::Left));
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
    json!({"name": policy.name, "summary": policy.summary, "params": params})
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
