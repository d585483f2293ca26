//! Tests of the guarantees that [`Ingest`] gives to senders of batches.

use std::sync::{Arc, Mutex, mpsc};

use monitor_store::memory::{Memory, MemoryStore};
use monitor_store::packed::{Limits, Packed};
use monitor_store::{
    AlertsChange, Changes, HeartbeatEdit, Intake, MissedPing, Queries, RootKey, StoreError, TaskChange, TasksChanged, Watched,
};
use monitor_wire::{Batch, Event, WorkerHeartbeat, WorkerId, WorkerRef};
use tokio::task::yield_now;

use super::{Ingest, IngestError, Settings};
use crate::clock::steered::Steered;

/// Store that reports each transaction to the test and waits for its permission, and that fails for one worker.
struct Gate {
    inner: MemoryStore,
    entered: mpsc::Sender<usize>,
    pass: Mutex<mpsc::Receiver<Pass>>,
}

enum Pass {
    Go,
    Panic,
}

const FAILING: u128 = 13;

impl Intake for Gate {
    fn append(&self, batches: &[Arc<Packed>], now_us: u64) -> Result<Changes, StoreError> {
        let _ = self.entered.send(batches.len());
        // If the test has dropped the sender, transactions proceed.
        if let Ok(Pass::Panic) = self.pass.lock().unwrap().recv() {
            panic!("the gate was told to");
        }
        if batches.iter().any(|batch| batch.worker.id.get() == FAILING) {
            return Err(StoreError::Cursor { cursor: "any error".to_owned() });
        }
        self.inner.append(batches, now_us)
    }

    fn change_tasks(&self, changes: &[TaskChange], now_us: u64) -> Result<(TasksChanged, Changes), StoreError> {
        self.inner.change_tasks(changes, now_us)
    }

    fn change_heartbeat(&self, edit: HeartbeatEdit, now_us: u64) -> Result<(bool, Changes), StoreError> {
        self.inner.change_heartbeat(edit, now_us)
    }

    fn miss_pings(&self, missed: &[MissedPing], now_us: u64) -> Result<Changes, StoreError> {
        self.inner.miss_pings(missed, now_us)
    }

    fn watch(&self, watched: Watched) -> Result<(), StoreError> {
        self.inner.watch(watched)
    }

    fn change_alerts(&self, change: &AlertsChange, now_us: u64) -> Result<bool, StoreError> {
        self.inner.change_alerts(change, now_us)
    }

    fn look(&self, is_well: bool) -> Result<(), StoreError> {
        self.inner.look(is_well)
    }

    fn find_overdue(&self, now_us: u64) -> Result<Changes, StoreError> {
        self.inner.find_overdue(now_us)
    }

    fn lose_workers(&self, now_us: u64, since_us: u64) -> Result<Changes, StoreError> {
        self.inner.lose_workers(now_us, since_us)
    }

    fn pin(&self, root: RootKey, is_pinned: bool, now_us: u64) -> Result<Option<Changes>, StoreError> {
        self.inner.pin(root, is_pinned, now_us)
    }

    fn drop_root(&self, root: RootKey, may_run: bool, now_us: u64) -> Result<Option<Changes>, StoreError> {
        self.inner.drop_root(root, may_run, now_us)
    }

    fn move_cursor(&self, name: &str, from: Option<u64>, to: u64) -> Result<bool, StoreError> {
        self.inner.move_cursor(name, from, to)
    }
}

/// Ingest over a [`Gate`], with the channels to control both.
struct Bench {
    ingest: Arc<Ingest>,
    store: Arc<Gate>,
    entered: mpsc::Receiver<usize>,
    pass: mpsc::Sender<Pass>,
    published: mpsc::Receiver<Changes>,
}

fn bench(queue_bytes: usize) -> Bench {
    let (enter, entered) = mpsc::channel();
    let (pass, passed) = mpsc::channel();
    let (publish, published) = mpsc::channel();
    let store = Arc::new(Gate { inner: MemoryStore::open(&Memory::default()), entered: enter, pass: Mutex::new(passed) });
    let limits = Limits { name_bytes: 1 << 20, text_bytes: 1 << 20, fields_bytes: 1 << 20, event_bytes: 1 << 20 };
    let settings = Settings { queue_bytes, limits, clock: Steered::at(0).clock() };
    let publish = move |changes| publish.send(changes).unwrap_or(());
    let ingest = Arc::new(Ingest::start_with(store.clone(), publish, settings));
    Bench { ingest, store, entered, pass, published }
}

