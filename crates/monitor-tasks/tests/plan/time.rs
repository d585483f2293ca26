//! Due times: on time, missed, paused, in quiet hours, and with changes of the clock.

use std::time::Duration;

use monitor_tasks::plan::{Boot, Undecided, lost};
use monitor_tasks::{Clock, Now, Outcome, Place, plan};

use crate::world::{World, line};

const HOURLY: &str = "name = \"gold\"\nrules = [\"0 * * * *\"]\n";
const SECONDS: &str = "name = \"gold\"\nrules = [\"* * * * * *\"]\n";

fn with(text: &str, keys: &str) -> String {
    format!("{text}{keys}")
}

#[test]
fn a_due_time_starts_once() {
    let mut world = World::new(&[HOURLY]);
    assert_eq!(world.wake("00:00:00").as_deref(), Some("01:00:00"));
    assert_eq!(world.look("00:59:59"), [""; 0]);
    assert_eq!(world.look("01:00:00.3"), ["start gold@01:00:00.1 time v1"]);
    assert_eq!(world.look("01:00:01"), [""; 0]);
    world.end("gold", "01:10:00", Outcome::Ok);
    assert_eq!(world.look("01:10:00"), [""; 0]);
    assert_eq!(world.look("02:00:59"), ["start gold@02:00:00.1 time v1"], "a slow machine");
}

#[test]
fn one_run_makes_up_for_many_missed_due_times() {
    let mut world = World::new(&[HOURLY]);
    assert_eq!(
        world.look("10:30:00"),
        ["missed gold 01:00:00..09:00:00 x9 agent-down by gold@10:00:00.1", "start gold@10:00:00.1 missed v1"]
    );
    world.end("gold", "10:31:00", Outcome::Ok);
    assert_eq!(world.look("11:00:00"), ["start gold@11:00:00.1 time v1"]);
    // The latest due time is on time and makes up for the others.
    let mut world = World::new(&[HOURLY]);
    assert_eq!(
        world.look("03:00:10"),
        ["missed gold 01:00:00..02:00:00 x2 agent-down by gold@03:00:00.1", "start gold@03:00:00.1 time v1"]
    );
}

#[test]
fn due_times_missed_for_too_long_are_only_reported() {
    let mut world = World::new(&[&with(HOURLY, "missed = { policy = \"once\", within = \"10m\" }")]);
    assert_eq!(world.look("10:30:00"), ["missed gold 01:00:00..10:00:00 x10 agent-down"]);
    let mut world = World::new(&[&with(HOURLY, "start-within = \"10m\"")]);
    assert_eq!(world.look("10:30:00"), ["missed gold 01:00:00..10:00:00 x10 agent-down"]);
    let mut world = World::new(&[&with(HOURLY, "missed = \"skip\"")]);
    assert_eq!(world.look("01:01:01"), ["missed gold 01:00:00 agent-down"]);
}

#[test]
fn all_missed_due_times_are_made_up_for_up_to_a_cap() {
    let mut world = World::new(&[&with(HOURLY, "missed = { policy = \"all\", within = \"4h\", cap = 2 }\noverlap = \"allow 5\"")]);
    assert_eq!(
        world.look("10:30:00"),
        [
            "missed gold 01:00:00..06:00:00 x6 agent-down",
            "missed gold 07:00:00..08:00:00 x2 cap",
            "start gold@09:00:00.1 missed v1",
            "start gold@10:00:00.1 missed v1"
        ]
    );
}

#[test]
fn a_day_of_missed_seconds_is_one_event_and_one_run() {
    let mut world = World::new(&[SECONDS]);
    assert_eq!(
        world.look("10:00:30"),
        ["missed gold 00:00:01..10:00:29 x36029 agent-down by gold@10:00:30.1", "start gold@10:00:30.1 time v1"]
    );
}

#[test]
fn an_unsynchronised_clock_is_waited_for() {
    let mut world = World::new(&[HOURLY]);
    world.clock = Clock::Unsure { since: Duration::from_secs(10) };
    assert_eq!(world.look("10:30:00"), [""; 0]);
    assert_eq!(world.wake("10:30:00").as_deref(), Some("10:34:50"));
    world.clock = Clock::Jumped;
    assert_eq!(world.look("10:31:00"), ["missed gold 01:00:00..09:00:00 x9 clock by gold@10:00:00.1", "start gold@10:00:00.1 missed v1"]);
    // The wait is limited to five minutes, and ends earlier if the clock is corrected.
    let mut world = World::new(&[HOURLY]);
    world.clock = Clock::Unsure { since: Duration::from_secs(300) };
    assert_eq!(world.look("02:30:00"), ["missed gold 01:00:00 clock by gold@02:00:00.1", "start gold@02:00:00.1 missed v1"]);
    let mut world = World::new(&[HOURLY]);
    world.clock = Clock::Unsure { since: Duration::from_secs(10) };
    world.look("10:30:00");
    world.clock = Clock::Steady;
    assert_eq!(world.look("01:00:00"), ["start gold@01:00:00.1 time v1"]);
}

