//! Replays a file written by `monitor events --dump --json` in place of a server, at a configurable speed.

mod book;

use std::cell::RefCell;
use std::fs::File;
use std::future::pending;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use monitor_wire::StreamMessage;
use serde_json::Value;
use tokio::time::{Instant, sleep_until};

use self::book::Book;
use crate::data::{Change, Facts, Link, Question};

/// Maximum number of events processed at once, so that keys are handled in between.
const MOST_AT_ONCE: usize = 2_000;
/// Maximum length of a line, in bytes.
const LONGEST_LINE: u64 = 16 << 20;

/// A file to replay. Speed 1 is real time, infinity is all at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Replay {
    /// File with lines like `{"id", "event", "data"}`.
    pub path: PathBuf,
    /// Number of seconds in the file per second of replay.
    pub speed: f64,
}

/// A line of the file.
struct Told {
    time_us: Option<u64>,
    message: Box<StreamMessage>,
}

/// Replays a file.
pub(crate) struct Player {
    lines: BufReader<File>,
    number: u64,
    speed: f64,
    book: Rc<RefCell<Book>>,
    next: Option<Told>,
    /// Start of the replay, and the corresponding time in the file.
    begun: Option<(Instant, u64)>,
    /// Time of the newest processed event.
    latest_us: u64,
    /// State of the link to report next: once at the start, and once at the end.
    link: Option<Link>,
    is_ended: bool,
}

impl Player {
    /// Opens a file.
    ///
    /// # Errors
    /// If the file can't be opened, or its first line is not an event.
    pub(crate) fn open(replay: &Replay) -> io::Result<Self> {
        let mut player = Self {
            lines: BufReader::new(File::open(&replay.path)?),
            number: 0,
            speed: replay.speed,
            book: Rc::default(),
            next: None,
            begun: None,
            latest_us: 0,
            link: Some(Link::Live),
            is_ended: false,
        };
        player.next = player.read()?;
        player.latest_us = player.next.as_ref().and_then(|told| told.time_us).unwrap_or(0);
        Ok(player)
    }

    /// Returns the current time in the file, in Unix µs.
    pub(crate) fn now_us(&self) -> u64 {
        match self.begun {
            Some((begun, from_us)) if !self.is_ended && self.speed.is_finite() => {
                (from_us + (begun.elapsed().as_micros() as f64 * self.speed) as u64).max(self.latest_us)
            }
            _ => self.latest_us,
        }
    }

    pub(crate) fn ask(&self, question: &Question) -> Facts {
        self.book.borrow().answer(question)
    }

    /// Waits until the next events are due, and processes them.
    pub(crate) async fn changed(&mut self) -> Change {
        if let Some(link) = self.link.take() {
            return Change::Link(link);
        }
        if self.is_ended {
            return pending().await;
        }
        if let Some(due) = self.next.as_ref().and_then(|told| self.due(told.time_us)) {
            sleep_until(due).await;
        }
        for _ in 0..MOST_AT_ONCE {
            let Some(told) = &self.next else { break };
            if self.due(told.time_us).is_some_and(|due| due > Instant::now()) {
                break;
            }
            let Some(told) = self.next.take() else { break };
            self.latest_us = self.latest_us.max(told.time_us.unwrap_or(0));
            self.book.borrow_mut().take(*told.message);
            match self.read() {
                Ok(next) => self.next = next,
                Err(error) => self.link = Some(Link::Ended(Some(error.to_string()))),
            }
        }
        if self.next.is_none() {
            self.is_ended = true;
            self.link.get_or_insert(Link::Ended(None));
        }
        Change::Happened
    }

    /// Returns the time at which an event is due. `None` for immediately.
    fn due(&self, time_us: Option<u64>) -> Option<Instant> {
        let (begun, from_us) = self.begun?;
        let seconds = Duration::from_micros(time_us?.saturating_sub(from_us)).as_secs_f64() / self.speed;
        begun.checked_add(Duration::try_from_secs_f64(seconds).ok()?)
    }

    /// Reads the next line. `None` at the end.
    fn read(&mut self) -> io::Result<Option<Told>> {
        let mut line = Vec::new();
        self.number += 1;
        (&mut self.lines).take(LONGEST_LINE).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok(None);
        }
        let told = read_line(&line).map_err(|error| io::Error::other(format!("line {} is no event: {error}", self.number)))?;
        if let (None, Some(time_us)) = (self.begun, told.time_us) {
            self.begun = Some((Instant::now(), time_us));
        }
        Ok(Some(told))
    }
}

fn read_line(line: &[u8]) -> serde_json::Result<Told> {
    let mut line: Value = serde_json::from_slice(line)?;
    let data = line.get_mut("data").map(Value::take).unwrap_or_default();
    let time_us = data["event"]["time_us"].as_u64();
    Ok(Told { time_us, message: serde_json::from_value(data)? })
}

/// Returns the displayed name of the file.
pub(crate) fn shown(path: &Path) -> String {
    format!("replay of {}", path.display())
}

#[cfg(test)]
mod tests;
