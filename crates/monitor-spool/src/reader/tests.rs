//! A damaged bit affects only the item that contains it.
#![cfg(unix)]

use std::collections::BTreeMap;
use std::path::Path;

use monitor_wire::{Event, Kind, ProcessId, Registered, Source, WorkerId, WorkerRef};

use super::{Estate, FileKind};
use crate::program::{PAGE, State};
use crate::{About, Begun, Calibration, ClockSample, Entry, Meta, Parcel, Spool};

fn begun(dir: &Path) -> Begun {
    let id = WorkerId::new(0x5b0c_0000_0000_0000_0000_0000_0000_0001).unwrap();
    let worker = WorkerRef { id, hostname: "build-7".to_owned(), pid: 1, program: "nightly".to_owned() };
    let source = |line| Source { file: "src/main.rs".to_owned(), line };
    let sites = (0..3).map(|line| Registered { name: "compile".to_owned(), kind: Kind::from("normal"), source: source(line) });
    let spool = Spool::open(&dir.join("spool")).unwrap();
    spool.begin(&About::this(worker, "1.2.3", 5), sites, 1, ClockSample::default(), 1 << 20).unwrap()
}

fn event(number: u64) -> Event {
    serde_json::from_value(serde_json::json!({
        "type": "process-started", "root_id": "0199a3ce929d0e0e47360199a3ce929d", "id": ProcessId::new(number).unwrap(),
        "kind": "normal", "name": "compile", "time_us": 0,
    }))
    .unwrap()
}

fn read(begun: &Begun, kind: FileKind, bytes: &[u8]) -> Estate {
    let mut estate = Estate::default();
    estate.take(begun.folder.worker(), kind, String::new(), bytes);
    estate
}

/// Returns the file with each bit flipped, one at a time.
fn each_bit(bytes: &[u8]) -> impl Iterator<Item = (usize, Vec<u8>)> {
    (0..bytes.len() * 8).map(|bit| {
        let mut damaged = bytes.to_vec();
        damaged[bit / 8] ^= 1 << (bit % 8);
        (bit / 8, damaged)
    })
}

#[test]
fn a_damaged_bit_of_the_journal_loses_its_batch() {
    let dir = tempfile::tempdir().unwrap();
    let mut begun = begun(dir.path());
    for first in [1, 4, 7, 10] {
        let events: Vec<Event> = (first..first + 3).map(event).collect();
        let meta = Meta { taken: BTreeMap::from([(0, first), (7, 2)]), lane: first, ..Meta::default() };
        begun.journal.append(&Parcel::encode(first, &events).unwrap(), &meta).unwrap();
    }
    let bytes = std::fs::read(begun.folder.path().join("journal-1")).unwrap();
    let whole = read(&begun, FileKind::Journal(1), &bytes).journal;
    assert_eq!((whole.places.len(), whole.damaged, whole.next, whole.meta.lane), (4, 0, 13, 10));
    for (at, damaged) in each_bit(&bytes) {
        let found = read(&begun, FileKind::Journal(1), &damaged).journal;
        let hit = whole.places.iter().find(|place| (place.offset..place.offset + place.bytes).contains(&(at as u64)));
        let left: Vec<_> = whole.places.iter().filter(|place| Some(*place) != hit).copied().collect();
        assert_eq!((&found.places, found.damaged), (&left, u64::from(hit.is_some())), "byte {at}");
    }
    let mut cut_off = bytes.clone();
    cut_off.truncate(bytes.len() - 9);
    assert_eq!(read(&begun, FileKind::Journal(1), &cut_off).journal.places, whole.places[..3]);
}

#[test]
fn a_damaged_bit_of_the_lane_loses_its_entry() {
    let dir = tempfile::tempdir().unwrap();
    let begun = begun(dir.path());
    for number in 1..=4 {
        let json = serde_json::to_vec(&event(number)).unwrap();
        let entry = if number == 2 { Entry::Failed { id: 9, error: &json } } else { Entry::Sent { begun: 1, at: number, event: &json } };
        assert_eq!(begun.lane.append(&entry).unwrap(), number);
    }
    let mut bytes = std::fs::read(begun.folder.path().join("lane-1")).unwrap();
    let whole = read(&begun, FileKind::Lane(1), &bytes);
    assert_eq!((whole.entries.len(), whole.damaged_entries), (4, 0));
    let length = whole.entries.iter().map(|entry| crate::block::size(entry.json.len())).sum::<usize>();
    bytes.truncate(length + 64);
    let mut ends = whole.entries.iter().scan(0, |end, entry| {
        *end += crate::block::size(entry.json.len());
        Some((*end, entry.json.len()))
    });
    let ends: Vec<(usize, usize)> = ends.by_ref().collect();
    for (at, damaged) in each_bit(&bytes) {
        let found = read(&begun, FileKind::Lane(1), &damaged);
        let hit = ends.iter().position(|(end, _)| at < *end);
        // There may be meaningless padding between two entries.
        let is_padding = hit.is_some_and(|hit| {
            let (end, length) = ends[hit];
            at >= end - crate::block::size(length) + crate::block::HEADER + length
        });
        let left: Vec<_> = whole
            .entries
            .iter()
            .enumerate()
            .filter(|(index, _)| is_padding || Some(*index) != hit)
            .map(|(_, entry)| entry.clone())
            .collect();
        assert_eq!(found.entries, left, "byte {at}");
        assert!(found.damaged_entries <= 1 && (is_padding || hit.is_none() || found.damaged_entries == 1), "byte {at}");
    }
}

