//! Prints each failed task with its name and arguments: a typical first program with a receiver.
//!
//! `cargo run -p monitor-examples --bin announcer [URL] [EVENTS]`

use monitor_receiver::{Receiver, State};

fn main() -> Result<(), monitor_receiver::Error> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().unwrap_or_else(|| "http://127.0.0.1:60010".to_owned());
    let limit = arguments.next().and_then(|events| events.parse().ok());
    let mut receiver = Receiver::connect(&url)?
        .types(["task-*"])
        .with_state(State::bounded(10_000, 5_000))
        // The state already contains the task with its sender and arguments, which this event does not include.
        .on("task-failed", |event, state| {
            let Some(task) = event.process.as_ref().and_then(|task| state.task(task.root_id, task.id)) else { return };
            let arguments = task.task.as_ref().and_then(|task| task.args.as_ref()).map(ToString::to_string).unwrap_or_default();
            let error = task.error.as_ref().map(|error| error.message.as_str()).unwrap_or_default();
            let id = task.native_id.as_deref().unwrap_or_default();
            println!("TASK FAILED: {}[{id}] {arguments} {error:?}", task.name);
        });
    receiver.capture_blocking(limit, None, true)?;
    Ok(())
}
