//! Examples of events and the resulting trees, with a rule per test.

mod support;

use expect_test::{Expect, expect};
use monitor_state::Facts;
use support::script::{parse, show};

/// Applies the lines in their order and in the opposite one; both must show the same.
#[allow(clippy::needless_pass_by_value, reason = "expect! is passed as it is written")]
fn check(script: &str, expected: Expect) {
    let mut batches = parse(script);
    let forward = shown(&batches);
    batches.reverse();
    assert_eq!(forward, shown(&batches), "the order must not matter");
    expected.assert_eq(forward.trim_end());
}

fn shown(batches: &[monitor_wire::Batch]) -> String {
    let tree = Facts::of(batches).tree(support::root(1), 1).unwrap();
    show(&tree.1)
}

#[test]
fn a_late_start_does_not_reopen_a_finished_process() {
    check("ended 1 ok\nstarted 1", expect![["1 succeeded ended=1"]]);
}

#[test]
fn the_earliest_of_conflicting_ends_counts() {
    check("started 1\nended 1 failed at=9\nended 1 ok at=5", expect![["1 succeeded ended=5"]]);
}

#[test]
fn simultaneous_ends_are_decided_by_smaller_worker_then_smaller_number() {
    check("started 1\nB: ended 1 ok at=5\nA: ended 1 failed at=5\nA: ended 1 cancelled at=5", expect![["1 failed ended=5"]]);
}

