//! Creates signs, the events that alert rules evaluate, from stored events. The rules for this are the same for every store.

use monitor_alerts::{Cause, Facts, Pattern, Relief, Severity, Sign, Subject, SubjectKind, What};
use monitor_tasks::EndReason;
use monitor_wire::{BatchRun, BatchStatus, BatchTaskChanged, Event, HostStatus, Kind, Process, ProcessNotified, State};
use serde_json::Value;

use super::batch::{Definition, TaskRow, run_of};
use super::shape::shape;
use crate::cut::boundary;

/// Field of the processes of a job on many hosts: the number of the job.
pub const JOB_ID: &str = "job.id";
/// Field of the processes of a job on many hosts: the name of the job.
pub const JOB_NAME: &str = "job.name";
/// Field of the processes of a job on many hosts: the status, as a number.
pub const JOB_STATUS: &str = "job.status";
/// Statuses of a host that was lost: 310 and 500.
const LOST_STATUSES: [u16; 2] = [HostStatus::UNREACHABLE.0, HostStatus::LOST.0];
/// Maximum length of a text in a sign, in bytes. Longer texts are cut.
const LONGEST: usize = 4_000;
/// Trigger of runs of heartbeats.
const PING: &str = "ping";
/// Reason of the event for a missed run of a heartbeat.
const NO_PING: &str = "no-ping";
/// Trigger of runs that a task's schedule started on time.
const BY_TIME: &str = "time";
/// Minimum number of past runs for a usual duration.
const FEWEST: usize = 10;
/// A run ended too soon if it took less than the usual duration divided by this.
const FAST_PART: u64 = 10;
/// Number of a task's latest successful runs that determine its usual duration.
pub const PAST: usize = 100;
/// Length of a pause after which a sign is stored for the paused task, in microseconds: one day.
pub const LONG_PAUSE_US: u64 = 86_400_000_000;

/// Conditions of alert rules that need signs beyond those of batch tasks. Processes that are not runs create signs only if a rule names
/// them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Watched {
    /// Patterns for names of processes.
    pub names: Vec<Pattern>,
    /// True if a rule covers runs that end too soon.
    pub fast: bool,
}

impl Watched {
    /// Returns true if a rule covers processes of this name.
    pub fn has(&self, name: &str) -> bool {
        self.names.iter().any(|pattern| pattern.fits(name))
    }
}

/// Returns the cause or relief that the state of a process represents. Returns `None` for states that are neither.
pub fn says(state: &State, reason: Option<&str>) -> Option<What> {
    if *state == State::FAILED {
        let is_ended = reason.is_some_and(|reason| reason == EndReason::KillAfter.word() || reason == "timeout");
        return Some(What::Cause(if is_ended { Cause::Timeout } else { Cause::Failed }));
    }
    if *state == State::LOST {
        return Some(What::Cause(Cause::Lost));
    }
    (*state == State::SUCCEEDED).then_some(What::Relief(Relief::Succeeded))
}

/// Creates the sign of a process that is a run of a task, or that has a name covered by a rule. `definition` is the task's.
pub fn of_process(process: &Process, what: What, definition: Option<&Definition>, now_us: u64) -> Sign {
    let run = run_of(process);
    let subject = match &run {
        Some(run) if run.trigger == PING => Subject::new(SubjectKind::Heartbeat, &run.task),
        Some(run) => Subject::new(SubjectKind::Task, &run.task),
        None => Subject::new(SubjectKind::Name, &process.name),
    };
    let error = process.error.as_ref().map(|error| cut(&error.line(str::to_owned)));
    let facts = Facts {
        run: run.as_ref().map(|run| run.run.clone()),
        trigger: run.as_ref().map(|run| if is_by_alert(run) { "alert".to_owned() } else { run.trigger.clone() }),
        machine: run.as_ref().and_then(|run| run.agent.clone()),
        version: run.as_ref().map(|run| run.version).filter(|version| *version > 0),
        exit_meaning: run.as_ref().and_then(|run| exit_meaning(run, definition)),
        due_us: run.as_ref().map(|run| run.due_us),
        started_us: process.started_us,
        ended_us: process.ended_us,
        elapsed_ns: process.elapsed_ns,
        exit_code: run.as_ref().and_then(|run| run.result_code).or(process.exit_code.map(i64::from)),
        signal: process.signal.map(i64::from),
        reason: run.as_ref().map_or(&process.reason, |run| &run.reason).as_deref().map(cut),
        shape: error.as_deref().map(|error| shape(error).into_owned()),
        error,
        ..of_task(definition)
    };
    let agent = facts.machine.clone();
    Sign { agent, ..sign(what, subject, now_us, Some(process), facts) }
}

