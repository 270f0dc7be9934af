//! Which values say who a task is: its name, its pid, its cgroup. Followed by name through
//! variables, fields, arguments and results, without regard to order.

use std::collections::BTreeMap;

use syn::{BinOp, Expr, ExprMethodCall, Member, ReturnType, Stmt, Type};

use super::{
    arguments, follow,
    mark::Taint,
    model::{Function, Model, last_name},
    scope::member_name,
};

/// Rounds until nothing new comes; calls are seldom nested more deeply.
const ROUNDS_MAX: usize = 8;
/// A remainder below this tells tasks apart, but does not name one.
const SPREAD_MAX: u128 = 1024;
const IDS: &[&str] = &["cgroup", "pid", "tgid", "waker"];
/// Methods whose result is no longer about who it is.
const ENDS: &[&str] = &[
    "as_bytes",
    "cmp",
    "contains",
    "eq",
    "fmt",
    "get",
    "get_mut",
    "hash",
    "is_none",
    "is_some",
    "is_some_and",
    "len",
    "ne",
    "partial_cmp",
    "to_string",
];
/// Methods whose result is that of the closure.
const MAPS: &[&str] = &[
    "and_then",
    "filter_map",
    "find_map",
    "flat_map",
    "map",
    "map_or",
    "map_or_else",
    "or_else",
    "then",
    "unwrap_or_else",
];

/// What is known of all values of a file.
pub(super) struct Taints<'a> {
    pub(super) model: &'a Model,
    /// By function and name.
    variables: BTreeMap<(usize, String), Taint>,
    fields: BTreeMap<String, Taint>,
    /// By the function's name.
    results: BTreeMap<String, Taint>,
    /// Whether `name` is a field of a type of the file, and something else than a task's name.
    own_names: bool,
}

impl<'a> Taints<'a> {
    pub(super) fn of(model: &'a Model) -> Self {
        let members = || model.types.values().flatten();
        let mut taints = Self {
            model,
            variables: BTreeMap::new(),
            fields: BTreeMap::new(),
            results: BTreeMap::new(),
            own_names: members()
                .any(|member| member.name == "name" && of_type(model, &member.ty) == Taint::NONE),
        };
        for member in members() {
            taints.add_field(&member.name, of_type(model, &member.ty));
        }
        for _ in 0..ROUNDS_MAX {
            let before = taints.weight();
            for (index, function) in model.functions.iter().enumerate() {
                taints.round(index, function);
            }
            if taints.weight() == before {
                break;
            }
        }
        taints
    }

    /// Grows whenever something new is known.
    fn weight(&self) -> u32 {
        let all = self
            .variables
            .values()
            .chain(self.fields.values())
            .chain(self.results.values());
        all.map(|taint| taint.weight()).sum()
    }

    fn round(&mut self, index: usize, function: &Function) {
        for (name, ty) in function.params().into_iter().flatten() {
            self.add_variable(index, name, of_type(self.model, &ty));
        }
        follow::through(self, index, &function.block);
        let mut result = self.of_block(index, &function.block);
        if let ReturnType::Type(_, ty) = &function.signature.output {
            result |= of_type(self.model, ty);
        }
        self.add_result(index, result);
    }

    pub(super) fn add_variable(&mut self, index: usize, name: String, taint: Taint) {
        if taint != Taint::NONE {
            *self.variables.entry((index, name)).or_default() |= taint;
        }
    }

    pub(super) fn add_field(&mut self, name: &str, taint: Taint) {
        let taint = taint & (Taint::ID | Taint::NAME | Taint::INFO);
        if taint != Taint::NONE {
            *self.fields.entry(name.to_string()).or_default() |= taint;
        }
    }

    /// What an expression in a function says of a task.
    pub(super) fn of_expr(&self, index: usize, expr: &Expr) -> Taint {
        let of = |expr: &Expr| self.of_expr(index, expr);
        match expr {
            Expr::Path(path) => {
                let Some(ident) = path.path.get_ident() else {
                    return Taint::NONE;
                };
                let variable = self.variables.get(&(index, ident.to_string()));
                variable.copied().unwrap_or_default()
            }
            Expr::Field(field) => self.of_member(&field.member, of(&field.base)),
            Expr::MethodCall(call) => self.of_method(index, call),
            Expr::Call(call) => {
                let Expr::Path(path) = &*call.func else {
                    return Taint::NONE;
                };
                let last = path.path.segments.last().map(|last| last.ident.to_string());
                let last = last.unwrap_or_default();
                let passes = matches!(
                    last.as_str(),
                    "Some"
                        | "Ok"
                        | "from"
                        | "try_from"
                        | "min"
                        | "max"
                        | "take"
                        | "identity"
                        | "black_box"
                );
                let given = call.args.iter().filter(|_| passes).map(of);
                given.fold(self.result(&last), |sum, taint| sum | taint)
            }
            Expr::Binary(binary) => self.of_binary(index, binary),
            Expr::Unary(inner) => of(&inner.expr),
            Expr::Paren(inner) => of(&inner.expr),
            Expr::Group(inner) => of(&inner.expr),
            Expr::Reference(inner) => of(&inner.expr),
            Expr::Cast(inner) => of(&inner.expr),
            Expr::Try(inner) => of(&inner.expr),
            Expr::Tuple(tuple) => {
                let all = tuple.elems.iter().map(of);
                all.fold(Taint::NONE, |sum, taint| sum | taint) & Taint::ID
            }
            Expr::Block(block) => self.of_block(index, &block.block),
            Expr::If(branch) => {
                let other = branch.else_branch.as_ref().map(|(_, other)| of(other));
                self.of_block(index, &branch.then_branch) | other.unwrap_or_default()
            }
            Expr::Match(choice) => {
                let arms = choice.arms.iter().map(|arm| of(&arm.body));
                arms.fold(Taint::NONE, |sum, taint| sum | taint)
            }
            _ => Taint::NONE,
        }
    }

