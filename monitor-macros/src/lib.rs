//! The attributes of Process Monitor, which record the calls of functions.
//!
//! Use them through `monitor-client`, which re-exports them: the generated code calls that crate.
//!
//! | attribute | for a function that |
//! |---|---|
//! | [`#[root_task]`](macro@root_task) | begins a run |
//! | [`#[normal_task]`](macro@normal_task) | is called by a recorded function |
//! | [`#[cross_thread]`](macro@cross_thread) | is executed on another thread or task |
//! | [`#[cross_process]`](macro@cross_process) | is called by another program, with its ids |
//! | [`#[monitor_all]`](macro@monitor_all) | is one of many in a module or an impl |
//!
//! The attributes never change what a function returns, when it panics, or if its future is `Send`. Without the feature `record` of
//! `monitor-client`, they check their arguments and generate nothing.
//!
//! # Examples
//!
//! ```
//! use monitor_client::{cross_thread, normal_task, root_task};
//!
//! #[root_task("nightly build", "batch")]
//! fn build(batch: &str) -> Result<usize, std::num::ParseIntError> {
//!     let count = read("17")?;
//!     let part = monitor_client::spawn_thread(|| compile("a"));
//!     Ok(count + part.join().expect("no panic"))
//! }
//!
//! #[normal_task(name = "read {text}", ret)]
//! fn read(text: &str) -> Result<usize, std::num::ParseIntError> {
//!     text.parse()
//! }
//!
//! #[cross_thread(args(part), timeout = "10m")]
//! fn compile(part: &str) -> usize {
//!     part.len()
//! }
//!
//! fn main() {
//!     assert_eq!(build("batch001"), Ok(18));
//! }
//! ```

// `args` parses the arguments, `plan` applies the rules, and `expand` generates the code and can't fail.

mod all;
mod args;
mod carry;
mod expand;
mod function;
mod mistakes;
mod name;
mod plan;
#[cfg(test)]
mod snapshots;
mod telling;
mod told;

use proc_macro::TokenStream;
use proc_macro2::TokenStream as TokenStream2;
use quote::ToTokens;

use crate::args::Args;
use crate::function::Function;
use crate::mistakes::Mistakes;
use crate::plan::{Kind, Plan};

/// Records each call of a function: its start, its end and its outcome.
///
/// The process is a child of the current process. Without a current process, the call begins a run of its own, which is marked as
/// unattached; `MONITOR_STRAY` configures the handling of many such calls.
///
/// # Arguments
///
/// All four attributes accept these arguments, in any order. Values of a call are recorded only if an argument requests it. Nothing is
/// formatted while monitoring is off, or for calls that are only counted because there are many similar ones.
///
/// | argument | effect |
/// |---|---|
/// | none | the process is named like the function |
/// | `"name"`, `name = "name"` | sets another name |
/// | `name = "import {table}"` | sets a name for each call, with parameters and their fields; `{{` is a literal brace. At most 1,000 different names are kept per function. Further calls are named by the pattern itself |
/// | `args(a, b.id, %c)` | records the fields `args.a`, `args.b.id` and `args.c`: parameters or fields of parameters, formatted by `Debug`, or with `%` by `Display`. Names bound by a pattern count as parameters |
/// | `args(*)` | records all parameters except `self` and those that begin with `_` |
/// | `fields(rows = table.len(), user = %name)` | records fields with any expressions of the parameters, evaluated before the body |
/// | `ret` | records the field `return`: the returned value, formatted by `Debug` |
/// | `mask(password)` | replaces the value of this argument or field, and of its subfields, by `[masked]`, without formatting it. The same data in the `Debug` output of another value or in an error message is not masked |
/// | `err = Debug` | formats a returned error by `Debug` instead of `Display` |
/// | `timeout = "30s"` | marks a call as overdue after this time: `500ms`, `1h30m`, at most `49d` |
/// | `batch = order.id` | only for `#[root_task]`: see [`macro@root_task`] |
/// | `crate = path` | sets the path of `monitor-client`, if it isn't `::monitor_client` |
///
/// Numbers and booleans are recorded as such. All other values are recorded as text of at most 1 KiB, which states the number of bytes cut.
/// Calls made by a `Debug` implementation or an expression are not recorded, and their panics are caught. For a function that returns a
/// future, the values are formatted when the function is called.
///
/// # How a call ends
///
/// A call fails if it returns `Err` (of any `Result` alias; detected by type), with the error's message and sources, or if it panics, with
/// the message and place of the panic. A future that is dropped before its end is cancelled. An `ExitCode` other than 0 is a failure. For
/// an `Option` or `Poll`, the contained value is checked. A call counts as succeeded if its outcome can't be determined: for a generic
/// return type, and for an `Err` of a function that is `#[track_caller]`, or returns `!`, an `impl Trait` other than a plain future, or a
/// type that names `impl Fn…`. An async function that returns a closure as `impl Fn…` must specify the types of the closure's parameters.
///
/// An async function starts when it is first polled, as a child of the process that is current then. A function that returns a future
/// starts as a child of the process that was current when it was called.
///
/// # Errors
///
/// A mistake in the arguments is a compile error at its place: an unknown argument, a parameter that does not exist, or a function that
/// can't be recorded because it is `const`, variadic or without a body.
///
/// # Examples
///
/// A function with a name for each call, its arguments, and a time limit:
///
/// ```
/// use monitor_client::normal_task;
///
/// #[normal_task(name = "log in {user}", args(*), mask(password), ret, timeout = "5s")]
/// fn log_in(user: &str, password: &str) -> bool {
///     !user.is_empty() && !password.is_empty()
/// }
///
/// assert!(log_in("ada", "secret"));
/// ```
///
/// An async function whose call fails with an error:
///
/// ```
/// use monitor_client::normal_task;
///
/// #[normal_task]
/// fn parse(text: &str) -> Result<u16, std::num::ParseIntError> {
///     text.parse()
/// }
///
/// #[normal_task("read the port")]
/// async fn read() -> Result<u16, std::num::ParseIntError> {
///     parse("60010")
/// }
/// ```
#[proc_macro_attribute]
pub fn normal_task(args: TokenStream, item: TokenStream) -> TokenStream {
    attribute(Kind::Normal, args.into(), item.into()).into()
}

