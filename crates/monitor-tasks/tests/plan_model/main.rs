//! Compares the planner with a model that walks second by second and keeps plain lists: a thousand tasks in three zones, with an agent that
//! is killed and a clock that jumps.
//!
//! The agent plans only at the wake time of the previous plan, or when an event occurs. The model checks every second at which a run waits.
//! `MONITOR_TASKS_DAYS` sets the length of the simulation, `MONITOR_TASKS_SEED` repeats a seed.

mod model;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use monitor_tasks::policy::share;
use monitor_tasks::{Action, Book, Clock, Definition, Ledger, Now, Outcome, RunId, State, Task, plan};

use model::Model;

const ZONES: [&str; 3] = ["Europe/Berlin", "Asia/Shanghai", "America/New_York"];
/// Between the changes of the clock in New York and in Berlin. Three weeks include both.
const BEGIN: &str = "2026-03-28T12:00:00Z";

fn number(seed: u64, words: &[u64]) -> u64 {
    words.iter().fold(seed, |state, word| {
        let mut z = (state ^ word.wrapping_mul(0xff51_afd7_ed55_8ccd)).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}

fn one_of<T: Copy>(seed: u64, words: &[u64], all: &[T]) -> T {
    all[(number(seed, words) % all.len() as u64) as usize]
}

#[derive(Clone, Copy, PartialEq)]
enum Overlap {
    Skip,
    Allow(usize),
    Queue(usize),
    Replace,
}

/// A task of the model. Times are in seconds.
struct Drawn {
    name: String,
    zone: usize,
    seconds: &'static [i8],
    minutes: Vec<i8>,
    /// `None` for each hour that the clock shows.
    hours: Option<Vec<i8>>,
    weekdays: Option<Vec<i8>>,
    missed: &'static str,
    within: i64,
    cap: usize,
    overlap: Overlap,
    retries: u32,
    start_within: Option<i64>,
    jitter: i64,
    /// Start and end hour.
    quiet: Option<(i8, i8)>,
    longest_run: u64,
}

fn list(values: &[i8]) -> String {
    values.iter().map(i8::to_string).collect::<Vec<_>>().join(",")
}

fn drawn(seed: u64, index: u64) -> Drawn {
    let draw = |what: u64, most: u64| number(seed, &[index, what]) % most;
    let is = |what: u64, percent: u64| draw(what, 100) < percent;
    let some = |what: u64, most: u64, count: u64| -> Vec<i8> {
        let set: BTreeSet<i8> = (0..count).map(|nth| (number(seed, &[index, what, nth]) % most) as i8).collect();
        set.into_iter().collect()
    };
    Drawn {
        name: format!("task-{index}"),
        zone: draw(1, 3) as usize,
        seconds: if is(2, 3) { &[0, 20, 40] } else { &[0] },
        minutes: some(3, 60, 1 + draw(4, 3)),
        // Prefer hours at which the clocks change.
        hours: if is(5, 15) {
            None
        } else if is(6, 40) {
            Some(some(7, 4, 2))
        } else {
            Some(some(8, 24, 1 + draw(9, 5)))
        },
        weekdays: is(10, 20).then(|| some(11, 7, 4)),
        missed: one_of(seed, &[index, 12], &["skip", "once", "once", "all"]),
        within: one_of(seed, &[index, 13], &[600, 3_600, 20_000]),
        cap: 1 + draw(14, 3) as usize,
        overlap: one_of(
            seed,
            &[index, 15],
            &[Overlap::Skip, Overlap::Skip, Overlap::Allow(2), Overlap::Queue(1), Overlap::Queue(3), Overlap::Replace],
        ),
        retries: if is(16, 30) { 1 + draw(17, 3) as u32 } else { 0 },
        start_within: is(18, 30).then(|| one_of(seed, &[index, 19], &[30, 600, 7_200])),
        jitter: if is(20, 20) { one_of(seed, &[index, 21], &[30, 900]) } else { 0 },
        quiet: is(22, 15).then(|| one_of(seed, &[index, 23], &[(22, 6), (1, 3), (12, 14)])),
        longest_run: one_of(seed, &[index, 24], &[30, 600, 20_000]),
    }
}

impl Drawn {
    fn definition(&self) -> Definition {
        let hours = self.hours.as_ref().map_or("*".to_owned(), |hours| list(hours));
        let weekdays = self.weekdays.as_ref().map_or("*".to_owned(), |days| list(days));
        let overlap = match self.overlap {
            Overlap::Skip => "skip".to_owned(),
            Overlap::Allow(count) => format!("allow {count}"),
            Overlap::Queue(count) => format!("queue {count}"),
            Overlap::Replace => "replace".to_owned(),
        };
        let cap = if self.missed == "all" { format!(", cap = {}", self.cap) } else { String::new() };
        let mut text = format!(
            "name = \"{}\"\nrules = [\"{} {} {hours} * * {weekdays}\"]\nzone = \"{}\"\noverlap = \"{overlap}\"\n\
             missed = {{ policy = \"{}\", within = \"{}s\"{cap} }}\njitter = \"{}s\"\n",
            self.name,
            list(self.seconds),
            list(&self.minutes),
            ZONES[self.zone],
            self.missed,
            self.within,
            self.jitter
        );
        if self.retries > 0 {
            writeln!(text, "retry = {{ times = {}, backoff = \"45s\" }}", self.retries).expect("a text takes all");
        }
        if let Some(within) = self.start_within {
            writeln!(text, "start-within = \"{within}s\"").expect("a text takes all");
        }
        if let Some((from, to)) = self.quiet {
            writeln!(text, "quiet = [\"{from:02}:00-{to:02}:00\"]").expect("a text takes all");
        }
        Definition::from_toml(&text).unwrap_or_else(|mistakes| panic!("{text}: {mistakes:?}"))
    }

    fn names(&self, civil: DateTime) -> bool {
        self.minutes.contains(&civil.minute())
            && self.hours.as_ref().is_none_or(|hours| hours.contains(&civil.hour()))
            && self.weekdays.as_ref().is_none_or(|days| days.contains(&civil.weekday().to_sunday_zero_offset()))
    }

    fn is_quiet(&self, civil: DateTime) -> bool {
        self.quiet.is_some_and(|(from, to)| {
            let hour = civil.hour();
            if from < to { (from..to).contains(&hour) } else { hour >= from || hour < to }
        })
    }

    /// Returns duration and outcome of a run. Some runs take no time.
    fn run(&self, seed: u64, id: &RunId) -> (i64, Outcome) {
        let words = [id.due.as_second() as u64, u64::from(id.part), self.longest_run];
        let outcome = one_of(seed, &[&words[..], &[1]].concat(), &[Outcome::Ok, Outcome::Ok, Outcome::Retry, Outcome::Fail]);
        ((number(seed, &words) % self.longest_run) as i64 / 10 * 10, outcome)
    }
}

/// A minute of the simulation in a zone.
struct Minute {
    at: i64,
    civil: DateTime,
    is_repeated: bool,
    skipped: Vec<DateTime>,
}

fn minutes(zone: &TimeZone, from: i64, to: i64) -> Vec<Minute> {
    let civil = |at: i64| zone.to_datetime(Timestamp::from_second(at).expect("a time"));
    // Times shown on the previous day count as shown.
    let mut latest = civil(from - 60);
    let mut all = Vec::new();
    for at in (from..to).step_by(60) {
        let shown = civil(at);
        let mut skipped = Vec::new();
        let mut next = latest + SignedDuration::from_secs(60);
        while next < shown {
            skipped.push(next);
            next += SignedDuration::from_secs(60);
        }
        all.push(Minute { at, civil: shown, is_repeated: shown <= latest, skipped });
        latest = latest.max(shown);
    }
    all
}

fn dues(task: &Drawn, minutes: &[Minute]) -> Vec<i64> {
    let is_due = |minute: &&Minute| {
        if task.hours.is_none() {
            return task.names(minute.civil);
        }
        (!minute.is_repeated && task.names(minute.civil)) || minute.skipped.iter().any(|civil| task.names(*civil))
    };
    let mut dues: Vec<i64> = Vec::new();
    for minute in minutes.iter().filter(is_due) {
        // After a gap, the first instant is due, unless the minute itself matches.
        let is_itself = task.names(minute.civil) && (task.hours.is_none() || !minute.is_repeated);
        let seconds: &[i8] = if is_itself { task.seconds } else { &[0] };
        let moved = if minute.skipped.iter().any(|civil| task.names(*civil)) && task.hours.is_some() { vec![0] } else { Vec::new() };
        let set: BTreeSet<i64> = seconds.iter().chain(&moved).map(|second| minute.at + i64::from(*second)).collect();
        dues.extend(set);
    }
    dues
}

/// Events that happen to the agent, in true time.
struct Story {
    begin: i64,
    end: i64,
    /// Kills: time of the kill, after planning, and time of the restart.
    down: Vec<(i64, i64)>,
    /// Clock errors: start, end (exclusive), and offset of the clock.
    jumps: Vec<(i64, i64, i64)>,
}

fn story(seed: u64, begin: i64, end: i64) -> Story {
    let (mut down, mut jumps, mut at, mut nth) = (Vec::new(), Vec::new(), begin, 0);
    loop {
        nth += 1;
        at += 3_600 + (number(seed, &[nth, 1]) % 20_000) as i64;
        let long = one_of(seed, &[nth, 2], &[5, 90, 1_000, 30_000]) + (number(seed, &[nth, 3]) % 50) as i64;
        if at + long + 1_000 > end {
            return Story { begin, end, down, jumps };
        }
        match number(seed, &[nth, 4]) % 3 {
            0 => jumps.push((at, at + long, one_of(seed, &[nth, 5], &[2, 900, 7_200, 100_000]))),
            _ => down.push((at, at + long)),
        }
        at += long;
    }
}

impl Story {
    /// Returns the clock error at a time.
    fn jump(&self, at: i64) -> Option<&(i64, i64, i64)> {
        let before = self.jumps.partition_point(|(from, ..)| *from <= at);
        self.jumps[..before].last().filter(|(_, to, _)| at < *to)
    }

    fn offset(&self, at: i64) -> i64 {
        self.jump(at).map_or(0, |(.., offset)| *offset)
    }

    fn wall(&self, at: i64) -> i64 {
        at + self.offset(at)
    }

    fn unsure(&self, at: i64) -> Option<i64> {
        self.jump(at).map(|(from, ..)| at - from)
    }

    /// Returns the last kill until then.
    fn kill(&self, at: i64) -> Option<&(i64, i64)> {
        self.down[..self.down.partition_point(|(from, _)| *from <= at)].last()
    }

    fn is_down(&self, at: i64) -> bool {
        self.kill(at).is_some_and(|(from, to)| *from < at && at < *to)
    }

    fn is_kill(&self, at: i64) -> bool {
        self.kill(at).is_some_and(|(from, _)| *from == at)
    }

    fn is_back(&self, at: i64) -> bool {
        self.kill(at).is_some_and(|(_, to)| *to == at)
    }

    /// Returns the true times of all events of the agent and its clock.
    fn turns(&self) -> BTreeSet<i64> {
        let down = self.down.iter().flat_map(|(from, to)| [*from, *to]);
        let jumps = self.jumps.iter().flat_map(|(from, to, _)| [*from, *to, *from + 300]);
        down.chain(jumps).collect()
    }
}

/// A reported line with its true time.
type Told = (i64, String);

fn stamp(at: i64) -> String {
    Timestamp::from_second(at).expect("a time").to_string()
}

fn agent(seed: u64, tasks: &[Drawn], story: &Story) -> BTreeMap<String, Vec<Told>> {
    let since = Timestamp::from_second(story.begin - 1).expect("a time");
    let mut book = Book::default();
    for task in tasks {
        book.put(Task::new(task.definition(), 1, since, &TimeZone::UTC).expect("a task"));
    }
    let by_name: BTreeMap<&str, &Drawn> = tasks.iter().map(|task| (task.name.as_str(), task)).collect();
    let mut ledger = Ledger::default();
    let mut told: BTreeMap<String, Vec<Told>> = BTreeMap::new();
    // Running runs by the true time of their end.
    let mut ends: BTreeMap<i64, Vec<(RunId, Outcome)>> = BTreeMap::new();
    let turns = story.turns();
    let mut at = story.begin;
    while at < story.end {
        // After a restart, the agent finds the ends of its runs.
        let due_ends: Vec<_> = ends.range(..=at).map(|(end, _)| *end).collect();
        for end in due_ends {
            for (id, outcome) in ends.remove(&end).expect("an end") {
                assert!(ledger.ended(&id, Timestamp::from_second(story.wall(end)).expect("a time"), outcome), "{id}");
            }
        }
        if story.is_back(at) {
            ledger = serde_json::from_str(&serde_json::to_string(&ledger).expect("JSON")).expect("a ledger");
            let starting: Vec<_> =
                ledger.runs().filter(|run| matches!(run.state, State::Starting { .. })).map(|run| run.id.clone()).collect();
            for id in starting {
                if is_lost(seed, &id) {
                    ledger.ended(&id, Timestamp::from_second(story.wall(at)).expect("a time"), Outcome::Fail);
                } else {
                    ledger.unstarted(&id);
                }
            }
        }
        let time = Timestamp::from_second(story.wall(at)).expect("a time");
        let clock = story.unsure(at).map_or(Clock::Steady, |since| Clock::Unsure { since: std::time::Duration::from_secs(since as u64) });
        let plan = plan(&Now { time, clock, boot: None }, &book, &ledger);
        assert!(plan.wake_at.is_none_or(|wake_at| wake_at > time), "{time}: {:?}", plan.wake_at);
        ledger.apply(&plan);
        let is_killed = story.is_kill(at);
        for action in &plan.actions {
            let (task, line) = line(action);
            told.entry(task).or_default().push((at, line));
            match action {
                Action::Start { run } if !is_killed => {
                    assert!(ledger.started(&run.id, time));
                    let (long, outcome) = by_name[run.id.task.as_str()].run(seed, &run.id);
                    ends.entry(at + long.max(1)).or_default().push((run.id.clone(), outcome));
                }
                // A run that is ordered to end does so within ten seconds.
                Action::Kill { run, .. } => {
                    let old = ends.iter().find(|(_, runs)| runs.iter().any(|(id, _)| id == run)).map(|(end, _)| *end);
                    if let Some(old) = old.filter(|old| *old > at + 10) {
                        ends.get_mut(&old).expect("an end").retain(|(id, _)| id != run);
                        ends.entry(at + 10).or_default().push((run.clone(), Outcome::Fail));
                    }
                }
                _ => {}
            }
        }
        if let Some((_, back)) = story.kill(at).filter(|_| is_killed) {
            at = *back;
            continue;
        }
        // Round up to a whole second.
        let wake = plan.wake_at.map(|wake| wake.as_second() + i64::from(wake.subsec_nanosecond() > 0) - story.offset(at));
        let end = ends.keys().next().copied();
        let turn = turns.range(at + 1..).next().copied();
        at = [wake, end, turn].into_iter().flatten().min().unwrap_or(story.end).max(at + 1);
    }
    told
}

fn is_lost(seed: u64, id: &RunId) -> bool {
    number(seed, &[id.due.as_second() as u64, 77]).is_multiple_of(3)
}

fn line(action: &Action) -> (String, String) {
    match action {
        Action::Start { run } => (run.id.task.clone(), format!("start {} {}", run.id, run.trigger.word())),
        Action::Queue { run, .. } => (run.id.task.clone(), format!("queue {}", run.id)),
        Action::Retry { of, run, .. } => (of.task.clone(), format!("retry {}", run.id)),
        Action::Kill { run, .. } => (run.task.clone(), format!("kill {run}")),
        Action::Overtime { run, .. } => (run.task.clone(), format!("overtime {run}")),
        Action::Skip { task, dues, reason, .. } => {
            (task.clone(), format!("skip {} {} x{} {}", dues.first, dues.last, dues.count, reason.word()))
        }
        Action::Missed { task, dues, reason, .. } => {
            (task.clone(), format!("missed {} {} x{} {}", dues.first, dues.last, dues.count, reason.word()))
        }
    }
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

fn agrees(seed: u64, tasks: u64, days: u64) {
    let begin = BEGIN.parse::<Timestamp>().expect("a time").as_second();
    let story = story(seed, begin, begin + days as i64 * 86_400);
    let tasks: Vec<Drawn> = (0..tasks).map(|index| drawn(seed, index)).collect();
    let zones: Vec<TimeZone> = ZONES.iter().map(|zone| TimeZone::get(zone).expect("a zone")).collect();
    // The clock may be ahead by more than a day.
    let minutes: Vec<Vec<Minute>> = zones.iter().map(|zone| minutes(zone, begin, story.end + 3 * 86_400)).collect();
    let started = std::time::Instant::now();
    let mut found = agent(seed, &tasks, &story);
    println!("planned in {:?}", started.elapsed());
    let (mut starts, mut lines) = (0, 0);
    for task in &tasks {
        let dues = dues(task, &minutes[task.zone]);
        let model = Model {
            seed,
            task,
            zone: zones[task.zone].clone(),
            story: &story,
            dues,
            seen_to: begin - 1,
            ran: BTreeSet::new(),
            waiting: Vec::new(),
            open: Vec::new(),
            told: Vec::new(),
            at: begin,
        };
        let expected = model.walk();
        let found = found.remove(&task.name).unwrap_or_default();
        if let Some(index) = (0..found.len().max(expected.len())).find(|index| found.get(*index) != expected.get(*index)) {
            let shown = |told: &[Told]| {
                let near = told.iter().take(index + 3).skip(index.saturating_sub(6));
                near.map(|(at, line)| format!("  {} (clock {}) {line}", stamp(*at), stamp(story.wall(*at)))).collect::<Vec<_>>().join("\n")
            };
            let definition = serde_json::to_string(&task.definition()).expect("JSON");
            panic!("seed {seed}, {definition}\nplanned:\n{}\nmodel:\n{}", shown(&found), shown(&expected));
        }
        // The model remembers executed due times, so agreement with it implies that nothing starts twice.
        let ids: Vec<&str> = found.iter().filter_map(|(_, line)| line.strip_prefix("start ")?.split(' ').next()).collect();
        starts += ids.len();
        lines += found.len();
    }
    println!(
        "seed {seed}: {} tasks, {days} days, {starts} starts, {lines} lines; {} kills, {} jumps",
        tasks.len(),
        story.down.len(),
        story.jumps.len()
    );
    assert!(starts as u64 > tasks.len() as u64 && story.down.len() + story.jumps.len() > 2, "a walk in which something happens");
}

#[test]
fn plans_of_a_thousand_tasks_match_the_model() {
    agrees(setting("MONITOR_TASKS_SEED").unwrap_or(1), 1_000, setting("MONITOR_TASKS_DAYS").unwrap_or(1));
}

#[test]
fn many_histories_of_a_few_tasks_match_the_model() {
    let first = setting("MONITOR_TASKS_SEED").unwrap_or(1);
    let stories = u64::from(proptest::test_runner::Config::default().cases / 16);
    for seed in first..first + stories {
        agrees(seed.wrapping_mul(1_000_003), 20, 6);
    }
}
