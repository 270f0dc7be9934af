//! Of what type the places in a function are, as far as declarations say, and of which field.

use std::collections::BTreeMap;

use syn::{Expr, ExprCall, ExprMethodCall, FnArg, Member, ReturnType, Type, visit::Visit};

use super::{
    model::{Function, Model, last_name},
    types,
};

/// A field, by its type's name and its own.
pub(super) type Field = (String, String);

/// What is known of a place.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) ty: Type,
    /// The field that it is, or a view of.
    pub(super) field: Option<Field>,
    /// Whether it was taken out of the field, which is empty now.
    pub(super) taken: bool,
}

/// The variables of a function.
pub(super) struct Scope<'a> {
    pub(super) model: &'a Model,
    pub(super) owner: Option<&'a str>,
    pub(super) variables: BTreeMap<String, Place>,
}

/// Methods whose result is a view of the same collection.
const VIEWS: &[&str] = &[
    "as_deref",
    "as_deref_mut",
    "as_mut",
    "as_mut_slice",
    "as_ref",
    "as_slice",
    "borrow",
    "borrow_mut",
    "by_ref",
    "clone",
    "deref",
    "deref_mut",
    "expect",
    "get_mut_or_init",
    "make_contiguous",
    "to_owned",
    "to_vec",
    "unwrap",
    "unwrap_or_default",
];
/// Methods whose result is an element, or some of them in turn.
const ELEMENTS: &[&str] = &[
    "back",
    "back_mut",
    "drain",
    "first",
    "first_mut",
    "front",
    "front_mut",
    "get",
    "get_mut",
    "into_iter",
    "into_values",
    "iter",
    "iter_mut",
    "last",
    "last_mut",
    "or_default",
    "or_insert",
    "or_insert_with",
    "entry",
    "values",
    "values_mut",
];

impl<'a> Scope<'a> {
    /// The variables of a function, wherever in it they are bound.
    pub(super) fn of(model: &'a Model, function: &'a Function) -> Self {
        let mut scope = Self {
            model,
            owner: function.owner.as_deref(),
            variables: BTreeMap::new(),
        };
        for input in &function.signature.inputs {
            if let FnArg::Typed(typed) = input {
                let place = scope.of_type(&typed.ty);
                scope.bind(&typed.pat, Some(place));
            }
        }
        scope.visit_block(&function.block);
        scope
    }

    /// What is known of a place.
    pub(super) fn place(&self, expr: &Expr) -> Option<Place> {
        match expr {
            Expr::Path(path) => {
                let name = path.path.get_ident()?.to_string();
                match (name.as_str(), self.owner) {
                    ("self", Some(owner)) => Some(Place::plain(named(owner)?)),
                    _ => self.variables.get(&name).cloned(),
                }
            }
            Expr::Field(field) => self.field(&field.base, &field.member),
            Expr::Index(index) => {
                let base = self.place(&index.expr)?;
                match &*index.index {
                    Expr::Range(_) => Some(base),
                    _ => Some(Place::plain(types::element(self.model, &base.ty)?)),
                }
            }
            Expr::MethodCall(call) => self.called(call),
            Expr::Call(call) => self.function(call),
            Expr::Reference(inner) => self.place(&inner.expr),
            Expr::Paren(inner) => self.place(&inner.expr),
            Expr::Group(inner) => self.place(&inner.expr),
            Expr::Unary(inner) => self.place(&inner.expr),
            Expr::Try(inner) => self.place(&inner.expr),
            Expr::Cast(inner) => Some(Place::plain((*inner.ty).clone())),
            Expr::Struct(value) => {
                let name = value.path.segments.last()?.ident.to_string();
                Some(Place::plain(named(&name)?))
            }
            _ => None,
        }
    }

