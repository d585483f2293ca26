//! Sends films through a queue and processes them. docs/guides/queues.md shows this program.
//!
//! ```text
//! MONITOR_ENABLED=1 cargo run -p monitor-examples --bin tickets
//! ```

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use anyhow::ensure;
use monitor_client::task::{self, Ticket};
use monitor_client::{normal_task, root_task};
use serde::{Deserialize, Serialize};

/// A message of the queue: the work, and the ticket of its task.
#[derive(Serialize, Deserialize)]
struct Message {
    film: String,
    ticket: Ticket,
}

/// Sends three films, and works until the queue is empty. A list of texts represents a queue of any kind.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut queue = send(&["a.mov", "b.mov", "c.mov"])?;
    while let Some(text) = queue.pop_front() {
        let message: Message = serde_json::from_str(&text)?;
        let received = task::receive(&message.ticket);
        match &*message.film {
            // An `Err` or a panic is the task's failure.
            "a.mov" => println!("a.mov: {} bytes", received.show_result().run(|| render(&message))?),
            // The task is cancelled if the future is dropped before its end.
            "b.mov" => received.instrument(upload(&message)).await?,
            // By hand.
            _ => {
                let work = received.begin();
                let current = work.enter();
                let rendered = render(&message);
                drop(current);
                match rendered {
                    Ok(bytes) => work.returned(&bytes),
                    Err(error) => {
                        println!("{}: {error}, again in 10 s", message.film);
                        let ticket = work.retry(error, SystemTime::now() + Duration::from_secs(10));
                        queue.push_back(serde_json::to_string(&Message { ticket, ..message })?);
                    }
                }
            }
        }
    }
    Ok(())
}

#[root_task("send films")]
fn send(films: &[&str]) -> anyhow::Result<VecDeque<String>> {
    let mut queue = VecDeque::new();
    for film in films {
        let ticket = task::send("render").queue("video").begin();
        queue.push_back(serde_json::to_string(&Message { film: (*film).to_owned(), ticket })?);
    }
    Ok(queue)
}

#[normal_task]
fn render(message: &Message) -> anyhow::Result<usize> {
    ensure!(message.film != "c.mov" || message.ticket.retries > 0, "no disk");
    Ok(1024 * message.film.len())
}

#[normal_task]
async fn upload(message: &Message) -> anyhow::Result<()> {
    tokio::task::yield_now().await;
    println!("{}: uploaded", message.film);
    Ok(())
}
