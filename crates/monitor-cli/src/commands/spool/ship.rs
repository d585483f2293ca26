//! `monitor spool ship`

use std::cell::Cell;
use std::io::{IsTerminal, Write as _};

use monitor_api::{BatchAnswer, Client};
use monitor_spool::{Answer, Answered, Found, Head, Life, Next, Parcel, Replay, Sent, Settled, Way, content_encoding, send_all};
use monitor_wire::Dropped;
use serde::Serialize;
use serde_json::json;

use super::{SpoolArgs, failed, report, title};
use crate::client::{Connection, print_json};
use crate::exit;
use crate::text::{counted, thousands};

const EXAMPLES: &str = "\
Examples:
  monitor spool ship
  monitor spool ship --server http://build-7:60010
  monitor spool ship --all  Include programs on other machines

Sent records are deleted. After an interruption, the rest stays in the spool, and nothing is counted twice.";

/// Send records that ended programs left in the spool to the server
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::SERVER))]
pub(crate) struct Args {
    /// Also send records of programs on other machines, which may still be running
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    connection: Connection,
}

/// The records of one program that were sent.
#[derive(Debug, Serialize)]
struct Shipped {
    #[serde(flatten)]
    of: monitor_wire::WorkerRef,
    events: u64,
    damaged: u64,
    dropped: Vec<Dropped>,
}

pub(super) fn run(place: &SpoolArgs, args: &Args) -> anyhow::Result<()> {
    let (mut shipped, mut failures, mut broken_off) = (Vec::new(), Vec::new(), None);
    if let Some((spool, found)) = place.list()? {
        let is_meant = |found: &&Found| found.life == Life::Dead || (args.all && found.life == Life::Elsewhere);
        for found in found.iter().filter(is_meant) {
            match spool.claim(found.worker_id) {
                Ok(None) => {}
                Err(error) => failures.push(failed(found, &error)),
                Ok(Some(mut replay)) => {
                    let sent = send(&mut replay, &title(found), &args.connection);
                    let of = Shipped {
                        of: replay.worker().clone(),
                        events: replay.accepted(),
                        damaged: replay.damaged(),
                        dropped: replay.dropped(),
                    };
                    shipped.push(of);
                    if let Err(error) = sent {
                        broken_off = Some(error);
                        break;
                    }
                    replay.finish().unwrap_or_else(|error| failures.push(failed(found, &error)));
                }
            }
        }
    }
    let events: u64 = shipped.iter().map(|shipped| shipped.events).sum();
    if args.connection.json {
        print_json(&json!({"events": events, "programs": shipped}))?;
    } else {
        let mut out = anstream::stdout().lock();
        writeln!(out, "{} of {}", counted(events, "event"), counted(shipped.len() as u64, "program"))?;
        out.flush()?;
    }
    if let Some(error) = broken_off {
        return Err(error);
    }
    report(&failures)
}

/// Sends all records of one program, and shows the progress.
fn send(replay: &mut Replay, title: &str, connection: &Connection) -> anyhow::Result<()> {
    let way = ToServer { client: connection.client()?, error: Cell::new(None) };
    let (mut progress, mut refusal) = (Progress { title, total: replay.waiting() }, None);
    progress.show(0);
    let once = async |replay: &mut Replay, Answered { answer, settled, wait }: Answered<'_>| {
        if let Some(error) = way.error.take() {
            refusal = Some(error.into());
            return Next::Stop;
        }
        // Gives up batches that no server will accept. Other refused batches stay in the spool.
        if let (Answer::Refused { why }, Settled::Waits) = (answer, settled) {
            refusal = Some(anyhow::anyhow!("{why}"));
            return Next::Stop;
        }
        tokio::time::sleep(wait.unwrap_or_default()).await;
        progress.show(replay.accepted());
        Next::GoOn
    };
    connection.wait(async { Ok(send_all(replay, &way, once).await) })?;
    if let Some(error) = refusal {
        return Err(error);
    }
    progress.end(replay);
    Ok(())
}

/// Sends batches to the server.
struct ToServer<'a> {
    client: &'a Client,
    /// Reason for the missing answer to the last batch.
    error: Cell<Option<monitor_api::Error>>,
}

impl Way for ToServer<'_> {
    type Request = (Vec<u8>, Sent);

    fn request(&self, parcel: &Parcel, head: &Head<'_>) -> Self::Request {
        (parcel.body(head), parcel.sent())
    }

    async fn send(&self, (body, sent): Self::Request) -> Answer {
        let encoding = content_encoding(&body);
        match self.client.post_batch(body, encoding).await {
            Ok(BatchAnswer { status, retry_after, body }) => Answer::of(sent, status, retry_after, &body),
            Err(error) => {
                let why = error.to_string();
                self.error.set(Some(error));
                Answer::Away { why }
            }
        }
    }
}

/// Progress on stderr, one line per program, updated in place on a terminal.
struct Progress<'a> {
    title: &'a str,
    total: u64,
}

impl Progress<'_> {
    fn show(&mut self, sent: u64) {
        if std::io::stderr().is_terminal() {
            // If stderr is closed, the progress is lost.
            let _ = write!(anstream::stderr(), "\r{}: {} of {} events", self.title, thousands(sent), thousands(self.total.max(sent)));
        }
    }

    fn end(&self, replay: &Replay) {
        let start = if std::io::stderr().is_terminal() { "\r" } else { "" };
        let dropped: u64 = replay.dropped().iter().map(|dropped| dropped.count).sum();
        let line = format!("{start}{}: {}", self.title, counted(replay.accepted(), "event"));
        let less = [(replay.damaged(), "damaged"), (dropped, "dropped")];
        let less = less.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!(", {} {what}", thousands(*count)));
        let line = less.fold(line, |line, part| line + &part);
        let _ = writeln!(anstream::stderr(), "{line:<60}");
    }
}
