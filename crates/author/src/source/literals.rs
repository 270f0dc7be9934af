//! Texts and what could be one: a policy that knows names of tasks is good on the machine whose
//! tasks it knows.

use proc_macro2::Span;
use syn::{
    Expr, ExprArray, ExprCall, ExprMethodCall, File, FnArg, ImplItem, ItemImpl, Lit, LitInt, Macro,
    Type,
    spanned::Spanned,
    visit::{self, Visit},
};

use super::{arguments, at, entry, model::Model, texts::Texts};
use crate::{Diagnostic, Stage};

/// Fewest letters that count as a name.
const LETTERS_MIN: usize = 4;

/// Finds texts where none belongs.
pub(super) fn check(file: &File, model: &Model) -> Vec<Diagnostic> {
    let texts = Texts::of(file);
    let mut literals = Literals {
        model,
        texts: &texts,
        mistakes: Vec::new(),
    };
    literals.visit_file(file);
    literals.mistakes
}

struct Literals<'a> {
    model: &'a Model,
    texts: &'a Texts,
    mistakes: Vec<Diagnostic>,
}

impl Literals<'_> {
    fn refuse(&mut self, span: Span, what: &str) {
        let message = format!("{what}: a policy must not know names of tasks");
        let help = "Tasks are judged by what they do: `enqueue.burst_ns`, `enqueue.slept_ns`, weight, class. Texts are for NAME, SUMMARY, `setup.param`, `counts` and messages of asserts.";
        self.mistakes
            .push(at(Stage::Lint, "task-name-literal", span, message).help(help));
    }

    /// Visits arguments but the one that may be a text.
    fn visit_but<'b>(&mut self, args: impl Iterator<Item = &'b Expr>, text: Option<&Expr>) {
        for argument in args {
            let is_text = text.is_some_and(|text| std::ptr::eq(text, argument));
            if !(is_text && is_str(argument)) {
                self.visit_expr(argument);
            }
        }
    }
}

