//! Judges the end of a run by the launcher's result, the output, and the task's definition.

use std::io;
use std::path::Path;
use std::time::Duration;

use monitor_runs::Output;
use monitor_runs::bounded::Part;
use monitor_tasks::exit::{End, How, Verdict, verdict};
use monitor_tasks::ledger::Outcome;
use monitor_tasks::{Definition, EndReason};
use monitor_wire::ProcessStarted;

/// Number of bytes of the output to search at a time.
const AT_ONCE: u64 = 1 << 20;

/// The result of a run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RunVerdict {
    pub(crate) outcome: Outcome,
    /// Exit code of the command.
    pub(crate) exit_code: Option<i32>,
    pub(crate) result_code: u8,
    pub(crate) signal: Option<i32>,
    /// Reason for the outcome, if the exit code of the command doesn't explain it.
    pub(crate) reason: Option<EndReason>,
    pub(crate) words: Option<String>,
    /// Start time of the command, in Unix microseconds.
    pub(crate) started_us: Option<u64>,
    /// Folder in the history that contains its published files.
    pub(crate) publication: Option<String>,
    pub(crate) recorded: Recorded,
}

/// The launcher's record of the end of a run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Recorded {
    /// The launcher recorded the end, with this exit code and reason.
    End { exit_code: Option<i32>, reason: Option<String>, is_success: bool },
    /// The launcher recorded no end, because it was killed.
    Nothing,
    /// No launcher was started. It would have recorded this start.
    NoLauncher(Box<ProcessStarted>),
}

impl RunVerdict {
    /// Verdict for a run that could not be started.
    pub(crate) fn not_started(words: String, code: u8, recorded: Recorded) -> Self {
        Self { recorded, ..Self::failed(not_started(code), words) }
    }

    /// Verdict for a run whose end is unknown. The run is not started again.
    pub(crate) fn lost(words: &str) -> Self {
        Self::failed(EndReason::Lost, words.to_owned())
    }

    /// Changes the reason of a killed run to `kill-after`, because the agent ended the run for this reason.
    pub(crate) fn was_too_long(&mut self) {
        if self.reason == Some(EndReason::Killed) {
            (self.result_code, self.reason) = (EndReason::KillAfter.code(), Some(EndReason::KillAfter));
        }
    }

    /// Returns true if the outcome is `ok`, `warn` or `idle`.
    pub(crate) fn is_success(&self) -> bool {
        matches!(self.outcome, Outcome::Ok | Outcome::Warn | Outcome::Idle)
    }

    fn failed(reason: EndReason, words: String) -> Self {
        Self {
            outcome: Outcome::Fail,
            exit_code: None,
            result_code: reason.code(),
            signal: None,
            reason: Some(reason),
            words: Some(words),
            started_us: None,
            publication: None,
            recorded: Recorded::Nothing,
        }
    }
}

/// Judges the end of a run's command by the definition with which the run was started. `folder` is the folder of the run. `published` is the
/// number of files that the run published. `unkept` is the reason why these files couldn't be moved to the history.
pub(crate) fn judge(
    definition: Option<&Definition>,
    ended: &monitor_runs::Outcome,
    folder: &Path,
    (published, unkept): (u32, Option<&str>),
) -> RunVerdict {
    let how = how(ended);
    let recorded = Recorded::End { exit_code: ended.code, reason: ended.reason.clone(), is_success: ended.is_success() };
    let has = |text: &String| output_has(folder, text.as_bytes()).unwrap_or(false);
    let expect = definition.and_then(|definition| definition.expect.as_ref());
    let end = End {
        ran: Duration::from_micros(ended.ended_us.saturating_sub(ended.started_us)),
        published,
        has_wanted_output: expect.and_then(|expect| expect.output_has.as_ref()).is_some_and(has),
        has_unwanted_output: expect.and_then(|expect| expect.output_lacks.as_ref()).is_some_and(has),
        ..End::new(how)
    };
    // If the definition is unknown, only the exit code counts.
    let plain = || Definition::from_toml("name = \"unknown\"").expect("a definition");
    let verdict = |end: &End| match definition {
        Some(definition) => verdict(definition, end),
        None => verdict(&plain(), end),
    };
    let mut found = verdict(&end);
    let is_well = matches!(found.outcome, Outcome::Ok | Outcome::Warn | Outcome::Idle);
    let unkept = unkept.filter(|_| is_well);
    if unkept.is_some() {
        found = verdict(&End { how: How::Other(EndReason::Publishing), ..end });
    }
    let Verdict { outcome, result_code, reason, words } = found;
    let words = words.map(|words| match (reason, unkept) {
        (_, Some(unkept)) => format!("{words}: {unkept}"),
        (Some(EndReason::Expectation), _) => words,
        _ => ended.why.clone().or_else(|| ended.error.clone()).unwrap_or(words),
    });
    RunVerdict {
        outcome,
        exit_code: ended.code.filter(|_| ended.error.is_none()),
        result_code,
        signal: ended.signal,
        reason,
        words,
        started_us: (ended.attempts > 0 && ended.error.is_none()).then_some(ended.started_us),
        publication: None,
        recorded,
    }
}

