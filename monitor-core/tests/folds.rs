//! Calls that are counted instead of recorded: every one is either told singly or counted, and in the right fold.

#![cfg(feature = "record")]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::future::{Future, poll_fn};
use std::panic::{catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use monitor_core::private::probe::*;
use monitor_core::private::{Guard, How, Site, call, call_simply, run_simply, site};
use monitor_core::record::{Ended, Folded, Origin, Outcome, Record, Started};
use monitor_core::{Context, Process, fold, queue, switch};
use proptest::prelude::*;

const AFTER: u64 = 10;

/// A program has one receiver, so its tests take turns.
static RECEIVER: Mutex<Option<queue::Receiver>> = Mutex::new(None);

fn with_receiver<T>(test: impl FnOnce(&mut queue::Receiver) -> T) -> T {
    let mut receiver = RECEIVER.lock().unwrap_or_else(PoisonError::into_inner);
    let receiver = receiver.get_or_insert_with(|| {
        fold::set_after(AFTER);
        let mut receiver = queue::open(1 << 30).expect("opened once");
        // From here on it is known what a tick is.
        receiver.look(Duration::ZERO);
        switch::turn_on();
        receiver
    });
    while let Some(entry) = receiver.try_recv() {
        receiver.release(entry.bytes);
    }
    test(receiver)
}

fn name_of(origin: &Origin) -> String {
    match origin {
        Origin::Site(site) => site.name.to_owned(),
        Origin::Named(named) => named.name.clone(),
    }
}

/// What was told.
#[derive(Debug, Default)]
struct Told {
    starts: HashMap<u64, Started>,
    ends: HashMap<u64, Ended>,
    folds: HashMap<u64, Folded>,
    /// Folds that are over.
    over: HashSet<u64>,
    /// Parents that were not told of before their children: they run, and are no folds.
    awaited: HashSet<u64>,
}

impl Told {
    fn add(&mut self, record: Record) {
        match record {
            Record::Started(started) => {
                self.note_parent(started.parent);
                assert!(self.starts.insert(started.id, started).is_none(), "started twice");
            }
            Record::Ended(ended) => assert!(self.ends.insert(ended.id, ended).is_none(), "ended twice"),
            Record::Folded(folded) => {
                self.note_parent(folded.parent);
                assert!(!self.awaited.contains(&folded.mark), "told after what hangs below it: {folded:?}");
                assert!(!self.over.contains(&folded.mark), "nothing comes after the last: {folded:?}");
                if folded.is_last {
                    self.over.insert(folded.mark);
                    let counted: u64 = folded.histogram.iter().map(|(_, count)| count).sum();
                    assert_eq!((folded.running, folded.count), (0, counted), "{folded:?}");
                }
                if let Some(before) = self.folds.insert(folded.mark, *folded) {
                    assert!(before.revision < self.folds[&before.mark].revision);
                }
            }
            Record::Updated(updated) => assert!(self.starts.contains_key(&updated.id), "told before its start: {updated:?}"),
            Record::Logged(logged) => assert!(self.starts.contains_key(&logged.id), "told before its start: {logged:?}"),
        }
    }

    fn note_parent(&mut self, parent: u64) {
        if parent != 0 && !self.starts.contains_key(&parent) && !self.folds.contains_key(&parent) {
            self.awaited.insert(parent);
        }
    }

    fn drain(&mut self, receiver: &mut queue::Receiver) {
        while let Some(entry) = receiver.try_recv() {
            receiver.release(entry.bytes);
            self.add(entry.record);
        }
        for parent in self.awaited.drain() {
            assert!(self.starts.contains_key(&parent), "nobody has told of the parent {parent:x}");
        }
    }

    fn look(&mut self, receiver: &mut queue::Receiver) {
        receiver.look(Duration::from_millis(5));
        while let Some(entry) = receiver.take() {
            receiver.release(entry.bytes);
            self.add(entry.record);
        }
    }

    /// Names from the top down to a process or fold.
    fn path(&self, parent: u64, name: &str) -> String {
        if let Some(fold) = self.folds.get(&parent) {
            return format!("{}/{name}", self.path(fold.parent, &name_of(&fold.origin)));
        }
        match self.starts.get(&parent) {
            Some(started) => format!("{}/{name}", self.path(started.parent, &name_of(&started.origin))),
            None => name.to_owned(),
        }
    }

    /// How many there were of each path and outcome, told singly and counted.
    fn counts(&self) -> BTreeMap<(String, &'static str), [u64; 2]> {
        let mut counts = BTreeMap::<_, [u64; 2]>::new();
        for (id, started) in &self.starts {
            let outcome = match self.ends.get(id).map(|ended| &ended.outcome) {
                None => "running",
                Some(Outcome::Succeeded) => "succeeded",
                Some(Outcome::Cancelled) => "cancelled",
                Some(Outcome::Failed(_)) => "failed",
            };
            counts.entry((self.path(started.parent, &name_of(&started.origin)), outcome)).or_default()[0] += 1;
        }
        for folded in self.folds.values() {
            let path = self.path(folded.parent, &name_of(&folded.origin));
            let succeeded = folded.count - folded.running - folded.failed - folded.cancelled;
            let all = [("running", folded.running), ("succeeded", succeeded), ("failed", folded.failed), ("cancelled", folded.cancelled)];
            for (outcome, count) in all {
                if count > 0 {
                    counts.entry((path.clone(), outcome)).or_default()[1] += count;
                }
            }
        }
        counts
    }

    fn of(&self, path: &str, outcome: &'static str) -> [u64; 2] {
        self.counts().get(&(path.to_owned(), outcome)).copied().unwrap_or_default()
    }
}

/// Sites of several names.
fn site(number: usize) -> &'static Site {
    match number % 7 {
        0 => site!("a", "normal", 1),
        1 => site!("b", "normal", 1),
        2 => site!("c", "normal", 1),
        3 => site!("d", "normal", 1),
        4 => site!("e", "normal", 1),
        5 => site!("f", "normal", 1),
        _ => site!("g", "normal", 1),
    }
}

