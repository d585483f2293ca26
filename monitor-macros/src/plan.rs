//! The rules: which functions can be monitored, and how.

use proc_macro2::{Ident, Span};
use quote::{ToTokens, format_ident};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::visit_mut::{self, VisitMut};
use syn::{
    Attribute, Expr, FnArg, GenericArgument, LitStr, Pat, PatIdent, Path, PathArguments, Token, Type, TypeGroup, TypeImplTrait, TypeInfer,
    TypeParamBound, TypeParen, TypePath, parse_quote,
};

use crate::args::{Args, Batch};
use crate::function::Function;
use crate::mistakes::Mistakes;
use crate::name::{self, Name};
use crate::told::{self, Key, Value};

/// The kind of attribute.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Normal,
    Root,
    CrossThread,
    CrossProcess,
}

/// Everything needed to generate the code.
pub(crate) struct Plan {
    pub(crate) kind: Kind,
    pub(crate) name: Name,
    /// Values to record for each call.
    pub(crate) values: Vec<Value>,
    pub(crate) returns: Returns,
    /// Time after which a call is overdue, in milliseconds.
    pub(crate) timeout_ms: Option<u32>,
    /// True if `cargo monitor` has written the attribute.
    pub(crate) is_woven: bool,
    /// True if calls within another call of the same function on the same thread are not recorded.
    pub(crate) is_outermost: bool,
    /// True if the generated code carries the context to other threads. Only woven programs need this, because their sources don't.
    pub(crate) carries: bool,
    /// Path of `monitor-client`.
    pub(crate) client: Path,
    /// The value that marks the batch.
    pub(crate) batch: Option<Mark>,
    /// The word `begin`: a call without a caller begins a tree, without a warning.
    pub(crate) begin: Option<Ident>,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) shape: Shape,
    pub(crate) function: Function,
}

/// How the body is monitored. Types have `_` in place of `impl Trait`, which is only valid in a signature.
pub(crate) enum Shape {
    /// Wraps the body in a closure, whose result is checked.
    Sync { returned: Type },
    /// Uses a guard and an inlined closure. The result is checked as for `Sync`, but each call needs less stack.
    Woven { returned: Type },
    /// Uses a guard, for bodies that would change their meaning in a closure. A returned `Err` is not seen.
    Guard,
    /// Wraps the body in an async block within the async function.
    Async { returned: Type },
    /// Like `Async`, but the function is no longer async, so that it can capture the context of its caller.
    AsyncAtCall { returned: Type },
    /// Wraps the future that the function returns.
    Future { output: Type },
}

/// The value that marks the batch.
pub(crate) enum Mark {
    /// A whole parameter, with its name in the signature.
    Parameter { outer: Ident, type_span: Span },
    /// An expression that begins with a parameter.
    Expr(Expr),
}

/// Options for recording the returned value.
#[derive(Clone, Copy, Default)]
pub(crate) struct Returns {
    /// Span of the word `ret`.
    pub(crate) shown: Option<Span>,
    /// Span of `Debug` in `err = Debug`.
    pub(crate) err_debug: Option<Span>,
}

impl Returns {
    /// Returns true if the returned value must be checked regardless of its type.
    pub(crate) fn is_asked(self) -> bool {
        self.shown.is_some() || self.err_debug.is_some()
    }
}

/// A parameter. Passed parameters are bound in the body, so that they are dropped in the order of the original function.
pub(crate) struct Parameter {
    /// Name in the signature.
    pub(crate) outer: Ident,
    /// Span of the type.
    pub(crate) type_span: Span,
    pub(crate) pattern: Pat,
    /// True if the parameter is moved into the body. False if the body uses it from the signature.
    pub(crate) passed: bool,
    /// True if the attribute itself reads the parameter, so that it isn't reported as unused.
    pub(crate) used: bool,
    /// Names that the pattern binds and the attribute reads.
    pub(crate) used_names: Vec<Ident>,
}

