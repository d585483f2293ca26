//! The shipper's loop: wait, gather, hand over to the sender. Sending and heartbeats run concurrently.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use monitor_core::queue::{self, Receiver};
use monitor_core::{Running, fork};
use monitor_spool::{Answer, Folds, SpoolKeeper, Way as _};
use monitor_wire::Event;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::yield_now;
use tokio::time::{sleep, timeout, timeout_at};

use super::adopt::{adopt, keep_within};
use super::late::Late;
use super::outbox::Outbox;
use super::post::Post;
use super::sender::Sender;
use super::switches::Switches;
use super::waiters::FlushWaiters;
use super::{Command, channel, to_wire, worker};
use crate::report::{self, Said};
use crate::settings::{Allowed, Settings};
use crate::silence;

/// Time to wait for more records after the first one: short enough to show starts soon, and long enough to send several in one request.
const LINGER: Duration = Duration::from_millis(20);
/// Minimum run time of a call that is reported as running. Shorter calls are reported when they end.
const RUNNING_FOR: Duration = Duration::from_millis(5);
/// Interval at which dropped records are checked while there is no room.
const NO_ROOM: Duration = Duration::from_secs(1);

/// Running processes, and the number of others that are not included.
pub(super) type WhatRuns = (Vec<Running>, usize);

/// State shared by the shipper's tasks.
pub(super) struct Shared {
    pub(super) outbox: RefCell<Outbox>,
    pub(super) post: Post,
    pub(super) waiters: FlushWaiters,
    /// There are events to send.
    pub(super) filled: Notify,
    /// Everything is sent, or more attempts are pointless.
    pub(super) sent: Notify,
    /// A thread is waiting: send now instead of after the pause.
    pub(super) hurry: Notify,
    /// True after the first answer of the server.
    pub(super) reached: watch::Sender<bool>,
    /// Pending requests for the running processes.
    pub(super) asking: RefCell<Vec<oneshot::Sender<WhatRuns>>>,
    /// True if the server is not expected to accept the events soon.
    pub(super) is_in_vain: Cell<bool>,
    /// Levels of reporting that operators can change.
    pub(super) switches: Switches,
}

impl Shared {
    /// Waits until the server has answered.
    pub(super) async fn is_reached(&self) {
        let _ = self.reached.subscribe().wait_for(|is_reached| *is_reached).await;
    }

    /// Sends a heartbeat. Returns true if the server has accepted it.
    pub(super) async fn beat(&self) -> bool {
        let request = self.outbox.borrow_mut().aside(worker::heartbeat());
        match request {
            Some(request) => matches!(self.post.send(request).await, Answer::Accepted),
            None => false,
        }
    }
}

/// Excludes this thread's calls and events from the program's recording and output.
fn stay_inside() {
    monitor_core::inside::stay();
    silence::begin();
}

/// Runs until the program ends.
pub(super) fn run(
    settings: &Settings,
    receiver: Receiver,
    mut outbox: Outbox,
    keeper: Option<&'static SpoolKeeper>,
    commands: UnboundedReceiver<Command>,
) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().on_thread_park(fork::asleep).on_thread_unpark(fork::awake);
    // DNS lookups and file reads run on threads of the runtime. They end with their work: if tokio is built with `parking_lot`, an idle
    // thread is listed in a table of the whole program, and a forked child would wait for it forever.
    runtime.on_thread_start(stay_inside).thread_keep_alive(Duration::ZERO);
    let runtime = match runtime.build() {
        Ok(runtime) => runtime,
        Err(error) => return report::warn(&format!("what is recorded can't be sent: {error}")),
    };
    let post = Post::new(settings);
    let recording = &settings.recording;
    outbox.put(&[worker::online(recording.heartbeat)], &receiver.taken());
    let waiters = FlushWaiters::new(commands);
    let shared = Rc::new(Shared {
        outbox: RefCell::new(outbox),
        post,
        waiters: waiters.clone(),
        filled: Notify::new(),
        sent: Notify::new(),
        hurry: Notify::new(),
        reached: watch::Sender::new(false),
        asking: RefCell::new(Vec::new()),
        is_in_vain: Cell::new(false),
        switches: Switches::new(&recording.events),
    });
    let spool = recording.spool_dir.clone().map(|dir| (dir, recording.spool_bytes));
    let mut beside: Vec<Pin<Box<dyn Future<Output = ()>>>> = vec![Box::pin(Sender::new(shared.clone()).run())];
    if !shared.post.is_otlp() {
        // OTLP has no heartbeats.
        beside.push(Box::pin(beat(recording.heartbeat, shared.clone())));
    }
    if let Some((dir, bytes)) = spool.clone() {
        beside.push(Box::pin(adopt(shared.clone(), dir, bytes)));
    }
    if settings.commands != Allowed::Off {
        beside.push(Box::pin(channel::listen(shared.clone(), settings.commands.clone(), settings.conf())));
        let shared = shared.clone();
        beside.push(Box::pin(async move { shared.switches.run().await }));
    }
    let mut shipping =
        Box::pin(Shipper { receiver, shared, keeper, folds: Folds::default(), late: Late::default(), spool, said: Said::default() }.run());
    // Polled directly instead of spawned, because the runtime would catch the panics of spawned tasks.
    let mut work = Box::pin(poll_fn(move |cx| {
        beside.retain_mut(|beside| beside.as_mut().poll(cx).is_pending());
        shipping.as_mut().poll(cx)
    }));
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| runtime.block_on(work.as_mut()))) {
        // tokio panics if the program has closed file descriptors that it doesn't own, as programs do that turn into daemons. The
        // descriptors may be reused by now, so don't drop anything that would close them again.
        std::mem::forget((work, runtime));
        waiters.close();
        resume_unwind(payload);
    }
}

