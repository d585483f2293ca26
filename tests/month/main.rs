//! A month of outages on the real server, with a steered clock. The messages must agree with a model that knows the guarantees of
//! docs/guides/alerts.md but not their implementation, whichever process is killed and whatever the receivers answer.
#![cfg(target_os = "linux")]

#[path = "../agent/harness.rs"]
#[expect(dead_code, reason = "the tests of the agent ask for more of it")]
mod harness;
mod machines;
mod model;
mod receivers;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use monitor_tests::{Server, SteeredClock, rounds, wait_for};
use serde_json::{Value, json};

use self::model::{Model, Told};
use self::receivers::{MailServer, Mode, Receiver};

/// Names of tasks. The error messages differ by task, because failures with the same message are combined.
const TASKS: [&str; 5] = ["gold", "silver", "copper", "iron", "tin"];
const DAY: Duration = Duration::from_secs(86_400);
/// Maximum time between two attempts to send a message.
const LONGEST_PAUSE: Duration = Duration::from_secs(11 * 60);
/// Step at which the mail server starts, about a day later.
const MAIL_OPENS: u64 = 4;

/// A server, its clock and all receivers.
struct Month {
    server: Server,
    /// Keeps no connections, because the server closes connections that were idle while hours passed.
    http: reqwest::blocking::Client,
    clock: SteeredClock,
    /// Offset of the clocks.
    passed: Duration,
    /// Time up to which the model is informed.
    known_us: u64,
    hook: Receiver,
    chat: Receiver,
    mail: MailServer,
    model: Model,
    kills: usize,
    _folder: tempfile::TempDir,
}

impl Month {
    fn begin() -> Self {
        let (hook, chat, mail, folder) = (Receiver::start(), Receiver::start(), MailServer::away(), tempfile::tempdir().unwrap());
        let file = folder.path().join("alerts.toml");
        let rules = format!(
            "[[rule]]\nname = \"all\"\non = {{ cause = [\"failed\"], task = \"*\" }}\nto = [\"hook\", \"chat\", \"post\"]\n\
             [channel.hook]\nkind = \"webhook\"\nurl = \"http://{}/\"\nprivate = true\nrate = 1000\n\
             [channel.chat]\nkind = \"wecom\"\nurl = \"http://{}/\"\nprivate = true\nrate = 1000\n\
             [channel.post]\nkind = \"mail\"\nserver = \"{}\"\ntls = \"none\"\nfrom = \"monitor@example.com\"\nto = [\"ops@example.com\"]\nrate = 1000\n",
            hook.address, chat.address, mail.address
        );
        std::fs::write(&file, rules).unwrap();
        let clock = SteeredClock::new();
        let mut env = clock.env();
        env.push(("MONITOR_ALERTS_FILE", OsString::from(&file)));
        let server = Server::start_with(env);
        wait_for("the rule", || {
            server.get("/alerts/rules")["rules"].as_array().unwrap().iter().find(|rule| rule["name"] == "all").cloned()
        });
        let http = reqwest::blocking::Client::builder().no_proxy().pool_max_idle_per_host(0).timeout(None).build().unwrap();
        let mut month = Self {
            server,
            http,
            clock,
            passed: Duration::ZERO,
            known_us: 0,
            hook,
            chat,
            mail,
            model: Model::default(),
            kills: 0,
            _folder: folder,
        };
        month.known_us = month.now_us();
        month
    }

    fn get(&self, path: &str) -> Value {
        let response = self.http.get(format!("{}/api/v1{path}", self.server.url())).send().unwrap();
        response.json().unwrap()
    }

    fn now_us(&self) -> u64 {
        (SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + self.passed).as_micros() as u64
    }

    /// Waits until no message is in flight to a receiver that answers. A request that is in flight while hours pass would time out.
    fn land(&self) {
        let takes = |channel: &str| match channel {
            "hook" => self.hook.takes(),
            "chat" => self.chat.takes(),
            _ => self.mail.takes(),
        };
        wait_for("messages to land", || {
            let alerts = self.get("/alerts?limit=12")["alerts"].as_array().unwrap().clone();
            let is_in_flight = |message: &Value| {
                let is_due = message["next_us"].as_u64().is_some_and(|next_us| next_us <= self.now_us());
                message["state"] == "waiting" && is_due && takes(message["channel"].as_str().unwrap())
            };
            let has_landed = |alert: &Value| {
                let detail = self.get(&format!("/alerts/{}", alert["id"]));
                !detail["messages"].as_array().unwrap().iter().any(is_in_flight)
            };
            alerts.iter().all(has_landed).then_some(())
        });
    }

    fn pass(&mut self, time: Duration) {
        self.land();
        self.passed += time;
        self.clock.pass(self.passed);
        self.tell_model();
    }

    /// Informs the model about the passed time, including the duration of the test itself.
    fn tell_model(&mut self) {
        let now_us = self.now_us();
        self.model.pass(Duration::from_micros(now_us - self.known_us));
        self.known_us = now_us;
    }

