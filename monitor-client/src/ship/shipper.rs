//! The shipper's loop: wait, gather, send, again. Heartbeats go beside it, whatever it is doing.

use std::cell::RefCell;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use monitor_core::queue::Receiver;
use monitor_wire::Event;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::backoff::Backoff;
use super::desk::Desk;
use super::folds::Folds;
use super::outbox::Outbox;
use super::post::{Answer, Post};
use super::{Command, fork, to_wire, worker};
use crate::report::{self, Said};
use crate::settings::Settings;

/// After the first record, others are waited for so long: a start is seen soon, and not each in a request of its own.
const LINGER: Duration = Duration::from_millis(20);
/// A call that has run for so long is shown as running; a shorter one as soon as it has ended.
const RUNNING_FOR: Duration = Duration::from_millis(5);
/// At most so many records in one batch.
const BATCH: usize = 5_000;
/// At most so many bytes of records in one batch.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Runs until the program ends.
pub(super) fn run(settings: &Settings, receiver: Receiver, commands: UnboundedReceiver<Command>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().on_thread_park(fork::asleep).on_thread_unpark(fork::awake);
    // Names are looked up on threads of their own.
    runtime.on_thread_start(monitor_core::inside::stay);
    let runtime = match runtime.build() {
        Ok(runtime) => runtime,
        Err(error) => return report::warn(&format!("what is recorded can't be sent: {error}")),
    };
    let post = match Post::new(settings) {
        Ok(post) => post,
        Err(error) => return report::warn(&format!("what is recorded can't be sent: {error}")),
    };
    let mut outbox = Outbox::new(worker::identity());
    outbox.put(vec![worker::online(settings.heartbeat)]);
    let outbox = Rc::new(RefCell::new(outbox));
    let desk = Desk::new(commands);
    let shipper = Shipper {
        receiver,
        desk: desk.clone(),
        outbox: outbox.clone(),
        post: post.clone(),
        folds: Folds::default(),
        backoff: Backoff::default(),
        held_bytes: 0,
        was_reached: false,
        has_greeted: false,
        said: Said::default(),
    };
    let (heartbeat, tasks) = (settings.heartbeat, LocalSet::new());
    let mut work = Box::pin(async move {
        tokio::task::spawn_local(beat(heartbeat, outbox, post));
        shipper.run().await;
    });
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| tasks.block_on(&runtime, work.as_mut()))) {
        // tokio panics when the program has closed files that are not its own, as those do that make themselves a daemon.
        // Their numbers may be the program's by now: nothing that would close them again is dropped.
        std::mem::forget((work, tasks, runtime));
        desk.close();
        resume_unwind(payload);
    }
}

/// Says at each interval that the program is alive. A beat that doesn't arrive is not repeated: the next one says more.
async fn beat(interval: Duration, outbox: Rc<RefCell<Outbox>>, post: Post) {
    loop {
        sleep(interval).await;
        let batch = outbox.borrow_mut().aside(worker::heartbeat());
        let _ = timeout(interval, post.send(&batch)).await;
    }
}

struct Shipper {
    receiver: Receiver,
    desk: Desk,
    outbox: Rc<RefCell<Outbox>>,
    post: Post,
    folds: Folds,
    backoff: Backoff,
    /// Bytes of the records that the outbox holds.
    held_bytes: usize,
    /// Somebody has answered before.
    was_reached: bool,
    /// It was said that the server is there.
    has_greeted: bool,
    said: Said,
}

/// Why a wait ended.
enum Woken {
    News,
    Command,
}

impl Shipper {
    async fn run(mut self) {
        loop {
            // Whoever asks to flush from here on has its records in the next round.
            let is_urgent = self.desk.take_commands();
            let gathered = self.gather();
            if gathered == 0 && self.outbox.borrow().is_empty() {
                self.desk.flushed();
                if self.desk.is_exit() {
                    return self.say_goodbye().await;
                }
                self.wait().await;
                continue;
            }
            self.send_all(is_urgent).await;
            if self.desk.is_exit() && !self.outbox.borrow().is_empty() {
                return self.give_up();
            }
        }
    }

    /// Waits for a record, and a moment more for others, or for a command.
    async fn wait(&mut self) {
        let (receiver, desk) = (&mut self.receiver, &self.desk);
        let woken = poll_fn(|cx| {
            if desk.poll_command(cx).is_ready() {
                return Poll::Ready(Woken::Command);
            }
            receiver.poll_news(cx).map(|()| Woken::News)
        })
        .await;
        match woken {
            Woken::Command => {}
            Woken::News => {
                let _ = timeout(LINGER, self.desk.command()).await;
            }
        }
    }