/// Begins a run with each call of a function. Inside a run, the call is a child of the current process instead.
///
/// `#[root_task("name", "parameter")]` or `#[root_task(name = "name", batch = "parameter")]` marks the run with the value of a parameter,
/// which is called its batch mark. The run is shown as `name <batch001:2106>`; the server assigns the number. `batch = order.id` uses an
/// expression that begins with a parameter, and `batch = id.0` a name that a pattern binds, as in `Path(id): Path<(u64, u8)>`. The type can
/// be any type that is `Display`, a path, an `Option` of these, or else `Debug`. Inside a run, the mark becomes the process's field
/// `batch`.
///
/// The other arguments, and the rules for the end of a call, are those of [`macro@normal_task`].
///
/// # Examples
///
/// ```
/// use monitor_client::root_task;
///
/// #[root_task("nightly build", "batch")]
/// fn build(batch: &str) -> usize {
///     batch.len()
/// }
///
/// assert_eq!(build("batch001"), 8);
/// ```
#[proc_macro_attribute]
pub fn root_task(args: TokenStream, item: TokenStream) -> TokenStream {
    attribute(Kind::Root, args.into(), item.into()).into()
}

/// Records each call of a function that is executed on another thread or task, in the run that it belongs to.
///
/// An async function captures the context of its caller when it is called. A sync function, or a function called without a context, belongs
/// to the only active run of this program, if no other run was active since its thread was started. Otherwise the context must be carried
/// to it: start the thread with `monitor_client::spawn_thread`, or wrap the closure with `in_current`. Without a context, the call begins a
/// run of its own, and a warning is logged.
///
/// The arguments, and the rules for the end of a call, are those of [`macro@normal_task`].
///
/// # Examples
///
/// ```
/// use monitor_client::cross_thread;
///
/// #[cross_thread]
/// fn compile(part: &str) -> usize {
///     part.len()
/// }
///
/// let size = monitor_client::spawn_thread(|| compile("part")).join().unwrap();
/// assert_eq!(size, 4);
/// ```
#[proc_macro_attribute]
pub fn cross_thread(args: TokenStream, item: TokenStream) -> TokenStream {
    attribute(Kind::CrossThread, args.into(), item.into()).into()
}

