//! What stands within a macro, as expressions: there the rules hold too.

use proc_macro2::TokenStream;
use syn::{
    Expr, ExprLit, Ident, Lit, Macro, Pat, Token,
    parse::{ParseStream, Parser},
    punctuated::Punctuated,
    visit::Visit,
};

/// The arguments of a macro that candidates may use.
#[derive(Default)]
pub(super) struct Arguments {
    pub(super) exprs: Vec<Expr>,
    /// The pattern of `matches!`.
    pub(super) pattern: Option<Pat>,
    /// Which argument is a text for people.
    pub(super) message: Option<usize>,
    /// Variables that the text names, `{count}`.
    pub(super) captures: Vec<Ident>,
}

/// The name of a macro, without its path.
pub(super) fn name(mac: &Macro) -> String {
    let last = mac.path.segments.last();
    last.map(|segment| segment.ident.to_string())
        .unwrap_or_default()
}

/// Whether what a macro writes can be read by the policy afterwards.
pub(super) fn is_readable(name: &str) -> bool {
    matches!(name, "format" | "write" | "writeln")
}

/// Reads what stands within a macro; an error where it is no list of values.
pub(super) fn of(mac: &Macro) -> syn::Result<Arguments> {
    let name = name(mac);
    let mut arguments = match name.as_str() {
        "main" => Arguments::default(),
        "matches" => matched.parse2(mac.tokens.clone())?,
        "vec" => vec(mac.tokens.clone())?,
        _ => Arguments {
            exprs: list(mac.tokens.clone())?,
            ..Arguments::default()
        },
    };
    arguments.message = match name.as_str() {
        "panic" | "unreachable" | "todo" | "unimplemented" | "format" => Some(0),
        "assert" | "debug_assert" | "write" | "writeln" => Some(1),
        "assert_eq" | "assert_ne" | "debug_assert_eq" | "debug_assert_ne" => Some(2),
        _ => None,
    };
    let message = arguments.message.and_then(|at| arguments.exprs.get(at));
    if let Some(Expr::Lit(ExprLit {
        lit: Lit::Str(text),
        ..
    })) = message
    {
        arguments.captures = captures(&text.value(), text.span());
    }
    Ok(arguments)
}

fn list(tokens: TokenStream) -> syn::Result<Vec<Expr>> {
    let list = Punctuated::<Expr, Token![,]>::parse_terminated.parse2(tokens)?;
    Ok(list.into_iter().collect())
}

fn vec(tokens: TokenStream) -> syn::Result<Arguments> {
    let list = Punctuated::<Expr, Token![,]>::parse_terminated;
    let repeated = |input: ParseStream<'_>| {
        let value: Expr = input.parse()?;
        input.parse::<Token![;]>()?;
        Ok(vec![value, input.parse()?])
    };
    let exprs = match list.parse2(tokens.clone()) {
        Ok(list) => list.into_iter().collect(),
        Err(_) => repeated.parse2(tokens)?,
    };
    Ok(Arguments {
        exprs,
        ..Arguments::default()
    })
}

fn matched(input: ParseStream<'_>) -> syn::Result<Arguments> {
    let mut exprs = vec![input.parse()?];
    input.parse::<Token![,]>()?;
    let pattern = Pat::parse_multi_with_leading_vert(input)?;
    if input.peek(Token![if]) {
        input.parse::<Token![if]>()?;
        exprs.push(input.parse()?);
    }
    input.parse::<Option<Token![,]>>()?;
    Ok(Arguments {
        exprs,
        pattern: Some(pattern),
        ..Arguments::default()
    })
}

/// The variables that a text names.
fn captures(text: &str, span: proc_macro2::Span) -> Vec<Ident> {
    let text = text.replace("{{", "");
    let inside = text
        .split('{')
        .skip(1)
        .filter_map(|rest| rest.split('}').next());
    let mut found = Vec::new();
    for placeholder in inside {
        // Name, width and precision: `{name:>width$.precision$}`.
        for word in placeholder.split(|letter: char| !letter.is_alphanumeric() && letter != '_') {
            if let Ok(mut ident) = syn::parse_str::<Ident>(word) {
                ident.set_span(span);
                found.push(ident);
            }
        }
    }
    found
}

/// Visits what stands within a macro, but for its text for people.
pub(super) fn visit<V: for<'ast> Visit<'ast>>(visitor: &mut V, mac: &Macro) {
    let Ok(arguments) = of(mac) else { return };
    for (at, expr) in arguments.exprs.iter().enumerate() {
        let is_text = matches!(expr, Expr::Lit(lit) if matches!(lit.lit, Lit::Str(_)));
        if !is_text || arguments.message != Some(at) {
            visitor.visit_expr(expr);
        }
    }
    if let Some(pattern) = &arguments.pattern {
        visitor.visit_pat(pattern);
    }
    for ident in arguments.captures {
        visitor.visit_path(&ident.into());
    }
}
