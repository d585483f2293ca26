//! A monitored program that passes its work to threads, other programs and queues, by common crates.

mod amqp;
mod celery;
mod elsewhere;
mod grpc;
mod parallel;
mod redis;

use monitor_client::normal_task;

/// Work of the receiver of a message.
#[normal_task("handle")]
fn handle(message: &str) -> Result<usize, String> {
    if message == "nonsense" { Err(format!("{message:?} can't be handled")) } else { Ok(message.len()) }
}

/// The sent messages.
const MESSAGES: [&str; 3] = ["one", "nonsense", "three"];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match &args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["parallel"] => parallel::run(),
        ["grpc-serve"] => grpc::serve(),
        ["grpc-call", address] => grpc::call(address),
        ["smol"] => elsewhere::on_smol(),
        ["actix-serve"] => elsewhere::serve_by_actix(),
        ["actix-call", address] => elsewhere::call(address),
        ["starts", library] => elsewhere::start(library),
        ["opens", library] => elsewhere::open(library),
        ["amqp-send", url] => amqp::send(url),
        ["amqp-work", url] => amqp::work(url),
        ["celery-send", url, task, id] => celery::send(url, task, id),
        ["redis-send", url] => redis::send(url),
        ["redis-work", url] => redis::work(url),
        other => panic!("{other:?} is not known"),
    }
}
