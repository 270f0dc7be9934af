//! What a policy does with who a task is. To tell tasks apart is its business; to know one is
//! not: names that are read and numbers that stand in the source.

use proc_macro2::Span;
use syn::{
    BinOp, Expr, ExprMethodCall, File, Macro, Member, Pat,
    spanned::Spanned,
    visit::{self, Visit},
};

use super::{arguments, at, making, mark::Taint, model::Model, scope::member_name, taint::Taints};
use crate::{Diagnostic, Stage};

/// Methods of a name, or of one that may be there, that do not look into it.
const WHOLE: &[&str] = &[
    "and_then",
    "clone",
    "cloned",
    "copied",
    "eq",
    "expect",
    "filter",
    "is_none",
    "is_none_or",
    "is_some",
    "is_some_and",
    "map",
    "map_or",
    "map_or_else",
    "ne",
    "ok_or",
    "or",
    "or_else",
    "replace",
    "take",
    "then_some",
    "unwrap",
    "unwrap_or",
    "unwrap_or_default",
    "unwrap_or_else",
    "zip",
];
/// Functions that look into what they are given.
const READS: &[&str] = &[
    "as_bytes",
    "fmt",
    "from",
    "hash",
    "hash_one",
    "to_string",
    "to_vec",
];
const COMPARES: &[&str] = &["cmp", "eq", "ge", "gt", "le", "lt", "ne", "partial_cmp"];
const LOOKS_UP: &[&str] = &["binary_search", "contains", "contains_key"];
const IDS: &[&str] = &["cgroup", "pid", "tgid", "waker"];

/// Finds it.
pub(super) fn check(file: &File, model: &Model) -> Vec<Diagnostic> {
    let taints = Taints::of(model);
    let mut mistakes = Vec::new();
    for index in 0..model.functions.len() {
        let mut identity = Identity {
            model,
            taints: &taints,
            index,
            mistakes: &mut mistakes,
        };
        identity.visit_block(&model.functions[index].block);
    }
    mistakes.extend(making::check(file, model));
    mistakes
}

/// A name that is looked into.
pub(super) fn read(span: Span) -> Diagnostic {
    let message = "this looks into a task's name";
    at(Stage::Lint, "task-name-read", span, message).help(
        "A policy is judged under other names. A whole name may be compared with another task's, or be a key; else judge a task by what it does.",
    )
}

fn known(span: Span) -> Diagnostic {
    let message = "a task is known by a number that stands in the source";
    at(Stage::Lint, "task-id-literal", span, message).help(
        "Numbers differ from run to run; `info.kernel_thread` tells the kernel's threads, and what differs by task is in `type Task`.",
    )
}

struct Identity<'a> {
    model: &'a Model,
    taints: &'a Taints<'a>,
    index: usize,
    mistakes: &'a mut Vec<Diagnostic>,
}

impl Identity<'_> {
    fn is(&self, expr: &Expr, what: Taint) -> bool {
        self.taints.of_expr(self.index, expr).intersects(what)
    }

    /// Whether a value stands in the source and is not just zero, which means "none".
    fn is_constant(&self, expr: &Expr, other: &Expr) -> bool {
        let expr = bare(expr);
        if self.is(expr, Taint::CONSTANT) {
            return true;
        }
        let value = match expr {
            Expr::Call(call) if call.args.len() == 1 => self.model.number(bare(&call.args[0])),
            Expr::MethodCall(call) if call.args.is_empty() => {
                self.model.number(bare(&call.receiver))
            }
            other => self.model.number(other),
        };
        let computed = matches!(bare(other), Expr::Binary(_))
            || matches!(bare(other), Expr::MethodCall(call) if !call.args.is_empty());
        value.is_some_and(|value| value != 0 || computed)
    }

    fn pattern(&mut self, pattern: &Pat) {
        let mut numbers = Numbers(self.model, false);
        numbers.visit_pat(pattern);
        if numbers.1 {
            self.mistakes.push(known(pattern.span()));
        }
    }
}

/// Numbers in a pattern.
struct Numbers<'a>(&'a Model, bool);

impl<'ast> Visit<'ast> for Numbers<'_> {
    fn visit_expr(&mut self, expr: &'ast Expr) {
        self.1 |= self.0.number(expr).is_some_and(|value| value != 0);
    }

    fn visit_pat(&mut self, pattern: &'ast Pat) {
        match pattern {
            Pat::Lit(lit) => self.visit_expr(&Expr::Lit(lit.clone())),
            Pat::Path(path) => self.visit_expr(&Expr::Path(path.clone())),
            Pat::Range(range) => {
                for end in [&range.start, &range.end].into_iter().flatten() {
                    self.visit_expr(end);
                }
            }
            Pat::Ident(ident) => {
                let value = self.0.consts.get(&ident.ident.to_string());
                if let Some(value) = value {
                    self.visit_expr(value);
                }
                visit::visit_pat(self, pattern);
            }
            _ => visit::visit_pat(self, pattern),
        }
    }
}

