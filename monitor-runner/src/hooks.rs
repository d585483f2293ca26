//! Hooks before and after a run: what they are told.

use std::ffi::OsString;

use monitor_runs::Outcome;

use crate::messages::Env;

/// Names of the variables that tell the hook after a run how that ended.
const EXIT_CODE: &str = "MONITOR_RUN_EXIT_CODE";
const SIGNAL: &str = "MONITOR_RUN_SIGNAL";
const REASON: &str = "MONITOR_RUN_REASON";
const ATTEMPTS: &str = "MONITOR_RUN_ATTEMPTS";

/// The environment of a hook: that of the command, and how the run ended, if it has.
pub(crate) fn environment(mut env: Env, outcome: Option<&Outcome>) -> Env {
    let number = |number: Option<i32>| number.map(|number| OsString::from(number.to_string()));
    let code = outcome.and_then(|outcome| number(outcome.code));
    let signal = outcome.and_then(|outcome| number(outcome.signal));
    let reason = outcome.and_then(|outcome| outcome.reason.clone()).map(OsString::from);
    let attempts = outcome.map(|outcome| OsString::from(outcome.attempts.to_string()));
    env.extend([(EXIT_CODE.into(), code), (SIGNAL.into(), signal), (REASON.into(), reason), (ATTEMPTS.into(), attempts)]);
    env
}