    fn of_block(&self, index: usize, block: &syn::Block) -> Taint {
        match block.stmts.last() {
            Some(Stmt::Expr(expr, None)) => self.of_expr(index, expr),
            _ => Taint::NONE,
        }
    }

    /// A function may return this.
    pub(super) fn add_result(&mut self, index: usize, taint: Taint) {
        let name = self.model.functions[index].name.clone();
        *self.results.entry(name).or_default() |= taint;
    }

    fn result(&self, name: &str) -> Taint {
        self.results.get(name).copied().unwrap_or_default()
    }

    pub(super) fn of_member(&self, member: &Member, base: Taint) -> Taint {
        let name = member_name(member);
        let known = self.fields.get(&name).copied().unwrap_or_default();
        match name.as_str() {
            "info" => Taint::INFO,
            "name" if !self.own_names || base.intersects(Taint::INFO) => Taint::NAME,
            "name" => Taint::NONE,
            other if IDS.contains(&other) => Taint::ID,
            _ if matches!(member, Member::Unnamed(_)) => known | base & Taint::ID,
            _ => known,
        }
    }

    fn of_method(&self, index: usize, call: &ExprMethodCall) -> Taint {
        let method = call.method.to_string();
        let receiver = self.of_expr(index, &call.receiver);
        if method == "task" {
            return Taint::INFO;
        }
        if MAPS.contains(&method.as_str()) {
            let bodies = call.args.iter().map(|argument| match argument {
                Expr::Closure(closure) => self.of_expr(index, &closure.body),
                other => self.of_expr(index, other),
            });
            let kept = matches!(method.as_str(), "or_else" | "unwrap_or_else");
            let start = if kept { receiver } else { Taint::NONE };
            return bodies.fold(start, |sum, taint| sum | taint);
        }
        let own = self.result(&method);
        match ENDS.contains(&method.as_str()) {
            true => own,
            false => own | receiver,
        }
    }

    fn of_binary(&self, index: usize, binary: &syn::ExprBinary) -> Taint {
        let both = self.of_expr(index, &binary.left) | self.of_expr(index, &binary.right);
        match binary.op {
            BinOp::Add(_)
            | BinOp::Sub(_)
            | BinOp::Mul(_)
            | BinOp::Div(_)
            | BinOp::BitXor(_)
            | BinOp::BitOr(_)
            | BinOp::Shl(_)
            | BinOp::Shr(_) => both & Taint::ID,
            BinOp::Rem(_) | BinOp::BitAnd(_) => {
                let spread = self
                    .model
                    .number(&binary.right)
                    .is_none_or(|by| by <= SPREAD_MAX);
                if spread {
                    Taint::NONE
                } else {
                    both & Taint::ID
                }
            }
            _ => Taint::NONE,
        }
    }

    /// Whether an expression is a list that stands in the source.
    pub(super) fn is_constant_list(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Array(array) => {
                !array.elems.is_empty()
                    && array
                        .elems
                        .iter()
                        .all(|one| self.model.number(one).is_some())
            }
            Expr::Range(range) => {
                let number = |end: &Option<Box<Expr>>| {
                    end.as_ref()
                        .is_some_and(|end| self.model.number(end).is_some_and(|end| end > 0))
                };
                number(&range.start) || number(&range.end)
            }
            Expr::Path(path) => {
                let last = path.path.segments.last().map(|last| last.ident.to_string());
                let value = last.and_then(|last| self.model.consts.get(&last));
                value.is_some_and(|value| {
                    !matches!(value, Expr::Path(_)) && self.is_constant_list(value)
                })
            }
            Expr::Reference(inner) => self.is_constant_list(&inner.expr),
            Expr::Paren(inner) => self.is_constant_list(&inner.expr),
            Expr::Call(call) => call.args.len() == 1 && self.is_constant_list(&call.args[0]),
            Expr::MethodCall(call) => self.is_constant_list(&call.receiver),
            Expr::Macro(mac) => arguments::of(&mac.mac).is_ok_and(|given| {
                arguments::name(&mac.mac) == "vec"
                    && !given.exprs.is_empty()
                    && given
                        .exprs
                        .iter()
                        .all(|one| self.model.number(one).is_some())
            }),
            _ => false,
        }
    }
}

/// What a type says of a task.
pub(super) fn of_type(model: &Model, ty: &Type) -> Taint {
    let ty = super::types::peel(model, ty);
    match last_name(ty).as_deref() {
        Some("TaskName") => Taint::NAME,
        Some("TaskInfo") => Taint::INFO,
        _ => Taint::NONE,
    }
}
