//! The five alarms of a batch system reach the owner of a task by webhook and by mail: the task takes too long, fails, did not start, is
//! deleted, or sends a notification itself.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::time::{Duration, SystemTime};

use monitor_tests::{Server, command, wait_for};
use serde_json::Value;

use crate::harness::Agent;
use crate::receivers::{MailServer, Receiver};

#[test]
fn five_alarms_reach_the_owner_by_webhook_and_mail() {
    let (hook, mut mail, folder) = (Receiver::start(), MailServer::away(), tempfile::tempdir().unwrap());
    mail.open();
    let file = folder.path().join("alerts.toml");
    let channels = format!(
        "[channel.hook]\nkind = \"webhook\"\nurl = \"http://{}/\"\nprivate = true\nrate = 1000\n\
         [channel.post]\nkind = \"mail\"\nserver = \"{}\"\ntls = \"none\"\nfrom = \"m@example.com\"\nrate = 1000\n\
         [channel.admins]\nkind = \"webhook\"\nurl = \"http://127.0.0.1:1/\"\nprivate = true\n",
        hook.address, mail.address
    );
    fs::write(&file, channels).unwrap();
    let server = Server::start_with(vec![("MONITOR_ALERTS_FILE", OsString::from(&file))]);
    let owner = "owner = [\"hook\", \"ada@example.com\"]\n";
    let monitor = command("monitor").get_program().display().to_string();
    let asks = format!("shell = \"{monitor} notify 'look here'\"\nenv = {{ MONITOR_SERVER_URL = \"{}\" }}\n", server.url());
    let tasks = [
        ("slow", "shell = \"sleep 1000\"\ntimeout = \"100ms\"\n".to_owned()),
        ("fails", "shell = \"exit 7\"\n".to_owned()),
        ("asks", asks),
        ("gone", "shell = \"true\"\n".to_owned()),
    ];
    let tasks = tasks.map(|(name, rest)| (name, rest + owner));
    let mut agent = Agent::start_for(&server, &tasks.each_ref().map(|(name, rest)| (*name, rest.as_str())));
    let known = || server.get("/batch-tasks")["tasks"].as_array().map_or(0, Vec::len);
    wait_for("the tasks at the server", || (known() == tasks.len()).then_some(()));
    let causes = || -> BTreeSet<String> {
        let taken = hook.lock().messages.clone();
        let fired = taken.into_values().map(|mut copies| copies.remove(0)).filter(|message| message["kind"] == "fired");
        fired.map(|message| message["cause"].as_str().unwrap().to_owned()).collect()
    };
    for task in ["slow", "fails", "asks"] {
        agent.done(&["run", task]);
    }
    fs::remove_file(agent.path("tasks/gone.toml")).unwrap();
    let have = |wanted: &[&str]| wanted.iter().all(|cause| causes().contains(*cause)).then_some(());
    wait_for("the first four", || have(&["timeout", "failed", "notified", "deleted"]));
    // Due times pass while the agent is away, so they are missed. The kill of the agent must raise no alert about a lost run.
    agent.done(&["kill", "slow"]);
    agent.ended("slow", 1);
    agent.define("late", &format!("shell = \"true\"\nrules = [\"@every 1s\"]\nmissed = \"skip\"\n{owner}"));
    wait_for("a run that is due", || agent.runs("late").first().cloned());
    agent.kill();
    let away = SystemTime::now();
    wait_for("due times to pass", || away.elapsed().is_ok_and(|passed| passed > Duration::from_secs(3)).then_some(()));
    agent.start_again();
    wait_for("the fifth", || have(&["missed"]));
    // The id of a mail contains the number of its alert: `<ALERT.NUMBER@…>`.
    let alert = |id: &str| id.trim_start_matches('<').split('.').next().map(str::to_owned);
    let fired = |message: &Value| message["kind"] == "fired";
    let told: BTreeSet<_> = hook.lock().messages.iter().filter(|(_, copies)| fired(&copies[0])).map(|(id, _)| alert(id)).collect();
    wait_for("a mail about each", || {
        let mails: BTreeSet<_> = mail.taken().iter().map(|id| alert(id)).collect();
        told.is_subset(&mails).then_some(())
    });
}