/// The parameters of a function, for lookups by name.
pub(crate) struct Parameters<'a> {
    pub(crate) list: &'a mut Vec<Parameter>,
    /// True if the function has a `self`.
    pub(crate) has_self: bool,
    /// True for a `#[cross_process]` function, whose ids are not recorded as arguments.
    pub(crate) has_ids: bool,
}

impl Parameters<'_> {
    /// Returns all bound names in order, except those that begin with an underscore. Marks each as used.
    pub(crate) fn all(&mut self) -> Vec<Ident> {
        let has_ids = self.has_ids;
        let is_id = |parameter: &&mut Parameter| has_ids && (parameter.is("root_id") || parameter.is("parent_id"));
        let own = self.list.iter_mut().filter(|parameter| parameter.passed && !is_id(parameter));
        own.flat_map(|parameter| {
            let mut names = names(&parameter.pattern);
            names.retain(|name| !name.to_string().starts_with('_'));
            parameter.used |= !names.is_empty();
            parameter.used_names.clone_from(&names);
            names
        })
        .collect()
    }

    /// Looks up the parameter that an expression begins with. If it doesn't exist, adds a mistake at `place` and returns false.
    pub(crate) fn find(&mut self, expr: &Expr, place: impl ToTokens, mistakes: &mut Mistakes) -> bool {
        let is_there = self.uses(expr);
        if !is_there {
            let wanted = told::root(expr).map(ToString::to_string).unwrap_or_default();
            mistakes.push(place, self.no_such(&wanted));
        }
        is_there
    }

    /// Marks the parameter that an expression begins with as read by the attribute. Returns false if there is none.
    pub(crate) fn uses(&mut self, expr: &Expr) -> bool {
        let Some(root) = told::root(expr) else { return false };
        if root == "self" {
            return self.has_self;
        }
        self.list.iter_mut().any(|parameter| match names(&parameter.pattern).into_iter().find(|name| name.unraw() == root.unraw()) {
            Some(name) => {
                parameter.used = true;
                if !parameter.used_names.contains(&name) {
                    parameter.used_names.push(name);
                }
                true
            }
            None => false,
        })
    }

    fn no_such(&self, wanted: &str) -> String {
        let names: Vec<_> = self.list.iter().flat_map(|parameter| names(&parameter.pattern)).map(|name| format!("`{name}`")).collect();
        let there = if names.is_empty() { "it has none".to_owned() } else { format!("there is {}", names.join(", ")) };
        format!("the function has no parameter `{wanted}`; {there}")
    }
}

/// Returns the names that a pattern binds.
fn names(pattern: &Pat) -> Vec<Ident> {
    struct Names(Vec<Ident>);
    impl<'ast> Visit<'ast> for Names {
        fn visit_pat_ident(&mut self, node: &'ast PatIdent) {
            // A capitalized name is a constant to compare with.
            if !node.ident.to_string().starts_with(char::is_uppercase) {
                self.0.push(node.ident.clone());
            }
            visit::visit_pat_ident(self, node);
        }
    }
    let mut names = Names(Vec::new());
    names.visit_pat(pattern);
    names.0
}