#[test]
fn an_entry_inside_a_text_is_not_read_as_an_entry() {
    let dir = tempfile::tempdir().unwrap();
    let begun = begun(dir.path());
    let stranger = WorkerId::new(7).unwrap();
    let forged = crate::block::block(stranger, crate::block::Magic::Sent, 2, 0, 0, b"{\"type\":\"worker-offline\"}");
    begun.lane.append(&Entry::Sent { begun: 0, at: 0, event: &[&[b' '; 24][..], &forged, &[b' '; 24]].concat() }).unwrap();
    let mut bytes = std::fs::read(begun.folder.path().join("lane-1")).unwrap();
    bytes[0] ^= 1;
    let found = read(&begun, FileKind::Lane(1), &bytes);
    assert_eq!((found.entries.len(), found.damaged_entries), (0, 1));
}

#[test]
fn a_damaged_bit_of_the_program_file_loses_a_line_or_a_site() {
    let dir = tempfile::tempdir().unwrap();
    let mut begun = begun(dir.path());
    begun.program.calibrate(Calibration { ticks: 5, wall_ns: 6, ns_per_tick: 0.5 });
    begun.program.advance(100, 7);
    begun.program.acknowledge(90);
    begun.program.marks().dropped("process-ended");
    let bytes = std::fs::read(begun.folder.path().join("program")).unwrap();
    let whole = read(&begun, FileKind::Program, &bytes).program;
    let clock = Some(Calibration { ticks: 5, wall_ns: 6, ns_per_tick: 0.5 });
    assert_eq!(whole.state, Some(State { revision: 4, acknowledged: 90, next: 100, clock, lane: 7 }));
    assert_eq!((whole.sites.len(), whole.damaged, whole.dropped.clone()), (3, 0, vec![("process-ended", 1)]));
    for (at, damaged) in each_bit(&bytes) {
        let found = read(&begun, FileKind::Program, &damaged).program;
        let state = found.state.expect("one of the two");
        let is_newest = !(128..192).contains(&at);
        assert_eq!((state.revision, state.acknowledged), if is_newest { (4, 90) } else { (3, 0) }, "byte {at}");
        assert_eq!(found.header.is_some(), at >= 64, "byte {at}");
        let (lost, about) = (3 - found.sites.len(), u64::from(found.about.is_none()));
        assert!(lost as u64 + about <= u64::from(at >= PAGE) && !found.is_given_up, "byte {at}");
        assert!(found.sites.iter().all(|(number, site)| whole.sites[number] == *site), "byte {at}");
    }
}

#[test]
fn a_file_that_vanishes_after_it_was_listed_is_no_damage() {
    let dir = tempfile::tempdir().unwrap();
    let mut begun = begun(dir.path());
    begun.journal.append(&Parcel::encode(1, &[event(1)]).unwrap(), &Meta::default()).unwrap();
    let (dir, worker) = (begun.folder.dir(), begun.folder.worker());
    let mut names = dir.names().unwrap();
    let gone = ["journal-2", "lane-7", "region-3", "segment-3-0", "chunk-3-0", "fold-3-0", "spare-1"];
    names.extend(gone.map(str::to_owned));
    assert!(names.iter().all(|name| name == "lock" || FileKind::of(name).is_some()), "{names:?}");
    let (whole, estate) = (Estate::read(dir, worker), Estate::read_files(dir, worker, names));
    assert_eq!((&estate.problems, estate.damaged(), estate.journal.places.len()), (&whole.problems, 0, 1));
    // Other errors are still reported.
    std::fs::create_dir(begun.folder.path().join("journal-2")).unwrap();
    assert_eq!(Estate::read(dir, worker).problems.len(), whole.problems.len() + 1);
}
