//! Methods that a program executes for a server.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};

use monitor_wire::{
    CommandOrder, CommandStatus, Fields, Method, MethodGroup, MethodScope, Order, ProcessId, ProgramOrder, READING_METHODS, RootId,
};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::{Listener, MOST_TOLD, program, source};
use crate::commands;
use crate::settings::Allowed;
use crate::ship::shipper::Shared;
use monitor_spool::now_us;

/// Maximum number of method names that a server accepts.
const MOST_METHODS: usize = 64;
/// Maximum number of the program's own methods that run at once.
const MOST_RUNNING: usize = 8;
/// Maximum size of an answer, as JSON in bytes, without the reply around it.
const LARGEST: usize = (1 << 20) - (16 << 10);

static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// Status, answer, and error message.
pub(super) type Answered = (CommandStatus, Option<Value>, Option<String>);

/// Returns the methods that the client library executes in every program: those that read, or those that change something.
fn of_library(is_reading: bool) -> impl Iterator<Item = &'static str> {
    let methods = Method::ALL.iter().filter(|method| method.group != MethodGroup::Queue);
    methods.filter(move |method| (method.scope == MethodScope::Read) == is_reading).map(|method| method.name)
}

/// Returns the names of the methods that the program offers.
pub(super) fn offered(allowed: &Allowed) -> Vec<&'static str> {
    let own = commands::names().into_iter().filter(|name| commands::is_method(name));
    let of_source = commands::source().map(commands::TaskSource::methods).unwrap_or_default();
    let (reading, changing): (Vec<&str>, Vec<&str>) = of_source.iter().partition(|name| READING_METHODS.contains(name));
    let changing = of_library(false).chain(changing).chain(own).filter(|name| allowed.allows(name));
    let mut offered: Vec<&str> = of_library(true).chain(reading).collect();
    for name in changing {
        if !offered.contains(&name) {
            offered.push(name);
        }
    }
    offered.truncate(MOST_METHODS);
    offered
}

/// Executes an order.
pub(super) async fn answer(listener: &Listener, order: &CommandOrder) -> Answered {
    let Listener { shared, allowed, since_us, conf, .. } = listener;
    let answered = match order.method.as_str() {
        "ping" => ok("pong".into()),
        "stats" => source::stats(stats(shared, *since_us)).await,
        "active" => active(shared).await,
        "registered" => ok(registered()),
        "conf" => {
            let mut conf = conf.clone();
            shared.switches.show(&mut conf);
            source::conf(conf).await
        }
        known if source::is_asked(known) => source::answer(allowed, order).await,
        changing if of_library(false).any(|name| name == changing) && !allowed.allows(changing) => refused(changing),
        "cancel" => cancel(&order.arguments),
        known if ProgramOrder::METHODS.contains(&known) => program::answer(shared, order).await,
        own => match commands::find(own) {
            None if Order::METHODS.contains(&own) => {
                let why = "nothing in this program answers for tasks of a queue (`commands::register_source`)";
                (CommandStatus::UNSUPPORTED, None, Some(why.to_owned()))
            }
            None => (CommandStatus::UNSUPPORTED, None, Some(format!("there is no method {own:?} here"))),
            Some(_) if !allowed.allows(own) => refused(own),
            Some(method) => call(method, order.arguments.clone()).await,
        },
    };
    match &answered.1 {
        Some(value) if serde_json::to_vec(value).map_or(0, |json| json.len()) > LARGEST => {
            (CommandStatus::ERROR, None, Some(format!("the answer is larger than {LARGEST} bytes")))
        }
        _ => answered,
    }
}

pub(super) fn refused(method: &str) -> Answered {
    let why = format!("it was started without the right to: MONITOR_COMMANDS=all, or read,{method}, gives it");
    (CommandStatus::REFUSED, None, Some(why))
}

pub(super) fn error(why: &str) -> Answered {
    (CommandStatus::ERROR, None, Some(why.to_owned()))
}

/// Cancels processes of a tree: those with the given ids, or all that run here.
fn cancel(arguments: &Fields) -> Answered {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let root = arguments.get("root_id").and_then(text).and_then(|id| id.parse::<RootId>().ok());
    let Some(root) = root else { return error("`root_id`: expected the id of a tree, 32 hex digits") };
    let ids = match arguments.get("processes") {
        None => None,
        Some(Value::Array(ids)) => {
            let ids = ids.iter().map(|id| text(id)?.parse::<ProcessId>().ok().map(ProcessId::get)).collect::<Option<Vec<u64>>>();
            let Some(ids) = ids else { return error("`processes`: expected ids of processes, 16 hex digits each") };
            Some(ids)
        }
        Some(_) => return error("`processes`: expected a list of ids"),
    };
    ok(json!({ "aborted": crate::cancel::request(root.get(), ids.as_deref()) }))
}