impl<'ast> Visit<'ast> for Identity<'_> {
    fn visit_expr_binary(&mut self, binary: &'ast syn::ExprBinary) {
        let compares = matches!(
            binary.op,
            BinOp::Eq(_) | BinOp::Ne(_) | BinOp::Lt(_) | BinOp::Le(_) | BinOp::Gt(_) | BinOp::Ge(_)
        );
        if compares {
            for (id, value) in [(&binary.left, &binary.right), (&binary.right, &binary.left)] {
                if self.is(id, Taint::ID) && self.is_constant(value, id) {
                    self.mistakes.push(known(binary.span()));
                }
            }
        }
        visit::visit_expr_binary(self, binary);
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        let method = call.method.to_string();
        if let Some(first) = call.args.first() {
            let (receiver, id) = (&*call.receiver, Taint::ID);
            let compared = COMPARES.contains(&method.as_str())
                && (self.is(receiver, id) && self.is_constant(first, receiver)
                    || self.is(first, id) && self.is_constant(receiver, first));
            let listed = LOOKS_UP.contains(&method.as_str())
                && self.taints.is_constant_list(receiver)
                && self.is(first, id);
            if compared || listed {
                self.mistakes.push(known(call.span()));
            }
        }
        let own = self.model.named(None, &method).next().is_some();
        if self.is(&call.receiver, Taint::NAME) && !WHOLE.contains(&method.as_str()) && !own {
            self.mistakes.push(read(call.method.span()));
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        if let Expr::Path(path) = &*call.func {
            let last = path.path.segments.last().map(|last| last.ident.to_string());
            let reads = last.is_some_and(|last| READS.contains(&last.as_str()));
            let given = call
                .args
                .iter()
                .any(|argument| self.is(argument, Taint::NAME | Taint::INFO));
            if reads && given && path.path.segments.len() > 1 {
                self.mistakes.push(read(call.span()));
            }
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_expr_field(&mut self, field: &'ast syn::ExprField) {
        if matches!(field.member, Member::Unnamed(_)) && self.is(&field.base, Taint::NAME) {
            self.mistakes.push(read(field.span()));
        }
        visit::visit_expr_field(self, field);
    }

    fn visit_expr_index(&mut self, index: &'ast syn::ExprIndex) {
        if self.is(&index.expr, Taint::NAME) {
            self.mistakes.push(read(index.span()));
        }
        visit::visit_expr_index(self, index);
    }

    fn visit_expr_match(&mut self, choice: &'ast syn::ExprMatch) {
        if self.is(&choice.expr, Taint::ID) {
            choice.arms.iter().for_each(|arm| self.pattern(&arm.pat));
        }
        visit::visit_expr_match(self, choice);
    }

    fn visit_expr_let(&mut self, expr: &'ast syn::ExprLet) {
        if self.is(&expr.expr, Taint::ID) {
            self.pattern(&expr.pat);
        }
        visit::visit_expr_let(self, expr);
    }

    fn visit_field_pat(&mut self, field: &'ast syn::FieldPat) {
        if IDS.contains(&member_name(&field.member).as_str()) {
            self.pattern(&field.pat);
        }
        visit::visit_field_pat(self, field);
    }

    fn visit_expr_struct(&mut self, value: &'ast syn::ExprStruct) {
        for field in &value.fields {
            let is_id = IDS.contains(&member_name(&field.member).as_str());
            if is_id && self.is_constant(&field.expr, &field.expr) {
                self.mistakes.push(known(field.span()));
            }
        }
        visit::visit_expr_struct(self, value);
    }

    fn visit_macro(&mut self, mac: &'ast Macro) {
        if let Ok(given) = arguments::of(mac) {
            if let (Some(pattern), Some(value)) = (&given.pattern, given.exprs.first())
                && self.is(value, Taint::ID)
            {
                self.pattern(pattern);
            }
            let captures = given.captures.iter().map(|ident| {
                let path = syn::ExprPath {
                    attrs: Vec::new(),
                    qself: None,
                    path: ident.clone().into(),
                };
                Expr::Path(path)
            });
            let captures: Vec<Expr> = captures.collect();
            let mut shown = given.exprs.iter().chain(&captures);
            let is_name = |expr: &Expr| self.is(assigned(expr), Taint::NAME | Taint::INFO);
            if arguments::is_readable(&arguments::name(mac))
                && let Some(shown) = shown.find(|expr| is_name(expr))
            {
                self.mistakes.push(read(shown.span()));
            }
        }
        arguments::visit(self, mac);
    }

    fn visit_item(&mut self, _: &'ast syn::Item) {}
}

/// The value of `name = value` in a macro.
fn assigned(expr: &Expr) -> &Expr {
    match expr {
        Expr::Assign(assign) => &assign.right,
        other => other,
    }
}

fn bare(expr: &Expr) -> &Expr {
    match expr {
        Expr::Paren(inner) => bare(&inner.expr),
        Expr::Group(inner) => bare(&inner.expr),
        Expr::Cast(inner) => bare(&inner.expr),
        Expr::Reference(inner) => bare(&inner.expr),
        Expr::Unary(inner) => bare(&inner.expr),
        other => other,
    }
}
