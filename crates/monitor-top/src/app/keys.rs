//! Key bindings.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use monitor_wire::State;

use super::{App, Effect, Mode, Panel};
use crate::command::{self, Command};
use crate::data::{MOST_PROCESSES, Model};
use crate::list::Row;
use crate::prompt::{Prompt, Typed};
use crate::screens::Screen;

/// Lines of a page, for scrolling by pages.
const PAGE: isize = 20;

impl App {
    /// Handles a key.
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
            Mode::Limit(prompt, worker) => match prompt.key(key) {
                Typed::More => None,
                Typed::GivenUp => {
                    self.mode = Mode::List;
                    None
                }
                Typed::Done => {
                    let (typed, worker) = (std::mem::take(&mut prompt.text), *worker);
                    self.mode = Mode::List;
                    self.limit(&typed, worker)
                }
            },
            Mode::Confirm { deed, .. } => {
                let deed = deed.clone();
                self.answer(deed, key.code == KeyCode::Char('y'))
            }
        }
    }

    /// Inserts pasted text into the prompt.
    pub(crate) fn paste(&mut self, text: &str) {
        if let Mode::Filter(prompt) | Mode::Command(prompt) | Mode::Limit(prompt, _) = &mut self.mode {
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
            KeyCode::Char('c') => return self.cancel_selected(),
            KeyCode::Char('L') => self.limit_selected(),
            KeyCode::Char('X') => return self.shut_selected_down(),
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

    /// Moves the selection. Near the end of a tree, requests more of its processes.
    fn walk(&mut self, rows: isize) {
        let list = self.list();
        list.follows = false;
        list.move_by(rows);
        let is_near_end = list.has_more && list.place() + 2 * PAGE.unsigned_abs() > list.len();
        if is_near_end && self.screen.is_tree() && self.filter().is_empty() && self.limit < MOST_PROCESSES {
            self.limit = (2 * self.limit).min(MOST_PROCESSES);
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

    /// Returns the page's address for the selected row.
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
