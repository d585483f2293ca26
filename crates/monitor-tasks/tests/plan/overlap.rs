//! Interaction of runs: overlap, locks, retries, follow-ups, time limits, restarts.

use monitor_tasks::{Outcome, RunId};

use crate::world::World;

fn minutely(keys: &str) -> String {
    format!("name = \"gold\"\nrules = [\"* * * * *\"]\n{keys}")
}

#[test]
fn skip_starts_no_run_during_an_earlier_run() {
    let mut world = World::new(&[&minutely("")]);
    assert_eq!(world.look("00:01:00"), ["start gold@00:01:00.1 time v1"]);
    assert_eq!(world.look("00:02:00"), ["skip gold 00:02:00 overlap by gold@00:01:00.1"]);
    world.end("gold", "00:02:30", Outcome::Ok);
    assert_eq!(world.look("00:03:00"), ["start gold@00:03:00.1 time v1"]);
}

#[test]
fn skip_starts_runs_again_after_a_crash() {
    let mut world = World::new(&[&minutely("")]);
    world.look("00:01:00");
    // The agent and its run are killed. After the restart, the run is recorded as lost.
    let run: RunId = "gold@20260302T000100Z.1".parse().unwrap();
    assert!(world.ledger.ended(&run, world.time("00:05:30"), Outcome::Fail));
    let lines = world.look("00:05:30");
    assert_eq!(lines, ["missed gold 00:02:00..00:04:00 x3 agent-down by gold@00:05:00.1", "start gold@00:05:00.1 time v1"]);
}

#[test]
fn a_decided_run_that_did_not_start_is_started_once() {
    let mut world = World::new(&[&minutely("")]);
    // The plan is applied, and the agent dies before it executes the actions.
    let plan = world.plan("00:01:00");
    world.ledger.apply(&plan);
    let run: RunId = "gold@20260302T000100Z.1".parse().unwrap();
    assert!(world.ledger.unstarted(&run));
    assert!(!world.ledger.unstarted(&run));
    assert_eq!(world.look("00:01:30"), ["start gold@00:01:00.1 time v1"]);
    // Too late according to the policy. The earlier decision is replaced.
    for keys in ["missed = { policy = \"once\", within = \"2m\" }", "missed = \"skip\""] {
        let mut world = World::new(&[&minutely(keys)]);
        let plan = world.plan("00:01:00");
        world.ledger.apply(&plan);
        world.ledger.unstarted(&run);
        let lines = world.look("00:10:30");
        assert!(lines.contains(&"missed gold 00:01:00 agent-down by gold@00:01:00.1".to_owned()), "{lines:?}");
        assert!(!world.ledger.tasks["gold"].runs.iter().any(|known| known.id == run));
    }
    let mut world = World::new(&[&minutely("start-within = \"90s\"")]);
    let plan = world.plan("00:01:00");
    world.ledger.apply(&plan);
    world.ledger.unstarted(&run);
    let lines = world.look("00:10:30");
    assert!(lines.contains(&"missed gold 00:01:00 deadline by gold@00:01:00.1".to_owned()), "{lines:?}");
}

#[test]
fn allow_starts_a_limited_number_of_parallel_runs() {
    let mut world = World::new(&[&minutely("overlap = \"allow 2\"")]);
    world.look("00:01:00");
    assert_eq!(world.look("00:02:00"), ["start gold@00:02:00.1 time v1"]);
    assert_eq!(world.look("00:03:00"), ["skip gold 00:03:00 overlap by gold@00:01:00.1"]);
}

#[test]
fn queue_starts_one_after_another() {
    let mut world = World::new(&[&minutely("overlap = \"queue 2\"\nstart-within = \"10m\"")]);
    world.look("00:01:00");
    assert_eq!(world.look("00:02:00"), ["queue gold@00:02:00.1 overlap 00:02:00 by gold@00:01:00.1"]);
    assert_eq!(world.look("00:03:00"), ["queue gold@00:03:00.1 overlap 00:03:00 by gold@00:01:00.1"]);
    assert_eq!(world.look("00:04:00"), ["skip gold 00:04:00 full by gold@00:01:00.1"]);
    world.end("gold", "00:04:30", Outcome::Ok);
    assert_eq!(world.look("00:04:30"), ["start gold@00:02:00.1 time v1"]);
    // The run of 00:03 is given up after 10 minutes, which makes room for another.
    let lines = world.walk("00:04:30", "00:14:00");
    assert_eq!(
        lines[lines.len() - 3..],
        [
            "00:13:00 skip gold 00:13:00 full by gold@00:02:00.1",
            "00:13:00 skip gold 00:03:00 overlap by gold@00:02:00.1",
            "00:14:00 queue gold@00:14:00.1 overlap 00:14:00 by gold@00:02:00.1"
        ]
    );
}

