//! Generates the code for a plan.
//!
//! Generated names have `mixed_site` spans, so that they don't conflict with the user's names. All paths are absolute. The user's braces
//! stay around the user's statements, so that type errors point there.

use proc_macro2::{Ident, Literal, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Expr, Pat, Type, parse_quote};

use crate::carry::carry;
use crate::function::{Body, Function};
use crate::plan::{Kind, Mark, Parameter, Plan, Returns, Shape, can_fail};
use crate::telling::{borrowed, bound_names, telling};
use crate::told::root;

pub(crate) fn expand(plan: Plan) -> TokenStream {
    let start = start(&plan);
    let Plan { client, parameters, shape, carries, returns, mut function, .. } = plan;
    let private = quote!(#client::__private);
    if carries {
        let may_lend = match &shape {
            Shape::Sync { returned } | Shape::Woven { returned } => !may_hold_closures(returned),
            _ => false,
        };
        function.body.statements = carry(&function.body.statements, &private, may_lend);
    }
    let statements = match shape {
        Shape::Sync { returned } => sync(&private, &start, &parameters, &function.body, &returned, returns),
        Shape::Woven { returned } => woven(&private, &start, &parameters, &function.body, &returned),
        Shape::Guard => guard(&private, &start, &parameters, &function.body),
        Shape::Async { returned } => within_async(&private, &start, &parameters, &function.body, &returned, returns),
        Shape::AsyncAtCall { returned } => {
            let output = function.returned();
            let statements = at_call(&private, &start, &parameters, &function, &returned, returns);
            function.sig.asyncness = None;
            function.sig.output = parse_quote!(-> impl ::core::future::Future<Output = #output>);
            statements
        }
        Shape::Future { output } => future(&private, &start, &parameters, &function.body, &output, returns),
    };
    let Function { attrs, vis, defaultness, sig, body } = function;
    let block = braced(&body, &statements);
    quote!(#(#attrs)* #vis #defaultness #sig #block)
}

/// Code that starts a process: the statements before it, the arguments of the call that starts it, and the recording of values.
struct Start {
    before: Option<TokenStream>,
    arguments: TokenStream,
    /// Body of the closure that records values, which has one parameter.
    telling: Option<TokenStream>,
}

impl Start {
    /// Generates the statements that start the process by `enter` and record values. Returns them with the name of the process variable.
    fn begin(&self, private: &TokenStream, enter: &TokenStream) -> (TokenStream, Ident) {
        let Start { before, arguments, telling } = self;
        let (process, told) = (own("process"), own("told"));
        let begin = if let Some(telling) = telling {
            quote! {
                #before
                let mut #process = #private::#enter(#arguments);
                #private::tell(&mut #process, |#told| { #telling });
            }
        } else {
            quote! {
                #before
                let #process = #private::#enter(#arguments);
            }
        };
        (begin, process)
    }
}

fn start(plan: &Plan) -> Start {
    let client = &plan.client;
    let private = quote!(#client::__private);
    let (name, kind) = (&plan.name.literal, plan.kind.name());
    // Use the user's span.
    let at = plan.function.sig.ident.span();
    let line =
        if plan.is_woven { Literal::usize_unsuffixed(at.unwrap().line()).to_token_stream() } else { quote_spanned!(at=> ::core::line!()) };
    let from_parameters = match (plan.kind, &plan.batch) {
        (Kind::Root, Some(Mark::Parameter { outer, type_span })) => {
            // Use the parameter's span, so that the compiler points there if the type can't mark a batch.
            let mark = quote_spanned!(*type_span=> (&&&&&&Returned(&#outer)).mark());
            Some(quote!(Batch({ use #private::probe::*; #mark })))
        }
        (Kind::Root, Some(Mark::Expr(expr))) => {
            let (names, at) = (bound_names(&plan.parameters), expr.span());
            // A name bound by a pattern is a reference here. Its mark is the mark of the referenced value.
            let is_reference = matches!(expr, Expr::Path(_)) && root(expr).is_some_and(|root| root != "self");
            let value = if is_reference { expr.to_token_stream() } else { borrowed(expr) };
            let mark = quote_spanned!(at=> (&&&&&&Returned(#value)).mark());
            Some(quote!(Batch({ #names use #private::probe::*; #mark })))
        }
        (Kind::CrossProcess, _) => {
            let header = id(&plan.parameters, "traceparent");
            let of = |name| header.clone().or_else(|| id(&plan.parameters, name));
            let (root, parent) = (of("root_id"), of("parent_id"));
            let begin = plan.begin.as_ref().map(|_| quote!(.or_begin()));
            Some(quote!(CrossProcess(#private::remote(#root, #parent)#begin)))
        }
        _ => None,
    };
    let told = own("how");
    // Read the parameters before they are moved into the body.
    let mut before = from_parameters.map(|parameters| quote!(let #told = #private::how(|| #private::Parameters::#parameters);));
    let how = match plan.kind {
        _ if before.is_some() => told.to_token_stream(),
        // In a woven program, no code carries a context to other threads.
        Kind::Normal if plan.is_woven => quote!(#private::How::Woven),
        Kind::Normal | Kind::CrossProcess => quote!(#private::How::Normal),
        Kind::Root => quote!(#private::How::Root),
        Kind::CrossThread => quote!(#private::How::CrossThread),
    };
    let how = if plan.is_outermost {
        let open = own("open");
        before.get_or_insert_default().extend(quote!(let #open = #private::outermost!();));
        quote!(#open.how(#how))
    } else {
        how
    };
    let timeout = plan.timeout_ms.map(|ms| quote!(, timeout_ms = #ms));
    let site = quote!(#private::site!(#name, #kind, #line #timeout));
    let Some(telling) = telling(plan) else { return Start { before, arguments: quote!(#site, #how), telling: None } };
    let place = own("site");
    before.get_or_insert_default().extend(quote!(let #place = #site;));
    Start { before, arguments: quote!(#place, #how), telling: Some(telling) }
}

/// Returns a reference to the parameter with its name in the signature, so that it is found there regardless of its hygiene.
fn id(parameters: &[Parameter], name: &str) -> Option<TokenStream> {
    let Parameter { outer, type_span, .. } = parameters.iter().find(|parameter| parameter.is(name))?;
    Some(quote_spanned!(*type_span=> &#outer))
}

fn sync(private: &TokenStream, start: &Start, parameters: &[Parameter], body: &Body, returned: &Type, returns: Returns) -> TokenStream {
    let (outer, body) = (outer(parameters), braced(body, &bind(parameters, body)));
    let work = quote!(#outer, move |#outer| -> #returned #body);
    let is_looked_at = can_fail(returned) || returns.is_asked();
    if start.telling.is_some() {
        let (begin, process) = start.begin(private, &quote!(Guard::enter));
        let called = quote!(#private::call_begun(#process, #work));
        return ended(private, &begin, &called, returned, is_looked_at, returns);
    }
    let Start { before, arguments, .. } = start;
    let before = before.to_token_stream();
    if is_looked_at {
        ended(private, &before, &quote!(#private::call(#arguments, #work)), returned, true, returns)
    } else if is_nothing(returned) {
        quote!(#before #private::call_simply(#arguments, #work);)
    } else {
        quote!(#before #private::call_simply(#arguments, #work))
    }
}

/// Ends a call that returns its process together with the value.
fn ended(
    private: &TokenStream,
    before: &TokenStream,
    called: &TokenStream,
    returned: &Type,
    is_looked_at: bool,
    returns: Returns,
) -> TokenStream {
    if is_looked_at {
        let (value, finish) = (own("returned"), finish(private, returned, returns));
        quote! {
            #before
            let #value = #called;
            { #finish }
        }
    } else if is_nothing(returned) {
        quote!(#before #called.succeed();)
    } else {
        quote!(#before #called.succeed())
    }
}

/// Generates a closure and its call so that both are always inlined, at any optimization level. The user's statements thus stay in the
/// function's own stack frame.
fn woven(private: &TokenStream, start: &Start, parameters: &[Parameter], body: &Body, returned: &Type) -> TokenStream {
    let Start { before, arguments, .. } = start;
    let (outer, body) = (outer(parameters), braced(body, &bind(parameters, body)));
    let (value, finish) = (own("returned"), finish(private, returned, Returns::default()));
    quote! {
        #before
        let #value = #private::call_in_place(#arguments, #outer, #[inline(always)] move |#outer| -> #returned #body);
        { #finish }
    }
}

/// Generates a guard among the user's statements. A block around them would be a new block, and the compiler
/// may report unnecessary braces for it.
fn guard(private: &TokenStream, start: &Start, parameters: &[Parameter], body: &Body) -> TokenStream {
    let statements = bind(parameters, body);
    if start.telling.is_some() {
        let (begin, process) = start.begin(private, &quote!(Guard::enter));
        let guard = own("_guard");
        return quote!(#begin let #guard = #process; #statements);
    }
    let Start { before, arguments, .. } = start;
    let guard = own("_guard");
    quote! {
        #before
        let #guard = #private::Guard::enter(#arguments);
        #statements
    }
}

fn within_async(
    private: &TokenStream,
    start: &Start,
    parameters: &[Parameter],
    body: &Body,
    returned: &Type,
    returns: Returns,
) -> TokenStream {
    let work = async_block(private, None, parameters, body, returned);
    let is_looked_at = can_fail(returned) || returns.is_asked();
    if start.telling.is_some() {
        let (begin, process) = start.begin(private, &quote!(start));
        let called = quote!(#private::run_begun(#process, #work).await);
        if matches!(returned, Type::Never(_)) {
            return quote!(#begin match #called.succeed() {});
        }
        return ended(private, &begin, &called, returned, is_looked_at, returns);
    }
    let Start { before, arguments, .. } = start;
    let before = before.to_token_stream();
    if matches!(returned, Type::Never(_)) {
        quote! {
            #before
            match #private::run_simply(#arguments, #work).await {}
        }
    } else if is_looked_at {
        ended(private, &before, &quote!(#private::run(#arguments, #work).await), returned, true, returns)
    } else if is_nothing(returned) {
        quote!(#before #private::run_simply(#arguments, #work).await;)
    } else {
        quote!(#before #private::run_simply(#arguments, #work).await)
    }
}

fn at_call(
    private: &TokenStream,
    start: &Start,
    parameters: &[Parameter],
    function: &Function,
    returned: &Type,
    returns: Returns,
) -> TokenStream {
    // An async function keeps its receiver alive even if its body doesn't use it.
    let receiver = function.sig.receiver().map(|receiver| {
        let receiver = receiver.self_token;
        quote!(let _ = &#receiver;)
    });
    let work = async_block(private, receiver.as_ref(), parameters, &function.body, returned);
    let (begin, task) = start.begin(private, &quote!(capture));
    let later = later(private, &task, &work, returned, returns);
    quote!(#begin #later)
}

fn future(private: &TokenStream, start: &Start, parameters: &[Parameter], body: &Body, output: &Type, returns: Returns) -> TokenStream {
    let (outer, body) = (outer(parameters), braced(body, &bind(parameters, body)));
    let work = quote!(#private::future::<#output, _, _>(#outer, move |#outer| #body));
    let (begin, task) = start.begin(private, &quote!(capture));
    let later = later(private, &task, &work, output, returns);
    quote!(#begin #later)
}

/// Generates the future of a function that returns one.
fn later(private: &TokenStream, task: &Ident, work: &TokenStream, output: &Type, returns: Returns) -> TokenStream {
    let value = own("returned");
    if can_fail(output) || returns.is_asked() {
        let finish = finish(private, output, returns);
        quote!(#private::run_later(#task, #work, |#value| { #finish }))
    } else {
        quote!(#private::run_later_simply(#task, #work))
    }
}

/// Generates the body as an async block. An unreachable `return` sets the type of the block, so that `?` and
/// coercions work as in the original function.
fn async_block(private: &TokenStream, first: Option<&TokenStream>, parameters: &[Parameter], body: &Body, returned: &Type) -> TokenStream {
    let diverges = matches!(returned, Type::Never(_));
    let returned = if diverges { quote!(::core::convert::Infallible) } else { returned.to_token_stream() };
    let statements = bind(parameters, body);
    let block = braced(body, &quote!(if false { return #private::never::<#returned>(); } #first #statements));
    quote!(async move #block)
}

/// Ends the process with the returned value. The caller puts this into a block, so that the imported names don't conflict with the user's.
fn finish(private: &TokenStream, returned: &Type, returns: Returns) -> TokenStream {
    let value = own("returned");
    // Each of these checks costs compile time, so check for an `ExitCode` only if the type names it.
    let exit = names_exit_code(returned).then(|| quote!(.or_else(|| (&&Returned(#value)).exit_failure())));
    let mut failure = quote!((&&&&&&Returned(#value)).failure()#exit);
    if let Some(at) = returns.err_debug {
        let value = Ident::new("returned", Span::mixed_site().located_at(at));
        failure = quote!(by_debug(#value, #failure));
    }
    if let Some(at) = returns.shown {
        let (told, shown) = (own("told"), Ident::new("returned", Span::mixed_site().located_at(at)));
        return quote! {
            use #private::probe::*;
            #value.finish_telling(|#value| #failure, |#value, #told| #told.debug("return", #shown))
        };
    }
    quote! {
        use #private::probe::*;
        #value.finish(|#value| #failure)
    }
}

/// Returns true if the name `ExitCode` occurs in the type.
fn names_exit_code(returned: &Type) -> bool {
    names(returned.to_token_stream(), &["ExitCode"])
}

/// Returns true if a value of this type may hold a closure with an unnamed type, such as `impl Iterator` or `Box<dyn Fn()>`.
fn may_hold_closures(returned: &Type) -> bool {
    names(returned.to_token_stream(), &["impl", "dyn"])
}

fn names(tokens: TokenStream, words: &[&str]) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => words.iter().any(|word| ident == word),
        TokenTree::Group(group) => names(group.stream(), words),
        _ => false,
    })
}

fn is_nothing(returned: &Type) -> bool {
    matches!(returned, Type::Tuple(tuple) if tuple.elems.is_empty())
}

/// Generates the user's statements after the bindings of the parameters. The compiler does the same for async functions. The drop order and
/// the warnings are those of the original function.
fn bind(parameters: &[Parameter], body: &Body) -> TokenStream {
    let lets = parameters.iter().map(|parameter| {
        let Parameter { outer, pattern, .. } = parameter;
        let read = if parameter.used && !parameter.renamed() { Some(quote!(let _ = &#outer;)) } else { None };
        let names = parameter.used_names.iter().filter(|_| parameter.passed && parameter.renamed());
        let bound = if !parameter.passed {
            None
        } else if !parameter.renamed() {
            Some(quote!(let #pattern = #outer;))
        } else if matches!(pattern, Pat::Ident(_)) {
            // clippy checks names with an underscore, but not in a tuple.
            Some(quote!(let (#pattern,) = (#outer,);))
        } else {
            // Parts that a pattern leaves unbound are dropped right after the parts that it binds.
            Some(quote!(let #outer = #outer; let #pattern = #outer;))
        };
        quote!(#bound #read #(let _ = &#names;)*)
    });
    let statements = &body.statements;
    quote!(#(#lets)* #statements)
}

/// Puts statements into the user's braces. Without them, the compiler would consider the function as generated
/// and would not warn if it is unused.
fn braced(body: &Body, statements: &TokenStream) -> TokenStream {
    let mut block = TokenStream::new();
    body.braces.surround(&mut block, |block| statements.to_tokens(block));
    block
}

/// Generates a tuple of the parameters, which is valid as an expression and as a pattern.
fn outer(parameters: &[Parameter]) -> TokenStream {
    let outer = parameters.iter().filter(|parameter| parameter.passed).map(|parameter| &parameter.outer);
    quote!((#(#outer,)*))
}

pub(crate) fn own(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}