impl Bench {
    /// Sends a batch. When this returns, the batch waits for the writer thread.
    async fn send(&self, batch: Batch) -> tokio::task::JoinHandle<Result<u64, IngestError>> {
        let ingest = self.ingest.clone();
        let sent = tokio::spawn(async move { ingest.accept(batch).await.map(|accepted| accepted.accepted) });
        yield_now().await;
        sent
    }

    /// Permits `count` transactions.
    fn let_pass(&self, count: usize) {
        (0..count).for_each(|_| self.pass.send(Pass::Go).unwrap());
    }
}

fn batch(worker: u128, sequence: u64, events: Vec<Event>) -> Batch {
    let worker = WorkerRef { id: WorkerId::new(worker).unwrap(), hostname: String::new(), pid: 1, program: String::new() };
    Batch { version: 1, worker, sequence, sent_us: 0, dropped: Vec::new(), lost: false, events }
}

fn beat(time_us: u64) -> Event {
    Event::WorkerHeartbeat(WorkerHeartbeat { time_us, ..WorkerHeartbeat::default() })
}

#[tokio::test]
async fn a_batch_is_answered_once_it_is_stored_and_then_published() {
    let bench = bench(1 << 20);
    let sent = bench.send(batch(1, 5, vec![beat(1), beat(2)])).await;
    bench.entered.recv().unwrap();
    assert!(!sent.is_finished() && bench.published.try_recv().is_err());
    bench.let_pass(1);
    assert_eq!(sent.await.unwrap().unwrap(), 6);
    assert_eq!(bench.published.recv().unwrap().len(), 2);
    assert_eq!(bench.store.inner.status().unwrap().events, 2);
}

#[tokio::test]
async fn waiting_batches_are_stored_in_the_same_transaction() {
    let bench = bench(1 << 20);
    let mut sent = vec![bench.send(batch(1, 1, vec![beat(1)])).await];
    assert_eq!(bench.entered.recv().unwrap(), 1);
    for worker in 2..7 {
        sent.push(bench.send(batch(worker, 1, vec![beat(1)])).await);
    }
    bench.let_pass(2);
    for sent in sent {
        assert_eq!(sent.await.unwrap().unwrap(), 1);
    }
    assert_eq!(bench.entered.recv().unwrap(), 5);
    let seqs: Vec<_> = bench.published.iter().take(2).flat_map(|changes| changes.to_vec()).map(|change| change.seq).collect();
    assert_eq!(seqs, [1, 2, 3, 4, 5, 6]);
}

#[tokio::test]
async fn a_full_queue_returns_busy_and_accepts_batches_again_later() {
    let bench = bench(1);
    let first = bench.send(batch(1, 1, vec![beat(1)])).await;
    bench.entered.recv().unwrap();
    let waiting = bench.send(batch(2, 1, vec![beat(1)])).await;
    let busy = bench.send(batch(3, 1, vec![beat(1)])).await.await.unwrap();
    assert!(matches!(busy, Err(IngestError::Busy)), "{busy:?}");
    bench.let_pass(3);
    assert!(first.await.unwrap().is_ok() && waiting.await.unwrap().is_ok());
    assert!(bench.send(batch(3, 1, vec![beat(1)])).await.await.unwrap().is_ok());
}

