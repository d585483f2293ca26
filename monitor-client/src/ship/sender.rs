//! Sends what is in the outbox, one request after the other, and again until the server has it.

use std::rc::Rc;

use monitor_spool::{Answer, Answered, Next, Settled, send_all};
use tokio::time::timeout;

use super::shipper::Shared;
use crate::report::{self, Said};

/// Runs beside the one who gathers.
pub(super) struct Sender {
    shared: Rc<Shared>,
    /// Somebody has answered before.
    was_reached: bool,
    /// It was said that the server is there.
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

    /// Tells those who wait how far the server is, and waits itself if the batch is to be sent again.
    async fn settled(&mut self, Answered { answer, settled, wait }: Answered<'_>) -> Next {
        self.say(answer, settled == Settled::GivenUp);
        self.shared.waiters.sent(self.shared.outbox.borrow().settled());
        let Some(wait) = wait else { return Next::GoOn };
        if self.shared.is_in_vain.get() {
            self.shared.sent.notify_one();
        }
        // Less if somebody is in a hurry.
        if timeout(wait, self.shared.hurry.notified()).await.is_ok() { Next::GoOnAfresh } else { Next::GoOn }
    }

    /// Says once what somebody may want to change, and notes whether it is in vain to try on.
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
                // A server that was never there will not come in the last seconds; one that was there may only be restarting,
                // but if what waits is kept anyway nobody has to wait with it.
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
