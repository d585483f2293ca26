//! Values that an attribute records for each call: `args(…)`, `fields(…)`, and their `mask(…)`.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Error, Expr, ExprField, ExprPath, LitStr, Member, Result, Token};

use crate::mistakes::Mistakes;
use crate::plan::Parameters;

/// A requested value as written. Its names are not resolved yet.
pub(crate) enum Wanted {
    /// `args(*)`
    AllArguments(Token![*]),
    /// `args(a)`, `args(%a)`, `args(b.id)`
    Argument { form: Form, expr: Expr },
    /// `fields(key = expr)`
    Field { key: Key, form: Form, expr: Expr },
}

/// Key of a field, with its tokens.
pub(crate) struct Key {
    pub(crate) text: String,
    pub(crate) place: TokenStream,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Debug,
    Display,
    Masked,
}

/// A value to record.
pub(crate) struct Value {
    pub(crate) key: String,
    pub(crate) form: Form,
    pub(crate) expr: Expr,
    /// Path that masks use to refer to the value.
    path: String,
    place: TokenStream,
}

/// Parses the content of `args(…)`.
pub(crate) fn arguments(tokens: TokenStream) -> Result<Vec<Wanted>> {
    let parse = |input: ParseStream| {
        if input.peek(Token![*]) {
            return input.parse().map(Wanted::AllArguments);
        }
        let form = form(input)?;
        Ok(Wanted::Argument { form, expr: input.parse()? })
    };
    list(tokens, parse)
}

/// Parses the content of `fields(…)`.
pub(crate) fn fields(tokens: TokenStream) -> Result<Vec<Wanted>> {
    let parse = |input: ParseStream| {
        let key = key(input)?;
        input.parse::<Token![=]>()?;
        let form = form(input)?;
        Ok(Wanted::Field { key, form, expr: input.parse()? })
    };
    list(tokens, parse)
}

/// Parses the content of `mask(…)`.
pub(crate) fn masks(tokens: TokenStream) -> Result<Vec<Key>> {
    list(tokens, key)
}

fn list<T>(tokens: TokenStream, parse: impl Fn(ParseStream) -> Result<T>) -> Result<Vec<T>> {
    let parse = |input: ParseStream| {
        let mut list = Vec::new();
        while !input.is_empty() {
            list.push(parse(input)?);
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(list)
    };
    parse.parse2(tokens)
}

fn form(input: ParseStream) -> Result<Form> {
    if input.parse::<Option<Token![%]>>()?.is_some() {
        return Ok(Form::Display);
    }
    input.parse::<Option<Token![?]>>()?;
    Ok(Form::Debug)
}

/// Parses `key`, `http.status` or `"any text"`.
fn key(input: ParseStream) -> Result<Key> {
    if input.peek(LitStr) {
        let literal: LitStr = input.parse()?;
        return Ok(Key { text: literal.value(), place: literal.into_token_stream() });
    }
    let words = Punctuated::<Ident, Token![.]>::parse_separated_nonempty_with(input, Ident::parse_any)?;
    let text = words.iter().map(|word| word.unraw().to_string()).collect::<Vec<_>>().join(".");
    Ok(Key { text, place: words.into_token_stream() })
}

/// Returns the parameter that an expression begins with: `order` in `order.id`, `order.total()` or `order[0]`.
pub(crate) fn root(expr: &Expr) -> Option<&Ident> {
    match expr {
        Expr::Path(ExprPath { path, .. }) => path.get_ident(),
        Expr::Field(field) => root(&field.base),
        Expr::MethodCall(call) => root(&call.receiver),
        Expr::Index(index) => root(&index.expr),
        Expr::Paren(inner) => root(&inner.expr),
        Expr::Group(inner) => root(&inner.expr),
        Expr::Reference(inner) => root(&inner.expr),
        Expr::Unary(inner) => root(&inner.expr),
        Expr::Try(inner) => root(&inner.expr),
        _ => None,
    }
}

/// Returns `a` or `a.b.0` as text. `None` for any other expression.
pub(crate) fn path(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Path(ExprPath { path, .. }) => path.get_ident().map(|ident| ident.unraw().to_string()),
        Expr::Field(ExprField { base, member, .. }) => {
            let member = match member {
                Member::Named(name) => name.unraw().to_string(),
                Member::Unnamed(index) => index.index.to_string(),
            };
            Some(format!("{}.{member}", path(base)?))
        }
        Expr::Group(inner) => path(&inner.expr),
        _ => None,
    }
}

