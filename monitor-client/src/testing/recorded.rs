//! The processes that a test recorded, and their tree as text.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt::{self, Write};

use monitor_core::record::{Origin, Outcome, Record, Started, TaskStep, Tasked};
use monitor_core::{Level, Value};

/// Processes recorded below one root. Formats as the tree that [`assert_tree!`](crate::assert_tree) compares.
///
/// # Examples
///
/// ```
/// use monitor_client::{Process, testing::record};
///
/// let recorded = record(|| Process::builder("import").run_any(|_| drop(Process::builder("read").begin())));
/// assert_eq!(recorded.to_string(), "import\n  read");
/// ```
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Processes in the order of their starts.
    processes: Vec<RecordedProcess>,
    outside: Vec<String>,
    outside_count: usize,
    dropped: u64,
}

/// A recorded process.
///
/// # Examples
///
/// ```
/// use monitor_client::{Process, testing::record};
///
/// let recorded = record(|| Process::builder("import").begin().fail("no such table"));
/// let import = recorded.find("import");
/// assert_eq!((import.state(), import.failure()), ("failed", Some("no such table")));
/// ```
#[derive(Debug, Clone)]
pub struct RecordedProcess {
    id: u64,
    parent: u64,
    time_us: u64,
    name: String,
    kind: String,
    batch: Option<String>,
    fields: BTreeMap<String, Value>,
    logs: Vec<LogLine>,
    outcome: Option<Outcome>,
    /// True if the process is a task that no worker has started.
    is_waiting: bool,
}

/// A log line of a process.
///
/// # Examples
///
/// ```
/// use monitor_client::{Level, Process, testing::{LogLine, record}};
///
/// let recorded = record(|| Process::builder("import").begin().log(Level::Warn, "slow"));
/// assert_eq!(recorded.find("import").logs(), [LogLine { level: Level::Warn, message: "slow".to_owned() }]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// Severity of the line.
    pub level: Level,
    /// Text of the line.
    pub message: String,
}

impl Recorded {
    pub(super) fn new(records: Vec<Record>, outside: Vec<String>, outside_count: usize, dropped: u64) -> Self {
        let mut processes: Vec<RecordedProcess> = Vec::new();
        let mut others = Vec::new();
        for record in records {
            match record {
                Record::Started(started) => match processes.iter_mut().find(|process| process.id == started.id) {
                    // An attempt of a task that was already sent or received.
                    Some(process) => (process.is_waiting, process.outcome) = (false, None),
                    None => processes.push(RecordedProcess::of(started)),
                },
                Record::Task(of) if of.message().is_some_and(|_| !processes.iter().any(|process| process.id == of.id)) => {
                    processes.extend(RecordedProcess::of_task(&of));
                }
                record => others.push(record),
            }
        }
        let mut processes = in_order(processes);
        let places: HashMap<u64, usize> = processes.iter().enumerate().map(|(place, process)| (process.id, place)).collect();
        for record in others {
            let id = match &record {
                Record::Updated(of) => of.id,
                Record::Logged(of) => of.id,
                Record::Ended(of) => of.id,
                Record::Task(of) => of.id,
                _ => continue,
            };
            if let Some(place) = places.get(&id) {
                processes[*place].add(record);
            }
        }
        Recorded { processes, outside, outside_count, dropped }
    }

    /// Returns the first process with this name.
    ///
    /// # Panics
    ///
    /// Panics if no process has this name. The message contains the tree.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::{Process, testing::record};
    ///
    /// let recorded = record(|| drop(Process::builder("import").kind("job").begin()));
    /// assert_eq!(recorded.find("import").kind(), "job");
    /// ```
    #[track_caller]
    pub fn find(&self, name: &str) -> &RecordedProcess {
        let found = self.processes.iter().find(|process| process.name == name);
        found.unwrap_or_else(|| panic!("no process {name:?} was recorded, but:\n{self}{}", self.remarks()))
    }

    /// Returns all processes, in the order of their starts.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::{Process, testing::record};
    ///
    /// let recorded = record(|| drop(Process::builder("import").begin()));
    /// assert_eq!(recorded.processes().len(), 1);
    /// ```
    pub fn processes(&self) -> &[RecordedProcess] {
        &self.processes
    }

