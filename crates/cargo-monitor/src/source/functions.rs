//! Finds the functions of a source file, and the modules that are in other files.

use proc_macro2::Span;
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, Block, FnArg, ImplItemFn, Item, ItemFn, ItemImpl, ItemMod, ItemTrait, Meta, Pat, Signature, TraitItemFn, Type};

use super::tokens::Tokens;
use super::worth::{is_convention, is_for_tests, is_test, is_trivial};
use super::{Function, LeftOut, Obstacle, recursion};

/// Our own attributes.
const OURS: [&str; 5] = ["normal_task", "root_task", "cross_thread", "cross_process", "woven"];
/// Traits and attributes that mark code on which the recorder itself depends.
const BENEATH: [&str; 5] = ["GlobalAlloc", "Allocator", "panic_handler", "alloc_error_handler", "ctor"];

/// Visitor that collects functions and modules in other files.
pub(super) struct Finder<'a> {
    pub(super) tokens: &'a Tokens,
    pub(super) text: &'a str,
    /// Number of bytes before the parsed part of the text.
    pub(super) offset: usize,
    pub(super) path: Vec<String>,
    pub(super) functions: Vec<Function>,
    /// Each `mod name;`, with the inline modules around it.
    pub(super) outside: Vec<(Vec<ItemMod>, ItemMod)>,
    pub(super) inline: Vec<ItemMod>,
    pub(super) is_beneath: bool,
    pub(super) is_convention: bool,
    /// True if the current code is compiled only for tests.
    pub(super) is_for_tests: bool,
}

impl Finder<'_> {
    fn function(&mut self, attrs: &[Attribute], signature: &Signature, body: &Block, whole: Span) {
        let start = attrs.iter().map(|attr| attr.span().byte_range().start).fold(whole.byte_range().start, usize::min);
        let first_line = attrs.iter().map(|attr| attr.span().start().line).fold(whole.start().line, usize::min);
        let body_line = body.stmts.first().map_or(body.span().end().line, |statement| statement.span().start().line);
        // A line without any part of the body may move, because no recorded position refers to its columns.
        let of_its_own = (first_line < body_line).then_some(start);
        let place = self.tokens.place_before(start, &self.text[self.offset..]).or(of_its_own);
        let name = signature.ident.unraw().to_string();
        let body_lines = (body.span().end().line + 1).saturating_sub(body.span().start().line);
        let obstacle = if signature.constness.is_some() {
            Some(Obstacle::Const)
        } else if attrs.iter().any(|attr| names(attr, &["naked"])) {
            Some(Obstacle::Naked)
        } else if signature.variadic.is_some() {
            Some(Obstacle::Variadic)
        } else if attrs.iter().any(|attr| names(attr, &OURS)) {
            Some(Obstacle::Attributed)
        } else if self.is_beneath || attrs.iter().any(|attr| names(attr, &BENEATH)) {
            Some(Obstacle::Beneath)
        } else if place.is_none() {
            Some(Obstacle::OneLine)
        } else {
            None
        };
        let is_test = is_test(attrs);
        let is_main = self.path.len() == 1 && name == "main";
        let left_out = if is_test || is_main {
            None
        } else if self.is_for_tests || is_for_tests(attrs) {
            Some(LeftOut::TestHelper)
        } else if self.is_convention {
            Some(LeftOut::Convention)
        } else if is_trivial(body) {
            Some(LeftOut::Trivial)
        } else {
            None
        };
        self.path.push(name);
        // The parsed text begins in the line that contains the offset.
        let before = self.text[..self.offset].matches('\n').count();
        self.functions.push(Function {
            path: self.path.join("::"),
            line: before + signature.ident.span().start().line,
            lines: (before + first_line, before + whole.end().line),
            body_lines,
            parameters: signature.inputs.iter().filter_map(parameter).collect(),
            is_async: signature.asyncness.is_some(),
            place: place.unwrap_or(0) + self.offset,
            obstacle,
            left_out,
            is_test,
            callees: recursion::callees(body),
            is_recursive: false,
        });
        visit::visit_block(self, body);
        self.path.pop();
    }

    fn within(&mut self, name: String, attrs: &[Attribute], visit: impl FnOnce(&mut Self)) {
        let before = (self.is_beneath, self.is_convention, self.is_for_tests);
        self.is_for_tests |= is_for_tests(attrs);
        self.path.push(name);
        visit(self);
        self.path.pop();
        (self.is_beneath, self.is_convention, self.is_for_tests) = before;
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        self.function(&item.attrs, &item.sig, &item.block, item.span());
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        self.function(&item.attrs, &item.sig, &item.block, item.span());
    }

    fn visit_trait_item_fn(&mut self, item: &'ast TraitItemFn) {
        if let Some(body) = &item.default {
            self.function(&item.attrs, &item.sig, body, item.span());
        }
    }

    fn visit_item_impl(&mut self, item: &'ast ItemImpl) {
        let of = item.trait_.as_ref().and_then(|(path, _)| path.segments.last());
        let is_beneath = of.is_some_and(|last| BENEATH.iter().any(|name| last.ident == name));
        self.within(type_name(&item.self_ty), &item.attrs, |finder| {
            finder.is_beneath |= is_beneath;
            finder.is_convention |= is_convention(item);
            visit::visit_item_impl(finder, item);
        });
    }

    fn visit_item_trait(&mut self, item: &'ast ItemTrait) {
        self.within(item.ident.unraw().to_string(), &item.attrs, |finder| visit::visit_item_trait(finder, item));
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if item.content.is_none() {
            self.outside.push((self.inline.clone(), item.clone()));
            return;
        }
        self.inline.push(ItemMod { content: None, ..item.clone() });
        self.within(item.ident.unraw().to_string(), &item.attrs, |finder| visit::visit_item_mod(finder, item));
        self.inline.pop();
    }

    fn visit_item(&mut self, item: &'ast Item) {
        // Code that the compiler evaluates is not instrumented.
        if !matches!(item, Item::Const(_) | Item::Static(_) | Item::Macro(_)) {
            visit::visit_item(self, item);
        }
    }
}

