//! A program whose amount of recorded events is changed by commands, and that starts again.

use std::sync::atomic::{AtomicBool, Ordering};

use monitor_client::control::TaskControl;
use monitor_client::{Level, Process, commands, log, normal_task};
use serde_json::Value;

/// Executes a step with a name on each request, and waits in the middle of a tree until its input ends.
pub(crate) fn switched() {
    commands::on("step", |arguments| {
        let name = arguments.get("name").and_then(Value::as_str).unwrap_or_default();
        Process::builder(name).kind("step").root().run_any(|_| part());
        Ok(Value::Null)
    });
    let is_new = AtomicBool::new(false);
    let begin_anew = move || if is_new.swap(true, Ordering::Relaxed) { Err("it is new".to_owned()) } else { Ok(()) };
    let _control = TaskControl::new(1).on_restart(|| std::process::exit(75)).on_pool_restart(begin_anew).register();
    crate::hang();
}

#[normal_task]
fn part() {
    log(Level::Info, "said");
    log(Level::Warn, "warned");
}