#[test]
fn a_clock_that_is_set_back_repeats_nothing_that_ran_and_decides_the_rest_anew() {
    let mut world = World::new(&[HOURLY]);
    assert_eq!(world.look("01:00:00"), ["start gold@01:00:00.1 time v1"]);
    world.end("gold", "01:05:00", Outcome::Ok);
    world.clock = Clock::Jumped;
    assert_eq!(world.look("05:00:00"), ["missed gold 02:00:00..04:00:00 x3 clock by gold@05:00:00.1", "start gold@05:00:00.1 time v1"]);
    world.end("gold", "05:05:00", Outcome::Ok);
    world.clock = Clock::Steady;
    // The clock was set back to before all of it. 01:00 and 05:00 were executed.
    assert_eq!(world.look("00:30:00"), [""; 0]);
    let mut lines = Vec::new();
    for hour in 1..=6 {
        lines.extend(world.look(&format!("0{hour}:00:00")));
        if lines.last().is_some_and(|line| line.starts_with(&format!("start gold@0{hour}"))) {
            world.end("gold", &format!("0{hour}:01:00"), Outcome::Ok);
        }
    }
    let starts = ["02", "03", "04", "06"].map(|hour| format!("start gold@{hour}:00:00.1 time v1"));
    assert_eq!(lines, starts);
}

#[test]
fn a_pause_skips_its_due_times() {
    let mut world = World::new(&[HOURLY]);
    world.pause("gold", "01:30:00", Some("03:00:00"));
    assert_eq!(world.look("01:00:00"), ["start gold@01:00:00.1 time v1"]);
    world.end("gold", "01:01:00", Outcome::Ok);
    assert_eq!(world.look("02:00:00"), ["skip gold 02:00:00 paused"]);
    assert_eq!(world.look("03:00:00"), ["start gold@03:00:00.1 time v1"]);
    world.end("gold", "03:01:00", Outcome::Ok);
    // The agent was down: due times in the pause are skipped, others are missed.
    let mut world = World::new(&[HOURLY]);
    world.pause("gold", "02:30:00", Some("05:00:00"));
    assert_eq!(
        world.look("06:30:00"),
        [
            "skip gold 03:00:00..04:00:00 x2 paused",
            "missed gold 01:00:00..05:00:00 x3 agent-down by gold@06:00:00.1",
            "start gold@06:00:00.1 missed v1"
        ]
    );
    // Paused by its definition while that version is valid.
    let mut world = World::new(&[HOURLY]);
    world.put(&format!("{HOURLY}\npaused = true"), 2, "00:30:00");
    assert_eq!(world.look("02:00:00"), ["skip gold 01:00:00..02:00:00 x2 paused"]);
    world.put(HOURLY, 3, "02:30:00");
    assert_eq!(world.look("03:00:00"), ["start gold@03:00:00.1 time v3"]);
    world.end("gold", "03:01:00", Outcome::Ok);
    // The whole agent is paused. Nothing is made up for during a pause.
    let mut world = World::new(&[HOURLY]);
    world.pause("gold", "02:30:00", None);
    world.book.paused = world.book.tasks["gold"].paused;
    world.book.tasks.get_mut("gold").unwrap().paused = None;
    assert_eq!(world.look("04:30:00"), ["skip gold 03:00:00..04:00:00 x2 paused", "missed gold 01:00:00..02:00:00 x2 agent-down"]);
    // Requested runs start.
    world.ask("gold", "04:31:00");
    assert_eq!(world.look("04:31:00"), ["start gold@04:31:00.2 request v1"]);
}

#[test]
fn nothing_starts_in_quiet_hours() {
    let mut world = World::new(&[&with(HOURLY, "quiet = [\"01:30-03:30\"]\nretry = { times = 1, backoff = \"20m\" }")]);
    assert_eq!(world.look("01:00:00"), ["start gold@01:00:00.1 time v1"]);
    world.end("gold", "01:20:00", Outcome::Retry);
    // The retry waits for the end of the quiet hours.
    assert_eq!(world.look("01:20:00"), ["retry gold@01:00:00.1 as gold@01:00:00.2 #2 01:40:00"]);
    assert_eq!(
        world.walk("01:20:00", "03:30:00"),
        ["02:00:00 skip gold 02:00:00 quiet", "03:00:00 skip gold 03:00:00 quiet", "03:30:00 start gold@01:00:00.2 retry v1"]
    );
    // The agent was down: only due times outside of quiet hours are missed.
    let mut world = World::new(&[&with(HOURLY, "quiet = [\"01:30-03:30\"]")]);
    assert_eq!(
        world.look("05:30:00"),
        [
            "skip gold 02:00:00..03:00:00 x2 quiet",
            "missed gold 01:00:00..04:00:00 x2 agent-down by gold@05:00:00.1",
            "start gold@05:00:00.1 missed v1"
        ]
    );
}

