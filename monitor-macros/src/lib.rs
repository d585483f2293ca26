//! The attributes of Process Monitor. Use them from `monitor-client`, which what they make calls into.
//!
//! `args` reads what stands in the brackets, `plan` holds the rules, `expand` writes the code and cannot fail.

mod args;
mod carry;
mod expand;
mod function;
mod mistakes;
mod plan;

use proc_macro::TokenStream;
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
/// - `#[normal_task]` names the process after the function.
/// - `#[normal_task("name")]` or `#[normal_task(name = "name")]` names it so.
/// - `crate = path` says where `monitor-client` is, if not at `::monitor_client`.
///
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
    attribute(Kind::Normal, args, item)
}

/// Begins a tree with each call of a function; inside a running tree it joins that one as a child.
///
/// `#[root_task("name", "parameter")]` or `#[root_task(name = "name", batch = "parameter")]` marks the batch by the value
/// of a parameter: any type that is `Display`, a path, an `Option` of these, or else `Debug`. In a running tree the mark is the
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
    attribute(Kind::Root, args, item)
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
/// let size = monitor_client::spawn(|| compile("part")).join().unwrap();
/// assert_eq!(size, 4);
/// ```
#[proc_macro_attribute]
pub fn cross_thread(args: TokenStream, item: TokenStream) -> TokenStream {
    attribute(Kind::CrossThread, args, item)
}

/// Continues the tree of a caller in another program, whose ids are the function's parameters `root_id` and `parent_id`.
///
/// They may be `RootId` and `ProcessId`, `String`, `&str`, or an `Option` of those. The root's id in both places, or alone, continues
/// the tree below its root. A root's id that is empty or malformed doesn't disturb the call: it becomes a tree of its own. Otherwise as [`macro@normal_task`].
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
/// ```
#[proc_macro_attribute]
pub fn cross_process(args: TokenStream, item: TokenStream) -> TokenStream {
    attribute(Kind::CrossProcess, args, item)
}

/// What `cargo monitor` inserts: `#[woven(kind, guard, outermost, "name", batch = "parameter")]`, all but the kind left out where not needed.
#[doc(hidden)]
#[proc_macro_attribute]
pub fn woven(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut mistakes = Mistakes::default();
    let (kind, args) = Args::parse_woven(args.into(), &mut mistakes);
    expand(kind, args, item, mistakes)
}

fn attribute(kind: Kind, args: TokenStream, item: TokenStream) -> TokenStream {
    let mut mistakes = Mistakes::default();
    let args = Args::parse(args.into(), &mut mistakes);
    expand(kind, args, item, mistakes)
}

fn expand(kind: Kind, args: Args, item: TokenStream, mut mistakes: Mistakes) -> TokenStream {
    // Whatever is wrong with the attribute, the item itself stays, so that nothing else breaks.
    let mut unmonitored = item.clone();
    let plan = Function::parse(item.into(), &mut mistakes).map(|function| Plan::new(kind, args, function, &mut mistakes));
    match plan {
        Some(plan) if mistakes.is_empty() => expand::expand(plan).into(),
        _ => {
            unmonitored.extend(TokenStream::from(mistakes.into_token_stream()));
            unmonitored
        }
    }
}
