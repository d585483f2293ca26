//! Writes the code that a plan asks for.
//!
//! Its own names have `mixed_site` spans, so that they can't meet the user's; all paths are absolute; the user's braces
//! stay around the user's statements, so that errors in their type point there.

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

/// How a process starts: what has to be said before, the arguments of whatever starts it, and what is told of it thereafter.
struct Start {
    before: Option<TokenStream>,
    arguments: TokenStream,
    /// The rest of a closure's body that begins with the name of what is told.
    telling: Option<TokenStream>,
}

impl Start {
    /// Starts the process by `enter` and tells of it: the statements, and the name that it has in them.
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
    // At the user's place.
    let at = plan.function.sig.ident.span();
    let line =
        if plan.is_woven { Literal::usize_unsuffixed(at.unwrap().line()).to_token_stream() } else { quote_spanned!(at=> ::core::line!()) };
    let from_parameters = match (plan.kind, &plan.batch) {
        (Kind::Root, Some(Mark::Parameter { outer, type_span })) => {
            // At the parameter, so that the compiler points there if it can't mark anything.
            let mark = quote_spanned!(*type_span=> (&&&&&&Returned(&#outer)).mark());
            Some(quote!(Batch({ use #private::probe::*; #mark })))
        }
        (Kind::Root, Some(Mark::Expr(expr))) => {
            let (names, at) = (bound_names(&plan.parameters), expr.span());
            // A name that a pattern binds stands for a reference, of which the mark is that of the value.
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
    // Read before the body gets them.
    let mut before = from_parameters.map(|parameters| quote!(let #told = #private::how(|| #private::Parameters::#parameters);));
    let how = match plan.kind {
        _ if before.is_some() => told.to_token_stream(),
        // Nobody carried a context to the threads of a program that nobody edited.
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

/// The parameter as it is spelled in the signature, so that it is found there whoever wrote it.
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

/// Ends a call that gives back its process with the value.
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

/// Both the closure and what calls it are inlined whatever the compiler optimizes, so that the user's statements stay in the
/// function's own frame.
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

/// The guard stands among the user's statements: a block around those would be one that the user could leave out.
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
    // An async function holds its receiver even if its body doesn't name it.
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

/// The future of a function that returns one.
fn later(private: &TokenStream, task: &Ident, work: &TokenStream, output: &Type, returns: Returns) -> TokenStream {
    let value = own("returned");
    if can_fail(output) || returns.is_asked() {
        let finish = finish(private, output, returns);
        quote!(#private::run_later(#task, #work, |#value| { #finish }))
    } else {
        quote!(#private::run_later_simply(#task, #work))
    }
}

/// The body as an async block. A statement that is never reached gives it its type, so that `?` and coercions work as in the
/// plain function.
fn async_block(private: &TokenStream, first: Option<&TokenStream>, parameters: &[Parameter], body: &Body, returned: &Type) -> TokenStream {
    let diverges = matches!(returned, Type::Never(_));
    let returned = if diverges { quote!(::core::convert::Infallible) } else { returned.to_token_stream() };
    let statements = bind(parameters, body);
    let block = braced(body, &quote!(if false { return #private::never::<#returned>(); } #first #statements));
    quote!(async move #block)
}

/// Ends the process by what its body returned. In a block of its own: the names that it uses must not meet the user's.
fn finish(private: &TokenStream, returned: &Type, returns: Returns) -> TokenStream {
    let value = own("returned");
    // Asked only where it may be: each question costs the compiler's time.
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

/// Whether an `ExitCode` may be in a value of this type, which is called by its name.
fn names_exit_code(returned: &Type) -> bool {
    names(returned.to_token_stream(), &["ExitCode"])
}

/// Returns true if a value of this type may hold a closure whose type has no name, such as `impl Iterator` or `Box<dyn Fn()>`.
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

/// The user's statements with the parameters bound first, as the compiler itself does it for async functions: the plain
/// drop order, the plain warnings.
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
            // clippy has an eye on names with an underscore, but not on those in a tuple.
            Some(quote!(let (#pattern,) = (#outer,);))
        } else {
            // What a pattern leaves unbound is dropped right after what it binds.
            Some(quote!(let #outer = #outer; let #pattern = #outer;))
        };
        quote!(#bound #read #(let _ = &#names;)*)
    });
    let statements = &body.statements;
    quote!(#(#lets)* #statements)
}

/// Within the user's braces. Without them around a function the compiler takes all of it for the macro's, and no longer says
/// that it is never used.
fn braced(body: &Body, statements: &TokenStream) -> TokenStream {
    let mut block = TokenStream::new();
    body.braces.surround(&mut block, |block| statements.to_tokens(block));
    block
}

/// The parameters as a tuple: an expression and a pattern alike.
fn outer(parameters: &[Parameter]) -> TokenStream {
    let outer = parameters.iter().filter(|parameter| parameter.passed).map(|parameter| &parameter.outer);
    quote!((#(#outer,)*))
}

pub(crate) fn own(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}