    /// The field of an expression; where its type is not known, the only field of that name.
    fn field(&self, base: &Expr, member: &Member) -> Option<Place> {
        let name = member_name(member);
        let base = self.place(base);
        let owner = base
            .as_ref()
            .and_then(|base| types::own(self.model, &base.ty));
        let owner = match (owner, &base, member) {
            (Some(owner), ..) => owner,
            (None, None, Member::Named(_)) => self.model.only_owner(&name)?,
            (None, ..) => return None,
        };
        self.member(owner, name)
    }

    pub(super) fn member(&self, owner: &str, name: String) -> Option<Place> {
        Some(Place {
            ty: self.model.member(owner, &name)?.ty.clone(),
            field: Some((owner.to_string(), name)),
            taken: false,
        })
    }

    /// The methods of the file that a call means, if its receiver's type is known.
    pub(super) fn methods(&self, call: &ExprMethodCall) -> Option<Vec<usize>> {
        let receiver = self.place(&call.receiver)?;
        let name = call.method.to_string();
        match types::own(self.model, &receiver.ty) {
            Some(owner) => Some(self.model.named(Some(owner), &name).collect()),
            None => Some(Vec::new()),
        }
    }

    fn called(&self, call: &ExprMethodCall) -> Option<Place> {
        let method = call.method.to_string();
        if matches!(method.as_str(), "tasks" | "tasks_mut") {
            return Some(Place::plain(named("Tasks")?));
        }
        if let Some(&index) = self.methods(call).as_ref().and_then(|found| found.first()) {
            return self.returned(&self.model.functions[index]);
        }
        let receiver = self.place(&call.receiver)?;
        if VIEWS.contains(&method.as_str()) {
            return Some(receiver);
        }
        if method == "take" && types::collection(self.model, &receiver.ty).is_some() {
            return Some(Place {
                taken: true,
                ..receiver
            });
        }
        if ELEMENTS.contains(&method.as_str()) {
            return Some(Place::plain(types::element(self.model, &receiver.ty)?));
        }
        None
    }

    fn function(&self, call: &ExprCall) -> Option<Place> {
        let Expr::Path(path) = &*call.func else {
            return None;
        };
        let last = path.path.segments.last()?.ident.to_string();
        let first = path.path.segments.first()?.ident.to_string();
        if matches!(last.as_str(), "take" | "replace") && first != "Self" {
            let place = self.place(call.args.first()?)?;
            return Some(Place {
                taken: true,
                ..place
            });
        }
        let owner = match first.as_str() {
            _ if path.path.segments.len() < 2 => None,
            "Self" => self.owner,
            other => Some(other),
        };
        let index = self.model.named(owner, &last).next();
        match (index, owner) {
            (Some(index), _) => self.returned(&self.model.functions[index]),
            // A tuple struct.
            (None, None) if self.model.types.contains_key(&last) => {
                Some(Place::plain(named(&last)?))
            }
            _ => None,
        }
    }

    fn returned(&self, function: &Function) -> Option<Place> {
        let ReturnType::Type(_, ty) = &function.signature.output else {
            return None;
        };
        let is_self =
            matches!(types::peel(self.model, ty), Type::Path(path) if path.path.is_ident("Self"));
        match (&function.owner, is_self) {
            (Some(owner), true) => Some(Place::plain(named(owner)?)),
            _ => Some(Place::plain((**ty).clone())),
        }
    }

    /// A place of a declared type.
    pub(super) fn of_type(&self, ty: &Type) -> Place {
        let own = self
            .owner
            .filter(|_| last_name(ty).as_deref() == Some("Self"));
        let own = own.and_then(named);
        Place::plain(own.unwrap_or_else(|| ty.clone()))
    }
}

impl Place {
    pub(super) fn plain(ty: Type) -> Self {
        Self {
            ty,
            field: None,
            taken: false,
        }
    }
}

/// A field's name.
pub(super) fn member_name(member: &Member) -> String {
    match member {
        Member::Named(ident) => ident.to_string(),
        Member::Unnamed(index) => index.index.to_string(),
    }
}

fn named(name: &str) -> Option<Type> {
    syn::parse_str(name).ok()
}