fn enter(number: usize) -> Guard {
    Guard::enter(site(number), How::Normal)
}

fn fails(number: usize) {
    let returned = call(site(number), How::Normal, (), |()| Err::<(), _>("no".to_owned()));
    let _ = returned.finish(|returned| (&&&&Returned(returned)).failure());
}

fn panics(number: usize) {
    let _ = catch_unwind(|| call_simply(site(number), How::Normal, (), |()| resume_unwind(Box::new("a panic"))));
}

fn top() -> monitor_core::Entered {
    Process::start("top").enter()
}

async fn waits(number: usize, polls: usize) {
    let mut left = polls;
    let work = poll_fn(|_| {
        if left == 0 {
            drop(enter(6));
            return Poll::Ready(());
        }
        left -= 1;
        Poll::Pending
    });
    run_simply(site(number), How::Normal, work).await;
}

fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut std::task::Context::from_waker(Waker::noop()))
}

fn total(counts: [u64; 2]) -> u64 {
    counts[0] + counts[1]
}

#[test]
fn beyond_a_number_children_of_one_name_are_counted() {
    with_receiver(|receiver| {
        let mut told = Told::default();
        {
            let _top = top();
            for _ in 0..1_000 {
                drop(enter(0));
            }
            drop(enter(1));
            told.drain(receiver);
            assert_eq!(total(told.of("top/a", "succeeded")), 1_000);
            assert!(told.of("top/a", "succeeded")[1] > 900, "{:?}", told.counts());
            assert_eq!(told.of("top/b", "succeeded"), [1, 0]);
            for _ in 0..100 {
                drop(enter(0));
            }
            told.drain(receiver);
            assert_eq!(total(told.of("top/a", "succeeded")), 1_100);
        }
        told.drain(receiver);
        assert_eq!(told.over.len(), told.folds.len(), "the parent has ended");
        let fold = told.folds.values().next().expect("one");
        let (min, max) = fold.range_ns.expect("some ended");
        assert!(min <= max && fold.count * min <= fold.total_ns && fold.total_ns <= fold.count * (max + 1), "{fold:?}");
    });
}

#[test]
fn failures_are_kept_singly_up_to_a_number_and_all_are_counted() {
    with_receiver(|receiver| {
        let mut told = Told::default();
        {
            let _top = top();
            for number in 0..500 {
                if number % 2 == 0 { fails(0) } else { panics(0) }
            }
        }
        told.drain(receiver);
        let [singly, counted] = told.of("top/a", "failed");
        assert_eq!(singly + counted, 500);
        assert!((AFTER + 100..AFTER + 110).contains(&singly), "{singly}");
        for ended in told.ends.values() {
            if let Outcome::Failed(failure) = &ended.outcome {
                assert!(["no", "a panic"].contains(&&*failure.message), "{failure:?}");
            }
        }
    });
}

