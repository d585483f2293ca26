//! A terminal emulator that shows what a user of the terminal would see.

use std::num::NonZeroU16;
use std::process::{Child, Command};
use std::sync::{Arc, Condvar, Mutex};

use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::tcgetattr;

use crate::pty::Pty;
use crate::support::PATIENCE;

struct Seen {
    parser: vt100::Parser<Titles>,
    written: Vec<u8>,
}

/// Window titles that the program has set.
#[derive(Default)]
struct Titles(String);

impl vt100::Callbacks for Titles {
    fn set_window_title(&mut self, _: &mut vt100::Screen, title: &[u8]) {
        self.0.push_str(&String::from_utf8_lossy(title));
    }
}

pub(crate) struct Screen {
    pty: Pty,
    seen: Arc<(Mutex<Seen>, Condvar)>,
}

fn some(cells: u16) -> NonZeroU16 {
    NonZeroU16::new(cells).unwrap()
}

/// The command, with nothing else from outside.
pub(crate) fn top(url: &str, args: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("monitor"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MONITOR_")) {
        command.env_remove(name);
    }
    command.arg("top").args(args).args(["--server", url]).env("TERM", "xterm-256color").env("TZ", "UTC").env_remove("NO_COLOR");
    command
}

impl Screen {
    pub(crate) fn new(rows: u16, columns: u16) -> Self {
        let parser = vt100::Parser::new_with_callbacks(some(rows), some(columns), 0, Titles::default());
        let seen = Arc::new((Mutex::new(Seen { parser, written: Vec::new() }), Condvar::new()));
        let screen = Self { pty: Pty::open(rows, columns), seen };
        let seen = screen.seen.clone();
        screen.pty.read(move |bytes| {
            let mut known = seen.0.lock().unwrap();
            known.parser.process(bytes);
            known.written.extend_from_slice(bytes);
            seen.1.notify_all();
        });
        screen
    }

    pub(crate) fn start(&self, url: &str, args: &[&str]) -> Child {
        self.start_command(top(url, args))
    }

    pub(crate) fn start_command(&self, command: Command) -> Child {
        self.pty.start(command)
    }

    pub(crate) fn type_in(&mut self, text: &str) {
        self.pty.type_in(text);
    }

    pub(crate) fn resize(&self, rows: u16, columns: u16) {
        self.seen.0.lock().unwrap().parser.screen_mut().set_size(some(rows), some(columns));
        self.pty.resize(rows, columns);
    }

    /// Waits until this text is shown.
    pub(crate) fn see(&self, text: &str) {
        self.wait(text, |seen| seen.contents().contains(text));
    }

    /// Waits until this is not to be seen any more.
    pub(crate) fn see_no(&self, text: &str) {
        self.wait(text, |seen| !seen.contents().contains(text));
    }

    pub(crate) fn see_until(&self, is_so: impl Fn(&vt100::Screen) -> bool) {
        self.wait("a state of the terminal", is_so);
    }

    fn wait(&self, what: &str, is_so: impl Fn(&vt100::Screen) -> bool) {
        let (seen, changed) = &*self.seen;
        let seen = seen.lock().unwrap();
        let (seen, late) = changed.wait_timeout_while(seen, PATIENCE, |seen| !is_so(seen.parser.screen())).unwrap();
        assert!(!late.timed_out(), "waited in vain: {what:?}; to be seen is\n{}", seen.parser.screen().contents());
    }

    pub(crate) fn is_alternate(&self) -> bool {
        self.seen.0.lock().unwrap().parser.screen().alternate_screen()
    }

    /// All that was written to the terminal.
    pub(crate) fn written(&self) -> String {
        String::from_utf8_lossy(&self.seen.0.lock().unwrap().written).into_owned()
    }

    /// Titles that were set.
    pub(crate) fn title(&self) -> String {
        self.seen.0.lock().unwrap().parser.callbacks().0.clone()
    }

    /// Returns the terminal's input modes.
    pub(crate) fn modes(&self) -> String {
        let modes = tcgetattr(&self.pty.theirs).unwrap();
        format!("{:?} {:?} {:?}", modes.input_modes, modes.output_modes, modes.local_modes)
    }
}

pub(crate) fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}
