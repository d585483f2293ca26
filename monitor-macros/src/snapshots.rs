//! The code that the attributes generate: one file per shape in `tests/expand`, with the expected code next to it.
//! `UPDATE_EXPECT=1 cargo test -p monitor-macros --lib` writes the expected code.

use std::fs;
use std::path::Path;

use expect_test::expect_file;
use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::visit_mut::{self, VisitMut};
use syn::{Attribute, ImplItem, Item, Meta};

use crate::attribute;
use crate::plan::Kind;

#[test]
fn generated_code_matches_its_snapshots() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/expand");
    let names = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let shapes: Vec<String> =
        names.filter_map(|name| Some(name.strip_suffix(".rs")?.to_owned())).filter(|name| !name.contains('.')).collect();
    assert!(!shapes.is_empty());
    for shape in shapes {
        let source = fs::read_to_string(folder.join(format!("{shape}.rs"))).unwrap();
        expect_file![folder.join(format!("{shape}.expanded.rs"))].assert_eq(&expanded(&source));
    }
}

/// The formatted source with the attributes of its functions expanded.
fn expanded(source: &str) -> String {
    let mut file = syn::parse_file(source).unwrap();
    Expand.visit_file_mut(&mut file);
    // Parsed again, because the expanded functions are plain tokens.
    prettyplease::unparse(&syn::parse2(file.into_token_stream()).unwrap())
}

struct Expand;

impl VisitMut for Expand {
    fn visit_item_mut(&mut self, item: &mut Item) {
        if let Item::Fn(function) = item
            && let Some(expanded) =
                take_attribute(&mut function.attrs).map(|(kind, args)| attribute(kind, args, function.to_token_stream()))
        {
            *item = Item::Verbatim(expanded);
        }
        visit_mut::visit_item_mut(self, item);
    }

    fn visit_impl_item_mut(&mut self, item: &mut ImplItem) {
        if let ImplItem::Fn(function) = item
            && let Some(expanded) =
                take_attribute(&mut function.attrs).map(|(kind, args)| attribute(kind, args, function.to_token_stream()))
        {
            *item = ImplItem::Verbatim(expanded);
        }
    }
}

/// Removes our attribute from those of a function, and returns its kind and arguments.
fn take_attribute(attributes: &mut Vec<Attribute>) -> Option<(Kind, TokenStream)> {
    let (place, kind) = attributes.iter().enumerate().find_map(|(place, attribute)| Some((place, kind(attribute)?)))?;
    let args = match attributes.remove(place).meta {
        Meta::List(list) => list.tokens,
        _ => TokenStream::new(),
    };
    Some((kind, args))
}

fn kind(attribute: &Attribute) -> Option<Kind> {
    Some(match attribute.path().segments.last()?.ident.to_string().as_str() {
        "normal_task" => Kind::Normal,
        "root_task" => Kind::Root,
        "cross_thread" => Kind::CrossThread,
        "cross_process" => Kind::CrossProcess,
        _ => return None,
    })
}
