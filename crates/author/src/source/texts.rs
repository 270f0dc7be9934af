//! Where texts belong: names of parameters, by whatever way they come to `setup.param`.

use std::collections::{BTreeMap, BTreeSet};

use syn::{
    Expr, ExprCall, ExprMethodCall, File, FnArg, Macro, Pat,
    visit::{self, Visit},
};

use super::arguments;

/// Where texts belong in a file.
pub(super) struct Texts {
    pub(super) helpers: Helpers,
    /// Constants that only name parameters and counts.
    pub(super) names: BTreeSet<String>,
}

impl Texts {
    pub(super) fn of(file: &File) -> Self {
        let mut helpers = Helpers::default();
        helpers.visit_file(file);
        let mut uses = Uses {
            helpers: &helpers,
            all: BTreeMap::new(),
            named: BTreeMap::new(),
        };
        uses.visit_file(file);
        let names = uses.named.iter();
        let names = names.filter(|(name, count)| uses.all.get(*name) == Some(count));
        let names = names.map(|(name, _)| name.clone()).collect();
        Self { helpers, names }
    }
}

/// Functions and closures that hand an argument on to `setup.param`.
#[derive(Default)]
pub(super) struct Helpers {
    /// Names, and which argument it is.
    names: BTreeMap<String, usize>,
}

impl<'ast> Visit<'ast> for Helpers {
    fn visit_local(&mut self, local: &'ast syn::Local) {
        let closure = local.init.as_ref().map(|init| &*init.expr);
        if let (Pat::Ident(name), Some(Expr::Closure(closure))) = (&local.pat, closure) {
            let params = closure.inputs.iter().map(|input| match input {
                Pat::Type(typed) => pattern_name(&typed.pat),
                other => pattern_name(other),
            });
            let params: Vec<Option<String>> = params.collect();
            self.add(name.ident.to_string(), &params, |asked| {
                asked.visit_expr(&closure.body);
            });
        }
        visit::visit_local(self, local);
    }

    fn visit_signature(&mut self, _: &'ast syn::Signature) {}

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }
}

impl Helpers {
    fn function(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let typed = signature.inputs.iter().filter_map(|input| match input {
            FnArg::Typed(typed) => Some(pattern_name(&typed.pat)),
            FnArg::Receiver(_) => None,
        });
        let params: Vec<Option<String>> = typed.collect();
        self.add(signature.ident.to_string(), &params, |asked| {
            asked.visit_block(block);
        });
    }

    fn add(&mut self, name: String, params: &[Option<String>], look: impl Fn(&mut Asked)) {
        let mut asked = Asked(BTreeSet::new());
        look(&mut asked);
        let place = params
            .iter()
            .position(|param| param.as_ref().is_some_and(|param| asked.0.contains(param)));
        if let Some(place) = place {
            self.names.insert(name, place);
        }
    }

    /// Which argument of a call names a parameter.
    pub(super) fn named<'a>(&self, call: &'a ExprCall) -> Option<&'a Expr> {
        let Expr::Path(path) = &*call.func else {
            return None;
        };
        let name = path.path.segments.last()?.ident.to_string();
        call.args.iter().nth(*self.names.get(&name)?)
    }
}

/// The variables that `setup.param` is given as names.
struct Asked(BTreeSet<String>);

impl<'ast> Visit<'ast> for Asked {
    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        if let ("param", Some(Expr::Path(path))) =
            (call.method.to_string().as_str(), call.args.first())
        {
            self.0
                .extend(path.path.get_ident().map(ToString::to_string));
        }
        visit::visit_expr_method_call(self, call);
    }
}

/// How often constants are used, and how often as names of parameters or counts.
struct Uses<'a> {
    helpers: &'a Helpers,
    all: BTreeMap<String, usize>,
    named: BTreeMap<String, usize>,
}

impl Uses<'_> {
    fn name(&mut self, expr: Option<&Expr>) {
        if let Some(Expr::Path(path)) = expr
            && let Some(last) = path.path.segments.last()
        {
            *self.named.entry(last.ident.to_string()).or_default() += 1;
        }
    }
}

impl<'ast> Visit<'ast> for Uses<'_> {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        if let Some(last) = path.segments.last() {
            *self.all.entry(last.ident.to_string()).or_default() += 1;
        }
        visit::visit_path(self, path);
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        if call.method == "param" {
            self.name(call.args.first());
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        let is_tell = matches!(&*call.func, Expr::Path(path) if path.path.is_ident("tell"));
        let named = self
            .helpers
            .named(call)
            .or(call.args.first().filter(|_| is_tell));
        self.name(named);
        visit::visit_expr_call(self, call);
    }

    fn visit_macro(&mut self, mac: &'ast Macro) {
        arguments::visit(self, mac);
    }
}

fn pattern_name(pattern: &Pat) -> Option<String> {
    match pattern {
        Pat::Ident(ident) => Some(ident.ident.to_string()),
        _ => None,
    }
}
