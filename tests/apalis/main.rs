//! A program that sends or handles tasks by apalis with Redis.

use std::io::BufRead;
use std::time::Duration;

use apalis::layers::retry::RetryPolicy;
use apalis::prelude::*;
use apalis_redis::{Config, RedisStorage};
use monitor_apalis::{MonitorExt as _, RedisQueue, WorkerLayer};
use monitor_client::control::TaskControl;
use monitor_client::{normal_task, root_task};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// A task. Its title selects the reaction of the worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Film {
    title: String,
}

type Connection = redis::aio::MultiplexedConnection;
type Storage = RedisStorage<Film, Connection>;

async fn storage(url: &str, queue: &str) -> Storage {
    let client = apalis_redis::Client::open(url).expect("a URL");
    let connection = client.get_multiplexed_async_connection().await.expect("Redis");
    let config = Config::default().queue(queue).heartbeat_interval(Duration::from_secs(1)).missed_heartbeats(2).batch_size(2);
    RedisStorage::new(connection).with_config(config)
}

fn say(line: &str) {
    println!("{line}");
}

#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match &args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["send", url, queue, titles @ ..] => send(storage(url, queue).await, queue, titles).await,
        ["push", url, queue, title] => push(storage(url, queue).await, title).await,
        ["work", url, queue, name] => work(storage(url, queue).await, name).await,
        other => panic!("{other:?} is not known"),
    }
}

/// Sends films after a first line of input, and prints their ids.
#[root_task("send films")]
async fn send(mut storage: Storage, queue: &str, titles: &[&str]) {
    say("ready");
    next_line().await;
    for title in titles {
        let task = TaskBuilder::new(Film { title: (*title).to_owned() });
        let sent = monitor_apalis::send("渲染", task).queue(queue).show_args(|film| json!({"title": film.title})).to(&mut storage).await;
        match sent {
            Ok(id) => say(&id.to_string()),
            Err(error) => say(&format!("not sent: {error}")),
        }
    }
}

/// Pushes a film without the context of a monitored program.
async fn push(mut storage: Storage, title: &str) {
    storage.push(Film { title: title.to_owned() }).await.expect("pushed");
}

/// Handles tasks until the end of the standard input or an order to stop.
async fn work(storage: Storage, name: &str) {
    let queue = RedisQueue::new("film", &storage);
    let layer = WorkerLayer::new().redis(&queue);
    let control = queue.offer(TaskControl::new(2)).register();
    let layer = layer.control(&control);
    let layer = layer.show_args(|film: &Film| film.title.clone()).show_result(|frames: &usize| json!({ "frames": frames }));
    let worker = WorkerBuilder::new(name)
        .backend(storage.poll_with_interval(Duration::from_millis(20)))
        .parallelize(tokio::spawn)
        .retry(RetryPolicy::retries(2).retry_if(|error: &BoxDynError| error.to_string().contains("at once")))
        .catch_panic()
        .monitored(layer)
        .on_event(|worker, event| match event {
            Event::Start => {
                say("ready");
                let worker = worker.clone();
                std::thread::spawn(move || {
                    while std::io::stdin().lock().lines().next().is_some() {}
                    worker.stop().expect("it runs");
                });
            }
            Event::Error(error) => say(&format!("error: {error}")),
            _ => {}
        })
        .build(render);
    worker.run().await.expect("the worker ends well");
    say("ended");
}

async fn render(film: Film, attempt: Attempt) -> Result<usize, BoxDynError> {
    let title = film.title.as_str();
    say(&format!("begun {title} {}", attempt.current()));
    match title {
        "fails" => Err("no film".into()),
        "aborts" => Err(AbortError::new(std::io::Error::other("胶片坏了")).into()),
        "again at once" if attempt.current() < 3 => Err(format!("at once, said {title}").into()),
        "again later" if attempt.current() < 2 => Err("not yet".into()),
        "panics" => panic!("the film tore"),
        "hangs" => std::future::pending().await,
        _ => Ok(encode(title)),
    }
}

#[normal_task]
fn encode(title: &str) -> usize {
    title.chars().count()
}

async fn next_line() -> Option<String> {
    tokio::task::spawn_blocking(|| std::io::stdin().lock().lines().next()?.ok()).await.ok()?
}
