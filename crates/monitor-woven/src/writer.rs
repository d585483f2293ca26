//! Thread that moves records from the rings to the journal. The program waits for it only at its exit.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver as Commands, Sender};
use std::sync::{Arc, OnceLock};
use std::task::{Context as Task, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use monitor_core::image::LAYOUT;
use monitor_core::own::Own;
use monitor_core::queue::{self, Clock, Receiver};
use monitor_core::{Context, exit, fork, inside, switch};
use monitor_spool::settings::{FOLD_BELOW, Log, Reader, Settings};
use monitor_spool::wire::{Dropped, Registered, RootId, Source, WorkerId, WorkerRef};
use monitor_spool::{
    About, Begun, Calibration, ClockSample, Folds, Journal, Marks, Meta, Parcel, Program, Spool, SpoolError, SpoolKeeper, now_us,
};

use crate::tests::TestRecords;
use crate::{programs, tests, threads, to_json};

/// Time after the first call during which only the necessary resources are created.
const FIRST: Duration = Duration::from_millis(20);
/// Time to wait for further records after the first one.
const LINGER: Duration = Duration::from_millis(20);
/// Running time after which a call is reported as running. A shorter call is reported when it ends.
const RUNNING_FOR: Duration = Duration::from_millis(5);

/// Settings read at the program's start. A forked child keeps them.
static SETTINGS: OnceLock<Settings> = OnceLock::new();
/// Handle of the writer thread, once it is started.
static WRITER: Own<Handle> = Own::new();

struct Handle {
    /// Requests the writing of all records and the goodbye, with a reply. Needed if records are only in memory.
    exit: Sender<Sender<()>>,
    thread: Thread,
    pid: u32,
    timeout: Duration,
    keeper: &'static SpoolKeeper,
    marks: Marks,
}

monitor_core::starter!(start);

/// Starts recording. Called at the first woven call of the program or of a forked child.
fn start() {
    let settings = SETTINGS.get_or_init(|| {
        let mut reader = Reader::new(&|name| std::env::var_os(name));
        let settings = Settings::read(&mut reader);
        for problem in reader.problems() {
            warn_if(settings.log == Log::Stderr, &problem);
        }
        settings
    });
    if !settings.enabled {
        return;
    }
    monitor_core::warn::set(warn);
    let inherited = || settings.inherited.and_then(|(root, parent)| Context::new(root.get(), parent.get()));
    if let Some(context) = programs::caller().or_else(inherited) {
        monitor_core::set_inherited(context);
    }
    fork::register(|| WRITER.forget());
    fork::awake();
    if let Err(why) = begin(settings) {
        fork::asleep();
        switch::turn_off();
        warn(&format!("nothing is recorded: {why}"));
    }
}

/// Enables recording and starts the writer thread.
fn begin(settings: &'static Settings) -> Result<(), Box<dyn std::error::Error>> {
    monitor_core::fold::set_after(settings.fold_after);
    monitor_core::strays::set(settings.strays);
    if let Some(filter) = &settings.filter {
        monitor_core::filter::set(filter);
    }
    switch::set_levels(&settings.events);
    let fold_below = settings.fold_below.unwrap_or(FOLD_BELOW);
    monitor_core::fold::set_below(fold_below);
    let Some(dir) = &settings.spool_dir else { return Err("there is no spool to keep it in (MONITOR_SPOOL_DIR)".into()) };
    let started_us = now_us();
    let fold_below_ns = fold_below.as_nanos() as u64;
    let about = About { launch: settings.launch.clone(), fold_below_ns, ..About::this(identity(), env!("CARGO_PKG_VERSION"), started_us) };
    let Clock { ticks, wall_ns, is_counter, .. } = Clock::now();
    let sample = ClockSample { ticks, wall_ns, is_counter };
    let begun = Spool::open(dir)?.begin(&about, sites(), u64::from(LAYOUT), sample, settings.spool_bytes)?;
    let Begun { program, journal, lane, pieces, folder: _ } = begun;
    let keeper: &'static SpoolKeeper = Box::leak(Box::new(SpoolKeeper::new(pieces, lane, program.marks(), to_json::queued)));
    let receiver = queue::open_with(settings.buffer_bytes, keeper).ok_or("it is recorded already")?;
    let (exit, commands) = mpsc::channel();
    let (marks, heartbeat) = (program.marks(), settings.heartbeat);
    let writer = Writer {
        receiver,
        commands,
        keeper,
        program,
        journal,
        folds: Folds::default(),
        test_records: TestRecords::default(),
        next: 1,
        heartbeat,
        has_warned: false,
    };
    exit::register(at_exit);
    threads::follow();
    programs::follow();
    let runs_tests = tests::expect();
    switch::turn_on();
    let spawned = thread::Builder::new().name("monitor-writer".to_owned()).spawn(move || {
        // Allocations of this thread must not be recorded.
        inside::stay();
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| writer.run(started_us))) {
            let words = payload.downcast_ref::<&str>().copied().or(payload.downcast_ref::<String>().map(String::as_str));
            warn(&format!("nothing more is recorded: {}", words.unwrap_or("a panic")));
            // The payload may panic again when dropped.
            std::mem::forget(payload);
        }
        switch::turn_off();
        fork::asleep();
    })?;
    let thread = spawned.thread().clone();
    WRITER.set(Handle { exit, thread, pid: std::process::id(), timeout: settings.exit_timeout, keeper, marks });
    if runs_tests {
        tests::begin();
    }
    Ok(())
}

