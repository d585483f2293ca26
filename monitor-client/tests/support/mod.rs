//! Records the processes of a closure and shows them as indented text.

#![allow(dead_code, reason = "every test program uses its own part")]

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use monitor_core::queue::{self, Receiver};
use monitor_core::record::{Attachment, Ended, Origin, Outcome, Record, Started, Value};

static RECEIVER: Mutex<Option<Receiver>> = Mutex::new(None);
static WARNINGS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Room for all that a test records.
pub(crate) const PLENTY: usize = 64 << 20;

/// Asserts the trees that `work` records. A line is `name kind attachment <batch> {fields} outcome`; the usual values `normal`, `explicit`
/// and `succeeded` are omitted.
#[track_caller]
pub(crate) fn check(work: impl FnOnce(), expected: &str) {
    let trees = record(work).to_string();
    let expected = unindent(expected);
    assert!(trees == expected, "recorded:\n{trees}\nexpected:\n{expected}");
}

/// Like [`check`], for concurrent processes: siblings are sorted by name.
#[track_caller]
pub(crate) fn check_sorted(work: impl FnOnce(), expected: &str) {
    let mut trees = record(work);
    trees.sort();
    let trees = trees.to_string();
    let expected = unindent(expected);
    assert!(trees == expected, "recorded:\n{trees}\nexpected:\n{expected}");
}

/// Returns the records of `work`. Calls are serialised, because a program has only one queue.
pub(crate) fn record(work: impl FnOnce()) -> Trees {
    let mut receiver = lock(PLENTY);
    record_into(receiver.as_mut().expect("opened"), work)
}

pub(crate) fn record_into(receiver: &mut Receiver, work: impl FnOnce()) -> Trees {
    drain(receiver);
    let result = catch_unwind(AssertUnwindSafe(work));
    let trees = Trees::of(drain(receiver));
    if let Err(panic) = result {
        std::panic::resume_unwind(panic);
    }
    trees
}

/// Runs a future to its end on this thread.
pub(crate) fn run<R>(work: impl Future<Output = R>) -> R {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}

/// Locks the queue and turns monitoring on. The first call opens the queue with space for `limit` bytes.
pub(crate) fn lock(limit: usize) -> MutexGuard<'static, Option<Receiver>> {
    static ONCE: Once = Once::new();
    let mut receiver = RECEIVER.lock().unwrap_or_else(PoisonError::into_inner);
    ONCE.call_once(|| {
        *receiver = queue::open(limit);
        monitor_core::warn::set(|text| WARNINGS.lock().expect("no panic").push(text.to_owned()));
        monitor_core::switch::turn_on();
    });
    receiver
}

/// Returns all warnings so far.
pub(crate) fn warnings() -> Vec<String> {
    WARNINGS.lock().expect("no panic").clone()
}

fn drain(receiver: &mut Receiver) -> Vec<Record> {
    std::iter::from_fn(|| {
        let entry = receiver.try_recv()?;
        receiver.release(entry.bytes);
        Some(entry.record)
    })
    .collect()
}

/// The processes that were recorded, in the order of their starts.
pub(crate) struct Trees {
    pub processes: Vec<Recorded>,
}

pub(crate) struct Recorded {
    pub started: Started,
    pub ended: Option<Ended>,
    pub renamed: Vec<String>,
    pub updates: Vec<(String, Value)>,
    pub logs: Vec<(&'static str, String)>,
    pub progress: Vec<(f64, Option<f64>)>,
    pub links: Vec<(u64, String)>,
    pub lines: Vec<monitor_core::record::Logged>,
}

impl Trees {
    fn of(records: Vec<Record>) -> Self {
        let mut processes: Vec<Recorded> = Vec::new();
        let mut places = HashMap::new();
        for record in records {
            match record {
                Record::Started(started) => {
                    assert!(places.insert(started.id, processes.len()).is_none(), "started twice");
                    processes.push(Recorded::of(started));
                }
                Record::Updated(updated) => {
                    processes[places[&updated.id]].renamed.extend(updated.name);
                    let links = updated.links.into_iter().map(|(other, relation)| (other.process(), relation));
                    processes[places[&updated.id]].links.extend(links);
                    let fields = updated.fields.into_iter().map(|(key, value)| (key.into_owned(), value));
                    processes[places[&updated.id]].updates.extend(fields);
                }
                Record::Logged(logged) => {
                    processes[places[&logged.id]].logs.push((logged.level.as_str(), logged.message.clone()));
                    processes[places[&logged.id]].lines.push(*logged);
                }
                Record::Ended(ended) => {
                    let process = &mut processes[places[&ended.id]];
                    assert_eq!(process.started.root, ended.root, "a process stays in its tree");
                    assert!(process.ended.replace(ended).is_none(), "ended twice");
                }
                Record::Progressed(progressed) => {
                    processes[places[&progressed.id]].progress.push((progressed.done, progressed.total));
                }
                Record::Folded(folded) => panic!("{folded:?}"),
                Record::Task(tasked) => panic!("{tasked:?}"),
            }
        }
        Trees { processes }
    }