#[test]
fn a_call_whose_ids_are_read_is_told_singly_and_so_is_what_hangs_below_it() {
    with_receiver(|receiver| {
        let mut told = Told::default();
        {
            let _top = top();
            for _ in 0..100 {
                drop(enter(0));
            }
            let _outer = enter(0);
            let context = Context::current().expect("current");
            drop(enter(1));
            told.drain(receiver);
            assert!(told.starts.contains_key(&context.process()));
            assert_eq!(told.of("top/a/b", "succeeded"), [1, 0]);
            thread::spawn(move || {
                let _current = context.enter();
                for _ in 0..100 {
                    drop(enter(2));
                }
            })
            .join()
            .expect("no panic");
        }
        told.drain(receiver);
        assert_eq!(told.of("top/a", "running"), [0, 0]);
        assert_eq!(total(told.of("top/a", "succeeded")), 101);
        assert_eq!(total(told.of("top/a/c", "succeeded")), 100);
        assert!(told.of("top/a/c", "succeeded")[1] > 50, "children of a context fold as well");
    });
}

#[test]
fn folds_nest() {
    with_receiver(|receiver| {
        let mut told = Told::default();
        {
            let _top = top();
            for _ in 0..100 {
                let _outer = enter(0);
                drop(enter(1));
                fails(2);
            }
        }
        told.drain(receiver);
        assert_eq!(total(told.of("top/a", "succeeded")), 100);
        assert_eq!((total(told.of("top/a/b", "succeeded")), total(told.of("top/a/c", "failed"))), (100, 100));
        assert!(told.of("top/a/b", "succeeded")[1] > 50, "{:?}", told.counts());
        assert_eq!(told.over.len(), told.folds.len());
    });
}

#[test]
fn what_runs_is_counted_as_running_and_told_singly_after_a_second() {
    with_receiver(|receiver| {
        let mut told = Told::default();
        let _top = top();
        for _ in 0..100 {
            drop(enter(0));
        }
        let hangs = enter(0);
        let inner = enter(1);
        told.drain(receiver);
        assert_eq!(told.of("top/a", "running"), [0, 1], "{:?}", told.counts());
        thread::sleep(Duration::from_millis(1_010));
        told.drain(receiver);
        assert_eq!(told.of("top/a", "running"), [1, 0], "{:?}", told.counts());
        drop(inner);
        drop(hangs);
        told.drain(receiver);
        assert_eq!(total(told.of("top/a", "succeeded")), 101);
        assert_eq!(told.of("top/a", "running"), [0, 0]);
    });
}

#[test]
fn more_names_than_a_parent_has_at_hand_are_counted_each() {
    with_receiver(|receiver| {
        let mut told = Told::default();
        {
            let _top = top();
            for number in 0..7_000 {
                drop(enter(number));
            }
        }
        told.drain(receiver);
        for name in ["a", "b", "c", "d", "e", "f", "g"] {
            let counts = told.of(&format!("top/{name}"), "succeeded");
            assert_eq!(total(counts), 1_000);
            assert!(counts[1] > 900, "{name}: {counts:?}");
        }
    });
}

#[test]
fn roots_are_never_folded() {
    with_receiver(|receiver| {
        let mut told = Told::default();
        let root = site!("root", "root", 1);
        for _ in 0..100 {
            drop(Guard::enter(root, How::Root));
        }
        {
            let _top = top();
            for _ in 0..100 {
                drop(Guard::enter(root, How::Root));
            }
        }
        told.drain(receiver);
        assert_eq!((told.of("root", "succeeded"), told.of("top/root", "succeeded"), told.folds.len()), ([100, 0], [100, 0], 0));
    });
}

#[test]
fn futures_are_counted_wherever_they_end() {
    with_receiver(|receiver| {
        let mut told = Told::default();
        let mut futures: Vec<Pin<Box<dyn Future<Output = ()> + Send>>> = Vec::new();
        {
            let _top = top();
            futures.extend((0..1_000).map(|_| Box::pin(waits(0, 2)) as _));
            for future in &mut futures {
                assert!(poll(future.as_mut()).is_pending());
            }
        }
        told.drain(receiver);
        assert_eq!(total(told.of("top/a", "running")), 1_000);
        assert!(told.of("top/a", "running")[1] > 900);
        let elsewhere = futures.split_off(500);
        for mut future in futures.drain(..400) {
            while poll(future.as_mut()).is_pending() {}
        }
        drop(futures);
        told.drain(receiver);
        thread::spawn(move || {
            let _other = Process::start("other").enter();
            let mut elsewhere = elsewhere;
            for mut future in elsewhere.drain(..400) {
                while poll(future.as_mut()).is_pending() {}
            }
            drop(elsewhere);
        })
        .join()
        .expect("no panic");
        told.drain(receiver);
        assert_eq!((total(told.of("top/a", "succeeded")), total(told.of("top/a", "cancelled"))), (800, 200), "{:?}", told.counts());
        assert!(told.of("top/a", "cancelled")[1] > 150, "{:?}", told.counts());
        assert_eq!(total(told.of("top/a/g", "succeeded")), 800);
        assert_eq!(told.over.len(), told.folds.len(), "{:?}", told.counts());
    });
}