/// Resolves the names in the requested values and applies the masks.
pub(crate) fn resolve(wanted: Vec<Wanted>, masks: &[Key], parameters: &mut Parameters<'_>, mistakes: &mut Mistakes) -> Vec<Value> {
    let mut values = Vec::<Value>::new();
    let mut add = |value: Value, mistakes: &mut Mistakes| {
        if values.iter().any(|other| other.key == value.key) {
            mistakes.push(&value.place, format!("`{}` is recorded twice; leave one of them out", value.key));
        } else {
            values.push(value);
        }
    };
    for wanted in wanted {
        match wanted {
            Wanted::AllArguments(star) => {
                for ident in parameters.all() {
                    let path = ident.unraw().to_string();
                    let expr = Expr::Path(syn::parse_quote!(#ident));
                    let value = Value { key: format!("args.{path}"), form: Form::Debug, expr, path, place: star.into_token_stream() };
                    add(value, mistakes);
                }
            }
            Wanted::Argument { form, expr } => {
                let place = expr.to_token_stream();
                let Some(path) = path(&expr) else {
                    mistakes.push(place, "an argument is a parameter or a field of one; for anything else write `fields(key = …)`");
                    continue;
                };
                if parameters.find(&expr, &place, mistakes) {
                    add(Value { key: format!("args.{path}"), form, expr, path, place }, mistakes);
                }
            }
            Wanted::Field { key: Key { text, place }, form, expr } => {
                if text.trim().is_empty() {
                    mistakes.push(place, "a field needs a key");
                    continue;
                }
                parameters.uses(&expr);
                let path = path(&expr).unwrap_or_default();
                add(Value { key: text, form, expr, path, place }, mistakes);
            }
        }
    }
    for mask in masks {
        let hidden = &mask.text;
        let below = format!("{hidden}.");
        let masked: Vec<_> = values
            .iter_mut()
            .filter(|value| value.key == *hidden || value.path == *hidden || value.path.starts_with(&below))
            .map(|value| value.form = Form::Masked)
            .collect();
        if masked.is_empty() {
            let text = format!("`{hidden}` is not recorded, so there is nothing to mask; only what `args` or `fields` name is recorded");
            mistakes.push(&mask.place, text);
        }
    }
    values
}

/// Adds a mistake if this expression would reveal a masked value.
pub(crate) fn check_mask(masks: &[Key], expr: &Expr, place: impl ToTokens, mistakes: &mut Mistakes) {
    let told = path(expr).unwrap_or_default();
    if masks.iter().any(|mask| told == mask.text || told.starts_with(&format!("{}.", mask.text))) {
        mistakes.push(place, format!("`{told}` is masked, and would be told here; leave one of them out"));
    }
}

/// Creates the error for a word that needs a list.
pub(crate) fn stands_alone(key: &Ident) -> Error {
    let example = match key.to_string().as_str() {
        "args" => "`args(a, b.id)` or `args(*)`",
        "fields" => "`fields(rows = table.len())`",
        _ => "`mask(password)`",
    };
    Error::new_spanned(key, format!("`{key}` wants a list: {example}"))
}

/// Adds parentheses around an expression if its syntax needs them.
pub(crate) fn grouped(expr: &Expr) -> TokenStream {
    match expr {
        Expr::Path(_) | Expr::Field(_) | Expr::MethodCall(_) | Expr::Call(_) | Expr::Lit(_) | Expr::Paren(_) => expr.to_token_stream(),
        _ => quote!((#expr)),
    }
}
