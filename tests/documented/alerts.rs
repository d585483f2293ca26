//! Tests of the pages about alerts: each command, each file and each line of a rule, with a receiver in place of the chat robot.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::routing::post;
use monitor_tests::wait_for;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::session::{Session, code_of};
use super::typed;

const PAGE: &str = concat!(
    include_str!("../../docs/start/first-alert.md"),
    include_str!("../../docs/reference/alert-rules.md"),
    include_str!("../../docs/guides/alerts.md"),
);
type Messages = Arc<Mutex<Vec<Value>>>;

/// A `WeCom` robot: its address and the received texts. It ends with the runtime.
fn robot() -> (SocketAddr, Messages, Runtime) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (listener, messages) = (runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap(), Messages::default());
    let address = listener.local_addr().unwrap();
    let took = async |State(messages): State<Messages>, axum::Json(message): axum::Json<Value>| {
        messages.lock().unwrap().push(message);
        axum::Json(json!({"errcode": 0, "errmsg": "ok"}))
    };
    let app = axum::Router::new().route("/robot", post(took)).with_state(messages.clone());
    runtime.spawn(async move { axum::serve(listener, app).await.unwrap() });
    (address, messages, runtime)
}

/// The page, adapted to the folder of a test. The address of the robot is permitted although it belongs to this machine.
fn page_for(folder: &Path, robot: SocketAddr) -> String {
    fs::write(folder.join("ops-url"), format!("http://{robot}/robot\n")).expect("the address");
    PAGE.replace("/etc/monitor", folder.to_str().expect("UTF-8")).replace("kind = \"wecom\" ", "private = true\nkind = \"wecom\" ")
}

#[test]
fn each_command_and_file_of_the_page_works_as_documented() {
    let mut session = Session::new();
    let (address, messages, _runtime) = robot();
    let page = page_for(session.path(), address);
    for (words, prints) in typed(&page, "The first ten minutes") {
        if words.starts_with("monitor task run ") {
            // The command waits a second for its agent, but a busy machine takes longer to start an agent.
            session.type_in("monitor inspect ping -t 20s", "monitor-agent@local  ok  …  pong");
        }
        session.type_in(&words, &prints);
    }
    let told = wait_for("both messages", || Some(messages.lock().unwrap().clone()).filter(|told| told.len() > 1));
    assert!(told[1]["markdown"]["content"].as_str().unwrap().contains("gold failed"), "{told:#?}");

    let (_, rules) = page.split_once("\n## Rules\n```toml\n").expect("the file of rules");
    let (file, rules) = rules.split_once("```\n").expect("its end");
    let alerts = session.path().join("alerts.toml");
    fs::write(&alerts, format!("{}\n{file}", fs::read_to_string(&alerts).unwrap())).unwrap();
    session.type_in("monitor alert rules", "rule imports (file)…\nchannel lead (mail)…");
    let listed = session.run("monitor alert rules").stdout;
    assert!(!listed.contains("wrong: ") && !listed.contains("warning: "), "{listed}");

    let (rules, _) = rules.split_once("\n## ").expect("the end of the section");
    let lines = code_of(rules)
        .filter(|code| ["on = {", "times = ", "repeat = ", "escalate = ", "quiet = "].iter().any(|key| code.starts_with(key)));
    let lines: Vec<_> = lines.filter(|line| !line.contains('…')).collect();
    assert!(lines.len() >= 8, "{lines:?}");
    for line in lines {
        let on = if line.starts_with("on = ") { "" } else { "on = { cause = [\"failed\"], name = \"parse\" }\n" };
        fs::write(session.path().join("line.toml"), format!("[[rule]]\nname = \"one\"\nto = [\"ops\"]\n{on}{line}\n")).unwrap();
        session.type_in("monitor alert try --file line.toml", "one: it would have fired …");
    }

    // In the order of the page, with the existing alert and tree.
    let commands: Vec<_> =
        code_of(&page).filter(|code| code.starts_with("monitor ")).map(|code| code.replace(" 12", " 1").replace(" 2106", " 1")).collect();
    assert!(commands.len() >= 15, "{commands:?}");
    for words in commands {
        let finished = session.run(&words);
        // The page names some commands without their arguments.
        let is_name = finished.code == Some(2) && session.run(&format!("{words} --help")).code == Some(0);
        assert!(finished.code == Some(0) || is_name, "{words}: {finished:?}");
    }
}
