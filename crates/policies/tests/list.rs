//! The list of policies says what is so.

use baton_policies::{Entry, Visitor, list, with_policy};
use baton_policy::{Driver, Machine, Options, Policy, Setup};

type Params = Vec<(String, String)>;

struct Make(Params);

impl Visitor for Make {
    type Output = Result<(&'static str, Options), String>;

    fn visit<P: Policy + 'static>(self) -> Self::Output {
        let machine = Machine::uniform("two", 2);
        let driver = Driver::<P>::new(&Setup::with_params(&machine, 1, &self.0));
        let driver = driver.map_err(|error| error.to_string())?;
        Ok((P::NAME, *driver.options()))
    }
}

fn make(entry: &Entry, params: &[(&str, &str)]) -> Result<(&'static str, Options), String> {
    let owned = |(name, value): &(&str, &str)| (name.to_string(), value.to_string());
    with_policy(entry.name, Make(params.iter().map(owned).collect())).unwrap()
}

#[test]
fn every_name_leads_to_its_policy() {
    for entry in list() {
        assert_eq!(make(entry, &[]).unwrap().0, entry.name);
        assert!(!entry.summary.is_empty());
        let same = list().iter().filter(|other| other.name == entry.name);
        assert_eq!(same.count(), 1, "{}", entry.name);
    }
    assert!(with_policy("", Make(Params::new())).is_none());
}

#[test]
fn the_parameters_are_those_that_the_policy_reads() {
    for entry in list() {
        let names: Vec<_> = entry.params.iter().map(|param| param.name).collect();
        let error = make(entry, &[("no-such", "1")]).unwrap_err();
        let known = format!("unknown parameter no-such; known: {}", names.join(", "));
        assert_eq!(error, known, "{}", entry.name);
        let defaults: Vec<_> = entry
            .params
            .iter()
            .map(|param| (param.name, param.default))
            .collect();
        assert_eq!(make(entry, &defaults), make(entry, &[]), "{}", entry.name);
    }
}
