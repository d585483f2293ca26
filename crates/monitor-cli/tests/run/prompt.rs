//! Tests `monitor shell` with an interactive user.

use std::os::unix::fs::PermissionsExt as _;

use crate::harness::{House, end_of};
use crate::support::{ROOT, started};
use crate::terminal::Terminal;

/// Query of the line editor for the cursor position.
const WHERE: &str = "\x1b[6n";
const HERE: &str = "\x1b[1;1R";

#[test]
fn commands_are_typed_completed_and_found_again() {
    let house = House::new();
    house.server.send(1, &[started(ROOT, 1, None, "nightly")]);
    let mut terminal = Terminal::new();
    let prompt = |terminal: &mut Terminal, end: &str| {
        terminal.see(WHERE);
        terminal.type_in(HERE);
        terminal.see("monitor");
        terminal.see(end);
    };
    let mut command = house.monitor(&["shell"]);
    command.env("XDG_STATE_HOME", house.folder.path()).env("TERM", "xterm-256color").env("NO_COLOR", "1");
    let mut shell = terminal.start(command);
    prompt(&mut terminal, "> ");
    // The only command that begins so.
    terminal.type_in("statu\t\r");
    terminal.see("1 running");
    prompt(&mut terminal, "> ");
    terminal.type_in("export 99\r");
    terminal.see("monitor: ");
    prompt(&mut terminal, " [4]> ");
    // A command that runs is ended by Ctrl-C, and the shell is not.
    terminal.type_in("events --after 0\r");
    terminal.see("nightly");
    terminal.type_in("\x03");
    prompt(&mut terminal, " [130]> ");
    terminal.type_in("exit\r");
    assert!(end_of(&mut shell).success());
    let file = house.folder.path().join("monitor/history");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let history = std::fs::read_to_string(file).unwrap();
    assert!(history.contains("status") && history.contains("export 99"), "{history}");
}
