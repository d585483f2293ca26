//! Records a run as one process, with an attempt for each start of the command.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use monitor_client::launcher::{Exit, Retry};
use monitor_client::{Context, Level, Process, ProcessBuilder};

use monitor_runs::{Outcome, OutputLog, Spec, mask};

use crate::account::Account;
use crate::logfile::{LogFile, Named, on_the_wall};
use crate::secrets::Secrets;
use crate::tail::Said;
use crate::why::Why;

/// The recorded process of a run.
#[derive(Debug)]
pub(crate) struct Record {
    process: Mutex<Option<Process>>,
    context: Option<Context>,
    about: About,
    file: Mutex<Option<LogFile>>,
    is_file_idle: AtomicBool,
    is_cancelled: AtomicBool,
    pub(crate) secrets: Secrets,
    output: AtomicU64,
    cut: AtomicU64,
}

/// Data for the start of each attempt.
#[derive(Debug)]
struct About {
    name: String,
    kind: String,
    batch: Option<String>,
    /// Duration after which the run is overdue: a warning is logged, or the run is ended.
    timeout: Option<Duration>,
    attempts: u32,
    links: Vec<(Context, String)>,
    fields: Vec<(Cow<'static, str>, String)>,
}

impl About {
    fn of(spec: &Spec, limits: Vec<(&'static str, String)>, secrets: &Secrets) -> Self {
        let mut fields: Vec<(Cow<'static, str>, String)> = vec![
            ("command".into(), mask::shown(&spec.command, &spec.mask)),
            ("cwd".into(), spec.shown_folder().to_string_lossy().into_owned()),
            ("host".into(), gethostname::gethostname().to_string_lossy().into_owned()),
        ];
        fields.extend(limits.into_iter().map(|(key, value)| (key.into(), value)));
        fields.extend(spec.fields.iter().map(|(key, value)| (key.clone().into(), value.clone())));
        for (_, value) in &mut fields {
            *value = secrets.mask(std::mem::take(value));
        }
        let kind = spec.kind.clone().unwrap_or_else(|| "script".to_owned());
        let links = spec.links.iter().filter_map(|link| Some((context_of(&link.root_id, &link.process_id)?, link.relation.clone())));
        Self {
            name: spec.shown_name(),
            kind,
            batch: spec.batch.clone(),
            timeout: spec.warn_after.into_iter().chain(spec.timeout).min(),
            attempts: spec.retry.saturating_add(1),
            links: links.collect(),
            fields,
        }
    }

    fn builder(&self) -> ProcessBuilder {
        let mut builder = Process::builder(&self.name).kind(self.kind.clone()).nowhere();
        if let Some(batch) = &self.batch {
            builder = builder.batch(batch);
        }
        if let Some(timeout) = self.timeout {
            builder = builder.timeout(timeout);
        }
        builder = builder.attempts(self.attempts);
        for (other, relation) in &self.links {
            builder = builder.link(*other, relation.clone());
        }
        for (key, value) in &self.fields {
            builder = builder.field(key.clone(), value.clone());
        }
        builder
    }
}

impl Record {
    /// Starts the process, below the process that started this program, if there is one.
    pub(crate) fn begin(spec: &Spec, limits: Vec<(&'static str, String)>, secrets: Secrets) -> Self {
        let about = About::of(spec, limits, &secrets);
        let given = spec.process.as_ref().and_then(|ids| context_of(&ids.root_id, &ids.process_id));
        let builder = about.builder();
        let process = match given {
            Some(ids) => builder.again(ids, 1).begin(),
            None => builder.begin(),
        };
        Self::new(about, process, secrets)
    }

    /// Continues the current attempt of a process whose launcher was killed. Returns `None` if the process was not recorded.
    pub(crate) fn take_over(
        spec: &Spec,
        limits: Vec<(&'static str, String)>,
        secrets: Secrets,
        ids: Option<(String, String)>,
        attempt: u32,
    ) -> Option<Self> {
        let (root, process) = ids?;
        let about = About::of(spec, limits, &secrets);
        let process = about.builder().again(context_of(&root, &process)?, attempt).begin().taken_over();
        Some(Self::new(about, process, secrets))
    }

    fn new(about: About, process: Process, secrets: Secrets) -> Self {
        Self {
            context: process.context(),
            process: Mutex::new(Some(process)),
            about,
            file: Mutex::new(None),
            is_file_idle: AtomicBool::new(true),
            is_cancelled: AtomicBool::new(false),
            secrets,
            output: AtomicU64::new(0),
            cut: AtomicU64::new(0),
        }
    }

    /// Returns true, once, if a cancellation was requested through the server.
    pub(crate) fn take_cancelled(&self) -> bool {
        self.context.is_some_and(monitor_client::cancel::requested_of) && !self.is_cancelled.swap(true, Ordering::Relaxed)
    }

    /// Returns the ids of the tree and the process.
    pub(crate) fn ids(&self) -> Option<(String, String)> {
        self.context.map(|context| (format!("{:032x}", context.root()), format!("{:016x}", context.process())))
    }

    /// Opens a log file for the run. `began_us` is its start; `output` is the output file of a detached run.
    pub(crate) fn open_file(&self, spec: &Spec, began_us: u64, output: Option<&Arc<OutputLog>>) -> std::io::Result<()> {
        let Some(folder) = &spec.log_dir else { return Ok(()) };
        let (_, id) = self.ids().unwrap_or_else(|| (String::new(), std::process::id().to_string()));
        let owner = Account::of(spec)?.map(|account| account.owner());
        let began = on_the_wall(Timestamp::from_microsecond(began_us as i64).unwrap_or_default());
        let file = LogFile::create(&Named { folder, name: &self.about.name, id: &id, began: &began, owner }, spec.log_bytes, output)?;
        self.field("log_file", file.path.to_string_lossy().into_owned());
        self.is_file_idle.store(file.is_idle(), Ordering::Relaxed);
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
        Ok(())
    }

    pub(crate) fn field(&self, key: &'static str, value: impl Into<monitor_client::Value>) {
        self.with(|process| process.field(key, value));
    }

    /// Logs a warning.
    pub(crate) fn warn(&self, text: String) {
        let text = self.secrets.mask(text);
        self.with(|process| process.log(Level::Warn, text));
    }

    /// Logs a line of output.
    pub(crate) fn log(&self, stream: &'static str, text: String) {
        self.with(|process| process.log_output(stream, text));
    }

    pub(crate) fn count_output(&self, bytes: u64) {
        self.output.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts output that was not logged.
    pub(crate) fn count_cut(&self, bytes: u64) {
        self.cut.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn to_file(&self, bytes: &[u8]) {
        if let Some(file) = self.file.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            file.write(bytes);
            self.is_file_idle.store(file.is_idle(), Ordering::Relaxed);
        }
    }

    pub(crate) fn is_file_idle(&self) -> bool {
        self.is_file_idle.load(Ordering::Relaxed)
    }

    pub(crate) fn skip_in_file(&self, bytes: u64) {
        if let Some(file) = self.file.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            file.skip(bytes);
        }
    }

    /// Starts a further attempt; `attempt` is at least 2.
    pub(crate) fn again(&self, attempt: u32) {
        let Some(context) = self.context else { return };
        let process = self.about.builder().again(context, attempt).begin();
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = Some(process);
    }

    /// Ends the attempt. `why` is the line of `said` that explains a failure, and `retry` describes the next attempt.
    pub(crate) fn end(&self, outcome: &Outcome, why: Option<Why>, said: &Said, retry: Option<Retry>) {
        let Some(process) = self.process.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        process.field("cpu_ms", outcome.cpu.as_millis() as u64);
        process.field("peak_memory_bytes", outcome.peak_bytes);
        if let Some(note) = &outcome.note {
            process.field("note", note.clone());
        }
        if let Some((read, written)) = outcome.io_bytes {
            process.field("io_read_bytes", read);
            process.field("io_written_bytes", written);
        }
        let (output, cut) = (self.output.load(Ordering::Relaxed), self.cut.load(Ordering::Relaxed));
        if output > 0 {
            process.field("output_bytes", output);
        }
        if cut > 0 {
            process.field("output_cut_bytes", cut);
        }
        if let Some(file) = self.file.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            if file.cut() > 0 {
                process.field("log_file_cut_bytes", file.cut());
            }
            if let Some(error) = &file.failure {
                process.field("log_file_error", error.to_string());
            }
        }
        let is_apart = why.is_some();
        let tail = said.tail(why.as_ref()).filter(|_| !outcome.is_success() && outcome.error.is_none());
        let (line, type_name) = why.map_or((None, None), |why| (Some(why.line), why.type_name));
        process.exited(Exit {
            code: outcome.code,
            signal: outcome.signal,
            reason: outcome.reason.clone().map(Into::into),
            message: (!outcome.is_success()).then(|| line.unwrap_or_else(|| outcome.words())),
            type_name,
            is_apart,
            tail,
            retry,
            is_cancelled: outcome.is_cancelled,
        });
    }

    /// Closes the log file. `is_over` is true if no other process writes to it either.
    pub(crate) fn close_file(&self, is_over: bool) {
        if let Some(file) = self.file.lock().unwrap_or_else(PoisonError::into_inner).take() {
            file.finish(is_over);
        }
    }

    fn with(&self, act: impl FnOnce(&Process)) {
        if let Some(process) = &*self.process.lock().unwrap_or_else(PoisonError::into_inner) {
            act(process);
        }
    }
}

fn context_of(root: &str, process: &str) -> Option<Context> {
    Context::new(u128::from_str_radix(root, 16).ok()?, u64::from_str_radix(process, 16).ok()?)
}