pub(super) fn ok(value: Value) -> Answered {
    (CommandStatus::OK, Some(value), None)
}

/// Returns statistics of the program and its recording.
fn stats(shared: &Rc<Shared>, since_us: u64) -> Value {
    let mut stats = json!({
        "pid": std::process::id(),
        "version": env!("CARGO_PKG_VERSION"),
        "recording_since_us": since_us,
        "broken_callers": crate::broken_callers(),
    });
    {
        let outbox = shared.outbox.borrow();
        stats["events"] = outbox.last().into();
        stats["events_sent"] = outbox.settled().into();
        stats["waiting_bytes"] = outbox.bytes().into();
        stats["waiting_in_spool"] = json!(outbox.kept());
        let dropped: u64 = outbox.dropped().iter().map(|dropped| dropped.count).sum();
        stats["dropped"] = dropped.into();
    }
    if let (Value::Object(stats), Value::Object(system)) = (&mut stats, system()) {
        stats.extend(system);
        stats.extend(crate::tokio::figures());
    }
    stats
}

/// Returns the operating system's statistics of this process.
#[cfg(target_os = "linux")]
fn system() -> Value {
    // Length of a tick, the unit of the processor times that the kernel reports to programs, on every machine.
    const TICK_NS: u64 = 10_000_000;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let number = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The second field is a name, which may contain any characters.
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).map(|ticks| ticks * TICK_NS);
    json!({
        "memory_bytes": number("VmRSS").map(|kibibytes| kibibytes << 10),
        "peak_memory_bytes": number("VmHWM").map(|kibibytes| kibibytes << 10),
        "threads": number("Threads"),
        "files": std::fs::read_dir("/proc/self/fd").map(Iterator::count).ok(),
        "cpu_user_ns": ticks(11),
        "cpu_system_ns": ticks(12),
    })
}

#[cfg(not(target_os = "linux"))]
fn system() -> Value {
    json!({})
}

/// Returns the running processes.
async fn active(shared: &Rc<Shared>) -> Answered {
    let (tell, told) = oneshot::channel();
    shared.asking.borrow_mut().push(tell);
    // The shipper answers when it is woken.
    shared.sent.notify_one();
    let Ok((running, more)) = told.await else {
        return (CommandStatus::ERROR, None, Some("the program ends".to_owned()));
    };
    let now = now_us();
    let process = |running: &monitor_core::Running| {
        json!({
            "root_id": RootId::new(running.root),
            "id": ProcessId::new(running.id),
            "name": running.name,
            "started_us": running.time_us,
            "elapsed_ns": now.saturating_sub(running.time_us) * 1_000,
        })
    };
    ok(json!({ "processes": running.iter().map(process).collect::<Vec<_>>(), "more": more }))
}

/// Returns the attributed functions of the program.
fn registered() -> Value {
    let mut functions: Vec<_> = crate::registered().collect();
    functions.sort_by(|a, b| (&a.name, &a.source.file, a.source.line).cmp(&(&b.name, &b.source.file, b.source.line)));
    let more = functions.len().saturating_sub(MOST_TOLD);
    functions.truncate(MOST_TOLD);
    json!({ "functions": functions, "more": more })
}

/// Calls a method of the program, unless too many run already.
pub(super) async fn call(method: commands::Method, arguments: Fields) -> Answered {
    if RUNNING.fetch_add(1, Ordering::AcqRel) >= MOST_RUNNING {
        RUNNING.fetch_sub(1, Ordering::AcqRel);
        return error("as many methods run as may run at once");
    }
    let running = Running;
    on_thread(move || {
        let _running = running;
        method(arguments)
    })
    .await
}

/// Counts a running method until it is dropped.
struct Running;

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Calls the program's code on a thread of its own, so that the shipper continues.
pub(super) async fn on_thread(work: impl FnOnce() -> Result<Value, String> + Send + 'static) -> Answered {
    let (tell, told) = oneshot::channel();
    let run = move || {
        let answered = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| {
            let words = crate::ship::guard::words(&*payload).to_owned();
            // Dropping the payload may panic again.
            std::mem::forget(payload);
            Err(format!("it panicked: {words}"))
        });
        // Waking a shipper whose files the program has closed panics inside tokio.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(tell.send(answered))));
    };
    if let Err(why) = std::thread::Builder::new().name("monitor-command".to_owned()).spawn(run) {
        return error(&format!("no thread could be started: {why}"));
    }
    match told.await {
        Ok(Ok(value)) => ok(value),
        Ok(Err(why)) => (CommandStatus::ERROR, None, Some(why)),
        Err(_) => error("it did not end"),
    }
}
