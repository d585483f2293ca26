//! Two threads work on a queue of films under remote control: one film fails and is retried, another was revoked, thumbnails have a rate
//! limit. With a number as the argument it runs for this many seconds, and executes commands of `monitor control`.
//!
//! ```text
//! MONITOR_ENABLED=1 MONITOR_COMMANDS=all cargo run -p monitor-examples --bin workers -- 60
//! monitor inspect reserved
//! monitor control rate-limit thumbnail 1/s --for 10s
//! monitor control pause --for 5s
//! monitor control pool-grow 2
//! monitor call render --args '[7]' --wait 10s
//! monitor retry render-1
//! monitor purge
//! monitor control shutdown
//! ```

mod queue;

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, bail};
use monitor_client::commands::{Order, Rate, TaskSource};
use monitor_client::control::{Stop, TaskControl};
use monitor_client::task;
use monitor_client::{normal_task, root_task};

use self::queue::{Message, Queue};

fn main() -> anyhow::Result<()> {
    let seconds = std::env::args().nth(1).map(|text| text.parse().with_context(|| format!("{text:?}: expected seconds"))).transpose()?;
    let until = seconds.map(|seconds: u64| Instant::now() + Duration::from_secs(seconds));
    let queue = Arc::new(Queue::default());
    let control = TaskControl::new(2).from_queues(["films"]).conf(serde_json::json!({ "attempts": 3 }));
    let control = queue.offer(control).register();
    let thumbnails = Order::RateLimit { name: "thumbnail".to_owned(), rate: Rate::read("20/s").map_err(anyhow::Error::msg)?, hold: None };
    control.handle(thumbnails).map_err(anyhow::Error::msg)?;

    let outcomes = Mutex::new(BTreeSet::new());
    for message in send(1..=4) {
        if message.film == 3 {
            // A customer has called it off, as `monitor control revoke` would.
            let ids = message.ticket.uuid.iter().cloned().collect();
            control.handle(Order::Revoke { ids, terminate: false }).map_err(anyhow::Error::msg)?;
        }
        queue.push(message);
    }
    std::thread::scope(|scope| {
        let working: Vec<_> = (0..4).map(|_| scope.spawn(|| work(&control, &queue, until, &outcomes))).collect();
        if let Some(until) = until {
            send_more(&control, &queue, until);
        }
        for thread in working {
            thread.join().expect("no panic");
        }
    });
    let outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
    for outcome in &outcomes {
        println!("{outcome}");
    }
    Ok(())
}

#[root_task("send films")]
fn send(films: RangeInclusive<u32>) -> Vec<Message> {
    messages(films)
}

/// Sends a film every now and then, all in one tree.
#[root_task("send more films")]
fn send_more(control: &TaskControl, queue: &Queue, until: Instant) {
    for film in 5.. {
        if control.is_stopping() || Instant::now() >= until {
            return;
        }
        for message in messages(film..=film) {
            queue.push(message);
        }
        std::thread::sleep(Duration::from_millis(250));
    }
}

/// Two tasks for each film.
fn messages(films: RangeInclusive<u32>) -> Vec<Message> {
    let message = |name: &str, film: u32| {
        let ticket = task::send(name).queue("films").uuid(format!("{name}-{film}")).args(&[film]).begin();
        Message { film, ticket, eta: None, expires: None }
    };
    films.flat_map(|film| [message("render", film), message("thumbnail", film)]).collect()
}

/// Works on messages, one after the other, when it is their turn.
fn work(control: &TaskControl, queue: &Queue, until: Option<Instant>, outcomes: &Mutex<BTreeSet<String>>) {
    let is_over = || control.is_stopping() || until.is_none_or(|until| Instant::now() >= until);
    while let Some(message) = queue.pop(is_over) {
        let name = message.ticket.uuid.clone().unwrap_or_default();
        if message.expires.is_some_and(|expires| SystemTime::now() > expires) {
            task::receive(&message.ticket).revoke(true);
            continue;
        }
        let mut held = control.accept(task::receive(&message.ticket));
        if let Some(eta) = message.eta {
            held = held.not_before(eta);
        }
        let outcome = match held.start() {
            Err(Stop::Shutdown) => return queue.push(message),
            Err(why) => format!("{name}: {why}"),
            Ok(turn) => {
                let (work, permit) = turn.begin();
                let within = work.context().map(monitor_client::Context::enter);
                let result = render(message.film, message.ticket.retries, &|| permit.stopped());
                drop(within);
                match result {
                    Ok(frames) => {
                        work.returned(&frames);
                        format!("{name}: {frames} frames, attempt {}", message.ticket.retries + 1)
                    }
                    Err(error) if message.ticket.retries < 2 && permit.stopped().is_none() => {
                        let eta = SystemTime::now() + Duration::from_millis(50);
                        let ticket = work.retry(error, eta);
                        queue.push(Message { ticket, eta: Some(eta), film: message.film, expires: message.expires });
                        continue;
                    }
                    Err(error) => {
                        let words = format!("{name}: {error}");
                        work.fail(error);
                        words
                    }
                }
            }
        };
        queue.ended(message);
        outcomes.lock().unwrap_or_else(PoisonError::into_inner).insert(outcome);
    }
}

/// The second film can't be read at first.
#[normal_task]
fn render(film: u32, retries: u32, stopped: &dyn Fn() -> Option<Stop>) -> anyhow::Result<u32> {
    for _frame in 0..film.min(24) {
        if let Some(why) = stopped() {
            return Err(why.into());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    if film == 2 && retries == 0 {
        bail!("film {film} is being written");
    }
    Ok(24 * film)
}
