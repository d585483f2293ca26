//! A word back: once the program has lived for a moment it opens its channel at the server, is told there what it is asked, and posts
//! its answers. Nothing of it is needed to ship: a server that refuses it or has none is tried again now and then, and silently.

mod methods;
mod program;
mod source;
mod sse;

use std::cell::RefCell;
use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::future::poll_fn;
use std::hash::BuildHasher;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::time::Duration;

use monitor_spool::{Answer, Backoff, Sent};
use monitor_wire::{CHANNEL_KEY, CommandId, CommandOrder, CommandReply, CommandStatus, WorkerId};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, Response};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

use super::post::{answer, causes};
use super::shipper::Shared;
use crate::report;
use crate::settings::Allowed;
use monitor_spool::now_us;

/// A program that ends earlier opens no channel.
const LIVED: Duration = Duration::from_secs(2);
/// A list in an answer has so many entries at most.
pub(super) const MOST_TOLD: usize = 2_000;
/// Answers under way; what is asked beyond is not answered.
const MOST_ANSWERING: usize = 64;
/// A connection may be silent for so long before the server has said how often it speaks.
const SILENCE: Duration = Duration::from_secs(100);
/// The end of a channel is not waited for by any clock.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3_600);
/// A channel that was open for so long was no failure.
const WELL: Duration = Duration::from_secs(10);

/// Somebody is taken to look for no longer than this after the server has said so.
const LONGEST_WATCH: Duration = Duration::from_secs(600);

type Work = Pin<Box<dyn Future<Output = ()>>>;

/// What one channel's parts share.
struct Listener {
    shared: Rc<Shared>,
    allowed: Allowed,
    worker: WorkerId,
    /// Binds the channel to this program. Nobody else ever sees it.
    key: String,
    since_us: u64,
    /// The settings from its environment, for `inspect conf`.
    conf: Value,
    /// Durable orders that are being taken or done: the server repeats those on every new connection that it has not heard of.
    under_way: RefCell<HashSet<CommandId>>,
}

/// Opens the channel, again and again, until the program ends.
pub(super) async fn listen(shared: Rc<Shared>, allowed: Allowed, conf: Value) {
    let since_us = now_us();
    sleep(LIVED).await;
    // Its worker is known to the server then.
    shared.is_reached().await;
    let worker = shared.outbox.borrow().worker();
    let listener = Rc::new(Listener { shared, allowed, worker, key: key(), since_us, conf, under_way: RefCell::default() });
    let mut answering: Vec<Work> = Vec::new();
    let (mut backoff, mut is_told) = (Backoff::default(), false);
    loop {
        let opened = Instant::now();
        let offered = methods::offered(&listener.allowed);
        let result = beside(&mut answering, listener.open(&offered)).await;
        let answer = match result {
            Ok(response) => {
                listener.read(response, &offered, &mut answering).await;
                if opened.elapsed() > WELL {
                    backoff.reset();
                }
                Answer::Away { why: String::new() }
            }
            Err(answer) => answer,
        };
        if let Answer::Refused { why } = &answer
            && !std::mem::replace(&mut is_told, true)
        {
            report::info(&format!("the server takes no channel for commands from this program, which goes on without: {why}"));
        }
        let wait = backoff.after(&answer).unwrap_or(WELL);
        beside(&mut answering, sleep(wait)).await;
    }
}

/// A key that nobody guesses.
fn key() -> String {
    // Hashers seeded by the operating system, as the standard library's maps have them against those who would guess.
    let random = |salt: u64| u128::from(RandomState::new().hash_one((salt, std::process::id(), now_us(), "channel")));
    format!("{:032x}{:032x}", random(0) << 64 | random(1), random(2) << 64 | random(3))
}

/// Does `work`, and goes on answering meanwhile.
async fn beside<T>(answering: &mut Vec<Work>, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    poll_fn(|cx| {
        answering.retain_mut(|answering| answering.as_mut().poll(cx).is_pending());
        work.as_mut().poll(cx)
    })
    .await
}

/// The first message of the server.
#[derive(Deserialize)]
struct Opened {
    heartbeat_ms: u64,
}

/// Tasks that were revoked before the channel was opened.
#[derive(Deserialize)]
struct Revoked {
    ids: Vec<String>,
}

/// Somebody looks at this program, and is taken to do so for a while.
#[derive(Deserialize)]
struct Watched {
    for_ms: u64,
}

