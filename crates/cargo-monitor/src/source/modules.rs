//! Reads all files of a crate by following `mod` from its root file.

use std::collections::HashSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use proc_macro2::TokenStream;
use syn::ext::IdentExt;
use syn::visit::Visit;
use syn::{Attribute, Expr, ExprLit, File, ItemMod, Lit, Meta};

use super::functions::Finder;
use super::tokens::Tokens;
use super::worth::is_for_tests;
use super::{SourceFile, recursion};

/// Reads all files of a crate whose root is `root`. `is_for_tests` is true if all of them are compiled for tests. The second value lists
/// files that can't be read or parsed, with the reason; they are skipped here, because the compiler reports such errors better.
pub(crate) fn read_crate(root: &Path, crate_name: &str, is_for_tests: bool) -> (Vec<SourceFile>, Vec<(PathBuf, String)>) {
    let mut reader = Reader { files: Vec::new(), unread: Vec::new(), seen: HashSet::new() };
    reader.read(&absolute(root), &[crate_name.to_owned()], true, is_for_tests);
    recursion::mark(&mut reader.files);
    (reader.files, reader.unread)
}

struct Reader {
    files: Vec<SourceFile>,
    unread: Vec<(PathBuf, String)>,
    seen: HashSet<PathBuf>,
}

impl Reader {
    /// Reads a file and its modules. `owns_folder` is true if submodules are in the file's own folder, as for a crate root or a `mod.rs`.
    fn read(&mut self, path: &Path, module: &[String], owns_folder: bool, is_tests: bool) {
        if !self.seen.insert(path.to_owned()) {
            return;
        }
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => return self.unread.push((path.to_owned(), error.to_string())),
        };
        let offset = preamble(&text);
        let parsed = text[offset..].parse::<TokenStream>().map_err(|error| error.to_string());
        let parsed =
            parsed.and_then(|tokens| Ok((Tokens::of(tokens.clone()), syn::parse2::<File>(tokens).map_err(|error| error.to_string())?)));
        let (tokens, file) = match parsed {
            Ok(parsed) => parsed,
            Err(why) => return self.unread.push((path.to_owned(), why)),
        };
        let mut finder = Finder {
            tokens: &tokens,
            text: &text,
            offset,
            path: module.to_vec(),
            functions: Vec::new(),
            outside: Vec::new(),
            inline: Vec::new(),
            is_beneath: false,
            is_convention: false,
            is_for_tests: is_tests,
        };
        finder.visit_file(&file);
        let (functions, outside) = (finder.functions, finder.outside);
        self.files.push(SourceFile { path: path.to_owned(), text, functions });
        let folder = path.parent().unwrap_or(Path::new("/"));
        let stem = path.file_stem().unwrap_or_default();
        for (around, item) in outside {
            let mut below = if owns_folder { folder.to_owned() } else { folder.join(stem) };
            // Within inline modules, a `path` attribute is relative to the folder of those modules.
            for inline in &around {
                below = paths(&inline.attrs).into_iter().next().map_or_else(|| below.join(name(inline)), |path| below.join(path));
            }
            let mut named = module.to_vec();
            named.extend(around.iter().chain([&item]).map(name));
            let from = if around.is_empty() { folder.to_owned() } else { below.clone() };
            let is_tests = is_tests || around.iter().chain([&item]).any(|of| is_for_tests(&of.attrs));
            let told = paths(&item.attrs);
            for path in &told {
                self.read(&absolute(&from.join(path)), &named, true, is_tests);
            }
            // A `path` within `cfg_attr` may not apply, so the default places are tried, too.
            let is_certain = item.attrs.iter().any(|attr| attr.path().is_ident("path"));
            let beside = below.join(format!("{}.rs", name(&item)));
            let inside = below.join(name(&item)).join("mod.rs");
            if is_certain {
            } else if beside.is_file() {
                self.read(&absolute(&beside), &named, false, is_tests);
            } else if inside.is_file() {
                self.read(&absolute(&inside), &named, true, is_tests);
            }
        }
    }
}

fn name(item: &ItemMod) -> String {
    item.ident.unraw().to_string()
}

/// Returns the values of `#[path = "…"]`, also within `cfg_attr`.
fn paths(attrs: &[Attribute]) -> Vec<String> {
    let mut found = Vec::new();
    for attr in attrs {
        let nested: Vec<Meta> = if attr.path().is_ident("cfg_attr") {
            let list = attr.parse_args_with(syn::punctuated::Punctuated::<Meta, syn::Token![,]>::parse_terminated);
            list.map_or_else(|_| Vec::new(), |list| list.into_iter().skip(1).collect())
        } else {
            vec![attr.meta.clone()]
        };
        for meta in nested {
            if let Meta::NameValue(value) = &meta
                && value.path.is_ident("path")
                && let Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) = &value.value
            {
                found.push(text.value());
            }
        }
    }
    found
}

/// Returns the length of a byte order mark and a `#!` line, which are not tokens.
fn preamble(text: &str) -> usize {
    let mark = if text.starts_with('\u{feff}') { 3 } else { 0 };
    let rest = &text[mark..];
    let is_script = rest.starts_with("#!") && !rest[2..].trim_start().starts_with('[');
    // The line break stays in the parsed text, so that line numbers need only be shifted.
    mark + if is_script { rest.find('\n').unwrap_or(rest.len()) } else { 0 }
}

/// Returns an absolute path without `.` and `..`. Symbolic links are not resolved, as in the compiler.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                clean.pop();
            }
            Component::CurDir => {}
            other => clean.push(other),
        }
    }
    clean
}

/// Reads a crate named `a` with a single file.
#[cfg(test)]
pub(crate) fn read_text(text: &str) -> Vec<SourceFile> {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("lib.rs");
    fs::write(&root, text).expect("a file");
    let (files, unread) = read_crate(&root, "a", false);
    assert!(unread.is_empty(), "{unread:?}");
    files
}
