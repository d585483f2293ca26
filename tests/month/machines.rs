//! Two real agents with a steered clock. They are killed, away for hours and started again, and the server is killed as well. A model with
//! a resolution of hours predicts the messages: one alert for a machine that is away and none for each of its tasks, missed due times once
//! the agent is back, skipped due times, and the tasks that alerts start.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use monitor_tests::{Server, SteeredClock, wait_for};
use serde_json::{Value, json};

use crate::harness::Agent;
use crate::receivers::Receiver;

const HOUR_US: u64 = 3_600_000_000;
const SECOND: Duration = Duration::from_secs(1);
/// Number of small steps after which a silent machine is certainly away.
const STEPS_UNTIL_AWAY: u32 = 6;
/// Maximum time between two reports of an agent, which reports every ten seconds.
const REPORTS_WITHIN_US: u64 = 11_000_000;

/// Hourly tasks, each with its machine. `silver` fails on demand, `copper` runs as long as it is held.
const TASKS: [(&str, usize); 4] = [("gold", 0), ("silver", 0), ("copper", 1), ("tin", 1)];
const MACHINES: [&str; 2] = ["db-1", "db-2"];

/// Alerts of the model by cause and subject, with the count of each. All of them end.
type Known = BTreeMap<(&'static str, String), Vec<u64>>;

/// The expected messages.
#[derive(Default)]
struct Model {
    alerts: Known,
    /// Hours since which each machine is away or present.
    away_since: [Option<u64>; 2],
    there_since: [u64; 2],
    /// Tasks with missed runs and no successful run since then.
    missed: BTreeSet<&'static str>,
    is_failing: bool,
    /// Hours in which an alert started a task.
    followed: Vec<u64>,
    held_since: Option<u64>,
}

impl Model {
    fn begin(&mut self, cause: &'static str, subject: &str) {
        self.alerts.entry((cause, subject.to_owned())).or_default().push(1);
    }

    fn again(&mut self, cause: &'static str, subject: &str) {
        *self.alerts.get_mut(&(cause, subject.to_owned())).and_then(|alerts| alerts.last_mut()).expect("it began") += 1;
    }

    /// A machine that was away since the run of an hour is back after the run of another hour. The agent makes up for the last run and
    /// misses the others.
    fn is_back(&mut self, machine: usize, hour: u64) {
        let since = self.away_since[machine].take().expect("it was away");
        self.there_since[machine] = hour;
        if hour > since {
            for (task, _) in TASKS.iter().filter(|(_, of)| *of == machine) {
                self.begin("missed", &format!("task:{task}"));
                self.missed.insert(task);
            }
        }
    }

    fn has_run(&mut self, task: &'static str, machine: usize, hour: u64, is_good: bool) {
        if is_good && hour > self.there_since[machine] {
            self.missed.remove(task);
        }
        if task != "silver" {
            return;
        }
        match (is_good, self.is_failing) {
            (true, _) => self.is_failing = false,
            (false, true) => self.again("failed", "task:silver"),
            (false, false) => {
                self.begin("failed", "task:silver");
                self.is_failing = true;
                // At most twice per day.
                if self.followed.iter().filter(|at| hour - **at < 24).count() < 2 {
                    self.followed.push(hour);
                }
            }
        }
    }

    /// `copper` is due while an earlier run lasts.
    fn is_skipped(&mut self, hour: u64) {
        match hour - self.held_since.expect("it is held") {
            0..=2 => {}
            3 => self.begin("skipped", "task:copper"),
            _ => self.again("skipped", "task:copper"),
        }
    }

    /// True if the machine may be killed, because the consequences can be predicted from the current state.
    fn may_go(&self, machine: usize, hour: u64) -> bool {
        let is_steady = self.away_since[machine].is_none() && self.there_since[machine] + 1 < hour;
        let has_missed = TASKS.iter().any(|(task, of)| *of == machine && self.missed.contains(task));
        is_steady && !has_missed && (machine == 0 || self.held_since.is_none())
    }
}

struct Machines {
    server: Server,
    clock: SteeredClock,
    agents: Vec<Agent>,
    hook: Receiver,
    passed: Duration,
    /// The next hour, in Unix microseconds.
    first_us: u64,
    /// The hour after whose runs each machine is started again.
    back_at: [u64; 2],
    /// Number of skipped due times of `copper`.
    skipped: u64,
    kills: usize,
    model: Model,
    _folder: tempfile::TempDir,
}

impl Machines {
    fn begin() -> Self {
        let (hook, clock, folder) = (Receiver::start(), SteeredClock::new(), tempfile::tempdir().unwrap());
        let file = folder.path().join("alerts.toml");
        // `copper` runs much longer than usual, which has a separate alert.
        let rules = format!(
            "[[rule]]\nname = \"again\"\non = {{ cause = [\"failed\"], task = \"silver\" }}\nto = [\"hook\"]\n\
             then = {{ run = \"clean-up\", at-most = 2, within = \"1d\" }}\n\
             [[rule]]\nname = \"slow\"\non = {{ cause = [\"slow\"], task = \"none\" }}\nto = []\n\
             [channel.hook]\nkind = \"webhook\"\nurl = \"http://{}/\"\nprivate = true\nrate = 1000\n",
            hook.address
        );
        fs::write(&file, rules).unwrap();
        let mut env = clock.env();
        // The timeouts of connections use the same clock. They are long enough that a jump of the clock closes no connection.
        env.extend(["MONITOR_HEADER_TIMEOUT", "MONITOR_IDLE_TIMEOUT", "MONITOR_STALL_TIMEOUT"].map(|name| (name, "365d".into())));
        env.push(("MONITOR_ALERTS_FILE", OsString::from(&file)));
        let server = Server::start_with(env);
        let start = |name: &&str| {
            let mut agent = Agent::of_server(&server, name, &[]);
            agent.kill();
            for (name, value) in clock.env() {
                agent.set_env(name, value);
            }
            agent.start_again();
            agent
        };
        let agents: Vec<Agent> = MACHINES.iter().map(start).collect();
        let path = |machine: usize, name: &str| agents[machine].path(name).display().to_string();
        let define = |name: &str, shell: String, rules: &[&str], machine: usize| {
            let task = json!({"name": name, "shell": shell, "rules": rules, "zone": "UTC", "on": [MACHINES[machine]]});
            let (status, answer) = server.order("POST", "/batch-tasks", &task);
            assert_eq!(status, 201, "{answer}");
        };
        define("gold", "true".to_owned(), &["0 * * * *"], 0);
        define("silver", format!("test ! -e {}", path(0, "fail")), &["0 * * * *"], 0);
        define("clean-up", "true".to_owned(), &[], 0);
        define("copper", format!("while [ -e {} ]; do sleep 0.05; done", path(1, "hold")), &["0 * * * *"], 1);
        define("tin", "true".to_owned(), &["0 * * * *"], 1);
        for (agent, tasks) in agents.iter().zip([3, 2]) {
            wait_for("the tasks at the agent", || (agent.log().matches("a task is new or has changed").count() >= tasks).then_some(()));
        }
        let now_us = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64;
        let first_us = now_us.next_multiple_of(HOUR_US);
        let passed = Duration::ZERO;
        Self {
            server,
            clock,
            agents,
            hook,
            passed,
            first_us,
            back_at: [0; 2],
            skipped: 0,
            kills: 0,
            model: Model::default(),
            _folder: folder,
        }
    }

    fn now_us(&self) -> u64 {
        (SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + self.passed).as_micros() as u64
    }

    fn is_away(&self, machine: usize) -> bool {
        self.model.away_since[machine].is_some()
    }

    /// Lets time pass until the server has checked for silent workers and has received reports of all others.
    fn pass(&mut self, time: Duration) {
        // A request that is in flight while hours pass would time out.
        wait_for("messages to land", || {
            let alerts = self.server.get("/alerts?limit=12")["alerts"].as_array().unwrap().clone();
            let is_sent = |alert: &Value| {
                let detail = self.server.get(&format!("/alerts/{}", alert["id"]));
                detail["messages"].as_array().unwrap().iter().all(|message| message["state"] == "sent")
            };
            alerts.iter().all(is_sent).then_some(())
        });
        self.passed += time;
        let now_us = self.now_us();
        self.clock.pass(self.passed);
        wait_for("a look for silent workers", || {
            let duties = self.server.get("/status")["duties"].as_array().unwrap().clone();
            let looked = duties.iter().find(|duty| duty["name"] == "overdue")?["last_us"].as_u64()?;
            (looked >= now_us).then_some(())
        });
        wait_for("all workers to be heard of", || {
            let workers = self.server.get("/workers?limit=1000")["workers"].as_array().unwrap().clone();
            let is_heard = |worker: &Value| worker["last_seen_us"].as_u64().unwrap() + REPORTS_WITHIN_US >= now_us;
            let agents = (0..MACHINES.len()).filter(|machine| !self.is_away(*machine)).all(|machine| {
                let of_it = workers.iter().filter(|worker| worker["hostname"] == MACHINES[machine] && worker["program"] == "monitor-agent");
                of_it.max_by_key(|worker| worker["started_us"].as_u64()).is_some_and(is_heard)
            });
            let is_held = |worker: &&Value| worker["state"] == "online" && worker["running"].as_u64().is_some_and(|running| running > 0);
            (agents && workers.iter().filter(is_held).all(is_heard)).then_some(())
        });
    }

    fn due_us(&self, hour: u64) -> u64 {
        self.first_us + hour * HOUR_US
    }

    /// Waits until the newest alert of a cause about a subject is in this state.
    fn wait_for_alert(&self, cause: &str, subject: &str, state: &str) {
        wait_for(&format!("{cause} of {subject} to be {state}"), || {
            let alerts = self.server.get(&format!("/alerts?subject={subject}&limit=1000"))["alerts"].as_array().unwrap().clone();
            let newest = alerts.iter().filter(|alert| alert["cause"] == cause).max_by_key(|alert| alert["id"].as_u64())?;
            (newest["state"] == state).then_some(())
        });
    }

    /// Number of signs of a cause about a task in the server's database.
    fn signs(&self, cause: &str, task: &str) -> u64 {
        let connection = rusqlite::Connection::open(self.server.data().join("monitor.db")).unwrap();
        let sql = "SELECT count(*) FROM sign WHERE cause = ? AND subject = ?";
        connection.query_row(sql, [cause, &format!("task:{task}")], |row| row.get::<_, i64>(0)).unwrap() as u64
    }

    /// Waits until the run of an hour meets a condition.
    fn wait_for_run(&self, task: &str, hour: u64, is_far: impl Fn(&Value) -> bool) {
        wait_for(&format!("{task} of hour {hour}"), || {
            let runs = self.server.get(&format!("/batch-tasks/runs?task={task}&limit=3"))["runs"].as_array().unwrap().clone();
            runs.iter().any(|run| run["due_us"] == self.due_us(hour) && is_far(run)).then_some(())
        });
    }

    /// Waits until the agent has recorded the end of a run. The launcher reports the end to the server itself, so the server may know it
    /// earlier than the agent. Otherwise the agent could take the run for still running an hour later.
    fn wait_for_agent(&self, task: &str, machine: usize, hour: u64) {
        let connection = rusqlite::Connection::open(self.agents[machine].path("data/agent.db")).unwrap();
        let sql = "SELECT count(*) FROM run WHERE task = ? AND due_us = ? AND ended_us IS NOT NULL";
        let is_known = || connection.query_row(sql, rusqlite::params![task, self.due_us(hour) as i64], |row| row.get::<_, i64>(0));
        wait_for("the agent to know of an end", || (is_known().unwrap() > 0).then_some(()));
    }

    /// The runs of a machine's tasks in an hour.
    fn runs_of(&mut self, machine: usize, hour: u64, is_good: bool, is_held: bool) {
        for (task, of) in TASKS {
            if of != machine {
                continue;
            }
            if task == "copper" && is_held {
                match self.model.held_since {
                    None => {
                        self.wait_for_run(task, hour, |run| run["started_us"].is_u64());
                        self.model.held_since = Some(hour);
                    }
                    Some(since) => {
                        self.skipped += 1;
                        wait_for("a due time to be skipped", || (self.signs("skipped", task) == self.skipped).then_some(()));
                        self.model.is_skipped(hour);
                        if hour - since >= 3 {
                            self.wait_for_alert("skipped", "task:copper", "firing");
                        }
                    }
                }
                continue;
            }
            let is_good = task != "silver" || is_good;
            self.wait_for_run(task, hour, |run| run["ended_us"].is_u64());
            self.wait_for_agent(task, machine, hour);
            self.model.has_run(task, machine, hour, is_good);
            if task == "silver" && self.model.alerts.contains_key(&("failed", "task:silver".to_owned())) {
                self.wait_for_alert("failed", "task:silver", if is_good { "resolved" } else { "firing" });
                self.wait_for_follow_ups();
            }
        }
    }

    fn wait_for_follow_ups(&self) {
        wait_for("the tasks that alerts start", || {
            let runs = self.server.get("/batch-tasks/runs?task=clean-up&limit=1000")["runs"].as_array().unwrap().clone();
            (runs.len() == self.model.followed.len() && runs.iter().all(|run| run["outcome"] == "succeeded")).then_some(())
        });
    }

    /// An hour: events before it, its runs, and restarts after them. Without `random`, all ends well.
    fn hour(&mut self, hour: u64, random: Option<&mut fastrand::Rng>) {
        let is_end = random.is_none();
        let mut quiet = fastrand::Rng::with_seed(0);
        let random = random.unwrap_or(&mut quiet);
        let mut happens = |tenths: u8| random.u8(..10) < tenths && !is_end;
        if happens(1) {
            self.kills += 1;
            self.server.kill();
            self.server.start_again();
        }
        for machine in 0..MACHINES.len() {
            let (goes, restarts, length) = (happens(3), happens(1), (0..4).filter(|_| happens(5)).count() as u64);
            // Two machines that go away at once raise a single message, which another test covers.
            let is_alone = !self.model.away_since.contains(&Some(hour));
            if goes && is_alone && self.model.may_go(machine, hour) {
                self.agents[machine].kill();
                self.model.away_since[machine] = Some(hour);
                self.back_at[machine] = hour + length;
            } else if restarts && !self.is_away(machine) {
                self.agents[machine].kill();
                self.agents[machine].start_again();
            }
        }
        let is_good = !happens(4);
        set(&self.agents[0].path("fail"), !is_good);
        let hold = self.agents[1].path("hold");
        if !hold.exists() {
            set(&hold, happens(2));
        } else if is_end || happens(2) {
            set(&hold, false);
            self.is_released(hour);
        }
        let is_held = hold.exists();

        let until_us = self.due_us(hour) + 1_000_000;
        self.pass(Duration::from_micros(until_us.saturating_sub(self.now_us())));
        let gone: Vec<usize> = (0..MACHINES.len()).filter(|machine| self.model.away_since[*machine] == Some(hour)).collect();
        if !gone.is_empty() {
            (0..STEPS_UNTIL_AWAY).for_each(|_| self.pass(5 * SECOND));
        }
        for machine in gone {
            let subject = format!("agent:{}", MACHINES[machine]);
            self.wait_for_alert("unknown", &subject, "firing");
            self.model.begin("unknown", &subject);
        }
        for (machine, name) in MACHINES.iter().enumerate() {
            if self.is_away(machine) {
                if self.back_at[machine] > hour && !is_end {
                    continue;
                }
                self.agents[machine].start_again();
                self.wait_for_alert("unknown", &format!("agent:{name}"), "resolved");
                self.model.is_back(machine, hour);
            }
            self.runs_of(machine, hour, is_good, is_held);
            for (task, _) in TASKS.iter().filter(|(_, of)| *of == machine) {
                let missed = self.model.alerts.get(&("missed", format!("task:{task}"))).map_or(0, Vec::len) as u64;
                wait_for("what was missed", || (self.signs("missed", task) == missed).then_some(()));
            }
        }
    }

    /// `copper` is no longer held, so its run ends.
    fn is_released(&mut self, hour: u64) {
        let Some(since) = self.model.held_since.take() else { return };
        self.wait_for_run("copper", since, |run| run["ended_us"].is_u64());
        self.model.has_run("copper", 1, hour, true);
        if self.model.alerts.contains_key(&("skipped", "task:copper".to_owned())) {
            self.wait_for_alert("skipped", "task:copper", "resolved");
        }
    }

    /// Compares the messages with those of the model.
    fn compare(&self, seed: u64) {
        let alerts = self.server.get("/alerts?limit=1000")["alerts"].as_array().unwrap().clone();
        let mut found = BTreeMap::<(String, String), BTreeMap<u64, u64>>::new();
        for alert in &alerts {
            assert_eq!(alert["state"], "resolved", "seed {seed}: {alert}");
            let text = |key: &str| alert[key].as_str().unwrap().to_owned();
            let of = found.entry((text("cause"), text("subject"))).or_default();
            of.insert(alert["id"].as_u64().unwrap(), alert["count"].as_u64().unwrap());
        }
        let found: BTreeMap<_, Vec<u64>> = found.into_iter().map(|(of, counts)| (of, counts.into_values().collect())).collect();
        let known: BTreeMap<_, Vec<u64>> =
            self.model.alerts.iter().map(|((cause, subject), counts)| (((*cause).to_owned(), subject.clone()), counts.clone())).collect();
        assert_eq!(found, known, "seed {seed}");
        let taken = wait_for("the last messages", || {
            let taken = self.hook.lock().messages.clone();
            let sent = alerts
                .iter()
                .flat_map(|alert| self.server.get(&format!("/alerts/{}", alert["id"]))["messages"].as_array().unwrap().clone());
            sent.map(|message| message["id"].as_str().unwrap().to_owned()).all(|id| taken.contains_key(&id)).then_some(taken)
        });
        let repeated: usize = taken.values().map(|copies| copies.len() - 1).sum();
        assert!(repeated <= self.kills, "seed {seed}: {repeated} repeated with {} kills", self.kills);
        // Missed runs of several tasks of a machine are a single message.
        for alert in alerts.iter().filter(|alert| alert["cause"] != "missed") {
            let of_it = taken.values().map(|copies| &copies[0]).filter(|message| message["alert"] == alert["id"]);
            let mut kinds: Vec<_> = of_it.map(|message| (message["time_us"].as_u64(), message["kind"].as_str().unwrap())).collect();
            kinds.sort_unstable();
            let kinds: Vec<_> = kinds.into_iter().map(|(_, kind)| kind).collect();
            assert_eq!(kinds, ["fired", "resolved"], "seed {seed}: {alert}");
        }
        let of = |cause: &str| known.iter().filter(|((of, _), _)| of == cause).map(|(_, counts)| counts.len()).sum::<usize>();
        println!(
            "seed {seed}: {} times a machine was away, {} missed, {} failed, {} skipped, {} started, {} kills of the server, {} messages",
            of("unknown"),
            of("missed"),
            of("failed"),
            of("skipped"),
            self.model.followed.len(),
            self.kills,
            taken.len()
        );
    }
}

/// Creates or deletes a file.
fn set(file: &std::path::Path, is_there: bool) {
    if is_there {
        fs::write(file, "").unwrap();
    } else {
        let _ = fs::remove_file(file);
    }
}

pub(crate) fn machines(seed: u64, days: u32) {
    let hours = u64::from(24 * days);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut machines = Machines::begin();
    for hour in 0..hours {
        machines.hour(hour, Some(&mut random));
    }
    for hour in hours..hours + 3 {
        machines.hour(hour, None);
    }
    machines.compare(seed);
}