    /// Ends a run of a task. With `is_killed`, the server is killed as soon as it has acknowledged the run.
    fn run(&mut self, number: u64, task: &str, is_good: bool, is_killed: bool) {
        self.tell_model();
        while self.model.is_on_edge(task) {
            self.pass(Duration::from_secs(60));
        }
        let at_us = self.now_us();
        let worker = json!({"id": "5b0c000000000000000000000000a001", "hostname": "db-1", "pid": 1, "program": "p"});
        let batch = json!({"version": 1, "worker": worker, "sequence": number * 1_000, "sent_us": at_us, "events": events(number, task, is_good, at_us)});
        let response = self.http.post(format!("{}/api/v1/events", self.server.url())).json(&batch).send().unwrap();
        assert_eq!(response.status(), 200, "{}", response.text().unwrap());
        if is_killed {
            self.kills += 1;
            self.server.kill();
            self.server.start_again();
        }
        let expected = self.model.run(task, is_good);
        wait_for("the decision", || {
            let alerts = self.get(&format!("/alerts?subject=task:{task}&limit=1"))["alerts"].clone();
            let is = |state: &str, count: u64| alerts[0]["state"] == state && alerts[0]["count"] == count;
            expected.is_none_or(|(state, count)| is(state, count)).then_some(())
        });
    }

    /// Lets time pass until all waiting messages were sent.
    fn settle(&mut self) {
        for receiver in [&self.hook, &self.chat] {
            receiver.set(Mode::Takes);
        }
        let mut waiting = Vec::new();
        for _ in 0..40 {
            self.pass(LONGEST_PAUSE);
            let alerts = self.get("/alerts?limit=1000")["alerts"].as_array().unwrap().clone();
            let messages = alerts.iter().flat_map(|alert| {
                let detail = self.get(&format!("/alerts/{}", alert["id"]));
                detail["messages"].as_array().unwrap().clone()
            });
            waiting = messages.filter(|message| message["state"] != "sent").collect();
            if waiting.is_empty() {
                return;
            }
        }
        panic!("what waits is not sent: {waiting:#?}");
    }
}

fn events(number: u64, task: &str, is_good: bool, at_us: u64) -> Value {
    let of = json!({"root_id": format!("019f{number:028x}"), "id": format!("{number:016x}"), "native_id": format!("{task}@{number}.1")});
    let with = |more: Value| {
        let mut event = of.clone();
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    };
    let fields = json!({"task.name": task, "task.version": 1, "task.due_us": at_us, "task.trigger": "time", "task.agent": "db-1"});
    let error = if is_good { Value::Null } else { json!({"kind": "exit", "message": format!("no prices of {task}")}) };
    let outcome = if is_good { "succeeded" } else { "failed" };
    json!([
        with(json!({"type": "process-started", "time_us": at_us, "kind": "run", "name": task, "fields": fields})),
        with(json!({"type": "process-ended", "time_us": at_us + 1_000, "elapsed_ns": 1_000_000, "outcome": outcome,
            "exit_code": i32::from(!is_good), "reason": "exited", "error": error})),
    ])
}

fn month(seed: u64, days: u32) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut month = Month::begin();
    let mut taken = Duration::ZERO;
    let mut number = 0;
    while month.passed < DAY * days {
        number += 1;
        // The server gives up a message after a day of rejections, so no receiver fails that long here.
        if month.passed.saturating_sub(taken) > DAY / 2 {
            month.hook.set(Mode::Takes);
            month.chat.set(Mode::Takes);
            month.pass(LONGEST_PAUSE);
            month.land();
            taken = month.passed;
        }
        // Either soon enough to be back within ten minutes, or clearly later.
        let is_soon = random.u8(..10) < 4;
        month.pass(Duration::from_secs(if is_soon { random.u64(60..400) } else { random.u64(900..36_000) }));
        for receiver in [&month.hook, &month.chat] {
            let modes = [Mode::Takes, Mode::Takes, Mode::Takes, Mode::Status(500), Mode::Status(429), Mode::Errcode, Mode::Silent];
            receiver.set(modes[random.usize(..modes.len())]);
        }
        // A webhook has no error number in its body. Any 200 is a success.
        if month.hook.lock().mode == Some(Mode::Errcode) {
            month.hook.set(Mode::Status(503));
        }
        if number == MAIL_OPENS {
            let passed = month.passed;
            month.pass((DAY * 20 / 24).saturating_sub(passed));
            month.mail.open();
        }
        let (task, is_good, is_killed) = (TASKS[random.usize(..TASKS.len())], random.bool(), random.u8(..10) == 0);
        month.run(number, task, is_good, is_killed);
    }
    for (at, task) in TASKS.iter().enumerate() {
        month.pass(Duration::from_secs(900));
        month.run(number + 1 + at as u64, task, true, false);
    }
    month.settle();
    compare(seed, &month, number);
}

