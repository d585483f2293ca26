//! The functions called by the code that an attribute generates. Not for users: this module changes without notice.
//!
//! `monitor-client` re-exports it as `monitor_client::__private` and adds `remote`, which reads the ids of a
//! `#[cross_process]` function into a [`Remote`].

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

pub use crate::attach::Remote;
use crate::attach::{Bond, attach};
use crate::context::Context;
use crate::current::{self, CurrentGuard};
use crate::future;
use crate::future::{Finish, Keep, Succeed};
pub use crate::future::{Run, Task};
use crate::inside;
use crate::levels::EventLevel;
use crate::live::{Draft, Live};
use crate::panic;
use crate::quiet::Quiet;
pub use crate::record::{Failure, Site};
use crate::record::{Origin, StartExtra};
use crate::ring::{self, Begun, Call};
use crate::sending;
use crate::switch;

pub use crate::done::Done;
pub use crate::future::InCurrent;
pub use crate::{__outermost as outermost, __site as site};
pub use carried::{Carried, CarriedOnce, Entered, Lender};
pub use outermost::{IsOpen, Outermost};
pub use std::thread_local;
pub use telling::tell;

pub use crate::told::Told;

/// The site of all calls if nothing is recorded.
#[cfg(not(feature = "record"))]
pub static NOWHERE: Site = Site::new("", "", "", 0);

mod carried;
mod ending;
mod outermost;
pub mod probe;
mod telling;

/// The information about a start that depends on the kind of the attribute.
#[derive(Debug)]
pub enum How {
    /// `#[normal_task]`
    Normal,
    /// `#[root_task]`
    Root,
    /// `#[cross_thread]`
    CrossThread,
    /// A normal call instrumented by `cargo monitor`.
    Woven,
    /// A call within another call of the same function, which is not recorded.
    Within,
    /// Values that need memory are boxed, so that this enum is passed in registers.
    Parameters(Box<Parameters>),
}

/// The information from a function's parameters.
#[derive(Debug)]
pub enum Parameters {
    /// `#[root_task]`: the batch mark, if the parameter has a value.
    Batch(Option<String>),
    /// `#[cross_process]`: the ids that the function was called with.
    CrossProcess(Remote),
}

/// Returns true if a call of this site is reported, even if only in case of a failure; the code that begins it checks for the latter
/// ([`current::take_quiet`]). Costs no more than [`switch::is_on`] while all processes are reported, or none.
#[inline]
fn is_told(site: &'static Site, how: &How) -> bool {
    switch::is_told(|| !matches!(how, How::Within) && is_leveled(site))
}

#[cold]
#[inline(never)]
fn is_leveled(site: &'static Site) -> bool {
    match switch::level_at(site) {
        _ if inside::is_inside() => false,
        EventLevel::Off => false,
        EventLevel::Roots => {
            current::arm_quiet();
            true
        }
        EventLevel::All | EventLevel::Watched => true,
    }
}

/// A process whose work is the rest of a sync function. It is current until it is dropped.
#[derive(Debug)]
pub struct Guard {
    running: Running,
}

#[derive(Debug)]
enum Running {
    /// Nothing is recorded, or the process has ended.
    Off,
    /// The process is in this thread's ring.
    InRing(Call),
    /// The process was recorded by the queue.
    Queued(Box<Queued>),
    /// The process is reported if it fails.
    Quiet(Quiet),
}

#[derive(Debug)]
struct Queued {
    live: Option<Live>,
    _current: CurrentGuard,
}

impl Guard {
    /// Starts a process, unless nothing is recorded.
    #[inline]
    pub fn enter(site: &'static Site, how: How) -> Self {
        Guard { running: if is_told(site, &how) { Running::start(site, how) } else { Running::Off } }
    }

    #[inline]
    fn is_off(&self) -> bool {
        !cfg!(feature = "record") || matches!(self.running, Running::Off)
    }

    #[inline]
    fn take(&mut self) -> Running {
        std::mem::replace(&mut self.running, Running::Off)
    }

    #[inline]
    fn call<A, R>(&mut self, parameters: A, body: impl FnOnce(A) -> R) -> R {
        catch_unwind(AssertUnwindSafe(|| body(parameters))).unwrap_or_else(|payload| {
            self.panicked(&*payload);
            resume_unwind(payload)
        })
    }

    #[cold]
    #[inline(never)]
    fn panicked(&mut self, payload: &(dyn Any + Send)) {
        match &mut self.running {
            Running::Queued(queued) => {
                if let Some(live) = queued.live.take() {
                    live.panic(panic::caught(payload));
                }
            }
            _ => self.take().end(Some(panic::caught(payload))),
        }
    }
}

impl Running {
    #[inline(never)]
    fn start(site: &'static Site, how: How) -> Self {
        if inside::is_inside() || matches!(how, How::Within) {
            return Running::Off;
        }
        if let How::Normal | How::Root | How::CrossThread | How::Woven = how {
            match ring::start(site, matches!(how, How::Woven)) {
                Begun::Recorded(call) => return Running::InRing(call),
                // The children of the call become children of the current process.
                Begun::Refused => return Running::Off,
                Begun::Elsewhere => {}
            }
        }
        Running::start_slowly(site, how)
    }

