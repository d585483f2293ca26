//! Carries the current process to work that a woven function starts on other threads and tasks, as far as the source shows it: to closures
//! and async blocks passed to `spawn` and similar functions, and to all closures of a function that creates a parallel iterator.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::visit_mut::{self, VisitMut};
use syn::{Block, Expr, ExprCall, ExprClosure, ExprMethodCall, Item, Macro, Path, Token, parse_quote};

/// Functions and methods of std, rayon, crossbeam and tokio that call their argument once, possibly on another thread,
/// and may return before it has ended.
const HANDING: [&str; 7] = ["spawn", "spawn_blocking", "spawn_local", "spawn_on", "spawn_fifo", "spawn_unchecked", "spawn_pinned"];
/// Functions and methods that wait for their argument to end, or that are called within another function of this list.
const WAITING: [&str; 6] = ["spawn_scoped", "scope", "scope_fifo", "in_place_scope", "join", "install"];
/// Modules whose `spawn` accepts a future.
const OF_FUTURES: [&str; 6] = ["tokio", "task", "async_std", "smol", "actix_rt", "async_global_executor"];

/// Macros of std whose arguments are expressions.
const OF_EXPRESSIONS: [&str; 13] =
    ["assert", "assert_eq", "assert_ne", "dbg", "eprint", "eprintln", "format", "panic", "print", "println", "vec", "write", "writeln"];

