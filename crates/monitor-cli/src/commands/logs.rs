//! `monitor logs`

use std::collections::{HashMap, HashSet, VecDeque};
use std::io::Write;

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use monitor_api::{Error, Order, StreamItem};
use monitor_wire::{LogEntry, LogsPage, ProcessId, Root, StreamMessage, WorkerId};

use crate::client::{Connection, escape_controls};
use crate::exit;
use crate::text::{exact_moment, visible};

const EXAMPLES: &str = "\
Examples:
  monitor logs 2106                         Show the log of a run
  monitor logs 2106 a3ce929d0e0e4736 -f     Follow the log of one process
  monitor logs 2106 --level warn --tail 20  Show the last warnings and errors
  monitor logs 2106 --json | jq .message    Print one JSON object per line

Of each process, the server keeps the first and the last 5,000 lines (its setting `logs-kept`), and counts those in between.";

/// Number of lines per request.
const PAGE: usize = 1_000;

/// Show the log of a run or of a process
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::SERVER))]
pub(crate) struct Args {
    /// Number of the run, such as 2106 in `name <batch001:2106>`, or its id (32 hex digits)
    #[arg(value_name = "RUN")]
    root: String,
    /// Only this process of the run: its id (16 hex digits)
    process: Option<ProcessId>,
    /// Show new lines until the process, or else the run, ends
    #[arg(short, long)]
    follow: bool,
    /// Only lines with this level or a more severe one
    #[arg(long, value_enum)]
    level: Option<Level>,
    /// Only lines with this text in the message, target or fields, ignoring case
    #[arg(long, value_name = "TEXT")]
    q: Option<String>,
    /// Show only this number of the last lines
    #[arg(long, value_name = "LINES")]
    tail: Option<usize>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl Level {
    /// The level with this name, if it is known.
    fn of(word: &str) -> Option<Self> {
        Self::value_variants().iter().copied().find(|level| level.name() == word)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let mut printer = Printer { args, names: HashMap::new(), printed: VecDeque::new() };
    let mut shown = Shown::default();
    match args.tail {
        Some(lines) => tail(args, lines, &mut printer, &mut shown)?,
        None => list(args, &mut printer, &mut shown)?,
    }
    let Some(as_of) = shown.as_of.filter(|_| args.follow) else { return Ok(()) };
    if is_over(args)? {
        return rest(args, &mut printer);
    }
    follow(args, as_of, &mut printer, &shown)?;
    rest(args, &mut printer)
}

/// Shows new lines until the process or run ends.
fn follow(args: &Args, as_of: u64, printer: &mut Printer<'_>, shown: &Shown) -> anyhow::Result<()> {
    // Processes of a lost or offline worker end without an event of their own, and deleted ones have none.
    let types = ["process-logged", "process-ended", "worker-offline", "roots-dropped"];
    let mut stream = args.connection.client()?.stream().root(&args.root).types(types).after(as_of).open();
    let mut is_said = false;
    loop {
        match args.connection.wait(stream.next())? {
            StreamItem::Gap { .. } => {
                say("the server has forgotten some of what happened: lines may be missing here")?;
                if is_over(args)? {
                    return Ok(());
                }
            }
            StreamItem::Interrupted { error, .. } => {
                if !std::mem::replace(&mut is_said, true) {
                    say(&format!("{error}; trying again"))?;
                }
            }
            StreamItem::Event { message, .. } => {
                if let Some(entry) = &message.log
                    && is_wanted(args, entry)
                    && !shown.later.contains(&(entry.worker_id, entry.number))
                {
                    printer.print(entry)?;
                }
                if ends(args, &message)? {
                    return Ok(());
                }
            }
            _ => is_said = false,
        }
    }
}

/// Lines that were listed before the stream is followed.
#[derive(Default)]
struct Shown {
    /// `as_of` of the first page: later events are on the stream.
    as_of: Option<u64>,
    /// Lines of later pages, which the stream may contain, too.
    later: HashSet<(WorkerId, u64)>,
}

impl Shown {
    fn take(&mut self, page: &LogsPage) {
        if self.as_of.is_some() {
            self.later.extend(page.logs.iter().map(|entry| (entry.worker_id, entry.number)));
        }
        self.as_of.get_or_insert(page.as_of);
    }
}

fn ask(args: &Args, order: Order, limit: usize, cursor: Option<&str>) -> Result<LogsPage, Error> {
    let client = args.connection.client()?;
    let mut call = match args.process {
        Some(process) => client.process_logs(&args.root, process),
        None => client.logs(&args.root),
    };
    call = call.order(order).limit(limit);
    if let Some(level) = args.level {
        call = call.level(level.name());
    }
    if let Some(text) = &args.q {
        call = call.containing(text);
    }
    if let Some(cursor) = cursor {
        call = call.cursor(cursor);
    }
    args.connection.ask(call)
}

/// Prints all lines, oldest first.
fn list(args: &Args, printer: &mut Printer<'_>, shown: &mut Shown) -> anyhow::Result<()> {
    let mut cursor: Option<String> = None;
    loop {
        let page = ask(args, Order::Oldest, PAGE, cursor.as_deref())?;
        let is_first = shown.as_of.is_none();
        shown.take(&page);
        if is_first && page.missing > 0 {
            let place = page.gap.map(|gap| format!(", from {} to {}", exact_moment(gap.after_us), exact_moment(gap.before_us)));
            say(&format!("{} lines were not kept{}", page.missing, place.unwrap_or_default()))?;
        }
        page.logs.iter().try_for_each(|entry| printer.print(entry))?;
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(());
        }
    }
}

/// Prints the last lines, oldest first.
fn tail(args: &Args, lines: usize, printer: &mut Printer<'_>, shown: &mut Shown) -> anyhow::Result<()> {
    let (mut entries, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let page = ask(args, Order::Newest, (lines - entries.len()).clamp(1, PAGE), cursor.as_deref())?;
        shown.take(&page);
        entries.extend(page.logs);
        cursor = page.next_cursor;
        if cursor.is_none() || entries.len() >= lines {
            break;
        }
    }
    // Lines that are cut off count as printed, so that only newer lines follow.
    entries.iter().skip(lines).rev().for_each(|entry| printer.pass(entry));
    entries.truncate(lines);
    entries.iter().rev().try_for_each(|entry| printer.print(entry))
}

/// Prints the lines up to the end. A stream message shows the root's state after its whole batch, so the end can be visible before the last
/// lines arrive. The first check of the state can also be ahead of the lines.
fn rest(args: &Args, printer: &mut Printer<'_>) -> anyhow::Result<()> {
    let page = ask(args, Order::Newest, PAGE, None)?;
    let is_printed = |entry: &LogEntry, printer: &Printer<'_>| printer.printed.contains(&(entry.worker_id, entry.number));
    // Lines older than the oldest printed line were not requested.
    let oldest = page.logs.iter().rposition(|entry| is_printed(entry, printer)).unwrap_or(page.logs.len());
    for entry in page.logs[..oldest].iter().rev() {
        if !is_printed(entry, printer) {
            printer.print(entry)?;
        }
    }
    Ok(())
}

fn is_wanted(args: &Args, entry: &LogEntry) -> bool {
    let is_severe = args.level.is_none_or(|least| Level::of(&entry.level).is_none_or(|level| level <= least));
    let has = |text: &str, part: &str| text.to_lowercase().contains(part);
    let has_text = args.q.as_ref().is_none_or(|part| {
        let part = part.to_lowercase();
        has(&entry.message, &part)
            || entry.target.as_ref().is_some_and(|target| has(target, &part))
            || entry.fields.iter().any(|(key, value)| has(key, &part) || has(&text_of(value), &part))
    });
    args.process.is_none_or(|process| process == entry.process_id) && is_severe && has_text
}

/// Returns true if no more lines can follow.
fn is_over(args: &Args) -> Result<bool, Error> {
    let client = args.connection.client()?;
    let state = match args.process {
        Some(id) => args.connection.ask(client.process(&args.root, id))?.state,
        None => args.connection.ask(client.root(&args.root))?.state,
    };
    Ok(is_final(state.as_str()))
}

/// Returns true if this message ends the followed process or run. If a worker leaves many processes, there is a message per tree only.
fn ends(args: &Args, message: &StreamMessage) -> Result<bool, Error> {
    if message.event.type_name() == "roots-dropped" {
        return is_over(args);
    }
    let Some(root) = message.root.as_ref().filter(|root| is_asked_for(args, root)) else { return Ok(false) };
    match (args.process, &message.process) {
        (None, _) => Ok(is_final(root.state.as_str())),
        (Some(_), None) => is_over(args),
        (Some(id), Some(process)) => Ok(process.id == id && is_final(process.state.as_str())),
    }
}

/// Events of a worker arrive for all its trees.
fn is_asked_for(args: &Args, root: &Root) -> bool {
    root.root_id.to_string() == args.root || root.number.to_string() == args.root
}

fn is_final(state: &str) -> bool {
    !matches!(state, "pending" | "running" | "lost")
}

/// Prints to stderr, so that stdout contains only log lines.
fn say(words: &str) -> anyhow::Result<()> {
    Ok(writeln!(anstream::stderr(), "monitor: {}", visible(words))?)
}

fn text_of(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

struct Printer<'a> {
    args: &'a Args,
    names: HashMap<ProcessId, String>,
    /// The last lines that were printed or cut off.
    printed: VecDeque<(WorkerId, u64)>,
}

impl Printer<'_> {
    fn pass(&mut self, entry: &LogEntry) {
        self.printed.truncate(PAGE - 1);
        self.printed.push_front((entry.worker_id, entry.number));
    }