/// Returns the meaning of a run's result code. If the runner set the code because of the run's end reason, and not the command, this is the
/// word of the reason. Otherwise it is the entry for the code in `exit` of the task's definition.
fn exit_meaning(run: &BatchRun, definition: Option<&Definition>) -> Option<String> {
    let own = run.exit_code.map(i64::from);
    let code = run.result_code.or(own)?;
    let given = run.reason.as_deref().and_then(EndReason::by_word).filter(|reason| own != Some(code) && code == i64::from(reason.code()));
    if let Some(given) = given {
        return Some(given.word().to_owned());
    }
    definition?.get("exit")?.get(code.to_string())?.as_str().map(cut)
}

/// Creates the sign of a job on many hosts that has ended, or of a host of it that was lost. `None` for all other processes and states.
/// The subject is the name of the job, so that the next success of a job with this name ends its alerts.
pub fn of_job(process: &Process, now_us: u64) -> Option<Sign> {
    let job = process.fields.get(JOB_ID)?.as_u64()?;
    let is_bad = process.state == State::FAILED;
    let (what, name, machine) = if process.kind == Kind::JOB {
        (says(&process.state, process.reason.as_deref())?, process.name.as_str(), None)
    } else {
        let status = process.fields.get(JOB_STATUS)?.as_u64()?;
        if !is_bad || process.kind != Kind::HOST || !LOST_STATUSES.iter().any(|lost| u64::from(*lost) == status) {
            return None;
        }
        (What::Cause(Cause::Lost), process.fields.get(JOB_NAME)?.as_str()?, Some(cut(&process.name)))
    };
    let error = process.error.as_ref().map(|error| cut(&error.line(str::to_owned)));
    let facts = Facts {
        job: Some(job),
        machine: machine.clone(),
        started_us: process.started_us,
        ended_us: process.ended_us,
        elapsed_ns: process.elapsed_ns,
        reason: process.reason.as_deref().map(cut).filter(|_| is_bad),
        shape: error.as_deref().map(|error| shape(error).into_owned()),
        error,
        ..Facts::default()
    };
    let sign = sign(what, Subject::new(SubjectKind::Job, cut(name)), now_us, Some(process), facts);
    // Without the id of its process, the alert about a lost host doesn't replace that about its job.
    let process = sign.process.filter(|_| machine.is_none());
    Some(Sign { agent: machine, process, ..sign })
}

/// Returns true if an alert started the run.
fn is_by_alert(run: &BatchRun) -> bool {
    run.by.as_deref().is_some_and(is_alert)
}

/// Returns true if `by`, the name of the requester of a run, is an alert.
pub fn is_alert(by: &str) -> bool {
    by.starts_with("alert ")
}

/// Returns facts with the owners and tags of a task.
fn of_task(definition: Option<&Definition>) -> Facts {
    let Some(definition) = definition else { return Facts::default() };
    let tags = definition.get("tags").and_then(Value::as_array).into_iter().flatten();
    let (owner, owners) = owners(definition);
    Facts { owner, owners, tags: tags.filter_map(Value::as_str).map(cut).collect(), ..Facts::default() }
}

/// Returns the first owner of a task, and the list of all owners if there are several.
pub fn owners(definition: &Definition) -> (Option<String>, Vec<String>) {
    match definition.get("owner") {
        Some(Value::Array(all)) => {
            let all: Vec<String> = all.iter().filter_map(Value::as_str).map(cut).collect();
            (all.first().cloned(), if all.len() > 1 { all } else { Vec::new() })
        }
        owner => (owner.and_then(Value::as_str).map(cut), Vec::new()),
    }
}

/// Creates the sign of a process that runs for longer than `limit_ns`, which is its own timeout or derived from past runs.
pub fn of_overdue(process: &Process, by_timeout: bool, limit_ns: u64, definition: Option<&Definition>, now_us: u64) -> Sign {
    let cause = if by_timeout { Cause::Timeout } else { Cause::Slow };
    let mut sign = of_process(process, What::Cause(cause), definition, now_us);
    sign.facts.limit_ns = Some(limit_ns);
    sign
}

