//! State of the terminal monitor, without drawing. Keys and answers change the state; [`Effect`] describes work that the loop must do.

mod deeds;
mod going;
mod keys;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use monitor_wire::{Process, ProcessId, Root, WorkerId};

#[cfg(test)]
pub(crate) use self::deeds::Target;
pub(crate) use self::deeds::{Deed, Limit, Outcome, RATE_LIMIT, SHUTDOWN};
use crate::data::{FIRST_PROCESSES, Facts, Key, Link, MOST_PROCESSES, Question, TasksOf};
use crate::list::List;
use crate::prompt::Prompt;
use crate::screens::Screen;

/// Work outside of the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    Quit,
    /// Suspends the program until the shell continues it.
    Suspend,
    Copy(String),
    Open(String),
    /// Finds a process by a prefix of its id.
    Find(String),
    /// Performs a dry run of a change.
    Weigh(Deed),
    Do(Deed),
}

/// A panel with details of the selected row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Panel {
    Info,
    Traceback,
    Result,
}

/// Input mode, which determines the meaning of keys.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Mode {
    List,
    Filter(Prompt),
    Command(Prompt),
    /// A panel, scrolled to this line.
    Panel(Panel, usize),
    /// Prompts for the name and rate limit of tasks, for one worker or for all workers.
    Limit(Prompt, Option<WorkerId>),
    /// Asks for confirmation.
    Confirm {
        deed: Deed,
        what: String,
    },
}

/// Start options.
#[derive(Debug, Clone, Default)]
pub(crate) struct Setting {
    /// Address of the page, without a trailing slash. `None` without a server.
    pub(crate) page: Option<String>,
    /// Displayed name of the data source.
    pub(crate) source: String,
    pub(crate) is_readonly: bool,
}

#[derive(Debug)]
pub(crate) struct App {
    pub(crate) setting: Setting,
    pub(crate) screen: Screen,
    /// Screens that Esc returns to.
    back: Vec<Screen>,
    lists: BTreeMap<Screen, List>,
    filters: BTreeMap<Screen, String>,
    pub(crate) mode: Mode,
    pub(crate) link: Link,
    pub(crate) message: Option<String>,
    /// Error text, if the list can't be loaded.
    pub(crate) refusal: Option<String>,
    pub(crate) now_us: u64,
    /// Number or id of the open tree.
    root: Option<String>,
    /// Root of the open tree, once loaded.
    pub(crate) opened: Option<Box<Root>>,
    /// Number of its processes to request.
    limit: usize,
    tasks_of: Option<TasksOf>,
    log_of: Option<ProcessId>,
    /// Question that the rows of each list answer.
    answered: BTreeMap<Screen, Question>,
}

impl App {
    pub(crate) fn new(setting: Setting, root: Option<String>, now_us: u64) -> Self {
        let mut app = Self {
            setting,
            screen: Screen::Roots,
            back: Vec::new(),
            lists: Screen::ALL.into_iter().map(|screen| (screen, List::default())).collect(),
            filters: BTreeMap::new(),
            mode: Mode::List,
            link: Link::Connecting,
            message: None,
            refusal: None,
            now_us,
            root: None,
            opened: None,
            limit: FIRST_PROCESSES,
            tasks_of: None,
            log_of: None,
            answered: BTreeMap::new(),
        };
        for screen in [Screen::Roots, Screen::Log] {
            app.list_of(screen).follows = true;
        }
        if let Some(root) = root {
            app.open_tree(root, None);
        }
        app
    }

    /// Returns the list of the current screen.
    pub(crate) fn list(&mut self) -> &mut List {
        self.list_of(self.screen)
    }

    fn list_of(&mut self, screen: Screen) -> &mut List {
        self.lists.entry(screen.list()).or_default()
    }

    pub(crate) fn filter(&self) -> &str {
        self.filters.get(&self.screen.list()).map_or("", String::as_str)
    }

    /// Returns true if the displayed list is the answer to the current question.
    pub(crate) fn is_answered(&self) -> bool {
        self.question().is_none_or(|question| self.answered.get(&self.screen.list()) == Some(&question))
    }

    pub(crate) fn tasks_of(&self) -> Option<&TasksOf> {
        self.tasks_of.as_ref()
    }

    pub(crate) fn log_of(&self) -> Option<ProcessId> {
        self.log_of
    }

    /// Returns the question whose answer the screen shows, if any.
    pub(crate) fn question(&self) -> Option<Question> {
        let filter = self.filter().to_owned();
        Some(match self.screen {
            Screen::Roots => Question::Roots { filter },
            Screen::Tree | Screen::Timeline if filter.is_empty() => Question::Tree { root: self.root.clone()?, limit: self.limit },
            Screen::Tree | Screen::Timeline => Question::Found { root: self.root.clone()?, filter },
            Screen::Errors => Question::Errors { filter },
            Screen::Workers => Question::Workers { filter },
            Screen::Types => Question::Types { filter },
            Screen::Queues => Question::Queues { filter },
            Screen::Tasks => Question::Tasks { of: self.tasks_of.clone()?, filter },
            Screen::Log => Question::Log { root: self.root.clone()?, process: self.log_of, filter },
            Screen::Help => return None,
        })
    }

    /// Applies an answer, unless the question has changed since then.
    pub(crate) fn take(&mut self, question: &Question, facts: Facts) {
        if self.question().as_ref() != Some(question) {
            return;
        }
        let (screen, filter, now_us, limit) = (self.screen, self.filter().to_owned(), self.now_us, self.limit);
        self.refusal = None;
        if facts.root.is_some() {
            self.opened = facts.root;
        }
        let rows: Vec<_> = facts.models.into_iter().map(|model| screen.row(model)).filter(|row| screen.keeps(row, &filter)).collect();
        self.answered.insert(screen.list(), question.clone());
        let list = self.list();
        list.has_more = facts.has_more;
        list.take(rows, now_us);
        if list.awaits() && list.has_more && limit == MOST_PROCESSES {
            self.message = Some(format!("it is not among the first {MOST_PROCESSES} processes of its tree: / finds it by its name"));
        } else if list.follows
            && let Some(key) = screen.newest(list.all())
        {
            list.select(key, now_us);
        }
    }

    /// Records that a question failed.
    pub(crate) fn refuse(&mut self, question: &Question, words: String, is_away: bool) {
        if is_away {
            self.link = Link::Away(words);
        } else if self.question().as_ref() == Some(question) {
            self.refusal = Some(words);
        }
    }

    /// Shows the processes found by an id.
    pub(crate) fn found(&mut self, typed: &str, processes: &[Process]) {
        match processes {
            [] => self.message = Some(format!("no process has an id that begins with {typed}")),
            [process, more @ ..] => {
                self.open_tree(process.root_id.to_string(), Some(Key::Process(process.root_id, process.id)));
                if !more.is_empty() {
                    self.message = Some(format!("{} more have ids that begin with {typed}", more.len()));
                }
            }
        }
    }
}