#[test]
fn slots_of_folds_are_used_again() {
    with_receiver(|receiver| {
        let mut told = Told::default();
        for _ in 0..2_000 {
            {
                let _top = top();
                for _ in 0..20 {
                    drop(enter(0));
                }
            }
            told.look(receiver);
        }
        told.drain(receiver);
        assert_eq!(total(told.of("top/a", "succeeded")), 40_000);
        assert_eq!((told.folds.len(), told.over.len()), (2_000, 2_000));
        assert_eq!(queue::dropped(), []);
    });
}

#[test]
fn a_context_that_is_pushed_again_and_again_folds_what_is_below_it() {
    with_receiver(|receiver| {
        let mut told = Told::default();
        {
            let top = top();
            let context = top.context().expect("recorded");
            for _ in 0..100 {
                thread::spawn(move || {
                    let _current = context.enter();
                    for _ in 0..10 {
                        drop(enter(0));
                    }
                })
                .join()
                .expect("no panic");
                told.look(receiver);
            }
        }
        told.drain(receiver);
        let counts = told.of("top/a", "succeeded");
        assert_eq!(total(counts), 1_000);
        assert!(counts[1] > 500, "{counts:?}");
    });
}

#[test]
fn processes_by_name_are_counted_for_all_threads_together() {
    with_receiver(|receiver| {
        let mut told = Told::default();
        {
            let top = top();
            let context = top.context().expect("recorded");
            thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(move || (0..50).for_each(|_| drop(Process::start("a").parent(context).begin())));
                }
            });
            told.look(receiver);
            let [singly, counted] = told.of("top/a", "succeeded");
            let slow = singly - AFTER;
            assert!(slow < 10 && counted <= 400 - singly, "{singly} singly, {counted} counted");
        }
        told.drain(receiver);
        assert_eq!(total(told.of("top/a", "succeeded")), 400);
        assert_eq!((told.folds.len(), told.over.len()), (1, 1));
    });
}

#[test]
fn of_processes_by_name_failures_are_kept_singly_up_to_a_number() {
    with_receiver(|receiver| {
        let mut told = Told::default();
        {
            let _top = top();
            (0..500).for_each(|_| Process::start("a").begin().fail("no"));
        }
        told.drain(receiver);
        let [singly, counted] = told.of("top/a", "failed");
        assert_eq!(singly + counted, 500);
        assert!((AFTER + 100..AFTER + 110).contains(&singly), "{singly}");
    });
}

#[test]
fn a_process_by_name_is_told_singly_if_its_ids_are_known_it_says_something_or_runs_for_long() {
    with_receiver(|receiver| {
        let mut told = Told::default();
        {
            let top = top();
            (0..100).for_each(|_| drop(Process::start("a").begin()));
            told.look(receiver);
            let handed_on = Process::start("a").begin();
            let by_itself = handed_on.context().expect("recorded");
            let current = Process::start("a").enter();
            // To be the parent of others is not to be known to them.
            drop(Process::start("b").begin());
            drop(enter(2));
            let as_current = Context::current().expect("current").process();
            current.succeed();
            drop(handed_on);
            let says = Process::start("a").begin();
            says.field("key", "value");
            drop(says);
            drop(Process::start("a").field("key", "value").begin());
            let unknown = Process::start("a").enter();
            drop(Process::start("b").begin());
            unknown.succeed();
            let runs = Process::start("a").parent(top.context().expect("recorded")).begin();
            told.look(receiver);
            assert!(told.starts.contains_key(&by_itself.process()) && told.starts.contains_key(&as_current));
            let [singly, _] = told.of("top/a", "succeeded");
            assert_eq!(told.of("top/a", "running"), [0, 0], "held back");
            thread::sleep(Duration::from_millis(1_010));
            told.look(receiver);
            assert_eq!(told.of("top/a", "running"), [1, 0]);
            runs.succeed();
            told.look(receiver);
            assert_eq!(told.of("top/a", "succeeded")[0], singly + 1);
        }
        told.drain(receiver);
        assert_eq!(total(told.of("top/a", "succeeded")), 106);
        let [singly, counted] = told.of("top/a", "succeeded");
        assert!(counted > 80 && singly >= AFTER + 5, "{singly} {counted}");
        assert_eq!((total(told.of("top/a/b", "succeeded")), total(told.of("top/a/c", "succeeded"))), (2, 1));
    });
}

