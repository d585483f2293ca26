//! A program that sends its spans itself, without a server of Process Monitor.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use monitor_tests::{Finished, Server, command, run, wait_for, worker};

use crate::receiver::{Behaviour, Receiver, Taken, latest, texts};

/// The test worker, which sends only to an OTLP receiver and waits for it at its end.
fn alone(receiver: &Receiver, what: &[&str]) -> Command {
    let mut command = command("monitor-test-worker");
    command.args(what).env("MONITOR_ENABLED", "1").env("MONITOR_OTLP_ENDPOINT", receiver.url()).env("MONITOR_EXIT_TIMEOUT", "60s");
    command
}

/// Runs a command, which must succeed without output of the client.
fn succeed(command: Command) -> Finished {
    let finished = run(command);
    assert_eq!((finished.code, &*finished.stderr), (Some(0), ""));
    finished
}

/// Content of spans without ids and times, each with the names of its ancestors.
fn told(spans: &[Taken]) -> BTreeSet<String> {
    let by_id: BTreeMap<_, _> = spans.iter().map(|taken| (taken.span.span_id.clone(), &taken.span)).collect();
    assert_eq!(by_id.len(), spans.len(), "each goes once");
    let describe = |taken: &Taken| {
        let (mut path, mut above) = (taken.span.name.clone(), &taken.span);
        while let Some(parent) = by_id.get(&above.parent_span_id) {
            path = format!("{} > {path}", parent.name);
            above = parent;
        }
        assert!(above.parent_span_id.is_empty() && above.trace_id == taken.span.trace_id, "{path} is in one tree with its root");
        assert!(taken.span.end_time_unix_nano >= taken.span.start_time_unix_nano && taken.span.start_time_unix_nano > 0, "{path}");
        let events: Vec<_> = taken.span.events.iter().map(|event| (&event.name, texts(&event.attributes))).collect();
        let linked: Vec<_> =
            taken.span.links.iter().map(|link| (by_id.get(&link.span_id).map(|span| &span.name), texts(&link.attributes))).collect();
        let status = taken.span.status.as_ref().map(|status| (status.code, &status.message));
        format!("{path}: {:?} {:?} {events:?} {linked:?} {status:?}", taken.span.kind, texts(&taken.span.attributes))
    };
    spans.iter().map(describe).collect()
}

#[test]
fn a_program_sends_the_same_spans_as_a_server_would() {
    for (what, count, status) in [("tells", 3, 0), ("thread-panics", 2, 0), ("panic", 2, 101), ("leaves-open", 2, 0), ("spans", 6, 0)] {
        let (by_server, by_itself) = (Receiver::start(), Receiver::start());
        let server = crate::server(&by_server, &[]);
        let mut told_to_server = worker(&server, &[what]);
        told_to_server.env("MONITOR_EXIT_TIMEOUT", "60s");
        assert_eq!(run(told_to_server).code, Some(status), "{what}");
        let mut alone = alone(&by_itself, &[what]);
        alone.env("MONITOR_OTLP_HEADERS", "authorization=Bearer%20hush,x-tenant=env:THE_TENANT").env("THE_TENANT", "7");
        assert_eq!(run(alone).code, Some(status), "{what}");
        let of_itself = by_itself.spans(1);
        assert_eq!(of_itself.len(), count, "{what}: {of_itself:#?}");
        assert_eq!(told(&of_itself), told(&by_server.spans(count)), "{what}");
        let resource = &of_itself[0].resource;
        assert_eq!((&*resource["service.name"], resource.len()), ("monitor-test-worker", 4), "{resource:?}");
        let headers = by_itself.seen(|seen| seen.requests[0].0.clone());
        assert_eq!(["authorization", "x-tenant"].map(|name| &headers[name]), ["Bearer hush", "7"]);
    }
}

#[test]
fn folded_calls_are_sent_as_a_single_span_once() {
    let receiver = Receiver::start();
    let mut burst = alone(&receiver, &["burst", "5000"]);
    burst.env("MONITOR_FOLD_AFTER", "100");
    succeed(burst);
    let spans = latest(&receiver.spans(1));
    told(&spans);
    let leaves: Vec<_> = spans.iter().filter(|taken| taken.span.name == "leaf").collect();
    let count = |leaf: &&&Taken, key: &str| {
        texts(&leaf.span.attributes).get(&format!("process.fold.{key}")).map(|count| count.parse::<usize>().unwrap())
    };
    let folds: Vec<_> = leaves.iter().filter(|leaf| count(leaf, "count").is_some()).collect();
    let has_failed = |leaf: &&&Taken| usize::from(leaf.span.status.as_ref().unwrap().code == 2);
    let failed: usize = leaves.iter().map(|leaf| count(&leaf, "failed").unwrap_or_else(|| has_failed(&leaf))).sum();
    let calls: usize = leaves.iter().map(|leaf| count(&leaf, "count").unwrap_or(1)).sum();
    assert_eq!((calls, failed, folds.len(), spans.len()), (5_000, 5, 1, leaves.len() + 1));
    let root = spans.iter().find(|taken| taken.span.name == "burst").expect("the root");
    let times = |taken: &Taken| (taken.span.start_time_unix_nano, taken.span.end_time_unix_nano);
    assert_eq!(times(folds[0]), times(root), "a fold is as long as what its calls were made in");
}

