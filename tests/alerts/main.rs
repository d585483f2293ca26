//! Alerts of the real server and a real HTTP receiver. Each failure and each recovery is sent once, even if the server or the receiver is
//! killed in between.

mod file;
mod jobs;
mod receiver;
mod rules;
mod stream;

use std::ffi::OsString;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use monitor_tests::{Server, SteeredClock, wait_for};
use serde_json::{Value, json};

use self::receiver::Receiver;

const BEGIN_US: u64 = 1_763_600_000_000_000;

/// Starts a server whose alerts go to a receiver. Also returns the folder of its settings.
fn start(rules: &str) -> (Server, Receiver, tempfile::TempDir) {
    start_with(rules, "")
}

/// Like [`start`], with further settings of the channel.
fn start_with(rules: &str, more: &str) -> (Server, Receiver, tempfile::TempDir) {
    let receiver = Receiver::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("alerts.toml");
    let channel = format!("[channel.hook]\nkind = \"webhook\"\nurl = \"http://{}/hook\"\nprivate = true\n{more}\n", receiver.address);
    std::fs::write(&file, format!("{rules}\n{channel}")).unwrap();
    let server = Server::start_with(vec![("MONITOR_ALERTS_FILE", OsString::from(&file))]);
    // The server has read the file, so it evaluates all names from now on.
    (server, receiver, folder)
}

/// Events of a run of a task. The number is unique for each worker.
fn run(task: &str, number: u64, outcome: &str, error: &str) -> Value {
    let at_us = BEGIN_US + number * 60_000_000;
    let of = json!({"root_id": format!("019f{number:028x}"), "id": format!("{number:016x}"), "native_id": format!("{task}@{number}.1")});
    let with = |more: Value| {
        let mut event = of.clone();
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    };
    let fields = json!({"task.name": task, "task.version": 1, "task.due_us": at_us, "task.trigger": "time", "task.agent": "db-1"});
    let error = if error.is_empty() { Value::Null } else { json!({"kind": "exit", "message": error}) };
    let code = i32::from(outcome != "succeeded");
    json!([
        with(json!({"type": "process-started", "time_us": at_us, "kind": "run", "name": task, "fields": fields})),
        with(json!({"type": "process-ended", "time_us": at_us + 9_000_000, "elapsed_ns": 9_000_000_000_u64, "outcome": outcome,
            "exit_code": code, "reason": "exited", "error": error})),
    ])
}

fn send(server: &Server, number: u64, events: &Value) {
    let worker = json!({"id": "5b0c000000000000000000000000a001", "hostname": "db-1", "pid": 1, "program": "p"});
    let batch = json!({"version": 1, "worker": worker, "sequence": number * 100_000 + 1, "sent_us": BEGIN_US, "events": events});
    let (status, answer) = server.post(&batch);
    assert_eq!(status, 200, "{answer}");
}

