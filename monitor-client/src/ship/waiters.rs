//! Threads that wait for the shipper. Separate from the shipper's other state, so that they are released even if the shipper fails.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::mpsc;
use std::task::{Context, Poll};
use std::time::Instant;

use monitor_core::queue::Mark;
use tokio::sync::mpsc::UnboundedReceiver;

use super::Command;

/// Receives commands and answers them.
#[derive(Debug, Clone)]
pub(super) struct FlushWaiters(Rc<RefCell<Inner>>);

#[derive(Debug)]
struct Inner {
    commands: UnboundedReceiver<Command>,
    /// Threads that wait for a flush.
    waiting: Vec<Waiting>,
    /// Set when the program ends.
    exit: Option<Ending>,
}

/// The end of the program.
#[derive(Debug)]
struct Ending {
    /// Notified when everything is done.
    done: mpsc::Sender<()>,
    /// Time until which the server is waited for.
    until: Instant,
    /// After this time, records in memory are only counted.
    late: Instant,
}

/// A thread that waits for a flush.
#[derive(Debug)]
struct Waiting {
    done: mpsc::Sender<()>,
    until: Until,
    /// True if it waits for gathering only, and not for the server.
    is_gathering: bool,
}

/// Condition that a thread waits for.
#[derive(Debug)]
enum Until {
    /// All records made by now; no mark is set yet.
    Now,
    /// All records before the mark are numbered.
    Gathered(Mark),
    /// The server has stored the event with this number.
    Sent(u64),
}

impl FlushWaiters {
    pub(super) fn new(commands: UnboundedReceiver<Command>) -> Self {
        Self(Rc::new(RefCell::new(Inner { commands, waiting: Vec::new(), exit: None })))
    }