#[tokio::test]
async fn waiting_batches_are_counted_in_bytes_including_their_texts() {
    let bench = bench(100_000);
    let first = bench.send(batch(1, 1, vec![beat(1)])).await;
    bench.entered.recv().unwrap();
    let second = bench.send(batch(2, 1, vec![beat(1)])).await;
    let long = "x".repeat(100_000);
    let common = r#""root_id":"00000000000000000000000000000001","id":"0000000000000001","time_us":1"#;
    for event in [
        format!(r#"{{"type":"process-started",{common},"kind":"root","name":"{long}"}}"#),
        format!(r#"{{"type":"process-updated",{common},"fields":{{"deep":[{{"er":"{long}"}}]}}}}"#),
        format!(r#"{{"type":"process-ended",{common},"outcome":"failed","error":{{"kind":"error","message":"","chain":["{long}"]}}}}"#),
        format!(r#"{{"type":"process-logged",{common},"level":"info","message":"","native_id":"{long}"}}"#),
        format!(r#"{{"type":"unheard-of","text":"{long}"}}"#),
    ] {
        let large = batch(3, 1, vec![serde_json::from_str(&event).unwrap()]);
        let result = bench.send(large).await.await.unwrap();
        assert!(matches!(result, Err(IngestError::Busy)), "{result:?}");
    }
    bench.let_pass(2);
    assert!(first.await.unwrap().is_ok() && second.await.unwrap().is_ok());
}

#[tokio::test]
async fn a_batch_that_fails_fails_alone() {
    let bench = bench(1 << 20);
    let first = bench.send(batch(1, 1, vec![beat(1)])).await;
    bench.entered.recv().unwrap();
    let mut sent = Vec::new();
    for worker in [2, FAILING, 4] {
        sent.push(bench.send(batch(worker, 1, vec![beat(1)])).await);
    }
    bench.let_pass(5);
    first.await.unwrap().unwrap();
    let mut results = Vec::new();
    for sent in sent {
        results.push(sent.await.unwrap());
    }
    assert!(matches!(&results[..], [Ok(1), Err(IngestError::Store(_)), Ok(1)]), "{results:?}");
    assert_eq!(bench.store.inner.status().unwrap().events, 3);
}

#[tokio::test]
async fn waiting_batches_are_stored_before_the_writer_stops() {
    let bench = bench(1 << 20);
    let first = bench.send(batch(1, 1, vec![beat(1)])).await;
    bench.entered.recv().unwrap();
    let second = bench.send(batch(2, 1, vec![beat(1)])).await;
    let Bench { ingest, store, pass, .. } = bench;
    ingest.queue.stop();
    let late = ingest.accept(batch(3, 1, Vec::new())).await;
    assert!(matches!(late, Err(IngestError::Stopped)), "{late:?}");
    drop(pass);
    assert!(first.await.unwrap().is_ok() && second.await.unwrap().is_ok());
    drop(Arc::into_inner(ingest).expect("nobody else has it"));
    assert_eq!(store.inner.status().unwrap().events, 2);
}

#[tokio::test]
async fn requests_end_with_an_error_after_a_panic_of_the_writer() {
    let bench = bench(1 << 20);
    let first = bench.send(batch(1, 1, Vec::new())).await;
    bench.entered.recv().unwrap();
    let second = bench.send(batch(2, 1, Vec::new())).await;
    assert!(bench.ingest.is_alive());
    bench.pass.send(Pass::Panic).unwrap();
    for sent in [first, second, bench.send(batch(3, 1, Vec::new())).await] {
        let result = sent.await.unwrap();
        assert!(matches!(result, Err(IngestError::Stopped)), "{result:?}");
    }
    // The writer thread sends its last answers shortly before it ends.
    while bench.ingest.is_alive() {
        yield_now().await;
    }
}

#[tokio::test]
async fn an_event_that_cannot_be_is_named_by_its_number() {
    let bench = bench(1 << 20);
    let result = bench.ingest.accept(batch(1, 7, vec![beat(1), beat(u64::MAX)])).await;
    let Err(IngestError::Event { number: 8, message }) = result else { panic!("{result:?}") };
    assert!(message.contains("time_us 18446744073709551615"), "{message}");
    let json =
        r#"{"type":"process-ended","root_id":"00000000000000000000000000000001","id":"0000000000000001","time_us":1,"outcome":"failed""#;
    for (rest, word) in [(r#","attempt":0}"#, "attempt 0"), (r#","elapsed_ns":9223372036854775808}"#, "elapsed_ns 9223372036854775808")] {
        let event = serde_json::from_str(&format!("{json}{rest}")).unwrap();
        let result = bench.ingest.accept(batch(1, 1, vec![event])).await;
        let Err(IngestError::Event { number: 1, message }) = result else { panic!("{result:?}") };
        assert!(message.contains(word), "{message}");
    }
    for sequence in [0, u64::MAX] {
        let result = bench.ingest.accept(batch(1, sequence, vec![beat(1)])).await;
        assert!(matches!(result, Err(IngestError::Event { .. })), "{result:?}");
    }
}
