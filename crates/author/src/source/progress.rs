//! Whether a loop comes to an end, as far as one sees: each turn takes something out, or changes
//! what the condition looks at.

use std::collections::BTreeSet;

use syn::{
    BinOp, Expr, ExprForLoop, ExprLoop, ExprMethodCall, ExprWhile,
    visit::{self, Visit},
};

/// Methods that take something out, so that a loop comes to an end.
const TAKES: &[&str] = &[
    "clear",
    "dequeue",
    "drain",
    "next",
    "next_back",
    "pop",
    "pop_back",
    "pop_first",
    "pop_front",
    "pop_if",
    "pop_last",
    "remove",
    "remove_first",
    "retain",
    "split_off",
    "swap_remove",
    "take",
    "truncate",
];

/// Whether a loop's body changes what its condition looks at.
pub(super) fn is_made(condition: &Expr, body: &syn::Block) -> bool {
    let mut roots = Roots::default();
    roots.visit_expr(condition);
    if roots.takes {
        return true;
    }
    let mut done = Body {
        roots: roots.names,
        bound: roots.bound,
        ..Body::default()
    };
    done.visit_block(body);
    done.takes || done.passes || done.assigned.iter().any(|name| done.roots.contains(name))
}

/// Whether a `loop` is left once something is used up, or counted.
pub(super) fn ends(block: &syn::Block) -> bool {
    let mut body = Body::default();
    body.visit_block(block);
    let counts = !body.assigned.is_empty() && leaves_by_comparison(&block.stmts);
    leaves(&block.stmts) && (body.takes || counts)
}

/// The variables that a condition looks at, and those that it binds.
#[derive(Default)]
struct Roots {
    names: BTreeSet<String>,
    bound: BTreeSet<String>,
    takes: bool,
}

impl<'ast> Visit<'ast> for Roots {
    fn visit_expr_path(&mut self, expr: &'ast syn::ExprPath) {
        self.names
            .extend(expr.path.get_ident().map(ToString::to_string));
    }

    fn visit_pat_ident(&mut self, pattern: &'ast syn::PatIdent) {
        self.bound.insert(pattern.ident.to_string());
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        self.takes |= TAKES.contains(&call.method.to_string().as_str());
        visit::visit_expr_method_call(self, call);
    }
}

/// What a loop's body does.
#[derive(Default)]
struct Body {
    roots: BTreeSet<String>,
    bound: BTreeSet<String>,
    assigned: BTreeSet<String>,
    takes: bool,
    /// Whether it passes what the condition found to a method of what it looks at.
    passes: bool,
}

impl<'ast> Visit<'ast> for Body {
    fn visit_expr_assign(&mut self, assign: &'ast syn::ExprAssign) {
        self.assigned.extend(root(&assign.left));
        visit::visit_expr_assign(self, assign);
    }

    fn visit_expr_binary(&mut self, binary: &'ast syn::ExprBinary) {
        let assigns = matches!(
            binary.op,
            BinOp::AddAssign(_)
                | BinOp::SubAssign(_)
                | BinOp::MulAssign(_)
                | BinOp::DivAssign(_)
                | BinOp::ShlAssign(_)
                | BinOp::ShrAssign(_)
                | BinOp::BitAndAssign(_)
        );
        if assigns {
            self.assigned.extend(root(&binary.left));
        }
        visit::visit_expr_binary(self, binary);
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        self.takes |= TAKES.contains(&call.method.to_string().as_str());
        let on_root = root(&call.receiver).is_some_and(|name| self.roots.contains(&name));
        let mut given = Roots::default();
        call.args
            .iter()
            .for_each(|argument| given.visit_expr(argument));
        self.passes |= on_root && given.names.iter().any(|name| self.bound.contains(name));
        visit::visit_expr_method_call(self, call);
    }
}

/// The variable that a place is part of.
fn root(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Path(path) => path.path.get_ident().map(ToString::to_string),
        Expr::Field(field) => root(&field.base),
        Expr::Index(index) => root(&index.expr),
        Expr::MethodCall(call) => root(&call.receiver),
        Expr::Reference(inner) => root(&inner.expr),
        Expr::Unary(inner) => root(&inner.expr),
        Expr::Paren(inner) => root(&inner.expr),
        _ => None,
    }
}

/// Whether statements leave the loop that they are the body of.
pub(super) fn leaves(statements: &[syn::Stmt]) -> bool {
    let mut found = Leaves::default();
    statements
        .iter()
        .for_each(|statement| found.visit_stmt(statement));
    found.leaves
}

fn leaves_by_comparison(statements: &[syn::Stmt]) -> bool {
    let mut found = Leaves::default();
    statements
        .iter()
        .for_each(|statement| found.visit_stmt(statement));
    found.compares
}

#[derive(Default)]
struct Leaves {
    leaves: bool,
    compares: bool,
    within: u32,
}

impl<'ast> Visit<'ast> for Leaves {
    fn visit_expr_break(&mut self, expr: &'ast syn::ExprBreak) {
        self.leaves |= self.within == 0 || expr.label.is_some();
    }

    fn visit_expr_return(&mut self, _: &'ast syn::ExprReturn) {
        self.leaves = true;
    }

    fn visit_expr_try(&mut self, expr: &'ast syn::ExprTry) {
        self.leaves = true;
        visit::visit_expr_try(self, expr);
    }

    fn visit_expr_if(&mut self, expr: &'ast syn::ExprIf) {
        self.compares |= matches!(&*expr.cond, Expr::Binary(_)) && leaves(&expr.then_branch.stmts);
        visit::visit_expr_if(self, expr);
    }

    fn visit_expr_loop(&mut self, expr: &'ast ExprLoop) {
        self.within += 1;
        visit::visit_expr_loop(self, expr);
        self.within -= 1;
    }

    fn visit_expr_while(&mut self, expr: &'ast ExprWhile) {
        self.within += 1;
        visit::visit_expr_while(self, expr);
        self.within -= 1;
    }

    fn visit_expr_for_loop(&mut self, expr: &'ast ExprForLoop) {
        self.within += 1;
        visit::visit_expr_for_loop(self, expr);
        self.within -= 1;
    }

    fn visit_expr_closure(&mut self, _: &'ast syn::ExprClosure) {}
}
