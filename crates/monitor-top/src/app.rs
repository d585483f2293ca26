//! The state of the terminal monitor without drawing: a key makes of it another one, and so does an answer.

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

/// What the state can't do by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    Quit,
    /// Leaves the terminal to the shell until it comes back.
    Suspend,
    Copy(String),
    Open(String),
    /// Finds a process by the beginning of its id.
    Find(String),
    /// Finds out what a deed would do.
    Weigh(Deed),
    Do(Deed),
}

/// What is told of a row beside the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Panel {
    Info,
    Traceback,
    Result,
}

/// Who gets the keys.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Mode {
    List,
    Filter(Prompt),
    Command(Prompt),
    /// A panel, from this line on.
    Panel(Panel, usize),
    /// Asks for a task's name and how often such tasks are to begin: in this worker alone, or in all.
    Limit(Prompt, Option<WorkerId>),
    /// Asks whether this is to be done.
    Confirm {
        deed: Deed,
        what: String,
    },
}

/// What it was started with.
#[derive(Debug, Clone, Default)]
pub(crate) struct Setting {
    /// The address of the page, without a slash at its end; none if there is no server.
    pub(crate) page: Option<String>,
    /// Where the data comes from, as it is shown.
    pub(crate) source: String,
    pub(crate) is_readonly: bool,
}

#[derive(Debug)]
pub(crate) struct App {
    pub(crate) setting: Setting,
    pub(crate) screen: Screen,
    /// Where Esc goes back to.
    back: Vec<Screen>,
    lists: BTreeMap<Screen, List>,
    filters: BTreeMap<Screen, String>,
    pub(crate) mode: Mode,
    pub(crate) link: Link,
    pub(crate) message: Option<String>,
    /// Why the list can't be had.
    pub(crate) refusal: Option<String>,
    pub(crate) now_us: u64,
    /// The tree that is open: its number or its id.
    root: Option<String>,
    /// What is known of it.
    pub(crate) opened: Option<Box<Root>>,
    /// How many processes of it are asked for.
    limit: usize,
    tasks_of: Option<TasksOf>,
    log_of: Option<ProcessId>,
    /// The question that the rows of each list answer.
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

    /// The list of the screen that is shown.
    pub(crate) fn list(&mut self) -> &mut List {
        self.list_of(self.screen)
    }

    fn list_of(&mut self, screen: Screen) -> &mut List {
        self.lists.entry(screen.list()).or_default()
    }

    pub(crate) fn filter(&self) -> &str {
        self.filters.get(&self.screen.list()).map_or("", String::as_str)
    }

    /// Returns true once the list that is shown was answered.
    pub(crate) fn is_answered(&self) -> bool {
        self.question().is_none_or(|question| self.answered.get(&self.screen.list()) == Some(&question))
    }

    pub(crate) fn tasks_of(&self) -> Option<&TasksOf> {
        self.tasks_of.as_ref()
    }

    pub(crate) fn log_of(&self) -> Option<ProcessId> {
        self.log_of
    }

    /// What the screen wants to know, if anything.
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

    /// Takes an answer, unless something else is wanted by now.
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

    /// Takes that the question has no answer.
    pub(crate) fn refuse(&mut self, question: &Question, words: String, is_away: bool) {
        if is_away {
            self.link = Link::Away(words);
        } else if self.question().as_ref() == Some(question) {
            self.refusal = Some(words);
        }
    }

    /// Takes the processes that were found by an id.
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