    /// Starts a process whose place must be determined first.
    #[inline(never)]
    fn start_slowly(site: &'static Site, how: How) -> Self {
        let is_quiet = current::take_quiet();
        if is_quiet && !matches!(how, How::Parameters(_)) && current::is_any() {
            return Running::Quiet(Quiet::begin(site));
        }
        let is_woven = matches!(how, How::Woven);
        let Some(draft) = draft(site, how, is_quiet) else { return Running::Off };
        let _inside = inside::enter();
        let live = if draft.extra.is_empty() && !draft.is_quiet {
            let lacks_room = !current::attach_ring();
            match ring::start_at(site, draft.attached, is_woven) {
                Begun::Recorded(call) => return Running::InRing(call),
                // Nothing becomes current, so that the next call within this one checks for room again. If the process were queued, all
                // calls within it would have rows until it ends.
                Begun::Refused if is_woven => return Running::Off,
                Begun::Elsewhere if is_woven && lacks_room => {
                    sending::refuse(draft.attached.parent.map_or(0, Context::root));
                    return Running::Off;
                }
                Begun::Refused => Live::refused(draft.attached.parent),
                Begun::Elsewhere => draft.start(),
            }
        } else {
            draft.start()
        };
        Running::Queued(Box::new(Queued { _current: CurrentGuard::of(live.push()), live: Some(live) }))
    }

    /// Ends the process as failed if the thread has begun to panic, and otherwise as succeeded.
    #[inline(never)]
    fn close(self) {
        match self {
            Running::Off => {}
            Running::InRing(call) => {
                let failure = call.panicked_meanwhile().then(panic::latest);
                call.end_with(failure);
            }
            Running::Queued(mut queued) => {
                let _inside = inside::enter();
                if let Some(live) = queued.live.take() {
                    live.close();
                }
            }
            Running::Quiet(quiet) => quiet.close(),
        }
    }

    #[inline(never)]
    fn end(self, failure: Option<Failure>) {
        match self {
            Running::Off => {}
            Running::InRing(call) => call.end_with(failure),
            Running::Queued(mut queued) => {
                let _inside = inside::enter();
                if let Some(live) = queued.live.take() {
                    live.end_with(failure);
                }
            }
            Running::Quiet(quiet) => quiet.end(failure),
        }
    }
}

impl Drop for Guard {
    #[inline]
    fn drop(&mut self) {
        if !self.is_off() {
            self.take().close();
        }
    }
}

#[inline(never)]
fn start_future(site: &'static Site, how: How) -> future::Running {
    if let How::Normal | How::Root | How::CrossThread | How::Woven = how {
        match ring::open(site, matches!(how, How::Woven)) {
            Begun::Recorded(slot) => return future::Running::InRing(slot),
            Begun::Refused => return refused_future(),
            Begun::Elsewhere => {}
        }
    }
    start_future_slowly(site, how)
}

#[cold]
#[inline(never)]
fn refused_future() -> future::Running {
    future::Running::begun(Live::refused(current::local()))
}

/// Starts a process whose place must be determined first.
#[inline(never)]
fn start_future_slowly(site: &'static Site, how: How) -> future::Running {
    draft(site, how, current::take_quiet()).map_or(future::Running::Off, future::Running::begin)
}

/// Returns the process to start. `None` if it is not recorded.
#[inline(never)]
fn draft(site: &'static Site, how: How, is_quiet: bool) -> Option<Draft> {
    let _inside = inside::enter();
    let mut extra = StartExtra::default();
    let bond = match how {
        How::Normal => Bond::Normal,
        How::Root => Bond::Root,
        How::CrossThread => Bond::CrossThread,
        // Nothing is begun for a call within another call.
        How::Woven | How::Within => Bond::Woven(site.name),
        How::Parameters(told) => match *told {
            Parameters::Batch(batch) => {
                extra.batch = batch;
                Bond::Root
            }
            Parameters::CrossProcess(remote) => Bond::Remote(remote),
        },
    };
    let origin = Origin::Site(site);
    let attached = attach(bond, &origin)?;
    let mut draft = Draft::new(origin, attached, extra, None);
    draft.is_quiet = is_quiet && draft.may_be_quiet();
    Some(draft)
}

/// Wraps the information from a parameter, which is only read if something is recorded.
#[inline]
pub fn how(tell: impl FnOnce() -> Parameters) -> How {
    if switch::is_recorded() { How::Parameters(Box::new(tell())) } else { How::Normal }
}

/// Calls the body of a function with its parameters. A panic ends the process.
///
/// The parameters are passed and not captured, so that they are dropped in the order of the original function.
#[inline]
pub fn call<A, R>(site: &'static Site, how: How, parameters: A, body: impl FnOnce(A) -> R) -> Done<Guard, R> {
    if is_told(site, &how) {
        return call_within(site, how, parameters, body);
    }
    Done { returned: body(parameters), process: Guard { running: Running::Off } }
}

