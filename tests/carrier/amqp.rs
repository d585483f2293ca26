//! A producer and a worker with a RabbitMQ queue between them.

use futures_util::StreamExt;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use monitor_client::{Context, ContextExt, Process, normal_task, root_task};

use crate::{MESSAGES, handle};

const QUEUE: &str = "tasks";

fn run(work: impl Future<Output = lapin::Result<()>>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    runtime.block_on(work).expect("a broker");
}

/// Returns a connection, which must be kept, and a channel with the declared queue and confirmed messages. A dropped connection sends
/// nothing more.
async fn connect(url: &str) -> lapin::Result<(Connection, Channel)> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    channel.queue_declare(QUEUE.into(), QueueDeclareOptions::default(), FieldTable::default()).await?;
    Ok((connection, channel))
}

pub(crate) fn send(url: &str) {
    run(produce(url));
}

#[root_task("produce")]
async fn produce(url: &str) -> lapin::Result<()> {
    let (_connection, channel) = connect(url).await?;
    for message in MESSAGES {
        enqueue(&channel, message).await?;
    }
    publish(&channel, "end", FieldTable::default()).await
}

#[normal_task]
async fn enqueue(channel: &Channel, message: &str) -> lapin::Result<()> {
    let mut headers = FieldTable::default();
    monitor_client::inject(&mut headers);
    publish(channel, message, headers).await
}

async fn publish(channel: &Channel, message: &str, headers: FieldTable) -> lapin::Result<()> {
    let properties = BasicProperties::default().with_headers(headers);
    let sent = channel.basic_publish("".into(), QUEUE.into(), BasicPublishOptions::default(), message.as_bytes(), properties).await?;
    sent.await.map(drop)
}

/// Handles messages until the last-message marker arrives.
pub(crate) fn work(url: &str) {
    run(async {
        let (_connection, channel) = connect(url).await?;
        let mut tasks = channel.basic_consume(QUEUE.into(), "worker".into(), BasicConsumeOptions::default(), FieldTable::default()).await?;
        while let Some(task) = tasks.next().await {
            let task = task?;
            let message = String::from_utf8_lossy(&task.data);
            task.ack(BasicAckOptions::default()).await?;
            if message == "end" {
                break;
            }
            let headers = task.properties.headers().as_ref().expect("headers");
            let sender = Context::extract(headers).expect("a sender");
            let _ = Process::builder("task").kind("task").parent(sender).run(|_| handle(&message));
        }
        Ok(())
    });
}
