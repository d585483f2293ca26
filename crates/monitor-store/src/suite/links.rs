//! Tests of links that lead to a process from other trees.

use super::{Place, Say as _, joined, tidy};
use crate::retention::Retention;
use crate::support::script::parse;
use crate::support::{batch, process, root};
use crate::{Chore, Intake as _, RootKey, Store};

/// Returns the number of processes with a link to a process, and the links of up to `limit` of them as lines.
fn from(store: &impl Store, tree: u8, id: u64, limit: usize) -> (u64, Vec<String>) {
    let found = store.linked_from(root(tree), process(id), limit).unwrap();
    let line = |link: &monitor_wire::LinkFrom| {
        let of = store.root(RootKey::Id(link.root_id)).unwrap().unwrap();
        assert_eq!(link.title, of.title);
        format!("{}/{} {} {} {}", of.number, link.id.get() & !(1 << 63), link.name, link.state, link.relation)
    };
    (found.count, found.links.iter().map(line).collect())
}

fn say(store: &impl Store, sequence: u64, script: &str) {
    store.say(&[batch('A', sequence, joined(&parse(script)).events)], 1).unwrap();
}

pub fn links_are_found_from_other_trees_and_not_from_their_own<P: Place>() {
    let place = P::new();
    let store = place.open();
    say(&store, 1, "started 1 root=1 name=load\nstarted 2 root=1 parent=1 link=1/1/follows_from\nended 1 root=1 ok");
    say(&store, 4, "started 1 root=2 name=again link=1/1/retry_of\nended 1 root=2 failed error=boom");
    say(&store, 6, "started 1 root=3 name=then link=1/1/triggered_by");
    // Neither the target nor its tree needs to exist.
    say(&store, 7, "started 5 root=3 name=early parent=1 link=9/9/triggered_by");
    let both = vec!["3/1 then running triggered_by".to_owned(), "2/1 again failed retry_of".to_owned()];
    assert_eq!(from(&store, 1, 1, 9), (2, both.clone()));
    assert_eq!(from(&store, 1, 1, 1), (2, both[..1].to_vec()));
    assert_eq!((from(&store, 1, 2, 9), from(&store, 7, 1, 9)), ((0, vec![]), (0, vec![])));
    assert_eq!(from(&store, 9, 9, 9), (1, vec!["3/5 early running triggered_by".to_owned()]));
    place.check(&store);
    drop(store);
    assert_eq!(from(&place.open(), 1, 1, 9), (2, both));
}

pub fn links_that_arrive_later_or_again_are_found_once_each<P: Place>() {
    let place = P::new();
    let store = place.open();
    say(&store, 1, "started 1 root=1\nstarted 1 root=2 name=b");
    say(&store, 3, "updated 1 root=2 link=1/1/retry_of");
    say(&store, 4, "updated 1 root=2 link=1/1/retry_of\nupdated 1 root=2 link=1/1/triggered_by\nupdated 1 root=2 link=3/1/triggered_by");
    say(&store, 7, "ended 1 root=2 ok");
    let both = vec!["2/1 b succeeded retry_of".to_owned(), "2/1 b succeeded triggered_by".to_owned()];
    assert_eq!(from(&store, 1, 1, 9), (1, both));
    assert_eq!(from(&store, 3, 1, 9).0, 1);
    place.check(&store);
}

pub fn links_of_dropped_trees_are_removed_with_them<P: Place>() {
    let place = P::new();
    let store = place.open();
    say(&store, 1, "started 1 root=1\nended 1 root=1 ok");
    for (sequence, tree) in (3..).step_by(2).zip(2..=40) {
        say(&store, sequence, &format!("started 1 root={tree} link=1/1/retry_of\nended 1 root={tree} ok"));
    }
    assert_eq!(from(&store, 1, 1, 0), (39, vec![]));
    for number in 3..=40 {
        store.drop_root(RootKey::Id(root(number)), false, 5).unwrap();
    }
    assert_eq!(from(&store, 1, 1, 9), (1, vec!["2/1 p1 succeeded retry_of".to_owned()]), "at once");
    tidy(&store, Chore::Trees, &Retention::default(), 5);
    place.check(&store);
    store.drop_root(RootKey::Id(root(2)), false, 5).unwrap();
    tidy(&store, Chore::Trees, &Retention::default(), 5);
    assert_eq!(from(&store, 1, 1, 9), (0, vec![]));
    place.check(&store);
}

pub fn links_are_counted_up_to_a_limit<P: Place>() {
    let place = P::new();
    let store = place.open();
    let lines: Vec<_> = (1..=1_005).map(|id| format!("started {id} root=2 parent=1 link=1/1/triggered_by")).collect();
    say(&store, 1, &lines.join("\n"));
    let (count, told) = from(&store, 1, 1, 3);
    assert_eq!((count, told.len()), (1_000, 3));
}
