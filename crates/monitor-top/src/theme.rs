//! Colors and styles.

use anstyle::AnsiColor;
use monitor_wire::State;
use ratatui::style::{Color, Modifier, Style};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Theme {
    /// False if `NO_COLOR` is set. In that case, bold and reverse video are used, and glyphs show states.
    pub(crate) is_coloured: bool,
}

impl Theme {
    pub(crate) fn from_env() -> Self {
        Self { is_coloured: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) }
    }

    pub(crate) fn state(self, state: &State) -> Style {
        let style = monitor_text::style(state);
        let colour = style.get_fg_color().and_then(|colour| if let anstyle::Color::Ansi(colour) = colour { Some(colour) } else { None });
        self.coloured(colour.map(|colour| match colour {
            AnsiColor::Cyan => Color::Cyan,
            AnsiColor::Green => Color::Green,
            AnsiColor::Red => Color::Red,
            AnsiColor::Yellow => Color::Yellow,
            _ => Color::Reset,
        }))
    }

    pub(crate) fn warning(self) -> Style {
        self.coloured(Some(Color::Yellow)).add_modifier(Modifier::BOLD)
    }

    fn coloured(self, colour: Option<Color>) -> Style {
        colour.filter(|_| self.is_coloured).map_or(Style::new(), |colour| Style::new().fg(colour))
    }
}

pub(crate) fn faint() -> Style {
    Style::new().add_modifier(Modifier::DIM)
}

pub(crate) fn strong() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

/// Style of the selected row and other highlights.
pub(crate) fn selected() -> Style {
    Style::new().add_modifier(Modifier::REVERSED)
}
