//! `monitor migrate` between brokers. What Celery has sent at one broker is executed at the other.

use std::collections::BTreeSet;

use monitor_tests::{Finished, RabbitMq, Redis, command, run, wait_for};
use redis::Commands as _;
use serde_json::{Value, json};

use crate::cluster::{Cluster, Kind, of_celery, python};

/// Number of messages of the test that kills migrations. They take so long that a migration is killed before its end.
const MANY: usize = 8_000;

fn migrate(from: &str, to: &str, more: &[&str]) -> Finished {
    let mut migrate = command("monitor");
    migrate.args(["migrate", from, to]).args(more);
    run(migrate)
}

/// Runs a program of Python with the application at a broker.
fn program(broker: &str, text: &str) -> String {
    let mut python = python("python");
    python.args(["-c", text]).env("BROKER", broker).env("RESULTS", "cache+memory://");
    let finished = run(python);
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    finished.stdout
}

/// Sends tasks of all priorities to the queue `mail`, and returns their ids.
fn send(broker: &str, count: usize) -> BTreeSet<String> {
    let text = format!(
        "import shop\nfor n in range({count}):\n    task = shop.total if n % 5 == 4 else shop.add\n    args = ([n, 1],) if n % 5 == 4 else (n, 1)\n    \
         print(task.apply_async(args, queue='mail', priority=n % 10, expires=3600).id)"
    );
    program(broker, &text).lines().map(str::to_owned).collect()
}

/// Creates the queue `mail`, as the first worker or sender does.
fn declare(broker: &str) {
    program(
        broker,
        "import kombu, shop\nwith shop.app.connection() as c: kombu.Queue('mail', kombu.Exchange('mail'), 'mail')(c).declare()",
    );
}

fn connection(redis: &Redis) -> redis::Connection {
    redis::Client::open(redis.url()).and_then(|client| client.get_connection()).expect("Redis")
}

/// The messages of the queue `mail`, by the lists of the priorities.
fn lists(redis: &Redis) -> [Vec<String>; 4] {
    let mut connection = connection(redis);
    ["mail", "mail\x06\x163", "mail\x06\x166", "mail\x06\x169"].map(|list| connection.lrange(list, 0, -1).expect("a list"))
}

/// A message without the number of its delivery and its place.
fn content(message: &str) -> Value {
    let mut message: Value = serde_json::from_str(message).expect("JSON");
    for name in ["delivery_tag", "delivery_info"] {
        message["properties"][name] = Value::Null;
    }
    message
}

