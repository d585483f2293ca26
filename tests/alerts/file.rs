//! Changes of `alerts.toml` while the server runs and over restarts. A file with mistakes leaves the last good version in force, and a
//! first channel is used at once.

use std::ffi::OsString;

use monitor_tests::{Server, wait_for};
use serde_json::Value;

use super::receiver::Receiver;
use super::{monitor_alert, run, send, start, start_with};

#[test]
fn a_broken_file_at_the_start_keeps_the_previous_rules_and_is_reported() {
    let (mut server, receiver, folder) = start("[[rule]]\nname = \"own\"\non = { cause = [\"failed\"] }\nto = [\"hook\"]\n");
    let file = folder.path().join("alerts.toml");
    let good = std::fs::read_to_string(&file).unwrap();
    send(&server, 1, &run("gold", 1, "failed", "no prices"));
    receiver.messages(1);
    server.kill();
    std::fs::write(&file, good.replace("cause = [\"failed\"]", "cause = [\"faild\"]")).unwrap();
    server.start_again();
    let told = |cause: &str, kind: &str| {
        wait_for("a message", || {
            let is_it = |message: &Value| message["cause"] == cause && message["kind"] == kind;
            receiver.messages(1).into_iter().find(is_it)
        })
    };
    let words = "alerts.toml:3:17: rule.0.on.cause.0: \"faild\" is none of ";
    let fired = told("settings", "fired");
    assert!(fired["facts"]["error"].as_str().unwrap().contains(words), "{fired:#}");
    send(&server, 2, &run("tin", 2, "failed", "no tin"));
    wait_for("the rule as it was", || receiver.messages(1).into_iter().find(|message| message["subject"]["name"] == "tin"));
    let mut monitor = monitor_tests::command("monitor");
    let status = monitor_tests::run({
        monitor.args(["status", "--server", server.url()]).env("MONITOR_TOKEN", server.token());
        monitor
    });
    assert!(status.stdout.lines().any(|line| line.starts_with("ALERTS") && line.contains(words)), "{}", status.stdout);
    let (is_done, answer, error) = monitor_alert(&server, &["test", "hook"], "");
    assert!(is_done && answer.contains(words), "{answer}{error}");
    let (is_done, _, error) = monitor_alert(&server, &["test", "new"], "");
    assert!(!is_done && error.contains(words), "{error}");
    // A restart sends no second alert.
    server.kill();
    server.start_again();
    std::fs::write(&file, good).unwrap();
    told("settings", "resolved");
    let is_it = |message: &&Value| message["cause"] == "settings" && message["kind"] == "fired";
    let ids = receiver.messages(1).iter().filter(is_it).map(|message| message["id"].to_string()).collect::<Vec<_>>();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[test]
fn each_broken_file_names_its_place_and_previous_rules_stay_in_effect() {
    let (server, receiver, folder) =
        start_with("[[rule]]\nname = \"own\"\non = { cause = [\"failed\"] }\nto = [\"hook\"]\n", "rate = 1000");
    // The server reads the file before it answers.
    let rules = server.get("/alerts/rules");
    assert!(rules["rules"].as_array().unwrap().iter().any(|rule| rule["name"] == "own"), "{rules:#}");
    let file = folder.path().join("alerts.toml");
    let rule = "[[rule]]\nname = \"own\"\n";
    let broken: [(String, &str); 13] = [
        (format!("{rule}on = {{ cause = [\"faild\"] }}"), "3:17: rule.0.on.cause.0: "),
        (format!("{rule}on = {{ cause = [\"failed\"] }}\nto = [\"nobody\"]"), "4:7: rule.0.to.0: there is no channel nobody"),
        (format!("{rule}on = {{ cause = [\"failed\"] }}\ntimes = 0"), "4:9: rule.0.times: "),
        (format!("{rule}on = {{ cause = [\"failed\"] }}\nquiet = \"night\""), "4:9: rule.0.quiet: "),
        (format!("{rule}on = {{ cause = [\"failed\"] }}\nrepeat = \"often\""), "4:10: rule.0.repeat: "),
        (format!("{rule}on = {{ cause = [\"failed\"] }}\nseverity = \"loud\""), "4:12: rule.0.severity: "),
        (format!("{rule}on = {{ cause = [\"failed\"] }}\n{rule}"), "rule.1"),
        ("[channel.x]\nkind = \"pigeon\"".to_owned(), "2:8: channel.x.kind: "),
        ("[channel.x]\nkind = \"webhook\"\nurl = \"ftp://x\"".to_owned(), "3:7: channel.x.url: an address that begins with"),
        ("[channel.x]\nkind = \"mail\"\nserver = \"s\"\nfrom = \"nobody\"".to_owned(), "4:8: channel.x.from: an address such as"),
        ("[channel.x]\nkind = \"webhook".to_owned(), "2:16: invalid basic string"),
        ("[channel.x]\nkind = \"webhook\"\nurl = \"https://x\"\ntemplate = \"{% if %}\"".to_owned(), "4:12: channel.x.template: line 1: "),
        ("chanel = 1".to_owned(), "1:1: chanel: there is no such key; did you mean channel?"),
    ];
    for (number, (text, words)) in (1..).zip(broken) {
        std::fs::write(&file, &text).unwrap();
        let wanted = format!("alerts.toml:{words}").replace("alerts.toml:rule", "rule");
        let of_now = || {
            let mistakes = server.get("/alerts/rules")["mistakes"].clone();
            let has = mistakes.as_array().unwrap().iter().any(|mistake| mistake.as_str().unwrap().contains(&wanted));
            has.then_some(mistakes)
        };
        wait_for(&format!("{wanted} of {text}"), of_now);
        // An alert with other words has a separate message.
        let (task, error) = (format!("task-{number}"), String::from(char::from(b'g' + number as u8)).repeat(5));
        send(&server, number, &run(&task, number, "failed", &error));
        wait_for("the rule as it was", || {
            receiver.messages(1).iter().any(|message| message["subject"]["name"] == task.as_str()).then_some(())
        });
    }
}

#[test]
fn alerts_that_fire_before_a_channel_exists_are_sent_once_it_exists() {
    let (receiver, folder) = (Receiver::start(), tempfile::tempdir().unwrap());
    let file = folder.path().join("alerts.toml");
    let server = Server::start_with(vec![("MONITOR_ALERTS_FILE", OsString::from(&file))]);
    for (number, task) in [(1, "gold"), (2, "tin"), (3, "lead")] {
        send(&server, number, &run(task, number, "failed", task));
    }
    send(&server, 4, &run("lead", 4, "succeeded", ""));
    let firing = || server.get("/alerts?state=firing")["alerts"].as_array().unwrap().len();
    wait_for("the alerts", || (firing() == 2).then_some(()));
    let channel = format!("[channel.hook]\nkind = \"webhook\"\nurl = \"http://{}/hook\"\nprivate = true\n", receiver.address);
    std::fs::write(&file, channel).unwrap();
    receiver.messages(2);
    send(&server, 5, &run("gold", 5, "succeeded", ""));
    let told = receiver.messages(3);
    let of = |message: &Value| format!("{} {}", message["kind"].as_str().unwrap(), message["subject"]["name"].as_str().unwrap());
    let mut of: Vec<String> = told.iter().map(of).collect();
    of.sort();
    assert_eq!(of, ["fired gold", "fired tin", "resolved gold"]);
}
