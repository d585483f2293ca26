//! The arguments of an attribute: `"name"`, `"name", "parameter"`, `name = …`, `batch = …`, `args(…)` and others.

use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::{Error, Expr, ExprPath, LitStr, Path, Result, Token, parse_quote};

use crate::mistakes::Mistakes;
use crate::plan::Kind;
use crate::told::{self, Key, Wanted};

const FORMS: &str = "write `\"name\"`, `name = \"…\"`, `batch = parameter`, `args(…)`, `fields(…)`, `mask(…)`, `ret`, `err = Debug`, \
                     `timeout = \"30s\"` or `crate = path`";

#[derive(Default)]
pub(crate) struct Args {
    pub(crate) name: Option<LitStr>,
    pub(crate) batch: Option<Batch>,
    pub(crate) client: Option<Path>,
    /// Values to record for each call.
    pub(crate) wanted: Vec<Wanted>,
    /// Keys of the values that must be masked.
    pub(crate) masks: Vec<Key>,
    /// The word `ret`, if the returned value must be recorded.
    pub(crate) ret: Option<Ident>,
    /// The word `Debug` of `err = Debug`.
    pub(crate) err: Option<Ident>,
    /// Time after which a call is overdue.
    pub(crate) timeout: Option<LitStr>,
    /// The word `begin`: without a caller, the function begins a tree.
    pub(crate) begin: Option<Ident>,
    /// True if `cargo monitor` has written the attribute.
    pub(crate) is_woven: bool,
    /// True if the body must not be wrapped in a closure. A returned `Err` is not seen then.
    pub(crate) is_guarded: bool,
    /// True if the function calls itself, and only the outermost of its nested calls is recorded.
    pub(crate) is_outermost: bool,
}

/// The value that marks the batch, as written: `"parameter"`, `parameter` or `parameter.id`.
pub(crate) enum Batch {
    Text(LitStr),
    Ident(Ident),
    Expr(Expr),
}

impl Args {
    /// Parses an attribute written by `cargo monitor`: a kind, `guard` and `outermost` where needed, then the usual arguments.
    pub(crate) fn parse_woven(tokens: TokenStream, mistakes: &mut Mistakes) -> (Kind, Self) {
        let mut pieces = split_at_commas(tokens).into_iter().peekable();
        let word = |piece: &TokenStream| syn::parse2::<Ident>(piece.clone()).ok().map(|word| word.to_string());
        let kind = pieces.next_if(|piece| word(piece).is_some()).and_then(|piece| Kind::of(&word(&piece)?)).unwrap_or(Kind::Normal);
        let mut is = |name: &str| pieces.next_if(|piece| word(piece).as_deref() == Some(name)).is_some();
        let (is_guarded, is_outermost) = (is("guard"), is("outermost"));
        let mut args = Self::read(pieces, mistakes);
        (args.is_woven, args.is_guarded, args.is_outermost) = (true, is_guarded, is_outermost);
        // The macro's spans resolve this path in the macro's edition; with spans of a user's crate of edition 2015 it would not be found.
        args.client = Some(args.client.unwrap_or_else(|| parse_quote!(::monitor_woven)));
        (kind, args)
    }

    /// Parses the arguments. Invalid arguments are added to `mistakes`.
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
                Arg::List(key, list) => args.take_list(&key, list),
                Arg::Word(key) => args.take_word(key),
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
            "batch" => {
                set(&mut self.batch, "batch", key, parse_value(key, value, "a parameter: `batch = \"parameter\"` or `batch = order.id`")?)
            }
            "err" => set(&mut self.err, "err", key, parse_value(key, value, "the word `Debug`: `err = Debug`").and_then(only_debug)?),
            "timeout" => set(&mut self.timeout, "timeout", key, parse_value(key, value, "a duration: `timeout = \"30s\"`")?),
            "crate" => set(&mut self.client, "crate", key, parse_value(key, value, "a path: `crate = ::monitor_client`")?),
            _ => Err(Error::new_spanned(key, format!("there is no option `{found}`; {FORMS}"))),
        }
    }
}