#[test]
fn a_run_that_waits_too_long_is_given_up_with_its_cause() {
    let mut world = World::new(&["name = \"gold\"\nrules = [\"*/5 * * * *\"]\noverlap = \"queue 1\"\nstart-within = \"2m\""]);
    world.look("00:05:00");
    assert_eq!(
        world.walk("00:05:00", "00:12:00"),
        ["00:10:00 queue gold@00:10:00.1 overlap 00:10:00 by gold@00:05:00.1", "00:12:00 skip gold 00:10:00 overlap by gold@00:05:00.1"]
    );
}

#[test]
fn replace_ends_the_earlier_run_first() {
    let mut world = World::new(&[&minutely("overlap = \"replace\"")]);
    world.look("00:01:00");
    assert_eq!(
        world.look("00:02:00"),
        ["kill gold@00:01:00.1 replaced by gold@00:02:00.1", "queue gold@00:02:00.1 overlap 00:02:00 by gold@00:01:00.1"]
    );
    // The run ignores the signal. It is ordered to end once, and the next run replaces the waiting one.
    assert_eq!(
        world.look("00:03:00"),
        ["skip gold 00:02:00 overlap by gold@00:03:00.1", "queue gold@00:03:00.1 overlap 00:03:00 by gold@00:01:00.1"]
    );
    world.end("gold", "00:03:10", Outcome::Retry);
    assert_eq!(world.look("00:03:10"), ["start gold@00:03:00.1 time v1"], "what was replaced isn't tried again");
}

#[test]
fn a_lock_is_held_by_one_run_of_several_tasks() {
    let task = |name: &str, keys: &str| format!("name = \"{name}\"\nrules = [\"*/10 * * * *\"]\nlock = \"db\"\n{keys}");
    let mut world = World::new(&[&task("a", ""), &task("b", ""), &task("c", "start-within = \"3m\"")]);
    assert_eq!(
        world.look("00:10:00"),
        [
            "start a@00:10:00.1 time v1",
            "queue b@00:10:00.1 lock 00:10:00 by a@00:10:00.1",
            "queue c@00:10:00.1 lock 00:10:00 by a@00:10:00.1"
        ]
    );
    assert_eq!(world.walk("00:10:00", "00:13:00"), ["00:13:00 skip c 00:10:00 lock by a@00:10:00.1"]);
    world.end("a", "00:14:00", Outcome::Ok);
    assert_eq!(world.look("00:14:00"), ["start b@00:10:00.1 time v1"]);
}

#[test]
fn an_agent_runs_a_limited_number_at_once() {
    let task = |name: &str| format!("name = \"{name}\"\nrules = [\"*/10 * * * *\"]\n");
    let mut world = World::new(&[&task("a"), &task("b"), &task("c")]);
    world.book.max_runs = Some(2);
    assert_eq!(
        world.look("00:10:00"),
        ["start a@00:10:00.1 time v1", "start b@00:10:00.1 time v1", "queue c@00:10:00.1 full 00:10:00 by a@00:10:00.1"]
    );
    world.end("b", "00:11:00", Outcome::Ok);
    assert_eq!(world.look("00:11:00"), ["start c@00:10:00.1 time v1"]);
}

#[test]
fn a_failed_run_is_retried_after_a_doubled_wait() {
    let task = "name = \"gold\"\nrules = [\"0 1 * * *\"]\nretry = { times = 2, backoff = \"1m\" }\nthen = { fail = [\"clean-up\"] }";
    let mut world = World::new(&[task, "name = \"clean-up\""]);
    world.look("01:00:00");
    world.end("gold", "01:00:30", Outcome::Retry);
    assert_eq!(
        world.walk("01:00:30", "01:02:00"),
        ["01:00:30 retry gold@01:00:00.1 as gold@01:00:00.2 #2 01:01:30", "01:01:30 start gold@01:00:00.2 retry v1"]
    );
    world.end("gold", "01:02:00", Outcome::Retry);
    assert_eq!(
        world.walk("01:02:00", "01:05:00"),
        ["01:02:00 retry gold@01:00:00.2 as gold@01:00:00.3 #3 01:04:00", "01:04:00 start gold@01:00:00.3 retry v1"]
    );
    world.end("gold", "01:05:00", Outcome::Retry);
    assert_eq!(world.look("01:05:00"), ["start clean-up@01:05:00.2 then v1"]);
}