fn identity() -> WorkerRef {
    let pid = std::process::id();
    // Two hashers seeded by the operating system.
    let random = |salt: u64| u128::from(RandomState::new().hash_one((salt, pid, now_us())));
    let program = std::env::current_exe().ok().or_else(|| std::env::args_os().next().map(Into::into));
    WorkerRef {
        id: WorkerId::new(random(1) << 64 | random(2) | 1).expect("the lowest bit is set"),
        hostname: monitor_spool::hostname(),
        pid,
        program: program.and_then(|path| path.file_stem().map(|name| name.to_string_lossy().into_owned())).unwrap_or_default(),
    }
}

/// Returns all woven functions, which a reader of the rings needs.
fn sites() -> impl Iterator<Item = Registered> {
    monitor_core::registered().iter().map(|site| Registered {
        name: site.name.to_owned(),
        kind: site.kind.into(),
        source: Source { file: site.file.to_owned(), line: site.line },
    })
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

struct Writer {
    receiver: Receiver,
    commands: Commands<Sender<()>>,
    keeper: &'static SpoolKeeper,
    program: Program,
    journal: Journal,
    folds: Folds,
    test_records: TestRecords,
    /// Number of the next event.
    next: u64,
    heartbeat: Duration,
    /// True if a warning about dropped records was printed.
    has_warned: bool,
}

impl Writer {
    fn run(mut self, started_us: u64) {
        // A program that ends sooner leaves only its first ring.
        fork::asleep();
        let mut exit = self.commands.recv_timeout(FIRST).ok();
        fork::awake();
        self.keeper.prepare();
        self.put(&[to_json::online(started_us, env!("CARGO_PKG_VERSION"), self.heartbeat.as_millis() as u64)], Vec::new());
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut beaten = Instant::now();
        loop {
            exit = exit.or_else(|| self.commands.try_recv().ok());
            while self.gather(if exit.is_some() { Duration::ZERO } else { RUNNING_FOR }) {
                fork::give_way();
            }
            if let Some(done) = exit {
                self.put(&[to_json::worker("worker-offline", now_us())], Vec::new());
                // If this fails, the exiting thread has stopped waiting.
                let _ = done.send(());
                return;
            }
            if beaten.elapsed() >= self.heartbeat {
                beaten = Instant::now();
                self.put(&[to_json::worker("worker-heartbeat", now_us())], Vec::new());
            }
            if self.receiver.poll_news(&mut Task::from_waker(&waker)).is_pending() {
                fork::asleep();
                let beat = self.heartbeat.saturating_sub(beaten.elapsed());
                thread::park_timeout(self.test_records.next_slow(now_us()).map_or(beat, |slow| beat.min(slow.max(LINGER))));
                fork::awake();
            }
            // Wait for further records, unless this is the order to exit.
            if self.receiver.poll_news(&mut Task::from_waker(&waker)).is_ready() {
                fork::asleep();
                thread::park_timeout(LINGER);
                fork::awake();
            }
        }
    }

    /// Moves records into the journal, up to the size of a batch. Returns true if there were any.
    fn gather(&mut self, running_for: Duration) -> bool {
        let has_taken = self.receiver.look(running_for);
        let (mut events, mut others, mut bytes) = (Vec::new(), Vec::new(), 0);
        while let Some(entry) = self.receiver.take() {
            bytes += entry.bytes;
            // Tests get consecutive numbers. Events within tests may be omitted, and each gap in the numbers costs an additional request.
            let list = if self.test_records.contains(&entry.record) { &mut events } else { &mut others };
            list.extend(to_json::event(&entry.record, &mut self.folds));
        }
        events.append(&mut others);
        let now_us = now_us();
        let slow_tests = match self.test_records.next_slow(now_us) {
            Some(Duration::ZERO) => self.test_records.slow(now_us, &self.receiver.certainly_running()),
            _ => Vec::new(),
        };
        let Clock { ticks, wall_ns, ns_per_tick, .. } = self.receiver.clock();
        self.program.calibrate(Calibration { ticks, wall_ns, ns_per_tick });
        self.put(&events, slow_tests);
        self.receiver.commit();
        queue::release(bytes);
        self.keeper.prepare();
        if let Some(why) = self.keeper.failure() {
            self.warn_once(&why);
        }
        has_taken
    }

    /// Numbers events and appends them with the recording positions of rings and lane.
    fn put(&mut self, events: &[String], slow_tests: Vec<u64>) {
        if events.is_empty() && slow_tests.is_empty() {
            return;
        }
        let parcel = Parcel::plain(self.next, events.len() as u64, format!("[{}]", events.join(",")).as_bytes());
        let taken = self.receiver.taken();
        let dropped = queue::dropped().into_iter().map(|(drop, count)| Dropped {
            event_type: drop.event.to_owned(),
            reason: drop.reason.to_owned(),
            root_id: drop.root.and_then(RootId::new),
            count,
        });
        let meta = Meta {
            taken: taken.rings.iter().copied().collect(),
            lane: taken.queue,
            held: taken.held,
            slow_tests,
            dropped: dropped.collect(),
        };
        self.journal.acknowledge(self.program.followed());
        if let Some(why) = self.journal.append_on_full_disk(&parcel, &meta) {
            self.warn_once(&why);
        }
        self.next += parcel.count();
        self.program.advance(self.next, taken.queue);
        self.keeper.settled(taken.settled);
    }

    /// Prints a warning once. The journal stores the records that fit and counts the dropped ones.
    fn warn_once(&mut self, why: &SpoolError) {
        if !std::mem::replace(&mut self.has_warned, true) {
            warn(&format!("not all that is recorded can be kept: {why}"));
        }
    }
}

fn at_exit(code: Option<i32>) {
    let _ = catch_unwind(|| {
        let Some(writer) = WRITER.get() else { return };
        // A child created without the C library's `fork` has a copy of this handle, but no thread.
        if writer.pid != std::process::id() || inside::is_inside() {
            return;
        }
        tests::end(code);
        exit::ended_by(code);
        // If the thread has ended, it can't reply.
        if !switch::turn_off() {
            return;
        }
        // The shipper reads the rings and sends the goodbye for this program, so nothing needs to be encoded here.
        if writer.keeper.is_whole() {
            return writer.marks.ended(now_us());
        }
        let (done, answer) = mpsc::channel();
        if writer.exit.send(done).is_ok() {
            writer.thread.unpark();
            if answer.recv_timeout(writer.timeout).is_err() {
                writer.marks.ended(now_us());
            }
        }
    });
}

/// Prints a warning if the user has enabled it, because stderr belongs to the woven program.
fn warn(message: &str) {
    warn_if(SETTINGS.get().is_some_and(|settings| settings.log == Log::Stderr), message);
}

fn warn_if(is_asked: bool, message: &str) {
    if is_asked {
        let _ = io::stderr().write_all(format!("monitor: warning: {message}\n").as_bytes());
    }
}
