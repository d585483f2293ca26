//! Environment and input of the hooks that run before and after a command.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Seek as _, Write as _};

use monitor_runs::{Outcome, Spec};
use rustix::fs::{MemfdFlags, memfd_create};
use serde_json::{Value, json};

use crate::messages::Env;

/// Variables with the outcome of the run, for the hook after it.
const EXIT_CODE: &str = "MONITOR_RUN_EXIT_CODE";
const SIGNAL: &str = "MONITOR_RUN_SIGNAL";
const REASON: &str = "MONITOR_RUN_REASON";
const ATTEMPTS: &str = "MONITOR_RUN_ATTEMPTS";

/// Returns the environment of a hook: that of the command, with the outcome of the run if it has ended.
pub(crate) fn environment(mut env: Env, outcome: Option<&Outcome>) -> Env {
    let number = |number: Option<i32>| number.map(|number| OsString::from(number.to_string()));
    let code = outcome.and_then(|outcome| number(outcome.code));
    let signal = outcome.and_then(|outcome| number(outcome.signal));
    let reason = outcome.and_then(|outcome| outcome.reason.clone()).map(OsString::from);
    let attempts = outcome.map(|outcome| OsString::from(outcome.attempts.to_string()));
    env.extend([(EXIT_CODE.into(), code), (SIGNAL.into(), signal), (REASON.into(), reason), (ATTEMPTS.into(), attempts)]);
    env
}

/// Returns the standard input of a hook: the run, and after it its outcome, as JSON.
pub(crate) fn input(spec: &Spec, env: &Env) -> io::Result<File> {
    let word = |name: &str| env.iter().find(|(known, _)| known == name).and_then(|(_, value)| value.as_ref()?.to_str());
    let number = |name| word(name).and_then(|number| number.parse::<i64>().ok());
    let mut run = json!({ "id": spec.id, "name": spec.name, "fields": spec.fields });
    if let Some(process) = &spec.process {
        run["root_id"] = Value::from(process.root_id.as_str());
        run["process_id"] = Value::from(process.process_id.as_str());
    }
    if let Some(attempts) = number(ATTEMPTS) {
        run["outcome"] = json!({ "exit_code": number(EXIT_CODE), "signal": number(SIGNAL), "reason": word(REASON), "attempts": attempts });
    }
    // A memory file, because the JSON may be larger than a pipe, and the hook may not read it.
    let mut file = File::from(memfd_create("run", MemfdFlags::CLOEXEC)?);
    writeln!(file, "{run}")?;
    file.rewind()?;
    Ok(file)
}
