//! The policy API as a compact reference, made from its source.
//!
//! Public items with their documentation stay; bodies, private items, examples and tests go.

use std::fmt::Write as _;

use syn::{
    Attribute, Block, Expr, Field, Fields, ImplItem, Item, ItemImpl, ItemTrait, Lit, Meta,
    TraitItem, Visibility,
};

use super::print::{compact, default_of, printed, type_name};

/// The files of the API, each under a title.
const SOURCES: &[(&str, &str)] = &[
    (
        "The policy and its context",
        include_str!("../../../policy/src/policy.rs"),
    ),
    ("Tasks", include_str!("../../../policy/src/task.rs")),
    ("Decisions", include_str!("../../../policy/src/decision.rs")),
    ("Events", include_str!("../../../policy/src/event.rs")),
    ("Options", include_str!("../../../policy/src/options.rs")),
    (
        "The machine",
        include_str!("../../../policy/src/machine.rs"),
    ),
    (
        "Sets of CPUs",
        include_str!("../../../policy/src/cpuset.rs"),
    ),
    (
        "Classes of tasks",
        include_str!("../../../policy/src/class.rs"),
    ),
    (
        "Time and weight",
        include_str!("../../../policy/src/time.rs"),
    ),
    ("Randomness", include_str!("../../../policy/src/rng.rs")),
];

/// What only a backend or a user of policies needs, and what candidates must not use: names, and
/// what only a simulator or a model can know.
const LEFT_OUT: &[&str] = &[
    "Event",
    "EventKind",
    "ParseCpuSetError",
    "SetupError",
    "TaskName",
    "TaskInfo::name",
    "TaskInfo::tgid",
    "Enqueue::features",
    "Enqueue::guess",
    "Enqueue::truth_ns",
    "Options::prediction",
    "Policy::USES_MODEL",
    "Setup::model",
    "ClassId::new",
    "Classes::name_cpus",
    "Classes::new",
    "Classes::set_weights",
    "Classes::unheeded",
    "Machine::uniform",
    "Mode::ALL",
    "Mode::is_hinted",
    "Mode::name",
    "Mode::named",
    "SliceRule::slice_ns",
    "Setup::new",
    "Setup::with_classes",
    "Setup::with_mode",
    "Setup::with_model",
    "Setup::with_params",
    "Machine::check",
    "Options::clamped",
    "Options::for_classes",
    "Options::granted_slice_ns",
    "CpuSet::from_words",
    "CpuSet::words",
    "Rng::new",
];

/// Everything that a policy can see and do, in Markdown: each public item of the API with its
/// documentation, and no bodies.
#[must_use]
pub fn api() -> String {
    let mut text = String::from(
        "All of this comes with `use baton::prelude::*;`, or by its path in `baton`. Bodies are \
         left out; a method of a trait that is followed by `// provided` need not be written. \
         Structs have fields beside those shown: make one with `..Default::default()`.\n",
    );
    for (title, source) in SOURCES {
        let _ = writeln!(text, "\n## {title}\n");
        text += &reference(source);
    }
    text
}

/// The reference of one file; one that cannot be parsed has none, which a test looks after.
fn reference(source: &str) -> String {
    let Ok(file) = syn::parse_file(source) else {
        return String::new();
    };
    let mut code = String::new();
    let mut defaults = String::new();
    for item in file.items {
        if let Item::Impl(item) = &item
            && let Some(line) = default_of(item)
        {
            defaults += &line;
        }
        if let Some(item) = public(item) {
            let provided = matches!(item, Item::Trait(_));
            code += &printed(item, provided);
        }
    }
    let mut text = format!("```rust\n{}```\n", compact(&code));
    if !defaults.is_empty() {
        let _ = write!(text, "\nDefaults:\n\n{defaults}");
    }
    text
}

fn is_left_out(path: &str) -> bool {
    LEFT_OUT.contains(&path)
}

/// The item without what nobody outside can use; `None` if nothing is left.
fn public(item: Item) -> Option<Item> {
    let is_public = |visibility: &Visibility| matches!(visibility, Visibility::Public(_));
    match item {
        Item::Const(mut item) if is_public(&item.vis) => {
            clean(&mut item.attrs);
            Some(Item::Const(item))
        }
        Item::Fn(mut item) if is_public(&item.vis) => {
            clean(&mut item.attrs);
            item.block = Box::new(no_body());
            Some(Item::Fn(item))
        }
        Item::Struct(mut item) if is_public(&item.vis) && !is_left_out(&item.ident.to_string()) => {
            clean(&mut item.attrs);
            public_fields(&item.ident.to_string(), &mut item.fields);
            Some(Item::Struct(item))
        }
        Item::Enum(mut item) if is_public(&item.vis) && !is_left_out(&item.ident.to_string()) => {
            clean(&mut item.attrs);
            for variant in &mut item.variants {
                clean(&mut variant.attrs);
                for field in &mut variant.fields {
                    clean(&mut field.attrs);
                }
            }
            Some(Item::Enum(item))
        }
        Item::Trait(item) if is_public(&item.vis) => Some(Item::Trait(public_trait(item))),
        Item::Impl(item) => public_impl(item).map(Item::Impl),
        _ => None,
    }
}

