//! What stands in the brackets of an attribute: `"name"`, `"name", "parameter"`, `name = …`, `batch = …`, `crate = …`.

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::{Error, LitStr, Path, Result, Token, parse_quote};

use crate::mistakes::Mistakes;
use crate::plan::Kind;

const FORMS: &str = "write `\"name\"`, `name = \"…\"`, `batch = \"parameter\"` or `crate = path`";

#[derive(Default)]
pub(crate) struct Args {
    pub(crate) name: Option<LitStr>,
    pub(crate) batch: Option<Batch>,
    pub(crate) client: Option<Path>,
    /// Written by `cargo monitor`.
    pub(crate) is_woven: bool,
    /// No closure around the body, though a returned `Err` is not seen then.
    pub(crate) is_guarded: bool,
    /// The function calls itself, and of its calls within each other only the outermost one is recorded.
    pub(crate) is_outermost: bool,
}

/// The parameter that marks the batch, as it was written: `"parameter"` or `parameter`.
pub(crate) enum Batch {
    Text(LitStr),
    Ident(Ident),
}

impl Args {
    /// Reads what `cargo monitor` writes: a kind, `guard` and `outermost` where needed, and then as below.
    pub(crate) fn parse_woven(tokens: TokenStream, mistakes: &mut Mistakes) -> (Kind, Self) {
        let mut pieces = split_at_commas(tokens).into_iter().peekable();
        let word = |piece: &TokenStream| syn::parse2::<Ident>(piece.clone()).ok().map(|word| word.to_string());
        let kind = pieces.next_if(|piece| word(piece).is_some()).and_then(|piece| Kind::of(&word(&piece)?)).unwrap_or(Kind::Normal);
        let mut is = |name: &str| pieces.next_if(|piece| word(piece).as_deref() == Some(name)).is_some();
        let (is_guarded, is_outermost) = (is("guard"), is("outermost"));
        let mut args = Self::read(pieces, mistakes);
        (args.is_woven, args.is_guarded, args.is_outermost) = (true, is_guarded, is_outermost);
        // The names of the macro's own crate: in edition 2015 the user's would not be found.
        args.client = Some(args.client.unwrap_or_else(|| parse_quote!(::monitor_woven)));
        (kind, args)
    }

    /// Reads what can be read; the rest are mistakes.
    pub(crate) fn parse(tokens: TokenStream, mistakes: &mut Mistakes) -> Self {
        Self::read(split_at_commas(tokens), mistakes)
    }

    fn read(pieces: impl IntoIterator<Item = TokenStream>, mistakes: &mut Mistakes) -> Self {
        let mut args = Args::default();
        let mut position = 0;
        for piece in pieces {
            let read = Arg::parse.parse2(piece).and_then(|arg| match arg {
                Arg::Positional(literal) => {
                    position += 1;
                    args.take_positional(position, literal)
                }
                Arg::Named(key, value) => args.take_named(&key, value),
            });
            if let Err(error) = read {
                mistakes.add(error);
            }
        }
        args
    }

    fn take_positional(&mut self, position: usize, literal: LitStr) -> Result<()> {
        match position {
            1 => set(&mut self.name, "name", literal.clone(), literal),
            2 => set(&mut self.batch, "batch", literal.clone(), Batch::Text(literal)),
            _ => Err(Error::new_spanned(literal, "there are only two: the name and the parameter that marks the batch")),
        }
    }

    fn take_named(&mut self, key: &Ident, value: TokenStream) -> Result<()> {
        let found = key.to_string();
        match found.as_str() {
            "name" => set(&mut self.name, "name", key, parse_value(key, value, "a string: `name = \"…\"`")?),
            "batch" => set(&mut self.batch, "batch", key, parse_value(key, value, "a parameter: `batch = \"parameter\"`")?),
            "crate" => set(&mut self.client, "crate", key, parse_value(key, value, "a path: `crate = ::monitor_client`")?),
            _ => Err(Error::new_spanned(key, format!("there is no option `{found}`; {FORMS}"))),
        }
    }
}

impl Batch {
    pub(crate) fn parameter(&self) -> String {
        match self {
            Batch::Text(literal) => literal.value().trim_start_matches("r#").to_owned(),
            Batch::Ident(ident) => ident.unraw().to_string(),
        }
    }
}

impl Parse for Batch {
    fn parse(input: ParseStream) -> Result<Self> {
        if input.peek(LitStr) { input.parse().map(Batch::Text) } else { input.parse().map(Batch::Ident) }
    }
}

impl ToTokens for Batch {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        match self {
            Batch::Text(literal) => literal.to_tokens(tokens),
            Batch::Ident(ident) => ident.to_tokens(tokens),
        }
    }
}

/// One of the arguments, its value not looked at yet.
enum Arg {
    Positional(LitStr),
    Named(Ident, TokenStream),
}

impl Arg {
    fn parse(input: ParseStream) -> Result<Self> {
        if input.peek(LitStr) {
            let literal = input.parse()?;
            return if input.is_empty() { Ok(Arg::Positional(literal)) } else { Err(input.error("expected a comma before this")) };
        }
        if input.peek(Ident::peek_any) {
            let key = input.call(Ident::parse_any)?;
            return match input.parse::<Token![=]>() {
                Ok(_) => Ok(Arg::Named(key, input.parse()?)),
                Err(_) => Err(Error::new_spanned(&key, format!("`{key}` stands alone here; {FORMS}"))),
            };
        }
        let tokens: TokenStream = input.parse()?;
        Err(Error::new_spanned(tokens, format!("not understood; {FORMS}")))
    }
}

fn parse_value<T: Parse>(key: &Ident, value: TokenStream, expected: &str) -> Result<T> {
    let place = if value.is_empty() { key.to_token_stream() } else { value.clone() };
    syn::parse2(value).map_err(|_| Error::new_spanned(place, format!("`{key}` wants {expected}")))
}

fn set<T>(option: &mut Option<T>, key: &str, place: impl ToTokens, value: T) -> Result<()> {
    if option.is_some() {
        return Err(Error::new_spanned(place, format!("the {key} is given twice; leave one of them out")));
    }
    *option = Some(value);
    Ok(())
}

/// Splits at the commas, so that a mistake in one argument doesn't hide those of the others. A comma at the end is none.
fn split_at_commas(tokens: TokenStream) -> Vec<TokenStream> {
    let mut pieces = Vec::new();
    let mut piece = Vec::new();
    for token in tokens {
        match &token {
            TokenTree::Punct(comma) if comma.as_char() == ',' => {
                if piece.is_empty() {
                    // Nothing before it: the comma itself is what is not understood.
                    piece.push(token);
                }
                pieces.push(piece.drain(..).collect());
            }
            _ => piece.push(token),
        }
    }
    if !piece.is_empty() {
        pieces.push(piece.into_iter().collect());
    }
    pieces
}
