//! The sender and the receiver of a queue. The messages are lines with tickets as JSON.

use std::io::BufRead;
use std::time::{Duration, Instant, SystemTime};

use monitor_client::task::{self, Ticket};
use monitor_client::{normal_task, root_task};

use crate::say;

/// Sends this number of tasks and prints their tickets.
#[root_task("send films")]
pub(crate) fn sends(count: u64) {
    for number in 0..count {
        let ticket = task::send("render").queue("video").args(&[number]).kwargs(&[("height", 720)]).begin();
        say(&serde_json::to_string(&ticket).expect("plain data is JSON"));
    }
}

/// Executes the actions in the lines, each an action, a space and the ticket. Prints `done` or the ticket of the next attempt.
pub(crate) fn receives() {
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let (action, ticket) = line.split_once(' ').expect("an action and a ticket");
        let ticket: Ticket = serde_json::from_str(ticket).expect("a ticket");
        let received = task::receive(&ticket);
        let next = match action {
            "run" => received.run(renders).err(),
            "fails" => received.run(fails).err(),
            "fails-for-a-reason" => {
                received.run(|| Err::<(), _>(anyhow::anyhow!("no disk").context("no film"))).map_err(|error| error.to_string()).err()
            }
            "returns" => {
                let work = received.begin();
                let within = work.enter();
                renders().expect("it renders");
                drop(within);
                work.returned(&serde_json::json!({"frames": 24}));
                None
            }
            "shows" => received.show_result().run(|| renders().map(|()| 24)).err(),
            "shows-later" => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                runtime.block_on(received.show_result().instrument(async { renders().map(|()| "24") })).err()
            }
            "shows-no-error" => received.show_result().run(fails).err(),
            "retries" => {
                let work = received.begin();
                let error = fails().expect_err("it fails");
                let next = work.retry(error, SystemTime::now() + Duration::from_secs(3_600));
                Some(serde_json::to_string(&next).expect("plain data is JSON"))
            }
            "refuses" => {
                received.reject(false);
                None
            }
            "gives-back" => {
                received.reject(true);
                None
            }
            "too-late" => {
                received.revoke(true);
                None
            }
            "drops" => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                let work = received.instrument(std::future::pending::<()>());
                let _ = runtime.block_on(async { tokio::time::timeout(Duration::from_millis(1), work).await });
                None
            }
            "hangs" => {
                let work = received.begin();
                say("hangs");
                loop {
                    std::thread::park();
                    std::hint::black_box(&work);
                }
            }
            other => panic!("{other:?} is nothing to do"),
        };
        monitor_client::flush(Duration::from_secs(60)).expect("the server takes it");
        say(next.as_deref().unwrap_or("done"));
    }
}

#[normal_task("encode")]
fn renders() -> Result<(), String> {
    Ok(())
}

fn fails() -> Result<(), String> {
    Err("no film".to_owned())
}

/// Sends tasks to itself at a steady rate and handles them. Of each ten, one fails and one is retried.
pub(crate) fn turns_over(count: u64, a_second: u64) {
    let begun = Instant::now();
    for number in 0..count {
        std::thread::sleep((begun + Duration::from_secs(number) / a_second as u32).saturating_duration_since(Instant::now()));
        let ticket = task::send(["cut", "render", "渲染"][number as usize % 3]).queue("video").args(&[number]).begin();
        let work = task::receive(&ticket).begin();
        match number % 10 {
            3 => {
                let next = work.retry("no disk", SystemTime::now());
                task::receive(&next).begin().returned(&number);
            }
            7 => work.fail("no film"),
            _ => work.returned(&number),
        }
    }
    monitor_client::flush(Duration::from_secs(300)).expect("the server takes it");
}