#[test]
fn the_earliest_of_conflicting_starts_counts_with_all_its_data() {
    check("started 1 name=second at=5\nstarted 1 name=first at=3 x=1", expect![[r#"1 running name="first" x="1""#]]);
}

#[test]
fn the_maximum_number_of_attempts_is_known_from_the_first_start() {
    let root = |script: &str| {
        let root = Facts::of(&parse(script)).tree(support::root(1), 1).unwrap().0;
        (root.attempt, root.attempts_of)
    };
    assert_eq!(root("started 1 of=3"), (Some(1), Some(3)));
    assert_eq!(root("started 1"), (None, None));
    assert_eq!(root("started 1 of=1"), (None, None), "an only one is nothing to tell of");
    assert_eq!(root("started 1 of=3\nended 1 ok"), (None, None), "it is over");
    assert_eq!(root("started 1 of=3\nended 1 failed next=9 of=3\nstarted 1 attempt=2"), (Some(2), Some(3)));
    assert_eq!(root("started 1 of=3\nstarted 1 attempt=2 of=5"), (Some(2), Some(5)), "the attempt that decides says it");
}

#[test]
fn a_process_between_attempts_is_retrying_while_its_worker_is_there() {
    check("started 1\nended 1 failed error=boom next=9 of=3", expect![["1 retrying error=boom attempts=1:failed/3 next=9"]]);
    check("started 1\nended 1 failed next=9\nlost worker=A", expect![["1 lost attempts=1:failed"]]);
    // The worker that should begin the next attempt is offline, so the last attempt decides the state.
    check("started 1\nended 1 failed next=9\noffline", expect![["1 failed ended=2 attempts=1:failed"]]);
    check(
        "started 1\nended 1 failed error=boom next=9 of=3\nstarted 1 attempt=2\nended 1 ok attempt=2",
        expect![["1 succeeded attempt=2 ended=4 attempts=1:failed,2:succeeded/3"]],
    );
    check("started 1\nstarted 1 attempt=2\nended 1 ok attempt=2", expect![["1 succeeded attempt=2 ended=3 attempts=1:lost,2:succeeded"]]);
    check("started 1\nstarted 1 attempt=2", expect![["1 running attempt=2 attempts=1:lost,2:open"]]);
    check("started 1\nstarted 1 attempt=2\nlost worker=A", expect![["1 lost attempt=2 attempts=1:lost,2:lost"]]);
    let tree = "started 1 attempt=2\nstarted 1 at=1\nended 1 ok attempt=2 at=50 elapsed_ns=7";
    let facts = Facts::of(&parse(tree));
    let (root, processes) = facts.tree(support::root(1), 1).unwrap();
    assert_eq!((root.started_us, root.ended_us, root.elapsed_ns), (Some(1), Some(50), Some(49_000)), "from the first start");
    assert_eq!(processes[0].attempts[1].elapsed_ns, Some(7));
}

#[test]
fn the_highest_attempt_decides() {
    check("started 1\nended 1 failed error=boom\nstarted 1 attempt=2", expect!["1 running attempt=2 attempts=1:failed,2:open"]);
    check(
        "ended 1 ok attempt=2\nstarted 1 attempt=1\nended 1 failed attempt=1",
        expect!["1 succeeded attempt=2 ended=1 attempts=1:failed,2:succeeded"],
    );
}

#[test]
fn a_process_queued_again_is_pending_and_keeps_its_name() {
    check(
        "started 1 name=job\nended 1 failed\nqueued 1 name=job attempt=2",
        expect![[r#"1 pending name="job" attempt=2 attempts=1:failed,2:open"#]],
    );
}

#[test]
fn a_queued_process_is_pending_until_it_starts() {
    check("queued 1", expect![["1 pending"]]);
    check("queued 1\nstarted 1", expect![["1 running"]]);
    check("queued 1\nended 1 cancelled reason=rejected", expect![["1 cancelled reason=rejected ended=2"]]);
}

#[test]
fn an_unknown_outcome_is_a_state_of_its_own() {
    check("started 1\nended 1 evaporated", expect![["1 evaporated ended=2"]]);
}

#[test]
fn a_worker_that_goes_offline_closes_its_open_processes() {
    check(
        "started 1\nstarted 2 parent=1\nB: started 3 parent=1\nended 2 ok\noffline",
        expect![[r"
            1 cancelled reason=exited ended=5
              2 succeeded ended=4
              3 running"]],
    );
}

#[test]
fn a_real_end_replaces_a_close_by_offline_even_if_it_is_later() {
    check("started 1\noffline\nended 1 failed at=9", expect![["1 failed ended=9"]]);
}

#[test]
fn a_process_started_after_its_worker_went_offline_ends_at_its_start() {
    check("offline\nstarted 1 at=7", expect![["1 cancelled reason=exited ended=7"]]);
}

#[test]
fn a_pending_process_is_not_closed_with_the_worker_that_queued_it() {
    check("queued 1\noffline", expect![["1 pending"]]);
    check("queued 1\nlost at=5", expect![["1 pending"]]);
}

#[test]
fn the_latest_of_lost_and_found_decides() {
    check("started 1\nlost at=5", expect![["1 lost"]]);
    check("started 1\nlost at=5\nfound at=7", expect![["1 running"]]);
    check("started 1\nfound at=7\nlost at=9\nlost at=5", expect![["1 lost"]]);
}

#[test]
fn an_end_corrects_a_lost_process() {
    check("started 1\nlost at=5\nended 1 ok at=3", expect![["1 succeeded ended=3"]]);
}

#[test]
fn relayed_events_about_a_worker_that_reports_itself_have_no_effect() {
    for forged in ["offline worker=A at=9", "lost worker=A at=9", "offline by=A at=9"] {
        check(&format!("started 1\nB: {forged}"), expect![["1 running"]]);
    }
    // One that sends nothing itself is known by others alone.
    check("B: started 1 by=A\nB: offline by=A at=9", expect![["1 cancelled reason=exited ended=9"]]);
    check("B: started 1 by=A\nB: offline by=A at=9\nA: started 2 parent=1", expect![["1 running\n  2 running"]]);
}

#[test]
fn a_worker_that_reports_after_its_offline_event_is_online_again() {
    check("started 1\noffline at=4\nheartbeat at=5", expect![["1 running"]]);
    check("started 1\nheartbeat at=3\noffline at=4", expect![["1 cancelled reason=exited ended=4"]]);
    check("started 1\noffline at=4\nonline at=5\noffline at=7", expect![["1 cancelled reason=exited ended=7"]]);
}

#[test]
fn a_worker_that_went_offline_is_not_lost() {
    check("started 1\noffline at=4\nlost at=9", expect![["1 cancelled reason=exited ended=4"]]);
}

#[test]
fn a_relayed_process_belongs_to_its_own_worker() {
    check("A: started 1 by=B\nA: offline", expect![["1 running"]]);
    check("A: started 1 by=B\nA: lost worker=B", expect![["1 lost"]]);
}

#[test]
fn the_latest_update_of_each_key_counts() {
    check("started 1 x=0 at=1\nupdated 1 x=2 at=5\nupdated 1 x=1 name=new at=3", expect![[r#"1 running name="new" x="2""#]]);
}

#[test]
fn the_latest_progress_counts() {
    check("started 1\nprogressed 1 done=7 at=5\nprogressed 1 done=3 at=4", expect![["1 running done=7"]]);
}

#[test]
fn a_fold_takes_the_highest_revision_of_each_shard_and_sums_the_shards() {
    check(
        "started 1\nfolded 9 parent=1 shard=1 revision=1 count=5\nfolded 9 parent=1 shard=1 revision=2 count=7 failed=1\n\
         folded 9 parent=1 shard=2 revision=1 count=10 running=2\nB: folded 9 parent=1 shard=1 revision=1 count=100",
        expect![[r"
            1 running
              9 running fold=117/2/1/0"]],
    );
}

#[test]
fn the_later_of_two_folds_with_the_same_revision_counts() {
    check(
        "started 1\nfolded 9 parent=1 revision=1 count=5 at=3\nfolded 9 parent=1 revision=1 count=7 at=4",
        expect![[r"
            1 running
              9 succeeded fold=7/0/0/0"]],
    );
}

#[test]
fn running_calls_of_a_fold_end_with_their_worker() {
    let script = "started 1\nB: folded 9 parent=1 count=5 running=2\n";
    check(&format!("{script}B: lost worker=B"), expect![["1 running\n  9 lost fold=5/2/0/0"]]);
    check(&format!("{script}B: offline"), expect![["1 running\n  9 succeeded fold=5/0/0/2"]]);
}

#[test]
fn a_process_without_a_known_parent_is_below_the_roots_own_process() {
    check(
        "started 2 parent=7 at=1\nstarted 1 at=2\nstarted 3 at=3\nstarted 4 parent=3 at=4",
        expect![[r"
            1 running
              2 running orphan
              3 running orphan
                4 running"]],
    );
}

#[test]
fn a_parent_that_would_close_a_cycle_is_ignored() {
    check(
        "started 1\nstarted 2 parent=3\nstarted 3 parent=4\nstarted 4 parent=2\nstarted 5 parent=5",
        expect![[r"
            1 running
              2 running orphan
                4 running
                  3 running
              5 running orphan"]],
    );
}

#[test]
fn siblings_are_sorted_by_start_and_then_by_id() {
    check(
        "started 1\nstarted 102 parent=1 at=5\nstarted 3 parent=1 at=5\nstarted 4 parent=1 at=4",
        expect![[r"
        1 running
          4 running
          3 running
          102 running"]],
    );
}

#[test]
fn an_end_without_a_start_is_shown_and_belongs_nowhere_yet() {
    check(
        "started 1\nended 2 ok",
        expect![[r#"
        1 running
          2 succeeded name="" ended=2 orphan"#]],
    );
}