    fn print(&mut self, entry: &LogEntry) -> anyhow::Result<()> {
        self.pass(entry);
        let mut out = anstream::stdout().lock();
        if self.args.connection.json {
            writeln!(out, "{}", escape_controls(&serde_json::to_string(entry)?))?;
            return Ok(out.flush()?);
        }
        let level = format!("{:<5}", visible(&entry.level));
        let style = style(&entry.level);
        write!(out, "{}  {style}{level}{style:#}  ", exact_moment(entry.time_us))?;
        if self.args.process.is_none() {
            write!(out, "{}: ", visible(self.name(entry.process_id)))?;
        }
        write!(out, "{}", visible(&entry.message))?;
        for (key, value) in &entry.fields {
            write!(out, " {}={}", visible(key), visible(&text_of(value)))?;
        }
        writeln!(out)?;
        Ok(out.flush()?)
    }

    /// The name of the process, or its id if no name is known.
    fn name(&mut self, id: ProcessId) -> &str {
        let Args { root, connection, .. } = self.args;
        self.names.entry(id).or_insert_with(|| {
            let found = connection.client().and_then(|client| connection.ask(client.process(root, id)));
            found.ok().map(|process| process.name).filter(|name| !name.is_empty()).unwrap_or_else(|| id.to_string())
        })
    }
}

fn style(level: &str) -> Style {
    match Level::of(level) {
        Some(Level::Error) => AnsiColor::Red.on_default(),
        Some(Level::Warn) => AnsiColor::Yellow.on_default(),
        Some(Level::Debug | Level::Trace) => Style::new().dimmed(),
        Some(Level::Info) | None => Style::new(),
    }
}
