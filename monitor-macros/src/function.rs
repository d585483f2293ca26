//! The function below the attribute. Its body is passed on as tokens, without being parsed.

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::parse::{ParseStream, Parser};
use syn::token::Brace;
use syn::{
    AttrStyle, Attribute, Error, Item, Result, ReturnType, Signature, Token, TraitItem, Type, TypeGroup, TypeParen, Visibility, braced,
    parse_quote,
};

use crate::mistakes::Mistakes;

pub(crate) struct Function {
    /// Outer and inner attributes.
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) defaultness: Option<Token![default]>,
    pub(crate) sig: Signature,
    pub(crate) body: Body,
}

/// The statements of the body, and its braces, at which errors in the type of the body are reported.
pub(crate) struct Body {
    pub(crate) braces: Brace,
    pub(crate) statements: TokenStream,
}

impl Function {
    /// Parses a function. If the item can't be monitored, adds a mistake and returns `None`.
    pub(crate) fn parse(item: TokenStream, mistakes: &mut Mistakes) -> Option<Self> {
        match parse.parse2(item.clone()) {
            Ok(function) => Some(function),
            Err(error) => {
                mistakes.add(explain(item, error));
                None
            }
        }
    }

    /// Returns the return type without the invisible groups that a `macro_rules` macro adds around its arguments.
    pub(crate) fn returned(&self) -> Type {
        let ReturnType::Type(_, returned) = &self.sig.output else { return parse_quote!(()) };
        let mut returned = &**returned;
        while let Type::Group(TypeGroup { elem, .. }) | Type::Paren(TypeParen { elem, .. }) = returned {
            returned = elem;
        }
        returned.clone()
    }
}

fn parse(input: ParseStream) -> Result<Function> {
    let mut attrs = input.call(Attribute::parse_outer)?;
    let vis = input.parse()?;
    let defaultness = input.parse()?;
    let sig = input.parse()?;
    let body;
    let braces = braced!(body in input);
    let inner = body.call(Attribute::parse_inner)?;
    attrs.extend(inner.into_iter().map(|attr| Attribute { style: AttrStyle::Outer, ..attr }));
    let statements = body.parse()?;
    Ok(Function { attrs, vis, defaultness, sig, body: Body { braces, statements } })
}

/// Creates the error for an item that is not a function.
fn explain(item: TokenStream, error: Error) -> Error {
    if let Ok(TraitItem::Fn(function)) = syn::parse2(item.clone()) {
        return Error::new_spanned(
            function.semi_token,
            "a function without a body can't be monitored; put the attribute on the functions of the impls",
        );
    }
    let keyword = match syn::parse2(item.clone()) {
        Ok(Item::Struct(item)) => item.struct_token.to_token_stream(),
        Ok(Item::Enum(item)) => item.enum_token.to_token_stream(),
        Ok(Item::Union(item)) => item.union_token.to_token_stream(),
        Ok(Item::Trait(item)) => item.trait_token.to_token_stream(),
        Ok(Item::Impl(item)) => item.impl_token.to_token_stream(),
        Ok(Item::Mod(item)) => item.mod_token.to_token_stream(),
        Ok(Item::Fn(_)) | Err(_) => return error,
        Ok(_) => item.into_iter().find(|token| matches!(token, TokenTree::Ident(_))).into_token_stream(),
    };
    Error::new_spanned(keyword, "only functions can be monitored; put the attribute on a function")
}
