//! Carriers of a tree from one program, thread or task to another, with real libraries and services. Each test compares the complete tree.

mod python;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use expect_test::expect;
use monitor_tests::{RabbitMq, Redis, Server, example, outline, run};

/// Command that runs the carrier program with these arguments.
fn carrier(server: &Server, what: &[&str]) -> Command {
    let mut command = example("monitor-test-carrier", Some(server));
    // All events arrive even on a busy machine.
    command.args(what).env("MONITOR_EXIT_TIMEOUT", "60s");
    command
}

/// Runs a command, which must succeed. Returns its output.
fn succeed(command: Command) -> String {
    let finished = run(command);
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""));
    finished.stdout
}

/// The only tree, and the number of programs that have recorded it.
fn tree(server: &Server) -> (String, usize) {
    let processes = server.tree(&server.finished_root());
    let workers: BTreeSet<&str> = processes.iter().map(|process| process["worker_id"].as_str().expect("an id")).collect();
    (outline(&processes), workers.len())
}

/// Starts a service. Returns its address.
fn serve(server: &Server, what: &str) -> (Child, String) {
    let mut service = carrier(server, &[what]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the service starts");
    let mut address = String::new();
    BufReader::new(service.stdout.take().expect("piped")).read_line(&mut address).expect("an address");
    (service, address.trim().to_owned())
}

fn ends_well(mut child: Child) {
    // The service ends with its standard input.
    drop(child.stdin.take());
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn rayon_threads_and_tasks_keep_the_tree() {
    let server = Server::start();
    succeed(carrier(&server, &["parallel"]));
    expect![[r#"
        in parallel
          by_rayon
            handle
            handle
            handle
            handle
            handle
            handle
          by_threads
            handle
            handle
          by_tasks
            handle
            handle
            handle
    "#]]
    .assert_eq(&tree(&server).0);
}

#[test]
fn tasks_of_smol_keep_the_tree() {
    let server = Server::start();
    succeed(carrier(&server, &["smol"]));
    expect![[r#"
        on smol
          by_tasks
            handle
            handle
            handle
            handle
    "#]]
    .assert_eq(&tree(&server).0);
}

#[test]
fn a_request_to_actix_is_one_tree_on_both_sides() {
    let server = Server::start();
    let (service, address) = serve(&server, "actix-serve");
    let printed = succeed(carrier(&server, &["actix-call", &address]));
    assert_eq!(printed, "HTTP/1.1 200 OK\nHTTP/1.1 500 Internal Server Error\nHTTP/1.1 200 OK\n");
    ends_well(service);
    let (tree, workers) = tree(&server);
    expect![[r#"
        calls actix
          ask
            GET /orders/one
              handle
          ask
            GET /orders/nonsense [failed]: "nonsense" can't be handled
              handle [failed]: "nonsense" can't be handled
          ask
            GET /orders/three
              handle
    "#]]
    .assert_eq(&tree);
    assert_eq!(workers, 2);
}

/// A library contains its own copy of the recorder. It has the settings of the program and does not know the calls of the program.
#[test]
fn a_loaded_library_is_a_separate_worker_below_the_parent_of_its_program() {
    let server = Server::start();
    let library = monitor_tests::library("monitor-test-plugin");
    succeed(carrier(&server, &["starts", library.to_str().expect("a path of text")]));
    let (tree, workers) = tree(&server);
    expect![[r#"
        starts
          calls
            works for a caller
              works
          works
    "#]]
    .assert_eq(&tree);
    assert_eq!(workers, 3);
}

#[test]
fn a_call_of_grpc_is_one_tree_on_both_sides() {
    let server = Server::start();
    let (service, address) = serve(&server, "grpc-serve");
    let printed = succeed(carrier(&server, &["grpc-call", &address]));
    assert_eq!(printed, "one: 3\nnonsense: \"nonsense\" can't be handled\nthree: 5\n");
    ends_well(service);
    let (tree, workers) = tree(&server);
    expect![[r#"
        calls
          tests.Handler/Handle
            Handler
              handle
          tests.Handler/Handle [failed]: gRPC status 3 (invalid argument): "nonsense" can't be handled
            Handler [failed]: gRPC status 3 (invalid argument): "nonsense" can't be handled
              handle [failed]: "nonsense" can't be handled
          tests.Handler/Handle
            Handler
              handle
    "#]]
    .assert_eq(&tree);
    assert_eq!(workers, 2);
}

#[test]
fn tasks_from_redis_appear_below_their_sender() {
    let (redis, server) = (Redis::start(), Server::start());
    let worker = carrier(&server, &["redis-work", redis.url()]).stdin(Stdio::piped()).spawn().expect("the worker starts");
    succeed(carrier(&server, &["redis-send", redis.url()]));
    ends_well(worker);
    let (tree, workers) = tree(&server);
    assert_eq!(tree, worked());
    assert_eq!(workers, 2);
}

#[test]
fn tasks_from_rabbitmq_appear_below_their_sender() {
    let (broker, server) = (RabbitMq::start(), Server::start());
    let worker = carrier(&server, &["amqp-work", broker.url()]).stdin(Stdio::piped()).spawn().expect("the worker starts");
    succeed(carrier(&server, &["amqp-send", broker.url()]));
    ends_well(worker);
    let (tree, workers) = tree(&server);
    assert_eq!(tree, worked());
    assert_eq!(workers, 2);
}

/// The tree of three messages. The second message can't be handled.
fn worked() -> String {
    let task = |failed: &str| format!("  enqueue\n    task{failed}\n      handle{failed}\n");
    ["produce\n", &task(""), &task(r#" [failed]: "nonsense" can't be handled"#), &task("")].concat()
}
