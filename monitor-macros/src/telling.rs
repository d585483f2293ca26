//! Generates the code that records the values requested by an attribute.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::visit_mut::{self, VisitMut};
use syn::{Expr, Pat, PatIdent};

use crate::expand::own;
use crate::plan::{Parameter, Plan};
use crate::told::{Form, grouped};

/// Generates the statements that record the values, which run before the parameters are moved into the body.
pub(crate) fn telling(plan: &Plan) -> Option<TokenStream> {
    let told = own("told");
    let values = plan.values.iter().map(|value| {
        let (key, given) = (&value.key, borrowed(&value.expr));
        match value.form {
            Form::Debug => quote!(#told.debug(#key, #given);),
            Form::Display => quote!(#told.display(#key, #given);),
            Form::Masked => quote!(#told.masked(#key);),
        }
    });
    let name = plan.name.format.as_ref().map(|(format, values)| {
        let site = own("site");
        let values = values.iter().map(borrowed);
        quote!(#told.name(#site, ::core::format_args!(#format, #(#values),*));)
    });
    if plan.values.is_empty() && name.is_none() {
        return None;
    }
    let names = bound_names(&plan.parameters);
    Some(quote!(#names #(#values)* #name))
}

/// Generates bindings of the names in the parameters' patterns, as references into the parameters.
pub(crate) fn bound_names(parameters: &[Parameter]) -> TokenStream {
    parameters
        .iter()
        .filter(|parameter| parameter.renamed() && !parameter.used_names.is_empty())
        .map(|parameter| {
            let (outer, pattern) = (&parameter.outer, by_reference(&parameter.pattern));
            quote!(#[allow(unused_variables)] let #pattern = &#outer;)
        })
        .collect()
}

/// Converts a pattern for matching a reference: all of its bindings become references.
fn by_reference(pattern: &Pat) -> Pat {
    struct ByReference;
    impl VisitMut for ByReference {
        fn visit_pat_mut(&mut self, node: &mut Pat) {
            while let Pat::Reference(reference) = node {
                *node = (*reference.pat).clone();
            }
            visit_mut::visit_pat_mut(self, node);
        }

        fn visit_pat_ident_mut(&mut self, node: &mut PatIdent) {
            (node.by_ref, node.mutability) = (None, None);
            visit_mut::visit_pat_ident_mut(self, node);
        }
    }
    let mut pattern = pattern.clone();
    ByReference.visit_pat_mut(&mut pattern);
    pattern
}

/// Generates a reference to a user's expression. Type errors point to the expression.
pub(crate) fn borrowed(expr: &Expr) -> TokenStream {
    let (expr, at) = (grouped(expr), Span::mixed_site().located_at(expr.span()));
    quote_spanned!(at=> &#expr)
}
