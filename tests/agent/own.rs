//! The agent that a server starts on the same machine.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use monitor_tests::{Server, command, terminate, wait_for};
use serde_json::{Value, json};

/// The agent in a server's data folder. It ends with the test, after the server.
struct OwnAgent(PathBuf);

impl OwnAgent {
    fn pids(&self) -> Vec<i32> {
        let folder = format!("--data\0{}\0", self.0.display());
        let pids = fs::read_dir("/proc").expect("a system with it").flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let is_it = |pid: &i32| fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains(&folder));
        pids.filter(is_it).collect()
    }

    /// Process id of the agent, as soon as a single agent runs.
    fn pid(&self) -> i32 {
        wait_for("the agent", || if let [pid] = self.pids()[..] { Some(pid) } else { None })
    }
}

/// A server with its agent. The server ends first, because it would start another agent.
struct Both {
    server: Server,
    agent: OwnAgent,
}

impl Both {
    fn start(env: &[(&'static str, &str)]) -> Self {
        let server = Server::start_with(env.iter().map(|(key, value)| (*key, (*value).into())).collect());
        let agent = OwnAgent(server.data().join("agent"));
        Self { server, agent }
    }
}

impl Drop for OwnAgent {
    fn drop(&mut self) {
        self.pids().iter().for_each(|pid| kill(*pid));
        if std::thread::panicking() {
            eprint!("{}", fs::read_to_string(self.0.join("log")).unwrap_or_default());
        }
    }
}

fn kill(pid: i32) {
    let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
}

/// Runs a task of the server's own agent. Returns after a successful end.
fn run(server: &Server, task: &str) {
    let count = || server.get(&format!("/batch-tasks/runs?task={task}&agent=local&outcome=succeeded"))["runs"].as_array().unwrap().len();
    let before = count();
    let (status, command) = server.order("POST", &format!("/batch-tasks/{task}/run"), &json!({}));
    assert_eq!(status, 200, "{command}");
    wait_for("a run", || (count() > before).then_some(()));
}

#[test]
fn a_server_on_loopback_has_an_agent_that_outlives_it_and_is_found_again() {
    let mut both = Both::start(&[("MONITOR_AGENT", "auto")]);
    let Both { server, agent } = &mut both;
    let task = json!({"name": "gold", "command": ["true"]});
    assert_eq!(server.order("POST", "/batch-tasks", &task).0, 201);
    run(server, "gold");
    let first = agent.pid();
    server.kill();
    assert_eq!(agent.pid(), first, "it outlives the server");
    server.start_again();
    run(server, "gold");
    assert_eq!(agent.pid(), first, "the next server finds it");
    kill(first);
    let second = wait_for("another agent", || Some(agent.pid()).filter(|pid| *pid != first));
    run(server, "gold");
    server.kill();
    server.start_again();
    run(server, "gold");
    assert_eq!(agent.pid(), second);
    server.stop();
    assert!(agent.pids().is_empty(), "a server that is told to stop ends it, though another one has started it");
    server.start_again();
    run(server, "gold");
    server.stop();
    assert!(agent.pids().is_empty());
}

#[test]
fn a_public_server_has_no_own_agent_unless_configured() {
    for (env, is_there) in [
        (vec![("MONITOR_AGENT", "off")], false),
        (vec![("MONITOR_AGENT", "auto"), ("MONITOR_PUBLIC_URL", "https://monitor.example.com"), ("MONITOR_INSECURE", "true")], false),
        (vec![("MONITOR_AGENT", "on"), ("MONITOR_PUBLIC_URL", "https://monitor.example.com"), ("MONITOR_INSECURE", "true")], true),
    ] {
        let mut both = Both::start(&env);
        let Both { server, agent } = &mut both;
        if is_there {
            agent.pid();
        }
        // The server finishes its start before it handles the stop.
        server.stop();
        assert_eq!(server.log().contains("started an agent"), is_there, "{env:?}: {}", server.log());
        assert!(agent.pids().is_empty());
        assert_eq!(server.data().join("agent").exists(), is_there);
    }
}

#[test]
fn an_agent_of_a_server_at_another_address_is_replaced() {
    let mut both = Both::start(&[("MONITOR_AGENT", "on")]);
    let Both { server, agent } = &mut both;
    let first = agent.pid();
    wait_for("its database", || agent.0.join("agent.db").exists().then_some(()));
    wait_for("its worker", || server.get("/workers")["workers"].as_array().is_some_and(|workers| !workers.is_empty()).then_some(()));
    server.kill();
    server.move_to_another_port();
    wait_for("another agent", || Some(agent.pid()).filter(|pid| *pid != first));
    let task = json!({"name": "gold", "command": ["true"]});
    let (status, problem): (u16, Value) = server.order("POST", "/batch-tasks", &task);
    assert_eq!(status, 201, "{problem}");
    run(server, "gold");
    server.stop();
    assert!(agent.pids().is_empty());
}

/// The certificate is self-signed and for another name, so no client trusts it without configuration.
#[test]
fn an_own_agent_trusts_its_server_and_the_status_shows_connection_errors() {
    let folder = tempfile::tempdir().unwrap();
    let [certificate, key, other] = ["server.pem", "server.key", "other.pem"].map(|name| folder.path().join(name));
    let own = rcgen::generate_simple_self_signed(vec!["elsewhere.example".to_owned()]).unwrap();
    fs::write(&certificate, own.cert.pem()).unwrap();
    fs::write(&key, own.signing_key.serialize_pem()).unwrap();
    fs::write(&other, rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap().cert.pem()).unwrap();
    let server = Server::start_with_tls_and(&certificate, &key, vec![("MONITOR_AGENT", "on".into())]);
    let mut both = Both { agent: OwnAgent(server.data().join("agent")), server };
    let Both { server, agent } = &mut both;
    let task = json!({"name": "gold", "command": ["true"]});
    assert_eq!(server.order("POST", "/batch-tasks", &task).0, 201);
    run(server, "gold");
    let error = |server: &Server| {
        let status = server.get("/status");
        let duties = status["duties"].as_array().unwrap();
        duties.iter().find(|duty| duty["name"] == "agent").unwrap()["error"].as_str().map(str::to_owned)
    };
    assert_eq!(error(server), None);

    // Another certificate replaces the file. The server keeps using the old certificate, because the new one does not match the key.
    fs::copy(&other, &certificate).unwrap();
    kill(agent.pid());
    wait_for("the reason", || {
        let error = error(server)?;
        (error.starts_with("the agent local is not connected: ") && error.contains("is not the one in")).then_some(())
    });
    fs::write(&certificate, own.cert.pem()).unwrap();
    wait_for("a connection", || error(server).is_none().then_some(()));
    run(server, "gold");
    let log = fs::read_to_string(agent.0.join("log")).unwrap();
    let told = log.lines().filter(|line| line.contains("is not the one in")).count();
    assert!((1..=6).contains(&told), "each trouble is told once, and not at each try: {log}");
    server.stop();
}

#[test]
fn a_relative_data_folder_has_an_agent_too() {
    let place = tempfile::tempdir().unwrap();
    let agent = OwnAgent(place.path().join("data/agent"));
    let mut server = command("monitor");
    server.args(["server", "--listen", "127.0.0.1:0", "--data", "data"]).current_dir(&place).stdout(Stdio::null()).stderr(Stdio::null());
    server.env("MONITOR_AGENT", "auto").env("MONITOR_SPOOL_DIR", place.path().join("spool"));
    let mut server = server.spawn().unwrap();
    wait_for("an agent that decides", || {
        let mut asked = command("monitor");
        asked.arg("check-alive").arg(&agent.0);
        (monitor_tests::run(asked).code == Some(0)).then_some(())
    });
    agent.pid();
    terminate(&mut server);
    assert!(agent.pids().is_empty());
}

/// A program that saves each standard input in a separate file.
fn keeper(folder: &std::path::Path, name: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let program = folder.join(name);
    let kept = folder.join(format!("{name}.kept"));
    fs::create_dir(&kept).unwrap();
    fs::write(&program, format!("#!/bin/sh\ncat > {0}/.$$ && mv {0}/.$$ {0}/$$\necho kept\n", kept.display())).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    program
}

/// Saved input of such a program, as soon as a file contains the words.
fn kept(folder: &std::path::Path, name: &str, with: &str) -> String {
    let kept = folder.join(format!("{name}.kept"));
    wait_for(with, || {
        let files = fs::read_dir(&kept).unwrap().flatten().filter(|file| !file.file_name().to_string_lossy().starts_with('.'));
        files.filter_map(|file| fs::read_to_string(file.path()).ok()).find(|text| text.contains(with))
    })
}

#[test]
fn alerts_are_sent_by_sendmail_until_a_channel_is_configured() {
    let folder = tempfile::tempdir().unwrap();
    let (sendmail, page, file) = (keeper(folder.path(), "sendmail"), keeper(folder.path(), "page"), folder.path().join("alerts.toml"));
    let env =
        [("MONITOR_AGENT", "auto"), ("MONITOR_SENDMAIL", sendmail.to_str().unwrap()), ("MONITOR_ALERTS_FILE", file.to_str().unwrap())];
    let mut both = Both::start(&env);
    let Both { server, .. } = &mut both;
    wait_for("a way to tell", || server.get("/status")["can_tell"].is_null().then_some(()));
    let fail = |server: &Server, name: &str| {
        let task = json!({"name": name, "shell": "echo no prices; exit 126", "owner": "ada@example.com"});
        assert_eq!(server.order("POST", "/batch-tasks", &task).0, 201);
        assert_eq!(server.order("POST", &format!("/batch-tasks/{name}/run"), &json!({})).0, 200);
    };
    // Alerts right after a start use the agent's channel, although the agent has not connected yet.
    server.kill();
    server.start_again();
    fail(server, "gold");
    let mail = kept(folder.path(), "sendmail", "Subject: gold failed");
    assert!(mail.contains("To: ada@example.com") && mail.contains("Auto-Submitted: auto-generated"), "{mail}");
    let (_, tested) = server.order("POST", "/alerts/channels/sendmail/test", &json!({}));
    assert_eq!((&tested["state"], &tested["answer"]), (&json!("sent"), &json!("exit code 0: kept")), "{tested}");
    let user = Command::new("id").arg("-un").output().unwrap().stdout;
    kept(folder.path(), "sendmail", &format!("To: {}\nFrom: ", String::from_utf8(user).unwrap().trim()));

    fs::write(&file, format!("[channel.page]\nkind = \"command\"\ncommand = [{:?}]\nlanguage = \"zh\"\n", page.display().to_string()))
        .unwrap();
    wait_for("the channel", || (server.get("/alerts/rules")["channels"][0]["name"] == "page").then_some(()));
    fail(server, "silver");
    let message: Value = serde_json::from_str(&kept(folder.path(), "page", "\"silver\"")).unwrap();
    assert_eq!((&message["kind"], &message["facts"]["exit_code"]), (&json!("fired"), &json!(126)), "{message:#}");
    let (status, _) = server.order("POST", "/alerts/channels/sendmail/test", &json!({}));
    assert_eq!(status, 404, "it was there as long as there was no other");
    // A command that fails, and a command that can't be started.
    for (channel, words) in
        [("command = [\"sh\", \"-c\", \"echo no; exit 3\"]", "exit code 3: no"), ("command = [\"/nowhere\"]", "/nowhere can't be run")]
    {
        fs::write(&file, format!("[channel.bad]\nkind = \"command\"\n{channel}\n")).unwrap();
        let answer = wait_for("its answer", || {
            let (status, tested) = server.order("POST", "/alerts/channels/bad/test", &json!({}));
            (status == 200).then_some(tested).filter(|tested| tested["answer"].as_str().unwrap().contains(words))
        });
        assert_eq!(answer["state"], "undelivered", "{answer}");
    }
}

#[test]
fn an_alert_starts_a_task_but_not_for_a_run_that_an_alert_started() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("alerts.toml");
    fs::write(&file, "[[rule]]\nname = \"clean\"\non = { cause = [\"failed\"], task = \"*\" }\nthen = { run = \"clean-up\" }\n").unwrap();
    let mut both = Both::start(&[("MONITOR_AGENT", "auto"), ("MONITOR_ALERTS_FILE", file.to_str().unwrap())]);
    let Both { server, .. } = &mut both;
    wait_for("the rule", || {
        server.get("/alerts/rules")["rules"].as_array().unwrap().iter().any(|rule| rule["name"] == "clean").then_some(())
    });
    for name in ["clean-up", "gold"] {
        assert_eq!(server.order("POST", "/batch-tasks", &json!({"name": name, "command": ["false"]})).0, 201);
    }
    assert_eq!(server.order("POST", "/batch-tasks/gold/run", &json!({})).0, 200);
    let alert = wait_for("the alert of what was started", || {
        let alerts = server.get("/alerts?subject=task:clean-up")["alerts"].as_array().unwrap().clone();
        alerts.first().map(|alert| server.get(&format!("/alerts/{}", alert["id"])))
    });
    let run = server.get("/batch-tasks/runs?task=clean-up")["runs"].as_array().unwrap().clone();
    assert_eq!((run.len(), &run[0]["by"]), (1, &json!("alert 1")), "{run:?}");
    assert!(alert["notes"].as_array().unwrap().iter().any(|note| note["what"] == "not-followed"), "{alert:#}");
}
