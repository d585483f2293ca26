//! Input line for filters (`/`) and commands (`:`).

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Maximum number of characters.
const LONGEST: usize = 1_000;

/// Text typed so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Prompt {
    pub(crate) text: String,
}

/// Effect of a key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Typed {
    More,
    Done,
    GivenUp,
}

impl Prompt {
    pub(crate) fn key(&mut self, key: KeyEvent) -> Typed {
        match (key.code, key.modifiers) {
            (KeyCode::Enter, _) => return Typed::Done,
            (KeyCode::Esc, _) => return Typed::GivenUp,
            (KeyCode::Char('u'), KeyModifiers::CONTROL) => self.text.clear(),
            (KeyCode::Char('w'), KeyModifiers::CONTROL) => {
                let kept = self.text.trim_end().rfind(' ').map_or(0, |space| space + 1);
                self.text.truncate(kept);
            }
            (KeyCode::Backspace, _) if self.text.is_empty() => return Typed::GivenUp,
            (KeyCode::Backspace, _) => _ = self.text.pop(),
            (KeyCode::Char(c), KeyModifiers::NONE | KeyModifiers::SHIFT) => self.add(&c.to_string()),
            _ => {}
        }
        Typed::More
    }

    /// Inserts typed or pasted text.
    pub(crate) fn add(&mut self, text: &str) {
        let room = LONGEST.saturating_sub(self.text.chars().count());
        self.text.extend(text.chars().filter(|c| !c.is_control()).take(room));
    }
}