/// Calls a body like [`call`], for a process that has already begun because values were recorded.
#[inline]
pub fn call_begun<A, R>(mut process: Guard, parameters: A, body: impl FnOnce(A) -> R) -> Done<Guard, R> {
    let returned = if process.is_off() { body(parameters) } else { process.call(parameters, body) };
    Done { process, returned }
}

/// Calls a body like [`call`], for a function whose return value can't be a failure.
#[inline]
pub fn call_simply<A, R>(site: &'static Site, how: How, parameters: A, body: impl FnOnce(A) -> R) -> R {
    if is_told(site, &how) {
        return call_within(site, how, parameters, body).succeed();
    }
    body(parameters)
}

/// Calls a body like [`call`], for woven functions, which may be recursive. Everything becomes part of the function's own stack frame,
/// which grows only by the guard. The guard detects panics.
#[expect(clippy::inline_always, reason = "without optimization it would be a frame of its own, with a copy of what is returned")]
#[inline(always)]
pub fn call_in_place<A, R>(site: &'static Site, how: How, parameters: A, body: impl FnOnce(A) -> R) -> Done<Guard, R> {
    let process = Guard::enter(site, how);
    Done { returned: body(parameters), process }
}

/// A separate function, so that a call that isn't recorded needs no cleanup code.
#[inline(never)]
fn call_within<A, R>(site: &'static Site, how: How, parameters: A, body: impl FnOnce(A) -> R) -> Done<Guard, R> {
    let mut process = Guard { running: Running::start(site, how) };
    let returned = process.call(parameters, body);
    Done { process, returned }
}

/// Runs the body of an async function.
#[inline]
pub fn run<R, F: Future<Output = R>>(site: &'static Site, how: How, body: F) -> Run<F, Keep> {
    Run::new(start(site, how), body, Keep)
}

/// Runs a body like [`run`], for a function whose return value can't be a failure.
#[inline]
pub fn run_simply<R, F: Future<Output = R>>(site: &'static Site, how: How, body: F) -> Run<F, Succeed> {
    Run::new(start(site, how), body, Succeed)
}

/// Runs a body like [`run`], for a process that has already begun because values were recorded.
#[inline]
pub fn run_begun<R, F: Future<Output = R>>(task: Task, body: F) -> Run<F, Keep> {
    Run::new(task, body, Keep)
}

/// Wraps the future of a function that returns one. Its process is a child of the process that is current at the call, and begins at the
/// first poll. `finish` ends the process.
#[inline]
pub fn run_later<F: Future, N: Fn(Done<Task, F::Output>) -> F::Output>(task: Task, body: F, finish: N) -> Run<F, Finish<N>> {
    Run::new(task, body, Finish(finish))
}

/// Wraps a future like [`run_later`], if its output can't be a failure.
#[inline]
pub fn run_later_simply<F: Future>(task: Task, body: F) -> Run<F, Succeed> {
    Run::new(task, body, Succeed)
}

/// Starts the process of an async function, unless nothing is recorded.
#[inline]
pub fn start(site: &'static Site, how: How) -> Task {
    Task::new(if is_told(site, &how) && !inside::is_inside() { start_future(site, how) } else { future::Running::Off })
}

/// Determines the parent, unless nothing is recorded. The process starts when its future is first polled.
#[inline]
pub fn capture(site: &'static Site, how: How) -> Task {
    if is_told(site, &how) && !inside::is_inside() {
        draft(site, how, current::take_quiet()).map_or_else(Task::off, Task::pending)
    } else {
        Task::off()
    }
}

/// Creates the future of a function that returns `impl Future<Output = T>`. Sets `T` before the body is type-checked, as the signature of
/// the original function does.
#[inline]
pub fn future<T, F: Future<Output = T>, A>(parameters: A, body: impl FnOnce(A) -> F) -> F {
    body(parameters)
}

/// Sets the type of an async block, so that `?` and coercions work as in the original function. Never called.
pub fn never<R>() -> R {
    unreachable!("stands behind `if false`")
}

/// Defines the site of an attributed function and registers it.
#[cfg(feature = "record")]
#[doc(hidden)]
#[macro_export]
macro_rules! __site {
    ($name:expr, $kind:expr, $line:expr $(, timeout_ms = $timeout_ms:expr)?) => {{
        // The section of `site.rs`.
        #[used]
        #[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__monitor_sites,regular,no_dead_strip"))]
        #[cfg_attr(windows, unsafe(link_section = ".monitor_sites$b"))]
        #[cfg_attr(not(any(target_vendor = "apple", windows)), unsafe(link_section = "monitor_sites"))]
        static SITE: $crate::private::Site = $crate::private::Site {
            $(timeout_ms: $timeout_ms,)?
            module: &::core::module_path!(),
            ..$crate::private::Site::new($name, $kind, ::core::file!(), $line)
        };
        &SITE
    }};
}

/// Returns a placeholder for the site of an attributed function, which is not used.
#[cfg(not(feature = "record"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __site {
    ($name:expr, $kind:expr, $line:expr $(, timeout_ms = $timeout_ms:expr)?) => {
        &$crate::private::NOWHERE
    };
}
