//! Work that the server does in the background: a list of named duties. Each is a separate task that starts and ends with the server. A
//! duty that panics or returns early is restarted after a pause, which doubles each time. Its state is shown by `/metrics`, `GET
//! /api/v1/status` and *About* on the page.

use std::any::Any;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use monitor_wire::DutyState;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::clock::Clock;

/// First pause before a restart. It doubles with each consecutive restart.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Maximum pause. A duty that has run for longer than this starts again with the first pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// State of a duty. The duty itself records the results of its runs here.
#[derive(Debug)]
pub struct Duty {
    name: &'static str,
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// End of the last run, in Unix microseconds.
    last_us: Option<u64>,
    /// Latest expected end of the next run, on the monotonic clock.
    due: Option<Duration>,
    error: Option<String>,
    restarts: u64,
}

impl Duty {
    pub(crate) fn new(name: &'static str, clock: Clock) -> Self {
        Self { name, clock, state: Mutex::default() }
    }

    /// Records the result of a run and the time until the next one is due. An error is logged unless the previous run had the same error.
    pub fn ran(&self, result: Result<(), String>, next: Duration) {
        if let Some(error) = self.note(result, next) {
            tracing::warn!(duty = self.name, "{error}");
        }
    }

    /// Like [`Duty::ran`], for an error that is logged elsewhere. Returns the error if the previous run did not have the same.
    pub(crate) fn note(&self, result: Result<(), String>, next: Duration) -> Option<String> {
        let mut state = self.lock();
        state.last_us = Some(self.clock.wall_us());
        state.due = Some(self.clock.running() + next);
        let is_news = result.as_ref().err() != state.error.as_ref();
        state.error = result.err();
        state.error.clone().filter(|_| is_news)
    }

    fn broke_off(&self, why: &str) {
        let mut state = self.lock();
        state.error = Some(why.to_owned());
        state.restarts += 1;
    }

    /// Returns the state as a type of the API.
    fn told(&self) -> DutyState {
        let (state, now) = (self.lock(), self.clock.running());
        let lag = state.due.map_or(Duration::ZERO, |due| now.saturating_sub(due));
        DutyState {
            name: self.name.to_owned(),
            last_us: state.last_us,
            lag_ns: u64::try_from(lag.as_nanos()).unwrap_or(u64::MAX),
            error: state.error.clone(),
            restarts: state.restarts,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// States of all duties, for display.
#[derive(Debug, Clone, Default)]
pub(crate) struct Board(Arc<Mutex<Vec<Arc<Duty>>>>);

impl Board {
    /// Adds a duty that is performed outside [`Duties`].
    pub(crate) fn put(&self, duty: Arc<Duty>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(duty);
    }

    pub(crate) fn told(&self) -> Vec<DutyState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|duty| duty.told()).collect()
    }
}

/// Running duties of a server.
pub(crate) struct Duties {
    board: Board,
    clock: Clock,
    stopping: CancellationToken,
    running: JoinSet<()>,
}

impl Duties {
    /// Creates an empty list.
    pub(crate) fn new(board: Board, clock: Clock, stopping: CancellationToken) -> Self {
        Self { board, clock, stopping, running: JoinSet::new() }
    }

    /// Starts a duty. `begin` creates the task, and is called again whenever the task ends early. The task must end by itself soon after
    /// `stopping` is cancelled.
    pub(crate) fn begin<F>(&mut self, name: &'static str, begin: impl Fn(Arc<Duty>) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let duty = Arc::new(Duty::new(name, self.clock.clone()));
        self.board.put(duty.clone());
        self.running.spawn(keep(duty, begin, self.stopping.clone()));
    }

    /// Waits until all duties have ended, which they do when the server stops.
    pub(crate) async fn ended(mut self) {
        while let Some(ended) = self.running.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a duty could not be watched");
            }
        }
    }
}

/// Runs a duty and restarts it until the server stops.
async fn keep<F>(duty: Arc<Duty>, begin: impl Fn(Arc<Duty>) -> F, stopping: CancellationToken)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut pause = FIRST_PAUSE;
    loop {
        let since = duty.clock.running();
        let ended = AbortOnDropHandle::new(tokio::spawn(begin(duty.clone()))).await;
        let why = ended.map_or_else(why, |()| "it ended before its time".to_owned());
        if stopping.is_cancelled() {
            return;
        }
        if duty.clock.running().saturating_sub(since) > LONGEST_PAUSE {
            pause = FIRST_PAUSE;
        }
        tracing::error!(duty = duty.name, "a duty broke off and begins anew in {} s: {why}", pause.as_secs());
        duty.broke_off(&why);
        if stopping.run_until_cancelled(duty.clock.sleep(pause)).await.is_none() {
            return;
        }
        pause = (2 * pause).min(LONGEST_PAUSE);
    }
}

