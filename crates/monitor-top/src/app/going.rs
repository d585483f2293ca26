//! Navigation between screens.

use super::{App, Mode, Panel};
use crate::data::{FIRST_PROCESSES, Key, MOST_PROCESSES, Model, Question, TasksOf};
use crate::screens::Screen;

impl App {
    /// Opens the object of the selected row.
    pub(super) fn enter(&mut self) {
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

    /// Opens a tree and selects a process in it.
    pub(super) fn open_tree(&mut self, root: String, process: Option<Key>) {
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
                // The process can be anywhere in the tree, so request the maximum.
                self.limit = MOST_PROCESSES;
            }
        }
        self.show(Screen::Tree);
    }

    pub(super) fn set_root(&mut self, root: String) {
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

    /// Shows the screen with a number, for the object of the selected row.
    pub(super) fn show_numbered(&mut self, digit: char) {
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

    pub(super) fn go_back(&mut self) {
        if let Some(screen) = self.back.pop() {
            self.screen = screen;
            self.refusal = None;
        } else if self.screen != Screen::Roots {
            self.screen = Screen::Roots;
        }
    }

    pub(super) fn set_filter(&mut self, filter: String) {
        self.filters.insert(self.screen.list(), filter);
        self.refusal = None;
        self.forget_other_rows();
    }

    /// Clears rows that answer another question. Rows of the same tree with another limit stay visible.
    pub(super) fn forget_other_rows(&mut self) {
        let screen = self.screen.list();
        let tree_of = |question: &Question| if let Question::Tree { root, .. } = question { Some(root.clone()) } else { None };
        let (wanted, answered) = (self.question(), self.answered.get(&screen));
        let (Some(wanted), Some(answered)) = (wanted, answered) else { return };
        let grows = tree_of(&wanted).is_some() && tree_of(&wanted) == tree_of(answered);
        if wanted != *answered && !grows {
            let selected = self.list().selected_key().cloned();
            let now_us = self.now_us;
            self.list().clear();
            // The selected row may also be in the new answer.
            if let Some(key) = selected {
                self.list().select(key, now_us);
            }
        }
    }

    pub(super) fn show_numbered_or(&mut self, screen: Screen) {
        match screen.number() {
            Some(digit) => self.show_numbered(digit),
            None => self.show(screen),
        }
    }
}
