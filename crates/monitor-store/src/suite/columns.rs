//! Tests of trees in columns. The decoder is written from the description in `docs/internals/columns.md`, and returns the tree as in JSON.

use monitor_wire::{Process, TreePage};
use serde_json::{Value, json};

use super::{Place, Say as _, joined};
use crate::support::script::parse;
use crate::{Queries as _, RootKey, Store};

/// Reads a whole tree as columns and decodes it.
pub fn tree(store: &impl Store, root: RootKey) -> TreePage {
    let parts: Vec<u8> = store.tree_columns(root).unwrap().unwrap().flatten().collect();
    decode(&parts)
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(count);
    *bytes = rest;
    taken
}

fn u32s(bytes: &mut &[u8], count: usize) -> Vec<u32> {
    take(bytes, 4 * count).as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect()
}

fn times(bytes: &mut &[u8], count: usize) -> Vec<Value> {
    let number = |word: &[u8; 8]| f64::from_le_bytes(*word);
    let time = |number: f64| if number.is_nan() { Value::Null } else { json!(number as u64) };
    take(bytes, 8 * count).as_chunks::<8>().0.iter().map(number).map(time).collect()
}

fn decode(mut bytes: &[u8]) -> TreePage {
    assert_eq!(take(&mut bytes, 8), b"PMTREE01");
    let mut head = Value::Null;
    let mut tables: [Vec<Value>; 3] = Default::default();
    let mut processes: Vec<Value> = Vec::new();
    loop {
        let [kind, length] = *u32s(&mut bytes, 2) else { unreachable!() };
        assert_eq!(length % 8, 0);
        let mut content = take(&mut bytes, length as usize);
        match kind {
            0 => break,
            1 => head = serde_json::from_slice(content).unwrap(),
            2..=4 => tables[kind as usize - 2].append(&mut serde_json::from_slice(content).unwrap()),
            5 => read_processes(&mut content, &head, &tables, &mut processes),
            6 => {
                for (place, more) in serde_json::from_slice::<Vec<(usize, Value)>>(content).unwrap() {
                    assert_eq!(processes[place]["flags"].as_u64().unwrap() & 2, 2);
                    processes[place].as_object_mut().unwrap().append(&mut more.as_object().unwrap().clone());
                }
            }
            kind => panic!("part of kind {kind}"),
        }
    }
    assert!(bytes.is_empty(), "nothing follows the end");
    assert_eq!(head["count"], processes.len());
    head["processes"] = processes.into();
    serde_json::from_value(head).unwrap()
}

fn read_processes(content: &mut &[u8], head: &Value, tables: &[Vec<Value>; 3], processes: &mut Vec<Value>) {
    let [count, first] = *u32s(content, 2) else { unreachable!() };
    assert_eq!(first as usize, processes.len());
    let count = count as usize;
    let ids: Vec<_> = take(content, 8 * count).as_chunks::<8>().0.iter().map(|id| u64::from_le_bytes(*id)).collect();
    let [started, ended, elapsed] = [(); 3].map(|()| times(content, count));
    let [parents, sites, origins, errors, depths] = [(); 5].map(|()| u32s(content, count));
    let [states, flags] = [(); 2].map(|()| take(content, count));
    assert!(content.len() < 8 && content.iter().all(|byte| *byte == 0));
    for index in 0..count {
        let entry = |table: usize, place: u32| tables[table].get(place as usize).cloned().unwrap_or_default();
        let (site, origin) = (entry(0, sites[index]), entry(1, origins[index]));
        let is_orphan = flags[index] & 1 == 1;
        let state = ["succeeded", "running", "pending", "failed", "cancelled", "lost", ""][usize::from(states[index]).min(6)];
        let parent = processes.get(parents[index] as usize).map_or(Value::Null, |parent| parent["id"].clone());
        assert!(parents[index] == u32::MAX || (parents[index] as usize) < processes.len(), "parents stand before their children");
        processes.push(json!({
            "id": format!("{:016x}", ids[index]), "root_id": head["root"]["root_id"], "parent_id": if is_orphan { Value::Null } else { parent },
            "name": site["name"].as_str().unwrap_or_default(), "kind": site["kind"].as_str().unwrap_or_default(), "state": state,
            "started_us": started[index], "ended_us": ended[index], "elapsed_ns": elapsed[index], "worker_id": origin["worker_id"],
            "thread": origin["thread"], "source": site["source"], "error": entry(2, errors[index]), "depth": depths[index],
            "orphan": is_orphan, "attempt": 1, "attachment": "explicit", "links": [], "fields": {}, "flags": flags[index],
        }));
    }
}

/// Values that have no column, such as `attempt` and the parents of orphans, are sent next to the columns.
pub fn what_few_processes_have_comes_with_them<P: Place>() {
    let place = P::new();
    let store = place.open();
    let lines = "started 1\nstarted 3 parent=2\nstarted 4 parent=1 attempt=2\nended 4 failed";
    store.say(&[joined(&parse(lines))], 0).unwrap();
    let page = tree(&store, RootKey::Number(1));
    let shown: Vec<_> = page
        .processes
        .iter()
        .map(|Process { attempt, orphan, parent_id, .. }| (*attempt, *orphan, parent_id.map(monitor_wire::ProcessId::get)))
        .collect();
    assert_eq!(shown, [(1, false, None), (1, true, Some(2)), (2, false, Some(1))]);
    assert!(store.tree_columns(RootKey::Number(2)).unwrap().is_none());
}
