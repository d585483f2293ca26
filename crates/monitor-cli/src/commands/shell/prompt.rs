//! The prompt of the shell.

use std::borrow::Cow;

use reedline::{PromptEditMode, PromptHistorySearch};

/// `monitor>`, with the exit code of the last command if it failed.
#[derive(Default)]
pub(super) struct Prompt {
    pub(super) code: u8,
}

impl reedline::Prompt for Prompt {
    fn render_prompt_left(&self) -> Cow<'_, str> {
        "monitor".into()
    }

    fn render_prompt_right(&self) -> Cow<'_, str> {
        "".into()
    }

    fn render_prompt_indicator(&self, _: PromptEditMode) -> Cow<'_, str> {
        if self.code == 0 { "> ".into() } else { format!(" [{}]> ", self.code).into() }
    }

    fn render_prompt_multiline_indicator(&self) -> Cow<'_, str> {
        "  ".into()
    }

    fn render_prompt_history_search_indicator(&self, search: PromptHistorySearch) -> Cow<'_, str> {
        format!(" (search: {}) ", search.term).into()
    }
}
