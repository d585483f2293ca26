//! A custom camera: every two seconds it prints the workers and the changed tasks, and forgets ended tasks.
//!
//! `cargo run -p monitor-examples --bin dumpcam [URL] [EVENTS]`

use std::time::Duration;

use monitor_receiver::camera::Result;
use monitor_receiver::{Camera, Receiver, State};

struct DumpCam;

impl Camera for DumpCam {
    fn shutter(&mut self, state: &State) -> Result {
        if state.event_count() == 0 {
            // Nothing new since the last picture.
            return Ok(());
        }
        println!("Workers:");
        for worker in state.workers() {
            println!("  {}@{} {}", worker.program, worker.hostname, worker.state);
        }
        println!("Tasks:");
        for task in state.tasks_by_time() {
            println!("  {} {}", task.name, task.state);
        }
        println!("Total: {} events, {} tasks", state.event_count(), state.task_count());
        Ok(())
    }

    fn clear_after(&self) -> bool {
        true
    }
}

fn main() -> std::result::Result<(), monitor_receiver::Error> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().unwrap_or_else(|| "http://127.0.0.1:60010".to_owned());
    let limit = arguments.next().and_then(|events| events.parse().ok());
    let mut receiver = Receiver::connect(&url)?.types(["task-*", "worker-*"]).camera(DumpCam, Duration::from_secs(2));
    receiver.capture_blocking(limit, None, true)?;
    Ok(())
}
