//! The loop: keys, answers, what the stream tells and signals change the state, and now and then it is drawn.

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

/// Why the monitor could not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nobody sits before input and output.
    #[error(
        "monitor top wants a terminal for its input and output; `monitor roots`, `monitor tree` and `monitor events` write to files and pipes"
    )]
    NoTerminal,
    /// The file that was to be replayed can't be read.
    #[error("could not replay {}: {source}", path.display())]
    Replay {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The terminal refused something.
    #[error("the terminal could not be used")]
    Terminal(#[from] io::Error),
}

/// An answer that is on its way.
struct Asking {
    question: Question,
    since: Instant,
    answer: Pin<Box<dyn Future<Output = Result<Facts, ApiError>>>>,
}

/// What somebody asked for by a key.
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
    /// The question that was asked last.
    asked: Option<Question>,
    /// Its answer is no longer true.
    is_stale: bool,
}

/// What is to be done with the terminal.
enum Next {
    Go,
    Suspend,
    End(u8),
}

/// Shows what there is until somebody quits, or a signal comes: the exit code.
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
    /// Waits for whatever comes next.
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

    /// Asks for what the screen wants: at once if that is something else than before, else if it may have changed and time is due.
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
                // A refusal may be another one once something has changed.
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
            // Nobody sits there any more.
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

/// Hands an address of the page to the system's browser; what is to be said of it. There is no secret in it.
fn open(link: &str) -> String {
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let mut command = Command::new(opener);
    let started = command.arg(link).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    match started {
        Ok(mut child) => {
            // It is waited for apart, lest it stay as a zombie.
            std::thread::spawn(move || child.wait());
            format!("opened: {link}")
        }
        Err(error) => format!("{opener}: {error}; the link is {link}"),
    }
}