#[test]
fn each_span_is_sent_once_despite_failures_of_the_receiver() {
    let mut receiver = Receiver::start();
    let answers = [503, 429, 502, 504, 401, 404].map(Behaviour::Answers);
    receiver.seen(|seen| (seen.next, seen.always) = (VecDeque::from(answers), Some(Behaviour::TakesAtMost(40))));
    let mut steady = alone(&receiver, &["steady"]);
    let mut steady = steady.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(steady.stderr.take().unwrap()).lines().map_while(Result::ok);
    receiver.spans(100);
    // An answer of this kind means that the spans were not accepted. A receiver that accepts spans and ends before its answer arrives gets
    // them twice.
    let before = receiver.seen(|seen| {
        seen.always = Some(Behaviour::Answers(503));
        seen.requests.len()
    });
    wait_for("a request", || receiver.seen(|seen| (seen.requests.len() > before).then_some(())));
    receiver.kill();
    assert!(said.any(|line| line.contains("is not reached, what is recorded waits")));
    receiver.seen(|seen| seen.always = None);
    receiver.start_again();
    drop(steady.stdin.take());
    let output = steady.wait_with_output().unwrap();
    let calls: usize = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
    assert!(output.status.success());
    let spans = latest(&receiver.spans(1));
    let counted =
        |taken: &Taken| texts(&taken.span.attributes).get("process.fold.count").map_or(1, |count| count.parse::<usize>().unwrap());
    let leaves: usize = spans.iter().filter(|taken| taken.span.name == "leaf").map(counted).sum();
    assert_eq!((leaves, spans.iter().filter(|taken| taken.span.name == "steady").count()), (calls, 1));
}

#[test]
fn permanently_rejected_spans_are_reported_and_not_sent_again() {
    let receiver = Receiver::start();
    receiver.seen(|seen| seen.always = Some(Behaviour::Answers(400)));
    let finished = run(alone(&receiver, &["tells"]));
    assert_eq!(finished.code, Some(0));
    let refused =
        format!("monitor: warning: the OTLP receiver at http://{} answered 400 Bad Request: as the test says: ", receiver.address);
    assert!(finished.stderr.starts_with(&refused), "{}", finished.stderr);
    assert!(finished.stderr.contains("spans are not sent again"), "{}", finished.stderr);
    let ids: Vec<_> =
        receiver.seen(|seen| seen.requests.iter().flat_map(|(_, spans)| spans.iter().map(|of| of.span.span_id.clone())).collect());
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "each went once");
}

#[test]
fn an_unreachable_receiver_causes_only_warnings() {
    let mut receiver = Receiver::start();
    receiver.kill();
    let finished = run(alone(&receiver, &["tells"]));
    assert_eq!(finished.code, Some(0));
    for words in ["is not reached, what is recorded waits", "has not taken what was recorded: it is lost"] {
        assert!(
            finished.stderr.contains(&format!("monitor: warning: the OTLP receiver at http://{} {words}", receiver.address)),
            "{}",
            finished.stderr
        );
    }
    assert!(!finished.stderr.contains("MONITOR_EXIT_TIMEOUT"), "it does not wait for whom was never there: {}", finished.stderr);
}

#[test]
fn our_own_server_is_refused_as_receiver_and_errors_contain_no_secrets() {
    let server = Server::start();
    let port = server.url().rsplit(':').next().unwrap();
    let own = [server.url().to_owned(), format!("http://localhost:{port}/v1/traces"), format!("http://[::1]:{port}")];
    let nonsense = ["collector:4318", "ftp://collector", "http://me:hush@collector"].map(str::to_owned);
    let all = own.iter().chain(&nonsense);
    for endpoint in all.clone() {
        let mut tells = worker(&server, &["tells"]);
        tells.env("MONITOR_OTLP_ENDPOINT", endpoint).env("MONITOR_EXIT_TIMEOUT", "60s").env("MONITOR_OTLP_HEADERS", "hush");
        let said = run(tells).stderr;
        for words in [
            "MONITOR_OTLP_ENDPOINT: its value is not taken: expected a URL such as http://127.0.0.1:4318",
            "MONITOR_OTLP_HEADERS: its value",
        ] {
            assert!(said.contains(words), "{endpoint}: {said}");
        }
        assert!(!said.contains("hush"), "{said}");
    }
    // Recorded events were sent to the server as usual.
    wait_for("their trees", || (server.roots().len() == all.clone().count()).then_some(()));
}