impl Plan {
    pub(crate) fn new(kind: Kind, args: Args, mut function: Function, mistakes: &mut Mistakes) -> Self {
        let ident = &function.sig.ident;
        let has_name = args.name.is_some();
        let name = args.name.unwrap_or_else(|| LitStr::new(&ident.unraw().to_string(), ident.span()));
        if name.value().trim().is_empty() {
            mistakes.push(&name, "a process needs a name; write one, or leave it out for the name of the function");
        }
        if let Some(token) = &function.sig.constness {
            mistakes.push(token, "a const fn may run in the compiler and can't be monitored; remove `const` or the attribute");
        }
        if let Some(token) = &function.sig.variadic {
            mistakes.push(token, "a variadic function can't be monitored; put the attribute on one that it calls");
        }
        if let Some(batch) = &args.batch
            && kind != Kind::Root
        {
            mistakes.push(batch, format!("only #[root_task] has a batch; remove it from #[{}]", kind.attribute()));
        }
        if let Some(begin) = &args.begin
            && kind != Kind::CrossProcess
        {
            mistakes.push(begin, format!("only #[cross_process] has `begin`; remove it from #[{}]", kind.attribute()));
        }
        let mut parameters = parameters(&mut function);
        let mut known =
            Parameters { list: &mut parameters, has_self: function.sig.receiver().is_some(), has_ids: kind == Kind::CrossProcess };
        let batch = args.batch.filter(|_| kind == Kind::Root).and_then(|batch| find_batch(batch, &args.masks, &mut known, mistakes));
        let values = told::resolve(args.wanted, &args.masks, &mut known, mistakes);
        let name = if has_name && !args.is_woven {
            name::read(name, &args.masks, &mut known, mistakes)
        } else {
            Name { literal: name, format: None }
        };
        let timeout_ms = args.timeout.and_then(|timeout| milliseconds(&timeout, mistakes));
        if kind == Kind::CrossProcess {
            check_ids(&function, &mut parameters, mistakes);
        }
        let shape = if args.is_guarded && function.sig.asyncness.is_none() { Shape::Guard } else { shape(kind, &function) };
        let shape = if args.is_woven { shape.with_small_frames() } else { shape };
        let returns = Returns { shown: args.ret.as_ref().map(Ident::span), err_debug: args.err.as_ref().map(Ident::span) };
        if matches!(shape, Shape::Guard) || matches!(&shape, Shape::Async { returned: Type::Never(_) }) {
            for word in args.ret.iter().chain(&args.err) {
                mistakes.push(
                    word,
                    "what this function returns can't be seen from the attribute (`!`, `impl Trait`, `#[track_caller]`); remove this",
                );
            }
        }
        Plan {
            kind,
            name,
            values,
            returns,
            timeout_ms,
            is_woven: args.is_woven,
            // If the compiler rejects a closure around the body, it is likely to reject changed closures within the body too.
            carries: args.is_woven && !args.is_guarded,
            is_outermost: args.is_outermost && matches!(shape, Shape::Sync { .. } | Shape::Woven { .. } | Shape::Guard),
            client: args.client.unwrap_or_else(|| parse_quote!(::monitor_client)),
            batch,
            begin: args.begin,
            parameters,
            shape,
            function,
        }
    }
}

impl Shape {
    /// Returns the shape for a woven program, which may recurse as deep as its stack allows. Only functions that can fail need a closure.
    fn with_small_frames(self) -> Self {
        match self {
            Shape::Sync { returned } if can_fail(&returned) => Shape::Woven { returned },
            Shape::Sync { .. } => Shape::Guard,
            other => other,
        }
    }
}

impl Kind {
    pub(crate) fn attribute(self) -> &'static str {
        match self {
            Kind::Normal => "normal_task",
            Kind::Root => "root_task",
            Kind::CrossThread => "cross_thread",
            Kind::CrossProcess => "cross_process",
        }
    }

    /// Returns the kind with this name.
    pub(crate) fn of(name: &str) -> Option<Self> {
        [Self::Normal, Self::Root, Self::CrossThread, Self::CrossProcess].into_iter().find(|kind| kind.name() == name)
    }

    /// Returns the name on the wire.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Normal => "normal",
            Kind::Root => "root",
            Kind::CrossThread => "cross_thread",
            Kind::CrossProcess => "cross_process",
        }
    }
}

impl Parameter {
    /// Returns the name if the pattern is a plain binding.
    pub(crate) fn ident(&self) -> Option<&Ident> {
        match &self.pattern {
            Pat::Ident(pattern) => Some(&pattern.ident),
            _ => None,
        }
    }

    /// Returns true if the pattern isn't a plain name, so that the parameter has a generated name in the signature.
    pub(crate) fn renamed(&self) -> bool {
        self.ident() != Some(&self.outer)
    }

    pub(crate) fn is(&self, name: &str) -> bool {
        self.ident().is_some_and(|ident| ident.unraw() == name)
    }
}