    /// Is ready when a command was received and stored.
    pub(super) fn poll_command(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut waiters = self.0.borrow_mut();
        match waiters.commands.poll_recv(cx) {
            Poll::Ready(Some(command)) => {
                waiters.note(command);
                Poll::Ready(())
            }
            // The sender is in a static and never dropped.
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }

    /// Waits until a command was received and stored.
    pub(super) async fn command(&self) {
        poll_fn(|cx| self.poll_command(cx)).await;
    }

    /// Stores all pending commands. Returns true if there were any.
    pub(super) fn take_commands(&self) -> bool {
        let mut waiters = self.0.borrow_mut();
        let mut is_any = false;
        while let Ok(command) = waiters.commands.try_recv() {
            waiters.note(command);
            is_any = true;
        }
        is_any
    }

    /// Returns true if a thread waits for records that are not all numbered yet.
    pub(super) fn is_awaited(&self) -> bool {
        let waiters = self.0.borrow();
        waiters.exit.is_some() || waiters.waiting.iter().any(|waiting| !matches!(waiting.until, Until::Sent(_)))
    }

    /// Returns true if the program ends.
    pub(super) fn is_exit(&self) -> bool {
        self.0.borrow().exit.is_some()
    }

    /// Returns the time until which the end of the program may wait for the server.
    pub(super) fn exit_until(&self) -> Instant {
        self.0.borrow().exit.as_ref().map_or_else(Instant::now, |ending| ending.until)
    }

    /// Returns true if the program's end has no time to keep records that are still in memory.
    pub(super) fn is_late(&self) -> bool {
        self.0.borrow().exit.as_ref().is_some_and(|ending| ending.late <= Instant::now())
    }

    /// Sets the mark for requests without one: they wait for the records before it.
    pub(super) fn mark(&self, mut mark: impl FnMut() -> Mark) {
        for waiting in self.0.borrow_mut().waiting.iter_mut().filter(|waiting| matches!(waiting.until, Until::Now)) {
            waiting.until = Until::Gathered(mark());
        }
    }

    /// Handles the end of a scan: requests whose mark is past wait for the event `last` to be sent.
    pub(super) fn gathered(&self, is_past: impl Fn(&Mark) -> bool, last: u64) {
        let waiting = &mut self.0.borrow_mut().waiting;
        for waiting in waiting.iter_mut() {
            if matches!(&waiting.until, Until::Gathered(mark) if is_past(mark)) {
                waiting.until = Until::Sent(last);
            }
        }
        for gathered in waiting.extract_if(.., |waiting| waiting.is_gathering && matches!(waiting.until, Until::Sent(_))) {
            let _ = gathered.done.send(());
        }
    }

    /// Answers the requests that wait for gathering, because nothing can be gathered now.
    pub(super) fn gathers_nothing(&self) {
        for gathering in self.0.borrow_mut().waiting.extract_if(.., |waiting| waiting.is_gathering) {
            let _ = gathering.done.send(());
        }
    }

    /// Answers the requests whose events are all stored or given up, up to this number.
    pub(super) fn sent(&self, number: u64) {
        let is_sent = |waiting: &mut Waiting| matches!(waiting.until, Until::Sent(until) if until <= number);
        for waiting in self.0.borrow_mut().waiting.extract_if(.., is_sent) {
            let _ = waiting.done.send(());
        }
    }

    /// Answers the end of the program: nothing more will be sent.
    pub(super) fn exited(&self) {
        if let Some(ending) = self.0.borrow_mut().exit.take() {
            let _ = ending.done.send(());
        }
    }

    /// Drops all requests without an answer, and refuses new requests.
    pub(super) fn close(&self) {
        if let Ok(mut waiters) = self.0.try_borrow_mut() {
            waiters.commands.close();
            while waiters.commands.try_recv().is_ok() {}
            waiters.waiting.clear();
            waiters.exit = None;
        }
    }
}

impl Inner {
    fn note(&mut self, command: Command) {
        match command {
            Command::Flush { done } => self.waiting.push(Waiting { done, until: Until::Now, is_gathering: false }),
            Command::Gather { done } => self.waiting.push(Waiting { done, until: Until::Now, is_gathering: true }),
            Command::Exit { done, until, late } => self.exit = Some(Ending { done, until, late }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_shipper_releases_all_waiters() {
        let (commands, receive) = tokio::sync::mpsc::unbounded_channel();
        let waiters = FlushWaiters::new(receive);
        let ask = || {
            let (done, answer) = mpsc::channel();
            (commands.send(Command::Flush { done }).is_ok(), answer)
        };
        let (_, noted) = ask();
        assert!(waiters.take_commands());
        let (_, queued) = ask();
        let held_by_a_future_that_is_never_dropped = waiters.clone();
        waiters.close();
        let (is_sent, late) = ask();
        for answer in [noted, queued, late] {
            assert_eq!(answer.recv(), Err(mpsc::RecvError));
        }
        assert!(!is_sent && !held_by_a_future_that_is_never_dropped.is_exit());
    }

    #[test]
    fn a_caller_waiting_for_collection_does_not_wait_for_the_server() {
        let (commands, receive) = tokio::sync::mpsc::unbounded_channel();
        let waiters = FlushWaiters::new(receive);
        let mut receiver = monitor_core::queue::open(1 << 20).expect("opened once");
        let ask = |waiters: &FlushWaiters| {
            let (done, answer) = mpsc::channel();
            commands.send(Command::Gather { done }).unwrap();
            assert!(waiters.take_commands() && waiters.is_awaited() && answer.try_recv().is_err());
            answer
        };
        let answer = ask(&waiters);
        waiters.mark(|| receiver.mark());
        waiters.gathered(|_| false, 3);
        assert!(answer.try_recv().is_err());
        waiters.gathered(|_| true, 3);
        assert_eq!((answer.try_recv(), waiters.is_awaited()), (Ok(()), false));
        let answer = ask(&waiters);
        waiters.gathers_nothing();
        assert_eq!((answer.try_recv(), waiters.is_awaited()), (Ok(()), false));
    }
}
