//! What a file declares: its types, constants and functions, by their names. Two of one name are
//! taken together, which errs by a rule too many in files that no model writes.

use std::collections::BTreeMap;

use syn::{
    Block, Expr, Fields, File, FnArg, ImplItem, Item, Lit, Pat, Signature, TraitItem, Type,
    visit::{self, Visit},
};

use super::entry;

/// A function or method.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: String,
    /// The type whose method it is, or the trait.
    pub(super) owner: Option<String>,
    /// The trait that it belongs to.
    pub(super) of_trait: Option<String>,
    pub(super) signature: Signature,
    pub(super) block: Block,
}

/// A field of a struct, or of an enum's variant.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) ty: Type,
}

/// What a file declares.
#[derive(Debug, Default)]
pub(super) struct Model {
    /// Structs, and enums with the fields of all their variants.
    pub(super) types: BTreeMap<String, Vec<Member>>,
    pub(super) aliases: BTreeMap<String, Type>,
    pub(super) consts: BTreeMap<String, Expr>,
    pub(super) functions: Vec<Function>,
    /// Modules, traits and all else that has a name.
    pub(super) others: Vec<String>,
}

impl Model {
    pub(super) fn of(file: &File) -> Self {
        let mut model = Self::default();
        model.visit_file(file);
        model
    }

    /// The field of a type.
    pub(super) fn member(&self, owner: &str, name: &str) -> Option<&Member> {
        let members = self.types.get(owner)?;
        members.iter().find(|member| member.name == name)
    }

    /// The one type that has a field of this name, if there is one.
    pub(super) fn only_owner(&self, member: &str) -> Option<&str> {
        let mut owners = self.types.iter().filter(|(_, members)| {
            let mut members = members.iter();
            members.any(|other| other.name == member)
        });
        let (owner, _) = owners.next()?;
        owners.next().is_none().then_some(owner)
    }

