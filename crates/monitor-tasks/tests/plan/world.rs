//! A simulated agent in text form: tasks in TOML, plans that are applied, and actions as lines.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use monitor_tasks::{Action, Book, Clock, Definition, Dues, Ledger, Now, Outcome, Paused, Plan, RunId, Task, plan};

pub(crate) struct World {
    pub(crate) book: Book,
    pub(crate) ledger: Ledger,
    pub(crate) day: String,
    pub(crate) clock: Clock,
}

impl World {
    /// Creates an agent on 2026-03-02, a Monday, with tasks valid since midnight.
    pub(crate) fn new(tasks: &[&str]) -> Self {
        let mut world = Self { book: Book::default(), ledger: Ledger::default(), day: "2026-03-02".to_owned(), clock: Clock::Steady };
        for task in tasks {
            world.put(task, 1, "00:00:00");
        }
        world.look("00:00:00");
        world
    }

    pub(crate) fn put(&mut self, definition: &str, version: u64, since: &str) {
        let definition = Definition::from_toml(definition).expect("no mistakes");
        self.book.put(Task::new(definition, version, self.time(since), &TimeZone::UTC).expect("a task"));
    }

    pub(crate) fn time(&self, text: &str) -> Timestamp {
        let text = if text.contains('T') { text.to_owned() } else { format!("{}T{text}Z", self.day) };
        text.parse().expect("a time")
    }

    pub(crate) fn pause(&mut self, task: &str, from: &str, until: Option<&str>) {
        let paused = Paused { from: self.time(from), until: until.map(|until| self.time(until)) };
        self.book.tasks.get_mut(task).expect("a task").paused = Some(paused);
    }

    pub(crate) fn plan(&self, at: &str) -> Plan {
        let now = Now { time: self.time(at), clock: self.clock, boot: None };
        let plan = plan(&now, &self.book, &self.ledger);
        assert!(plan.wake_at.is_none_or(|wake| wake > now.time), "{at}: wakes at {:?}", plan.wake_at);
        plan
    }

    /// Plans and applies. Runs that must start are started.
    pub(crate) fn look(&mut self, at: &str) -> Vec<String> {
        let plan = self.plan(at);
        self.ledger.apply(&plan);
        let time = self.time(at);
        for action in &plan.actions {
            if let Action::Start { run } = action {
                assert!(self.ledger.started(&run.id, time));
            }
        }
        // An applied decision is not made again.
        assert_eq!(self.plan(at).actions, [], "at {at}");
        // The ledger can be serialized and restored.
        let text = serde_json::to_string(&self.ledger).expect("JSON");
        assert_eq!(serde_json::from_str::<Ledger>(&text).expect("a ledger"), self.ledger);
        plan.actions.iter().map(line).collect()
    }

    /// Plans at each wake time of the previous plan. Prefixes each action with the time.
    pub(crate) fn walk(&mut self, from: &str, to: &str) -> Vec<String> {
        let (mut at, to) = (self.time(from), self.time(to));
        let mut lines = Vec::new();
        while at <= to {
            let text = at.to_string();
            lines.extend(self.look(&text).into_iter().map(|line| format!("{} {line}", &text[11..text.len() - 1])));
            let Some(wake_at) = self.plan(&text).wake_at else { break };
            at = wake_at;
        }
        lines
    }

    /// Ends the only open run of a task.
    pub(crate) fn end(&mut self, task: &str, at: &str, outcome: Outcome) {
        let ids: Vec<RunId> = self.ledger.tasks[task].runs.iter().filter(|run| run.is_open()).map(|run| run.id.clone()).collect();
        assert_eq!(ids.len(), 1, "{ids:?}");
        let at = self.time(at);
        assert!(self.ledger.ended(&ids[0], at, outcome));
        assert!(!self.ledger.ended(&ids[0], at, outcome), "a run ends once");
    }

    pub(crate) fn ask(&mut self, task: &str, at: &str) -> RunId {
        let at = self.time(at);
        self.ledger.ask(&self.book, task, at, "ada", vec!["--all".to_owned()]).expect("a task")
    }

    pub(crate) fn wake(&self, at: &str) -> Option<String> {
        self.plan(at).wake_at.map(|at| at.to_string()[11..19].to_owned())
    }
}

fn clock(at: Timestamp) -> String {
    let at = at + SignedDuration::ZERO;
    at.to_string()[11..19].to_owned()
}

fn short(id: &RunId) -> String {
    format!("{}@{}.{}", id.task, clock(id.due), id.part)
}

fn dues(dues: &Dues) -> String {
    let Dues { first, last, count } = dues;
    if *count == 1 { clock(*first) } else { format!("{}..{} x{count}", clock(*first), clock(*last)) }
}

pub(crate) fn line(action: &Action) -> String {
    let by = |run: &Option<RunId>| run.as_ref().map(|run| format!(" by {}", short(run))).unwrap_or_default();
    match action {
        Action::Start { run } => format!("start {} {} v{}", short(&run.id), run.trigger.word(), run.version),
        Action::Queue { run, reason, not_before, blocked_by } => {
            format!("queue {} {} {}{}", short(&run.id), reason.word(), clock(*not_before), by(blocked_by))
        }
        Action::Retry { of, run, not_before } => {
            format!("retry {} as {} #{} {}", short(of), short(&run.id), run.attempt, clock(*not_before))
        }
        Action::Kill { run, reason, replaced_by } => format!("kill {} {}{}", short(run), reason.word(), by(replaced_by)),
        Action::Overtime { run, .. } => format!("overtime {}", short(run)),
        Action::Skip { task, dues: at, reason, blocked_by, .. } => format!("skip {task} {} {}{}", dues(at), reason.word(), by(blocked_by)),
        Action::Missed { task, dues: at, reason, run, .. } => format!("missed {task} {} {}{}", dues(at), reason.word(), by(run)),
    }
}