/// Maps the launcher's result to the end of the command. Launchers use their own words for some reasons.
fn how(ended: &monitor_runs::Outcome) -> How {
    let code = ended.code.and_then(|code| u8::try_from(code).ok());
    match (ended.reason.as_deref(), code, ended.signal) {
        (Some("timeout"), ..) => How::Other(EndReason::KillAfter),
        (Some("before"), ..) => How::Other(EndReason::Hook),
        (Some(word), code, _) => How::Other(EndReason::by_word(word).unwrap_or_else(|| not_started(code.unwrap_or_default()))),
        (None, None, None) => How::Other(EndReason::Lost),
        (None, _, Some(signal)) => How::Signal(u8::try_from(signal).unwrap_or(127)),
        (None, Some(code), None) => How::Exit(code),
    }
}

/// Reason why a command could not be started, by the launcher's exit code.
fn not_started(code: u8) -> EndReason {
    match code {
        126 => EndReason::NotExecutable,
        127 => EndReason::NotFound,
        _ => EndReason::NotStarted,
    }
}

/// Returns true if the output contains a text. Searches the output in pieces that overlap, because a single line may be as long as the file.
fn output_has(folder: &Path, text: &[u8]) -> io::Result<bool> {
    let (mut output, mut position, mut window) = (Output::open(folder)?, 0, Vec::new());
    loop {
        let length = output.length;
        match output.part(&mut position, length, AT_ONCE)? {
            Part::Bytes(bytes) if bytes.is_empty() => return Ok(false),
            Part::Bytes(bytes) => window.extend(bytes),
            // A text can't continue across a gap.
            Part::Missing(_) => window.clear(),
        }
        if window.windows(text.len()).any(|part| part == text) {
            return Ok(true);
        }
        window.drain(..window.len().saturating_sub(text.len() - 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(more: &str) -> Definition {
        Definition::from_toml(&format!("name = \"a\"\nshell = \"true\"\n{more}")).unwrap()
    }

    fn ended(code: i32) -> monitor_runs::Outcome {
        monitor_runs::Outcome { code: Some(code), attempts: 1, started_us: 1_000_000, ended_us: 3_000_000, ..Default::default() }
    }

    fn check(more: &str, ended: &monitor_runs::Outcome, expected: (Outcome, u8, Option<EndReason>)) {
        let judged = judge(Some(&definition(more)), ended, Path::new("/nowhere"), (2, None));
        assert_eq!((judged.outcome, judged.result_code, judged.reason), expected, "{more} {ended:?}");
    }

    #[test]
    fn the_outcome_of_a_command_is_derived_from_the_report_of_its_launcher() {
        let by = |reason: &str| monitor_runs::Outcome { reason: Some(reason.to_owned()), code: None, signal: Some(15), ..ended(0) };
        check("", &ended(0), (Outcome::Ok, 0, None));
        check("", &ended(95), (Outcome::Fail, 95, None));
        check("exit = { 24 = \"warn\" }", &ended(24), (Outcome::Warn, 24, None));
        check("", &by("killed"), (Outcome::Fail, 92, Some(EndReason::Killed)));
        check("", &by("timeout"), (Outcome::Fail, 93, Some(EndReason::KillAfter)));
        check("", &by("memory"), (Outcome::Fail, 97, Some(EndReason::Memory)));
        check("", &by("lost"), (Outcome::Fail, 94, Some(EndReason::Lost)));
        check("", &monitor_runs::Outcome { code: None, signal: Some(9), ..ended(0) }, (Outcome::Fail, 137, Some(EndReason::Signal)));
        let not_found = monitor_runs::Outcome { reason: Some("not-found".to_owned()), error: Some("no".to_owned()), ..ended(127) };
        check("", &not_found, (Outcome::Fail, 127, Some(EndReason::NotFound)));
        assert_eq!(judge(None, &ended(3), Path::new("/nowhere"), (0, None)).outcome, Outcome::Fail, "the definition is not known any more");
    }

    #[test]
    fn a_run_fails_if_its_files_cannot_be_kept() {
        let judge = |more: &str, code| judge(Some(&definition(more)), &ended(code), Path::new("/nowhere"), (2, Some("the disk is full")));
        let judged = judge("", 0);
        assert_eq!((judged.outcome, judged.exit_code, judged.result_code), (Outcome::Fail, Some(0), 96));
        assert_eq!(judged.words.as_deref(), Some("its files could not be moved to the history: the disk is full"));
        assert_eq!(judge("", 3).result_code, 3, "its own failure says more");
        assert_eq!(judge("retry = { times = 1 }", 0).outcome, Outcome::Retry);
    }

    #[test]
    fn a_run_fails_if_it_does_not_meet_its_expectations() {
        let folder = tempfile::tempdir().unwrap();
        let log = [vec![b'x'; (1 << 20) - 3], b"ERROR: no\n".to_vec()].concat();
        std::fs::write(folder.path().join("output.log"), log).unwrap();
        for (expect, result_code) in [
            ("min-duration = \"2s\", published = 2", 0),
            ("min-duration = \"3s\"", 91),
            ("published = 3", 91),
            ("output-has = \"done\"", 91),
            ("output-lacks = \"ERROR\"", 91),
            ("output-has = \"ERROR\"", 0),
            ("output-lacks = \"ERRORS\"", 0),
        ] {
            let judged = judge(Some(&definition(&format!("expect = {{ {expect} }}"))), &ended(0), folder.path(), (2, None));
            assert_eq!(judged.result_code, result_code, "{expect}: {judged:?}");
            assert_eq!(judged.reason.is_some(), result_code == 91, "{expect}: {judged:?}");
        }
    }
}
