//! Which functions run for each event, and what must not happen there: panics that are written
//! down, and recursion.

use std::collections::BTreeSet;

use syn::{
    ExprMethodCall, Macro,
    visit::{self, Visit},
};

use super::{
    arguments, at,
    model::{Function, Model},
    scope::Scope,
};
use crate::{Diagnostic, Stage};

/// Methods of a policy that are called for each event.
const EVENTS: &[&str] = &[
    "batch_end",
    "cpu_dry",
    "dequeue",
    "enqueue",
    "exit",
    "join",
    "rescued",
    "running",
    "stopping",
    "update",
];
/// Methods that nearly everything has: without the receiver's type, no call of the file's own.
const COMMON: &[&str] = &[
    "all",
    "any",
    "as_mut",
    "as_ref",
    "clear",
    "clone",
    "cmp",
    "contains",
    "count",
    "default",
    "drain",
    "entry",
    "eq",
    "extend",
    "filter",
    "find",
    "first",
    "fold",
    "for_each",
    "from",
    "get",
    "get_mut",
    "insert",
    "into_iter",
    "is_empty",
    "iter",
    "iter_mut",
    "keys",
    "last",
    "len",
    "map",
    "max",
    "min",
    "new",
    "next",
    "or",
    "partial_cmp",
    "peek",
    "pop",
    "position",
    "push",
    "range",
    "remove",
    "replace",
    "retain",
    "rev",
    "sum",
    "take",
    "values",
];

/// The functions that run for each event.
pub(super) struct Hot {
    /// By their places in the model.
    functions: BTreeSet<usize>,
    /// Who surely calls whom.
    calls: Vec<BTreeSet<usize>>,
}

impl Hot {
    pub(super) fn of(model: &Model) -> Self {
        let (mut sure, mut likely) = (Vec::new(), Vec::new());
        for function in &model.functions {
            let mut calls = Calls::of(model, function);
            calls.visit_block(&function.block);
            likely.push(&calls.sure | &calls.likely);
            sure.push(calls.sure);
        }
        let all = model.functions.iter().enumerate();
        let events = all.filter(|(_, function)| function.is_event());
        let mut functions: BTreeSet<usize> = events.map(|(index, _)| index).collect();
        let mut todo: Vec<usize> = functions.iter().copied().collect();
        while let Some(index) = todo.pop() {
            for &callee in &likely[index] {
                if functions.insert(callee) {
                    todo.push(callee);
                }
            }
        }
        Self {
            functions,
            calls: sure,
        }
    }

    /// The functions, in the order of the file.
    pub(super) fn functions<'a>(&'a self, model: &'a Model) -> impl Iterator<Item = &'a Function> {
        let indices = self.functions.iter();
        indices.map(|index| &model.functions[*index])
    }

    /// Panics and recursion.
    pub(super) fn check(&self, model: &Model) -> Vec<Diagnostic> {
        let mut mistakes = Vec::new();
        for &index in &self.functions {
            let function = &model.functions[index];
            let mut panics = Panics(&function.name, &mut mistakes);
            panics.visit_block(&function.block);
            if self.reaches_itself(index) {
                let ident = &function.signature.ident;
                let message = format!("`{ident}` calls itself, directly or through others");
                mistakes.push(
                    at(Stage::Lint, "recursion", ident.span(), message)
                        .help("Write a loop that has a bound; for an order, a BTreeMap does it."),
                );
            }
        }
        mistakes
    }

    fn reaches_itself(&self, start: usize) -> bool {
        let mut seen = BTreeSet::new();
        let mut todo: Vec<usize> = self.calls[start].iter().copied().collect();
        while let Some(index) = todo.pop() {
            if index == start {
                return true;
            }
            if seen.insert(index) {
                todo.extend(&self.calls[index]);
            }
        }
        false
    }
}

impl Function {
    fn is_event(&self) -> bool {
        let of_policy = self.of_trait.as_deref() == Some("Policy");
        of_policy && EVENTS.contains(&self.name.as_str())
    }
}

/// Whom a function calls.
struct Calls<'a> {
    model: &'a Model,
    function: &'a Function,
    scope: Scope<'a>,
    sure: BTreeSet<usize>,
    likely: BTreeSet<usize>,
}

impl<'a> Calls<'a> {
    fn of(model: &'a Model, function: &'a Function) -> Self {
        Self {
            model,
            function,
            scope: Scope::of(model, function),
            sure: BTreeSet::new(),
            likely: BTreeSet::new(),
        }
    }
}

impl<'ast> Visit<'ast> for Calls<'_> {
    /// A function that is named may be called: `Self::less` as an argument, too.
    fn visit_expr_path(&mut self, expr: &'ast syn::ExprPath) {
        let words: Vec<String> = expr
            .path
            .segments
            .iter()
            .map(|one| one.ident.to_string())
            .collect();
        let Some((last, before)) = words.split_last() else {
            return;
        };
        let owner = match before.last().map(String::as_str) {
            Some("Self") => self.function.owner.clone(),
            Some(other) if self.model.types.contains_key(other) => Some(other.to_string()),
            _ => None,
        };
        let found: Vec<usize> = self.model.named(owner.as_deref(), last).collect();
        match owner {
            Some(_) => self.sure.extend(found),
            None if before.is_empty() => {
                let free = |index: &usize| self.model.functions[*index].owner.is_none();
                self.sure.extend(found.into_iter().filter(free));
            }
            None if COMMON.contains(&last.as_str()) => {}
            None => self.likely.extend(found),
        }
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        let name = call.method.to_string();
        match self.scope.methods(call) {
            Some(found) if !found.is_empty() => self.sure.extend(found),
            // A type from elsewhere, or a trait of the file.
            Some(_) if COMMON.contains(&name.as_str()) => {}
            Some(_) => self.likely.extend(self.model.named(None, &name)),
            None => {
                let found: Vec<usize> = self.model.named(None, &name).collect();
                let is_plain = found.len() == 1 && !COMMON.contains(&name.as_str());
                let known = if is_plain {
                    &mut self.sure
                } else {
                    &mut self.likely
                };
                known.extend(found);
            }
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_item(&mut self, _: &'ast syn::Item) {}

    fn visit_macro(&mut self, mac: &'ast Macro) {
        arguments::visit(self, mac);
    }
}

/// Panics that stand there.
struct Panics<'a>(&'a str, &'a mut Vec<Diagnostic>);

impl<'ast> Visit<'ast> for Panics<'_> {
    fn visit_macro(&mut self, mac: &'ast Macro) {
        let name = arguments::name(mac);
        if matches!(name.as_str(), "panic" | "todo" | "unimplemented") {
            let message = format!(
                "{name}! in `{}`, which runs while tasks are scheduled",
                self.0
            );
            let span = mac.path.segments[0].ident.span();
            self.1.push(
                at(Stage::Lint, "panics", span, message)
                    .help("Return early, or use a default; what must hold is an assert."),
            );
        }
        arguments::visit(self, mac);
    }

    fn visit_item(&mut self, _: &'ast syn::Item) {}
}
