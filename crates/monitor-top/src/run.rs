//! The main loop: keys, answers, stream events and signals change the state, which is then drawn.

use std::future::pending;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::{Command, Stdio};

use crossterm::event::{Event, EventStream, KeyEventKind};
use futures_util::StreamExt as _;
use monitor_api::Error as ApiError;
use monitor_wire::Process;
use tokio::time::{Instant, sleep_until};

use crate::app::{App, Deed, Effect, Outcome, Setting};
use crate::data::{Change, Facts, Link, Question};
use crate::pace::Pace;
use crate::screens;
use crate::signals::{Signals, Told};
use crate::source::Source;
use crate::terminal::{self, Screen};
use crate::theme::Theme;

/// Error of the terminal monitor.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Input or output is not a terminal.
    #[error(
        "monitor top wants a terminal for its input and output; `monitor list`, `monitor tree` and `monitor events` write to files and pipes"
    )]
    NoTerminal,
    /// The file to replay can't be read.
    #[error("could not replay {}", path.display())]
    Replay {
        /// Path of the file.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// An operation on the terminal failed.
    #[error("the terminal could not be used")]
    Terminal(#[from] io::Error),
}

/// A pending request.
struct Asking {
    question: Question,
    since: Instant,
    answer: Pin<Box<dyn Future<Output = Result<Facts, ApiError>>>>,
}

/// Result of an action requested by a key.
enum Done {
    Found(String, Result<Vec<Process>, ApiError>),
    Weighed(Deed, Result<Outcome, ApiError>),
    Changed(Result<Outcome, ApiError>),
}

type Doing = Pin<Box<dyn Future<Output = Done>>>;

struct Running {
    app: App,
    source: Source,
    pace: Pace,
    asking: Option<Asking>,
    doing: Option<Doing>,
    /// Last question that was requested.
    asked: Option<Question>,
    /// True if its answer is outdated.
    is_stale: bool,
}

/// Next step of the loop.
enum Next {
    Go,
    Suspend,
    End(u8),
}

/// Runs the loop until the user quits or a signal arrives. Returns the exit code.
pub(crate) async fn run(source: Source, setting: Setting, root: Option<String>) -> Result<u8, Error> {
    if !terminal::is_there() {
        return Err(Error::NoTerminal);
    }
    let app = App::new(setting, root, source.now_us());
    let pace = Pace::new(Instant::now());
    let mut running = Running { app, source, pace, asking: None, doing: None, asked: None, is_stale: true };
    let mut signals = Signals::new()?;
    let mut screen = Screen::take()?;
    let mut keys = EventStream::new();
    let theme = Theme::from_env();
    loop {
        match running.next(&mut screen, &mut keys, &mut signals, theme).await? {
            Next::Go => {}
            Next::End(code) => return Ok(code),
            Next::Suspend => {
                screen.suspend()?;
                running.pace.key_came();
            }
        }
    }
}

impl Running {
    /// Waits for the next event and handles it.
    async fn next(&mut self, screen: &mut Screen, keys: &mut EventStream, signals: &mut Signals, theme: Theme) -> Result<Next, Error> {
        self.ask_if_due();
        let (draw_at, ask_after) = (self.pace.draw_at(), self.pace.ask_after());
        let is_waiting = self.is_stale && self.asking.is_none();
        tokio::select! {
            biased;
            told = signals.next() => match told {
                Told::End(code) => return Ok(Next::End(code)),
                Told::Suspend => return Ok(Next::Suspend),
            },
            event = keys.next() => return self.take_event(event),
            () = until(draw_at) => {
                self.app.now_us = self.source.now_us();
                let mut goes_on = false;
                screen.draw(|frame| goes_on = screens::draw(&mut self.app, frame, theme))?;
                self.pace.drew(Instant::now(), goes_on);
            }
            done = finished(&mut self.doing) => {
                self.doing = None;
                self.take_done(done);
                self.pace.key_came();
            }
            answer = answered(&mut self.asking) => self.take_answer(answer),
            change = self.source.changed() => {
                match change {
                    Change::Happened => self.is_stale = true,
                    Change::Link(link) => {
                        if link == Link::Live {
                            self.pace.ask_at_once(Instant::now());
                            self.is_stale = true;
                        }
                        self.app.link = link;
                        self.pace.data_came();
                    }
                }
            }
            () = sleep_until(ask_after), if is_waiting => {}
        }
        Ok(Next::Go)
    }

    /// Requests the data of the screen: immediately if the question has changed, otherwise if the answer is stale and the pause is over.
    fn ask_if_due(&mut self) {
        let wanted = self.app.question();
        let now = Instant::now();
        if wanted != self.asked {
            (self.asking, self.is_stale) = (None, true);
            self.pace.ask_at_once(now);
            self.asked.clone_from(&wanted);
        }
        if let Some(question) = wanted
            && self.is_stale
            && self.asking.is_none()
            && self.pace.ask_after() <= now
        {
            self.is_stale = false;
            self.asking = Some(Asking { question: question.clone(), since: now, answer: self.source.ask(question) });
        }
    }

    fn take_answer(&mut self, answer: Result<Facts, ApiError>) {
        let Some(Asking { question, since, .. }) = self.asking.take() else { return };
        self.app.now_us = self.source.now_us();
        let is_away = match answer {
            Ok(facts) => {
                self.app.take(&question, facts);
                false
            }
            Err(error) => {
                let is_away = error.is_temporary();
                // An unreachable server is retried. A refusal is final until something changes.
                self.is_stale |= is_away;
                self.app.refuse(&question, error.causes(), is_away);
                is_away
            }
        };
        self.pace.answered(since, Instant::now(), is_away);
        self.pace.data_came();
    }

    fn take_event(&mut self, event: Option<io::Result<Event>>) -> Result<Next, Error> {
        let effect = match event {
            // The terminal was closed.
            None => return Ok(Next::End(0)),
            Some(Err(error)) => return Err(error.into()),
            Some(Ok(Event::Key(key))) if key.kind != KeyEventKind::Release => {
                self.app.now_us = self.source.now_us();
                self.app.key(key)
            }
            Some(Ok(Event::Paste(text))) => {
                self.app.paste(&text);
                None
            }
            Some(Ok(Event::Resize(..))) => None,
            Some(Ok(_)) => return Ok(Next::Go),
        };
        self.pace.key_came();
        match effect {
            None => {}
            Some(Effect::Quit) => return Ok(Next::End(0)),
            Some(Effect::Suspend) => return Ok(Next::Suspend),
            Some(Effect::Copy(link)) => {
                Screen::copy(&link)?;
                self.app.message = Some(format!("copied: {link}"));
            }
            Some(Effect::Open(link)) => self.app.message = Some(open(&link)),
            Some(Effect::Find(id)) => match self.source.find(id.clone()) {
                Some(found) => self.doing = Some(doing(found, |result| Done::Found(id, result))),
                None => self.app.message = Some("only a server finds processes by their ids".to_owned()),
            },
            Some(Effect::Weigh(deed)) => {
                let weighed = self.source.change(deed.clone(), true);
                self.doing = weighed.map(|weighed| doing(weighed, |result| Done::Weighed(deed, result)));
            }
            Some(Effect::Do(deed)) => self.doing = self.source.change(deed, false).map(|changed| doing(changed, Done::Changed)),
        }
        Ok(Next::Go)
    }

    fn take_done(&mut self, done: Done) {
        let told = match done {
            Done::Found(id, Ok(processes)) => {
                self.app.found(&id, &processes);
                Ok(())
            }
            Done::Weighed(deed, Ok(would)) => {
                self.app.weighed(deed, &would);
                Ok(())
            }
            Done::Changed(Ok(outcome)) => {
                self.app.done(&outcome);
                self.is_stale = true;
                Ok(())
            }
            Done::Found(_, Err(error)) | Done::Weighed(_, Err(error)) | Done::Changed(Err(error)) => Err(error),
        };
        if let Err(error) = told {
            self.app.message = Some(error.causes());
        }
    }
}

fn doing<T: 'static>(future: impl Future<Output = T> + 'static, done: impl FnOnce(T) -> Done + 'static) -> Doing {
    Box::pin(async move { done(future.await) })
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}

async fn answered(asking: &mut Option<Asking>) -> Result<Facts, ApiError> {
    match asking {
        Some(asking) => asking.answer.as_mut().await,
        None => pending().await,
    }
}

async fn finished(doing: &mut Option<Doing>) -> Done {
    match doing {
        Some(doing) => doing.await,
        None => pending().await,
    }
}

/// Opens an address of the page in the system's browser. Returns the message to show. The address contains no secrets.
fn open(link: &str) -> String {
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let mut command = Command::new(opener);
    let started = command.arg(link).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    match started {
        Ok(mut child) => {
            // Reap the child on another thread, so that it does not remain as a zombie.
            std::thread::spawn(move || child.wait());
            format!("opened: {link}")
        }
        Err(error) => format!("{opener}: {error}; the link is {link}"),
    }
}
