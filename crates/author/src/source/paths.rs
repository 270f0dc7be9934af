//! Paths to what a policy must not use, under whatever name they are imported.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{Ident, Span};
use syn::{
    Expr, File, ItemUse, Macro, Path, Type, UseTree,
    visit::{self, Visit},
};

use super::{
    arguments, at,
    model::Model,
    refusals::{self, refusal},
    tokens,
};
use crate::{Diagnostic, Stage};

/// Names within one another, most.
const RENAMED_MAX: usize = 8;

/// Finds them.
pub(super) fn check(file: &File, model: &Model) -> Vec<Diagnostic> {
    let mut uses = Uses::default();
    uses.visit_file(file);
    let mut paths = Paths {
        model,
        uses: &uses,
        mistakes: Vec::new(),
    };
    for (words, span) in &uses.all {
        paths.judge(words, *span);
    }
    for (name, of_baton, span) in &uses.renamed {
        paths.judge_name(name, *of_baton && name != "_", *span);
    }
    paths.visit_file(file);
    paths.mistakes
}

/// What is imported, by the names that it has here.
#[derive(Default)]
struct Uses {
    names: BTreeMap<String, Vec<Vec<String>>>,
    all: Vec<(Vec<String>, Span)>,
    /// New names, and whether they are of what is baton's.
    renamed: Vec<(String, bool, Span)>,
    /// Variables, which can have the names of functions.
    variables: BTreeSet<String>,
}

impl Uses {
    fn tree(&mut self, tree: &UseTree, before: &[String]) {
        let with = |ident: &Ident| {
            let mut words = before.to_vec();
            if ident != "self" || before.is_empty() {
                words.push(ident.to_string());
            }
            words
        };
        match tree {
            UseTree::Path(path) => self.tree(&path.tree, &with(&path.ident)),
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.tree(tree, before);
                }
            }
            UseTree::Name(name) => {
                let words = with(&name.ident);
                let last = words.last().cloned().unwrap_or_default();
                self.add(last, words, name.ident.span());
            }
            UseTree::Rename(rename) => {
                let words = with(&rename.ident);
                let of_baton = words.first().is_some_and(|root| root == "baton");
                self.renamed
                    .push((rename.rename.to_string(), of_baton, rename.rename.span()));
                self.add(rename.rename.to_string(), words, rename.ident.span());
            }
            UseTree::Glob(glob) => {
                let mut words = before.to_vec();
                words.push("*".into());
                self.all.push((words, glob.star_token.span));
            }
        }
    }

    fn add(&mut self, name: String, words: Vec<String>, span: Span) {
        self.all.push((words.clone(), span));
        if words.last() != Some(&name) || words.len() > 1 {
            self.names.entry(name).or_default().push(words);
        }
    }
}

impl<'ast> Visit<'ast> for Uses {
    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.tree(&item.tree, &[]);
    }

    fn visit_pat_ident(&mut self, pattern: &'ast syn::PatIdent) {
        self.variables.insert(pattern.ident.to_string());
        visit::visit_pat_ident(self, pattern);
    }

    fn visit_macro(&mut self, mac: &'ast Macro) {
        arguments::visit(self, mac);
    }
}

struct Paths<'a> {
    model: &'a Model,
    uses: &'a Uses,
    mistakes: Vec<Diagnostic>,
}

impl Paths<'_> {
    /// All that a path can mean, by what is imported.
    fn meanings(&self, words: &[String]) -> Vec<Vec<String>> {
        let local = |word: &&String| matches!(word.as_str(), "crate" | "self" | "super");
        let skipped = words.iter().take_while(local).count();
        let mut found = vec![words[skipped..].to_vec()];
        for _ in 0..RENAMED_MAX {
            let mut next = Vec::new();
            for words in &found {
                let Some((first, rest)) = words.split_first() else {
                    continue;
                };
                for target in self.uses.names.get(first).into_iter().flatten() {
                    let target = target.iter().skip_while(|word| local(word));
                    let renamed: Vec<String> = target.chain(rest).cloned().collect();
                    if !found.contains(&renamed) && !next.contains(&renamed) {
                        next.push(renamed);
                    }
                }
            }
            if next.is_empty() || found.len() > 64 {
                break;
            }
            found.extend(next);
        }
        found
    }

    fn judge(&mut self, words: &[String], span: Span) {
        let refused = self
            .meanings(words)
            .iter()
            .find_map(|words| refusal(words, self.model));
        if let Some((code, what, help)) = refused {
            let message = format!("a policy must not use {what}");
            self.mistakes
                .push(at(Stage::Lint, code, span, message).help(help));
        }
    }

    /// Whether a path of so many words names a function of the file.
    fn is_function(&self, name: &str, words: usize) -> bool {
        let is_free = |index: usize| self.model.functions[index].owner.is_none();
        let hidden = words == 1 && self.uses.variables.contains(name);
        !hidden
            && self
                .model
                .named(None, name)
                .any(|index| words > 1 || is_free(index))
    }

    /// A name that something is given: it must not hide what it names elsewhere.
    fn judge_name(&mut self, name: &str, of_baton: bool, span: Span) {
        let is_root = refusals::ROOTS.contains(&name) || name == "baton";
        if of_baton || is_root || tokens::MACROS.contains(&name) || name == "main" {
            let message = format!("`{name}`: what is baton's or std's must keep its name");
            let help = "Use it by its own name, and give other things other names.";
            self.mistakes
                .push(at(Stage::Lint, "forbidden-path", span, message).help(help));
        }
    }
}

impl<'ast> Visit<'ast> for Paths<'_> {
    fn visit_path(&mut self, path: &'ast Path) {
        let words: Vec<String> = path
            .segments
            .iter()
            .map(|one| one.ident.to_string())
            .collect();
        if let Some(first) = path.segments.first() {
            self.judge(&words, first.ident.span());
        }
        visit::visit_path(self, path);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.judge_name(&item.ident.to_string(), false, item.ident.span());
        visit::visit_item_mod(self, item);
    }

    fn visit_item_use(&mut self, _: &'ast ItemUse) {}

    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}

    fn visit_type_ptr(&mut self, ty: &'ast syn::TypePtr) {
        self.mistakes.push(address(ty.star_token.span));
        visit::visit_type_ptr(self, ty);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        let name = call.method.to_string();
        if matches!(
            name.as_str(),
            "as_ptr" | "as_mut_ptr" | "as_ptr_range" | "addr"
        ) {
            self.mistakes.push(address(call.method.span()));
        }
        visit::visit_expr_method_call(self, call);
    }

    /// A function as a number.
    fn visit_expr_cast(&mut self, cast: &'ast syn::ExprCast) {
        if let (Expr::Path(path), Type::Path(ty)) = (&*cast.expr, &*cast.ty)
            && ty.path.is_ident("usize")
            && let Some(last) = path.path.segments.last()
            && self.is_function(&last.ident.to_string(), path.path.segments.len())
        {
            self.mistakes.push(address(last.ident.span()));
        }
        visit::visit_expr_cast(self, cast);
    }

    fn visit_macro(&mut self, mac: &'ast Macro) {
        let text = mac.tokens.to_string();
        if arguments::is_readable(&arguments::name(mac))
            && (text.contains(":p}") || text.contains("?p}"))
        {
            self.mistakes
                .push(address(mac.path.segments[0].ident.span()));
        }
        arguments::visit(self, mac);
    }
}

fn address(span: Span) -> Diagnostic {
    let message = "a policy must not look at addresses: they differ from run to run";
    at(Stage::Lint, "address", span, message)
        .help("Tasks are told apart by `TaskId`; randomness comes from `cx.rng()`.")
}
