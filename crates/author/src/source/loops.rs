//! Loops without a bound where a policy must be quick: over all tasks, and until something
//! happens.

use std::collections::BTreeSet;

use proc_macro2::Span;
use syn::{
    Expr, ExprCall, ExprForLoop, ExprLoop, ExprMethodCall, ExprWhile, Macro,
    spanned::Spanned,
    visit::{self, Visit},
};

use super::{
    arguments, at,
    hot::Hot,
    model::{Function, Model},
    progress,
    scope::{Field, Place, Scope},
    types::{self, Kind},
};
use crate::{Diagnostic, Stage};

/// Most turns of a loop, and most tasks of a queue, that count as a bound.
const BOUND_MAX: u128 = 16_384;

/// Methods that go through a collection.
const THROUGH: &[&str] = &[
    "iter",
    "iter_mut",
    "into_iter",
    "values",
    "values_mut",
    "into_values",
    "keys",
    "into_keys",
    "range",
    "range_mut",
    "retain",
    "retain_mut",
    "extract_if",
    "windows",
    "chunks",
];
/// Methods that go through a list, where a tree would not.
const THROUGH_LIST: &[&str] = &[
    "contains",
    "sort",
    "sort_by",
    "sort_by_key",
    "sort_unstable",
    "sort_unstable_by",
    "sort_unstable_by_key",
    "sort_by_cached_key",
    "select_nth_unstable",
    "dedup",
    "reverse",
];
/// Methods on an iterator that end it soon.
const BOUNDS: &[&str] = &["next", "next_back", "nth", "nth_back", "take"];

/// Finds them in the functions that run for each event.
pub(super) fn check(model: &Model, hot: &Hot) -> Vec<Diagnostic> {
    let bounded = bounded_fields(model);
    let mut mistakes = Vec::new();
    for function in hot.functions(model) {
        let mut loops = Loops {
            model,
            function,
            scope: Scope::of(model, function),
            bounded: &bounded,
            ends_soon: false,
            mistakes: &mut mistakes,
        };
        loops.visit_block(&function.block);
    }
    mistakes
}

/// Fields whose length is compared with a small constant somewhere: they have a bound.
pub(super) fn bounded_fields(model: &Model) -> BTreeSet<Field> {
    let mut bounded = BTreeSet::new();
    for function in &model.functions {
        let scope = Scope::of(model, function);
        let mut compared = Compared(model, &scope, &mut bounded);
        compared.visit_block(&function.block);
    }
    bounded
}

struct Compared<'a>(&'a Model, &'a Scope<'a>, &'a mut BTreeSet<Field>);

impl<'ast> Visit<'ast> for Compared<'_> {
    fn visit_expr_binary(&mut self, binary: &'ast syn::ExprBinary) {
        for (length, bound) in [(&binary.left, &binary.right), (&binary.right, &binary.left)] {
            let Expr::MethodCall(call) = &**length else {
                continue;
            };
            let is_small = self
                .0
                .number(bound)
                .is_some_and(|bound| (1..=BOUND_MAX).contains(&bound));
            let is_capacity =
                matches!(&**bound, Expr::MethodCall(call) if call.method == "capacity");
            if call.method == "len" && (is_small || is_capacity) {
                self.2
                    .extend(self.1.place(&call.receiver).and_then(|place| place.field));
            }
        }
        visit::visit_expr_binary(self, binary);
    }

    fn visit_item(&mut self, _: &'ast syn::Item) {}
}

struct Loops<'a> {
    model: &'a Model,
    function: &'a Function,
    scope: Scope<'a>,
    bounded: &'a BTreeSet<Field>,
    /// Whether what is visited is an iterator that somebody ends soon.
    ends_soon: bool,
    mistakes: &'a mut Vec<Diagnostic>,
}

impl Loops<'_> {
    /// The shape of a collection of tasks that has no bound.
    fn tasks(&self, expr: &Expr) -> Option<(Kind, Place)> {
        let place = self.scope.place(expr)?;
        let collection = types::tasks(self.model, &place.ty)?;
        let is_bounded = place.field.as_ref().is_some_and(|field| {
            self.bounded.contains(field) || is_by_cpu(&field.1) && collection.kind == Kind::List
        });
        (!is_bounded && !place.taken).then_some((collection.kind, place))
    }

    fn over_tasks(&mut self, span: Span, kind: Kind, place: &Place) {
        let what = match (kind, &place.field) {
            (Kind::Slab, _) => "all tasks".to_string(),
            (_, Some((_, name))) => format!("all tasks in `{name}`"),
            (_, None) => "all tasks of a collection".to_string(),
        };
        let message = format!(
            "`{}` runs while tasks are scheduled, and this goes through {what}",
            self.function.name
        );
        let help = match kind {
            Kind::Tree => {
                "Make what is looked for the key of the map, so that `first_key_value` or `get` finds it; or end the search with `.take(N)`."
            }
            Kind::List | Kind::Heap | Kind::Slab => {
                "Let the backend's ready queue order the tasks by key, `cx.ready(task, key)`; or keep a BTreeMap in the order that is asked for, and take the first; or end the search with `.take(N)`."
            }
        };
        self.mistakes
            .push(at(Stage::Lint, "unbounded-loop", span, message).help(help));
    }

    fn endless(&mut self, span: Span) {
        let message = format!(
            "`{}` runs while tasks are scheduled, and nothing here shows that this loop ends",
            self.function.name
        );
        let help = "Write `for _ in 0..N`, or `while let Some(task) = self.queue.pop_front()`.";
        self.mistakes
            .push(at(Stage::Lint, "unbounded-loop", span, message).help(help));
    }

    /// A whole collection that is handed to something that goes through it.
    fn handed(&mut self, expr: &Expr) {
        if let Some((kind, place)) = self.tasks(expr)
            && !matches!(expr, Expr::MethodCall(_) | Expr::Call(_))
        {
            self.over_tasks(expr.span(), kind, &place);
        }
    }

    /// A range that is too long, or as long as there are tasks.
    fn range(&mut self, expr: &Expr) {
        let Expr::Range(range) = bare(expr) else {
            return;
        };
        let Some(end) = &range.end else {
            return self.endless(range.span());
        };
        if self.model.number(end).is_some_and(|end| end > BOUND_MAX) {
            return self.endless(range.span());
        }
        let mut lengths = Lengths(Vec::new());
        lengths.visit_expr(end);
        for receiver in lengths.0 {
            if let Some((kind, place)) = self.tasks(&receiver) {
                self.over_tasks(range.span(), kind, &place);
            }
        }
    }
}

