//! Checks the request of a job and fills its defaults in.

use std::time::Duration;

use monitor_wire::{JobFailed, JobRequest, JobRetry, SecretSource, StepRequest};

use crate::rolling::{sizes, threshold};

/// Maximum length of a script.
pub const MOST_SCRIPT_BYTES: usize = 5 << 20;

/// Maximum number of steps of a job.
pub const MOST_STEPS: usize = 100;

/// Maximum timeout of a script: one day.
pub const MOST_TIMEOUT_S: u64 = 86_400;

const DEFAULT_TIMEOUT: &str = "2h";
const DEFAULT_TIMEOUT_S: u64 = 7_200;
const DEFAULT_BACKOFF: &str = "30s";

/// Maximum length of a name in bytes.
pub(crate) const MOST_NAME_BYTES: usize = 255;
const MOST_URL_BYTES: usize = 2_048;
/// Maximum length of all arguments and environment variables together, below the limit of Linux for a new process.
const MOST_PARAM_BYTES: usize = 1 << 20;
const MOST_RETRIES: u32 = 100;

/// Returns the timeout of a step in seconds.
#[must_use]
pub fn timeout_s(step: &StepRequest) -> u64 {
    let timeout = step.timeout.as_deref().and_then(|text| monitor_duration::read_positive(text).ok());
    timeout.map_or(DEFAULT_TIMEOUT_S, |timeout| timeout.as_secs().clamp(1, MOST_TIMEOUT_S))
}

/// Checks a request and fills its defaults in: names, timeouts, and the pause before a retry. [`select`](crate::select) checks its targets.
///
/// # Errors
/// Lists all mistakes, each with its path in the request.
pub fn check(request: &mut JobRequest) -> Result<(), Vec<String>> {
    let mut mistakes = Mistakes(Vec::new());
    match request.steps.len() {
        0 => mistakes.add("steps", "the job has no steps: give at least one script"),
        count if count > MOST_STEPS => mistakes.add("steps", format!("{count} steps are too many: at most {MOST_STEPS} are possible")),
        _ => {}
    }
    for (index, step) in request.steps.iter_mut().enumerate() {
        step.name.get_or_insert_with(|| format!("step {}", index + 1));
        step.timeout.get_or_insert_with(|| DEFAULT_TIMEOUT.to_owned());
        mistakes.step(&format!("steps[{index}]"), step);
    }
    if request.name.is_none() {
        request.name = request.steps.first().and_then(|step| step.name.clone());
    }
    for (path, name) in [("name", &request.name), ("request_id", &request.request_id), ("account", &request.account)] {
        if let Some(name) = name {
            mistakes.name(path, name);
        }
    }
    mistakes.rolling(request);
    if let Some(retry) = &mut request.retry {
        mistakes.retry("retry", retry);
    }
    if let Some(failed) = request.then.as_mut().and_then(|then| then.failed.as_mut()) {
        mistakes.failed(failed);
    }
    if let Some(url) = &request.callback_url {
        if url.len() > MOST_URL_BYTES {
            mistakes.add("callback_url", format!("it has {} bytes: at most {MOST_URL_BYTES} are possible", url.len()));
        } else if !["http://", "https://"].iter().any(|scheme| url.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty())) {
            mistakes.add("callback_url", format!("`{url}` is not an address: it begins with `http://` or `https://`"));
        } else if url.contains(|char: char| char.is_control() || char.is_whitespace()) {
            mistakes.add("callback_url", "it contains white space or a control character");
        }
    }
    if mistakes.0.is_empty() { Ok(()) } else { Err(mistakes.0) }
}

struct Mistakes(Vec<String>);

impl Mistakes {
    fn add(&mut self, path: &str, mistake: impl AsRef<str>) {
        self.0.push(format!("{path}: {}", mistake.as_ref()));
    }