    /// Returns hints about possible reasons for an unexpected tree.
    pub(super) fn remarks(&self) -> String {
        let mut remarks = String::new();
        if self.outside_count > 0 {
            let more = self.outside_count - self.outside.len();
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let _ = write!(
                remarks,
                "\nMeanwhile, in this test or one beside it, began outside of any root: {}{more}. A thread or task gets the context of its \
                 caller by monitor_client::spawn_thread, spawn_task or spawn_blocking, or by .in_current().\n",
                self.outside.join(", ")
            );
        }
        if self.dropped > 0 {
            let _ = write!(remarks, "\n{} records found no room and are missing.\n", self.dropped);
        }
        remarks
    }
}

/// Sorts processes by their starts. The ids within a thread ascend from a random id; the times of different threads
/// are only approximately comparable.
fn in_order(processes: Vec<RecordedProcess>) -> Vec<RecordedProcess> {
    let count = processes.len();
    let mut threads: BTreeMap<u64, Vec<RecordedProcess>> = BTreeMap::new();
    for process in processes {
        threads.entry(process.id >> 40).or_default().push(process);
    }
    let mut threads: Vec<VecDeque<RecordedProcess>> = threads
        .into_values()
        .map(|mut thread| {
            thread.sort_by_key(|process| process.id);
            thread.into()
        })
        .collect();
    let mut ordered = Vec::with_capacity(count);
    while let Some(next) = threads.iter_mut().filter(|thread| !thread.is_empty()).min_by_key(|thread| thread[0].time_us) {
        ordered.extend(next.pop_front());
    }
    ordered
}

impl RecordedProcess {
    fn of(started: Started) -> Self {
        let (name, kind) = match started.origin {
            Origin::Site(site) => (site.name.to_owned(), site.kind.to_owned()),
            Origin::Named(named) => (named.name, named.kind.into_owned()),
        };
        let extra = started.extra.map(|extra| *extra).unwrap_or_default();
        RecordedProcess {
            id: started.id,
            parent: started.parent,
            time_us: started.time_us,
            name,
            kind,
            batch: extra.batch,
            fields: extra.fields.into_iter().map(|(key, value)| (key.into_owned(), value)).collect(),
            logs: Vec::new(),
            outcome: None,
            is_waiting: false,
        }
    }

    /// Creates the process of a task that was sent or received.
    fn of_task(of: &Tasked) -> Option<Self> {
        let message = of.message()?;
        Some(RecordedProcess {
            id: of.id,
            parent: message.parent,
            time_us: of.time_us,
            name: message.name.clone(),
            kind: "task".to_owned(),
            batch: None,
            fields: BTreeMap::new(),
            logs: Vec::new(),
            outcome: None,
            is_waiting: true,
        })
    }

    fn add(&mut self, record: Record) {
        match record {
            Record::Updated(of) => {
                self.name = of.name.unwrap_or(std::mem::take(&mut self.name));
                self.fields.extend(of.fields.into_iter().map(|(key, value)| (key.into_owned(), value)));
            }
            Record::Logged(of) => self.logs.push(LogLine { level: of.level, message: of.message }),
            Record::Ended(of) => self.outcome = Some(of.outcome),
            Record::Task(of) => match of.step {
                TaskStep::Rejected { requeued: false } | TaskStep::Revoked { .. } => self.outcome = Some(Outcome::Cancelled),
                _ => {}
            },
            _ => {}
        }
    }

    /// Returns the name, after all changes of it.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::{Process, testing::record};
    ///
    /// let recorded = record(|| Process::builder("import").begin().rename("import orders"));
    /// assert_eq!(recorded.processes()[0].name(), "import orders");
    /// ```
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the kind: `root`, `normal`, `cross_thread`, `cross_process`, or a kind set by the program.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::{Process, testing::record};
    ///
    /// let recorded = record(|| drop(Process::builder("import").begin()));
    /// assert_eq!(recorded.find("import").kind(), "normal");
    /// ```
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Returns the batch mark.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::{Process, testing::record};
    ///
    /// let recorded = record(|| drop(Process::builder("import").batch("b1").begin()));
    /// assert_eq!(recorded.find("import").batch(), Some("b1"));
    /// ```
    pub fn batch(&self) -> Option<&str> {
        self.batch.as_deref()
    }

