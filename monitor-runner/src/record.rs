//! What is recorded of a run: one process, with an attempt for each time that the command is started.

use std::ffi::OsString;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use monitor_client::{Context, Exit, Process, ProcessBuilder, Retry};

use crate::logfile::LogFile;
use crate::mask;
use crate::outcome::Outcome;
use crate::spec::Spec;
use crate::tail::Said;
use crate::why::Why;

/// The process of a run.
#[derive(Debug)]
pub(crate) struct Record {
    process: Mutex<Option<Process>>,
    context: Option<Context>,
    about: About,
    file: Mutex<Option<LogFile>>,
    is_file_idle: AtomicBool,
    output: AtomicU64,
    cut: AtomicU64,
}

/// What is known at the start of each attempt.
#[derive(Debug)]
struct About {
    name: String,
    batch: Option<String>,
    timeout: Option<Duration>,
    attempts: u32,
    fields: Vec<(&'static str, String)>,
}

impl About {
    fn builder(&self) -> ProcessBuilder {
        let mut builder = Process::start(&self.name).kind("script").nowhere();
        if let Some(batch) = &self.batch {
            builder = builder.batch(batch);
        }
        if let Some(timeout) = self.timeout {
            builder = builder.timeout(timeout);
        }
        builder = builder.attempts(self.attempts);
        for (key, value) in &self.fields {
            builder = builder.field(*key, value.clone());
        }
        builder
    }
}

impl Record {
    /// Begins it: below the process that this program was started by, if there is one.
    pub(crate) fn begin(spec: &Spec, limits: Vec<(&'static str, String)>) -> Self {
        let mut fields = vec![
            ("command", mask::shown(&spec.command, &spec.mask)),
            ("cwd", spec.shown_folder().to_string_lossy().into_owned()),
            ("host", gethostname::gethostname().to_string_lossy().into_owned()),
        ];
        fields.extend(limits);
        let about = About {
            name: spec.shown_name(),
            batch: spec.batch.clone(),
            timeout: spec.timeout,
            attempts: spec.retry.saturating_add(1),
            fields,
        };
        let process = about.builder().begin();
        Self {
            context: process.context(),
            process: Mutex::new(Some(process)),
            about,
            file: Mutex::new(None),
            is_file_idle: AtomicBool::new(true),
            output: AtomicU64::new(0),
            cut: AtomicU64::new(0),
        }
    }

    /// Ids of the tree and of the process.
    pub(crate) fn ids(&self) -> Option<(String, String)> {
        self.context.map(|context| (format!("{:032x}", context.root()), format!("{:016x}", context.process())))
    }

    /// What tells an instrumented program where it belongs.
    pub(crate) fn environment(&self) -> Vec<(OsString, Option<OsString>)> {
        let (root, process) = self.ids().unzip();
        let mut env = vec![("MONITOR_ENABLED".into(), Some("1".into()))];
        env.push(("MONITOR_ROOT_ID".into(), root.map(Into::into)));
        env.push(("MONITOR_PARENT_ID".into(), process.map(Into::into)));
        env
    }

    /// The output goes to a file as well.
    pub(crate) fn open_file(&self, spec: &Spec) -> std::io::Result<()> {
        let Some(folder) = &spec.log_dir else { return Ok(()) };
        let (_, id) = self.ids().unwrap_or_else(|| (String::new(), std::process::id().to_string()));
        let file = LogFile::create(folder, &self.about.name, &id, spec.log_bytes)?;
        self.field("log_file", file.path.to_string_lossy().into_owned());
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
        self.is_file_idle.store(false, Ordering::Relaxed);
        Ok(())
    }

    pub(crate) fn field(&self, key: &'static str, value: impl Into<monitor_client::Value>) {
        self.with(|process| process.field(key, value));
    }

    /// A line of output.
    pub(crate) fn log(&self, stream: &'static str, text: String) {
        self.with(|process| process.log_output(stream, text));
    }

    pub(crate) fn count_output(&self, bytes: u64) {
        self.output.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Output that is no log.
    pub(crate) fn count_cut(&self, bytes: u64) {
        self.cut.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn to_file(&self, bytes: &[u8]) {
        if let Some(file) = self.file.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            file.write(bytes);
            self.is_file_idle.store(file.is_full(), Ordering::Relaxed);
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

    /// The attempt of this number begins, from 2 on.
    pub(crate) fn again(&self, attempt: u32) {
        let Some(context) = self.context else { return };
        let process = self.about.builder().again(context, attempt).begin();
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = Some(process);
    }

    /// It ended; `why` is the line of what it `said` that tells the reason, if there is one; `retry` the
    /// attempt that is to come.
    pub(crate) fn end(&self, outcome: &Outcome, why: Option<Why>, said: &Said, retry: Option<Retry>) {
        let Some(process) = self.process.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        process.field("cpu_ms", outcome.cpu.as_millis() as u64);
        process.field("peak_memory_bytes", outcome.peak_bytes);
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
            if file.cut > 0 {
                process.field("log_file_cut_bytes", file.cut);
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

    /// Nothing more is written.
    pub(crate) fn close_file(&self) {
        if let Some(mut file) = self.file.lock().unwrap_or_else(PoisonError::into_inner).take() {
            file.finish();
        }
    }

    fn with(&self, act: impl FnOnce(&Process)) {
        if let Some(process) = &*self.process.lock().unwrap_or_else(PoisonError::into_inner) {
            act(process);
        }
    }
}
