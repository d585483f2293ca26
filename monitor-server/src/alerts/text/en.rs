//! English.

use monitor_alerts::{Cause, Message, MessageKind};

use super::{Labels, Words};

pub(super) const WORDS: Words = Words { labels: &LABELS, matter, title, exit, closing };

const LABELS: Labels = Labels {
    path: "Task",
    heartbeat: "Heartbeat",
    agent: "Agent",
    worker: "Worker",
    subject: "About",
    run: "Run",
    machine: "Machine",
    program: "Program",
    due: "Due",
    started: "Started",
    ended: "Ended",
    took: "Took",
    usual: "usually",
    limit: "Limit",
    exit_code: "Exit code",
    signal: "Signal",
    error: "Why",
    notice: "Text",
    changes: "Changed since the last good run",
    times: "Times",
    names: "Concerned",
    since: "Since",
    until: "Until",
    note: "Note",
    told: "Told",
    rule: "Rule",
    link: "Open",
};

fn matter(cause: Cause, name: &str, message: &Message) -> String {
    let count = message.count;
    let often = |one: &str| if count > 1 { format!("{name} {one} {count} times") } else { format!("{name} {one}") };
    match cause {
        Cause::Failed => often("failed"),
        Cause::Timeout => format!("{name} takes longer than its timeout"),
        Cause::Missed => often("did not start when it was due"),
        Cause::Unknown => format!("nothing is heard of {name}"),
        Cause::Late => format!("{name} started late"),
        Cause::Skipped => often("was skipped"),
        Cause::Deleted => format!("{name} is deleted or paused for long"),
        Cause::Notified => format!("{name} asks for attention"),
        Cause::Slow => format!("{name} takes far longer than usual"),
        Cause::Fast => format!("{name} ended far sooner than usual"),
        Cause::Lost => format!("nobody saw {name} end"),
        Cause::Drops => format!("events of {name} were dropped"),
        Cause::Disk => "the disk of the monitor's server is full".to_owned(),
        Cause::Channel => format!("messages by {name} are not delivered"),
    }
}

fn title(message: &Message, matter: &str, outage: &str) -> String {
    match message.kind {
        MessageKind::Fired => matter.to_owned(),
        MessageKind::Updated => format!("More: {matter}"),
        MessageKind::Resolved => format!("Over: {matter} ({outage})"),
        MessageKind::Reminded => format!("Still, since {outage}: {matter}"),
        MessageKind::Escalated => format!("Nobody has acknowledged: {matter}"),
        MessageKind::Sum => format!("{} further messages were held back", message.count),
        MessageKind::Test => "A test: messages of Process Monitor arrive here".to_owned(),
    }
}

fn exit(code: i64) -> Option<&'static str> {
    Some(match code {
        126 => "the command can't be executed",
        127 => "the command was not found",
        130 => "ended by SIGINT",
        134 => "aborted",
        137 => "killed by SIGKILL, maybe for want of memory",
        139 => "crashed: SIGSEGV",
        143 => "ended by SIGTERM",
        _ => return None,
    })
}

fn closing(alert: u64) -> String {
    format!("monitor alert ack {alert} · monitor alert snooze {alert} --for 2h")
}