    /// Returns the fields, with the last value of each key.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::{Process, testing::record};
    ///
    /// let recorded = record(|| drop(Process::builder("import").field("rows", 17).begin()));
    /// assert_eq!(recorded.find("import").fields()["rows"], 17.into());
    /// ```
    pub fn fields(&self) -> &BTreeMap<String, Value> {
        &self.fields
    }

    /// Returns the log lines, in their original order.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::{Level, Process, testing::record};
    ///
    /// let recorded = record(|| Process::builder("import").begin().log(Level::Info, "17 rows"));
    /// assert_eq!(recorded.find("import").logs()[0].message, "17 rows");
    /// ```
    pub fn logs(&self) -> &[LogLine] {
        &self.logs
    }

    /// Returns `pending`, `running`, `succeeded`, `failed` or `cancelled`.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::{Process, testing::record};
    ///
    /// let recorded = record(|| Process::builder("import").begin().cancel());
    /// assert_eq!(recorded.find("import").state(), "cancelled");
    /// ```
    pub fn state(&self) -> &'static str {
        match &self.outcome {
            None if self.is_waiting => "pending",
            None => "running",
            Some(Outcome::Succeeded) => "succeeded",
            Some(Outcome::Failed(_)) => "failed",
            Some(Outcome::Cancelled) => "cancelled",
        }
    }

    /// Returns the failure message, if the process failed.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::{Process, testing::record};
    ///
    /// let recorded = record(|| Process::builder("import").begin().fail("no such table"));
    /// assert_eq!(recorded.find("import").failure(), Some("no such table"));
    /// ```
    pub fn failure(&self) -> Option<&str> {
        if let Some(Outcome::Failed(failure)) = &self.outcome { Some(&failure.message) } else { None }
    }
}

/// A process with its descendants, as displayed.
#[derive(PartialEq, Eq)]
struct Node {
    name: String,
    ending: String,
    children: Vec<Node>,
}

impl Node {
    fn write(nodes: &[Node], depth: usize, out: &mut String) {
        let mut rest = nodes;
        while let Some(node) = rest.first() {
            let alike = rest.iter().take_while(|other| *other == node).count();
            let count = if alike > 1 { format!(" ×{alike}") } else { String::new() };
            let _ = writeln!(out, "{:indent$}{}{count}{}", "", node.name, node.ending, indent = 2 * depth);
            Node::write(&node.children, depth + 1, out);
            rest = &rest[alike..];
        }
    }
}

impl fmt::Display for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known: HashMap<u64, ()> = self.processes.iter().map(|process| (process.id, ())).collect();
        let mut children: HashMap<u64, Vec<Node>> = HashMap::new();
        // In reverse order, so that the children of a process are complete when it is handled. They are collected in reverse, too.
        for process in self.processes.iter().rev() {
            let mut below = children.remove(&process.id).unwrap_or_default();
            below.reverse();
            let batch = process.batch.as_ref().map(|batch| format!(" <{}>", on_one_line(batch))).unwrap_or_default();
            let ending = match (process.state(), process.failure()) {
                (_, Some(words)) => format!(": failed: {}", on_one_line(words)),
                ("succeeded", _) => String::new(),
                (state, _) => format!(": {state}"),
            };
            let node = Node { name: on_one_line(&process.name) + &batch, ending, children: below };
            let parent = if known.contains_key(&process.parent) { process.parent } else { 0 };
            children.entry(parent).or_default().push(node);
        }
        let mut top = children.remove(&0).unwrap_or_default();
        top.reverse();
        let mut out = String::new();
        Node::write(&top, 0, &mut out);
        f.write_str(out.trim_end())
    }
}

fn on_one_line(text: &str) -> String {
    text.replace('\n', "\\n")
}
