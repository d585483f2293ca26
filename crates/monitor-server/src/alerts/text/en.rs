//! English texts of messages.

use monitor_alerts::{Cause, Message, MessageKind, PublishedChange, SubjectKind};
use monitor_tasks::EndReason;

use super::{Change, Exit, Labels, Words};

pub(super) const WORDS: Words = Words { labels: &LABELS, matter, title, exit, change, closing };

const LABELS: Labels = Labels {
    path: "Task",
    heartbeat: "Heartbeat",
    job: "Job",
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
    good: "Last good run",
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
    let (count, subjects) = (message.count, message.subjects);
    let is_one = subjects <= 1;
    let all = match subjects {
        0 | 1 => name.to_owned(),
        2 => format!("{name} and another one"),
        _ => format!("{name} and {} others", subjects - 1),
    };
    let say = |one: &str, many: &str| format!("{all} {}", if is_one { one } else { many });
    let often = |one: &str, many: &str| match say(one, many) {
        said if count <= subjects => said,
        said if is_one => format!("{said} {count} times"),
        said => format!("{said}, {count} times in all"),
    };
    if message.subject.kind == SubjectKind::Job {
        return match cause {
            Cause::Timeout => format!("job {all} timed out"),
            Cause::Lost => format!("job {all} lost {}", if count == 1 { "a host".to_owned() } else { format!("{count} hosts") }),
            _ => format!("job {}", often("failed", "failed")),
        };
    }
    match cause {
        Cause::Failed => match (message.facts.times, message.facts.calls) {
            (Some(failed), Some(calls)) if is_one => format!("{name} failed in {failed} of {calls} calls"),
            _ => often("failed", "failed"),
        },
        Cause::Timeout => say("takes longer than its timeout", "take longer than their timeouts"),
        Cause::Missed => often("did not start when it was due", "did not start when they were due"),
        Cause::Unknown => format!("nothing is heard of {all}"),
        Cause::Late => say("started late", "started late"),
        Cause::Skipped => often("was skipped", "were skipped"),
        Cause::Deleted => say("is deleted or paused for long", "are deleted or paused for long"),
        Cause::Notified => say("asks for attention", "ask for attention"),
        Cause::Slow => say("takes far longer than usual", "take far longer than usual"),
        Cause::Fast => say("ended far sooner than usual", "ended far sooner than usual"),
        Cause::Lost => format!("nobody saw {all} end"),
        Cause::Drops => format!("events of {all} were dropped"),
        Cause::Disk => "the disk of the monitor's server is full".to_owned(),
        Cause::Settings => format!("{name} has mistakes: its last good version holds"),
        Cause::Channel => format!("messages by {all} are not delivered"),
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

fn exit(exit: Exit<'_>) -> String {
    match exit {
        Exit::Signal("SIGKILL") => "killed by SIGKILL, maybe for want of memory".to_owned(),
        Exit::Signal("SIGABRT") => "aborted: SIGABRT".to_owned(),
        Exit::Signal(name @ ("SIGSEGV" | "SIGBUS" | "SIGILL" | "SIGFPE")) => format!("crashed: {name}"),
        Exit::Signal(name) => format!("ended by {name}"),
        Exit::Task(word) => format!("{word}, as the task says"),
        Exit::Reason(reason) => match reason {
            EndReason::Signal => "a signal ended it",
            EndReason::Hook => "a hook failed",
            EndReason::Expectation => "it did not do what is expected of it",
            EndReason::Killed => "it was ended by somebody or by the next run",
            EndReason::KillAfter => "it was ended by its kill-after",
            EndReason::Lost => "nobody knows how it ended",
            EndReason::Publishing => "its files could not be kept",
            EndReason::Memory => "it used more memory than it may",
            EndReason::Cpu => "it used more processor time than it may",
            EndReason::NotStarted => "the command could not be started",
            EndReason::NotExecutable => "the command can't be executed",
            EndReason::NotFound => "the command was not found",
        }
        .to_owned(),
    }
}

fn change(change: &Change<'_>) -> String {
    match change {
        Change::Version(was, is) => format!("version {was} became {is}"),
        Change::Same(version) => format!("nothing in the definition (version {version})"),
        Change::Line(line) => (*line).to_owned(),
        Change::Published(PublishedChange { target, was, is: None }) => format!("nothing published to {target} ({} before)", files(*was)),
        Change::Published(PublishedChange { target, was, is: Some(is) }) => {
            format!("{} published to {target} instead of {was}", files(*is))
        }
        Change::Took(is, was) => format!("it took {is} instead of {was}"),
        Change::NewError => "the error is new".to_owned(),
        Change::Seen(then) => format!("the same error as {then}"),
    }
}

fn files(count: u64) -> String {
    if count == 1 { "1 file".to_owned() } else { format!("{count} files") }
}

fn closing(alert: u64) -> String {
    format!("monitor alert ack {alert} · monitor alert snooze {alert} --for 2h")
}