fn public_fields(of: &str, fields: &mut Fields) {
    let public = |field: &Field| {
        let name = field.ident.as_ref().map(|name| format!("{of}::{name}"));
        matches!(field.vis, Visibility::Public(_)) && !name.is_some_and(|name| is_left_out(&name))
    };
    let all = match fields {
        Fields::Named(named) => &mut named.named,
        Fields::Unnamed(unnamed) => &mut unnamed.unnamed,
        Fields::Unit => return,
    };
    *all = std::mem::take(all).into_iter().filter(public).collect();
    for field in all {
        clean(&mut field.attrs);
    }
}

fn public_trait(mut item: ItemTrait) -> ItemTrait {
    clean(&mut item.attrs);
    let of = item.ident.to_string();
    item.items.retain(|member| {
        let TraitItem::Const(member) = member else {
            return true;
        };
        !is_left_out(&format!("{of}::{}", member.ident))
    });
    for member in &mut item.items {
        match member {
            TraitItem::Const(member) => clean(&mut member.attrs),
            TraitItem::Type(member) => clean(&mut member.attrs),
            TraitItem::Fn(member) => {
                clean(&mut member.attrs);
                member.default = member.default.as_ref().map(|_| no_body());
            }
            _ => {}
        }
    }
    item
}

/// What the type itself can do. What it does by a trait goes without saying.
fn public_impl(mut item: ItemImpl) -> Option<ItemImpl> {
    if item.trait_.is_some() {
        return None;
    }
    let of = type_name(&item.self_ty).filter(|of| !is_left_out(of))?;
    clean(&mut item.attrs);
    let all = std::mem::take(&mut item.items);
    item.items = all
        .into_iter()
        .filter_map(|member| public_member(&of, member))
        .collect();
    // Bounds of a whole block are none of a caller's.
    item.generics.where_clause = None;
    (!item.items.is_empty()).then_some(item)
}

fn public_member(of: &str, member: ImplItem) -> Option<ImplItem> {
    match member {
        ImplItem::Fn(mut member) if matches!(member.vis, Visibility::Public(_)) => {
            let name = &member.sig.ident;
            if is_left_out(&format!("{of}::{name}")) {
                return None;
            }
            clean(&mut member.attrs);
            member.block = no_body();
            Some(ImplItem::Fn(member))
        }
        ImplItem::Const(mut member) if matches!(member.vis, Visibility::Public(_)) => {
            if is_left_out(&format!("{of}::{}", member.ident)) {
                return None;
            }
            clean(&mut member.attrs);
            if matches!(member.expr, Expr::Struct(_) | Expr::Array(_)) {
                // Its name and its documentation say enough.
                member.expr = syn::parse_str("_").ok()?;
            }
            Some(ImplItem::Const(member))
        }
        _ => None,
    }
}

fn no_body() -> Block {
    Block {
        brace_token: syn::token::Brace::default(),
        stmts: Vec::new(),
    }
}

/// Keeps the documentation, up to its first example, and what is derived.
fn clean(attributes: &mut Vec<Attribute>) {
    let mut over = false;
    attributes.retain(|attribute| {
        if attribute.path().is_ident("derive") {
            return true;
        }
        let Some(line) = documentation(attribute) else {
            return false;
        };
        over |= line.trim_start().starts_with("```") || line.trim() == "# Example";
        !over
    });
    if !over {
        return;
    }
    // What leads to the example goes with it.
    let last = |all: &[Attribute]| all.iter().rposition(|one| documentation(one).is_some());
    while let Some(last) = last(attributes)
        && leads_on(&attributes[last])
    {
        attributes.remove(last);
    }
}

/// Whether it is an empty line of documentation, or one that announces something.
fn leads_on(attribute: &Attribute) -> bool {
    documentation(attribute).is_some_and(|line| line.trim().is_empty() || line.ends_with(':'))
}

fn documentation(attribute: &Attribute) -> Option<String> {
    let Meta::NameValue(meta) = &attribute.meta else {
        return None;
    };
    let Expr::Lit(value) = &meta.value else {
        return None;
    };
    match &value.lit {
        Lit::Str(text) if meta.path.is_ident("doc") => Some(text.value()),
        _ => None,
    }
}

#[cfg(test)]
#[path = "api_tests.rs"]
mod tests;
