//! The order of processes in trees: deep trees, roots, errors.

mod support;

use expect_test::{Expect, expect};
use monitor_state::{Facts, Node, order};
use monitor_wire::{ProcessId, Root, RootId};
use support::script::parse;

fn chain(depth: u64) -> Vec<Node> {
    let id = |number| ProcessId::new(number).unwrap();
    let node = |number| Node { id: id(number), parent_id: (number > 1).then(|| id(number - 1)), at_us: depth - number, is_defined: true };
    (1..=depth).map(node).collect()
}

fn root() -> RootId {
    RootId::new(1 << 64).unwrap()
}

#[test]
fn a_tree_of_any_depth_is_ordered_without_recursion() {
    let ordered = order(&chain(100_000), root(), u32::MAX);
    assert_eq!(ordered.placed.last().unwrap().depth, 99_999);
    assert_eq!(ordered.own, Some(0));
    assert_eq!((ordered.ignored_parents, ordered.deep_parents), (0, 0));
}

/// Depth and orphanhood of each process, in pre-order, by its number in the chain.
fn shown(nodes: &[Node], most_depth: u32) -> Vec<(u64, u32, bool)> {
    let ordered = order(nodes, root(), most_depth);
    assert_eq!(ordered.placed.len(), nodes.len(), "nothing is left out");
    assert_eq!(ordered.placed.iter().filter(|place| place.is_orphan).count(), ordered.deep_parents);
    ordered.placed.iter().map(|place| (nodes[place.index as usize].id.get(), place.depth, place.is_orphan)).collect()
}

#[test]
fn a_branch_below_the_depth_limit_moves_below_the_roots_own_process() {
    assert!(shown(&chain(4), 3).iter().all(|(_, _, is_orphan)| !is_orphan), "as deep as it may be");
    let mut nodes = chain(7);
    // The later in the chain, the earlier it began: siblings stand as they began.
    let expected = [(1, 0, false), (5, 1, true), (6, 2, false), (7, 3, false), (2, 1, false), (3, 2, false), (4, 3, false)];
    assert_eq!(shown(&nodes, 3), expected);
    nodes.reverse();
    assert_eq!(shown(&nodes, 3), expected, "whatever order they come in");
    assert_eq!(order(&nodes, root(), 2).deep_parents, 2);
    assert_eq!(order(&nodes, root(), 1).placed.iter().map(|place| place.depth).max(), Some(1));
    assert_eq!(order(&nodes, root(), 0).placed.iter().map(|place| place.depth).max(), Some(1), "a child has a place in any case");
}

#[test]
fn a_parent_named_by_the_roots_id_alone_is_the_roots_own_process() {
    let mut nodes = chain(3);
    let stands_for_own = RootId::new(7 << 64 | 0x99).unwrap();
    nodes[2].parent_id = stands_for_own.own_process();
    let shown =
        |root| order(&nodes, root, u32::MAX).placed.iter().map(|place| (place.index, place.depth, place.is_orphan)).collect::<Vec<_>>();
    assert_eq!(shown(stands_for_own), [(0, 0, false), (2, 1, false), (1, 1, false)]);
    assert_eq!(shown(root()), [(0, 0, false), (2, 1, true), (1, 1, false)], "any other that isn't there is unknown");
    // While the root's own process is unknown, a parent that is named by the root's id is unknown as well.
    let ordered = order(&nodes[1..], stands_for_own, u32::MAX);
    assert!(ordered.own.is_none() && ordered.placed.iter().all(|place| place.is_orphan));
}

#[test]
fn a_branch_below_the_depth_limit_without_a_root_moves_to_the_top() {
    // The parent of the first process is missing, so every process is in a branch without a known root.
    let nodes = &chain(7)[1..];
    let ordered = order(nodes, root(), 2);
    assert_eq!((ordered.own, ordered.deep_parents), (None, 1));
    assert_eq!(ordered.placed.iter().map(|place| place.depth).collect::<Vec<_>>(), [0, 1, 2, 0, 1, 2]);
}

