//! Commands that a page shows at a prompt, executed one after the other by a new user.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use monitor_tests::{Finished, run, wait_for};
use tempfile::TempDir;

use super::{Workers, missing_line, shell};

/// The home folder of a user who has executed only the commands of one page.
pub(crate) struct Session {
    folder: TempDir,
    running: Vec<Workers>,
    server: Option<String>,
}

impl Session {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), running: Vec::new(), server: None }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Executes a command of a page like a user would: writes the file that `cat` shows, starts a command that ends with `&`, and compares
    /// the output of all other commands. Lines may be missing in the page, and `…` represents any text.
    pub(crate) fn type_in(&mut self, words: &str, prints: &str) {
        if let Some(file) = words.strip_prefix("cat ") {
            fs::write(self.path().join(file), prints).expect("the file");
        } else if let Some(words) = words.strip_suffix(" &") {
            self.start(words);
        } else {
            let mut last = String::new();
            wait_for(words, || {
                let finished = self.run(words);
                let missing = missing_line(&finished.stdout, prints);
                if finished.stdout != last {
                    last.clone_from(&finished.stdout);
                    eprintln!("$ {words}\n{last}");
                }
                // Only commands that read are repeated, because they may run before the result exists.
                let asks =
                    [" inspect ", " list", " show ", " explain ", " rules", " tasks", " try "].iter().any(|word| words.contains(word));
                assert!(asks || missing.is_none(), "{words}: {missing:?} isn't printed, or not in its place");
                assert!(finished.code == Some(0) || !prints.is_empty() || asks, "{words}: {:?}", finished.code);
                missing.is_none().then_some(())
            });
        }
    }

    /// Runs a command in a shell with the variables of the earlier commands. Errors are part of the output, like on a terminal.
    pub(crate) fn run(&self, words: &str) -> Finished {
        let text = format!("[ ! -f .env ] || . ./.env\nset -a\nexec 2>&1\n{words}\ncode=$?\nexport -p >.env\nexit $code");
        run(self.at_home(shell(&text)))
    }

    /// Starts a program. For a server, waits for its address, which the following commands use.
    fn start(&mut self, words: &str) {
        let mut started = self.at_home(shell(&format!("exec env {words}")));
        let mut child = started.env("MONITOR_LISTEN", "127.0.0.1:0").stdout(Stdio::piped()).spawn().expect("it starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        self.running.push(Workers(child));
        if words.contains("monitor server") {
            let address = lines
                .by_ref()
                .map_while(Result::ok)
                .find_map(|line| Some(line.strip_prefix("listening on ")?.trim_end_matches("/tasks").to_owned()));
            self.server = Some(address.expect("the server listens"));
        }
        std::thread::spawn(move || lines.for_each(drop));
    }

    fn at_home(&self, mut shell: Command) -> Command {
        shell.current_dir(self.path()).env("HOME", self.path()).env("no_proxy", "*");
        for (name, value) in [("XDG_STATE_HOME", "state"), ("XDG_CONFIG_HOME", "config"), ("XDG_DATA_HOME", "data")] {
            shell.env(name, self.path().join(value));
        }
        for name in ["MONITOR_SERVER_URL", "MONITOR_TOKEN", "MONITOR_AGENT_DATA", "MONITOR_AGENT", "MONITOR_SPOOL_DIR"] {
            shell.env_remove(name);
        }
        if let Some(url) = &self.server {
            shell.env("MONITOR_SERVER_URL", url);
        }
        shell
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // End programs before the server that they report to.
        while self.running.pop().is_some() {}
    }
}

/// Text between backticks, without code blocks.
pub(crate) fn code_of(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.split("```").step_by(2).flat_map(str::lines);
    lines.flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// Text between backticks in the first column of tables.
pub(crate) fn code_of_first_column(text: &str) -> impl Iterator<Item = &str> {
    let rows = text.lines().filter(|line| line.starts_with("| "));
    rows.filter_map(|row| row.split(" | ").next()).flat_map(code_of)
}