/// Sends heartbeats. A heartbeat that doesn't arrive is not repeated, because the next one replaces it.
async fn beat(interval: Duration, shared: Rc<Shared>) {
    loop {
        sleep(interval).await;
        let _ = timeout(interval, shared.beat()).await;
    }
}

struct Shipper {
    receiver: Receiver,
    shared: Rc<Shared>,
    /// Keeps the records in the spool. `None` if they are in memory.
    keeper: Option<&'static SpoolKeeper>,
    folds: Folds,
    late: Late,
    /// Folder of all programs' spools, and the size limit of each spool.
    spool: Option<(PathBuf, u64)>,
    said: Said,
}

/// Reason why a wait ended.
enum Woken {
    News,
    Command,
    Sent,
}

impl Shipper {
    async fn run(mut self) {
        loop {
            // The records of a flush that is requested after this point are gathered in the next rounds.
            if self.shared.waiters.take_commands() {
                self.shared.hurry.notify_one();
            }
            self.tell_running();
            if self.gather() {
                self.shared.filled.notify_one();
                if self.shared.waiters.is_awaited() || self.receiver.is_behind() || queue::is_filling() {
                    // Let the other tasks run, and forks, which wait for the runtime to park.
                    yield_now().await;
                    fork::give_way();
                } else {
                    self.linger().await;
                }
                continue;
            }
            if self.shared.waiters.is_exit() {
                return self.say_goodbye().await;
            }
            self.wait().await;
        }
    }

    /// Answers the requests for the running processes.
    fn tell_running(&mut self) {
        let asking = std::mem::take(&mut *self.shared.asking.borrow_mut());
        if !asking.is_empty() {
            let running = self.receiver.running(channel::MOST_TOLD);
            for asking in asking {
                // The requesting task may have ended.
                let _ = asking.send(running.clone());
            }
        }
    }

