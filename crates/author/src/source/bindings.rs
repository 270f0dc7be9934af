//! What the variables of a function are bound to.

use syn::{
    Expr, ExprMethodCall, Pat, Type,
    visit::{self, Visit},
};

use super::{
    arguments,
    scope::{Place, Scope, member_name},
    types,
};

impl Scope<'_> {
    /// Binds a pattern's variables to what is known of a place.
    pub(super) fn bind(&mut self, pattern: &Pat, place: Option<Place>) {
        match pattern {
            Pat::Ident(ident) => {
                if let Some(place) = place {
                    self.variables.insert(ident.ident.to_string(), place);
                }
            }
            Pat::Type(typed) => {
                let ty = self.of_type(&typed.ty);
                let known = place.filter(|place| place.field.is_some());
                self.bind(&typed.pat, Some(known.unwrap_or(ty)));
            }
            Pat::Reference(inner) => self.bind(&inner.pat, place),
            Pat::Paren(inner) => self.bind(&inner.pat, place),
            Pat::Tuple(tuple) => {
                let elements = match place.map(|place| place.ty) {
                    Some(Type::Tuple(types)) => types.elems.into_iter().map(Some).collect(),
                    _ => vec![None; tuple.elems.len()],
                };
                for (inner, ty) in tuple.elems.iter().zip(elements) {
                    self.bind(inner, ty.map(Place::plain));
                }
            }
            Pat::TupleStruct(tuple) if tuple.elems.len() == 1 => {
                let name = tuple
                    .path
                    .segments
                    .last()
                    .map(|last| last.ident.to_string());
                let inner = name.and_then(|name| self.member(&name, "0".into()));
                self.bind(&tuple.elems[0], inner.or(place));
            }
            Pat::Struct(pattern) => {
                let name = pattern
                    .path
                    .segments
                    .last()
                    .map(|last| last.ident.to_string());
                let owner = match (name.as_deref(), self.owner) {
                    (Some("Self"), Some(owner)) => Some(owner.to_string()),
                    _ => name,
                };
                for field in &pattern.fields {
                    let member = member_name(&field.member);
                    let place = owner.as_ref().and_then(|owner| self.member(owner, member));
                    self.bind(&field.pat, place);
                }
            }
            _ => {}
        }
    }
}

impl<'ast> Visit<'ast> for Scope<'_> {
    fn visit_local(&mut self, local: &'ast syn::Local) {
        visit::visit_local(self, local);
        let place = local.init.as_ref().and_then(|init| self.place(&init.expr));
        self.bind(&local.pat, place);
    }

    fn visit_expr_let(&mut self, expr: &'ast syn::ExprLet) {
        visit::visit_expr_let(self, expr);
        let place = self.place(&expr.expr);
        self.bind(&expr.pat, place);
    }

    fn visit_expr_for_loop(&mut self, each: &'ast syn::ExprForLoop) {
        let place = self.place(&each.expr).map(|place| {
            let element = types::element(self.model, &place.ty);
            element.map_or(place, Place::plain)
        });
        self.bind(&each.pat, place);
        visit::visit_expr_for_loop(self, each);
    }

    fn visit_expr_match(&mut self, expr: &'ast syn::ExprMatch) {
        let place = self.place(&expr.expr);
        for arm in &expr.arms {
            self.bind(&arm.pat, place.clone());
        }
        visit::visit_expr_match(self, expr);
    }

    /// Closures are given elements of what they are called on.
    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        let element = self.source(&call.receiver);
        for argument in &call.args {
            if let Expr::Closure(closure) = argument {
                for input in closure.inputs.iter().filter(|_| closure.inputs.len() == 1) {
                    self.bind(input, element.clone());
                }
            }
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_closure(&mut self, closure: &'ast syn::ExprClosure) {
        for input in &closure.inputs {
            if let Pat::Type(typed) = input {
                self.bind(input, Some(Place::plain((*typed.ty).clone())));
            }
        }
        visit::visit_expr_closure(self, closure);
    }

    fn visit_item(&mut self, _: &'ast syn::Item) {}

    fn visit_macro(&mut self, mac: &'ast syn::Macro) {
        let Ok(arguments) = arguments::of(mac) else {
            return;
        };
        for expr in &arguments.exprs {
            Visit::visit_expr(self, expr);
        }
    }
}

impl Scope<'_> {
    /// What an iterator over a collection yields, through methods that pass it on.
    fn source(&self, expr: &Expr) -> Option<Place> {
        match expr {
            Expr::MethodCall(call) => {
                let method = call.method.to_string();
                match method.as_str() {
                    "filter" | "skip" | "take" | "rev" | "skip_while" | "take_while"
                    | "inspect" | "copied" | "cloned" | "peekable" => self.source(&call.receiver),
                    _ => self.place(expr),
                }
            }
            _ => self.place(expr),
        }
    }
}