/// Returns the statements of a body with the context added to the work that they start elsewhere. Returns them unchanged if there is none.
///
/// `may_lend`: the function returns when its body ends, and its return value can't hold a closure of its body.
pub(crate) fn carry(statements: &TokenStream, private: &TokenStream, may_lend: bool) -> TokenStream {
    let mut words = Words::default();
    words.look(statements.clone());
    if !words.is_handing && !words.is_parallel {
        return statements.clone();
    }
    let Ok(mut parsed) = Block::parse_within.parse2(statements.clone()) else { return statements.clone() };
    let mut visitor = Carrier { private, is_parallel: words.is_parallel, is_needed: false, scopes: 0, may_outlive: !may_lend };
    for statement in &mut parsed {
        visitor.visit_stmt_mut(statement);
    }
    if !visitor.is_needed {
        return statements.clone();
    }
    let carried = carried();
    if visitor.may_outlive {
        quote!(let #carried = #private::Carried::here(); #(#parsed)*)
    } else {
        let lender = Ident::new("lender", Span::mixed_site());
        quote!(let #lender = #private::Carried::lender(); let #carried = #lender.carried(); #(#parsed)*)
    }
}

fn carried() -> Ident {
    Ident::new("carried", Span::mixed_site())
}

/// Results of a search for identifiers in a body, which decide if the body is parsed.
#[derive(Default)]
struct Words {
    is_handing: bool,
    is_parallel: bool,
}

impl Words {
    fn look(&mut self, tokens: TokenStream) {
        for token in tokens {
            match token {
                TokenTree::Ident(word) => {
                    let word = word.to_string();
                    self.is_handing |= HANDING.contains(&word.as_str()) || WAITING.contains(&word.as_str());
                    self.is_parallel |= word.starts_with("par_") || word.starts_with("into_par_");
                }
                TokenTree::Group(group) => self.look(group.stream()),
                _ => {}
            }
        }
    }
}

struct Carrier<'a> {
    private: &'a TokenStream,
    is_parallel: bool,
    is_needed: bool,
    /// Number of waiting calls around the visited expression.
    scopes: usize,
    /// True if a closure may be called after the end of the function.
    may_outlive: bool,
}

impl Carrier<'_> {
    /// Handles the arguments of a call. `waits`: the call returns after everything passed to it has ended.
    fn hand(&mut self, arguments: &mut Punctuated<Expr, Token![,]>, is_future: bool, waits: bool) {
        self.may_outlive |= !waits;
        self.scopes += usize::from(waits);
        self.hand_each(arguments, is_future);
        self.scopes -= usize::from(waits);
    }

    fn hand_each(&mut self, arguments: &mut Punctuated<Expr, Token![,]>, is_future: bool) {
        let (private, carried) = (self.private, carried());
        for argument in arguments {
            match argument {
                Expr::Closure(closure) if closure.asyncness.is_none() => {
                    visit_mut::visit_expr_closure_mut(self, closure);
                    // Moved into the closure, so that the closure borrows nothing that may be dropped first.
                    let own = Ident::new("handed", Span::mixed_site());
                    enter(closure, &quote!(#own.enter()), private);
                    *argument = parse_quote!({ let #own = #carried.once(); #closure });
                    self.is_needed = true;
                }
                Expr::Async(_) => {
                    visit_mut::visit_expr_mut(self, argument);
                    *argument = parse_quote!(#private::InCurrent::in_current(#argument));
                    self.is_needed = true;
                }
                other => {
                    visit_mut::visit_expr_mut(self, other);
                    if is_future {
                        *other = parse_quote!(#private::InCurrent::in_current(#other));
                        self.is_needed = true;
                    }
                }
            }
        }
    }
}

/// Adds a guard at the beginning of a closure's body.
fn enter(closure: &mut ExprClosure, guard: &TokenStream, private: &TokenStream) {
    let current = Ident::new("_current", Span::mixed_site());
    let body = closure.body.to_token_stream();
    *closure.body = parse_quote!({ let #current: #private::Entered = #guard; #body });
}

impl VisitMut for Carrier<'_> {
    fn visit_expr_call_mut(&mut self, call: &mut ExprCall) {
        let Expr::Path(path) = &*call.func else { return visit_mut::visit_expr_call_mut(self, call) };
        let Some(name) = path.path.segments.last().map(|last| last.ident.clone()) else { return };
        if !is_of_type(&path.path) && (is_one_of(&name, &HANDING) || is_one_of(&name, &WAITING)) {
            let is_future = call.args.len() == 1 && takes_future(&path.path);
            self.hand(&mut call.args, is_future, is_one_of(&name, &WAITING));
        } else {
            visit_mut::visit_expr_call_mut(self, call);
        }
    }

    fn visit_expr_method_call_mut(&mut self, call: &mut ExprMethodCall) {
        self.visit_expr_mut(&mut call.receiver);
        let waits = is_one_of(&call.method, &WAITING);
        if waits || is_one_of(&call.method, &HANDING) {
            // Work that is spawned by a method inside a scope ends before the scope returns.
            self.hand(&mut call.args, false, waits || self.scopes > 0);
        } else {
            for argument in &mut call.args {
                self.visit_expr_mut(argument);
            }
        }
    }

    fn visit_expr_closure_mut(&mut self, closure: &mut ExprClosure) {
        visit_mut::visit_expr_closure_mut(self, closure);
        if self.is_parallel && closure.asyncness.is_none() {
            let carried = carried();
            enter(closure, &quote!(#carried.enter()), self.private);
            self.is_needed = true;
        }
    }

    fn visit_macro_mut(&mut self, call: &mut Macro) {
        if !call.path.segments.last().is_some_and(|last| OF_EXPRESSIONS.iter().any(|name| last.ident == name)) {
            return;
        }
        let parsed = Punctuated::<Expr, Token![,]>::parse_terminated.parse2(call.tokens.clone());
        if let Ok(mut arguments) = parsed {
            for argument in &mut arguments {
                self.visit_expr_mut(argument);
            }
            call.tokens = arguments.into_token_stream();
        }
    }

    fn visit_item_mut(&mut self, _: &mut Item) {
        // Nested functions are separate functions.
    }
}

fn is_one_of(ident: &Ident, names: &[&str]) -> bool {
    names.iter().any(|name| ident == name)
}

/// Returns true for an associated function of a type, such as `Type::spawn`. The functions of these crates are not associated functions,
/// and an associated function may call a closure more than once.
fn is_of_type(path: &Path) -> bool {
    path.segments.iter().rev().nth(1).is_some_and(|of| of.ident.to_string().starts_with(char::is_uppercase))
}

fn takes_future(path: &Path) -> bool {
    let is_spawn = path.segments.last().is_some_and(|last| last.ident == "spawn" || last.ident == "spawn_local");
    is_spawn && path.segments.iter().rev().nth(1).is_some_and(|of| OF_FUTURES.iter().any(|name| of.ident == name))
}