    fn step(&mut self, path: &str, step: &StepRequest) {
        if let Some(name) = &step.name {
            self.name(&format!("{path}.name"), name);
        }
        let script = format!("{path}.script");
        if step.script.trim().is_empty() {
            self.add(&script, "it is empty: give the text of a script");
        } else if step.script.len() > MOST_SCRIPT_BYTES {
            self.add(&script, format!("it has {} bytes: at most {MOST_SCRIPT_BYTES} are possible", step.script.len()));
        }
        self.no_nul(&script, &step.script);
        for (index, arg) in step.args.iter().enumerate() {
            self.no_nul(&format!("{path}.args[{index}]"), arg);
        }
        for (name, value) in &step.env {
            self.variable(&format!("{path}.env"), name);
            self.no_nul(&format!("{path}.env.{name}"), value);
        }
        for (name, source) in &step.secrets {
            let place = format!("{path}.secrets.{name}");
            self.variable(&format!("{path}.secrets"), name);
            if step.env.contains_key(name) {
                self.add(&place, "`env` has a variable of this name, too: use another name");
            }
            match source {
                SecretSource::File(file) if file.trim().is_empty() => self.add(&place, "the path of the file is empty"),
                SecretSource::File(file) => self.no_nul(&place, file),
                SecretSource::Env(variable) => self.variable(&place, variable),
            }
        }
        let bytes = step.args.iter().map(String::len).chain(step.env.iter().map(|(name, value)| name.len() + value.len())).sum::<usize>();
        if bytes > MOST_PARAM_BYTES {
            self.add(path, format!("`args` and `env` have {bytes} bytes: at most {MOST_PARAM_BYTES} are possible"));
        }
        let timeout = format!("{path}.timeout");
        let length = step.timeout.as_deref().and_then(|text| self.duration(&timeout, text));
        if length.is_some_and(|length| length < Duration::from_secs(1) || length > Duration::from_secs(MOST_TIMEOUT_S)) {
            self.add(&timeout, "it must be from `1s` to `24h`");
        }
    }

    fn rolling(&mut self, request: &JobRequest) {
        let Some(rolling) = &request.rolling else { return };
        if let Err(mistake) = sizes(&rolling.expression) {
            self.add("rolling.expression", mistake);
        }
        if let Some(Err(mistake)) = rolling.stop_after_failures.as_deref().map(threshold) {
            self.add("rolling.stop_after_failures", mistake);
        }
        if rolling.parallel == Some(0) {
            self.add("rolling.parallel", "no host could run: give at least 1");
        }
    }

    fn retry(&mut self, path: &str, retry: &mut JobRetry) {
        if retry.times > MOST_RETRIES {
            self.add(&format!("{path}.times"), format!("{} retries are too many: at most {MOST_RETRIES} are possible", retry.times));
        }
        self.duration(&format!("{path}.backoff"), retry.backoff.get_or_insert_with(|| DEFAULT_BACKOFF.to_owned()));
    }

    fn failed(&mut self, failed: &mut JobFailed) {
        if let Some(retry) = &mut failed.retry {
            self.retry("then.failed.retry", retry);
        }
        let Some(next) = &mut failed.job else { return };
        let path = "then.failed.job";
        if next.then.is_some() {
            self.add(&format!("{path}.then"), "a job that follows another one has no `then`: leave it out");
        } else if let Err(mistakes) = check(next) {
            self.0.extend(mistakes.iter().map(|mistake| format!("{path}.{mistake}")));
        }
        if next.request_id.is_some() {
            self.add(&format!("{path}.request_id"), "a job that follows another one starts once in any case: leave it out");
        }
    }

    fn duration(&mut self, path: &str, text: &str) -> Option<Duration> {
        monitor_duration::read(text).map_err(|error| self.add(path, format!("`{text}` is not a duration: {error}"))).ok()
    }

    fn variable(&mut self, path: &str, name: &str) {
        let is_name = name.len() <= MOST_NAME_BYTES
            && name.starts_with(|char: char| char.is_ascii_alphabetic() || char == '_')
            && name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_');
        if !is_name {
            let shown: String = name.chars().take(MOST_NAME_BYTES).collect();
            self.add(path, format!("`{}` is not the name of a variable: use letters, digits and `_`", shown.escape_debug()));
        }
    }

    fn name(&mut self, path: &str, name: &str) {
        if name.trim().is_empty() {
            self.add(path, "it is empty: give a name, or leave it out");
        } else if name.len() > MOST_NAME_BYTES {
            self.add(path, format!("it has {} bytes: at most {MOST_NAME_BYTES} are possible", name.len()));
        } else if name.contains(char::is_control) {
            self.add(path, "it contains a control character");
        }
    }

    fn no_nul(&mut self, path: &str, text: &str) {
        if text.contains('\0') {
            self.add(path, "it contains a NUL byte, which no argument, variable or script may have");
        }
    }
}