    /// Functions of this name, and of this type if one is given.
    pub(super) fn named<'a>(
        &'a self,
        owner: Option<&'a str>,
        name: &'a str,
    ) -> impl Iterator<Item = usize> + 'a {
        let all = self.functions.iter().enumerate();
        let fits = move |function: &Function| {
            let owned = owner.is_none_or(|owner| function.owner.as_deref() == Some(owner));
            function.name == name && owned
        };
        all.filter(move |(_, function)| fits(function))
            .map(|(index, _)| index)
    }

    /// Whether the file declares something of this name.
    pub(super) fn declares(&self, name: &str) -> bool {
        self.types.contains_key(name)
            || self.aliases.contains_key(name)
            || self.others.iter().any(|other| other == name)
    }

    /// The number that a constant expression is, if it is a plain one.
    pub(super) fn number(&self, expr: &Expr) -> Option<u128> {
        self.number_within(expr, 8)
    }

    fn number_within(&self, expr: &Expr, depth: u32) -> Option<u128> {
        let depth = depth.checked_sub(1)?;
        match expr {
            Expr::Lit(lit) => match &lit.lit {
                Lit::Int(int) => int.base10_parse().ok(),
                _ => None,
            },
            Expr::Path(path) => {
                let name = path.path.segments.last()?.ident.to_string();
                self.number_within(self.consts.get(&name)?, depth)
            }
            Expr::Paren(inner) => self.number_within(&inner.expr, depth),
            Expr::Group(inner) => self.number_within(&inner.expr, depth),
            Expr::Cast(inner) => self.number_within(&inner.expr, depth),
            Expr::Binary(binary) => {
                let left = self.number_within(&binary.left, depth)?;
                let right = self.number_within(&binary.right, depth)?;
                match binary.op {
                    syn::BinOp::Add(_) => left.checked_add(right),
                    syn::BinOp::Sub(_) => left.checked_sub(right),
                    syn::BinOp::Mul(_) => left.checked_mul(right),
                    syn::BinOp::Div(_) => left.checked_div(right),
                    syn::BinOp::Shl(_) => left.checked_shl(u32::try_from(right).ok()?),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn add_fields(&mut self, owner: String, fields: &Fields) {
        let named = fields.iter().enumerate().map(|(index, field)| Member {
            name: field
                .ident
                .as_ref()
                .map_or_else(|| index.to_string(), ToString::to_string),
            ty: field.ty.clone(),
        });
        self.types.entry(owner).or_default().extend(named);
    }

    fn add_function(
        &mut self,
        owner: Option<&str>,
        of_trait: Option<String>,
        signature: &Signature,
        block: &Block,
    ) {
        self.functions.push(Function {
            name: signature.ident.to_string(),
            owner: owner.map(str::to_string),
            of_trait,
            signature: signature.clone(),
            block: block.clone(),
        });
    }

    fn add(&mut self, item: &Item) {
        match item {
            Item::Struct(item) => self.add_fields(item.ident.to_string(), &item.fields),
            Item::Enum(item) => {
                self.types.entry(item.ident.to_string()).or_default();
                for variant in &item.variants {
                    self.add_fields(item.ident.to_string(), &variant.fields);
                }
            }
            Item::Type(item) => {
                self.aliases
                    .insert(item.ident.to_string(), (*item.ty).clone());
            }
            Item::Const(item) => {
                self.consts
                    .insert(item.ident.to_string(), (*item.expr).clone());
            }
            Item::Static(item) => {
                self.consts
                    .insert(item.ident.to_string(), (*item.expr).clone());
            }
            Item::Fn(item) => self.add_function(None, None, &item.sig, &item.block),
            Item::Mod(item) => self.others.push(item.ident.to_string()),
            Item::Trait(item) => {
                let name = item.ident.to_string();
                for inner in &item.items {
                    if let TraitItem::Fn(inner) = inner
                        && let Some(block) = &inner.default
                    {
                        self.add_function(Some(&name), Some(name.clone()), &inner.sig, block);
                    }
                }
                self.others.push(name);
            }
            Item::Impl(item) => self.add_impl(item),
            _ => {}
        }
    }

    fn add_impl(&mut self, item: &syn::ItemImpl) {
        let owner = last_name(&item.self_ty);
        let of_trait = item
            .trait_
            .as_ref()
            .and_then(|(path, _)| path.segments.last());
        let of_trait = of_trait.map(|last| last.ident.to_string());
        for inner in &item.items {
            match inner {
                ImplItem::Fn(inner) => {
                    self.add_function(owner.as_deref(), of_trait.clone(), &inner.sig, &inner.block);
                }
                ImplItem::Const(inner) => {
                    self.consts
                        .insert(inner.ident.to_string(), inner.expr.clone());
                }
                ImplItem::Type(inner) if entry::is_policy(item) => {
                    self.aliases.insert("Self::Task".into(), inner.ty.clone());
                }
                _ => {}
            }
        }
    }
}

impl<'ast> Visit<'ast> for Model {
    fn visit_item(&mut self, item: &'ast Item) {
        self.add(item);
        visit::visit_item(self, item);
    }

    fn visit_macro(&mut self, mac: &'ast syn::Macro) {
        super::arguments::visit(self, mac);
    }
}

impl Function {
    /// The names of its parameters, without `self`.
    pub(super) fn params(&self) -> Vec<Option<(String, Type)>> {
        let typed = self
            .signature
            .inputs
            .iter()
            .filter_map(|input| match input {
                FnArg::Receiver(_) => None,
                FnArg::Typed(typed) => Some(typed),
            });
        let named = typed.map(|typed| match &*typed.pat {
            Pat::Ident(ident) => Some((ident.ident.to_string(), (*typed.ty).clone())),
            _ => None,
        });
        named.collect()
    }
}

/// The last word of a type's path.
pub(super) fn last_name(ty: &Type) -> Option<String> {
    match ty {
        Type::Path(path) => Some(path.path.segments.last()?.ident.to_string()),
        Type::Reference(inner) => last_name(&inner.elem),
        Type::Paren(inner) => last_name(&inner.elem),
        Type::Group(inner) => last_name(&inner.elem),
        _ => None,
    }
}
