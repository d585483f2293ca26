//! Recipients and times of messages. Each test covers a frequent complaint about other alerting systems.

use std::collections::BTreeMap;

use monitor_alerts::{
    Cause, Facts, Hush, HushKind, Message, MessageKind, Note, Order, Relief, Settings, Sign, State, Step, Subject, SubjectKind, What,
    World, acknowledge, resolve, rules, step,
};

const SECOND: u64 = 1_000_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
/// 2026-03-02T12:00:00Z.
const NOON: u64 = 1_772_452_800 * SECOND;

const CHANNELS: &str = r#"
[channel.ops]
kind = "webhook"
url = "http://127.0.0.1:9/"

[channel.lead]
kind = "slack"
url = "http://127.0.0.1:9/"
"#;

/// A state with a clock. After each step the state is serialized and restored, as after a crash.
struct Bench {
    state: State,
    settings: Settings,
    hushes: Vec<Hush>,
    now: u64,
    wake: Option<u64>,
    seq: u64,
    messages: Vec<Message>,
    notes: Vec<Note>,
    orders: Vec<Order>,
}

impl Bench {
    fn new(text: &str) -> Self {
        let settings = Settings::from_toml(&format!("{text}\n{CHANNELS}")).unwrap();
        let (messages, notes, orders, hushes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { state: State::default(), settings, hushes, now: NOON, wake: None, seq: 0, messages, notes, orders }
    }

    fn act<T>(&mut self, act: impl FnOnce(&mut State, World<'_>, u64) -> T) -> T {
        let rules = rules(&self.settings.rules, &[]);
        let world = World { rules: &rules, channels: &self.settings.channels, hushes: &self.hushes };
        act(&mut self.state, world, self.now)
    }

    fn keep(&mut self, made: Step) {
        self.wake = made.wake_us;
        self.messages.extend(made.messages);
        self.notes.extend(made.notes);
        self.orders.extend(made.orders);
        let again = |text: String| serde_json::from_str(&text).unwrap();
        let _ = self.state.take_changes();
        let kept: BTreeMap<_, _> =
            self.state.entries().map(|(key, entry)| (key.clone(), again(serde_json::to_string(entry).unwrap()))).collect();
        let common = serde_json::from_str(&serde_json::to_string(self.state.common()).unwrap()).unwrap();
        let read = State::new(kept, common);
        assert_eq!(read, self.state);
        self.state = read;
    }

    fn signs(&mut self, signs: &[Sign]) -> &mut Self {
        let numbered: Vec<Sign> = signs
            .iter()
            .map(|sign| {
                self.seq += 1;
                Sign { seq: self.seq, time_us: self.now, ..sign.clone() }
            })
            .collect();
        let made = self.act(|state, world, now| step(state, world, &numbered, now));
        self.keep(made);
        self
    }

    /// Advances the clock and executes every step that is due.
    fn pass(&mut self, time: u64) -> &mut Self {
        let until = self.now + time;
        let mut steps = 0;
        while let Some(wake) = self.wake.filter(|wake| *wake <= until) {
            self.now = wake.max(self.now);
            let made = self.act(|state, world, now| step(state, world, &[], now));
            self.keep(made);
            steps += 1;
            assert!(steps < 10_000, "it wakes for nothing: {wake} at {}", self.now);
        }
        self.now = until;
        self
    }

    fn hush(&mut self, scope: &str, time: u64) -> &mut Self {
        let (from_us, until_us, who, kind) = (self.now, self.now + time, "ada".to_owned(), HushKind::Snooze);
        self.hushes.push(Hush { scope: scope.to_owned(), from_us, until_us, who, why: None, kind });
        self
    }

    /// Messages so far, as `minutes:seconds kind cause subject → channel ×count`.
    fn told(&self) -> Vec<String> {
        self.messages
            .iter()
            .map(|message| {
                let after = (message.time_us - NOON) / SECOND;
                let count = if message.count == 1 { String::new() } else { format!(" ×{}", message.count) };
                format!(
                    "{}:{:02} {} {} {} → {}{count}",
                    after / 60,
                    after % 60,
                    message.kind,
                    message.cause,
                    message.subject.name,
                    message.channel
                )
            })
            .collect()
    }

    fn decided(&self, word: &str) -> usize {
        self.notes.iter().filter(|note| note.what.as_str() == word).count()
    }
}

fn sign(what: What, subject: Subject, process: &str, error: &str) -> Sign {
    let facts = Facts {
        error: Some(error.to_owned()),
        shape: Some(error.to_owned()),
        process_id: Some(process.to_owned()),
        machine: Some("db-1".to_owned()),
        ..Facts::default()
    };
    let (root, process) = (Some("r".to_owned()), Some(process.to_owned()));
    Sign { seq: 0, time_us: 0, what, subject, root, process, agent: Some("db-1".to_owned()), ancestors: Vec::new(), facts }
}

fn bad(cause: Cause, task: &str) -> Sign {
    sign(What::Cause(cause), Subject::new(SubjectKind::Task, task), task, "no prices")
}

fn failed(task: &str) -> Sign {
    bad(Cause::Failed, task)
}

fn well(task: &str) -> Sign {
    sign(What::Relief(Relief::Succeeded), Subject::new(SubjectKind::Task, task), task, "")
}

fn agent(is_heard: bool) -> Sign {
    let what = if is_heard { What::Relief(Relief::Found) } else { What::Cause(Cause::Unknown) };
    Sign { process: None, root: None, ..sign(what, Subject::new(SubjectKind::Agent, "db-1"), "", "") }
}

const OWN: &str = "[[rule]]\nname = \"own\"\non = { cause = [\"failed\", \"missed\", \"lost\"] }\nto = [\"ops\"]\n";

#[test]
fn a_failure_and_its_recovery_are_each_sent_once_without_delay() {
    let mut bench = Bench::new(OWN);
    bench.signs(&[failed("gold")]).pass(10 * MINUTE).signs(&[failed("gold")]).pass(10 * MINUTE).signs(&[failed("gold")]).pass(10 * MINUTE);
    bench.signs(&[well("gold")]).pass(HOUR);
    assert_eq!(bench.told(), ["0:00 fired failed gold → ops", "30:00 resolved failed gold → ops ×3"]);
    let recovery = &bench.messages[1];
    assert_eq!((recovery.since_us, recovery.resolved_us), (NOON, Some(NOON + 30 * MINUTE)), "it names the outage");
    assert_eq!(bench.wake, None, "nothing is left to be done");
    assert_eq!(bench.state, State::new([], bench.state.common().clone()), "and nothing is remembered");
}

#[test]
fn ten_thousand_failures_with_the_same_cause_are_one_message_and_one_update() {
    let mut bench = Bench::new(OWN);
    for _ in 0..100 {
        bench.signs(&vec![failed("gold"); 100]).pass(600_000);
    }
    bench.pass(10 * MINUTE);
    assert_eq!(bench.told(), ["0:00 fired failed gold → ops", "1:29 updated failed gold → ops ×10000"]);
    assert!(bench.notes.len() < 50, "{}", bench.notes.len());
}

#[test]
fn alerts_with_the_same_text_share_one_message_and_one_recovery() {
    let mut bench = Bench::new(OWN);
    let names: Vec<String> = (0..50).map(|n| format!("task-{n:02}")).collect();
    bench.signs(&[failed(&names[0])]);
    for name in &names[1..] {
        bench.signs(&[failed(name)]).pass(SECOND / 2);
    }
    let other = sign(What::Cause(Cause::Failed), Subject::new(SubjectKind::Task, "tin"), "tin", "disk is full");
    bench.signs(&[other]).pass(10 * MINUTE);
    assert_eq!(bench.told(), ["0:00 fired failed task-00 → ops", "0:24 fired failed tin → ops", "0:54 updated failed task-00 → ops ×50"]);
    assert_eq!((bench.messages[2].names.len(), bench.messages[2].names[1].as_str()), (20, "task-01"));
    for name in &names {
        bench.signs(&[well(name)]).pass(SECOND);
    }
    assert_eq!(bench.told()[3..], ["11:13 resolved failed task-49 → ops ×50"], "{:?}", bench.told());
}

#[test]
fn a_rule_may_require_consecutive_failures() {
    let mut bench = Bench::new(&OWN.replace("to =", "times = 3\nto ="));
    bench.signs(&[failed("gold")]).signs(&[failed("gold")]).signs(&[well("gold")]).signs(&[failed("gold")]).signs(&[failed("gold")]);
    assert_eq!((bench.told().len(), bench.decided("too-few")), (0, 4));
    bench.signs(&[failed("gold")]);
    assert_eq!(bench.told(), ["0:00 fired failed gold → ops"]);
}

#[test]
fn a_rule_may_require_several_failures_within_a_time() {
    let mut bench = Bench::new(&OWN.replace("to =", "times = \"3 within 10m\"\nto ="));
    bench.signs(&[failed("gold")]).pass(6 * MINUTE).signs(&[failed("gold")]).pass(6 * MINUTE).signs(&[failed("gold")]);
    assert_eq!(bench.told().len(), 0, "the first is too long ago");
    bench.pass(MINUTE).signs(&[failed("gold")]).pass(HOUR);
    assert_eq!(bench.told(), ["13:00 fired failed gold → ops", "16:00 resolved failed gold → ops"]);
}

#[test]
fn a_flapping_task_is_one_alert_with_few_messages() {
    let mut bench = Bench::new(OWN);
    for _ in 0..20 {
        bench.signs(&[failed("gold")]).pass(MINUTE).signs(&[well("gold")]).pass(MINUTE);
    }
    bench.pass(HOUR);
    assert_eq!(
        bench.told(),
        [
            "0:00 fired failed gold → ops",
            "1:00 resolved failed gold → ops",
            "2:00 updated failed gold → ops ×2",
            "49:00 resolved failed gold → ops ×20"
        ]
    );
    assert!(bench.messages.iter().all(|message| message.alert == 1));
    bench.signs(&[failed("gold")]);
    assert_eq!(bench.messages.last().unwrap().alert, 2, "after that it is another");
}

#[test]
fn a_lost_machine_silences_its_tasks() {
    let mut bench = Bench::new("");
    let lost: Vec<Sign> = (0..50).map(|n| bad(Cause::Lost, &format!("task-{n}"))).collect();
    bench.signs(&lost).pass(15 * SECOND).signs(&[agent(false)]);
    let missed: Vec<Sign> = (0..50).map(|n| bad(Cause::Missed, &format!("task-{n}"))).collect();
    bench.pass(HOUR).signs(&missed).pass(MINUTE).signs(&[agent(true)]).pass(HOUR);
    assert_eq!(
        bench.told(),
        [
            "0:15 fired unknown db-1 → lead",
            "0:15 fired unknown db-1 → ops",
            "61:15 resolved unknown db-1 → lead",
            "61:15 resolved unknown db-1 → ops"
        ]
    );
    assert_eq!(bench.decided("machine-away"), 50);
}

#[test]
fn a_late_end_corrects_an_alert_about_a_lost_run() {
    let mut bench = Bench::new(OWN);
    bench.signs(&[bad(Cause::Lost, "gold")]).pass(29 * SECOND);
    assert_eq!(bench.told().len(), 0, "it is awaited whether its machine is gone");
    bench.pass(MINUTE).signs(&[well("gold")]);
    assert_eq!(bench.told(), ["0:30 fired lost gold → ops", "1:29 resolved lost gold → ops"]);
    assert_eq!(bench.messages[1].note.as_deref(), Some("its end came late: it succeeded"));
    // If the end is received while the alert is held back, the real outcome is reported.
    bench.pass(HOUR).signs(&[bad(Cause::Lost, "tin")]).pass(SECOND).signs(&[failed("tin")]).pass(MINUTE);
    assert_eq!(bench.told()[2..], ["61:30 fired failed tin → ops"]);
}

#[test]
fn only_the_failed_leaf_of_a_tree_is_reported() {
    let rule = "[[rule]]\nname = \"own\"\non = { cause = [\"failed\"], task = \"*\", name = \"*\" }\nto = [\"ops\"]\n";
    let mut bench = Bench::new(rule);
    let mut leaf = sign(What::Cause(Cause::Failed), Subject::new(SubjectKind::Name, "parse"), "leaf", "bad line");
    leaf.ancestors = vec!["middle".to_owned(), "gold".to_owned()];
    bench.signs(&[leaf, failed("gold")]);
    assert_eq!((bench.told(), bench.decided("leaf-told")), (vec!["0:00 fired failed parse → ops".to_owned()], 1));
    bench.pass(HOUR).signs(&[failed("gold")]);
    assert_eq!(bench.told().len(), 2, "later it fails by itself");
}

#[test]
fn quiet_hours_delay_all_but_critical_alerts_until_they_end() {
    let quiet = OWN.replace("to =", "quiet = \"12:30-15:00 Europe/Berlin\"\nto =");
    let mut bench = Bench::new(&quiet);
    bench.signs(&[failed("gold"), failed("tin")]).pass(HOUR);
    assert_eq!((bench.told().len(), bench.decided("hushed")), (0, 2));
    bench.signs(&[well("tin")]).pass(2 * HOUR);
    assert_eq!(bench.told(), ["120:00 fired failed gold → ops"], "Berlin's 15:00 is 14:00Z");
    let mut bench = Bench::new(&quiet.replace("to =", "severity = \"critical\"\nto ="));
    bench.signs(&[failed("gold")]);
    assert_eq!(bench.told().len(), 1);
}

#[test]
fn a_recovery_during_a_snooze_is_sent_to_the_recipients_of_the_alert() {
    let mut bench = Bench::new(OWN);
    bench.signs(&[failed("gold")]).pass(MINUTE).hush("task:go*", HOUR).signs(&[well("gold")]);
    assert_eq!(bench.told(), ["0:00 fired failed gold → ops", "1:00 resolved failed gold → ops"]);
    // An alert that starts and ends during a snooze produces no message.
    bench.pass(20 * MINUTE).signs(&[failed("gold")]).pass(MINUTE).signs(&[well("gold")]).pass(2 * HOUR);
    assert_eq!(bench.told().len(), 2);
    bench.hush("agent:db-?", HOUR).signs(&[failed("gold")]).pass(2 * HOUR);
    assert_eq!(bench.told()[2..], ["202:00 fired failed gold → ops"], "what still fires is told when the snooze ends");
}

#[test]
fn reminders_and_escalations_are_sent_until_an_alert_is_acknowledged() {
    let mut bench = Bench::new(&OWN.replace("to =", "repeat = \"1h\"\nescalate = [{ after = \"90m\", to = [\"lead\"] }]\nto ="));
    bench.signs(&[failed("gold")]).pass(2 * HOUR + MINUTE);
    let expected = ["0:00 fired failed gold → ops", "60:00 reminded failed gold → ops", "90:00 escalated failed gold → lead"];
    assert_eq!(bench.told()[..3], expected);
    assert_eq!(bench.told()[3..], ["120:00 reminded failed gold → ops", "120:00 reminded failed gold → lead"]);
    let now = bench.now;
    let made = acknowledge(&mut bench.state, 1, "ada", now).unwrap();
    bench.keep(made);
    bench.pass(10 * HOUR).signs(&[well("gold")]);
    assert_eq!(bench.told()[5..], ["721:00 resolved failed gold → ops", "721:00 resolved failed gold → lead"], "all who were told");
    let mut bench = Bench::new(&OWN.replace("to =", "escalate = [{ after = \"90m\", to = [\"lead\"] }]\nto ="));
    bench.signs(&[failed("gold")]);
    let now = bench.now;
    let made = acknowledge(&mut bench.state, 1, "ada", now).unwrap();
    bench.keep(made);
    bench.pass(3 * HOUR);
    assert_eq!(bench.told().len(), 1, "who looks after it isn't overtaken");
}

#[test]
fn a_channel_above_its_rate_sends_one_summary() {
    let mut bench = Bench::new(OWN);
    let all: Vec<Sign> = (0..100)
        .map(|n| {
            sign(What::Cause(Cause::Failed), Subject::new(SubjectKind::Task, format!("t{n}")), "p", &format!("error {}", "x".repeat(n)))
        })
        .collect();
    bench.signs(&all).pass(10 * MINUTE);
    let sums: Vec<_> = bench.messages.iter().filter(|message| message.kind == MessageKind::Sum).collect();
    assert_eq!((bench.messages.len(), sums.len(), sums[0].count), (11, 1, 90), "{:?}", bench.told());
    assert_eq!(bench.decided("summed"), 90);
}

#[test]
fn a_configured_rule_overrides_the_built_in_rules() {
    let mut bench = Bench::new(OWN);
    bench.signs(&[failed("gold")]);
    assert_eq!((bench.told().len(), bench.decided("overruled")), (1, 1));
    let mut bench = Bench::new("[[rule]]\nname = \"failed\"\non = { cause = [\"failed\"], task = \"tin\" }\nto = [\"ops\"]\n");
    bench.signs(&[failed("gold")]);
    assert_eq!(bench.told().len(), 0, "one of the same name takes the place of a built-in one");
}

#[test]
fn an_owner_without_a_channel_is_noted_and_the_admins_are_notified() {
    let mut bench = Bench::new("");
    let mut of_ada = failed("gold");
    of_ada.facts.owner = Some("ada".to_owned());
    bench.signs(&[of_ada]);
    assert_eq!((bench.told().len(), bench.decided("nobody")), (2, 1), "{:?}", bench.told());
    let mut of_ops = failed("tin");
    of_ops.facts.owner = Some("ops".to_owned());
    bench.pass(HOUR).signs(&[of_ops]);
    assert_eq!(bench.told()[2..], ["60:00 fired failed tin → ops"]);
    // If a task has several owners, those with a channel are notified.
    let mut of_both = failed("zinc");
    (of_both.facts.owner, of_both.facts.owners) = (Some("ada".to_owned()), vec!["ada".to_owned(), "ops".to_owned()]);
    bench.pass(HOUR).signs(&[of_both]);
    assert_eq!((&bench.told()[3..], bench.decided("nobody")), (&["120:00 fired failed zinc → ops".to_owned()][..], 2));
}

#[test]
fn a_failing_channel_is_reported_through_another_channel() {
    let mut bench = Bench::new("");
    let of = |what| Sign { agent: None, ..sign(what, Subject::new(SubjectKind::Channel, "ops"), "", "refused") };
    bench.signs(&[of(What::Cause(Cause::Channel))]).pass(HOUR).signs(&[of(What::Relief(Relief::Works))]);
    assert_eq!(bench.told(), ["0:00 fired channel ops → lead", "60:00 resolved channel ops → lead"]);
}

#[test]
fn a_task_is_started_as_often_as_the_rule_allows_and_never_for_itself() {
    let mut bench = Bench::new(&OWN.replace("to =", "then = { run = \"clean-up\", at-most = 2, within = \"1h\" }\nto ="));
    for _ in 0..4 {
        bench.signs(&[failed("gold")]).pass(MINUTE).signs(&[well("gold")]).pass(11 * MINUTE);
    }
    assert_eq!((bench.orders.len(), bench.orders[0].task.as_str(), bench.decided("not-followed")), (2, "clean-up", 2));
    let mut own = failed("tin");
    own.facts.trigger = Some("alert".to_owned());
    bench.pass(2 * HOUR).signs(&[own]);
    assert_eq!(bench.orders.len(), 2);
}

#[test]
fn a_notification_has_its_requested_severity_and_ends_by_itself() {
    let mut bench = Bench::new("[[rule]]\nname = \"n\"\non = { cause = [\"notified\"] }\nto = [\"ops\"]\n");
    let mut notified = sign(What::Cause(Cause::Notified), Subject::new(SubjectKind::Key, "disk"), "p", "disk");
    notified.facts.severity = Some(monitor_alerts::Severity::Critical);
    bench.signs(&[notified.clone(), notified.clone()]).pass(HOUR);
    assert_eq!(bench.told(), ["0:00 fired notified disk → ops", "0:30 updated notified disk → ops ×2"]);
    assert_eq!((bench.messages[0].severity, bench.wake), (monitor_alerts::Severity::Critical, None));
    bench.signs(&[notified]);
    assert_eq!(bench.messages.last().unwrap().alert, 2);
}

#[test]
fn a_user_may_resolve_an_alert() {
    let mut bench = Bench::new(OWN);
    bench.signs(&[failed("gold")]);
    let made = bench.act(|state, world, now| resolve(state, world, 1, "ada", now)).unwrap();
    bench.keep(made);
    assert_eq!(bench.told().len(), 2);
    assert_eq!(bench.messages[1].note.as_deref(), Some("ada says that it is over"));
    assert!(
        bench.act(|state, world, now| resolve(state, world, 1, "ada", now)).is_none()
            && bench.act(|state, world, now| resolve(state, world, 9, "ada", now)).is_none()
    );
}

#[test]
fn a_removed_rule_ends_its_alerts_without_a_message() {
    let mut bench = Bench::new(OWN);
    bench.signs(&[failed("gold")]);
    bench.settings.rules.clear();
    bench.signs(&[]);
    assert_eq!((bench.told().len(), bench.state.firing().count()), (1, 0));
}

#[test]
fn the_alerts_of_a_task_end_when_it_is_deleted() {
    let mut bench = Bench::new("");
    bench.signs(&[failed("gold")]).signs(&[bad(Cause::Deleted, "gold")]).pass(HOUR);
    let told = bench.told();
    assert_eq!(told[2..], ["0:00 fired deleted gold → lead", "0:00 fired deleted gold → ops"], "{told:?}");
    assert_eq!(bench.state.firing().count(), 1, "its file is gone, as its agent says");
    // A deletion by a person is reported once, and the alert ends by itself.
    let mut by_ada = bad(Cause::Deleted, "tin");
    by_ada.facts.machine = None;
    bench.signs(&[by_ada]).pass(5 * MINUTE);
    assert_eq!(bench.state.firing().count(), 2);
    bench.pass(HOUR);
    assert_eq!((bench.told().len(), bench.state.firing().count()), (6, 1), "{:?}", bench.told());
    assert!(bench.notes.iter().any(|note| note.detail.as_deref() == Some("somebody has deleted it on purpose")));
}

#[test]
fn alerts_about_a_heartbeat_end_when_it_is_removed() {
    let mut bench = Bench::new("");
    let heartbeat = || Subject::new(SubjectKind::Heartbeat, "nightly");
    let of = |what| sign(what, heartbeat(), "nightly", "no ping");
    bench.signs(&[of(What::Cause(Cause::Missed)), of(What::Cause(Cause::Failed))]).pass(HOUR);
    assert_eq!(bench.state.firing().count(), 2, "{:?}", bench.told());
    bench.signs(&[of(What::Relief(Relief::Removed))]).pass(HOUR);
    assert_eq!(bench.state.firing().count(), 0);
    assert_eq!(bench.told().iter().filter(|told| told.contains("resolved")).count(), 4, "{:?}", bench.told());
    assert!(bench.notes.iter().any(|note| note.detail.as_deref() == Some("it was removed on purpose")));
}

#[test]
fn without_a_channel_the_missing_recipient_is_noted() {
    let mut bench = Bench::new("");
    bench.settings.channels.clear();
    bench.signs(&[failed("gold")]).pass(HOUR).signs(&[well("gold")]);
    assert_eq!((bench.told().len(), bench.state.firing().count()), (0, 0));
    assert!(bench.notes.iter().any(|note| note.detail.as_deref() == Some("there is no channel")));
}

#[test]
fn alerts_from_before_the_first_channel_are_sent_when_it_is_added() {
    let mut bench = Bench::new("");
    let channels = std::mem::take(&mut bench.settings.channels);
    bench.signs(&[failed("gold"), failed("tin"), failed("lead")]).pass(HOUR);
    bench.signs(&[well("lead")]);
    assert!(acknowledge(&mut bench.state, 2, "ada", bench.now).is_some());
    bench.hush("task:gold", HOUR);
    bench.settings.channels = channels;
    bench.signs(&[]).pass(MINUTE);
    assert_eq!(bench.told(), Vec::<String>::new(), "one is over, one is looked after, and one is hushed");
    bench.pass(2 * HOUR).signs(&[]).pass(HOUR);
    assert_eq!(bench.told(), ["120:00 fired failed gold → lead", "120:00 fired failed gold → ops"]);
    assert_eq!(bench.decided("nobody"), 8, "that nobody is reached is noted once of each alert: {:?}", bench.notes);
}

#[test]
fn a_rule_may_have_no_recipients_on_purpose() {
    let mut bench = Bench::new("[[rule]]\nname = \"failed\"\non = { cause = [\"failed\"], task = \"*\" }\nto = []\n");
    bench.signs(&[failed("gold")]).pass(HOUR).signs(&[well("gold")]);
    assert_eq!(bench.told().len(), 0);
    assert!(bench.notes.iter().any(|note| note.detail.as_deref() == Some("the rule tells nobody: to = []")), "{:?}", bench.notes);
}

#[test]
fn messages_due_before_a_sign_are_sent_first_even_if_processed_together() {
    let mut bench = Bench::new(OWN);
    bench.signs(&[failed("gold")]).pass(MINUTE).signs(&[well("gold")]);
    // The server is down for an hour, or crashes right after it has stored the sign.
    bench.now += HOUR;
    bench.signs(&[failed("gold")]);
    assert_eq!(bench.told()[2..], ["61:00 fired failed gold → ops"], "{:?}", bench.told());
    // An alert with the same content does not join a message of an hour ago.
    bench.now += HOUR;
    bench.signs(&[failed("tin")]);
    assert_eq!(bench.told()[3..], ["121:00 fired failed tin → ops"], "{:?}", bench.told());
}

#[test]
fn a_share_of_failed_calls_fires_and_ends_for_its_rule_alone() {
    let share = "[[rule]]\nname = \"orders\"\non = { cause = [\"failed\"], name = \"order\" }\ntimes = \"5% within 10m\"\nto = [\"ops\"]\n";
    let each = "[[rule]]\nname = \"each\"\non = { cause = [\"failed\"], name = \"order\" }\nto = [\"lead\"]\n";
    let mut bench = Bench::new(&format!("{share}{each}"));
    let of = |what: What, rule: Option<&str>, facts: Facts| Sign {
        seq: 0,
        time_us: 0,
        what,
        subject: Subject::new(SubjectKind::Name, "order"),
        root: None,
        process: None,
        agent: None,
        ancestors: Vec::new(),
        facts: Facts { rule: rule.map(str::to_owned), ..facts },
    };
    let (failed, well) = (What::Cause(Cause::Failed), What::Relief(Relief::Succeeded));
    bench.signs(&[of(failed, Some("orders"), Facts { calls: Some(100), times: Some(7), ..Facts::default() })]);
    assert_eq!(bench.told(), ["0:00 fired failed order → ops"], "the other rule is asked of each failure");
    bench.pass(MINUTE).signs(&[of(failed, None, Facts::default())]);
    assert_eq!(bench.messages.last().unwrap().rule, "each");
    bench.pass(MINUTE).signs(&[of(well, None, Facts::default())]);
    assert_eq!(bench.messages.last().unwrap().rule, "each", "one call that went well doesn't end a share");
    assert_eq!(bench.state.firing().count(), 1);
    bench.pass(HOUR).signs(&[of(well, Some("orders"), Facts::default())]);
    let last = bench.messages.last().unwrap();
    assert_eq!((last.rule.as_str(), last.kind, bench.state.firing().count()), ("orders", MessageKind::Resolved, 0));
}

#[test]
fn alerts_of_a_job_end_with_its_next_success_or_after_a_day() {
    let mut bench =
        Bench::new("[[rule]]\nname = \"deploys\"\non = { cause = [\"failed\", \"lost\"], job = \"deploy*\" }\nto = [\"ops\"]\n");
    let of = |what: What, name: &str, machine: Option<&str>| Sign {
        subject: Subject::new(SubjectKind::Job, name),
        what,
        agent: machine.map(str::to_owned),
        facts: Facts { job: Some(12), machine: machine.map(str::to_owned), ..Facts::default() },
        ..failed("")
    };
    let (bad, lost, good) = (What::Cause(Cause::Failed), What::Cause(Cause::Lost), What::Relief(Relief::Succeeded));
    bench.signs(&[of(lost, "deploy-web", Some("web-1")), of(lost, "deploy-web", Some("web-2"))]);
    bench.pass(MINUTE);
    assert_eq!(bench.told(), ["0:00 fired lost deploy-web → ops", "0:30 updated lost deploy-web → ops ×2"]);
    bench.signs(&[of(bad, "deploy-web", None), of(bad, "clean", None)]);
    assert_eq!(
        bench.told()[2..],
        ["1:00 fired failed clean → lead", "1:00 fired failed clean → ops"],
        "the rule has one alert of each job"
    );
    bench.signs(&[of(good, "deploy-web", None)]);
    assert_eq!(bench.messages.last().unwrap().kind, MessageKind::Resolved);
    assert_eq!(bench.state.firing().map(|alert| alert.subject.to_string()).collect::<Vec<_>>(), ["job:clean"]);
    // A job that never runs again must not fire for ever.
    bench.pass(23 * HOUR);
    assert_eq!(bench.state.firing().count(), 1);
    bench.pass(2 * HOUR);
    assert_eq!((bench.state.firing().count(), bench.messages.len()), (0, 5), "{:?}", bench.told());
}