#[test]
fn a_failure_and_its_recovery_are_sent_once_each_despite_a_server_kill() {
    let (mut server, receiver, _folder) = start("");
    send(&server, 1, &run("gold", 1, "failed", "no prices"));
    let told = receiver.messages(1);
    let message = &told[0];
    assert_eq!((&message["kind"], &message["cause"], &message["rule"]), (&json!("fired"), &json!("failed"), &json!("failed")));
    assert_eq!((&message["subject"]["name"], &message["facts"]["exit_code"]), (&json!("gold"), &json!(1)));
    assert_eq!((&message["facts"]["error"], &message["facts"]["machine"]), (&json!("no prices"), &json!("db-1")));
    server.kill();
    server.start_again();
    send(&server, 2, &run("gold", 2, "failed", "no prices"));
    server.kill();
    server.start_again();
    send(&server, 3, &run("gold", 3, "succeeded", ""));
    // The second failure may be sent as an update if it happened within the time in which failures are combined.
    let told = wait_for("the recovery", || {
        let told = receiver.messages(2);
        told.iter().any(|message| message["kind"] == "resolved").then_some(told)
    });
    let kinds: Vec<_> = told.iter().map(|message| message["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["fired", "resolved"], "{told:#?}");
    assert_eq!((&told[1]["alert"], &told[1]["count"]), (&told[0]["alert"], &json!(2)));
    let keys: std::collections::BTreeSet<_> = told.iter().map(|message| message["id"].as_str().unwrap()).collect();
    assert_eq!(keys.len(), told.len(), "each message has an id of its own");
}

#[test]
fn refused_messages_are_sent_again_with_the_same_id() {
    let (mut server, receiver, _folder) = start("");
    receiver.answer(Some(500));
    send(&server, 1, &run("gold", 1, "failed", "no prices"));
    wait_for("an attempt", || (receiver.refused() > 0).then_some(()));
    server.kill();
    server.start_again();
    receiver.answer(None);
    let told = receiver.messages(1);
    assert_eq!(told[0]["kind"], "fired");
}

#[test]
fn a_message_refused_for_a_day_is_dropped_and_reported_by_another_channel() {
    const HOUR: Duration = Duration::from_secs(3_600);
    let (ops, spare, clock, folder) = (Receiver::start(), Receiver::start(), SteeredClock::new(), tempfile::tempdir().unwrap());
    let file = folder.path().join("alerts.toml");
    let channel = |name: &str, address: SocketAddr| {
        format!("[channel.{name}]\nkind = \"webhook\"\nurl = \"http://{address}/hook\"\nprivate = true\n")
    };
    let rule = "[[rule]]\nname = \"own\"\non = { cause = [\"failed\"], task = \"*\" }\nto = [\"ops\"]\n";
    std::fs::write(&file, [rule, &channel("ops", ops.address), &channel("spare", spare.address)].concat()).unwrap();
    let mut env = clock.env();
    // The timeouts of connections use the same clock. They are long enough that a jump of the clock closes no connection.
    env.extend(["MONITOR_HEADER_TIMEOUT", "MONITOR_IDLE_TIMEOUT", "MONITOR_STALL_TIMEOUT"].map(|name| (name, "365d".into())));
    env.push(("MONITOR_ALERTS_FILE", OsString::from(&file)));
    let mut server = Server::start_with(env);
    ops.answer(Some(500));
    send(&server, 1, &run("gold", 1, "failed", "no prices"));
    wait_for("a refusal", || (ops.refused() > 0).then_some(()));
    clock.pass(HOUR);
    let told = spare.messages(1);
    assert_eq!((&told[0]["cause"], &told[0]["subject"]["name"]), (&json!("channel"), &json!("ops")), "{told:#?}");
    assert!(told[0]["facts"]["error"].as_str().unwrap().contains("500"), "{told:#?}");
    let alert = |id: u64| server.get(&format!("/alerts/{id}"));
    // A request that is in flight while hours pass would time out.
    wait_for("its answer to be kept", || (alert(2)["messages"][0]["state"] == "sent").then_some(()));
    clock.pass(25 * HOUR);
    let given_up =
        wait_for("it to be given up", || Some(alert(1)["messages"][0].clone()).filter(|message| message["state"] == "undelivered"));
    assert!(given_up["answer"].as_str().unwrap().contains("500") && given_up["attempts"].as_u64() > Some(1), "{given_up}");
    let list = server.get("/alerts?state=firing");
    let delivery = |id: u64| {
        let found = list["alerts"].as_array().unwrap().iter().find(|alert| alert["id"] == id);
        found.map(|alert| alert["deliveries"].clone()).unwrap_or_default()
    };
    assert_eq!(delivery(1).as_array().map(Vec::len), Some(1), "one message to one channel: {list}");
    assert_eq!((&delivery(1)[0]["channel"], &delivery(1)[0]["state"]), (&json!("ops"), &json!("undelivered")), "{list}");
    assert_eq!((&delivery(2)[0]["channel"], &delivery(2)[0]["state"]), (&json!("spare"), &json!("sent")), "{list}");
    // The server is killed after it has reported the failing channel and before the channel works again.
    server.kill();
    server.start_again();
    ops.answer(None);
    send(&server, 2, &run("tin", 2, "failed", "no tin"));
    let told = spare.messages(2);
    assert_eq!((&told[1]["kind"], &told[1]["subject"]["name"]), (&json!("resolved"), &json!("ops")), "{told:#?}");
    assert_eq!(ops.messages(1)[0]["subject"]["name"], "tin");
}

#[test]
fn ten_thousand_failures_with_the_same_cause_make_a_message_and_an_update() {
    const COUNT: u64 = 10_000;
    let rule = "[[rule]]\nname = \"orders\"\non = { cause = [\"failed\"], name = \"order\" }\nto = [\"hook\"]\n";
    let (server, receiver, _folder) = start(rule);
    // The server evaluates names only after it has read the file.
    wait_for("the rule", || server.get("/alerts/rules")["rules"].as_array().unwrap().iter().find(|rule| rule["name"] == "orders").cloned());
    let failures = (1..=COUNT).flat_map(|number| {
        let of = json!({"root_id": format!("019f{number:028x}"), "id": format!("{number:016x}"), "time_us": BEGIN_US + number});
        let with = |more: Value| {
            let mut event = of.clone();
            event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            event
        };
        let error = json!({"kind": "error", "message": format!("order {number} not found")});
        [
            with(json!({"type": "process-started", "kind": "root", "name": "order"})),
            with(json!({"type": "process-ended", "elapsed_ns": 1_000, "outcome": "failed", "error": error})),
        ]
    });
    send(&server, 1, &json!(failures.collect::<Vec<_>>()));
    let told = wait_for("an update with all of them", || {
        let told = receiver.messages(1);
        told.last().is_some_and(|message| message["count"] == COUNT).then_some(told)
    });
    let kinds: Vec<_> = told.iter().map(|message| message["kind"].as_str().unwrap()).collect();
    assert_eq!(
        (kinds[0], kinds.iter().filter(|kind| **kind == "fired").count(), kinds.last()),
        ("fired", 1, Some(&"updated")),
        "{kinds:?}"
    );
    let alert = server.get("/alerts?state=firing")["alerts"][0].clone();
    assert_eq!((&alert["subject"], &alert["count"]), (&json!("name:order"), &json!(COUNT)));
    let explained = server.get("/alerts/explain?root=1");
    assert_eq!(explained["signs"][0]["what"], "failed", "{explained}");
}

/// Runs `monitor alert` with these arguments. Returns true for success, the output, and the errors.
fn monitor_alert(server: &Server, args: &[&str], input: &str) -> (bool, String, String) {
    let mut monitor = monitor_tests::command("monitor");
    monitor.arg("alert").args(args).args(["--server", server.url()]).env("MONITOR_TOKEN", server.token());
    monitor.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = monitor.spawn().expect("the command runs");
    running.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = running.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.success(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_channel_uses_its_own_template_and_escapes_output_of_runs() {
    let template = "language = \"zh\"\n[channel.hook.template]\nen = \"never\"\nzh = \"\"\"\n{{ name }} 出错 ({{ exit_code }})\n{{ error }}\n{% for row in rows %}{{ row.label }}={{ row.value }}\n{% endfor %}\n\"\"\"\n";
    let (server, receiver, _folder) = start_with("", template);
    let hostile = format!("{{{{ 7771 * 7771 }}}}\r\nBcc: all@example.com\r\n<b>x</b>\u{202e}{}", "z".repeat(1 << 20));
    send(&server, 1, &run("gold", 1, "failed", &hostile));
    let told = receiver.messages(1);
    let text = told[0]["text"].as_str().unwrap();
    assert_eq!(told[0]["title"], "gold 出错 (1)", "{text}");
    assert!(text.contains("{{ 7771 * 7771 }} ⏎ Bcc: all@example.com ⏎ <b>x</b>\\u{202e}zzz"), "{text}");
    assert!(!text.contains("60388441") && !text.contains('\r') && !text.contains("\nBcc") && text.len() < 10_000, "{text}");
    let (is_done, shown, error) = monitor_alert(&server, &["preview", "hook"], "");
    assert!(is_done && shown.starts_with("gold 出错 (1)"), "{shown}{error}");
    assert!(monitor_alert(&server, &["preview", "none"], "").2.contains("no channel"));
}

#[test]
fn an_invalid_or_expensive_template_falls_back_to_the_default_text() {
    for (template, words) in [
        (format!("{{% set s = 's' %}}{}{{{{ s }}}}", "{% set s = s ~ s %}".repeat(40)), "steps"),
        ("{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}".to_owned(), "steps"),
        ("{{ name | nosuch }}".to_owned(), "line 1"),
        ("   ".to_owned(), "empty"),
    ] {
        let (server, receiver, _folder) = start_with("", &format!("template = {}", Value::from(template.clone())));
        send(&server, 1, &run("gold", 1, "failed", "no prices"));
        let told = receiver.messages(1);
        assert!(told[0]["text"].as_str().unwrap().contains("no prices"), "{template}: {told:#?}");
        let noted = wait_for("the note", || {
            let detail = server.get("/alerts/1");
            detail["notes"].as_array().unwrap().iter().find(|note| note["what"] == "text-failed").cloned()
        });
        assert!(noted["detail"].as_str().unwrap().contains(words) && noted["who"] == "hook", "{template}: {noted}");
        let (is_done, shown, error) = monitor_alert(&server, &["preview", "hook"], "");
        assert!(is_done && shown.contains("no prices") && error.contains("built-in text"), "{template}: {shown}{error}");
        assert!(monitor_alert(&server, &["test", "hook"], "").1.contains("the template failed"), "{template}");
    }
}

#[test]
fn the_process_that_makes_a_text_has_little_memory() {
    let mut child = monitor_tests::command("monitor");
    child.arg("make-alert-text").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = child.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    // Values of 400 MB. The command ends before it has read all of them.
    let sent = input.write_all(b"{\"template\":\"{{ a }}\",\"values\":{\"a\":\"").and_then(|()| {
        let part = vec![b'x'; 1 << 20];
        (0..400).try_for_each(|_| input.write_all(&part))
    });
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(sent.is_err() && output.stdout.is_empty(), "{sent:?}");
    assert!(!output.status.success() && output.status.code().is_none(), "it is ended by a signal: {}", output.status);
}

#[test]
fn a_rule_can_be_tested_without_storing_anything() {
    let (server, receiver, folder) = start("");
    for number in 1..=4 {
        send(&server, number, &run(["gold", "silver"][number as usize % 2], number, "failed", "no prices"));
    }
    receiver.messages(1);
    let draft = folder.path().join("draft.toml");
    let rule = "[[rule]]\nname = \"often\"\non = { cause = [\"failed\"], task = \"go*\" }\ntimes = 2\nto = [\"hook\"]\n";
    std::fs::write(&draft, rule).unwrap();
    let (is_done, tried, error) = monitor_alert(&server, &["try", "--file", draft.to_str().unwrap()], "");
    assert!(is_done && tried.contains("often: it would have fired once") && tried.contains("task:gold"), "{tried}{error}");
    assert!(!tried.contains("silver"), "{tried}");
    assert!(monitor_alert(&server, &["try", "--file", "-", "--days", "1"], rule).1.contains("fired once"));
    for (text, words) in [
        ("[[rule]]\nname = \"x\"\non = { cause = [\"faild\"] }\nto = [\"nobody\"]\n", "3:"),
        ("[[rule]]\nname = \"x\"\non = { cause = [\"faild\"] }\nto = [\"nobody\"]\n", "4:"),
        ("", "1 to 20 rules are expected"),
        ("[[rule", "1:"),
        ("\u{0}", "1:"),
    ] {
        let (is_done, _, error) = monitor_alert(&server, &["try", "--file", "-"], text);
        assert!(!is_done && error.contains(words), "{text}: {error}");
    }
    std::fs::write(&draft, "[[rule]]\nname = \"x\"\non = { cause = [\"faild\"] }\nto = [\"nobody\"]\n").unwrap();
    let (_, _, error) = monitor_alert(&server, &["try", "--file", draft.to_str().unwrap()], "");
    let lines: Vec<&str> = error.lines().collect();
    let is_at = |line: &str, place: &str| line.starts_with(&format!("{}:{place}: rule.0.", draft.display()));
    assert!(lines.len() == 3 && is_at(lines[0], "3:17") && is_at(lines[1], "4:7") && lines[2] == "monitor: 2 mistakes", "{error}");
    assert!(!monitor_alert(&server, &["try", "--file", "-"], &"#".repeat(70_000)).0, "it is too large");
    assert!(!monitor_alert(&server, &["try"], "").0 && !monitor_alert(&server, &["try", "often", "--file", "-"], "").0);
    let rules = server.get("/alerts/rules")["rules"].to_string();
    assert!(!rules.contains("often"), "{rules}");
    let trials = server.get("/alerts/trials?days=7");
    let failed = trials["trials"].as_array().unwrap().iter().find(|tried| tried["rule"] == "failed").unwrap().clone();
    assert_eq!(failed["trial"]["count"], 2, "{trials}");
}

#[test]
fn tasks_started_by_alerts_are_ordered_once_despite_server_kills() {
    const COUNT: u64 = 8;
    let rule =
        "[[rule]]\nname = \"clean\"\non = { cause = [\"failed\"], task = \"gold-*\" }\nto = [\"hook\"]\nthen = { run = \"clean-up\" }\n";
    let (mut server, _receiver, _folder) = start(rule);
    let task = json!({"name": "clean-up", "command": ["true"], "on": ["db-9"]});
    assert_eq!(server.order("POST", "/batch-tasks", &task).0, 201);
    wait_for("the rule", || server.get("/alerts/rules")["rules"].as_array().unwrap().iter().find(|rule| rule["name"] == "clean").cloned());
    for number in 1..=COUNT {
        send(&server, number, &run(&format!("gold-{number}"), number, "failed", &format!("no prices of {number}")));
        // Each kill comes a little later: before and after the decision, the command, and the note about the command.
        std::thread::sleep(Duration::from_millis(4 * (number - 1)));
        server.kill();
        server.start_again();
    }
    let asked = || -> Vec<String> {
        let commands = server.get("/commands?limit=100")["commands"].as_array().unwrap().clone();
        let runs = commands.iter().filter(|command| command["method"] == "run");
        runs.map(|command| command["by"].as_str().unwrap().to_owned()).collect()
    };
    let noted = |alert: u64| {
        let notes = server.get(&format!("/alerts/{alert}"))["notes"].as_array().unwrap().clone();
        notes.iter().any(|note| note["what"] == "followed" && note["detail"].as_str().unwrap().starts_with("clean-up: "))
    };
    wait_for("all to be asked for", || (1..=COUNT).all(noted).then_some(()));
    let (mut by, expected) = (asked(), (1..=COUNT).map(|alert| format!("alert {alert}")).collect::<Vec<_>>());
    by.sort();
    assert_eq!(by, expected, "each alert gave one command");
    // A run that an alert has started starts no further run, whatever its outcome.
    let mut own = run("gold-own", 99, "failed", "no prices");
    own[0]["fields"]["task.by"] = json!("alert 1");
    send(&server, 99, &own);
    let last = wait_for("the decision", || {
        let alerts = server.get("/alerts?subject=task:gold-own")["alerts"].as_array().unwrap().clone();
        alerts.first().map(|alert| server.get(&format!("/alerts/{}", alert["id"])))
    });
    let words: Vec<_> = last["notes"].as_array().unwrap().iter().map(|note| note["what"].as_str().unwrap().to_owned()).collect();
    assert!(words.contains(&"not-followed".to_owned()) && !words.contains(&"followed".to_owned()), "{last:#}");
    assert_eq!(asked().len(), expected.len());
}

#[test]
fn a_message_lists_changes_since_the_last_successful_run() {
    let (server, receiver, _folder) = start("");
    let define = |number: u64| json!({"name": "gold", "command": ["import", number.to_string()], "env": {"KEY": number.to_string()}, "exit": {"1": "retry"}});
    assert_eq!(server.order("POST", "/batch-tasks", &define(1)).0, 201);
    // The events of `monitor publish`.
    let published = |mut run: Value, fields: Value| {
        let mut told = run[0].clone();
        told["type"] = json!("process-updated");
        told["fields"] = fields;
        for name in ["kind", "name", "native_id"] {
            told.as_object_mut().unwrap().remove(name);
        }
        run.as_array_mut().unwrap().insert(1, told);
        run
    };
    let to =
        json!({"publish.prod": "2 files, 4 B in /srv/.prod.published/1", "publish.pre": "3 files, 9 B", "publish.same": "1 file, 2 B"});
    for number in 1..=5 {
        send(&server, number, &published(run("gold", number, "succeeded", ""), to.clone()));
    }
    assert_eq!(server.order("PUT", "/batch-tasks/gold", &define(2)).0, 200);
    let mut failed = run("gold", 6, "failed", "no prices");
    failed[0]["fields"]["task.version"] = json!(2);
    failed[1]["elapsed_ns"] = json!(36_000_000_000_u64);
    let to =
        json!({"publish.prod": "failed: no room", "publish.pre": "1 file, 9 B", "publish.same": "1 file, 7 kB", "publish.new": "1 file"});
    send(&server, 6, &published(failed, to));
    let message = receiver.messages(1).remove(0);
    let facts = &message["facts"];
    assert_eq!(facts["published"], json!([{"target": "pre", "was": 3, "is": 1}, {"target": "prod", "was": 2}]));
    let shown = server.get("/alerts/1")["alert"]["facts"].clone();
    assert_eq!((&shown["published"], &shown["changes"]), (&facts["published"], &facts["changes"]), "the page has it, too");
    assert_eq!(
        (&facts["usual_ns"], &facts["good"]["run"], &facts["exit_meaning"]),
        (&json!(9_000_000_000_u64), &json!("gold@5.1"), &json!("retry"))
    );
    assert_eq!((&facts["is_new_error"], &facts["version"], &facts["good"]["version"]), (&json!(true), &json!(2), &json!(1)), "{message:#}");
    let changes = facts["changes"].as_array().unwrap().clone();
    assert!(changes.contains(&json!("+ env = …")) && changes.contains(&json!("+ command = [\"import\",\"2\"]")), "{changes:?}");
    let text = message["text"].as_str().unwrap_or_default();
    assert!(
        text.contains("version 1 became 2, 1 file published to pre instead of 3, nothing published to prod (2 files before), ")
            && text.contains("it took 36.0 s instead of 9.0 s, the error is new")
            && !text.contains("KEY"),
        "{text}"
    );
    let warned = server.get("/batch-tasks/gold")["last_warning_us"].as_u64();
    assert!(warned.is_some(), "the task tells when it was warned of");
}

#[test]
fn a_share_of_failed_calls_fires_an_alert() {
    let rule = "[[rule]]\nname = \"share\"\non = { cause = [\"failed\"], name = \"order\" }\ntimes = \"10% within 1d\"\nto = [\"hook\"]\n";
    let receiver = Receiver::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("alerts.toml");
    let channel = format!("[channel.hook]\nkind = \"webhook\"\nurl = \"http://{}/hook\"\nprivate = true\n", receiver.address);
    std::fs::write(&file, format!("{rule}{channel}")).unwrap();
    let mut server = Server::start_with(vec![("MONITOR_ALERTS_FILE", OsString::from(&file))]);
    let now_us = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros() as u64;
    let calls = |name: &str, from: u64, failed: u64| -> Vec<Value> {
        let call = |number: u64| {
            let of = json!({"root_id": format!("019f{number:028x}"), "id": format!("{number:016x}"), "time_us": now_us});
            let outcome = if number < from + failed { "failed" } else { "succeeded" };
            let with = |more: Value| {
                let mut event = of.clone();
                event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
                event
            };
            [
                with(json!({"type": "process-started", "kind": "root", "name": name})),
                with(json!({"type": "process-ended", "elapsed_ns": 1_000, "outcome": outcome})),
            ]
        };
        (from..from + 20).flat_map(call).collect()
    };
    send(&server, 1, &json!([calls("order", 1, 2), calls("other", 100, 20)].concat()));
    // The server evaluates sums after a start and then once per minute.
    server.kill();
    server.start_again();
    let told = receiver.messages(1);
    assert_eq!((&told[0]["rule"], &told[0]["facts"]["times"], &told[0]["facts"]["calls"]), (&json!("share"), &json!(2), &json!(20)));
    assert_eq!(told[0]["subject"]["name"], "order");
    send(&server, 2, &json!(calls("order", 200, 0)));
    server.kill();
    server.start_again();
    let told = receiver.messages(2);
    assert_eq!((told.len(), &told[1]["kind"]), (2, &json!("resolved")), "{told:#?}");
}

#[test]
fn a_full_disk_fires_an_alert_that_is_resolved_later() {
    let receiver = Receiver::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("alerts.toml");
    std::fs::write(&file, format!("[channel.hook]\nkind = \"webhook\"\nurl = \"http://{}/hook\"\nprivate = true\n", receiver.address))
        .unwrap();
    let env = |least: &str| vec![("MONITOR_ALERTS_FILE", OsString::from(&file)), ("MONITOR_MIN_FREE_BYTES", OsString::from(least))];
    let mut server = Server::start_with(env("900000T"));
    let told = receiver.messages(1);
    assert_eq!(
        (&told[0]["cause"], &told[0]["severity"], &told[0]["subject"]["name"]),
        (&json!("disk"), &json!("critical"), &json!("disk"))
    );
    server.kill();
    server.start_again();
    server.kill();
    server.set_env(env("1"));
    server.start_again();
    let told = wait_for("the end", || Some(receiver.messages(2)).filter(|told| told.last().unwrap()["kind"] == "resolved"));
    // A message that is in flight during a kill of the server may arrive twice, with the same id.
    let fired = told.iter().filter(|message| message["kind"] == "fired").map(|message| message["id"].to_string());
    assert_eq!(fired.collect::<std::collections::BTreeSet<_>>().len(), 1, "a start in between is no news: {told:#?}");
}

#[test]
fn many_messages_of_the_same_channel_arrive_once_each() {
    const MANY: u64 = 400;
    let (server, receiver, _folder) = start_with("", "rate = 100000");
    // Alerts with different words have separate messages.
    let word = |number: u64| format!("{number:03}").bytes().map(|digit| char::from(digit - b'0' + b'a')).collect::<String>();
    for number in 1..=MANY {
        send(&server, number, &run(&format!("task-{number}"), number, "failed", &word(number)));
    }
    let count = MANY as usize;
    receiver.messages(count);
    wait_for("all to be kept as sent", || {
        let last = server.get("/alerts?limit=1")["alerts"][0]["id"].as_u64().filter(|last| *last == MANY)?;
        (1..=last).all(|id| server.get(&format!("/alerts/{id}"))["messages"][0]["state"] == "sent").then_some(())
    });
    let ids: std::collections::BTreeSet<String> = receiver.seen.lock().unwrap().taken.iter().map(|(id, _)| id.clone()).collect();
    assert_eq!((receiver.messages(count).len(), ids.len()), (count, count));
}

#[test]
fn the_status_shows_that_no_channel_is_configured() {
    let server = Server::start();
    assert_eq!((&server.get("/status")["can_tell"], &server.get("/alerts")["can_tell"]), (&json!(false), &json!(false)));
    let mut monitor = monitor_tests::command("monitor");
    let output =
        monitor.args(["status", "--server", server.url()]).env("MONITOR_TOKEN", server.token()).output().expect("the command runs");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("ALERTS     alerts are not sent"), "{text}");
}

#[test]
fn the_command_line_shows_and_handles_alerts() {
    let (server, receiver, folder) = start("[[rule]]\nname = \"own\"\non = { cause = [\"failed\"], task = \"gold\" }\nto = [\"hook\"]\n");
    send(&server, 1, &run("gold", 1, "failed", "no prices"));
    receiver.messages(1);
    let alert = |args: &[&str]| monitor_alert(&server, args, "");
    let (is_done, listed, error) = alert(&["list"]);
    assert!(is_done && listed.contains("task:gold") && listed.contains("no prices"), "{listed}{error}");
    let shown: Value = serde_json::from_str(&alert(&["show", "1", "--json"]).1).unwrap();
    assert_eq!((&shown["alert"]["rule"], &shown["messages"][0]["state"]), (&json!("own"), &json!("sent")), "{shown}");
    let explained = alert(&["explain", "1"]).1;
    assert!(explained.contains("fired") && explained.contains("overruled"), "{explained}");
    assert!(
        explained.contains("alert 1  firing") && explained.contains("told: hook") && explained.contains("by hook: sent"),
        "{explained}"
    );
    assert!(alert(&["ack", "1"]).1.contains("looks after it"));
    let (is_done, hushes, error) = alert(&["snooze", "1", "--for", "2h", "--why", "at it"]);
    assert!(is_done && hushes.contains("alert:1"), "{hushes}{error}");
    assert!(alert(&["maintenance", "add", "task:tin", "--for", "1h"]).0);
    send(&server, 2, &run("tin", 2, "failed", "no prices"));
    wait_for("what was silenced", || {
        let explained = alert(&["explain", "2"]).1;
        let is_said = |line: &str| line.contains("hushed") && line.ends_with("maintenance of task:tin");
        (explained.contains("told: nobody") && explained.lines().any(is_said)).then_some(())
    });
    assert!(alert(&["try", "own", "--days", "7"]).1.contains("fired once"));
    assert!(alert(&["test", "hook"]).0 && receiver.messages(2)[1]["kind"] == "test");
    assert!(alert(&["resolve", "1"]).0 && receiver.messages(3)[2]["kind"] == "resolved", "it is told though it is snoozed");
    for (args, words) in [
        (vec!["show", "99"], "no alert 99"),
        (vec!["snooze", "1", "--for", "soon"], "expected a duration"),
        (vec!["maintenance", "add", "planet:earth", "--for", "1h"], "expected *"),
        (vec!["test", "none"], "no channel"),
        (vec!["try", "none"], "no rule"),
        (vec!["resolve", "1"], "is over"),
    ] {
        let (is_done, _, error) = alert(&args);
        assert!(!is_done && error.contains(words), "{args:?}: {error}");
    }
    // A mistake leaves the last good version in force and is reported with its position.
    std::fs::write(folder.path().join("alerts.toml"), "[[rule]]\nname = \"own\"\non = { cause = [\"faild\"] }\n").unwrap();
    let rules = wait_for("the mistake", || Some(alert(&["rules"]).1).filter(|rules| rules.contains("did you mean failed?")));
    assert!(rules.contains("alerts.toml:3:17:") && rules.contains("channel hook"), "{rules}");
    let rule = "[[rule]]\nname = \"mute\"\non = { cause = [\"failed\"] }\n";
    std::fs::write(folder.path().join("alerts.toml"), rule).unwrap();
    let warned = wait_for("the warning", || alert(&["rules"]).1.lines().find(|line| line.starts_with("warning: ")).map(str::to_owned));
    assert!(warned.contains("alerts.toml:1:1: rule.0: nobody is told by this rule"), "{warned}");
    let audit = server.ask("GET", "/api/v1/audit").1;
    assert!(audit.contains("acknowledge an alert") && audit.contains("hush alerts"), "{audit}");
}

#[test]
fn secrets_of_channels_are_in_no_answer_log_message_or_file() {
    const KEY: &str = "k3y-0f-the-address";
    const SIGNATURE: &str = "s1gns-what-is-sent";
    let receiver = Receiver::start();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("url"), format!("http://{}/hook?key={KEY}\n", receiver.address)).unwrap();
    std::fs::write(path("dead"), format!("http://127.0.0.1:1/hook?key={KEY}\n")).unwrap();
    std::fs::write(path("secret"), SIGNATURE).unwrap();
    let of = |name: &str| path(name).display().to_string();
    let channel = |name: &str, url: &str| {
        format!(
            "[channel.{name}]\nkind = \"webhook\"\nprivate = true\nurl = {{ file = {:?} }}\nsecret = {{ file = {:?} }}\n",
            of(url),
            of("secret")
        )
    };
    let rule = "[[rule]]\nname = \"own\"\non = { cause = [\"failed\"] }\nto = [\"hook\", \"dead\"]\n";
    std::fs::write(path("alerts.toml"), [rule, &channel("hook", "url"), &channel("dead", "dead")].concat()).unwrap();
    let server = Server::start_with(vec![("MONITOR_ALERTS_FILE", OsString::from(path("alerts.toml")))]);
    receiver.answer(Some(500));
    send(&server, 1, &run("gold", 1, "failed", "no prices"));
    wait_for("a refusal", || (receiver.refused() > 0).then_some(()));
    receiver.answer(None);
    let told = receiver.messages(1);
    let shown = wait_for("a failure of the channel that nobody answers", || {
        Some(server.ask("GET", "/api/v1/alerts/1").1).filter(|shown| shown.contains("refused"))
    });
    let mut places = vec![("a message".to_owned(), json!(told).to_string()), ("the alert".to_owned(), shown)];
    for path in ["alerts", "alerts/rules", "alerts/explain?alert=1", "alerts/channels/hook/preview", "audit", "status"] {
        places.push((path.to_owned(), server.ask("GET", &format!("/api/v1/{path}")).1));
    }
    for args in [&["test", "dead"][..], &["test", "hook"], &["rules"], &["show", "1", "--json"], &["preview", "hook"]] {
        let (_, output, errors) = monitor_alert(&server, args, "");
        places.push((format!("monitor alert {}", args.join(" ")), output + &errors));
    }
    let backup = path("backup.db");
    let mut copy = monitor_tests::command("monitor");
    copy.arg("backup").arg(&backup).args(["--server", server.url()]).env("MONITOR_TOKEN", server.token());
    assert!(copy.output().expect("the command runs").status.success());
    places.push(("the log".to_owned(), server.log()));
    let stored = std::fs::read_dir(server.data()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    for file in stored.chain([backup]) {
        places.push((file.display().to_string(), String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned()));
    }
    for (place, text) in places {
        assert!(!text.is_empty() || place.starts_with('/'), "nothing is said by {place}");
        for secret in [KEY, SIGNATURE] {
            assert!(!text.contains(secret), "{secret} stands in {place}");
        }
    }
}
