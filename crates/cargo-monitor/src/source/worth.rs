//! Decides which functions are left out by default: their rows would not be useful, and recording a call would take longer than the call.

use serde::{Deserialize, Serialize};
use syn::{Attribute, Block, Expr, ExprCall, ItemImpl, Macro, Stmt};

use super::functions::names;

/// Reason why a function is left out by default. `include` in `monitor.toml` overrides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, PartialOrd, Ord)]
pub(crate) enum LeftOut {
    /// Method of a trait that is usually derived, or that the language calls implicitly.
    Convention,
    /// Accessor or simple constructor.
    Trivial,
    /// Function that is compiled only for tests and is not a test.
    TestHelper,
}

impl LeftOut {
    pub(crate) fn why(self) -> &'static str {
        match self {
            Self::Convention => "traits such as Clone, Debug, Default, Drop and From are left out; `include` brings them back",
            Self::Trivial => "it only reads, builds or assigns values; `include` brings it back",
            Self::TestHelper => "it stands among tests and is none; `include` brings it back",
        }
    }
}

/// Traits that are usually derived, or that the language calls implicitly.
const CONVENTIONS: [&str; 22] = [
    "AsMut",
    "AsRef",
    "Borrow",
    "BorrowMut",
    "Clone",
    "Debug",
    "Default",
    "Deref",
    "DerefMut",
    "Deserialize",
    "Display",
    "Drop",
    "Eq",
    "From",
    "Hash",
    "Index",
    "IndexMut",
    "Ord",
    "PartialEq",
    "PartialOrd",
    "Serialize",
    "ToOwned",
];
/// Functions that build a value from their arguments.
const CONSTRUCTORS: [&str; 5] = ["new", "default", "from", "with_capacity", "empty"];
/// Methods that are assumed to be fast on every type.
const READERS: [&str; 23] = [
    "borrow",
    "borrow_mut",
    "clone",
    "cloned",
    "contains",
    "contains_key",
    "copied",
    "deref",
    "first",
    "get",
    "get_mut",
    "iter",
    "iter_mut",
    "keys",
    "last",
    "len",
    "load",
    "max",
    "min",
    "store",
    "unwrap_or",
    "unwrap_or_default",
    "values",
];
const READER_PREFIXES: [&str; 5] = ["as_", "has_", "into_", "is_", "to_"];
/// Macros that expand to simple values.
const VALUES: [&str; 7] = ["concat", "env", "file", "include_str", "line", "matches", "stringify"];
/// Test attributes of the most common test harnesses.
const TESTS: [&str; 9] =
    ["test", "bench", "rstest", "test_case", "proptest", "quickcheck", "test_log", "wasm_bindgen_test", "parameterized"];

pub(super) fn is_convention(item: &ItemImpl) -> bool {
    let of = item.trait_.as_ref().and_then(|(path, _)| path.segments.last());
    of.is_some_and(|last| CONVENTIONS.iter().any(|name| last.ident == name))
}

pub(super) fn is_test(attrs: &[Attribute]) -> bool {
    attrs.iter().any(|attr| names(attr, &TESTS))
}

/// Returns true if the attributes restrict an item to test builds.
pub(super) fn is_for_tests(attrs: &[Attribute]) -> bool {
    attrs.iter().filter(|attr| attr.path().is_ident("cfg")).any(|attr| {
        let words: Vec<String> = attr.meta.require_list().map_or_else(|_| Vec::new(), |list| words(list.tokens.clone()));
        words.iter().any(|word| word == "test") && !words.iter().any(|word| word == "not" || word == "any")
    })
}

fn words(tokens: proc_macro2::TokenStream) -> Vec<String> {
    let of = |token| match token {
        proc_macro2::TokenTree::Group(group) => words(group.stream()),
        other => vec![other.to_string()],
    };
    tokens.into_iter().flat_map(of).collect()
}

/// Returns true if a body only reads, builds or assigns values, so that it can neither take long nor fail.
pub(super) fn is_trivial(body: &Block) -> bool {
    body.stmts.iter().all(|statement| match statement {
        Stmt::Local(local) => local.init.as_ref().is_none_or(|init| init.diverge.is_none() && is_value(&init.expr)),
        Stmt::Expr(expression, _) => is_value(expression),
        Stmt::Macro(statement) => is_value_of(&statement.mac),
        Stmt::Item(_) => false,
    })
}

