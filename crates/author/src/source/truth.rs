//! What only a simulator tells: how long a burst will be in the end. A policy that looks at it
//! is good in the simulator alone.

use proc_macro2::Span;
use syn::{
    File, Macro, Member,
    visit::{self, Visit},
};

use super::{arguments, at, scope::member_name};
use crate::{Diagnostic, Stage};

/// Finds who looks.
pub(super) fn check(file: &File) -> Vec<Diagnostic> {
    let mut truth = Truth(Vec::new());
    truth.visit_file(file);
    truth.0
}

struct Truth(Vec<Diagnostic>);

impl Truth {
    fn refuse(&mut self, span: Span) {
        let message = "this asks how long a task will compute, which only a simulator knows";
        let help =
            "Guess by what the task did: `enqueue.burst_ns`, and means of it in `type Task`.";
        self.0
            .push(at(Stage::Lint, "truth", span, message).help(help));
    }

    fn member(&mut self, member: &Member) {
        if let (Member::Named(ident), "truth_ns") = (member, member_name(member).as_str()) {
            self.refuse(ident.span());
        }
    }
}

impl<'ast> Visit<'ast> for Truth {
    fn visit_expr_field(&mut self, field: &'ast syn::ExprField) {
        self.member(&field.member);
        visit::visit_expr_field(self, field);
    }

    fn visit_field_pat(&mut self, field: &'ast syn::FieldPat) {
        self.member(&field.member);
        visit::visit_field_pat(self, field);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let mut words = path.segments.iter().rev();
        if let (Some(last), Some(before)) = (words.next(), words.next())
            && last.ident == "Truth"
            && before.ident == "Predictor"
        {
            self.refuse(last.ident.span());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, mac: &'ast Macro) {
        arguments::visit(self, mac);
    }
}
