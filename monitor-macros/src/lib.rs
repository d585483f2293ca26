//! The attributes of Process Monitor. Use them from `monitor-client`, which what they make calls into.
//!
//! `args` reads what stands in the brackets, `plan` holds the rules, `expand` writes the code and cannot fail.

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

/// Records each call of a function: its start, its end and how it ended.
///
/// The process is a child of what is current. Without that it begins a tree of its own, marked as unattached; `MONITOR_STRAY` says
/// what becomes of many of these.
///
/// # Arguments
/// All four attributes take these, in any order. Nothing of a call's values is recorded unless it is asked for here, and nothing is
/// formatted while monitoring is off, or of a call that is only counted because there are very many like it.
///
/// | argument | what it does |
/// |---|---|
/// | none | the process has the function's name |
/// | `"name"`, `name = "name"` | another name |
/// | `name = "import {table}"` | a name of each call's own, by parameters and their fields; `{{` is a brace. Of one function at most 1,000 such names are kept, further calls have the pattern itself for a name |
/// | `args(a, b.id, %c)` | the fields `args.a`, `args.b.id` and `args.c`: parameters, or fields of those, by `Debug`, or with `%` by `Display`; names that a pattern binds count as parameters |
/// | `args(*)` | all parameters but `self` and those that begin with `_` |
/// | `fields(rows = table.len(), user = %name)` | fields by any expression of the parameters, evaluated before the body |
/// | `ret` | the field `return`: the value that is returned, by `Debug` |
/// | `mask(password)` | the value of this argument or field, and of all below it, is `[masked]`. It isn't looked at. What another value's `Debug` shows of it can't be masked, nor the words of an error |
/// | `err = Debug` | a returned error is told by its `Debug` instead of its `Display` |
/// | `timeout = "30s"` | so long after its start a call counts as overdue: `500ms`, `1h30m`, at most `49d` |
/// | `batch = order.id` | `#[root_task]` alone: see [`macro@root_task`] |
/// | `crate = path` | where `monitor-client` is, if not at `::monitor_client` |
///
/// Numbers and booleans are recorded as such, all else as text of at most 1 KiB, which says how much of it was cut. What a `Debug` or an
/// expression calls is not recorded, and a panic in there harms nothing. The values of a function that returns a future are formatted when
/// it is called.
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
/// # How a call ends
/// Returning `Err` (of any `Result` alias; found by type) is a failure with the error's message and sources, a panic is
/// one with its message and place, and a future that is dropped before its end is cancelled. An `ExitCode` other than 0 is a failure;
/// an `Option` or `Poll` is what it holds. What cannot be told counts as succeeded: a generic return type, and an `Err` of a function with `#[track_caller]`, returning `!`, an
/// `impl Trait` that is no plain future, or anything that names `impl Fn…`. An async function that returns a closure as
/// `impl Fn…` has to name the types of the closure's parameters.
///
/// An async function starts when it is first polled, below what is current then; one that returns a future starts below
/// what was current when it was called.
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

/// Begins a tree with each call of a function; inside a running tree it joins that one as a child.
///
/// `#[root_task("name", "parameter")]` or `#[root_task(name = "name", batch = "parameter")]` marks the batch by the value
/// of a parameter, `batch = order.id` by an expression that begins with one, and `batch = id.0` by a name that a pattern binds, as in
/// `Path(id): Path<(u64, u8)>`: any type that is `Display`, a path, an `Option` of these, or else `Debug`. In a running tree the mark is the
/// process's field `batch`. It is shown as `name <batch001:2106>`, the number being the
/// server's. Otherwise as [`macro@normal_task`].
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

/// Records a function that runs on another thread or task, under the tree that it belongs to.
///
/// An async function captures the context of its caller when it is called. A sync function, or one called without a
/// context, attaches to the one tree that is running in this program, if no other was since its thread was started; else it needs
/// the context carried to it, or it becomes a tree of its own, with a warning. Otherwise as [`macro@normal_task`].
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

/// Continues the tree of a caller in another program, whose ids are the function's parameters `root_id` and `parent_id`.
///
/// They may be `RootId` and `ProcessId`, `String`, `&str`, or an `Option` of those. The root's id in both places, or alone, continues
/// the tree below its root. A root's id that is empty or malformed doesn't disturb the call: it becomes a tree of its own. Otherwise as [`macro@normal_task`].
///
/// A parameter `traceparent`, text or an `Option` of it, stands for both: the W3C header as it came. At the edge, where most callers
/// send nothing, `#[cross_process(begin)]` begins a tree without a caller, and says nothing of it.
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
/// | argument | what it does |
/// |---|---|
/// | `kind = normal` | `normal` (so without it), `root` or `cross_thread`: the attribute that each gets |
/// | `skip(new, len)` | functions without an attribute; `Cache.len` is that of one type alone |
/// | `prefix = "db"` | stands before all names: `db::Cache::get` |
/// | `crate = path` | where `monitor-client` is, if not at `::monitor_client` |
///
/// | function | what becomes of it |
/// |---|---|
/// | free, in the module | recorded as `name` |
/// | of an impl, of a trait or not, and one that a trait provides | recorded as `Type::name` |
/// | with one of the four attributes, or of an impl with a `#[monitor_all]` | as that one says |
/// | `const`, variadic, or without a body | left out |
/// | made by a macro, be it `derive` | left out: attributes don't see what macros make |
/// | in a module within the module, or within another function | left out |
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
///     #[monitor_client::normal_task("how many there are", ret)]
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

/// What `cargo monitor` inserts: `#[woven(kind, guard, outermost, "name", batch = "parameter")]`, all but the kind left out where not needed.
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
    // The item itself is kept if the attribute is wrong, so that nothing else breaks.
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