#[test]
fn what_is_held_back_is_told_to_who_asks_for_all_that_runs() {
    with_receiver(|receiver| {
        let mut told = Told::default();
        let _top = top();
        (0..100).for_each(|_| drop(Process::start("a").begin()));
        let runs = Process::start("a").begin();
        told.look(receiver);
        assert_eq!(told.of("top/a", "running"), [0, 0]);
        assert_eq!(receiver.taken().held.len(), 1, "and said to be so");
        told.drain(receiver);
        assert_eq!(told.of("top/a", "running"), [1, 0]);
        drop(runs);
    });
}

/// What a thread does.
#[derive(Debug, Clone)]
enum Step {
    /// A call of this name, so many times.
    Calls(usize, u64),
    Fails(usize, u64),
    Panics(usize),
    /// Futures of this name that are polled once, and then to their end, dropped, or ended by another thread.
    Futures(usize, u64, End),
    /// So many times a call of this name that does what is in it.
    Nested(usize, u64, Vec<Step>),
    /// A call of this name that reads its ids.
    Reads(usize),
    /// So many times a process of this name, begun by hand, that does what is in it.
    ByHand(usize, u64, Vec<Step>, ByHand),
    /// The same as a future, which is polled twice.
    Instrumented(usize, u64),
}

#[derive(Debug, Clone, Copy)]
enum ByHand {
    Succeeds,
    Fails,
    Cancelled,
    /// Others may know its ids, by the process itself or because it is current.
    HandedOn,
    Current,
    /// It has something of its own to say.
    Says,
}

#[derive(Debug, Clone, Copy)]
enum End {
    Here,
    Dropped,
    There,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let end = prop_oneof![Just(End::Here), Just(End::Dropped), Just(End::There)];
    let leaf = prop_oneof![
        (0..7_usize, 0..60_u64).prop_map(|(name, count)| Step::Calls(name, count)),
        (0..7_usize, 0..30_u64).prop_map(|(name, count)| Step::Fails(name, count)),
        (0..7_usize).prop_map(Step::Panics),
        (0..7_usize, 0..40_u64, end).prop_map(|(name, count, end)| Step::Futures(name, count, end)),
        (0..7_usize).prop_map(Step::Reads),
        (0..7_usize, 0..40_u64).prop_map(|(name, count)| Step::Instrumented(name, count)),
    ];
    let step = leaf.prop_recursive(3, 24, 6, |inner| {
        let how = [ByHand::Succeeds, ByHand::Succeeds, ByHand::Fails, ByHand::Cancelled, ByHand::HandedOn, ByHand::Current, ByHand::Says];
        let inner = prop::collection::vec(inner, 0..4);
        prop_oneof![
            (0..7_usize, 0..30_u64, inner.clone()).prop_map(|(name, count, steps)| Step::Nested(name, count, steps)),
            (0..7_usize, 0..20_u64, inner, prop::sample::select(how.to_vec()))
                .prop_map(|(name, count, steps, how)| Step::ByHand(name, count, steps, how)),
        ]
    });
    prop::collection::vec(step, 0..12)
}

type Plain = BTreeMap<(String, &'static str), u64>;

const NAMES: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];