/// Compares the messages with the model. Each message must have a single id and arrive by all channels.
fn compare(seed: u64, month: &Month, runs: u64) {
    let hook = month.hook.lock();
    let mut told = BTreeMap::<String, BTreeMap<u64, Vec<(u64, Told)>>>::new();
    let mut repeated = 0;
    for (id, copies) in &hook.messages {
        repeated += copies.len() - 1;
        assert!(copies.iter().all(|copy| *copy == copies[0]), "seed {seed}: {id} says different things");
        let message = &copies[0];
        if message["subject"]["kind"] != "task" {
            continue;
        }
        let kind = match (message["kind"].as_str().unwrap(), message["note"].as_str()) {
            ("fired", _) => Told::Fired,
            ("updated", Some("it is back")) => Told::Back,
            ("resolved", _) => Told::Resolved(message["count"].as_u64().unwrap()),
            // A failure right after a step of the clock may still be part of the earlier message.
            ("updated", None) => continue,
            other => panic!("seed {seed}: {other:?}"),
        };
        let task = message["subject"]["name"].as_str().unwrap().to_owned();
        told.entry(task)
            .or_default()
            .entry(message["alert"].as_u64().unwrap())
            .or_default()
            .push((message["time_us"].as_u64().unwrap(), kind));
    }
    for task in TASKS {
        let mut of_task: Vec<Vec<(u64, Told)>> = told.remove(task).unwrap_or_default().into_values().collect();
        for alert in &mut of_task {
            alert.sort_by_key(|(time_us, _)| *time_us);
        }
        let of_task: Vec<Vec<Told>> = of_task.into_iter().map(|alert| alert.into_iter().map(|(_, kind)| kind).collect()).collect();
        assert_eq!(of_task, month.model.told(task), "seed {seed}, {task}");
    }
    // A kill during a request sends the message again. A message to a silent receiver was never accepted.
    assert!(repeated <= month.kills, "seed {seed}: {repeated} repeated with {} kills", month.kills);
    let mails: BTreeSet<String> = month.mail.taken().into_iter().collect();
    let alerts = month.get("/alerts?limit=1000")["alerts"].as_array().unwrap().clone();
    let mut messages = 0;
    for alert in alerts {
        assert_eq!(alert["state"], "resolved", "seed {seed}: {alert}");
        for message in month.get(&format!("/alerts/{}", alert["id"]))["messages"].as_array().unwrap() {
            assert_eq!(message["state"], "sent", "seed {seed}: {message}");
            messages += 1;
            let id = message["id"].as_str().unwrap();
            match message["channel"].as_str().unwrap() {
                "hook" => assert!(hook.messages.contains_key(id), "seed {seed}: {id}"),
                "post" => assert!(mails.iter().any(|mail| mail.starts_with(&format!("<{id}@"))), "seed {seed}: {id} of {mails:?}"),
                _ => {}
            }
        }
    }
    let chat = month.chat.lock();
    println!(
        "seed {seed}: {runs} runs in {} days, {messages} messages, {} refused, {} kills, {repeated} repeated, {} of the chat",
        month.passed.as_secs() / DAY.as_secs(),
        hook.refused + chat.refused,
        month.kills,
        chat.unnamed
    );
}

/// Runs simulations with the seed in `MONITOR_MONTH_SEED`, or with a fixed seed and then with random seeds, for this number of days or as
/// long as `cargo xtask soak month` demands.
fn from_seeds(days: u32, simulate: impl Fn(u64, u32)) {
    let days = std::env::var("MONITOR_MONTH_DAYS").ok().and_then(|days| days.parse().ok()).unwrap_or(days);
    let seed = std::env::var("MONITOR_MONTH_SEED").ok().and_then(|seed| seed.parse().ok());
    match seed {
        Some(seed) => simulate(seed, days),
        None => (0..rounds(1)).for_each(|round| simulate(if round == 0 { 5 } else { fastrand::u64(..) }, days)),
    }
}

#[test]
fn messages_of_a_month_agree_with_the_model() {
    from_seeds(7, month);
}

#[test]
fn a_channel_does_not_fail_because_the_server_slept_while_it_sent() {
    let mut month = Month::begin();
    month.mail.open();
    month.hook.set(Mode::Silent);
    month.run(1, "gold", false, false);
    wait_for("a message on its way", || (month.hook.lock().refused > 0).then_some(()));
    month.hook.set(Mode::Takes);
    month.passed += DAY / 24;
    month.clock.pass(month.passed);
    wait_for("the message", || (!month.hook.lock().messages.is_empty()).then_some(()));
    let alerts = month.get("/alerts")["alerts"].as_array().unwrap().clone();
    assert!(alerts.iter().all(|alert| alert["cause"] == "failed"), "{alerts:#?}");
}

#[test]
fn messages_about_machines_that_come_and_go_agree_with_the_model() {
    from_seeds(1, machines::machines);
}