/// Moves the patterns out of the signature. A parameter with attributes stays unchanged, because a `cfg` can't be
/// repeated on the generated binding.
fn parameters(function: &mut Function) -> Vec<Parameter> {
    let mut parameters = Vec::new();
    for (n, input) in function.sig.inputs.iter_mut().enumerate() {
        let FnArg::Typed(input) = input else { continue };
        let type_span = input.ty.span();
        if !input.attrs.is_empty() {
            if let Pat::Ident(pattern) = &*input.pat {
                let (outer, pattern) = (pattern.ident.clone(), (*input.pat).clone());
                parameters.push(Parameter { outer, type_span, pattern, passed: false, used: false, used_names: Vec::new() });
            }
            continue;
        }
        let outer = match &*input.pat {
            Pat::Ident(pattern) if is_plain_name(pattern) => pattern.ident.clone(),
            _ => format_ident!("parameter{n}", span = Span::mixed_site()),
        };
        let pattern = std::mem::replace(&mut *input.pat, parse_quote!(#outer));
        parameters.push(Parameter { outer, type_span, pattern, passed: true, used: false, used_names: Vec::new() });
    }
    parameters
}

/// Returns false for names that begin with an underscore, because passing them on would count as a use.
fn is_plain_name(pattern: &PatIdent) -> bool {
    pattern.by_ref.is_none() && pattern.subpat.is_none() && !pattern.ident.to_string().starts_with('_')
}

fn find_batch(batch: Batch, masks: &[Key], parameters: &mut Parameters<'_>, mistakes: &mut Mistakes) -> Option<Mark> {
    if let Some(wanted) = batch.parameter()
        && let Some(parameter) = parameters.list.iter_mut().find(|parameter| parameter.is(&wanted))
    {
        parameter.used = true;
        let mark = Mark::Parameter { outer: parameter.outer.clone(), type_span: parameter.type_span };
        told::check_mask(masks, &parse_quote!(#batch), &batch, mistakes);
        return Some(mark);
    }
    let expr = match &batch {
        Batch::Expr(expr) => expr.clone(),
        Batch::Ident(ident) => parse_quote!(#ident),
        Batch::Text(literal) => match literal.parse() {
            Ok(expr) => expr,
            Err(_) => parse_quote!(#literal),
        },
    };
    if !parameters.uses(&expr) {
        let wanted = batch.parameter().or_else(|| told::root(&expr).map(ToString::to_string)).unwrap_or_default();
        mistakes.push(batch, parameters.no_such(&wanted));
        return None;
    }
    told::check_mask(masks, &expr, &batch, mistakes);
    Some(Mark::Expr(expr))
}

/// Parses a duration such as `30s` to milliseconds.
fn milliseconds(timeout: &LitStr, mistakes: &mut Mistakes) -> Option<u32> {
    let ms = monitor_duration::read_positive(&timeout.value()).map_err(|expected| expected.to_string()).and_then(|timeout| {
        u32::try_from(monitor_duration::milliseconds(timeout)).map_err(|_| "expected a duration of at most 49d".to_owned())
    });
    ms.map_err(|expected| mistakes.push(timeout, expected)).ok()
}

fn check_ids(function: &Function, parameters: &mut [Parameter], mistakes: &mut Mistakes) {
    if let Some(header) = parameters.iter_mut().find(|parameter| parameter.is("traceparent")) {
        header.used = true;
        return;
    }
    let mut missing = Vec::new();
    for id in ["root_id", "parent_id"] {
        match parameters.iter_mut().find(|parameter| parameter.is(id)) {
            Some(parameter) => parameter.used = true,
            None => missing.push(format!("`{id}`")),
        }
    }
    if !missing.is_empty() {
        let parameters = if missing.len() == 1 { "parameter" } else { "parameters" };
        let missing = missing.join(" and ");
        let text = format!(
            "#[cross_process] needs the caller's ids; add the {parameters} {missing} (ids, `String`, `&str` or an `Option` of those), or one named `traceparent` with the header"
        );
        mistakes.push(&function.sig.ident, text);
    }
}

fn shape(kind: Kind, function: &Function) -> Shape {
    let returned = function.returned();
    if function.sig.asyncness.is_some() {
        return if kind == Kind::CrossThread && !function.attrs.iter().any(is_entry_point) {
            Shape::AsyncAtCall { returned: without_impl(&returned) }
        } else {
            Shape::Async { returned: without_impl(&returned) }
        };
    }
    if let Type::ImplTrait(returned) = &returned {
        return plain_future(returned).map_or(Shape::Guard, |output| Shape::Future { output: without_impl(&output) });
    }
    let tracks_caller = function.attrs.iter().any(|attr| attr.path().is_ident("track_caller"));
    if tracks_caller || matches!(returned, Type::Never(_)) || names_impl_fn(&returned) {
        return Shape::Guard;
    }
    Shape::Sync { returned: without_impl(&returned) }
}

/// Returns true if a value of this type may be a `Result` or a boxed future, under any name.
pub(crate) fn can_fail(returned: &Type) -> bool {
    const SIMPLE: [&str; 33] = [
        "bool", "char", "str", "u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128", "isize", "f32", "f64",
        "String", "Vec", "VecDeque", "HashMap", "HashSet", "BTreeMap", "BTreeSet", "Box", "Rc", "Arc", "Cow", "PathBuf", "OsString",
        "Ordering", "Duration", "Instant",
    ];
    match returned {
        Type::Group(TypeGroup { elem, .. }) | Type::Paren(TypeParen { elem, .. }) => can_fail(elem),
        Type::Path(TypePath { qself: None, path, .. }) => {
            path.segments.last().is_none_or(|last| !SIMPLE.contains(&last.ident.to_string().as_str()))
        }
        Type::Tuple(_) | Type::Array(_) | Type::Reference(_) | Type::Ptr(_) | Type::FnPtr(_) | Type::Never(_) => false,
        _ => true,
    }
}

/// Returns true for `#[tokio::main]`, `#[tokio::test]` and similar attributes, which require an async function.
fn is_entry_point(attr: &Attribute) -> bool {
    attr.path().segments.last().is_some_and(|last| last.ident == "main" || last.ident == "test")
}

/// Returns the output type if the type promises only a future that an async block can implement.
fn plain_future(returned: &TypeImplTrait) -> Option<Type> {
    let mut output = None;
    for bound in &returned.bounds {
        let TypeParamBound::Trait(bound) = bound else { continue };
        let last = bound.path.segments.last()?;
        if last.ident == "Future" {
            output = associated_output(&last.arguments);
        } else if last.ident != "Send" && last.ident != "Sync" {
            return None;
        }
    }
    output
}

fn associated_output(arguments: &PathArguments) -> Option<Type> {
    let PathArguments::AngleBracketed(arguments) = arguments else { return None };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::AssocType(argument) if argument.ident == "Output" => Some(argument.ty.clone()),
        _ => None,
    })
}

fn without_impl(returned: &Type) -> Type {
    struct Erase;
    impl VisitMut for Erase {
        fn visit_type_mut(&mut self, node: &mut Type) {
            if let Type::ImplTrait(found) = node {
                *node = Type::Infer(TypeInfer { attrs: Vec::new(), underscore_token: Token![_](found.impl_token.span) });
            } else {
                visit_mut::visit_type_mut(self, node);
            }
        }
    }
    let mut erased = returned.clone();
    Erase.visit_type_mut(&mut erased);
    erased
}

/// Returns true if the type names `impl Fn…`. The signature specifies the argument types of the returned
/// closure, and `_` in its place would not.
fn names_impl_fn(returned: &Type) -> bool {
    struct Find(bool);
    impl VisitMut for Find {
        fn visit_type_impl_trait_mut(&mut self, node: &mut TypeImplTrait) {
            self.0 |= node.bounds.iter().any(|bound| match bound {
                TypeParamBound::Trait(bound) => {
                    bound.path.segments.last().is_some_and(|last| matches!(last.arguments, PathArguments::Parenthesized(_)))
                }
                _ => false,
            });
            visit_mut::visit_type_impl_trait_mut(self, node);
        }
    }
    let mut find = Find(false);
    find.visit_type_mut(&mut returned.clone());
    find.0
}