    fn sort(&mut self) {
        self.processes.sort_by_key(|process| process.name().to_owned());
    }

    pub(crate) fn find(&self, name: &str) -> &Recorded {
        self.processes.iter().find(|process| process.name() == name).unwrap_or_else(|| panic!("{name} was not recorded"))
    }

    fn show(&self, process: &Recorded, depth: usize, out: &mut String) {
        out.extend(["  ".repeat(depth), process.line(), "\n".to_owned()]);
        for child in self.processes.iter().filter(|child| child.started.parent == process.started.id) {
            assert_eq!(child.started.root, process.started.root, "a child is in its parent's tree");
            self.show(child, depth + 1, out);
        }
    }
}

impl std::fmt::Display for Trees {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = String::new();
        for process in &self.processes {
            let parent = process.started.parent;
            if self.processes.iter().all(|other| other.started.id != parent) {
                if parent != 0 {
                    out.extend(["(", &format!("{parent:x}"), ") "]);
                }
                self.show(process, 0, &mut out);
            }
        }
        f.write_str(out.trim_end())
    }
}

impl Recorded {
    fn of(started: Started) -> Self {
        let (renamed, updates, logs, progress) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Recorded { started, ended: None, renamed, updates, logs, progress, links: Vec::new(), lines: Vec::new() }
    }

    pub(crate) fn name(&self) -> &str {
        match &self.started.origin {
            Origin::Site(site) => site.name,
            Origin::Named(named) => &named.name,
        }
    }

    pub(crate) fn kind(&self) -> &str {
        match &self.started.origin {
            Origin::Site(site) => site.kind,
            Origin::Named(named) => &named.kind,
        }
    }

    pub(crate) fn failure(&self) -> &monitor_core::record::Failure {
        match &self.ended {
            Some(Ended { outcome: Outcome::Failed(failure), .. }) => failure,
            _ => panic!("{} did not fail", self.name()),
        }
    }

    fn line(&self) -> String {
        let mut words = vec![self.name().to_owned()];
        if self.kind() != "normal" {
            words.push(self.kind().to_owned());
        }
        match self.started.attachment {
            Attachment::Explicit => {}
            Attachment::Inferred => words.push("inferred".to_owned()),
            // Many a test begins with a function that isn't meant to begin a tree.
            Attachment::Unattached if self.kind() == "normal" => {}
            Attachment::Unattached => words.push("unattached".to_owned()),
        }
        let extra = self.started.extra.as_deref();
        if let Some(batch) = extra.and_then(|extra| extra.batch.as_ref()) {
            words.push(format!("<{batch}>"));
        }
        let fields = extra.map(|extra| &extra.fields[..]).unwrap_or_default();
        let fields = fields.iter().map(|(key, value)| (&**key, value)).chain(self.updates.iter().map(|(key, value)| (&**key, value)));
        words.extend(fields.map(|(key, value)| format!("{{{key}: {}}}", show(value))));
        words.extend(self.renamed.iter().map(|name| format!("-> {name}")));
        words.extend(self.logs.iter().map(|(level, message)| format!("[{level} {message}]")));
        match self.ended.as_ref().map(|ended| &ended.outcome) {
            None => words.push("running".to_owned()),
            Some(Outcome::Succeeded) => {}
            Some(Outcome::Cancelled) => words.push("cancelled".to_owned()),
            Some(Outcome::Failed(failure)) => {
                let causes = [&failure.message].into_iter().chain(&failure.chain).map(String::as_str).collect::<Vec<_>>();
                words.push(format!("{}: {}", failure.kind, causes.join(" <- ")));
            }
        }
        words.join(" ")
    }
}

fn show(value: &Value) -> String {
    match value {
        Value::Bool(value) => value.to_string(),
        Value::Signed(value) => value.to_string(),
        Value::Unsigned(value) => value.to_string(),
        Value::Float(value) => value.to_string(),
        Value::Text(value) => value.clone(),
    }
}

/// Takes away the indentation that all lines share.
fn unindent(text: &str) -> String {
    let lines: Vec<_> = text.lines().skip_while(|line| line.trim().is_empty()).collect();
    let indent = lines.iter().filter(|line| !line.trim().is_empty()).map(|line| line.len() - line.trim_start().len()).min().unwrap_or(0);
    let lines: Vec<_> = lines.iter().map(|line| line.get(indent..).unwrap_or("")).collect();
    lines.join("\n").trim_end().to_owned()
}