#[test]
fn a_chain_far_below_the_depth_limit_is_cut_in_one_walk() {
    let ordered = order(&chain(1_000_000), root(), 100);
    assert_eq!(ordered.placed.iter().map(|place| place.depth).max(), Some(100));
    assert_eq!(ordered.deep_parents, 999_999_usize.div_ceil(100) - 1);
}

#[test]
fn a_ring_of_any_size_is_broken_once() {
    let mut nodes = chain(100_000);
    nodes[0].parent_id = Some(nodes[99_999].id);
    let ordered = order(&nodes, root(), u32::MAX);
    assert_eq!((ordered.placed.len(), ordered.own, ordered.ignored_parents), (100_000, None, 1));
    assert_eq!(nodes[ordered.placed[0].index as usize].at_us, 0, "its first process lost its parent");
}

#[allow(clippy::needless_pass_by_value, reason = "expect! is passed as it is written")]
fn check_root(script: &str, expected: Expect) {
    let facts = Facts::of(&parse(script));
    let Root { title, state, started_us, ended_us, elapsed_ns, error, counts, .. } = facts.tree(support::root(1), 7).unwrap().0;
    let error = error.map(|error| error.message);
    expected.assert_eq(&format!(
        "{title} {state} {started_us:?}-{ended_us:?} {elapsed_ns:?} {error:?} running {} of {}",
        counts.running,
        counts.total()
    ));
}

#[test]
fn the_title_has_the_batch_and_the_number() {
    check_root("started 1 name=build batch=batch001", expect!["build <batch001:7> running Some(1)-None None None running 1 of 1"]);
    check_root("started 1 name=build", expect!["build <7> running Some(1)-None None None running 1 of 1"]);
}

#[test]
fn a_root_shows_its_own_process_or_the_earliest_until_it_is_known() {
    check_root(
        "started 3 parent=2 at=5\nstarted 2 parent=1 at=4\nended 2 ok at=9",
        expect!["p2 <7> succeeded Some(4)-Some(9) Some(5000) None running 1 of 2"],
    );
    check_root(
        "started 3 parent=2 at=5\nstarted 2 parent=1 at=4\nstarted 1 at=6",
        expect!["p1 <7> running Some(6)-None None None running 3 of 3"],
    );
}

#[test]
fn the_earliest_process_without_a_parent_is_the_roots_own() {
    check_root("started 5 at=3\nstarted 4 at=2\nstarted 2 at=2", expect!["p2 <7> running Some(2)-None None None running 3 of 3"]);
}

#[test]
fn a_failed_root_shows_its_own_error_or_the_error_on_its_failing_path() {
    let script = "started 1\nstarted 2 parent=1\nstarted 3 parent=2\nstarted 4 parent=1\n\
                  ended 2 failed error=outer at=5\nended 3 failed error=inner at=6\nended 4 failed error=later at=7\n";
    check_root(script, expect!["p1 <7> running Some(1)-None None None running 1 of 4"]);
    check_root(
        &format!("{script}ended 1 failed error=own at=9"),
        expect![[r#"p1 <7> failed Some(1)-Some(9) Some(8000) Some("own") running 0 of 4"#]],
    );
    check_root(
        &format!("{script}ended 1 failed at=9"),
        expect![[r#"p1 <7> failed Some(1)-Some(9) Some(8000) Some("later") running 0 of 4"#]],
    );
    check_root(&format!("{script}ended 1 ok at=9"), expect!["p1 <7> succeeded Some(1)-Some(9) Some(8000) None running 0 of 4"]);
}

#[test]
fn error_texts_of_a_fold_are_not_the_error_of_a_root() {
    let folded = "folded 1 shard=1 revision=1 count=1 failed=1 error=no";
    check_root(folded, expect!["p1 <7> failed None-None None None running 0 of 1"]);
    check_root(
        &format!("started 1\n{folded}\nended 1 failed error=no at=9"),
        expect![[r#"p1 <7> failed Some(1)-Some(9) Some(8000) Some("no") running 0 of 1"#]],
    );
}
