//! Macros of the project under test.

use proc_macro::TokenStream;

#[proc_macro]
pub fn twice(input: TokenStream) -> TokenStream {
    helper(input)
}

fn helper(input: TokenStream) -> TokenStream {
    format!("(({input}) * 2)").parse().unwrap()
}

/// Takes only functions of few words.
#[proc_macro_attribute]
pub fn terse(_: TokenStream, item: TokenStream) -> TokenStream {
    let body = item.clone().into_iter().last().map(|body| body.to_string()).unwrap_or_default();
    if body.len() > 40 { "compile_error!(\"too many words\");".parse().unwrap() } else { item }
}
