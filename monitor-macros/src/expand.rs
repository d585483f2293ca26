//! Writes the code that a plan asks for.
//!
//! Its own names have `mixed_site` spans, so that they can't meet the user's; all paths are absolute; the user's braces
//! stay around the user's statements, so that errors in their type point there.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::{Pat, Type, parse_quote};

use crate::function::{Body, Function};
use crate::plan::{Kind, Parameter, Plan, Shape};

pub(crate) fn expand(plan: Plan) -> TokenStream {
    let start = start(&plan);
    let Plan { client, parameters, shape, mut function, .. } = plan;
    let private = quote!(#client::__private);
    let statements = match shape {
        Shape::Sync { returned } => sync(&private, &start, &parameters, &function.body, &returned),
        Shape::Guard => guard(&private, &start, &parameters, &function.body),
        Shape::Async { returned } => within_async(&private, &start, &parameters, &function.body, &returned),
        Shape::AsyncAtCall { returned } => {
            let output = function.returned();
            let statements = at_call(&private, &start, &parameters, &function, &returned);
            function.sig.asyncness = None;
            function.sig.output = parse_quote!(-> impl ::core::future::Future<Output = #output>);
            statements
        }
        Shape::Future { output } => future(&private, &start, &parameters, &function.body, &output),
    };
    let Function { attrs, vis, defaultness, sig, body } = function;
    let block = braced(&body, &statements);
    quote!(#(#attrs)* #vis #defaultness #sig #block)
}

/// The arguments of whatever starts the process: its place and what its kind adds.
fn start(plan: &Plan) -> TokenStream {
    let client = &plan.client;
    let private = quote!(#client::__private);
    let (name, kind) = (&plan.name, plan.kind.name());
    let line = quote_spanned!(plan.function.sig.ident.span()=> ::core::line!());
    let how = match (plan.kind, &plan.batch) {
        (Kind::Normal, _) => quote!(Normal),
        (Kind::Root, None) => quote!(Root),
        (Kind::Root, Some(batch)) => quote!(Batch(#private::batch!(#batch))),
        (Kind::CrossThread, _) => quote!(CrossThread),
        (Kind::CrossProcess, _) => {
            let (root, parent) = (id(&plan.parameters, "root_id"), id(&plan.parameters, "parent_id"));
            quote!(CrossProcess(#private::remote(&#root, &#parent)))
        }
    };
    quote!(#private::site!(#name, #kind, #line), || #private::How::#how)
}

/// The parameter as it is spelled in the signature, so that it is found there whoever wrote it.
fn id<'a>(parameters: &'a [Parameter], name: &str) -> Option<&'a Ident> {
    parameters.iter().find(|parameter| parameter.is(name)).map(|parameter| &parameter.outer)
}

fn sync(private: &TokenStream, start: &TokenStream, parameters: &[Parameter], body: &Body, returned: &Type) -> TokenStream {
    let (guard, value) = (own("guard"), own("returned"));
    let (outer, body) = (outer(parameters), braced(body, &bind(parameters, body)));
    let end = finish(private, &guard, &value, returned);
    quote! {
        let mut #guard = #private::Guard::enter(#start);
        let #value = #private::call(&mut #guard, #outer, move |#outer| -> #returned #body);
        #end
    }
}

/// The guard stands among the user's statements: a block around those would be one that the user could leave out.
fn guard(private: &TokenStream, start: &TokenStream, parameters: &[Parameter], body: &Body) -> TokenStream {
    let guard = own("_guard");
    let statements = bind(parameters, body);
    quote! {
        let #guard = #private::Guard::enter(#start);
        #statements
    }
}

fn within_async(private: &TokenStream, start: &TokenStream, parameters: &[Parameter], body: &Body, returned: &Type) -> TokenStream {
    let task = own("task");
    let work = async_body(private, &task, parameters, body, returned);
    quote! {
        let mut #task = #private::Task::start(#start);
        #work
    }
}

fn at_call(private: &TokenStream, start: &TokenStream, parameters: &[Parameter], function: &Function, returned: &Type) -> TokenStream {
    let task = own("task");
    let work = async_body(private, &task, parameters, &function.body, returned);
    // An async function holds its receiver even if its body doesn't name it.
    let receiver = function.sig.receiver().map(|receiver| {
        let receiver = receiver.self_token;
        quote!(let _ = &#receiver;)
    });
    quote! {
        let mut #task = #private::Task::capture(#start);
        async move {
            #receiver
            #task.begin();
            #work
        }
    }
}

fn future(private: &TokenStream, start: &TokenStream, parameters: &[Parameter], body: &Body, output: &Type) -> TokenStream {
    let (task, work, value) = (own("task"), own("work"), own("returned"));
    let (outer, body) = (outer(parameters), braced(body, &bind(parameters, body)));
    let run = run(private, &task, &work);
    quote! {
        let mut #task = #private::Task::capture(#start);
        let #work = #private::future::<#output, _, _>(#outer, move |#outer| #body);
        async move {
            #task.begin();
            let #value = #run;
            #private::finish!(#task, #value)
        }
    }
}

/// Runs the body as an async block within `task`, and ends `task`.
fn async_body(private: &TokenStream, task: &Ident, parameters: &[Parameter], body: &Body, returned: &Type) -> TokenStream {
    let (work, value) = (own("work"), own("returned"));
    let diverges = matches!(returned, Type::Never(_));
    let end = if diverges { quote!(match #value {}) } else { finish(private, task, &value, returned) };
    let returned = if diverges { quote!(::core::convert::Infallible) } else { returned.to_token_stream() };
    let statements = bind(parameters, body);
    let body = braced(body, &quote!(if false { return #private::never::<#returned>(); } #statements));
    let run = run(private, task, &work);
    quote! {
        let #work = async move #body;
        let #value = #run;
        #end
    }
}

/// Ends the process and returns; nothing, where nothing is to be returned, so that nobody misses a semicolon.
fn finish(private: &TokenStream, process: &Ident, value: &Ident, returned: &Type) -> TokenStream {
    let nothing = matches!(returned, Type::Tuple(tuple) if tuple.elems.is_empty());
    let semicolon = nothing.then(|| quote!(;));
    quote!(#private::finish!(#process, #value) #semicolon)
}

/// Awaits `work`: as it is when nothing is recorded, else pinned within `task`.
fn run(private: &TokenStream, task: &Ident, work: &Ident) -> TokenStream {
    quote! {
        if #task.is_off() {
            #work.await
        } else {
            #task.run(#private::pin!(#work)).await
        }
    }
}

/// The user's statements with the parameters bound first, as the compiler itself does it for async functions: the plain
/// drop order, the plain warnings.
fn bind(parameters: &[Parameter], body: &Body) -> TokenStream {
    let lets = parameters.iter().map(|parameter| {
        let Parameter { outer, pattern, .. } = parameter;
        let read = if parameter.used && !parameter.renamed() { Some(quote!(let _ = &#outer;)) } else { None };
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
        quote!(#bound #read)
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

fn own(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}
