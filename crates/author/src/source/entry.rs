//! Which policy a file holds: what `baton::main!` is given, its name and its summary.

use proc_macro2::{Span, TokenStream};
use syn::{
    Expr, ExprLit, File, ImplItem, Item, ItemImpl, Lit, Macro, Meta, Type,
    spanned::Spanned,
    visit::{self, Visit},
};

use super::{arguments, at, tokens};
use crate::{Diagnostic, Stage};

/// Most bytes of a policy's name.
const NAME_MAX: usize = 32;

/// The policy of a file.
pub(super) struct Entry {
    pub(super) policy: String,
    pub(super) name: String,
    pub(super) summary: String,
}

/// Finds it.
pub(super) fn find(file: &File, taken: &[&str]) -> Result<Entry, Vec<Diagnostic>> {
    let policy = main_of(file).map_err(|mistake| vec![mistake])?;
    let mut all = Vec::new();
    policies(&file.items, &mut all);
    let own: Vec<&ItemImpl> = all
        .into_iter()
        .filter(|item| self_name(item) == policy)
        .collect();
    let [item] = own[..] else {
        let span = own.get(1).map_or_else(Span::call_site, |item| item.span());
        let message = format!(
            "there are {} `impl Policy for {policy}`, not one",
            own.len()
        );
        let help = "Write `impl Policy for` the type that `baton::main!` is given.";
        return Err(vec![
            at(Stage::Parse, "no-policy", span, message).help(help),
        ]);
    };
    let (name, summary) = (text(item, "NAME"), text(item, "SUMMARY"));
    let mut mistakes = Vec::new();
    mistakes.extend(name.as_ref().err().cloned());
    mistakes.extend(summary.as_ref().err().cloned());
    let (Ok((name, name_span)), Ok((summary, summary_span))) = (name, summary) else {
        return Err(mistakes);
    };
    mistakes.extend(check_name(&name, name_span, taken));
    if summary.trim().is_empty() || summary.chars().any(char::is_control) {
        let message = "`SUMMARY` is not one line of text";
        mistakes.push(at(Stage::Parse, "bad-name", summary_span, message));
    }
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    Ok(Entry {
        policy,
        name,
        summary,
    })
}

/// The type that `baton::main!` is given.
fn main_of(file: &File) -> Result<String, Diagnostic> {
    let mains: Vec<&Macro> = file
        .items
        .iter()
        .filter_map(|item| match item {
            Item::Macro(item) if arguments::name(&item.mac) == "main" => Some(&item.mac),
            _ => None,
        })
        .collect();
    let help = "End the file with `baton::main!(Name);`, once.";
    let [main] = mains[..] else {
        let span = mains
            .get(1)
            .map_or_else(Span::call_site, |main| main.span());
        let message = format!("`baton::main!` stands {} times in the file", mains.len());
        return Err(at(Stage::Parse, "no-main", span, message).help(help));
    };
    let words: Vec<String> = main
        .path
        .segments
        .iter()
        .map(|one| one.ident.to_string())
        .collect();
    let is_baton = words == ["main"] || words == ["baton", "main"];
    let policy = syn::parse2::<Type>(main.tokens.clone()).ok();
    let policy = policy.as_ref().and_then(type_name).filter(|_| is_baton);
    policy.ok_or_else(|| {
        let message = "`baton::main!` is not given the name of a type";
        at(Stage::Parse, "no-main", main.span(), message).help(help)
    })
}

/// The last word of a plain path.
fn type_name(ty: &Type) -> Option<String> {
    let Type::Path(path) = ty else { return None };
    let plain =
        path.qself.is_none() && path.path.segments.iter().all(|one| one.arguments.is_none());
    let last = path.path.segments.last().filter(|_| plain)?;
    Some(last.ident.to_string())
}

fn policies<'a>(items: &'a [Item], found: &mut Vec<&'a ItemImpl>) {
    for item in items {
        match item {
            Item::Impl(item) if is_policy(item) => found.push(item),
            Item::Mod(inner) => {
                let items = inner.content.as_ref().map_or(&[][..], |(_, items)| items);
                policies(items, found);
            }
            _ => {}
        }
    }
}

