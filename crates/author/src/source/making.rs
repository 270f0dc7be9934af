//! What names are made of and taken apart with, wherever it stands: a policy does neither.

use syn::{
    File, Macro,
    spanned::Spanned,
    visit::{self, Visit},
};

use super::{
    arguments,
    identity::read,
    model::{Model, last_name},
};
use crate::Diagnostic;

/// Finds it.
pub(super) fn check(file: &File, model: &Model) -> Vec<Diagnostic> {
    let mut outside = Outside(model, Vec::new());
    outside.visit_file(file);
    outside.1
}

struct Outside<'a>(&'a Model, Vec<Diagnostic>);

impl Outside<'_> {
    /// Whether a word means the type of names.
    fn is_name(&self, word: &str) -> bool {
        let alias = || self.0.aliases.get(word).and_then(last_name);
        word == "TaskName" || alias().is_some_and(|name| name == "TaskName")
    }

    fn made(&mut self, path: &syn::Path, is_value: bool) {
        let words: Vec<String> = path
            .segments
            .iter()
            .map(|one| one.ident.to_string())
            .collect();
        let at = words.iter().position(|word| self.is_name(word));
        let next = at.map(|at| words.get(at + 1).map(String::as_str));
        let refused = match next {
            Some(None) => is_value,
            Some(Some(next)) => next != "default",
            None => false,
        };
        if refused {
            self.1.push(read(path.span()));
        }
    }
}

impl<'ast> Visit<'ast> for Outside<'_> {
    fn visit_expr_path(&mut self, expr: &'ast syn::ExprPath) {
        self.made(&expr.path, true);
        if let Some(qself) = &expr.qself
            && last_name(&qself.ty).is_some_and(|name| self.is_name(&name))
            && expr
                .path
                .segments
                .last()
                .is_some_and(|last| last.ident != "default")
        {
            self.1.push(read(expr.span()));
        }
        visit::visit_expr_path(self, expr);
    }

    fn visit_expr_struct(&mut self, value: &'ast syn::ExprStruct) {
        self.made(&value.path, true);
        visit::visit_expr_struct(self, value);
    }

    fn visit_pat_tuple_struct(&mut self, pattern: &'ast syn::PatTupleStruct) {
        self.made(&pattern.path, true);
        visit::visit_pat_tuple_struct(self, pattern);
    }

    fn visit_pat_struct(&mut self, pattern: &'ast syn::PatStruct) {
        self.made(&pattern.path, true);
        visit::visit_pat_struct(self, pattern);
    }

    /// Who hashes a name by itself reads it.
    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let last = item
            .trait_
            .as_ref()
            .and_then(|(path, _)| path.segments.last());
        if last.is_some_and(|last| last.ident == "Hasher" || last.ident == "BuildHasher") {
            self.1.push(read(item.span()));
        }
        visit::visit_item_impl(self, item);
    }

    fn visit_macro(&mut self, mac: &'ast Macro) {
        arguments::visit(self, mac);
    }
}