#[test]
fn tasks_are_moved_between_brokers_of_both_kinds_and_executed() {
    let (first, rabbit, second, third) = (Redis::start(), RabbitMq::start(), Redis::start(), Redis::start());
    let [from, second_url, to] = [&first, &second, &third].map(|redis| of_celery(redis, 0));
    let ids = send(&from, 40);
    let before = lists(&first);
    assert_eq!(before.each_ref().map(Vec::len), [12, 12, 12, 4]);

    // RabbitMQ has no such queue.
    let refused = migrate(&from, rabbit.url(), &["-Q", "mail"]);
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(refused.stderr.contains("doesn't take a message for the queue mail: there is no such queue"), "{}", refused.stderr);
    assert_eq!(lists(&first), before, "all is where it was");
    declare(rabbit.url());

    let counted = migrate(&from, rabbit.url(), &["-Q", "mail", "--dry-run"]);
    assert_eq!((counted.code, counted.stdout.as_str()), (Some(0), "mail  40 would be moved\n"), "{}", counted.stderr);
    assert_eq!(lists(&first), before);
    let limited = migrate(&from, rabbit.url(), &["-Q", "mail", "-n", "3", "-T", "shop.add"]);
    assert!(limited.code == Some(0) && limited.stdout.starts_with("mail  3 moved"), "{limited:?}");
    let adds = migrate(&from, rabbit.url(), &["-Q", "mail", "-T", "shop.add"]);
    assert_eq!((adds.code, adds.stdout.as_str()), (Some(0), "mail  29 moved, 8 left\n"), "{}", adds.stderr);
    let rest = migrate(&from, rabbit.url(), &["-Q", "mail", "--json"]);
    let rest: Value = serde_json::from_str(&rest.stdout).expect("JSON");
    assert_eq!((&rest["queues"]["mail"]["moved"], &rest["dry_run"]), (&json!(8), &json!(false)), "{rest}");
    assert_eq!(lists(&first).concat(), Vec::<String>::new());

    // The queue is found by the name of Celery's default queue only, because no node reads `mail`.
    let nothing = migrate(rabbit.url(), &second_url, &[]);
    assert_eq!((nothing.code, nothing.stdout.as_str()), (Some(0), "celery  there is no such queue\n"), "{}", nothing.stderr);
    let missing = migrate(rabbit.url(), &second_url, &["-Q", "nosuch,mail"]);
    assert!(missing.code == Some(4) && missing.stderr.contains("there is no queue nosuch at FROM"), "{missing:?}");
    assert!(missing.stdout.contains("mail    40 moved"), "{}", missing.stdout);
    let sorted = |lists: &[Vec<String>; 4]| {
        lists.each_ref().map(|list| {
            let mut list: Vec<_> = list.iter().map(|message| content(message).to_string()).collect();
            list.sort_unstable();
            list
        })
    };
    assert_eq!(sorted(&lists(&second)), sorted(&before), "headers, bodies, priorities and expiry are the same");

    // An unreadable message, and one that a former migration has taken.
    let mut connection = connection(&second);
    let last: String = connection.rpop("mail", None).expect("a message");
    connection.lpush::<_, _, ()>("monitor.migrate.mail", &last).expect("pushed");
    connection.lpush::<_, _, ()>("mail", "no message").expect("pushed");
    let mut cluster = Cluster::start(&Kind::Redis(&third), &[]);
    let moved = migrate(&second_url, &to, &["-Q", "mail"]);
    assert!(moved.code == Some(0) && moved.stdout.starts_with("mail  40 moved, 1 left\n"), "{moved:?}");
    assert!(moved.stdout.contains("1 of them taken before") && moved.stdout.contains("it is no message of kombu"), "{}", moved.stdout);
    assert_eq!(lists(&second).concat(), ["no message"]);
    cluster.start_worker("mail", &["-Q", "mail"]);
    for id in &ids {
        wait_for("the end of a task", || cluster.task(id).filter(|task| task["state"] == "succeeded"));
    }
}

/// Replaces a message by many with other ids, and returns these.
fn multiply(redis: &Redis, model: &str) -> BTreeSet<String> {
    let mut message: Value = serde_json::from_str(model).expect("JSON");
    let ids: BTreeSet<String> = (0..MANY).map(|number| format!("{number:08}-0000-4000-8000-000000000000")).collect();
    let mut all = redis::pipe();
    all.del("mail").ignore();
    for id in &ids {
        message["headers"]["id"] = json!(id);
        all.lpush("mail", message.to_string()).ignore();
    }
    all.exec(&mut connection(redis)).expect("sent");
    ids
}

/// Starts a migration, and kills it when `is_time` returns true.
fn kill_when(from: &str, to: &str, is_time: impl Fn() -> bool) {
    let mut migrate = command("monitor");
    let mut migrate = migrate.args(["migrate", from, to, "-Q", "mail"]).spawn().expect("it starts");
    wait_for("the middle", || is_time().then_some(()));
    migrate.kill().and_then(|()| migrate.wait()).expect("it ends");
}

