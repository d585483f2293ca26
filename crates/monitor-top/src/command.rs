//! Commands typed after `:`: a screen, a tree, or a process.

use crate::screens::Screen;

/// A parsed command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    Nothing,
    Quit,
    Show(Screen),
    /// A tree, by number or id.
    Tree(String),
    /// A process, by a prefix of its id.
    Process(String),
}

/// Parses a command. Returns an error text for unknown commands.
pub(crate) fn read(typed: &str) -> Result<Command, String> {
    let typed = typed.trim();
    let word = typed.to_lowercase();
    let (is_hex, is_number) = (word.bytes().all(|c| c.is_ascii_hexdigit()), word.bytes().all(|c| c.is_ascii_digit()));
    if word.is_empty() {
        return Ok(Command::Nothing);
    }
    if ["q", "quit", "exit"].contains(&word.as_str()) {
        return Ok(Command::Quit);
    }
    if let Some(root) = word.strip_prefix("tree ").map(str::trim).filter(|root| !root.is_empty()) {
        return Ok(Command::Tree(root.to_owned()));
    }
    if word == "roots" {
        return Ok(Command::Show(Screen::Roots));
    }
    let mut screens = Screen::ALL.into_iter().filter(|screen| screen.number().is_some());
    if let Some(screen) = screens.find(|screen| screen.name() == word || word.len() >= 2 && screen.name().starts_with(&word)) {
        return Ok(Command::Show(screen));
    }
    match word.len() {
        _ if is_number && word.len() < 16 => Ok(Command::Tree(word)),
        32 if is_hex => Ok(Command::Tree(word)),
        6..=16 if is_hex => Ok(Command::Process(word)),
        _ => {
            let names: Vec<_> = Screen::ALL.into_iter().filter(|screen| screen.number().is_some()).map(Screen::name).collect();
            Err(format!("expected a run's number, an id of a run or a process, or one of: {}, quit", names.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn screens_trees_and_processes_are_distinguished() {
        for (typed, command) in [
            ("", Command::Nothing),
            (" q ", Command::Quit),
            ("errors", Command::Show(Screen::Errors)),
            ("runs", Command::Show(Screen::Roots)),
            ("roots", Command::Show(Screen::Roots)),
            ("Time", Command::Show(Screen::Timeline)),
            ("2106", Command::Tree("2106".to_owned())),
            ("tree 0199a3ce", Command::Tree("0199a3ce".to_owned())),
            ("0199A3CE929D0E0E47360199A3CE929D", Command::Tree("0199a3ce929d0e0e47360199a3ce929d".to_owned())),
            ("a3ce92", Command::Process("a3ce92".to_owned())),
        ] {
            assert_eq!(read(typed), Ok(command), "{typed}");
        }
        for typed in ["x", "a3ce9", "\u{1b}[31m", "../roots", "根"] {
            assert!(read(typed).unwrap_err().contains("runs, tree"), "{typed}");
        }
    }
}