/// Creates the sign of a run that has just started, if it is a scheduled run that started later than its task allows.
pub fn of_start(process: &Process, definition: Option<&Definition>, now_us: u64) -> Option<Sign> {
    let run = run_of(process).filter(|run| run.trigger == BY_TIME)?;
    let read = |key: &str| monitor_duration::read(definition?.get(key)?.as_str()?).ok();
    let within = read("start-within")?.saturating_add(read("jitter").unwrap_or_default());
    let late_us = run.started_us?.saturating_sub(run.due_us);
    if u128::from(late_us) <= within.as_micros() {
        return None;
    }
    let mut sign = of_process(process, What::Cause(Cause::Late), definition, now_us);
    sign.facts.limit_ns = Some(within.as_nanos().min(u128::from(u64::MAX)) as u64);
    Some(sign)
}

/// Creates the sign of a successful run that took less than a tenth of the usual duration. `past` are durations of past runs, in
/// nanoseconds.
pub fn of_fast(process: &Process, past: Vec<u64>, definition: Option<&Definition>, now_us: u64) -> Option<Sign> {
    let is_known = past.len() >= FEWEST;
    let usual_ns = usual_ns(past).filter(|_| is_known)?;
    if process.elapsed_ns? >= usual_ns / FAST_PART {
        return None;
    }
    let mut sign = of_process(process, What::Cause(Cause::Fast), definition, now_us);
    sign.facts.usual_ns = Some(usual_ns);
    Some(sign)
}

/// Returns the median of the durations. Returns `None` if there are none.
pub fn usual_ns(mut past: Vec<u64>) -> Option<u64> {
    past.sort_unstable();
    past.get(past.len() / 2).copied()
}

/// Creates the sign of a worker that was lost with open processes, or that is back. The subject's name identifies the program and host, so
/// it stays the same when the program restarts.
pub fn of_worker(program: &str, host: &str, open: u64, is_heard: bool, now_us: u64) -> Sign {
    let what = if is_heard { What::Relief(Relief::Found) } else { What::Cause(Cause::Lost) };
    let facts = Facts {
        machine: Some(cut(host)),
        program: Some(cut(program)),
        times: Some(open).filter(|open| *open > 1),
        reason: (!is_heard).then(|| "worker-lost".to_owned()),
        ..Facts::default()
    };
    let subject = Subject::new(SubjectKind::Worker, worker_name(program, host));
    Sign { agent: Some(cut(host)), ..sign(what, subject, now_us, None, facts) }
}

/// Returns the name of a program on a host.
pub fn worker_name(program: &str, host: &str) -> String {
    format!("{}@{}", cut(program), cut(host))
}

/// Creates the sign of events that a worker has dropped.
pub fn of_drops(program: &str, host: &str, count: u64, now_us: u64) -> Sign {
    let facts = Facts { machine: Some(cut(host)), program: Some(cut(program)), times: Some(count), ..Facts::default() };
    let subject = Subject::new(SubjectKind::Worker, worker_name(program, host));
    Sign { agent: Some(cut(host)), ..sign(What::Cause(Cause::Drops), subject, now_us, None, facts) }
}

/// Creates the sign of a problem of the server itself. `why` describes the problem; `None` if it is solved.
pub fn of_server(cause: Cause, name: &str, why: Option<&str>, now_us: u64) -> Sign {
    let what = if why.is_some() { What::Cause(cause) } else { What::Relief(Relief::Works) };
    let facts = Facts { error: why.map(cut), ..Facts::default() };
    sign(what, Subject::new(SubjectKind::Server, name), now_us, None, facts)
}

/// Creates the sign of a task that has been paused for long, or whose long pause has ended.
pub fn of_pause(task: &TaskRow, is_over: bool, now_us: u64) -> Sign {
    let what = if is_over { What::Relief(Relief::Restored) } else { What::Cause(Cause::Deleted) };
    let facts = Facts {
        text: task.who.as_deref().map(cut),
        machine: task.agent.clone(),
        reason: (!is_over).then(|| "paused".to_owned()),
        ..of_task(Some(&task.definition))
    };
    sign(what, Subject::new(SubjectKind::Task, &task.name), now_us, None, facts)
}

/// Creates the sign of a heartbeat that was deleted.
pub fn of_removed_heartbeat(name: &str, now_us: u64) -> Sign {
    sign(What::Relief(Relief::Removed), Subject::new(SubjectKind::Heartbeat, name), now_us, None, Facts::default())
}

