//! Channels that deliver through an agent: a command of the channel, or `sendmail` on the agent's machine. The server itself runs no
//! commands.

use std::sync::Arc;

use monitor_alerts::Message;
use monitor_wire::{AgentOrder, CommandLine, CommandRequest, CommandStatus};
use serde_json::{Map, Value};

use super::super::follow::OWN_AGENT;
use super::{Letter, Undelivered, mail, webhook};
use crate::commands::{Caller, Commands};

/// Time that an order waits for its agent and the agent's reply, in milliseconds. An order that the agent did not fetch within it is
/// dropped. A command ends after 30 s.
const WAITS_MS: u64 = 60_000;
/// Maximum size of a message in an order, in bytes.
const MOST: usize = 48 << 10;
/// Sender address of mails. The machine's `sendmail` may replace it.
const SENDER: &str = "monitor@localhost";

/// Sends a channel's command to its agent. The agent runs it if its own configuration lists it.
pub(super) async fn run(
    commands: Option<&Arc<Commands>>,
    (channel, command, agent): (&str, &[String], Option<&str>),
    now_us: u64,
    letter: &Letter<'_>,
) -> Result<String, Undelivered> {
    let order = AgentOrder::AlertCommand { channel: channel.to_owned(), command: command.to_vec(), message: shortened(letter) };
    send(commands, &order, agent.unwrap_or(OWN_AGENT), now_us).await
}

/// Sends a mail through the agent on the server's machine.
pub(super) async fn send_mail(commands: Option<&Arc<Commands>>, now_us: u64, letter: &Letter<'_>) -> Result<String, Undelivered> {
    let to: Vec<String> = letter.message.address.iter().cloned().collect();
    let mail = mail::mail(SENDER, &to, letter)?.formatted();
    let mut mail = String::from_utf8_lossy(&mail).into_owned();
    mail.truncate(monitor_store::cut::boundary(&mail, MOST));
    send(commands, &AgentOrder::AlertMail { to, mail }, OWN_AGENT, now_us).await
}

/// Returns the message in the format of webhooks. If it is too long, it omits the last log lines, and then all output of the run.
fn shortened(letter: &Letter<'_>) -> Map<String, Value> {
    let made = |message: &Message| {
        let letter = Letter { message, text: letter.text.clone(), now_us: letter.now_us };
        serde_json::to_value(webhook::body(&letter)).and_then(serde_json::from_value).unwrap_or_default()
    };
    let is_short = |made: &Map<String, Value>| serde_json::to_string(made).is_ok_and(|text| text.len() <= MOST);
    let whole = made(letter.message);
    if is_short(&whole) {
        return whole;
    }
    let mut message = letter.message.clone();
    message.facts.lines.clear();
    let shorter = made(&message);
    if is_short(&shorter) {
        return shorter;
    }
    message.facts = monitor_alerts::Facts { link: message.facts.link.take(), ..monitor_alerts::Facts::default() };
    message.names.clear();
    made(&message)
}

/// Sends an order to an agent and waits for the result.
async fn send(commands: Option<&Arc<Commands>>, order: &AgentOrder, agent: &str, now_us: u64) -> Result<String, Undelivered> {
    let commands = commands.ok_or_else(|| "no agent can be reached from here".to_owned())?;
    let (until_us, timeout_ms) = (Some(now_us + WAITS_MS * 1_000), Some(WAITS_MS));
    let request = CommandRequest { until_us, timeout_ms, ..order.request(None, &[agent.to_owned()]) };
    let worker = AgentOrder::worker(agent);
    let caller = Caller::server("alerts".to_owned(), None);
    let command = commands.ask(caller, request).await.map_err(|error| monitor_http::with_causes(&error))?;
    let line = command.lines.into_iter().next().ok_or_else(|| format!("there is no {worker}"))?;
    judge(&worker, &line)
}

/// Evaluates an agent's reply.
fn judge(worker: &str, line: &CommandLine) -> Result<String, Undelivered> {
    if line.status != CommandStatus::OK {
        let why = line.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
        let hint = if line.status.is_final() && line.error.is_some() { "" } else { ", is that agent there?" };
        return Err(format!("{worker}: {}{why}{hint}", line.status).into());
    }
    let value = line.value.clone().unwrap_or_default();
    let output = value["output"].as_str().filter(|output| !output.is_empty()).map(|output| format!(": {output}")).unwrap_or_default();
    match (value["exit_code"].as_i64(), value["signal"].as_i64()) {
        (Some(0), _) => Ok(format!("exit code 0{output}")),
        (Some(code), _) => Err(format!("exit code {code}{output}").into()),
        (None, Some(signal)) => Err(format!("ended by signal {signal}{output}").into()),
        _ => Err(format!("it took longer than 30 s and was ended{output}").into()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_message_counts_as_delivered_only_if_the_command_succeeded() {
        let line = |status: CommandStatus, value: Value, error: Option<&str>| CommandLine {
            worker_id: None,
            name: String::new(),
            status,
            value: Some(value),
            error: error.map(str::to_owned),
            elapsed_ns: None,
            last_seen_us: None,
        };
        let judged = |line: CommandLine| judge("monitor-agent@db-1", &line).map_err(|undelivered| undelivered.why);
        assert_eq!(judged(line(CommandStatus::OK, json!({"exit_code": 0, "output": "paged"}), None)), Ok("exit code 0: paged".to_owned()));
        for (line, words) in [
            (line(CommandStatus::OK, json!({"exit_code": 3, "output": "no"}), None), "exit code 3: no"),
            (line(CommandStatus::OK, json!({"exit_code": null, "signal": 9}), None), "ended by signal 9"),
            (line(CommandStatus::OK, json!({"exit_code": null, "in_time": false}), None), "longer than 30 s"),
            (line(CommandStatus::OK, json!([]), None), "longer than 30 s"),
            (line(CommandStatus::REFUSED, Value::Null, Some("`--accept files`")), "refused: `--accept files`"),
            (line(CommandStatus::WAITING, Value::Null, None), "waiting, is that agent there?"),
            (line(CommandStatus::EXPIRED, Value::Null, None), "is that agent there?"),
        ] {
            let why = judged(line).unwrap_err();
            assert!(why.contains(words), "{why}");
        }
    }
}
