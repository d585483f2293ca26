//! Encodes batches for the event log.

use monitor_wire::{Event, RootId};

use super::{
    Before, ENDED, HAS_ELAPSED, HAS_TEXT, IS_OPEN, LAST_PARENT, NEXT_ROOT, NO_PARENT, OPEN_PARENT, OTHER, OTHER_PARENT, OUTCOME_SHIFT,
    Open, PARENT_SHIFT, SAME_ROOT, SAME_SITE, SAME_THREAD, STARTED, STARTED_TREE, beyond, compress,
};
use crate::packed::{Ended, Ending, NOWHERE, Packed, PackedEvent, PlainOutcome, Started};

/// Minimum size of the words for compression. Smaller data would not get smaller.
const COMPRESSED_FROM_BYTES: usize = 128;

/// Appends a number in LEB128: seven bits per byte, lowest bits first.
pub fn number(to: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

/// Appends bytes, preceded by their number.
pub fn bytes(to: &mut Vec<u8>, bytes: &[u8]) {
    number(to, bytes.len() as u64);
    to.extend_from_slice(bytes);
}

/// Appends a signed number in zigzag encoding, so that small negative numbers are short, too.
pub fn signed(to: &mut Vec<u8>, signed: i64) {
    number(to, ((signed << 1) ^ (signed >> 63)) as u64);
}

fn list<T>(to: &mut Vec<u8>, items: &[T], mut write: impl FnMut(&mut Vec<u8>, &T)) {
    number(to, items.len() as u64);
    for item in items {
        write(to, item);
    }
}

/// Encodes a batch. [`read`](super::read()) decodes it.
pub fn write(packed: &Packed) -> Vec<u8> {
    let mut to = Vec::with_capacity(64 + packed.roots.len() * 12 + packed.events.len() * 8);
    to.extend_from_slice(&packed.worker.id.get().to_be_bytes());
    number(&mut to, packed.sequence);
    roots(&mut to, &packed.roots);
    words(&mut to, packed);
    number(&mut to, packed.events.len() as u64);
    let mut before = Before::new(packed.threads.len());
    for event in &packed.events {
        match event {
            PackedEvent::Started(of) => started(&mut to, &mut before, of, &packed.roots),
            PackedEvent::Ended(of) => ended(&mut to, &mut before, of),
            PackedEvent::Other(_) => to.push(OTHER),
        }
    }
    to
}

/// Appends the ids of roots. Each is encoded as the number of bytes that it shares with the id before, and its other bytes: ids of trees
/// that began at about the same time have the same first bytes.
fn roots(to: &mut Vec<u8>, roots: &[RootId]) {
    let mut last = [0; 16];
    list(to, roots, |to, root| {
        let id = root.get().to_be_bytes();
        let shared = id.iter().zip(&last).take_while(|(a, b)| a == b).count();
        to.push(shared as u8);
        to.extend_from_slice(&id[shared..]);
        last = id;
    });
}

/// Appends all texts and all events that are not packed.
fn words(to: &mut Vec<u8>, packed: &Packed) {
    let mut words = Vec::new();
    list(&mut words, &packed.sites, |to, site| {
        bytes(to, site.name.as_bytes());
        bytes(to, site.kind.as_str().as_bytes());
        match &site.source {
            Some(source) => {
                number(to, u64::from(source.line) + 1);
                bytes(to, source.file.as_bytes());
            }
            None => number(to, 0),
        }
    });
    for texts in [&packed.threads, &packed.marks] {
        list(&mut words, texts, |to, text| bytes(to, text.as_bytes()));
    }
    list(&mut words, &packed.endings, |to, ending: &Ending| json(to, ending));
    for event in &packed.events {
        if let PackedEvent::Other(event) = event {
            json::<Event>(&mut words, event);
        }
    }
    if let Some(compressed) = Some(&words).filter(|words| words.len() >= COMPRESSED_FROM_BYTES).and_then(|words| compress(words)) {
        number(to, words.len() as u64 + 1);
        bytes(to, &compressed);
    } else {
        number(to, 0);
        bytes(to, &words);
    }
}

/// Appends a value as JSON, preceded by its length.
fn json<T: serde::Serialize>(to: &mut Vec<u8>, value: &T) {
    bytes(to, &serde_json::to_vec(value).expect("plain data with text keys is JSON"));
}

fn started(to: &mut Vec<u8>, before: &mut Before, of: &Started, roots: &[RootId]) {
    let parent = match of.parent_id {
        None => NO_PARENT,
        parent if before.open.last().is_some_and(|open| Some(open.id) == parent) => OPEN_PARENT,
        parent if parent == before.parent => LAST_PARENT,
        Some(_) => OTHER_PARENT,
    };
    let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
    let [same_root, same_site, same_thread] = [of.root == before.root, of.site == before.site, of.thread == before.thread];
    let flags = flag(same_root, SAME_ROOT) | flag(same_site, SAME_SITE) | flag(same_thread, SAME_THREAD);
    let begins_tree = of.parent_id.is_none() && roots.get(of.root as usize).and_then(|root| root.own_process()) == Some(of.id);
    let is_next = begins_tree && of.root == before.next_root;
    let kind = if begins_tree { STARTED_TREE | flag(is_next, NEXT_ROOT) } else { STARTED | parent << PARENT_SHIFT };
    to.push(kind | flags | flag(of.mark != NOWHERE, HAS_TEXT));
    if !same_root && !is_next {
        number(to, of.root.into());
    }
    if !same_site {
        number(to, of.site.into());
    }
    if !same_thread {
        number(to, of.thread.wrapping_add(1).into());
    }
    if of.mark != NOWHERE {
        number(to, of.mark.into());
    }
    if let (OTHER_PARENT, Some(parent)) = (parent, of.parent_id) {
        to.extend_from_slice(&parent.get().to_le_bytes());
    }
    let last = before.id_of(of.thread);
    if !begins_tree {
        signed(to, of.id.get().wrapping_sub(*last) as i64);
    }
    *last = of.id.get();
    signed(to, of.time_us.wrapping_sub(before.time_us) as i64);
    before.belongs(of.root);
    (before.site, before.thread) = (of.site, of.thread);
    (before.time_us, before.parent) = (of.time_us, of.parent_id);
    before.begin(Open { id: of.id, root: of.root, time_us: of.time_us });
}

fn ended(to: &mut Vec<u8>, before: &mut Before, of: &Ended) {
    let depth = before.depth_of(of.id, of.root);
    let outcome = match of.outcome {
        PlainOutcome::Succeeded => 0,
        PlainOutcome::Failed => 1,
        PlainOutcome::Cancelled => 2,
    };
    let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
    let same_root = of.root == before.root;
    let flags = flag(same_root, SAME_ROOT) | flag(of.ending != NOWHERE, HAS_TEXT) | flag(of.elapsed_ns.is_some(), HAS_ELAPSED);
    to.push(ENDED | flags | outcome << OUTCOME_SHIFT | flag(depth.is_some(), IS_OPEN));
    let start = depth.and_then(|depth| {
        number(to, depth as u64);
        before.end(depth)
    });
    if start.is_none() {
        if !same_root {
            number(to, of.root.into());
        }
        to.extend_from_slice(&of.id.get().to_le_bytes());
    }
    if of.ending != NOWHERE {
        number(to, of.ending.into());
    }
    signed(to, of.time_us.wrapping_sub(before.time_us) as i64);
    if let Some(elapsed_ns) = of.elapsed_ns {
        match &start {
            Some(start) => signed(to, beyond(elapsed_ns, start.time_us, of.time_us)),
            None => number(to, elapsed_ns),
        }
    }
    before.belongs(of.root);
    before.time_us = of.time_us;
}
