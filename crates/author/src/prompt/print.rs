//! Items of Rust as text, for a reader who needs no more than their form.

use syn::{Expr, ImplItem, Item, ItemImpl, Stmt, Type};

/// The code without what says little to a reader: links, half of the indentation, and derived
/// traits that nearly all have.
pub(super) fn compact(code: &str) -> String {
    let mut text = String::with_capacity(code.len());
    for line in code.lines() {
        let rest = line.trim_start();
        text.extend(std::iter::repeat_n(' ', (line.len() - rest.len()) / 2));
        text += rest;
        text.push('\n');
    }
    let mut gone = vec!["#[derive(Debug)]\n", "#[derive(Clone, Debug)]\n"];
    gone.extend(["Debug, ", ", Debug", ", PartialEq, Eq", "PartialOrd, "]);
    for gone in gone {
        text = text.replace(gone, "");
    }
    text.replace("[`crate::", "`")
        .replace("[`", "`")
        .replace("`]", "`")
}

/// The item as Rust is written. A body that was left out is a semicolon.
pub(super) fn printed(item: Item, provided: bool) -> String {
    let text = printed_whole(item);
    let mut code = String::new();
    for line in text.lines() {
        // A parameter that the provided body does not use begins with a line below.
        let named = line.replace(" _", " ");
        let line = if provided { &named } else { line };
        let line = match line.strip_suffix("{}") {
            Some(head) if head.contains("struct ") => format!("{head}{{ /* private */ }}"),
            Some(head) if provided => format!("{}; // provided", head.trim_end()),
            Some(head) => format!("{};", head.trim_end()),
            None => line.to_owned(),
        };
        code += &line;
        code.push('\n');
    }
    code
}

fn printed_whole(item: Item) -> String {
    prettyplease::unparse(&syn::File {
        shebang: None,
        frontmatter: None,
        attrs: Vec::new(),
        items: vec![item],
    })
}

/// What a type's default is, on one line, if it is spelled out.
pub(super) fn default_of(item: &ItemImpl) -> Option<String> {
    let (path, _) = item.trait_.as_ref()?;
    if !path.is_ident("Default") {
        return None;
    }
    let of = type_name(&item.self_ty)?;
    let [ImplItem::Fn(function)] = &item.items[..] else {
        return None;
    };
    let [Stmt::Expr(value @ Expr::Struct(_), None)] = &function.block.stmts[..] else {
        return None;
    };
    // A constant of this value is something that can be printed.
    let Ok(Item::Const(mut constant)) = syn::parse_str::<Item>("const D: D = D;") else {
        return None;
    };
    *constant.expr = value.clone();
    let text = printed_whole(Item::Const(constant));
    let words: Vec<&str> = text.split_whitespace().skip(4).collect();
    let text = words.join(" ").replace("crate::", "");
    Some(format!(
        "- `{of}::default()` is `{}`\n",
        text.trim_end_matches(';')
    ))
}

/// The last word of a type's path.
pub(super) fn type_name(ty: &Type) -> Option<String> {
    match ty {
        Type::Path(path) => path.path.segments.last().map(|last| last.ident.to_string()),
        _ => None,
    }
}
