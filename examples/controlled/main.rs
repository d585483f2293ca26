//! A worker of a queue that can be controlled remotely. docs/guides/control.md shows this program.
//!
//! ```text
//! MONITOR_ENABLED=1 MONITOR_COMMANDS=all cargo run -p monitor-examples --bin controlled
//! ```

use std::collections::VecDeque;

use monitor_client::control::{Permit, Stop, TaskControl};
use monitor_client::task::{self, Ticket};
use monitor_client::{normal_task, root_task};

struct Message {
    film: &'static str,
    ticket: Ticket,
}

fn main() -> anyhow::Result<()> {
    // Four tasks at once. `autoscaled(1, 8)` would adapt to the number of waiting tasks, up to eight.
    let control = TaskControl::new(4)
        .from_queues(["video"])
        // Shown by `monitor inspect conf`, without the password.
        .conf(serde_json::json!({"broker": "redis://worker:secret@mq.example/0"}))
        // At the start, once in a program.
        .register();
    let mut queue = send(&["a.mov", "b.mov"]);
    while !control.is_stopping() {
        let Some(message) = queue.pop_front() else { break };
        // `reserved` from here on. With `.not_before(eta)` it is `scheduled`.
        let held = control.accept(task::receive(&message.ticket));
        // Waits: time, pause, rate, pool.
        match held.start() {
            Ok(turn) => println!("{}: {} bytes", message.film, turn.run(|permit| render(&message, permit))?),
            Err(Stop::Revoked) => println!("{}: revoked", message.film),
            // The worker ends. The task is recorded as given back.
            Err(_) => queue.push_back(message),
        }
    }
    Ok(())
}

#[root_task("send films")]
fn send(films: &[&'static str]) -> VecDeque<Message> {
    films.iter().map(|film| Message { film, ticket: task::send("render").queue("video").begin() }).collect()
}

#[normal_task]
fn render(message: &Message, permit: &Permit) -> anyhow::Result<usize> {
    let mut bytes = 0;
    for _frame in 0..24 {
        // Revoked, over its time limit, or the worker ends.
        if let Some(why) = permit.stopped() {
            return Err(why.into());
        }
        bytes += message.film.len();
    }
    Ok(bytes)
}