#[test]
fn a_migration_that_is_killed_loses_nothing_and_reports_what_may_be_twice() {
    let (first, rabbit, second) = (Redis::start(), RabbitMq::start(), Redis::start());
    let [from, to] = [&first, &second].map(|redis| of_celery(redis, 0));
    declare(rabbit.url());
    send(&from, 1);
    let model = lists(&first).concat().remove(0);
    let ids = multiply(&first, &model);
    let count = |redis: &Redis| {
        let mut connection = connection(redis);
        connection.llen::<_, usize>("mail").expect("a length")
    };
    kill_when(&from, rabbit.url(), || count(&first) < MANY - 500);
    assert!(count(&first) > 0, "it was killed before the end");
    let again = migrate(&from, rabbit.url(), &["-Q", "mail", "--json"]);
    let doubtful = |finished: &Finished| {
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        let answer: Value = serde_json::from_str(&finished.stdout).expect("JSON");
        usize::try_from(answer["queues"]["mail"]["doubtful"].as_u64().expect("a number")).expect("small")
    };
    let of_first = doubtful(&again);
    kill_when(rabbit.url(), &to, || count(&second) > 500);
    assert!(count(&second) < MANY, "it was killed before the end");
    let of_second = doubtful(&migrate(rabbit.url(), &to, &["-Q", "mail", "--json"]));
    assert!(of_first <= 1 && of_second <= 1, "{of_first} {of_second}");
    let messages: Vec<_> = lists(&second).concat();
    let found: BTreeSet<_> = messages.iter().map(|message| content(message)["headers"]["id"].as_str().expect("an id").to_owned()).collect();
    assert_eq!(found, ids, "none is lost");
    assert!(messages.len() <= MANY + of_first + of_second, "{}", messages.len());
}

#[test]
fn a_message_whose_confirmation_is_missing_is_reported_by_the_next_migration() {
    let (first, second) = (Redis::start(), Redis::start());
    let [from, to] = [&first, &second].map(|redis| of_celery(redis, 0));
    let ids = send(&from, 2);
    // The other broker does not answer in time.
    let mut control = connection(&second);
    redis::cmd("CLIENT").arg("PAUSE").arg(3_600_000).arg("WRITE").exec(&mut control).expect("it pauses");
    let interrupted = migrate(&from, &to, &["-Q", "mail"]);
    assert_eq!((interrupted.code, interrupted.stdout.as_str()), (Some(3), ""), "{}", interrupted.stderr);
    assert_eq!(lists(&first).concat().len(), 1, "no worker of the former broker takes the other message");
    redis::cmd("CLIENT").arg("UNPAUSE").exec(&mut control).expect("it goes on");
    let again = migrate(&from, &to, &["-Q", "mail"]);
    assert!(again.code == Some(0) && again.stdout.starts_with("mail  2 moved\n      1 of them taken before"), "{again:?}");
    let found: Vec<_> = lists(&second).concat().iter().map(|message| content(message)["headers"]["id"].clone()).collect();
    assert_eq!((found.len(), found.iter().map(|id| id.as_str().expect("an id").to_owned()).collect::<BTreeSet<_>>()), (2, ids));
}

#[test]
fn mistakes_are_named_before_anything_is_moved() {
    let redis = Redis::start();
    let broker = of_celery(&redis, 0);
    for (from, to, more, words) in [
        (broker.as_str(), "http://localhost:60010", &[][..], "name two servers"),
        (&broker, "sqs://x", &[], "sqs"),
        (&broker, &broker, &[], "the same broker"),
        (&broker, "amqp://u:s3cret@mq", &[], "--to-password-file"),
        (&broker, "redis://h/0", &["--from-token-file", "/dev/null"], "/dev/null"),
        ("http://a:1", "http://b:1", &["-Q", "mail"], "--queues is for brokers"),
        (&broker, "redis://h/0", &["-n", "x"], "whole number"),
    ] {
        let refused = migrate(from, to, more);
        assert!(refused.code == Some(2) && refused.stderr.contains(words), "{from} {to} {more:?}: {refused:?}");
        assert!(!refused.stderr.contains("s3cret"), "{}", refused.stderr);
    }
    let away = migrate(&broker, "amqp://127.0.0.1:1", &[]);
    assert!(away.code == Some(3) && away.stderr.contains("can't be reached"), "{away:?}");
}