    /// Waits for a record and a moment longer for more, for a command, or until everything is sent.
    async fn wait(&mut self) {
        let has_room = self.has_room();
        if !has_room {
            // New records will be dropped soon, and this is the only check before the server answers.
            self.report_drops();
        }
        let (receiver, shared) = (&mut self.receiver, &self.shared);
        let mut sent = pin!(shared.sent.notified());
        let news = poll_fn(|cx| {
            if shared.waiters.poll_command(cx).is_ready() {
                return Poll::Ready(Woken::Command);
            }
            if sent.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Woken::Sent);
            }
            if has_room { receiver.poll_news(cx).map(|()| Woken::News) } else { Poll::Pending }
        });
        // Return regularly to check for dropped records.
        let woken = if has_room { news.await } else { timeout(NO_ROOM, news).await.unwrap_or(Woken::Sent) };
        match woken {
            Woken::Command => self.shared.hurry.notify_one(),
            Woken::News => self.linger().await,
            Woken::Sent => {}
        }
    }

    /// Waits for more records, unless a command arrives.
    async fn linger(&self) {
        if timeout(LINGER, self.shared.waiters.command()).await.is_ok() {
            self.shared.hurry.notify_one();
        }
    }

    /// Returns true if more records may be gathered. Otherwise they stay where they were recorded, and
    /// starts without room there are dropped.
    fn has_room(&self) -> bool {
        self.shared.waiters.is_exit() || queue::has_room(self.shared.outbox.borrow().bytes())
    }

    /// Logs once that records were dropped, with their number so far.
    fn report_drops(&mut self) {
        let dropped: u64 = queue::dropped().iter().map(|(_, count)| count).sum();
        if dropped > 0 {
            self.said.warn_once("dropped", || {
                format!("{dropped} records found no room and were dropped, and there may be more: raise MONITOR_BUFFER_BYTES")
            });
        }
    }

    /// Moves the records of one batch into the outbox. Returns true if there were any.
    fn gather(&mut self) -> bool {
        if !self.has_room() {
            self.shared.waiters.gathers_nothing();
            return false;
        }
        let waiters = &self.shared.waiters;
        waiters.mark(|| self.receiver.mark());
        // A flush or the end of the program needs all running calls to be reported.
        let has_taken = self.receiver.look(if waiters.is_awaited() { Duration::ZERO } else { RUNNING_FOR });
        let (mut events, mut bytes) = (Vec::<Event>::new(), 0);
        // Records in the spool stay there for the process that ships them.
        let is_late = waiters.is_late() && !self.keeper.is_some_and(SpoolKeeper::is_whole);
        while let Some(entry) = self.receiver.take() {
            bytes += entry.bytes;
            let event = to_wire::event(entry.record, &mut self.folds);
            match event.as_ref().filter(|_| is_late).and_then(|event| self.late.counts(event)) {
                Some(counted) => self.shared.outbox.borrow_mut().lose(counted),
                None => events.extend(event),
            }
        }
        {
            let mut outbox = self.shared.outbox.borrow_mut();
            outbox.calibrate(self.receiver.clock());
            outbox.put(&events, &self.receiver.taken());
            waiters.gathered(|mark| self.receiver.is_past(mark), outbox.last());
            waiters.sent(outbox.settled());
        }
        self.receiver.commit();
        queue::release(bytes);
        self.report_drops();
        if let Some(keeper) = self.keeper {
            keeper.prepare();
            if let Some(why) = keeper.failure() {
                report::warn(&format!("what is recorded can't be kept beyond this program, it goes on in memory: {why}"));
            }
        }
        has_taken
    }

    /// Ends shipping after everything is gathered: adds the offline event, which ends open processes, and sends events until the deadline.
    async fn say_goodbye(self) {
        let Shared { outbox, filled, sent, hurry, is_in_vain, waiters, post, .. } = &*self.shared;
        outbox.borrow_mut().leave(&self.receiver.taken());
        is_in_vain.set(false);
        filled.notify_one();
        hurry.notify_one();
        let until = waiters.exit_until().into();
        while !outbox.borrow().is_empty() {
            let is_late = timeout_at(until, sent.notified()).await.is_err();
            if is_late || (is_in_vain.get() && !outbox.borrow().is_empty()) {
                break;
            }
        }
        let late = outbox.borrow().lost_at_exit();
        if late > 0 {
            report::warn(&format!(
                "{late} events are counted and lost: the end of the program had no more time to keep them (MONITOR_EXIT_TIMEOUT)"
            ));
        }
        if outbox.borrow().has_rest() {
            // All records of the rings are numbered, so the disk space of the rings can be used for the rest.
            self.receiver.detach();
        }
        let lost = outbox.borrow_mut().keep_rest();
        if let Some((events, why)) = lost {
            report::warn(&format!("{events} events found no room in the spool, which are counted there and lost: {why}"));
        }
        match outbox.borrow().kept() {
            Some(0) => outbox.borrow().remove(),
            Some(events) => {
                report::info(&format!("{events} events are kept until the server is there"));
                outbox.borrow().remove_memory();
                if let Some((dir, bytes)) = &self.spool {
                    keep_within(dir, *bytes);
                }
            }
            None if outbox.borrow().is_empty() => outbox.borrow().remove(),
            None => report::warn(&format!("{} has not taken what was recorded: it is lost", post.receiver())),
        }
        waiters.exited();
    }
}