#[test]
fn jitter_delays_by_the_same_time_each_day() {
    let task = with(HOURLY, "jitter = \"30m\"");
    let mut world = World::new(&[&task]);
    let mut lines = world.walk("00:00:00", "01:59:59");
    let start = lines.pop().unwrap();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("01:00:00 queue gold@01:00:00.1 delay 01:"), "{lines:?}");
    assert!(start.ends_with("start gold@01:00:00.1 time v1") && start[..2] == *"01", "{start}");
    world.end("gold", "01:59:00", Outcome::Ok);
    let later = world.walk("02:00:00", "02:59:59").pop().unwrap();
    assert_eq!(start[2..9], later[2..9], "the same part of each hour");
}

#[test]
fn a_new_version_applies_from_its_time() {
    let mut world = World::new(&[HOURLY]);
    assert_eq!(world.look("01:00:00"), ["start gold@01:00:00.1 time v1"]);
    world.end("gold", "01:01:00", Outcome::Ok);
    world.put("name = \"gold\"\nrules = [\"30 * * * *\"]", 2, "01:30:00");
    assert_eq!(world.walk("01:30:00", "02:29:59"), [""; 0]);
    assert_eq!(world.look("02:30:00"), ["start gold@02:30:00.1 time v2"]);
}

#[test]
fn the_start_of_the_machine_is_a_due_time() {
    let mut world = World::new(&["name = \"gold\"\nrules = [\"@boot\"]"]);
    let boot = |id: &str, at: &str| Some(Boot { id: id.to_owned(), at: world.time(at) });
    let (before, first, second) = (boot("a", "2026-03-01T00:00:00Z"), boot("b", "03:00:00"), boot("c", "04:00:00"));
    let mut lines = Vec::new();
    for (time, boot) in [("01:00:00", &before), ("03:00:20", &first), ("03:00:21", &first), ("04:10:00", &second)] {
        let now = Now { time: world.time(time), clock: Clock::Steady, boot: boot.clone() };
        let plan = plan(&now, &world.book, &world.ledger);
        world.ledger.apply(&plan);
        lines.extend(plan.actions.iter().map(line));
        if !plan.actions.is_empty() {
            world.end("gold", time, Outcome::Ok);
        }
    }
    assert_eq!(lines, ["start gold@03:00:00.2 boot v1", "start gold@04:00:00.2 boot v1"]);
}

#[test]
fn several_agents_give_different_ids() {
    let on = ["db-1", "db-2", "db-3"].map(str::to_owned);
    let mut parts = Vec::new();
    for agent in &on {
        let mut world = World::new(&[&with(HOURLY, "retry = { times = 2, backoff = \"1s\" }\noverlap = \"allow 3\"")]);
        world.book.tasks.get_mut("gold").unwrap().place = Place::find(&on, agent).unwrap();
        world.ask("gold", "01:00:00");
        world.look("01:00:00");
        let ids: Vec<_> = world.ledger.runs().map(|run| run.id.clone()).collect();
        for id in &ids {
            world.ledger.ended(id, world.time("01:00:01"), Outcome::Retry);
        }
        world.look("01:00:02");
        parts.extend(world.ledger.runs().map(|run| run.id.part).chain(ids.iter().map(|id| id.part)));
    }
    parts.sort_unstable();
    assert_eq!(parts, (1..=12).collect::<Vec<_>>());
    assert_eq!(Place::find(&on, "web-1"), None);
}

#[test]
fn due_times_whose_decision_is_lost_are_missed_unless_they_are_known_to_be_decided() {
    let mut world = World::new(&[HOURLY]);
    // 01:00 is known by its run, 02:00 and 04:00 to 05:00 by other information. The run of 03:00 was waiting.
    assert_eq!(world.look("01:00:00"), ["start gold@01:00:00.1 time v1"]);
    let [from, first, second, third, to] = ["00:30:00", "02:00:00", "04:00:00", "05:00:00", "05:30:00"].map(|at| world.time(at));
    let mut undecided = Undecided { from, decided: vec![(second, third), (first, first)] };
    let (task, ledger) = (&world.book.tasks["gold"], world.ledger.tasks.get("gold"));
    let told = |undecided: &Undecided, to| lost(&world.book, task, ledger, undecided, to).as_ref().map(line);
    assert_eq!(told(&undecided, to).as_deref(), Some("missed gold 03:00:00 rebuilt"));
    assert_eq!(told(&undecided, world.time("07:30:00")).as_deref(), Some("missed gold 03:00:00..07:00:00 x3 rebuilt"));
    undecided.from = world.time("03:00:00");
    assert_eq!(told(&undecided, to), None, "the time itself is decided");
    undecided.from = world.time("09:00:00");
    assert_eq!(told(&undecided, to), None, "a clock that was ahead");
}
