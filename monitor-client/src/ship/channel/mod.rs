//! The channel for commands. A program that has run for a short time opens a channel to the server, receives orders there, and posts its
//! answers. Shipping doesn't depend on it. If the server refuses the channel or doesn't support it, the program retries at intervals and
//! logs only the first refusal.

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

/// Minimum age at which a program opens a channel.
const LIVED: Duration = Duration::from_secs(2);
/// Maximum number of entries of a list in an answer.
pub(super) const MOST_TOLD: usize = 2_000;
/// Maximum number of orders in progress. Further orders are ignored.
const MOST_ANSWERING: usize = 64;
/// Maximum silence of a connection before the server has sent its heartbeat interval.
const SILENCE: Duration = Duration::from_secs(100);
/// Timeout of the request that opens the channel. The response has no end.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3_600);
/// Minimum duration of a channel that counts as successful.
const WELL: Duration = Duration::from_secs(10);

/// Maximum time that a single message of the server marks the program as watched.
const LONGEST_WATCH: Duration = Duration::from_secs(600);

type Work = Pin<Box<dyn Future<Output = ()>>>;

/// State shared by the parts of a channel.
struct Listener {
    shared: Rc<Shared>,
    allowed: Allowed,
    worker: WorkerId,
    /// Secret that binds the channel to this program.
    key: String,
    since_us: u64,
    /// Settings from the environment, for `inspect conf`.
    conf: Value,
    /// Durable orders in progress. On every new connection, the server repeats the orders without an answer.
    under_way: RefCell<HashSet<CommandId>>,
}

/// Opens the channel, and reopens it until the program ends.
pub(super) async fn listen(shared: Rc<Shared>, allowed: Allowed, conf: Value) {
    let since_us = now_us();
    sleep(LIVED).await;
    // By then the server knows this worker.
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

/// Returns a random key.
fn key() -> String {
    // Hashers are seeded by the operating system, like those of the standard library's maps, which makes them unpredictable.
    let random = |salt: u64| u128::from(RandomState::new().hash_one((salt, std::process::id(), now_us(), "channel")));
    format!("{:032x}{:032x}", random(0) << 64 | random(1), random(2) << 64 | random(3))
}

/// Runs `work` and polls the orders in progress during that time.
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

/// Ids of tasks that were revoked before the channel was opened.
#[derive(Deserialize)]
struct Revoked {
    ids: Vec<String>,
}

/// Message that a client watches this program.
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
        // If the program registers more methods, a new channel announces them.
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
                        // The server reports the missing answer.
                        Ok(_) | Err(_) => {}
                    },
                    _ => {}
                }
            }
        }
    }

    /// Executes an order and posts the result.
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
        // Report the order as taken before executing it. If the server refuses that, another worker has taken it.
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

    /// Posts a reply once. On failure, returns the evaluated answer of the server.
    async fn post(&self, id: CommandId, reply: &CommandReply) -> Result<(), Answer> {
        let refused = |error: reqwest::Error| Answer::Refused { why: causes(error) };
        let request = self.shared.post.call(Method::POST, &["commands", &id.to_string(), "replies"], None).map_err(refused)?;
        let body = serde_json::to_vec(reply).map_err(|error| Answer::Refused { why: error.to_string() })?;
        let request = request.header(CHANNEL_KEY, &self.key).header(CONTENT_TYPE, "application/json").body(body);
        let response = request.send().await.map_err(|error| Answer::Away { why: causes(error) })?;
        if response.status() == 204 { Ok(()) } else { Err(answer(response, NOTHING_SENT).await) }
    }

    /// Posts a reply until the server accepts or refuses it, or until the time `until`. Returns true if the server has accepted it.
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

/// Range of no events, for evaluating answers to requests that are not batches.
const NOTHING_SENT: Sent = Sent { first: 0, last: 0, is_small: true };