/// Returns the reason why a task ended unexpectedly.
fn why(error: JoinError) -> String {
    match error.try_into_panic() {
        Ok(panic) => format!("it panicked: {}", words(&*panic)),
        Err(error) => error.to_string(),
    }
}

/// Returns the message of a panic, if it has one.
fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;
    use crate::clock::steered::Steered;

    const BEGIN_US: u64 = 1_763_600_000_000_000;

    /// Behavior of a duty in a test.
    #[derive(Clone, Copy)]
    enum Does {
        Panics,
        Returns,
        Works,
    }

    /// Starts a duty with one behavior per start, and sends a message at each start.
    fn begin(steered: &Steered, does: &'static [Does]) -> (Duties, mpsc::UnboundedReceiver<()>) {
        let stopping = CancellationToken::new();
        let mut duties = Duties::new(Board::default(), steered.clock(), stopping.clone());
        let (tell, told) = mpsc::unbounded_channel();
        let times = std::sync::atomic::AtomicUsize::new(0);
        duties.begin("example", move |duty| {
            let time = times.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let (tell, stopping) = (tell.clone(), stopping.clone());
            async move {
                tell.send(()).unwrap();
                match does[time.min(does.len() - 1)] {
                    Does::Panics => panic!("as it happens"),
                    Does::Returns => {}
                    Does::Works => {
                        duty.ran(Ok(()), Duration::from_secs(60));
                        tell.send(()).unwrap();
                        stopping.cancelled().await;
                    }
                }
            }
        });
        (duties, told)
    }

    #[tokio::test]
    async fn a_duty_that_panics_restarts_after_a_pause_and_is_reported() {
        let steered = Steered::at(BEGIN_US);
        let (duties, mut told) = begin(&steered, &[Does::Panics, Does::Returns, Does::Panics, Does::Works]);
        told.recv().await.unwrap();
        let (panicked, returned) = ("it panicked: as it happens", "it ended before its time");
        for (restarts, error, pause_us) in [(1, panicked, 1_000_000), (2, returned, 2_000_000), (3, panicked, 4_000_000)] {
            while duties.board.told()[0].restarts < restarts {
                tokio::task::yield_now().await;
            }
            let state = duties.board.told().remove(0);
            assert_eq!((state.name.as_str(), state.error.as_deref(), state.last_us), ("example", Some(error), None));
            steered.pass(pause_us - 1);
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            assert!(told.try_recv().is_err(), "the pause is not over");
            steered.pass(1);
            told.recv().await.unwrap();
        }
        told.recv().await.unwrap();
        let now_us = steered.wall_us();
        let state = duties.board.told().remove(0);
        assert_eq!((state.error, state.last_us, state.lag_ns), (None, Some(now_us), 0), "it works: the error is over");
        steered.pass(75_000_000);
        assert_eq!(duties.board.told()[0].lag_ns, 15_000_000_000, "it was due after a minute");
        duties.stopping.cancel();
        duties.ended().await;
    }

    #[tokio::test]
    async fn a_stop_ends_the_pause_of_a_duty_that_panicked() {
        let steered = Steered::at(BEGIN_US);
        let (duties, mut told) = begin(&steered, &[Does::Panics]);
        told.recv().await.unwrap();
        duties.stopping.cancel();
        duties.ended().await;
    }

    #[test]
    fn a_repeated_error_is_reported_once_until_a_run_succeeds() {
        let duty = Duty::new("example", Steered::at(BEGIN_US).clock());
        let wrong = |words: &str| Err(words.to_owned());
        for (result, news) in [
            (wrong("no disk"), Some("no disk")),
            (wrong("no disk"), None),
            (wrong("full"), Some("full")),
            (Ok(()), None),
            (wrong("full"), Some("full")),
        ] {
            assert_eq!(duty.note(result.clone(), Duration::from_secs(1)).as_deref(), news);
            assert_eq!(duty.told().error, result.err());
        }
    }
}
