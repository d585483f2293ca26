//! The state of the terminal monitor without drawing: a key makes of it another one, and so does an answer.

use std::collections::BTreeMap;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use monitor_wire::{Cancelled, Process, ProcessId, Root, State};

use crate::command::{self, Command};
use crate::data::{FIRST_PROCESSES, Facts, Key, Link, MOST_PROCESSES, Model, Question, TasksOf};
use crate::list::{List, Row};
use crate::prompt::{Prompt, Typed};
use crate::screens::Screen;

/// Lines of a page, for the keys that go by pages.
const PAGE: isize = 20;

/// What is to be cancelled: a tree, or a process of it with all below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) root: String,
    pub(crate) process: Option<ProcessId>,
    pub(crate) name: String,
}

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
    /// Finds out what a cancellation would end.
    Weigh(Target),
    Cancel(Target),
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
    /// Asks whether this is to be done, which would end so many processes of so many workers.
    Confirm {
        target: Target,
        processes: u64,
        workers: usize,
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

    /// Takes what a cancellation would end, and asks.
    pub(crate) fn weighed(&mut self, target: Target, would_end: &Cancelled) {
        if would_end.meant == 0 {
            self.message = Some(format!("nothing of {} runs", target.name));
        } else {
            self.mode = Mode::Confirm { target, processes: would_end.meant, workers: would_end.lines.len() };
        }
    }

    /// Takes what became of a cancellation.
    pub(crate) fn cancelled(&mut self, ended: &Cancelled) {
        let Cancelled { meant, running, .. } = ended;
        self.message = Some(match running {
            0 => format!("{meant} ended"),
            _ => format!("{} of {meant} ended; {running} go on", meant.saturating_sub(*running)),
        });
    }

    /// Takes a key.
    pub(crate) fn key(&mut self, key: KeyEvent) -> Option<Effect> {
        self.message = None;
        match (key.code, key.modifiers) {
            (KeyCode::Char('c'), KeyModifiers::CONTROL) => return Some(Effect::Quit),
            (KeyCode::Char('z'), KeyModifiers::CONTROL) => return Some(Effect::Suspend),
            _ => {}
        }
        match &mut self.mode {
            Mode::List => self.key_in_list(key),
            Mode::Panel(panel, top) => {
                let step = match key.code {
                    KeyCode::Char('j') | KeyCode::Down => 1,
                    KeyCode::Char('k') | KeyCode::Up => -1,
                    KeyCode::PageDown | KeyCode::Char(' ') => PAGE,
                    KeyCode::PageUp => -PAGE,
                    KeyCode::Char('g') | KeyCode::Home => isize::MIN,
                    code => {
                        let (panel, other) = (*panel, panel_of(code));
                        self.mode = other.filter(|other| *other != panel).map_or(Mode::List, |other| Mode::Panel(other, 0));
                        return None;
                    }
                };
                *top = top.saturating_add_signed(step);
                None
            }
            Mode::Filter(prompt) => {
                match prompt.key(key) {
                    Typed::More => return None,
                    Typed::GivenUp => {}
                    Typed::Done => {
                        let filter = prompt.text.trim().to_owned();
                        self.set_filter(filter);
                    }
                }
                self.mode = Mode::List;
                None
            }
            Mode::Command(prompt) => match prompt.key(key) {
                Typed::More => None,
                Typed::GivenUp => {
                    self.mode = Mode::List;
                    None
                }
                Typed::Done => {
                    let typed = std::mem::take(&mut prompt.text);
                    self.mode = Mode::List;
                    self.command(&typed)
                }
            },
            Mode::Confirm { target, .. } => {
                let target = target.clone();
                self.mode = Mode::List;
                if key.code == KeyCode::Char('y') {
                    self.message = Some(format!("cancelling {} …", target.name));
                    return Some(Effect::Cancel(target));
                }
                self.message = Some("nothing was cancelled".to_owned());
                None
            }
        }
    }

    /// Takes what was pasted.
    pub(crate) fn paste(&mut self, text: &str) {
        if let Mode::Filter(prompt) | Mode::Command(prompt) = &mut self.mode {
            prompt.add(text);
        }
    }

    fn key_in_list(&mut self, key: KeyEvent) -> Option<Effect> {
        let now_us = self.now_us;
        match key.code {
            KeyCode::Char('q') => return Some(Effect::Quit),
            KeyCode::Char('j') | KeyCode::Down => self.walk(1),
            KeyCode::Char('k') | KeyCode::Up => self.walk(-1),
            KeyCode::PageDown | KeyCode::Char(' ') => self.walk(PAGE),
            KeyCode::PageUp => self.walk(-PAGE),
            KeyCode::Char('g') | KeyCode::Home => self.walk(isize::MIN),
            KeyCode::Char('G') | KeyCode::End => self.walk(isize::MAX),
            KeyCode::Char('h') | KeyCode::Left => {
                if !(self.screen.is_tree() && self.list().close(now_us)) {
                    self.go_back();
                }
            }
            KeyCode::Char('l') | KeyCode::Right => {
                if self.screen.is_tree() {
                    self.list().open(now_us);
                } else {
                    self.enter();
                }
            }
            KeyCode::Enter => self.enter(),
            KeyCode::Esc => {
                if self.filter().is_empty() {
                    self.go_back();
                } else {
                    self.set_filter(String::new());
                }
            }
            KeyCode::Char('/') if self.screen != Screen::Help => self.mode = Mode::Filter(Prompt { text: self.filter().to_owned() }),
            KeyCode::Char(':') => self.mode = Mode::Command(Prompt::default()),
            KeyCode::Char('?') => self.show(Screen::Help),
            KeyCode::Char(digit @ '1'..='9') => self.show_numbered(digit),
            KeyCode::Char('e') => self.seek_error(true),
            KeyCode::Char('E') => self.seek_error(false),
            KeyCode::Char('s') => {
                let columns = self.screen.columns().len();
                self.list().sort_next(columns, now_us);
            }
            KeyCode::Char('S') => self.list().flip(now_us),
            KeyCode::Char('F') => {
                let is_frozen = self.list().is_frozen();
                self.list().freeze(!is_frozen, now_us);
            }
            KeyCode::Char('f') => {
                let (screen, list) = (self.screen, self.list());
                list.follows = !list.follows;
                if list.follows
                    && let Some(key) = screen.newest(list.all())
                {
                    list.select(key, now_us);
                }
            }
            KeyCode::Char('c') => return self.weigh(),
            KeyCode::Char('y') => return self.link_of_selected().map(Effect::Copy),
            KeyCode::Char('o') => return self.link_of_selected().map(Effect::Open),
            code => {
                if let Some(panel) = panel_of(code).filter(|_| self.list().selected().is_some()) {
                    self.mode = Mode::Panel(panel, 0);
                }
            }
        }
        None
    }

    /// Goes down, or up. Near the end of a tree more of it is asked for.
    fn walk(&mut self, rows: isize) {
        let list = self.list();
        list.follows = false;
        list.move_by(rows);
        let is_near_end = list.has_more && list.place() + 2 * PAGE.unsigned_abs() > list.len();
        if is_near_end && self.screen.is_tree() && self.filter().is_empty() && self.limit < MOST_PROCESSES {
            self.limit = (2 * self.limit).min(MOST_PROCESSES);
        }
    }

    /// Goes to what the selected row stands for.
    fn enter(&mut self) {
        let Some(row) = self.list().selected().cloned() else { return };
        match &row.model {
            Model::Root(root) => {
                let root = root.root_id.to_string();
                self.open_tree(root, None);
            }
            Model::Process(process) if self.screen == Screen::Tasks => {
                let (root, key) = (process.root_id.to_string(), row.key.clone());
                self.open_tree(root, Some(key));
            }
            Model::Process(_) if self.screen == Screen::Timeline => self.show(Screen::Tree),
            Model::Process(process) if !self.filter().is_empty() => {
                let (root, key) = (process.root_id.to_string(), row.key.clone());
                self.open_tree(root, Some(key));
            }
            Model::Process(_) | Model::Worker(_) => self.mode = Mode::Panel(Panel::Info, 0),
            Model::Error(error) => match error.root_id {
                Some(root) => {
                    let key = Key::Process(root, error.id);
                    self.open_tree(root.to_string(), Some(key));
                }
                None => self.message = Some("its tree is no longer kept".to_owned()),
            },
            Model::Counts(counts) => {
                let name = counts.name.clone();
                self.tasks_of = Some(if self.screen == Screen::Queues { TasksOf::Queue(name) } else { TasksOf::Type(name) });
                self.show(Screen::Tasks);
            }
            Model::Line(line) => {
                let key = self.opened.as_ref().map(|root| Key::Process(root.root_id, line.process_id));
                if let Some(root) = self.root.clone() {
                    self.open_tree(root, key);
                }
            }
        }
    }

    /// Opens a tree, and selects a process of it.
    fn open_tree(&mut self, root: String, process: Option<Key>) {
        let is_other = self.root.as_ref() != Some(&root) && self.opened.as_ref().is_none_or(|opened| opened.root_id.to_string() != root);
        if is_other {
            self.set_root(root);
        }
        if let Some(key) = process {
            self.filters.remove(&Screen::Tree);
            let now_us = self.now_us;
            let list = self.list_of(Screen::Tree);
            list.follows = false;
            list.select(key.clone(), now_us);
            if !list.has(&key) {
                // It may stand anywhere in the tree.
                self.limit = MOST_PROCESSES;
            }
        }
        self.show(Screen::Tree);
    }

    fn set_root(&mut self, root: String) {
        (self.root, self.opened, self.log_of, self.limit) = (Some(root), None, None, FIRST_PROCESSES);
        for screen in [Screen::Tree, Screen::Log] {
            self.filters.remove(&screen);
            self.list_of(screen).clear();
        }
    }

    pub(crate) fn show(&mut self, screen: Screen) {
        if screen != self.screen {
            self.back.retain(|other| *other != screen);
            self.back.push(self.screen);
            self.screen = screen;
        }
        self.refusal = None;
        self.forget_other_rows();
    }

    /// Goes to a screen by its number; what it is about is what is selected.
    fn show_numbered(&mut self, digit: char) {
        let Some(screen) = Screen::ALL.into_iter().find(|screen| screen.number() == Some(digit)) else { return };
        let selected = self.list().selected().map(|row| row.model.clone());
        match (screen, self.screen, selected) {
            (Screen::Tree | Screen::Timeline | Screen::Log, Screen::Roots, Some(Model::Root(root))) => {
                let root_id = root.root_id.to_string();
                if self.root.as_ref() != Some(&root_id) {
                    self.set_root(root_id);
                }
                self.log_of = None;
            }
            (Screen::Log, Screen::Tree | Screen::Timeline, Some(Model::Process(process))) => {
                self.log_of = (process.depth != Some(0)).then_some(process.id);
            }
            _ => {}
        }
        self.show(screen);
    }

    fn go_back(&mut self) {
        if let Some(screen) = self.back.pop() {
            self.screen = screen;
            self.refusal = None;
        } else if self.screen != Screen::Roots {
            self.screen = Screen::Roots;
        }
    }

    fn set_filter(&mut self, filter: String) {
        self.filters.insert(self.screen.list(), filter);
        self.refusal = None;
        self.forget_other_rows();
    }

    /// Rows that answer another question aren't shown; those of a tree that only grows are.
    fn forget_other_rows(&mut self) {
        let screen = self.screen.list();
        let tree_of = |question: &Question| if let Question::Tree { root, .. } = question { Some(root.clone()) } else { None };
        let (wanted, answered) = (self.question(), self.answered.get(&screen));
        let (Some(wanted), Some(answered)) = (wanted, answered) else { return };
        let grows = tree_of(&wanted).is_some() && tree_of(&wanted) == tree_of(answered);
        if wanted != *answered && !grows {
            let selected = self.list().selected_key().cloned();
            let now_us = self.now_us;
            self.list().clear();
            // Whoever is selected may be among the new ones.
            if let Some(key) = selected {
                self.list().select(key, now_us);
            }
        }
    }

    fn seek_error(&mut self, forward: bool) {
        let now_us = self.now_us;
        let is_failure = |row: &Row| match &row.model {
            Model::Root(root) => has_failed(&root.state),
            Model::Process(process) => has_failed(&process.state),
            Model::Worker(worker) => worker.state.as_str() == "lost",
            Model::Line(line) => line.level == "error",
            Model::Error(_) => true,
            Model::Counts(counts) => counts.states.get("failed").is_some_and(|count| *count > 0),
        };
        let list = self.list();
        list.follows = false;
        if !list.seek(forward, now_us, is_failure) {
            let more = if list.has_more { " here: /state:failed looks further" } else { "" };
            self.message = Some(format!("nothing has failed{more}"));
        }
    }

    fn weigh(&mut self) -> Option<Effect> {
        let target = match &self.list().selected()?.model {
            Model::Root(root) => Target { root: root.root_id.to_string(), process: None, name: root.title.clone() },
            Model::Process(process) => Target { root: process.root_id.to_string(), process: Some(process.id), name: process.name.clone() },
            _ => {
                self.message = Some("only trees, processes and tasks can be cancelled".to_owned());
                return None;
            }
        };
        if self.setting.page.is_none() {
            self.message = Some("what is replayed can't be changed".to_owned());
        } else if self.setting.is_readonly {
            self.message = Some("nothing can be changed: it was started with --readonly".to_owned());
        } else {
            return Some(Effect::Weigh(target));
        }
        None
    }

    /// The page's address of the selected row.
    fn link_of_selected(&mut self) -> Option<String> {
        let of_root = |root: &dyn std::fmt::Display| format!("/{root}");
        let path = match self.list().selected().map(|row| row.model.clone()) {
            Some(Model::Root(root)) => of_root(&root.root_id),
            Some(Model::Process(process)) => format!("/{}?process={}", process.root_id, process.id),
            Some(Model::Error(error)) => {
                error.root_id.map_or_else(|| "/statistics".to_owned(), |root| format!("/{root}?process={}", error.id))
            }
            Some(Model::Worker(_)) => "/workers".to_owned(),
            Some(Model::Line(line)) => {
                let root = self.opened.as_ref().map(|root| root.root_id.to_string());
                root.map(|root| format!("/{root}?tab=logs&process={}", line.process_id)).unwrap_or_default()
            }
            Some(Model::Counts(_)) | None => String::new(),
        };
        let link = self.setting.page.as_ref().map(|page| format!("{page}{path}"));
        if link.is_none() {
            self.message = Some("what is replayed has no page".to_owned());
        }
        link
    }

    fn command(&mut self, typed: &str) -> Option<Effect> {
        match command::read(typed) {
            Ok(Command::Nothing) => {}
            Ok(Command::Quit) => return Some(Effect::Quit),
            Ok(Command::Show(screen)) => self.show_numbered_or(screen),
            Ok(Command::Tree(root)) => self.open_tree(root, None),
            Ok(Command::Process(id)) => return Some(Effect::Find(id)),
            Err(words) => self.message = Some(words),
        }
        None
    }

    fn show_numbered_or(&mut self, screen: Screen) {
        match screen.number() {
            Some(digit) => self.show_numbered(digit),
            None => self.show(screen),
        }
    }
}

fn has_failed(state: &State) -> bool {
    [State::FAILED, State::LOST].contains(state)
}

fn panel_of(code: KeyCode) -> Option<Panel> {
    match code {
        KeyCode::Char('i') => Some(Panel::Info),
        KeyCode::Char('t') => Some(Panel::Traceback),
        KeyCode::Char('r') => Some(Panel::Result),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
