//! A spool in a temporary folder, and programs that write to it.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use monitor_spool::{About, Answer, Batches, Begun, ClockSample, Entry, Meta, Parcel, Replay, Spool};
use monitor_wire::{Event, Kind, Registered, Source, WorkerId, WorkerRef};
use tempfile::TempDir;

pub(crate) const LIMIT: u64 = 64 << 20;

pub(crate) struct TestSpool {
    pub(crate) spool: Spool,
    pub(crate) dir: TempDir,
}

impl TestSpool {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let spool = Spool::open(&dir.path().join("spool")).expect("a spool");
        Self { spool, dir }
    }

    pub(crate) fn begin(&self) -> Begun {
        self.begin_within(LIMIT)
    }

    pub(crate) fn begin_within(&self, limit_bytes: u64) -> Begun {
        begin(&self.spool, limit_bytes)
    }

    /// Claims the folder of a program that has just died.
    pub(crate) fn replay(&self, worker: WorkerId) -> Replay {
        self.spool.claim(worker).expect("trusted").expect("dead")
    }
}

/// Creates a command that runs this test program again, with only the given test. In the child, where `SPOOL` is set, this call runs `body`
/// and exits.
pub(crate) fn child(test: &str, body: impl FnOnce(Spool)) -> Command {
    if let Some(dir) = std::env::var_os("SPOOL") {
        body(Spool::open(dir.as_ref()).expect("a spool"));
        std::process::exit(0);
    }
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", test, "--nocapture"]).stdout(Stdio::piped()).stdin(Stdio::piped());
    command
}

/// Writes a line to the parent, past the test harness.
pub(crate) fn say(line: &str) {
    use std::io::Write;
    let mut out = std::io::stdout();
    writeln!(out, "{line}").and_then(|()| out.flush()).expect("a parent");
}

pub(crate) fn begin(spool: &Spool, limit_bytes: u64) -> Begun {
    begin_as(spool, &about(), limit_bytes)
}

pub(crate) fn begin_as(spool: &Spool, about: &About, limit_bytes: u64) -> Begun {
    let clock = ClockSample { ticks: 1_000, wall_ns: 1_763_600_000_000_000_000, is_counter: false };
    spool.begin(about, sites(), u64::from(monitor_core::image::LAYOUT), clock, limit_bytes).expect("a folder")
}

pub(crate) fn about() -> About {
    // Without a process start, no other process with the same pid is taken for it.
    let worker = WorkerRef { id: worker_id(), hostname: "build-7".to_owned(), pid: std::process::id(), program: "nightly".to_owned() };
    About::this(worker, "1.2.3", 1_763_600_000_000_000)
}

pub(crate) fn worker_id() -> WorkerId {
    let random = || u128::from(RandomState::new().hash_one(0));
    WorkerId::new(random() << 64 | random() | 1).expect("not zero")
}

pub(crate) fn sites() -> impl Iterator<Item = Registered> {
    (0..3).map(|line| Registered {
        name: format!("step {line}"),
        kind: Kind::from("normal"),
        source: Source { file: "src/main.rs".to_owned(), line },
    })
}

/// Creates a start of the process with this number.
pub(crate) fn event(number: u64) -> Event {
    let json = serde_json::json!({
        "type": "process-started", "root_id": "0199a3ce929d0e0e47360199a3ce929d", "id": format!("{number:016x}"),
        "kind": "normal", "name": "compile", "time_us": 0,
    });
    serde_json::from_value(json).expect("an event")
}

pub(crate) fn json(number: u64) -> Vec<u8> {
    serde_json::to_vec(&event(number)).expect("JSON")
}

/// Appends a batch of events whose processes have the events' numbers.
pub(crate) fn journal(begun: &mut Begun, first: u64, count: u64) {
    let events: Vec<Event> = (first..first + count).map(event).collect();
    let parcel = Parcel::encode(first, &events).expect("events");
    begun.journal.append(&parcel, &Meta::default()).expect("room");
    begun.program.advance(first + count, 0);
}

/// Appends starts of processes with these numbers.
pub(crate) fn lane(begun: &Begun, numbers: impl IntoIterator<Item = u64>) {
    for number in numbers {
        begun.lane.append(&Entry::Sent { begun: 0, at: 1_000 + number, event: &json(number) }).expect("room");
    }
}

/// Accepts all batches and returns the numbers of events and processes.
pub(crate) fn drain(replay: &mut Replay) -> Vec<(u64, u64)> {
    let mut found = Vec::new();
    while let Some(parcel) = replay.next() {
        let first = parcel.first();
        found.extend((first..).zip(processes(parcel)));
        replay.settle(&Answer::Accepted);
    }
    found
}

/// Returns the numbers of the processes of a batch's events; 0 for other events.
pub(crate) fn processes(parcel: &Parcel) -> Vec<u64> {
    let worker = WorkerRef { id: worker_id(), hostname: String::new(), pid: 0, program: String::new() };
    let head = monitor_spool::Head { worker: &worker, sent_us: 0, dropped: &[], lost: false };
    let events = parcel.batch(&head).expect("a batch").events;
    let id = |event: &Event| match event {
        Event::ProcessStarted(event) => event.id.get(),
        Event::ProcessEnded(event) => event.id.get(),
        _ => 0,
    };
    events.iter().map(id).collect()
}

pub(crate) fn file(begun_path: &std::path::Path, prefix: &str) -> PathBuf {
    let mut files: Vec<PathBuf> = std::fs::read_dir(begun_path)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix)))
        .collect();
    files.sort();
    files.into_iter().next().unwrap_or_else(|| panic!("no {prefix} in {}", begun_path.display()))
}