impl Args {
    fn take_list(&mut self, key: &Ident, list: TokenStream) -> Result<()> {
        match key.to_string().as_str() {
            "args" => self.wanted.extend(told::arguments(list)?),
            "fields" => self.wanted.extend(told::fields(list)?),
            "mask" => self.masks.extend(told::masks(list)?),
            found => return Err(Error::new_spanned(key, format!("there is no option `{found}(…)`; {FORMS}"))),
        }
        Ok(())
    }

    fn take_word(&mut self, key: Ident) -> Result<()> {
        match key.to_string().as_str() {
            "begin" => set(&mut self.begin, "begin", key.clone(), key),
            "ret" => set(&mut self.ret, "ret", key.clone(), key),
            "args" | "fields" | "mask" => Err(told::stands_alone(&key)),
            _ => Err(Error::new_spanned(&key, format!("`{key}` stands alone here; {FORMS}"))),
        }
    }
}

fn only_debug(word: Ident) -> Result<Ident> {
    if word == "Debug" { Ok(word) } else { Err(Error::new_spanned(word, "errors are told by their `Display`, or by `err = Debug`")) }
}

impl Batch {
    /// Returns the name of the parameter, if the value is a whole parameter.
    pub(crate) fn parameter(&self) -> Option<String> {
        match self {
            Batch::Text(literal) => Some(literal.value().trim_start_matches("r#").to_owned()),
            Batch::Ident(ident) => Some(ident.unraw().to_string()),
            Batch::Expr(_) => None,
        }
    }
}

impl Parse for Batch {
    fn parse(input: ParseStream) -> Result<Self> {
        Ok(match input.parse()? {
            Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(literal), .. }) => Batch::Text(literal),
            Expr::Path(ExprPath { path, .. }) if path.get_ident().is_some() => Batch::Ident(path.require_ident()?.clone()),
            expr if told::root(&expr).is_some() => Batch::Expr(expr),
            expr => return Err(Error::new_spanned(expr, "no parameter")),
        })
    }
}

impl ToTokens for Batch {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        match self {
            Batch::Text(literal) => literal.to_tokens(tokens),
            Batch::Ident(ident) => ident.to_tokens(tokens),
            Batch::Expr(expr) => expr.to_tokens(tokens),
        }
    }
}

/// An argument whose value is not parsed yet.
enum Arg {
    Positional(LitStr),
    Named(Ident, TokenStream),
    List(Ident, TokenStream),
    Word(Ident),
}

impl Arg {
    fn parse(input: ParseStream) -> Result<Self> {
        if input.peek(LitStr) {
            let literal = input.parse()?;
            return if input.is_empty() { Ok(Arg::Positional(literal)) } else { Err(input.error("expected a comma before this")) };
        }
        if input.peek(Ident::peek_any) {
            let key = input.call(Ident::parse_any)?;
            if input.parse::<Option<Token![=]>>()?.is_some() {
                return Ok(Arg::Named(key, input.parse()?));
            }
            if let Some(TokenTree::Group(group)) = input.fork().parse::<Option<TokenTree>>()?
                && group.delimiter() == Delimiter::Parenthesis
            {
                input.parse::<TokenTree>()?;
                return if input.is_empty() {
                    Ok(Arg::List(key, group.stream()))
                } else {
                    Err(input.error("expected a comma before this"))
                };
            }
            return if input.is_empty() {
                Ok(Arg::Word(key))
            } else {
                Err(Error::new_spanned(&key, format!("`{key}` stands alone here; {FORMS}")))
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

/// Splits the tokens at commas, so that a mistake in one argument doesn't hide mistakes in others. A trailing comma is allowed.
pub(crate) fn split_at_commas(tokens: TokenStream) -> Vec<TokenStream> {
    let mut pieces = Vec::new();
    let mut piece = Vec::new();
    for token in tokens {
        match &token {
            TokenTree::Punct(comma) if comma.as_char() == ',' => {
                if piece.is_empty() {
                    // A comma without an argument before it is reported as invalid.
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
