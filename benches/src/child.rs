//! A contender in a process of its own. It reads orders as lines on stdin, and writes a number per order on stdout.

use std::fmt;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use core_affinity::CoreId;

use crate::contenders::{self, Contender};
use crate::cores;
use crate::server::Server;
use crate::work::Shape;

/// Order to a child: trees of the same shape.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order {
    pub(crate) verb: Verb,
    pub(crate) shape: Shape,
    pub(crate) trees: u64,
    pub(crate) calls: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    /// Answers how many nanoseconds all trees took.
    Time,
    /// Answers how many spans the exporter was given so far.
    Count,
    /// Stands between two marks that callgrind sees.
    Mark,
}

/// Environment of a child.
#[derive(Clone, Copy, Default)]
pub(crate) struct Around<'a> {
    /// The server that receives its records, if it is ours and on.
    pub(crate) server: Option<&'a Server>,
    /// The program that runs it, with its arguments.
    pub(crate) wrapper: &'a [String],
    /// Settings of ours that are not the defaults.
    pub(crate) settings: &'a [(&'a str, &'a str)],
}

/// The parent's end.
pub(crate) struct Child {
    process: std::process::Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Child {
    /// A contender that is set up and waits.
    pub(crate) fn start(contender: &Contender, around: Around<'_>) -> Result<Self> {
        let own = std::env::current_exe().context("this program has no path")?;
        let mut command = cores::command(around.wrapper.first().map_or(own.as_os_str(), |wrapper| wrapper.as_ref()));
        if let [_, arguments @ ..] = around.wrapper {
            command.args(arguments).arg(&own);
        }
        command.args(["contender", contender.name]);
        if let Some((front, _)) = cores::pair() {
            command.args(["--core", &front.id.to_string()]);
        }
        // hotpath would listen on a port.
        command.env("HOTPATH_METRICS_SERVER_OFF", "1");
        if contender.is_monitored {
            let server = around.server.context("who is monitored needs a server")?;
            command.env("MONITOR_ENABLED", "1").env("MONITOR_SERVER_URL", server.url()).env("MONITOR_SPOOL_DIR", server.spool());
            command.envs(contender.settings.iter().copied()).envs(around.settings.iter().copied());
        }
        let mut process = cores::spawn_behind(command.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
        let stdin = process.stdin.take().context("piped")?;
        let stdout = BufReader::new(process.stdout.take().context("piped")?);
        Ok(Self { process, stdin, stdout })
    }

    /// Sends an order, and waits for the answer.
    pub(crate) fn ask(&mut self, order: Order) -> Result<u64> {
        writeln!(self.stdin, "{order}")?;
        let mut answer = String::new();
        self.stdout.read_line(&mut answer)?;
        answer.trim().parse().with_context(|| format!("a contender answered {answer:?} to {order}"))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {} {} {}", self.verb, self.shape.name(), self.trees, self.calls)
    }
}

impl Order {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let verb = match words.next()? {
            "Time" => Verb::Time,
            "Count" => Verb::Count,
            "Mark" => Verb::Mark,
            _ => return None,
        };
        let shape = Shape::named(words.next()?)?;
        Some(Self { verb, shape, trees: words.next()?.parse().ok()?, calls: words.next()?.parse().ok()? })
    }
}

/// Calls before each measurement, which are not counted: they wake threads and warm caches.
const WARM_UP_CALLS: u64 = 10;

/// Runs in the child: executes the orders on stdin until it is closed.
pub(crate) fn serve(name: &str, core: Option<usize>) -> Result<()> {
    let Some(contender) = contenders::named(name) else { bail!("there is no contender {name:?}") };
    let running = (contender.start)();
    // The first call starts threads, and they are to stay behind.
    (contender.tree)(Shape::Sync, WARM_UP_CALLS);
    if let Some(id) = core {
        core_affinity::set_for_current(CoreId { id });
    }
    for line in io::stdin().lock().lines() {
        let line = line?;
        let order = Order::parse(&line).with_context(|| format!("not understood: {line:?}"))?;
        let answer = obey(contender, order);
        (running.settle)();
        let answer = if order.verb == Verb::Count { contenders::exported() } else { answer };
        writeln!(io::stdout(), "{answer}")?;
    }
    Ok(())
}

/// Calls the trees; how many nanoseconds that took.
fn obey(contender: &Contender, order: Order) -> u64 {
    if order.verb != Verb::Count {
        (contender.tree)(order.shape, WARM_UP_CALLS);
    }
    if order.verb == Verb::Mark {
        callgrind_mark();
    }
    let begin = Instant::now();
    for _ in 0..order.trees {
        (contender.tree)(order.shape, order.calls);
    }
    let taken = begin.elapsed();
    if order.verb == Verb::Mark {
        callgrind_mark();
    }
    taken.as_nanos() as u64
}

/// callgrind dumps and resets its counters when this function is called.
#[inline(never)]
fn callgrind_mark() {
    std::hint::black_box(());
}
