//! A producer and a worker with a Redis stream between them.

use monitor_client::{Context, ContextExt, Process, normal_task, root_task};
use redis::streams::{StreamReadOptions, StreamReadReply};
use redis::{Commands, Connection};

use crate::{MESSAGES, handle};

const STREAM: &str = "tasks";

fn connect(url: &str) -> Connection {
    redis::Client::open(url).expect("a URL").get_connection().expect("a server")
}

#[root_task("produce")]
pub(crate) fn send(url: &str) {
    let mut connection = connect(url);
    for message in MESSAGES {
        enqueue(&mut connection, message);
    }
    connection.xadd::<_, _, _, _, String>(STREAM, "*", &[("message", "end")]).expect("added");
}

#[normal_task]
fn enqueue(connection: &mut Connection, message: &str) {
    let mut fields = vec![("message".to_owned(), message.to_owned())];
    monitor_client::inject(&mut fields);
    connection.xadd::<_, _, _, _, String>(STREAM, "*", &fields).expect("added");
}

/// Handles messages until the last-message marker arrives.
pub(crate) fn work(url: &str) {
    let (mut connection, mut last) = (connect(url), "0".to_owned());
    loop {
        let read: Option<StreamReadReply> =
            connection.xread_options(&[STREAM], &[&last], &StreamReadOptions::default().block(60_000)).expect("read");
        let entries = read.expect("something came").keys.into_iter().flat_map(|stream| stream.ids);
        for entry in entries {
            let message: String = entry.get("message").expect("a message");
            if message == "end" {
                return;
            }
            let sender = Context::extract(&entry).expect("a sender");
            let task = Process::builder("task").kind("task").parent(sender);
            let _ = task.run(|_| handle(&message));
            last = entry.id;
        }
    }
}