    /// Moves what is recorded into the outbox, one batch at most. How many records that were.
    fn gather(&mut self) -> usize {
        let (mut events, mut gathered, mut bytes) = (Vec::<Event>::new(), 0, 0);
        // Who waits for a flush, or for the end, wants all that runs to be known.
        let is_awaited = self.desk.is_awaited();
        let running_for = if is_awaited { Duration::ZERO } else { RUNNING_FOR };
        let mut has_looked = false;
        while gathered < BATCH && bytes < BATCH_BYTES {
            let Some(entry) = self.receiver.take() else {
                if has_looked {
                    break;
                }
                self.receiver.look(running_for);
                has_looked = true;
                continue;
            };
            gathered += 1;
            bytes += entry.bytes;
            events.extend(to_wire::event(entry.record, &mut self.folds));
        }
        self.held_bytes += bytes;
        self.outbox.borrow_mut().put(events);
        gathered
    }

    /// Sends until the outbox is empty, or the program ends and trying on is in vain.
    async fn send_all(&mut self, is_urgent: bool) {
        if is_urgent {
            self.backoff.reset();
        }
        loop {
            let Some(batch) = self.outbox.borrow_mut().next() else { break };
            let answer = self.post.send(&batch).await;
            let mut is_in_vain = false;
            let wait = match answer {
                Answer::Accepted => {
                    self.reached();
                    continue;
                }
                Answer::TooLarge => {
                    self.outbox.borrow_mut().halve(batch);
                    continue;
                }
                Answer::Unreadable { why, event_number } => {
                    self.said.warn_once("unreadable", || format!("the server could not read an event, it is dropped: {why}"));
                    match event_number {
                        Some(number) => self.outbox.borrow_mut().without(batch, number),
                        None => self.outbox.borrow_mut().halve(batch),
                    }
                    continue;
                }
                Answer::Away { why } => {
                    let address = self.post.address();
                    self.said.warn_once("away", || format!("the server at {address} is not reached, what is recorded waits: {why}"));
                    is_in_vain = !self.was_reached;
                    self.backoff.next(None)
                }
                Answer::Busy { why, retry_after } => {
                    let address = self.post.address();
                    self.said.warn_once("busy", || format!("the server at {address} asks to wait: {why}"));
                    self.was_reached = true;
                    self.backoff.next(retry_after)
                }
                Answer::Refused { why } => {
                    let address = self.post.address();
                    is_in_vain = true;
                    self.said.warn_once("refused", || {
                        format!("the server at {address} refuses what is recorded (MONITOR_SERVER_URL, MONITOR_TOKEN?): {why}")
                    });
                    self.backoff.next(None)
                }
            };
            self.outbox.borrow_mut().keep(batch);
            // A server that was never there will not come in the last seconds; one that was there may only be restarting.
            if self.desk.is_exit() && is_in_vain {
                return;
            }
            self.sleep_or_obey(wait).await;
        }
        self.receiver.release(self.held_bytes);
        self.held_bytes = 0;
        self.report_drops();
    }

    /// Waits before the next try, less if somebody is in a hurry.
    async fn sleep_or_obey(&mut self, wait: Duration) {
        let until = Instant::now() + wait;
        if timeout_at(until, self.desk.command()).await.is_ok() {
            self.backoff.reset();
        }
    }

    fn reached(&mut self) {
        self.backoff.reset();
        self.said.over("away");
        self.said.over("busy");
        self.said.over("refused");
        self.was_reached = true;
        if !self.has_greeted {
            self.has_greeted = true;
            report::info(&format!("the server at {} is reached, see {0}/tasks", self.post.address()));
        }
    }

    /// All is sent: the last word, which closes what is still open.
    async fn say_goodbye(mut self) {
        self.outbox.borrow_mut().put(vec![worker::offline()]);
        self.send_all(true).await;
        self.give_up();
    }

    fn give_up(mut self) {
        if !self.outbox.borrow().is_empty() {
            let address = self.post.address();
            self.said.warn_once("lost at exit", || format!("the server at {address} has not taken what was recorded: it is lost"));
        }
        self.desk.exited();
    }

    fn report_drops(&mut self) {
        let dropped: u64 = monitor_core::queue::dropped().iter().map(|(_, count)| count).sum();
        if dropped > 0 {
            self.said.warn_once("dropped", || format!("{dropped} records found no room and were dropped: raise MONITOR_BUFFER_BYTES"));
        }
    }
}
