//! Finds functions that call themselves, directly or through other functions of their crate. Calls are matched by name only.
//!
//! A false positive does no harm: the woven code determines at run time if a call is nested in another call of the same function.

use std::collections::{BTreeSet, HashMap};

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::visit::{self, Visit};
use syn::{Block, Expr, ExprCall, ExprMethodCall, ExprPath, Macro};

use super::SourceFile;

/// A function that is called, or passed on as a value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Callee {
    /// `name`, `module::name`
    Free(String),
    /// `value.name()`
    Method(String),
    /// `Type::name`, `Self::name`
    Of(String, String),
    /// A function or a method, if the source does not show which.
    Any(String),
}

/// Returns all names in a body that may be callees.
pub(super) fn callees(body: &Block) -> Vec<Callee> {
    let mut found = Found::default();
    found.visit_block(body);
    found.0.into_iter().collect()
}

#[derive(Default)]
struct Found(BTreeSet<Callee>);

impl<'ast> Visit<'ast> for Found {
    fn visit_expr_path(&mut self, path: &'ast ExprPath) {
        let mut segments = path.path.segments.iter().rev().map(|segment| segment.ident.unraw().to_string());
        let (Some(name), qualifier) = (segments.next(), segments.next()) else { return };
        self.0.insert(match qualifier {
            _ if path.qself.is_some() => Callee::Any(name),
            Some(of) if of.starts_with(char::is_uppercase) => Callee::Of(of, name),
            _ => Callee::Free(name),
        });
        visit::visit_expr_path(self, path);
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        self.0.insert(Callee::Method(call.method.unraw().to_string()));
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        // `(self.field)(…)` calls a value and not a function with the field's name.
        if !matches!(&*call.func, Expr::Field(_)) {
            self.visit_expr(&call.func);
        }
        for argument in &call.args {
            self.visit_expr(argument);
        }
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        self.tokens(call.tokens.clone());
    }
}

impl Found {
    /// Adds names before parentheses in the arguments of a macro, which can't be parsed here.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut before = None;
        for token in tokens {
            if let TokenTree::Group(group) = &token {
                if let (Delimiter::Parenthesis, Some(name)) = (group.delimiter(), before.take()) {
                    self.0.insert(Callee::Any(name));
                }
                self.tokens(group.stream());
            }
            before = if let TokenTree::Ident(name) = &token { Some(name.unraw().to_string()) } else { None };
        }
    }
}

/// Marks the functions of a crate that call themselves.
pub(super) fn mark(files: &mut [SourceFile]) {
    let mut functions: Vec<_> = files.iter_mut().flat_map(|file| &mut file.functions).collect();
    let mut by_name = HashMap::<&str, Vec<usize>>::new();
    for (index, function) in functions.iter().enumerate() {
        by_name.entry(function.name()).or_default().push(index);
    }
    let none = Vec::new();
    let called = |function: &super::Function, callee: &Callee| -> Vec<usize> {
        let (Callee::Free(name) | Callee::Method(name) | Callee::Of(_, name) | Callee::Any(name)) = callee;
        let named = by_name.get(name.as_str()).unwrap_or(&none);
        let of = |is_meant: &dyn Fn(Option<&str>) -> bool| {
            named.iter().copied().filter(|index| is_meant(functions[*index].of_type())).collect::<Vec<_>>()
        };
        match callee {
            Callee::Free(_) => of(&|found| found.is_none()),
            Callee::Method(_) => of(&|found| found.is_some()),
            Callee::Any(_) => named.clone(),
            Callee::Of(wanted, _) => {
                let wanted = if wanted == "Self" { function.of_type() } else { Some(wanted.as_str()) };
                let exactly = of(&|found| found == wanted);
                // The qualifier is a trait or a type parameter.
                if exactly.is_empty() { of(&|found| found.is_some()) } else { exactly }
            }
        }
    };
    let calls: Vec<Vec<usize>> =
        functions.iter().map(|function| function.callees.iter().flat_map(|callee| called(function, callee)).collect()).collect();
    for (function, is_recursive) in functions.iter_mut().zip(in_circles(&calls)) {
        function.is_recursive = is_recursive;
    }
}

/// For each node of a graph, computes if it lies on a cycle (Kosaraju's algorithm for strongly connected components).
fn in_circles(edges: &[Vec<usize>]) -> Vec<bool> {
    let mut back = vec![Vec::new(); edges.len()];
    for (from, to) in edges.iter().enumerate().flat_map(|(from, all)| all.iter().map(move |to| (from, *to))) {
        back[to].push(from);
    }
    let mut seen = vec![false; edges.len()];
    let mut order = Vec::new();
    for start in 0..edges.len() {
        walk(edges, start, &mut seen, &mut order);
    }
    // In the reversed graph, in reverse order of completion, each walk finds one strongly connected component.
    let (mut seen, mut result) = (vec![false; edges.len()], vec![false; edges.len()]);
    for start in order.into_iter().rev() {
        let mut found = Vec::new();
        walk(&back, start, &mut seen, &mut found);
        let is_circle = found.len() > 1 || edges[start].contains(&start);
        for node in found {
            result[node] = is_circle;
        }
    }
    result
}

/// Adds the unseen nodes that can be reached from `start`, in the order of completion.
fn walk(edges: &[Vec<usize>], start: usize, seen: &mut [bool], left: &mut Vec<usize>) {
    if std::mem::replace(&mut seen[start], true) {
        return;
    }
    let mut way = vec![(start, 0)];
    while let Some((node, next)) = way.last_mut() {
        if let Some(to) = edges[*node].get(*next) {
            *next += 1;
            if !std::mem::replace(&mut seen[*to], true) {
                way.push((*to, 0));
            }
        } else {
            left.push(*node);
            way.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::read_text;

    /// Asserts which functions of a text call themselves.
    fn check(text: &str, expected: &[&str]) {
        let files = read_text(text);
        let found: Vec<_> =
            files[0].functions.iter().filter(|function| function.is_recursive).map(|function| &function.path[3..]).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn a_function_that_calls_itself_is_found() {
        check("fn a(n: u8) { a(n - 1) }\nfn b() { a(1) }", &["a"]);
        check("fn a() { b() }\nfn b() { c() }\nfn c() { m::a() }\nfn d() { a() }", &["a", "b", "c"]);
        check("fn a(n: &[u8]) { n.iter().for_each(a) }", &["a"]);
        check("fn a() { println!(\"{}\", b(1)) }\nfn b(_: u8) { a() }", &["a", "b"]);
        check("fn a() { let f = || a(); f() }", &["a"]);
    }

    #[test]
    fn methods_are_distinguished_by_the_names_of_their_types() {
        check("impl A { fn run(&self) { Self::go() }\nfn go() { B::run() } }\nimpl B { fn run() {} }", &[]);
        check("impl A { fn run(&self) { self.0.run() } }", &["A::run"]);
        check("trait T { fn run(&self) { Self::run(self) } }\nfn run() {}", &["T::run"]);
        check("impl A { fn run(&self) { run() } }\nfn run() {}", &[]);
        check("fn a<V: T>(v: V) { V::go(v) }\nimpl T for B { fn go(self) { a(self) } }", &["a", "B::go"]);
    }
}