/// Whether this implements `Policy`.
pub(super) fn is_policy(item: &ItemImpl) -> bool {
    let path = item.trait_.as_ref().map(|(path, _)| path);
    let last = path.and_then(|path| path.segments.last());
    last.is_some_and(|last| last.ident == "Policy")
}

fn self_name(item: &ItemImpl) -> String {
    type_name(&item.self_ty).unwrap_or_default()
}

/// The text of a constant, and where it stands.
fn text(item: &ItemImpl, name: &str) -> Result<(String, Span), Diagnostic> {
    let found = item.items.iter().find_map(|item| match item {
        ImplItem::Const(item) if item.ident == name => Some(item),
        _ => None,
    });
    let help = format!("Write `const {name}: &'static str = \"...\";`.");
    let Some(found) = found else {
        let message = format!("the policy has no `{name}`");
        return Err(at(Stage::Parse, "bad-name", item.span(), message).help(help));
    };
    match &found.expr {
        Expr::Lit(ExprLit {
            lit: Lit::Str(text),
            ..
        }) => Ok((text.value(), text.span())),
        other => {
            let message = format!("`{name}` is not a text");
            Err(at(Stage::Parse, "bad-name", other.span(), message).help(help))
        }
    }
}

fn check_name(name: &str, span: Span, taken: &[&str]) -> Option<Diagnostic> {
    let begins = name.starts_with(|letter: char| letter.is_ascii_lowercase());
    let fits =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
    if !begins || name.len() > NAME_MAX || !name.bytes().all(fits) {
        let message = format!("`{name}` cannot be a policy's name");
        let help = format!(
            "Up to {NAME_MAX} lower-case letters, digits, `-` and `_`, beginning with a letter."
        );
        return Some(at(Stage::Parse, "bad-name", span, message).help(help));
    }
    taken.contains(&name).then(|| {
        let message = format!("there is a policy `{name}` already");
        at(Stage::Parse, "bad-name", span, message).help("Give it a name of its own.")
    })
}

/// What the parser takes without knowing it, and macros whose arguments are no values: rules
/// would not reach there.
pub(super) fn unknown_syntax(file: &File) -> Vec<Diagnostic> {
    let mut unknown = Unknown(Vec::new());
    unknown.visit_file(file);
    unknown.0
}

struct Unknown(Vec<Diagnostic>);

impl<'ast> Visit<'ast> for Unknown {
    /// What became no tree.
    fn visit_token_stream(&mut self, tokens: &'ast TokenStream) {
        let message = "this is not in the part of Rust that policies use";
        self.0
            .push(at(Stage::Parse, "syntax", tokens.span(), message));
    }

    fn visit_meta(&mut self, _: &'ast Meta) {}

    fn visit_macro(&mut self, mac: &'ast Macro) {
        match arguments::of(mac) {
            Ok(_) => arguments::visit(self, mac),
            // Another macro has been refused already.
            Err(_) if !tokens::MACROS.contains(&arguments::name(mac).as_str()) => {}
            Err(error) => {
                let name = arguments::name(mac);
                let message = format!("the arguments of {name}! are not a list of values: {error}");
                self.0
                    .push(at(Stage::Parse, "macro", error.span(), message));
            }
        }
    }

    /// `main!` within something, where it would not be found.
    fn visit_expr_macro(&mut self, expr: &'ast syn::ExprMacro) {
        self.no_main(&expr.mac);
        visit::visit_expr_macro(self, expr);
    }

    fn visit_stmt_macro(&mut self, stmt: &'ast syn::StmtMacro) {
        self.no_main(&stmt.mac);
        visit::visit_stmt_macro(self, stmt);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        for item in item.content.iter().flat_map(|(_, items)| items) {
            if let Item::Macro(item) = item {
                self.no_main(&item.mac);
            }
        }
        visit::visit_item_mod(self, item);
    }
}

impl Unknown {
    fn no_main(&mut self, mac: &Macro) {
        if arguments::name(mac) == "main" {
            let message = "`main!` stands within something";
            let help = "End the file with `baton::main!(Name);`, once.";
            self.0
                .push(at(Stage::Parse, "no-main", mac.span(), message).help(help));
        }
    }
}
