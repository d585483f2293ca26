//! Tests of pinned trees, dropped trees and retention rules.

use super::{Place, Say as _, any, rules, tidy, tree};
use crate::retention::Retention;
use crate::support::script::parse;
use crate::{Chore, Intake as _, Queries as _, RootKey, Store};

fn numbers(store: &impl Store) -> Vec<u64> {
    store.roots(&any()).unwrap().roots.iter().map(|root| root.number).collect()
}

pub fn pinned_and_running_trees_are_kept_and_pins_are_announced<P: Place>() {
    let place = P::new();
    let store = place.open();
    for batch in parse("online A\nstarted 1 root=1\nended 1 root=1 ok\nstarted 2 root=2") {
        store.say(&[batch], 1).unwrap();
    }
    let pin = |is_pinned| store.pin(RootKey::Number(1), is_pinned, 5).unwrap();
    let told = serde_json::to_value(&*pin(true).unwrap()[0].message).unwrap();
    assert_eq!((&told["event"]["type"], &told["root"]["pinned"]), (&"root-pinned".into(), &true.into()), "{told}");
    assert_eq!(pin(true).unwrap().len(), 0, "it is pinned already");
    let drop = |number, may_run| store.drop_root(RootKey::Number(number), may_run, 5).unwrap().map(|changes| changes.count());
    assert_eq!((drop(1, true), drop(2, false), numbers(&store)), (Some(0), Some(0), vec![2, 1]));
    let all = rules(r#"[{ name = "*", age = "1s" }]"#);
    assert_eq!(tidy(&store, Chore::Trees, &all, u64::MAX / 4).0, 0);
    let mut update = parse("updated 1 root=1 name=other");
    update[0].sequence = 50;
    assert!(store.say(&update, 1).unwrap()[0].message.root.as_ref().unwrap().pinned, "events change nothing about it");
    let told = serde_json::to_value(&*pin(false).unwrap()[0].message).unwrap();
    assert_eq!(told["event"]["type"], "root-unpinned");
    assert_eq!((drop(1, false), drop(2, true), numbers(&store)), (Some(1), Some(1), vec![]));
    assert_eq!((drop(1, true), store.pin(RootKey::Number(1), true, 5).unwrap().is_none()), (None, true));
    assert!(store.is_dropped(1).unwrap() && store.is_dropped(2).unwrap() && !store.is_dropped(3).unwrap() && !store.is_dropped(0).unwrap());
    // A late event about a dropped tree creates a new tree.
    let mut late = parse("updated 1 name=again");
    late[0].sequence = 2_000;
    store.say(&late, 1).unwrap();
    assert_eq!(numbers(&store), [3]);
    tidy(&store, Chore::Trees, &Retention::default(), 5);
    place.check(&store);
}

pub fn trees_are_removed_by_the_first_rule_that_matches_them<P: Place>() {
    const DAY: u64 = 86_400_000_000;
    let place = P::new();
    let store = place.open();
    let line = |root: u64, name: &str, end: &str| format!("started {root} root={root} name={name}\nended {root} root={root} {end}\n");
    let mut script = String::new();
    for (root, name, end) in
        [(1, "nightly", "failed"), (2, "nightly", "ok"), (3, "nightly", "ok"), (4, "nightly", "ok"), (5, "other", "ok")]
    {
        script += &line(root, name, end);
    }
    for (number, batch) in (0..).zip(parse(&script)) {
        store.say(&[batch], 20_000 * DAY + number * 1_000_000).unwrap();
    }
    let kept =
        rules(r#"[{ name = "night*", state = ["failed"], age = "9d" }, { name = "nightly", count = 2 }, { name = "*", age = "2d" }]"#);
    let (dropped, told) = tidy(&store, Chore::Trees, &kept, 20_001 * DAY);
    assert_eq!((dropped, told, numbers(&store)), (1, vec!["roots-dropped".to_owned()], vec![5, 4, 3, 1]));
    assert_eq!((tidy(&store, Chore::Trees, &kept, 20_003 * DAY).0, numbers(&store)), (1, vec![4, 3, 1]));
    assert_eq!((tidy(&store, Chore::Trees, &kept, 20_003 * DAY).0, numbers(&store)), (0, vec![4, 3, 1]), "it is done");
    assert_eq!((tidy(&store, Chore::Trees, &kept, 20_010 * DAY).0, numbers(&store)), (1, vec![4, 3]));
    tidy(&store, Chore::Rest, &kept, 20_010 * DAY);
    place.check(&store);
    drop(store);
    assert_eq!(numbers(&place.open()), [4, 3]);
}

pub fn cleaning_up_removes_nothing_that_is_kept<P: Place>() {
    let place = P::new();
    let store = place.open();
    store.say(&parse("online A\nstarted 1\nstarted 2 parent=1\nended 2 failed error=boom"), 1).unwrap();
    let (before, workers) = (tree(&store), store.workers(9, None).unwrap());
    assert_eq!(tidy(&store, Chore::Rest, &rules(r#"[{ name = "*", age = "1d" }]"#), u64::MAX / 4), (0, vec![]));
    assert_eq!((tree(&store), store.workers(9, None).unwrap()), (before, workers));
    place.check(&store);
}
