use std::collections::BTreeSet;

use super::*;

fn items() -> Vec<Item> {
    let files = SOURCES
        .iter()
        .map(|(_, source)| syn::parse_file(source).unwrap());
    files.flat_map(|file| file.items).collect()
}

/// The names of what the policy API has, `Type::method` and `Type`, left out or not.
fn names() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for item in items() {
        match item {
            Item::Struct(item) => {
                let of = item.ident.to_string();
                let fields = item.fields.iter().filter_map(|field| field.ident.as_ref());
                names.extend(fields.map(|field| format!("{of}::{field}")));
                names.insert(of);
            }
            Item::Enum(item) => drop(names.insert(item.ident.to_string())),
            Item::Trait(item) => {
                for member in &item.items {
                    if let TraitItem::Const(member) = member {
                        names.insert(format!("{}::{}", item.ident, member.ident));
                    }
                }
            }
            Item::Impl(item) if item.trait_.is_none() => {
                let of = type_name(&item.self_ty).unwrap();
                for member in &item.items {
                    let name = match member {
                        ImplItem::Fn(member) => &member.sig.ident,
                        ImplItem::Const(member) => &member.ident,
                        _ => continue,
                    };
                    names.insert(format!("{of}::{name}"));
                }
            }
            _ => {}
        }
    }
    names
}

#[test]
fn it_has_everything_that_a_policy_calls() {
    let (api, mut found) = (api(), 0);
    let mut check = |name: &syn::Ident| {
        let has = [format!("fn {name}("), format!("fn {name}<")];
        assert!(has.iter().any(|has| api.contains(has)), "{name}");
        found += 1;
    };
    for item in items() {
        match item {
            Item::Trait(item) if item.ident == "Policy" => {
                for member in &item.items {
                    if let TraitItem::Fn(member) = member {
                        check(&member.sig.ident);
                    }
                }
            }
            Item::Impl(item) if type_name(&item.self_ty).as_deref() == Some("Context") => {
                for member in &item.items {
                    match member {
                        ImplItem::Fn(member) if matches!(member.vis, Visibility::Public(_)) => {
                            check(&member.sig.ident);
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    assert!(found >= 28, "{found}");
    for part in [
        "  fn enqueue(\n    &mut self,\n",
        "  fn options(&self) -> Options; // provided",
        "  fn running(&mut self, cx: &mut Context<'_, Self::Task>, task: TaskId, cpu: u32); // provided",
        "pub struct TaskId { /* private */ }",
        "slice_ns: 20 * MS",
        "  pub fn ready(&mut self, task: TaskId, key: u64) -> &mut Decision;",
        "pub const MS: u64 = 1_000_000;",
        "  /// A task got a CPU.\n",
    ] {
        assert!(api.contains(part), "{part}");
    }
}

#[test]
fn it_has_neither_bodies_nor_examples_nor_what_is_private() {
    let api = api();
    for line in api.lines() {
        let code = line.trim_start();
        let is_function =
            code.starts_with("fn ") || code.starts_with("pub ") && code.contains("fn ");
        assert!(!is_function || !code.contains('{'), "{line}");
    }
    for part in [
        "let ",
        "return ",
        "self.",
        "pub(crate)",
        "cfg_attr",
        "#[must_use]",
        "mod tests",
        "use ",
        "Alphabet",
        "struct Quiet",
        "Background work",
        "TaskName",
        "`crate::",
        "_cx",
        "impl fmt",
        ";;",
    ] {
        let found = api.lines().skip(1).find(|line| {
            let is_code = !line.trim_start().starts_with("///");
            is_code && line.contains(part) && !line.starts_with("- `TaskInfo::default()`")
        });
        assert_eq!(found, None, "{part}");
    }
}

#[test]
fn it_is_compact() {
    let api = api();
    assert!((15_000..27_000).contains(&api.len()), "{}", api.len());
    assert_eq!(api.matches("```").count(), 2 * SOURCES.len());
}

#[test]
fn what_is_left_out_exists() {
    let names = names();
    for name in LEFT_OUT {
        assert!(names.contains(*name), "{name}");
    }
}