/// Records each call of a function that another program requests, in the run of that program.
///
/// The caller's ids are the function's parameters `root_id` and `parent_id`. They can be `RootId` and `ProcessId`, `String`, `&str`, or an
/// `Option` of these. If the root id is in both parameters, or alone, the call is a child of the process that began the run. An empty or
/// malformed root id does not affect the function: the call then begins a run of its own, and a warning is logged.
///
/// A parameter `traceparent`, text or an `Option` of it, replaces both: it is the W3C header. At the edge of a system, where most callers
/// send no ids, `#[cross_process(begin)]` begins a run without a warning if there is no caller.
///
/// The other arguments, and the rules for the end of a call, are those of [`macro@normal_task`].
///
/// # Examples
///
/// ```
/// use monitor_client::{cross_process, ProcessId, RootId};
///
/// #[cross_process("judge")]
/// fn judge(message: &str, root_id: Option<RootId>, parent_id: Option<ProcessId>) -> bool {
///     message.is_empty()
/// }
///
/// assert!(!judge("a message", None, None));
///
/// #[cross_process(name = "GET /health", begin)]
/// fn health(traceparent: Option<&str>) -> bool {
///     true
/// }
///
/// assert!(health(None));
/// ```
#[proc_macro_attribute]
pub fn cross_process(args: TokenStream, item: TokenStream) -> TokenStream {
    attribute(Kind::CrossProcess, args.into(), item.into()).into()
}

/// Records the calls of all functions of an inline module or of an impl, as if each had an attribute.
///
/// # Arguments
///
/// | argument | effect |
/// |---|---|
/// | `kind = normal` | sets the attribute for all functions: `normal` (the default), `root` or `cross_thread` |
/// | `skip(new, len)` | excludes functions by name; `Cache.len` excludes only the function of that type |
/// | `prefix = "db"` | adds a prefix to all names: `db::Cache::get` |
/// | `crate = path` | sets the path of `monitor-client`, if it isn't `::monitor_client` |
///
/// # Recorded functions
///
/// | function | effect |
/// |---|---|
/// | free function in the module | recorded as `name` |
/// | function of an impl or a trait impl, or a trait's provided function | recorded as `Type::name` |
/// | function with one of the four attributes, or in an impl with its own `#[monitor_all]` | recorded as that attribute specifies |
/// | `const`, variadic, or without a body | not recorded |
/// | generated by a macro, including `derive` | not recorded, because attributes can't see generated functions |
/// | in a nested module, or within another function | not recorded |
///
/// # Examples
///
/// ```
/// use monitor_client::monitor_all;
///
/// struct Cache(Vec<u8>);
///
/// #[monitor_all(skip(new), prefix = "db")]
/// impl Cache {
///     fn new() -> Self {
///         Cache(Vec::new())
///     }
///
///     fn add(&mut self, value: u8) {
///         self.0.push(value);
///     }
///
///     #[monitor_client::normal_task("count the values", ret)]
///     fn count(&self) -> usize {
///         self.0.len()
///     }
/// }
///
/// let mut cache = Cache::new();
/// cache.add(1); // `db::Cache::add`
/// assert_eq!(cache.count(), 1);
/// ```
#[proc_macro_attribute]
pub fn monitor_all(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut mistakes = Mistakes::default();
    let mut expanded: TokenStream = all::expand(args.into(), item.into(), &mut mistakes).into();
    expanded.extend(TokenStream::from(mistakes.into_token_stream()));
    expanded
}

/// The attribute that `cargo monitor` inserts: `#[woven(kind, guard, outermost, "name", batch = "parameter")]`.
/// Everything except the kind is optional.
#[doc(hidden)]
#[proc_macro_attribute]
pub fn woven(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut mistakes = Mistakes::default();
    let (kind, args) = Args::parse_woven(args.into(), &mut mistakes);
    expand(kind, args, item.into(), mistakes).into()
}

fn attribute(kind: Kind, args: TokenStream2, item: TokenStream2) -> TokenStream2 {
    let mut mistakes = Mistakes::default();
    let args = Args::parse(args, &mut mistakes);
    expand(kind, args, item, mistakes)
}

fn expand(kind: Kind, args: Args, item: TokenStream2, mut mistakes: Mistakes) -> TokenStream2 {
    // If the attribute is wrong, keep the item itself, so that there are no further errors.
    let mut unmonitored = item.clone();
    let plan = Function::parse(item, &mut mistakes).map(|function| Plan::new(kind, args, function, &mut mistakes));
    match plan {
        Some(plan) if mistakes.is_empty() => expand::expand(plan),
        _ => {
            unmonitored.extend(mistakes.into_token_stream());
            unmonitored
        }
    }
}