impl<'ast> Visit<'ast> for Literals<'_> {
    fn visit_lit(&mut self, lit: &'ast Lit) {
        match lit {
            Lit::Str(_) => self.refuse(lit.span(), "a text"),
            Lit::ByteStr(_) | Lit::CStr(_) => self.refuse(lit.span(), "a text of bytes"),
            Lit::Char(_) | Lit::Byte(_) => self.refuse(lit.span(), "a letter"),
            Lit::Int(int) if is_packed(int) => {
                self.refuse(int.span(), "a number that spells a name");
            }
            _ => {}
        }
    }

    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}

    fn visit_expr_array(&mut self, array: &'ast ExprArray) {
        if spells(array) {
            self.refuse(array.span(), "numbers that spell a name");
        }
        visit::visit_expr_array(self, array);
    }

    /// A number as a letter.
    fn visit_expr_cast(&mut self, cast: &'ast syn::ExprCast) {
        let is_char = matches!(&*cast.ty, Type::Path(path) if path.path.is_ident("char"));
        if is_char && self.model.number(&cast.expr).is_some() {
            self.refuse(cast.span(), "a letter");
        }
        visit::visit_expr_cast(self, cast);
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        self.visit_expr(&call.receiver);
        let method = call.method.to_string();
        let names = matches!(method.as_str(), "param" | "expect" | "expect_err");
        self.visit_but(call.args.iter(), call.args.first().filter(|_| names));
    }

    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        if let Expr::Path(path) = &*call.func {
            let words: Vec<String> = path
                .path
                .segments
                .iter()
                .map(|one| one.ident.to_string())
                .collect();
            let of_char = matches!(
                words.first().map(String::as_str),
                Some("char" | "std" | "core")
            );
            let makes = matches!(
                words.last().map(String::as_str),
                Some("from" | "from_u32" | "from_digit")
            );
            let constant = call
                .args
                .first()
                .is_some_and(|first| self.model.number(bare(first)).is_some());
            if words.len() > 1 && of_char && makes && constant {
                self.refuse(call.span(), "a letter");
            }
            let is_param = words.last().is_some_and(|last| last == "param") && words.len() > 1;
            let text = self.texts.helpers.named(call).or(call
                .args
                .iter()
                .nth(1)
                .filter(|_| is_param));
            return self.visit_but(call.args.iter(), text);
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        if !(is_str(&item.expr) && self.texts.names.contains(&item.ident.to_string())) {
            visit::visit_item_const(self, item);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast ItemImpl) {
        let last = item
            .trait_
            .as_ref()
            .and_then(|(path, _)| path.segments.last());
        let reads_params = last.is_some_and(|last| last.ident == "FromStr");
        for inner in &item.items {
            match inner {
                ImplItem::Const(inner) if entry::is_policy(item) && is_str(&inner.expr) => {
                    if inner.ident != "NAME" && inner.ident != "SUMMARY" {
                        self.visit_impl_item_const(inner);
                    }
                }
                ImplItem::Const(inner) if self.texts.names.contains(&inner.ident.to_string()) => {}
                // What values of a parameter are called.
                ImplItem::Fn(inner) if reads_params && inner.sig.ident == "from_str" => {}
                ImplItem::Fn(inner) if tells(&inner.sig) => {}
                other => self.visit_impl_item(other),
            }
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !tells(&item.sig) {
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_macro(&mut self, mac: &'ast Macro) {
        arguments::visit(self, mac);
    }
}

/// Whether a function is given the `tell` of `counts`.
fn tells(signature: &syn::Signature) -> bool {
    signature.inputs.iter().any(|input| {
        let FnArg::Typed(typed) = input else {
            return false;
        };
        let Type::Reference(inner) = &*typed.ty else {
            return false;
        };
        let bounds = match &*inner.elem {
            Type::TraitObject(object) => &object.bounds,
            Type::ImplTrait(object) => &object.bounds,
            _ => return false,
        };
        bounds.iter().any(|bound| match bound {
            syn::TypeParamBound::Trait(bound) => bound
                .path
                .segments
                .last()
                .is_some_and(|last| last.ident == "FnMut" && takes_text(last)),
            _ => false,
        })
    })
}

fn takes_text(bound: &syn::PathSegment) -> bool {
    let syn::PathArguments::Parenthesized(given) = &bound.arguments else {
        return false;
    };
    let is_str = |ty: &Type| matches!(ty, Type::Reference(inner) if matches!(&*inner.elem, Type::Path(path) if path.path.is_ident("str")));
    given.inputs.len() == 2 && given.inputs.first().is_some_and(|input| is_str(&input.ty))
}

fn is_str(expr: &Expr) -> bool {
    matches!(bare(expr), Expr::Lit(lit) if matches!(lit.lit, Lit::Str(_)))
}

fn bare(expr: &Expr) -> &Expr {
    match expr {
        Expr::Paren(inner) => bare(&inner.expr),
        Expr::Group(inner) => bare(&inner.expr),
        Expr::Cast(inner) => bare(&inner.expr),
        other => other,
    }
}

/// Whether a number's bytes are letters, as in `u32::from_be_bytes`.
fn is_packed(int: &LitInt) -> bool {
    let Ok(value) = int.base10_parse::<u128>() else {
        return false;
    };
    let bytes = value.to_be_bytes();
    let begin = bytes
        .iter()
        .position(|byte| *byte != 0)
        .unwrap_or(bytes.len());
    let end = bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(begin, |last| last + 1);
    let used = &bytes[begin..end];
    let letters = used.iter().filter(|byte| byte.is_ascii_lowercase()).count();
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_./:".contains(byte);
    used.len() >= LETTERS_MIN && used.iter().all(fits) && letters + 1 >= used.len()
}

/// Whether numbers in a row are the letters of a name, and no table.
fn spells(array: &ExprArray) -> bool {
    let values = array.elems.iter().map(|expr| match bare(expr) {
        Expr::Lit(lit) => match &lit.lit {
            Lit::Int(int) => int.base10_parse::<u8>().ok(),
            _ => None,
        },
        _ => None,
    });
    let Some(values) = values.collect::<Option<Vec<u8>>>() else {
        return false;
    };
    let end = values
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    let used = &values[..end];
    let rises = used.is_sorted() || used.iter().rev().is_sorted();
    let fits =
        |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_./:".contains(byte);
    used.len() >= LETTERS_MIN && used.iter().all(fits) && !rises
}
