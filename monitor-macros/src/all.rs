//! `#[monitor_all]`: adds an attribute to every function of an inline module or an impl.

use proc_macro2::{Ident, TokenStream};
use quote::ToTokens;
use syn::parse::Parser;
use syn::{
    Attribute, Error, ImplItem, Item, ItemImpl, ItemMod, ItemTrait, LitStr, Path, Result, Signature, Token, TraitItem, Type, parse_quote,
};

use crate::args::split_at_commas;
use crate::mistakes::Mistakes;
use crate::plan::Kind;
use crate::told::{self, Key};

const FORMS: &str = "write `kind = normal`, `skip(new, len)`, `prefix = \"db\"` or `crate = path`";

#[derive(Default)]
struct Args {
    kind: Option<Kind>,
    skip: Vec<Key>,
    prefix: Option<LitStr>,
    client: Option<Path>,
}

impl Args {
    fn parse(tokens: TokenStream, mistakes: &mut Mistakes) -> Self {
        let mut args = Args::default();
        for piece in split_at_commas(tokens) {
            let parse = |input: syn::parse::ParseStream| args.take(input);
            if let Err(error) = parse.parse2(piece) {
                mistakes.add(error);
            }
        }
        args
    }

    fn take(&mut self, input: syn::parse::ParseStream) -> Result<()> {
        let key = input.call(<Ident as syn::ext::IdentExt>::parse_any)?;
        if key == "skip" {
            let list;
            syn::parenthesized!(list in input);
            self.skip.extend(told::masks(list.parse()?)?);
            return Ok(());
        }
        let known = ["kind", "prefix", "crate"].iter().any(|known| key == known);
        if !known || input.parse::<Token![=]>().is_err() {
            let _: TokenStream = input.parse()?;
            return Err(Error::new_spanned(&key, format!("`{key}` is not understood here; {FORMS}")));
        }
        if key == "prefix" {
            self.prefix = Some(input.parse()?);
        } else if key == "crate" {
            self.client = Some(input.parse()?);
        } else {
            let word: Ident = input.parse()?;
            let kind = Kind::of(&word.to_string()).filter(|kind| *kind != Kind::CrossProcess);
            self.kind = Some(kind.ok_or_else(|| {
                Error::new_spanned(
                    &word,
                    "the kind is `normal`, `root` or `cross_thread`; a cross_process function has an attribute of its own",
                )
            })?);
        }
        Ok(())
    }
}

/// Adds an attribute to each function that can be monitored.
pub(crate) fn expand(args: TokenStream, item: TokenStream, mistakes: &mut Mistakes) -> TokenStream {
    let args = Args::parse(args, mistakes);
    let mut all = All { is_skipped: vec![false; args.skip.len()], args };
    let monitored = match syn::parse2(item.clone()) {
        Ok(Item::Impl(mut item)) => {
            all.implementation(&mut item);
            item.into_token_stream()
        }
        Ok(Item::Mod(ItemMod { content: None, semi, .. })) => {
            mistakes.push(semi, "the functions of a module in a file of its own can't be seen from here; put `#[monitor_all]` on an inline module or an impl");
            return item;
        }
        Ok(Item::Mod(mut item)) => {
            for item in item.content.iter_mut().flat_map(|(_, items)| items) {
                all.item(item);
            }
            item.into_token_stream()
        }
        Ok(other) => {
            let first = other.into_token_stream().into_iter().next();
            mistakes.push(first, "`#[monitor_all]` stands on an inline module or an impl");
            return item;
        }
        Err(error) => {
            mistakes.add(error);
            return item;
        }
    };
    for (skip, is_skipped) in all.args.skip.iter().zip(&all.is_skipped) {
        if !is_skipped {
            mistakes.push(&skip.place, format!("there is no function `{}` here that could be skipped", skip.text));
        }
    }
    if mistakes.is_empty() { monitored } else { item }
}

struct All {
    args: Args,
    /// For each entry of `skip`, true if a function with this name was found.
    is_skipped: Vec<bool>,
}

impl All {
    fn item(&mut self, item: &mut Item) {
        match item {
            Item::Fn(function) => self.function(&mut function.attrs, &function.sig, None),
            Item::Impl(item) if !is_monitored(&item.attrs) => self.implementation(item),
            Item::Trait(ItemTrait { ident, items, .. }) => {
                let name = ident.to_string();
                for item in items {
                    if let TraitItem::Fn(function) = item
                        && function.default.is_some()
                    {
                        self.function(&mut function.attrs, &function.sig, Some(&name));
                    }
                }
            }
            _ => {}
        }
    }

    fn implementation(&mut self, item: &mut ItemImpl) {
        let name = type_name(&item.self_ty);
        for item in &mut item.items {
            if let ImplItem::Fn(function) = item {
                self.function(&mut function.attrs, &function.sig, Some(&name));
            }
        }
    }

    fn function(&mut self, attrs: &mut Vec<Attribute>, sig: &Signature, of: Option<&str>) {
        let name = sig.ident.to_string();
        let name = name.trim_start_matches("r#");
        let full = of.map_or_else(|| name.to_owned(), |of| format!("{of}::{name}"));
        for (skip, is_skipped) in self.args.skip.iter().zip(&mut self.is_skipped) {
            if skip.text == name || skip.text.replace('.', "::") == full {
                *is_skipped = true;
                return;
            }
        }
        if is_monitored(attrs) || sig.constness.is_some() || sig.variadic.is_some() {
            return;
        }
        let prefix = self.args.prefix.as_ref().map(|prefix| format!("{}::", prefix.value())).unwrap_or_default();
        // Braces in an attribute's name delimit values, so escape them.
        let name = LitStr::new(&format!("{prefix}{full}").replace('{', "{{").replace('}', "}}"), sig.ident.span());
        let client = self.args.client.clone().unwrap_or_else(|| parse_quote!(::monitor_client));
        let attribute = Ident::new(self.args.kind.unwrap_or(Kind::Normal).attribute(), sig.ident.span());
        attrs.push(parse_quote!(#[#client::#attribute(name = #name, crate = #client)]));
    }
}

/// Returns true if the item has one of our attributes itself.
fn is_monitored(attrs: &[Attribute]) -> bool {
    const OURS: [&str; 5] = ["normal_task", "root_task", "cross_thread", "cross_process", "monitor_all"];
    attrs.iter().any(|attr| attr.path().segments.last().is_some_and(|last| OURS.iter().any(|own| last.ident == own)))
}

/// Returns the last segment of a type's path, without generic arguments.
fn type_name(of: &Type) -> String {
    match of {
        Type::Path(path) => path.path.segments.last().map(|last| last.ident.to_string()).unwrap_or_default(),
        Type::Reference(reference) => type_name(&reference.elem),
        Type::Group(group) => type_name(&group.elem),
        Type::Paren(paren) => type_name(&paren.elem),
        other => other.to_token_stream().to_string().replace(' ', ""),
    }
}
