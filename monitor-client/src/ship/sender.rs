//! Sends the batches in the outbox, one request at a time, and retries until the server has stored them.

use std::rc::Rc;

use monitor_spool::{Answer, Answered, Next, Settled, send_all};
use tokio::time::timeout;

use super::shipper::Shared;
use crate::report::{self, Said};

/// The sending task. Runs concurrently with the gathering loop.
pub(super) struct Sender {
    shared: Rc<Shared>,
    /// True if the server has ever answered.
    was_reached: bool,
    /// True if the message that the server is reached was logged.
    has_greeted: bool,
    said: Said,
}

impl Sender {
    pub(super) fn new(shared: Rc<Shared>) -> Self {
        Self { shared, was_reached: false, has_greeted: false, said: Said::default() }
    }

    /// Runs until the program ends.
    pub(super) async fn run(mut self) {
        let shared = self.shared.clone();
        loop {
            send_all(&mut &shared.outbox, &shared.post, async |_, answered| self.settled(answered).await).await;
            shared.sent.notify_one();
            shared.filled.notified().await;
        }
    }

    /// Notifies the waiters of the stored events, and waits if the batch must be sent again.
    async fn settled(&mut self, Answered { answer, settled, wait }: Answered<'_>) -> Next {
        self.say(answer, settled == Settled::GivenUp);
        self.shared.waiters.sent(self.shared.outbox.borrow().settled());
        let Some(wait) = wait else { return Next::GoOn };
        if self.shared.is_in_vain.get() {
            self.shared.sent.notify_one();
        }
        // Wait less if a flush or the end of the program is requested.
        if timeout(wait, self.shared.hurry.notified()).await.is_ok() { Next::GoOnAfresh } else { Next::GoOn }
    }

    /// Logs each kind of problem once, and notes if more attempts are pointless.
    fn say(&mut self, answer: &Answer, has_given_up: bool) {
        let (shared, receiver) = (self.shared.clone(), || self.shared.post.receiver());
        match answer {
            Answer::Accepted if shared.post.is_answered() => self.reached(),
            Answer::TooLarge { why } if has_given_up => {
                self.said.warn_once("large", || format!("an event is too large for {}, it is dropped: {why}", receiver()));
            }
            Answer::Accepted | Answer::TooLarge { .. } => {}
            Answer::Unreadable { why, .. } => {
                self.said.warn_once("unreadable", || format!("the server could not read an event, it is dropped: {why}"));
            }
            Answer::Away { why } => {
                self.said.warn_once("away", || format!("{} is not reached, what is recorded waits: {why}", receiver()));
                // A server that was never reached is unlikely to become reachable in the last seconds. A server that was reached may be
                // restarting, but if the spool keeps the events, the program need not wait for it.
                shared.is_in_vain.set(!self.was_reached || shared.outbox.borrow().kept().is_some());
            }
            Answer::Busy { why, .. } => {
                self.said.warn_once("busy", || format!("{} asks to wait: {why}", receiver()));
                self.was_reached = true;
                shared.is_in_vain.set(false);
            }
            Answer::Refused { why } => {
                shared.is_in_vain.set(true);
                self.said.warn_once("refused", || {
                    let settings = if shared.post.is_otlp() {
                        "MONITOR_OTLP_ENDPOINT, MONITOR_OTLP_HEADERS"
                    } else {
                        "MONITOR_SERVER_URL, MONITOR_TOKEN"
                    };
                    let refuses = format!("{} refuses what is recorded ({settings}?)", receiver());
                    format!("{refuses}, which waits and is sent again now and then: {why}")
                });
            }
        }
    }

    fn reached(&mut self) {
        self.said.over("away");
        self.said.over("busy");
        self.said.over("refused");
        self.was_reached = true;
        self.shared.is_in_vain.set(false);
        if !self.has_greeted {
            self.has_greeted = true;
            let post = &self.shared.post;
            let page = if post.is_otlp() { String::new() } else { format!(", see {}/tasks", post.address()) };
            report::info(&format!("{} is reached{page}", post.receiver()));
            self.shared.reached.send_replace(true);
        }
    }
}
