//! A producer and a consumer in two processes. Tasks are lines of JSON, which include the ids of root and parent.
//!
//! ```text
//! MONITOR_ENABLED=1 cargo run -p monitor-examples --bin queue
//! ```

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};
use monitor_client::{cross_process, normal_task, root_task};
use serde_json::{Value, json};

const TASKS: &[(&str, i64)] = &[("semantic", 3), ("mapping", 5), ("semantic", -1), ("render", 8)];

fn main() -> anyhow::Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("consume") => consume(),
        Some(other) => bail!("{other:?} is not known: queue takes no argument"),
        None => produce(),
    }
}

/// Starts the consumer and sends it tasks one after another.
#[root_task("produce tasks")]
fn produce() -> anyhow::Result<()> {
    let mut consumer =
        Command::new(std::env::current_exe()?).arg("consume").stdout(Stdio::piped()).spawn().context("can't start the consumer")?;
    let mut address = String::new();
    BufReader::new(consumer.stdout.take().context("the consumer has no stdout")?).read_line(&mut address)?;
    let mut stream = TcpStream::connect(address.trim()).context("can't reach the consumer")?;
    let mut answers = BufReader::new(stream.try_clone()?);
    for (topic, weight) in TASKS {
        match delegate(&mut stream, &mut answers, topic, *weight) {
            Ok(answer) => println!("{topic}: {answer}"),
            Err(error) => println!("{topic}: {error}"),
        }
    }
    stream.shutdown(std::net::Shutdown::Both)?;
    let status = consumer.wait()?;
    ensure!(status.success(), "the consumer ended with {status}");
    Ok(())
}

/// Sends a task and waits for its result. The message only needs the two ids.
#[normal_task]
fn delegate(stream: &mut TcpStream, answers: &mut impl BufRead, topic: &str, weight: i64) -> anyhow::Result<i64> {
    let mut message = json!({"topic": topic, "weight": weight});
    monitor_client::inject(&mut message);
    writeln!(stream, "{message}")?;
    let mut line = String::new();
    answers.read_line(&mut line)?;
    let answer: Value = serde_json::from_str(&line).context("the consumer answered strangely")?;
    match answer["error"].as_str() {
        Some(error) => bail!("refused: {error}"),
        None => answer["result"].as_i64().context("the consumer gave no result"),
    }
}

/// Takes tasks until the producer hangs up.
fn consume() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    let (mut stream, _) = listener.accept()?;
    for line in BufReader::new(stream.try_clone()?).lines() {
        let message: Value = serde_json::from_str(&line?)?;
        let from = monitor_client::extract(&message);
        let answer = match judge(&message, from.root_id.as_deref(), from.parent_id.as_deref()) {
            Ok(result) => json!({"result": result}),
            Err(error) => json!({"error": error.to_string()}),
        };
        writeln!(stream, "{answer}")?;
    }
    Ok(())
}

#[cross_process("judge whether to launch")]
fn judge(message: &Value, root_id: Option<&str>, parent_id: Option<&str>) -> anyhow::Result<i64> {
    let weight = message["weight"].as_i64().context("the task has no weight")?;
    ensure!(weight > 0, "a weight of {weight} is none");
    Ok((1..=weight).product())
}
