//! Memory that only grows: what is noted of each task in the policy and never forgotten.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::Span;
use syn::{
    Expr, ExprMethodCall, Macro,
    visit::{self, Visit},
};

use super::{
    arguments, at,
    loops::{bounded_fields, is_by_cpu},
    mark::Taint,
    model::Model,
    scope::{Field, Scope},
    taint::Taints,
    types,
};
use crate::{Diagnostic, Stage};

const FILLS: &[&str] = &[
    "append",
    "entry",
    "extend",
    "insert",
    "push",
    "push_back",
    "push_front",
];
/// What does not take anything out of a collection; all else may.
const KEEPS: &[&str] = &[
    "back",
    "binary_search",
    "capacity",
    "contains",
    "contains_key",
    "first",
    "first_key_value",
    "front",
    "get",
    "get_mut",
    "get_or_insert_with",
    "is_empty",
    "iter",
    "iter_mut",
    "keys",
    "last",
    "last_key_value",
    "len",
    "partition_point",
    "peek",
    "range",
    "range_mut",
    "reserve",
    "sort",
    "sort_by",
    "sort_by_key",
    "sort_unstable",
    "sort_unstable_by_key",
    "values",
    "values_mut",
];

/// Finds collections of tasks that are filled and never emptied.
pub(super) fn check(model: &Model) -> Vec<Diagnostic> {
    let taints = Taints::of(model);
    let mut filled: BTreeMap<Field, Span> = BTreeMap::new();
    let mut emptied: BTreeSet<Field> = bounded_fields(model);
    for (index, function) in model.functions.iter().enumerate() {
        let scope = Scope::of(model, function);
        let mut uses = Uses {
            model,
            index,
            scope: &scope,
            taints: &taints,
            filled: &mut filled,
            emptied: &mut emptied,
        };
        uses.visit_block(&function.block);
    }
    filled.retain(|field, _| !emptied.contains(field) && !is_by_cpu(&field.1));
    let mistake = |((_, name), span): (Field, Span)| {
        let message = format!("`{name}` gets an entry for each task, and nothing takes any out");
        at(Stage::Lint, "unbounded-memory", span, message).help(
            "Keep it in `type Task`, which the backend drops with the task; or remove the entry in `exit`.",
        )
    };
    filled.into_iter().map(mistake).collect()
}

struct Uses<'a> {
    model: &'a Model,
    index: usize,
    scope: &'a Scope<'a>,
    taints: &'a Taints<'a>,
    filled: &'a mut BTreeMap<Field, Span>,
    emptied: &'a mut BTreeSet<Field>,
}

impl Uses<'_> {
    /// The field of a collection.
    fn field(&self, expr: &Expr) -> Option<(Field, bool)> {
        let place = self.scope.place(expr)?;
        types::collection(self.model, &place.ty)?;
        Some((place.field?, types::tasks(self.model, &place.ty).is_some()))
    }
}

impl<'ast> Visit<'ast> for Uses<'_> {
    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        let method = call.method.to_string();
        if let Some((field, of_tasks)) = self.field(&call.receiver) {
            let fills = FILLS.contains(&method.as_str());
            let by_id = call.args.first().is_some_and(|key| {
                self.taints
                    .of_expr(self.index, key)
                    .intersects(Taint::ID | Taint::NAME)
            });
            if fills && (of_tasks || by_id) {
                self.filled.entry(field).or_insert(call.method.span());
            } else if !fills && !KEEPS.contains(&method.as_str()) {
                self.emptied.insert(field);
            }
        }
        visit::visit_expr_method_call(self, call);
    }

    /// Whoever gets it may empty it.
    fn visit_expr_reference(&mut self, expr: &'ast syn::ExprReference) {
        if expr.mutability.is_some()
            && let Some((field, _)) = self.field(&expr.expr)
        {
            self.emptied.insert(field);
        }
        visit::visit_expr_reference(self, expr);
    }

    fn visit_expr_assign(&mut self, assign: &'ast syn::ExprAssign) {
        let whole = !matches!(&*assign.left, Expr::Index(_));
        if let Some((field, _)) = self.field(&assign.left).filter(|_| whole) {
            self.emptied.insert(field);
        }
        visit::visit_expr_assign(self, assign);
    }

    fn visit_item(&mut self, _: &'ast syn::Item) {}

    fn visit_macro(&mut self, mac: &'ast Macro) {
        arguments::visit(self, mac);
    }
}
