//! Takes over the terminal, and restores it at any end of the program.

use std::io::{self, IsTerminal as _, Stdout, Write as _, stdout};
use std::panic;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::clipboard::CopyToClipboard;
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::execute;
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use ratatui::backend::CrosstermBackend;
use ratatui::{Frame, Terminal};

/// True while the terminal is taken over and must be restored.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// The terminal, taken over until this is dropped.
pub(crate) struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Screen {
    /// Takes over the terminal. A panic hook restores it before the message is printed.
    pub(crate) fn take() -> io::Result<Self> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let before = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                give_back();
                before(info);
            }));
        });
        enter()?;
        match Terminal::new(CrosstermBackend::new(stdout())) {
            Ok(terminal) => Ok(Self { terminal }),
            Err(error) => {
                give_back();
                Err(error)
            }
        }
    }

    pub(crate) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.terminal.draw(draw).map(|_| ())
    }

    /// Restores the terminal and stops the program until it is continued.
    pub(crate) fn suspend(&mut self) -> io::Result<()> {
        give_back();
        #[cfg(unix)]
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP)?;
        enter()?;
        // A new terminal object redraws everything. (Clearing would query the cursor position, and the reply would be taken for a key.)
        self.terminal = Terminal::new(CrosstermBackend::new(stdout()))?;
        Ok(())
    }

    /// Copies text to the user's clipboard with OSC 52, if the terminal permits that.
    pub(crate) fn copy(text: &str) -> io::Result<()> {
        execute!(stdout(), CopyToClipboard::to_clipboard_from(text))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// Returns true if input and output are terminals.
pub(crate) fn is_there() -> bool {
    io::stdin().is_terminal() && stdout().is_terminal()
}

fn enter() -> io::Result<()> {
    enable_raw_mode()?;
    IS_TAKEN.store(true, Ordering::SeqCst);
    execute!(stdout(), EnterAlternateScreen, EnableBracketedPaste).inspect_err(|_| give_back())
}

/// Restores the terminal. Errors are ignored, because they can't be displayed.
fn give_back() {
    if IS_TAKEN.swap(false, Ordering::SeqCst) {
        let _ = disable_raw_mode();
        let _ = execute!(stdout(), DisableBracketedPaste, LeaveAlternateScreen, crossterm::cursor::Show);
        let _ = stdout().flush();
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs::File;
    use std::io::Read as _;
    use std::process::Command;

    use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
    use rustix::termios::{LocalModes, tcgetattr};

    use super::*;

    /// Set in the child process of the test below, which panics on a pseudo-terminal.
    const PANICS: &str = "MONITOR_TEST_PANICS";

    #[test]
    fn a_panic_restores_the_terminal_before_its_message() {
        if std::env::var_os(PANICS).is_some() {
            let mut screen = Screen::take().unwrap();
            screen.draw(|_| panic!("out of the blue")).unwrap();
        }
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let theirs = ioctl_tiocgptpeer(&ours, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        let end = || theirs.try_clone().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "terminal::tests::a_panic_restores_the_terminal_before_its_message", "--nocapture"]).env(PANICS, "1");
        let mut child = child.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        let mut reader: File = ours.try_clone().unwrap().into();
        let reading = std::thread::spawn(move || {
            let (mut seen, mut buffer) = (String::new(), [0; 4_096]);
            while !seen.contains("test result") {
                let length = reader.read(&mut buffer).unwrap();
                seen.push_str(&String::from_utf8_lossy(&buffer[..length]));
            }
            seen
        });
        assert!(!child.wait().unwrap().success());
        let seen = reading.join().unwrap();
        let place = |what: &str| seen.find(what).unwrap_or_else(|| panic!("{what:?} is not in {seen:?}"));
        assert!(place("\u{1b}[?1049h") < place("\u{1b}[?1049l"), "{seen:?}");
        assert!(place("\u{1b}[?1049l") < place("out of the blue"), "{seen:?}");
        assert!(tcgetattr(&theirs).unwrap().local_modes.contains(LocalModes::ECHO | LocalModes::ICANON));
    }
}