/// Returns true if the last segment of the attribute's path is one of `known`; also within `cfg_attr` and `unsafe`.
pub(super) fn names(attr: &Attribute, known: &[&str]) -> bool {
    if let Meta::List(list) = &attr.meta
        && (attr.path().is_ident("cfg_attr") || attr.path().is_ident("unsafe"))
    {
        return list.tokens.clone().into_iter().any(|token| known.contains(&token.to_string().as_str()));
    }
    attr.path().segments.last().is_some_and(|last| known.iter().any(|name| last.ident == name))
}

fn parameter(argument: &FnArg) -> Option<String> {
    match argument {
        FnArg::Typed(typed) => match &*typed.pat {
            Pat::Ident(pattern) => Some(pattern.ident.unraw().to_string()),
            _ => None,
        },
        FnArg::Receiver(_) => None,
    }
}

/// Returns the short name of a type, as it is written in paths.
fn type_name(of: &Type) -> String {
    match of {
        Type::Path(path) => path.path.segments.last().map_or_else(String::new, |last| last.ident.unraw().to_string()),
        Type::Reference(reference) => type_name(&reference.elem),
        Type::Paren(paren) => type_name(&paren.elem),
        Type::Group(group) => type_name(&group.elem),
        Type::Slice(slice) => format!("[{}]", type_name(&slice.elem)),
        Type::Array(array) => format!("[{}]", type_name(&array.elem)),
        Type::TraitObject(object) => object.bounds.first().map_or_else(String::new, |bound| match bound {
            syn::TypeParamBound::Trait(bound) => bound.path.segments.last().map_or_else(String::new, |last| last.ident.to_string()),
            _ => String::new(),
        }),
        Type::Tuple(_) => "()".to_owned(),
        _ => "_".to_owned(),
    }
}