impl Listener {
    async fn open(&self, methods: &[&str]) -> Result<Response, Answer> {
        let refused = |error: reqwest::Error| Answer::Refused { why: causes(error) };
        let query = format!("methods={}", methods.join(","));
        let path = ["workers", &self.worker.to_string(), "commands"];
        let request = self.shared.post.call(Method::GET, &path, Some(&query)).map_err(refused)?;
        let request = request.header(CHANNEL_KEY, &self.key).timeout(NEVER);
        let response = timeout(SILENCE, request.send()).await.map_err(|_| Answer::Away { why: "it said nothing".to_owned() })?;
        let response = response.map_err(|error| Answer::Away { why: causes(error) })?;
        if response.status() == 200 { Ok(response) } else { Err(answer(response, NOTHING_SENT).await) }
    }

    /// Reads orders until the connection ends.
    async fn read(self: &Rc<Self>, mut response: Response, offered: &[&str], answering: &mut Vec<Work>) {
        let (mut reader, mut silence) = (sse::Reader::default(), SILENCE);
        // Methods that the program registers later are told by a new channel.
        while methods::offered(&self.allowed) == *offered {
            let Ok(Ok(Some(bytes))) = beside(answering, timeout(silence, response.chunk())).await else { return };
            let Ok(messages) = reader.take(&bytes) else { return };
            for message in messages {
                match message.event.as_str() {
                    "open" => {
                        if let Ok(opened) = serde_json::from_str::<Opened>(&message.data) {
                            silence = Duration::from_millis(opened.heartbeat_ms.clamp(1_000, 600_000)) * 3;
                        }
                    }
                    "revoked" => {
                        if let Ok(Revoked { ids }) = serde_json::from_str(&message.data) {
                            beside(answering, source::revoked(&self.allowed, ids)).await;
                        }
                    }
                    "watched" => {
                        if let Ok(Watched { for_ms }) = serde_json::from_str(&message.data) {
                            self.shared.switches.watch(Duration::from_millis(for_ms).min(LONGEST_WATCH));
                        }
                    }
                    "command" => match serde_json::from_str::<CommandOrder>(&message.data) {
                        Ok(order) if answering.len() < MOST_ANSWERING => answering.push(Box::pin(self.clone().obey(order))),
                        // The server tells that there was no answer.
                        Ok(_) | Err(_) => {}
                    },
                    _ => {}
                }
            }
        }
    }

    /// Does what is asked, and says what came of it.
    async fn obey(self: Rc<Self>, order: CommandOrder) {
        let until = order.until_us.map(|until_us| Instant::now() + Duration::from_micros(until_us.saturating_sub(now_us())));
        let Some(until) = until else {
            let reply = self.reply(methods::answer(&self, &order).await);
            let _ = self.post(order.id, &reply).await;
            return source::after(&order, reply.status).await;
        };
        if !self.under_way.borrow_mut().insert(order.id) {
            return;
        }
        // What is done must be taken before, and what was taken by another one is not done here.
        if self.post_until(order.id, &self.reply((CommandStatus::TAKEN, None, None)), until).await {
            let reply = self.reply(methods::answer(&self, &order).await);
            self.post_until(order.id, &reply, until).await;
            source::after(&order, reply.status).await;
        }
        self.under_way.borrow_mut().remove(&order.id);
    }

    fn reply(&self, (status, value, error): methods::Answered) -> CommandReply {
        CommandReply { worker_id: self.worker, status, value, error }
    }

    /// Posts a reply once. Returns what the server answered if it has not taken it.
    async fn post(&self, id: CommandId, reply: &CommandReply) -> Result<(), Answer> {
        let refused = |error: reqwest::Error| Answer::Refused { why: causes(error) };
        let request = self.shared.post.call(Method::POST, &["commands", &id.to_string(), "replies"], None).map_err(refused)?;
        let body = serde_json::to_vec(reply).map_err(|error| Answer::Refused { why: error.to_string() })?;
        let request = request.header(CHANNEL_KEY, &self.key).header(CONTENT_TYPE, "application/json").body(body);
        let response = request.send().await.map_err(|error| Answer::Away { why: causes(error) })?;
        if response.status() == 204 { Ok(()) } else { Err(answer(response, NOTHING_SENT).await) }
    }

    /// Posts a reply until the server has it or refuses it, or nobody waits for it any more. Returns true if the server has it.
    async fn post_until(&self, id: CommandId, reply: &CommandReply, until: Instant) -> bool {
        let mut backoff = Backoff::default();
        loop {
            let answer = match self.post(id, reply).await {
                Ok(()) => return true,
                Err(Answer::Refused { .. }) => return false,
                Err(answer) => answer,
            };
            let wait = backoff.after(&answer).unwrap_or(WELL);
            if Instant::now() + wait >= until {
                return false;
            }
            sleep(wait).await;
        }
    }
}

/// No batch, whose answers are judged in the same way.
const NOTHING_SENT: Sent = Sent { first: 0, last: 0, is_small: true };