/// Does it, and counts plainly.
fn run(steps: &[Step], path: &str, plain: &mut Plain) {
    for step in steps {
        match step {
            Step::Calls(name, count) => {
                *plain.entry((format!("{path}/{}", NAMES[*name]), "succeeded")).or_default() += count;
                (0..*count).for_each(|_| drop(enter(*name)));
            }
            Step::Fails(name, count) => {
                *plain.entry((format!("{path}/{}", NAMES[*name]), "failed")).or_default() += count;
                (0..*count).for_each(|_| fails(*name));
            }
            Step::Panics(name) => {
                *plain.entry((format!("{path}/{}", NAMES[*name]), "failed")).or_default() += 1;
                panics(*name);
            }
            Step::Reads(name) => {
                *plain.entry((format!("{path}/{}", NAMES[*name]), "succeeded")).or_default() += 1;
                *plain.entry((format!("{path}/{}/g", NAMES[*name]), "succeeded")).or_default() += 1;
                let _guard = enter(*name);
                assert!(Context::current().is_some());
                drop(enter(6));
            }
            Step::Nested(name, count, steps) => {
                let path = format!("{path}/{}", NAMES[*name]);
                *plain.entry((path.clone(), "succeeded")).or_default() += count;
                for _ in 0..*count {
                    let _guard = enter(*name);
                    run(steps, &path, plain);
                }
            }
            Step::ByHand(name, count, steps, how) => {
                let path = format!("{path}/{}", NAMES[*name]);
                let outcome = match how {
                    ByHand::Fails => "failed",
                    ByHand::Cancelled => "cancelled",
                    _ => "succeeded",
                };
                *plain.entry((path.clone(), outcome)).or_default() += count;
                for _ in 0..*count {
                    let process = Process::start(NAMES[*name]).enter();
                    match how {
                        ByHand::HandedOn => {
                            *plain.entry((format!("{path}/f"), "succeeded")).or_default() += 1;
                            let context = process.context().expect("recorded");
                            drop(Process::start("f").parent(context).begin());
                        }
                        ByHand::Current => assert!(Context::current().is_some()),
                        ByHand::Says => process.field("key", 1),
                        ByHand::Succeeds | ByHand::Fails | ByHand::Cancelled => {}
                    }
                    run(steps, &path, plain);
                    match how {
                        ByHand::Fails => process.fail("no"),
                        ByHand::Cancelled => process.cancel(),
                        _ => process.succeed(),
                    }
                }
            }
            Step::Instrumented(name, count) => {
                let path = format!("{path}/{}", NAMES[*name]);
                *plain.entry((path.clone(), "succeeded")).or_default() += count;
                *plain.entry((format!("{path}/a/g"), "succeeded")).or_default() += count;
                *plain.entry((format!("{path}/a"), "succeeded")).or_default() += count;
                for _ in 0..*count {
                    let mut future = Box::pin(Process::start(NAMES[*name]).instrument(waits(0, 1)));
                    assert!(poll(future.as_mut()).is_pending());
                    assert!(poll(future.as_mut()).is_ready());
                }
            }
            Step::Futures(name, count, end) => {
                let path = format!("{path}/{}", NAMES[*name]);
                let outcome = if matches!(end, End::Dropped) { "cancelled" } else { "succeeded" };
                *plain.entry((path.clone(), outcome)).or_default() += count;
                let mut futures: Vec<_> = (0..*count).map(|_| Box::pin(waits(*name, 1))).collect();
                for future in &mut futures {
                    assert!(poll(future.as_mut()).is_pending());
                }
                if matches!(end, End::Dropped) {
                    continue;
                }
                *plain.entry((format!("{path}/g"), "succeeded")).or_default() += count;
                let mut finish = move || futures.iter_mut().for_each(|future| assert!(poll(future.as_mut()).is_ready()));
                if matches!(end, End::Here) {
                    finish();
                } else {
                    thread::scope(|scope| scope.spawn(finish).join().expect("no panic"));
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_call_is_told_singly_or_counted_in_its_fold(threads in prop::collection::vec(steps(), 1..4)) {
        with_receiver(|receiver| {
            let mut told = Told::default();
            let mut plain = Plain::new();
            let top = top();
            let context = top.context().expect("recorded");
            let before = queue::dropped();
            let threads: Vec<_> = threads
                .into_iter()
                .map(|steps| {
                    thread::spawn(move || {
                        let _current = context.enter();
                        let mut plain = Plain::new();
                        run(&steps, "top", &mut plain);
                        plain
                    })
                })
                .collect();
            while threads.iter().any(|thread| !thread.is_finished()) {
                told.look(receiver);
            }
            for thread in threads {
                for (key, count) in thread.join().expect("no panic") {
                    *plain.entry(key).or_default() += count;
                }
            }
            drop(top);
            plain.insert(("top".to_owned(), "succeeded"), 1);
            told.drain(receiver);
            prop_assert_eq!(queue::dropped(), before);
            let counted: Plain = told.counts().into_iter().map(|(key, counts)| (key, total(counts))).collect();
            plain.retain(|_, count| *count > 0);
            prop_assert_eq!(counted, plain);
            prop_assert_eq!(told.over.len(), told.folds.len(), "all is over");
            Ok(())
        })?;
    }
}