/// Whose lengths an expression asks for.
struct Lengths(Vec<Expr>);

impl<'ast> Visit<'ast> for Lengths {
    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        if call.method == "len" {
            self.0.push((*call.receiver).clone());
        }
        visit::visit_expr_method_call(self, call);
    }
}

impl<'ast> Visit<'ast> for Loops<'_> {
    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        let method = call.method.to_string();
        let ends_soon = std::mem::take(&mut self.ends_soon) || BOUNDS.contains(&method.as_str());
        let through = THROUGH.contains(&method.as_str());
        if let Some((kind, place)) = self.tasks(&call.receiver) {
            let is_own = self
                .scope
                .methods(call)
                .is_some_and(|found| !found.is_empty());
            let of_list = kind == Kind::List && THROUGH_LIST.contains(&method.as_str());
            let through = through && (kind != Kind::Slab || method.starts_with("iter"));
            let goes_on = !is_own && (through && !ends_soon || of_list);
            let again = || method == "drain" && puts_back(&self.scope, self.function, &place);
            if goes_on || again() {
                self.over_tasks(call.method.span(), kind, &place);
            }
        }
        self.ends_soon = ends_soon;
        self.visit_expr(&call.receiver);
        self.ends_soon = false;
        if matches!(method.as_str(), "zip" | "chain" | "extend") {
            call.args.iter().for_each(|argument| self.handed(argument));
        }
        for argument in &call.args {
            self.visit_expr(argument);
        }
    }

    /// `BTreeMap::iter(&self.queue)` and the like.
    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        if let Expr::Path(path) = &*call.func {
            let last = path.path.segments.last().map(|last| last.ident.to_string());
            let name = last.unwrap_or_default();
            let through = THROUGH.contains(&name.as_str()) || THROUGH_LIST.contains(&name.as_str());
            if path.path.segments.len() > 1 && (through || name == "from_iter") {
                call.args.iter().for_each(|argument| self.handed(argument));
            }
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_expr_for_loop(&mut self, each: &'ast ExprForLoop) {
        self.handed(&each.expr);
        if !progress::leaves(&each.body.stmts) {
            self.range(&each.expr);
        }
        visit::visit_expr_for_loop(self, each);
    }

    fn visit_expr_while(&mut self, each: &'ast ExprWhile) {
        if !progress::is_made(&each.cond, &each.body) {
            self.endless(each.while_token.span);
        }
        visit::visit_expr_while(self, each);
    }

    fn visit_expr_loop(&mut self, each: &'ast ExprLoop) {
        if !progress::ends(&each.body) {
            self.endless(each.loop_token.span);
        }
        visit::visit_expr_loop(self, each);
    }

    fn visit_item(&mut self, _: &'ast syn::Item) {}

    fn visit_macro(&mut self, mac: &'ast Macro) {
        arguments::visit(self, mac);
    }
}

/// Whether a function fills the field again that it empties: then nothing is done once.
fn puts_back(scope: &Scope<'_>, function: &Function, place: &Place) -> bool {
    let Some(field) = &place.field else {
        return false;
    };
    let mut fills = Fills(scope, field, false);
    fills.visit_block(&function.block);
    fills.2
}

struct Fills<'a>(&'a Scope<'a>, &'a Field, bool);

impl<'ast> Visit<'ast> for Fills<'_> {
    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        let method = call.method.to_string();
        if matches!(
            method.as_str(),
            "push" | "push_back" | "push_front" | "insert" | "extend" | "append"
        ) {
            let place = self.0.place(&call.receiver);
            self.2 |= place.is_some_and(|place| place.field.as_ref() == Some(self.1));
        }
        visit::visit_expr_method_call(self, call);
    }
}

/// Whether a list of this name has an entry for each CPU.
pub(super) fn is_by_cpu(name: &str) -> bool {
    name.contains("cpu") || name.contains("core")
}

/// Without what turns a range around.
fn bare(expr: &Expr) -> &Expr {
    match expr {
        Expr::Paren(inner) => bare(&inner.expr),
        Expr::Group(inner) => bare(&inner.expr),
        Expr::MethodCall(call) if matches!(call.method.to_string().as_str(), "rev" | "step_by") => {
            bare(&call.receiver)
        }
        other => other,
    }
}
