//! Reasons for the end of a run other than the command's exit code: the table of docs/reference/decisions.md, "Result codes".

/// Properties of a reason: word, result code, state of the run, cause of its alert, and description.
struct Row {
    word: &'static str,
    code: u8,
    state: &'static str,
    alert: Option<&'static str>,
    words: &'static str,
}

impl Row {
    const fn failed(word: &'static str, code: u8, words: &'static str) -> Self {
        Self { word, code, state: "failed", alert: Some("failed"), words }
    }
}

/// Reason for the end of a run. Agent, server, alerts and page use only these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// A signal ended the command.
    Signal,
    /// The hook before the run failed.
    Hook,
    /// The run did not meet a condition of `expect`.
    Expectation,
    /// The run was ended by request, or was replaced by the next run.
    Killed,
    /// The run exceeded `kill-after`.
    KillAfter,
    /// The launcher was killed, and the outcome is unknown.
    Lost,
    /// The run succeeded, but its files could not be moved to the history.
    Publishing,
    /// The run exceeded its memory limit.
    Memory,
    /// The run exceeded its CPU limit.
    Cpu,
    /// The command could not be started.
    NotStarted,
    /// The command can't be executed.
    NotExecutable,
    /// The command does not exist.
    NotFound,
}

impl EndReason {
    /// All reasons, in the order of the table.
    pub const ALL: [Self; 12] = [
        Self::Signal,
        Self::Hook,
        Self::Expectation,
        Self::Killed,
        Self::KillAfter,
        Self::Lost,
        Self::Publishing,
        Self::Memory,
        Self::Cpu,
        Self::NotStarted,
        Self::NotExecutable,
        Self::NotFound,
    ];

    const fn row(self) -> Row {
        match self {
            Self::Signal => Row::failed("signal", 128, "a signal ended it"),
            Self::Hook => Row::failed("hook", 90, "a hook failed"),
            Self::Expectation => Row::failed("expectation", 91, "it did not do what is expected of it"),
            Self::Killed => Row { state: "cancelled", alert: None, ..Row::failed("killed", 92, "it was ended") },
            Self::KillAfter => Row { alert: Some("timeout"), ..Row::failed("kill-after", 93, "it ran for longer than kill-after") },
            Self::Lost => Row { state: "lost", alert: Some("lost"), ..Row::failed("lost", 94, "it was lost: nobody knows how it ended") },
            // 95 is never used: a run that can't start in time is a missed due time.
            Self::Publishing => Row::failed("publishing", 96, "its files could not be moved to the history"),
            Self::Memory => Row::failed("memory", 97, "it used more memory than it may"),
            Self::Cpu => Row::failed("cpu", 97, "it used more processor time than it may"),
            Self::NotStarted => Row::failed("not-started", 125, "the command could not be started"),
            Self::NotExecutable => Row::failed("not-executable", 126, "the command can't be executed"),
            Self::NotFound => Row::failed("not-found", 127, "the command was not found"),
        }
    }

    /// Returns the reason in one word, as used in the API and the agent's database.
    pub const fn word(self) -> &'static str {
        self.row().word
    }

    /// Returns the reason for a word.
    pub fn by_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.word() == word)
    }

    /// Returns the result code of a run. For a signal, its number is added.
    pub const fn code(self) -> u8 {
        self.row().code
    }

    /// Returns the state of the run's process: `failed`, `cancelled` or `lost`.
    pub const fn state(self) -> &'static str {
        self.row().state
    }

    /// Returns the cause of the alert that is raised.
    pub const fn alert(self) -> Option<&'static str> {
        self.row().alert
    }

    /// Returns a description.
    pub const fn words(self) -> &'static str {
        self.row().words
    }
}

#[cfg(test)]
mod tests {
    use super::EndReason;

    /// Returns the rows of the documented table: code, reasons, state and alert.
    fn documented() -> Vec<[String; 4]> {
        let (_, table) = include_str!("../../../docs/reference/decisions.md").split_once("## Result codes").expect("the table");
        let rows = table.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|')).skip(2);
        rows.map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            [cells[1], cells[2], cells[4], cells[5]].map(|cell| cell.replace('`', ""))
        })
        .collect()
    }

    #[test]
    fn the_documentation_has_the_same_table() {
        let rows = documented();
        for reason in EndReason::ALL {
            let has = |row: &&[String; 4]| row[1].split(", ").any(|word| word == reason.word());
            let row = rows.iter().find(has).unwrap_or_else(|| panic!("{reason:?} is not documented"));
            let code = match reason.code() {
                125..=127 => "125 to 127".to_owned(),
                128 => "128 + n".to_owned(),
                code => code.to_string(),
            };
            assert_eq!([&row[0], &row[2], &row[3]], [&code, reason.state(), reason.alert().unwrap_or("none")], "{reason:?}");
            assert_eq!(EndReason::by_word(reason.word()), Some(reason));
        }
        let words = rows.iter().flat_map(|row| row[1].split(", ")).filter(|word| !word.is_empty());
        assert_eq!(words.count(), EndReason::ALL.len(), "the documentation has no other reasons");
    }
}