fn is_value(expression: &Expr) -> bool {
    match expression {
        Expr::Lit(_) | Expr::Path(_) | Expr::Infer(_) => true,
        Expr::Macro(call) => is_value_of(&call.mac),
        Expr::Field(of) => is_value(&of.base),
        Expr::Reference(of) => is_value(&of.expr),
        Expr::Paren(of) => is_value(&of.expr),
        Expr::Group(of) => is_value(&of.expr),
        Expr::Unary(of) => is_value(&of.expr),
        Expr::Cast(of) => is_value(&of.expr),
        Expr::Let(of) => is_value(&of.expr),
        Expr::Return(of) => of.expr.as_deref().is_none_or(is_value),
        Expr::Binary(of) => is_value(&of.left) && is_value(&of.right),
        Expr::Assign(of) => is_value(&of.left) && is_value(&of.right),
        Expr::Range(of) => of.start.iter().chain(&of.end).all(|end| is_value(end)),
        Expr::Tuple(of) => of.elems.iter().all(is_value),
        Expr::Array(of) => of.elems.iter().all(is_value),
        Expr::Repeat(of) => is_value(&of.expr),
        Expr::Struct(of) => of.fields.iter().map(|field| &field.expr).chain(of.rest.as_deref()).all(is_value),
        Expr::Block(of) => is_trivial(&of.block),
        Expr::Unsafe(of) => is_trivial(&of.block),
        Expr::If(of) => {
            is_value(&of.cond) && is_trivial(&of.then_branch) && of.else_branch.as_ref().is_none_or(|(_, other)| is_value(other))
        }
        Expr::Match(of) => is_value(&of.expr) && of.arms.iter().all(|arm| is_value(&arm.body)),
        Expr::Call(call) => is_construction(call) && call.args.iter().all(is_value),
        Expr::MethodCall(call) => {
            let name = call.method.to_string();
            let is_reader = READERS.contains(&name.as_str()) || READER_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
            is_reader && is_value(&call.receiver) && call.args.iter().all(is_value)
        }
        _ => false,
    }
}

/// Returns true for a tuple constructor or a function such as `new`. `Err` is excluded, because failures should be recorded.
fn is_construction(call: &ExprCall) -> bool {
    let Expr::Path(path) = &*call.func else { return false };
    let Some(last) = path.path.segments.last() else { return false };
    let name = last.ident.to_string();
    name != "Err" && (name.starts_with(char::is_uppercase) || CONSTRUCTORS.contains(&name.as_str()))
}

fn is_value_of(call: &Macro) -> bool {
    let name = call.path.segments.last().map_or_else(String::new, |last| last.ident.to_string());
    VALUES.contains(&name.as_str()) || (name == "vec" && call.tokens.is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::read_text;

    /// Asserts which functions of a text are left out.
    fn check(text: &str, expected: &[&str]) {
        let files = read_text(text);
        let left = files[0].functions.iter().filter(|function| function.left_out.is_some());
        assert_eq!(left.map(|function| &function.path[3..]).collect::<Vec<_>>(), expected, "{text}");
    }

    #[test]
    fn functions_that_only_read_build_or_assign_are_left_out() {
        for body in [
            "self.name",
            "&self.items.first",
            "self.items.len() > 3",
            "Self { items: Vec::new(), name: name.to_owned(), ..Self::default() }",
            "Some(Self(Box::new(Vec::with_capacity(8))))",
            "self.name = name; self",
            "match self { Self::A => \"a\", Self::B { .. } => \"b\" }",
            "matches!(self, Self::A)",
            "let items = vec![]; Cart { items }",
            "",
        ] {
            check(&format!("fn a() {{ {body} }}"), &["a"]);
        }
    }

    #[test]
    fn functions_that_may_take_long_or_fail_are_woven() {
        for body in [
            "load(&self.name)",
            "Err(Error::Empty)",
            "self.items.first()?",
            "for item in items {}",
            "self.items.iter().map(|item| item.price()).sum()",
            "self.engine.run(args)",
            "println!(\"{self}\")",
            "vec![1; count(3)]",
            "self.ready.await",
            "self.items[3]",
        ] {
            check(&format!("fn a() {{ {body} }}"), &[]);
        }
        check("fn main() {}", &[]);
    }

    #[test]
    fn traits_of_convention_and_helpers_of_tests_are_left_out() {
        check("impl fmt::Display for A { fn fmt(&self) { work() } }\nimpl Work for A { fn work(&self) { work() } }", &["A::fmt"]);
        check("impl From<B> for A { fn from(b: B) -> A { work(b) } }\nimpl A { fn from() { work() } }", &["A::from"]);
        check(
            "#[cfg(test)]\nmod tests { fn help() { work() }\n#[tokio::test]\nasync fn works() { help() }\n#[test] fn empty() {} }\n\
             #[cfg(not(test))]\nmod other { fn b() { work() } }\n#[cfg(any(test, unix))]\nfn c() { work() }",
            &["tests::help"],
        );
    }
}
