//! Follows what says who a task is through a function: from value to variable, field, argument
//! and result.

use syn::{
    Block, Expr, ExprMethodCall, Macro, Pat,
    visit::{self, Visit},
};

use super::{
    arguments,
    mark::Taint,
    scope::member_name,
    taint::{Taints, of_type},
};

/// Notes what a function of this place in the model passes on.
pub(super) fn through(taints: &mut Taints<'_>, index: usize, block: &Block) {
    Follow { taints, index }.visit_block(block);
}

/// Carries what is known on through a function.
struct Follow<'t, 'a> {
    taints: &'t mut Taints<'a>,
    index: usize,
}

impl Follow<'_, '_> {
    fn of(&self, expr: &Expr) -> Taint {
        self.taints.of_expr(self.index, expr)
    }

    fn bind(&mut self, pattern: &Pat, taint: Taint) {
        match pattern {
            Pat::Ident(ident) => {
                self.taints
                    .add_variable(self.index, ident.ident.to_string(), taint);
                if let Some((_, inner)) = &ident.subpat {
                    self.bind(inner, taint);
                }
            }
            Pat::Type(typed) => {
                let taint = taint | of_type(self.taints.model, &typed.ty);
                self.bind(&typed.pat, taint);
            }
            Pat::Reference(inner) => self.bind(&inner.pat, taint),
            Pat::Paren(inner) => self.bind(&inner.pat, taint),
            Pat::TupleStruct(tuple) => {
                tuple.elems.iter().for_each(|inner| self.bind(inner, taint));
            }
            Pat::Tuple(tuple) => {
                tuple
                    .elems
                    .iter()
                    .for_each(|inner| self.bind(inner, taint & (Taint::ID | Taint::CONSTANT)));
            }
            Pat::Or(or) => or.cases.iter().for_each(|inner| self.bind(inner, taint)),
            Pat::Struct(pattern) => {
                let of_info = pattern
                    .path
                    .segments
                    .last()
                    .is_some_and(|last| last.ident == "TaskInfo");
                let base = if of_info { Taint::INFO } else { taint };
                for field in &pattern.fields {
                    let taint = self.taints.of_member(&field.member, base);
                    self.bind(&field.pat, taint);
                }
            }
            _ => {}
        }
    }

    /// Arguments become parameters.
    fn give<'e>(&mut self, callee: &str, has_receiver: bool, args: impl Iterator<Item = &'e Expr>) {
        let args: Vec<Taint> = args.map(|argument| self.of(argument)).collect();
        if args.iter().all(|taint| *taint == Taint::NONE) {
            return;
        }
        let model = self.taints.model;
        let callees: Vec<usize> = model.named(None, callee).collect();
        for index in callees {
            let function = &model.functions[index];
            let skipped = usize::from(!has_receiver && function.signature.receiver().is_some());
            for (param, taint) in function.params().into_iter().zip(args.iter().skip(skipped)) {
                if let Some((name, _)) = param {
                    self.taints.add_variable(index, name, *taint);
                }
            }
        }
    }
}

impl<'ast> Visit<'ast> for Follow<'_, '_> {
    fn visit_local(&mut self, local: &'ast syn::Local) {
        visit::visit_local(self, local);
        match (&local.pat, local.init.as_ref().map(|init| &*init.expr)) {
            (Pat::Tuple(pattern), Some(Expr::Tuple(values))) => {
                for (inner, value) in pattern.elems.iter().zip(&values.elems) {
                    let taint = self.of(value);
                    self.bind(inner, taint);
                }
            }
            (pattern, Some(value)) => {
                let taint = self.of(value);
                self.bind(pattern, taint);
            }
            (pattern, None) => self.bind(pattern, Taint::NONE),
        }
    }

    fn visit_expr_let(&mut self, expr: &'ast syn::ExprLet) {
        visit::visit_expr_let(self, expr);
        let taint = self.of(&expr.expr);
        self.bind(&expr.pat, taint);
    }

    fn visit_expr_match(&mut self, expr: &'ast syn::ExprMatch) {
        let taint = self.of(&expr.expr);
        expr.arms.iter().for_each(|arm| self.bind(&arm.pat, taint));
        visit::visit_expr_match(self, expr);
    }

    fn visit_expr_for_loop(&mut self, each: &'ast syn::ExprForLoop) {
        let listed =
            self.taints.is_constant_list(&each.expr) && !matches!(&*each.expr, Expr::Range(_));
        let constant = if listed { Taint::CONSTANT } else { Taint::NONE };
        let taint = self.of(&each.expr) | constant;
        self.bind(&each.pat, taint);
        visit::visit_expr_for_loop(self, each);
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        let constant = match self.taints.is_constant_list(&call.receiver) {
            true => Taint::CONSTANT,
            false => Taint::NONE,
        };
        let taint = self.of(&call.receiver) | constant;
        for argument in &call.args {
            if let Expr::Closure(closure) = argument {
                closure
                    .inputs
                    .iter()
                    .for_each(|input| self.bind(input, taint));
            }
        }
        self.give(&call.method.to_string(), true, call.args.iter());
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_closure(&mut self, closure: &'ast syn::ExprClosure) {
        closure
            .inputs
            .iter()
            .for_each(|input| self.bind(input, Taint::NONE));
        visit::visit_expr_closure(self, closure);
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        if let Expr::Path(path) = &*call.func
            && let Some(last) = path.path.segments.last()
        {
            self.give(&last.ident.to_string(), false, call.args.iter());
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_expr_assign(&mut self, assign: &'ast syn::ExprAssign) {
        let taint = self.of(&assign.right);
        match &*assign.left {
            Expr::Field(field) => self.taints.add_field(&member_name(&field.member), taint),
            Expr::Path(path) => {
                if let Some(ident) = path.path.get_ident() {
                    self.taints
                        .add_variable(self.index, ident.to_string(), taint);
                }
            }
            _ => {}
        }
        visit::visit_expr_assign(self, assign);
    }

    fn visit_field_value(&mut self, field: &'ast syn::FieldValue) {
        let taint = self.of(&field.expr);
        self.taints.add_field(&member_name(&field.member), taint);
        visit::visit_field_value(self, field);
    }

    fn visit_expr_return(&mut self, expr: &'ast syn::ExprReturn) {
        if let Some(value) = &expr.expr {
            let taint = self.of(value);
            self.taints.add_result(self.index, taint);
        }
        visit::visit_expr_return(self, expr);
    }

    fn visit_item(&mut self, _: &'ast syn::Item) {}

    fn visit_macro(&mut self, mac: &'ast Macro) {
        arguments::visit(self, mac);
    }
}