/// Creates the sign of an event that reports missed or skipped runs.
pub fn of_decision(event: &Event, definition: Option<&Definition>, now_us: u64) -> Option<Sign> {
    let (cause, task, agent, due_us, times, reason) = match event {
        Event::RunMissed(of) => (Cause::Missed, &of.task, &of.agent, of.first_due_us, of.count, of.reason.to_string()),
        Event::RunSkipped(of) => (Cause::Skipped, &of.task, &of.agent, of.due_us, of.count, of.reason.to_string()),
        _ => return None,
    };
    let facts = Facts {
        machine: Some(agent.clone()),
        due_us: Some(due_us),
        times: Some(times).filter(|times| *times > 1),
        reason: Some(reason),
        ..of_task(definition)
    };
    let is_ping = facts.reason.as_deref() == Some(NO_PING);
    let subject = Subject::new(if is_ping { SubjectKind::Heartbeat } else { SubjectKind::Task }, task);
    Some(Sign { agent: Some(agent.clone()), ..sign(What::Cause(cause), subject, now_us, None, facts) })
}

/// Returns the agent that sent an event.
pub fn agent_of(event: &Event) -> Option<&str> {
    match event {
        Event::AgentDecided(of) => Some(&of.agent),
        Event::RunMissed(of) => Some(&of.agent),
        Event::RunSkipped(of) => Some(&of.agent),
        _ => None,
    }
}

/// Creates the sign of a task that was deleted, created again, or resumed after a pause.
pub fn of_task_change(
    before: Option<&BatchStatus>,
    event: &BatchTaskChanged,
    definition: Option<&Definition>,
    now_us: u64,
) -> Option<Sign> {
    let is_gone = |status: &BatchStatus| *status == BatchStatus::DELETED;
    let is_resumed = before == Some(&BatchStatus::PAUSED) && event.status == BatchStatus::ACTIVE;
    let what = match (before.is_some_and(is_gone), is_gone(&event.status)) {
        (false, true) => What::Cause(Cause::Deleted),
        (true, false) => What::Relief(Relief::Restored),
        (false, false) if is_resumed => What::Relief(Relief::Restored),
        _ => return None,
    };
    let facts = Facts { text: event.who.as_deref().map(cut), machine: event.agent.clone(), ..of_task(definition) };
    Some(sign(what, Subject::new(SubjectKind::Task, &event.task), now_us, None, facts))
}

/// Creates the sign of a notification that a process sends.
pub fn of_notification(of: &ProcessNotified, now_us: u64) -> Sign {
    let severity = match of.severity.as_str() {
        "error" | "critical" => Severity::Critical,
        "info" => Severity::Info,
        _ => Severity::Warning,
    };
    let facts = Facts {
        severity: Some(severity),
        title: Some(cut(&of.title)),
        text: of.text.as_deref().map(cut),
        shape: Some(shape(&of.title).into_owned()),
        root_id: Some(of.root_id.to_string()),
        process_id: Some(of.id.to_string()),
        ..Facts::default()
    };
    let subject = Subject::new(SubjectKind::Key, cut(of.key.as_deref().unwrap_or(&of.title)));
    let sign = sign(What::Cause(Cause::Notified), subject, now_us, None, facts);
    Sign { root: sign.facts.root_id.clone(), process: sign.facts.process_id.clone(), ..sign }
}

/// Creates the sign of an agent that was lost, or that is back.
pub fn of_agent(agent: &str, is_heard: bool, now_us: u64) -> Sign {
    let what = if is_heard { What::Relief(Relief::Found) } else { What::Cause(Cause::Unknown) };
    let facts = Facts { machine: Some(agent.to_owned()), ..Facts::default() };
    Sign { agent: Some(agent.to_owned()), ..sign(what, Subject::new(SubjectKind::Agent, agent), now_us, None, facts) }
}

fn sign(what: What, subject: Subject, now_us: u64, process: Option<&Process>, facts: Facts) -> Sign {
    let root = process.map(|process| process.root_id.to_string());
    let id = process.map(|process| process.id.to_string());
    let facts = if process.is_some() { Facts { root_id: root.clone(), process_id: id.clone(), ..facts } } else { facts };
    Sign { seq: 0, time_us: now_us, what, subject, root, process: id, agent: None, ancestors: Vec::new(), facts }
}

fn cut(text: &str) -> String {
    text[..boundary(text, LONGEST)].to_owned()
}