#[test]
fn a_repeated_run_keeps_its_due_time_and_definition() {
    let mut world =
        World::new(&["name = \"gold\"\nrules = [\"0 1 * * *\"]\nstart-within = \"5m\"\nretry = { times = 1, backoff = \"1m\" }"]);
    world.look("01:00:00");
    world.end("gold", "01:00:30", Outcome::Fail);
    world.look("01:00:30");
    world.put(
        "name = \"gold\"\nrules = [\"0 1 * * *\"]\nstart-within = \"5m\"\nretry = { times = 1, backoff = \"1m\" }\noverlap = \"skip\"",
        2,
        "01:10:00",
    );
    world.look("01:10:00");
    let of: RunId = "gold@20260302T010000Z.1".parse().unwrap();
    // Two more runs with that due time were started, and the ledger has forgotten them.
    let run = world.ledger.repeat(&world.book, &of, 1, 3, ("alert 7", Vec::new())).unwrap();
    assert_eq!(run.to_string(), "gold@20260302T010000Z.4");
    assert_eq!(world.look("03:00:00"), ["start gold@01:00:00.4 request v1"], "its due time is long over, and it has its old version");
    let repeats = world.ledger.run(&run).unwrap();
    assert_eq!((repeats.repeats.as_ref(), repeats.trigger.by()), (Some(&of), Some("alert 7")));
    // A second repetition is blocked while the first is running.
    let another = world.ledger.repeat(&world.book, &of, 1, 0, ("alert 8", Vec::new())).unwrap();
    assert_eq!((another.part, world.look("03:00:01")), (5, vec!["skip gold 01:00:00 overlap by gold@01:00:00.4".to_owned()]));
    world.end("gold", "03:01:00", Outcome::Retry);
    assert_eq!(world.walk("03:01:00", "03:05:00").last().unwrap(), "03:02:00 start gold@01:00:00.6 retry v1", "so do its attempts");
    world.book.tasks.clear();
    assert_eq!(world.ledger.repeat(&world.book, &of, 1, 0, ("alert 9", Vec::new())), None);
}

#[test]
fn tasks_follow_others() {
    let mut world = World::new(&[
        "name = \"gold\"\nrules = [\"0 1 * * *\"]\nthen = { success = [\"load\", \"gone\"], fail = [\"clean-up\"] }",
        "name = \"load\"\nthen = { success = [\"gold\"] }",
        "name = \"clean-up\"",
    ]);
    world.look("01:00:00");
    world.end("gold", "01:10:00", Outcome::Warn);
    assert_eq!(world.look("01:10:00.5"), ["skip gone 01:10:00 deleted by gold@01:00:00.1", "start load@01:10:00.2 then v1"]);
    let load = world.ledger.runs().next().unwrap();
    assert_eq!(load.trigger.run().map(ToString::to_string).as_deref(), Some("gold@20260302T010000Z.1"));
    world.end("load", "01:20:00", Outcome::Ok);
    assert_eq!(world.look("01:20:00"), ["skip gold 01:20:00 cycle by load@01:10:00.2"], "nobody has checked this book");
    world.ask("gold", "02:00:00");
    world.look("02:00:00");
    world.end("gold", "02:01:00", Outcome::Fail);
    assert_eq!(world.look("02:01:00"), ["start clean-up@02:01:00.2 then v1"]);
    world.end("clean-up", "02:02:00", Outcome::Ok);
    world.ask("gold", "03:00:00");
    world.look("03:00:00");
    world.end("gold", "03:01:00", Outcome::Idle);
    assert_eq!(world.look("03:01:00"), [""; 0], "there was nothing to do");
}

#[test]
fn a_long_run_is_reported_and_then_killed() {
    let mut world = World::new(&["name = \"gold\"\nrules = [\"0 1 * * *\"]\ntimeout = \"30m\"\nkill-after = \"2h\""]);
    assert_eq!(
        world.walk("00:59:00", "05:00:00"),
        ["01:00:00 start gold@01:00:00.1 time v1", "01:30:00 overtime gold@01:00:00.1", "03:00:00 kill gold@01:00:00.1 kill-after"]
    );
}

#[test]
fn a_removed_task_lets_its_run_end_and_gives_up_waiting_runs() {
    let mut world = World::new(&[&minutely("overlap = \"queue 1\"\nkill-after = \"1h\"")]);
    world.look("00:01:00");
    world.look("00:02:00");
    world.book.tasks.clear();
    assert_eq!(world.look("00:02:30"), ["skip gold 00:02:00 deleted"]);
    world.ledger.forget(&world.book);
    world.end("gold", "00:10:00", Outcome::Ok);
    assert_eq!(world.look("00:10:00"), [""; 0]);
    world.ledger.forget(&world.book);
    assert!(world.ledger.tasks.is_empty());
    assert_eq!(world.ledger.ask(&world.book, "gold", world.time("00:11:00"), "ada", Vec::new()), None);
}
