//! How a run went: its command's exit code, what the definition makes of it, and what was expected of it.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::path::Path;
use std::time::Duration;

use monitor_tasks::definition::{Definition, Expect, Meaning};
use monitor_tasks::ledger::Outcome;

/// Result codes of runs that have none of their command's own.
pub(crate) mod result {
    /// A hook failed.
    pub(crate) const HOOK: i32 = 90;
    /// It did not do what was expected of it.
    pub(crate) const EXPECTATION: i32 = 91;
    /// Somebody ended it.
    pub(crate) const KILLED: i32 = 92;
    /// It ran for longer than it may.
    pub(crate) const KILL_AFTER: i32 = 93;
    /// Nobody saw how it ended.
    pub(crate) const LOST: i32 = 94;
    /// It used more memory or processor time than it may.
    pub(crate) const LIMIT: i32 = 97;
    /// It could not be started.
    pub(crate) const NOT_STARTED: i32 = 125;
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Judged {
    pub(crate) outcome: Outcome,
    /// The command's own exit code.
    pub(crate) exit_code: Option<i32>,
    pub(crate) result_code: i32,
    pub(crate) signal: Option<i32>,
    /// Why it ended so, in one word.
    pub(crate) reason: Option<String>,
    pub(crate) words: Option<String>,
    /// When the command was started, in Unix microseconds.
    pub(crate) started_us: Option<u64>,
    /// Folder of history that its files were moved to.
    pub(crate) publication: Option<String>,
}

impl Judged {
    /// A run that could not be started.
    pub(crate) fn not_started(words: String, code: i32) -> Self {
        Self::failed("not-started", words, if (125..=127).contains(&code) { code } else { result::NOT_STARTED })
    }

    /// A run whose end nobody saw: it is not started again.
    pub(crate) fn lost(words: &str) -> Self {
        Self::failed("lost", words.to_owned(), result::LOST)
    }

    fn failed(reason: &str, words: String, result_code: i32) -> Self {
        Self {
            outcome: Outcome::Fail,
            exit_code: None,
            result_code,
            signal: None,
            reason: Some(reason.to_owned()),
            words: Some(words),
            started_us: None,
            publication: None,
        }
    }
}

/// Judges the end of a run's command, by the definition that it was started with. `published` is the number of files that it left.
pub(crate) fn judge(definition: Option<&Definition>, ended: &monitor_runs::Outcome, folder: &Path, published: u32) -> Judged {
    let is_retried = definition.is_some_and(|definition| definition.retry.is_some());
    let failed = if is_retried { Outcome::Retry } else { Outcome::Fail };
    let (outcome, result_code, reason) = match (ended.reason.as_deref(), ended.code, ended.signal) {
        (Some("timeout"), ..) => (failed, result::KILL_AFTER, Some("kill-after".to_owned())),
        (Some("killed"), ..) => (Outcome::Fail, result::KILLED, Some("killed".to_owned())),
        (Some("lost"), ..) => (Outcome::Fail, result::LOST, Some("lost".to_owned())),
        (Some("before"), ..) => (failed, result::HOOK, Some("hook".to_owned())),
        (Some(reason @ ("memory" | "cpu")), ..) => (failed, result::LIMIT, Some(reason.to_owned())),
        (Some(reason), code, _) => (failed, code.unwrap_or(result::NOT_STARTED), Some(reason.to_owned())),
        (None, _, Some(signal)) => (failed, 128 + signal, Some("signal".to_owned())),
        (None, Some(code), None) => (meaning(definition, code, failed), code, None),
        (None, None, None) => (Outcome::Fail, result::LOST, Some("lost".to_owned())),
    };
    let is_bad = matches!(outcome, Outcome::Fail | Outcome::Retry);
    let mut judged = Judged {
        outcome,
        exit_code: ended.code.filter(|_| ended.error.is_none()),
        result_code,
        signal: ended.signal,
        reason,
        words: if is_bad { Some(ended.why.clone().unwrap_or_else(|| ended.words())) } else { None },
        started_us: (ended.attempts > 0 && ended.error.is_none()).then_some(ended.started_us),
        publication: None,
    };
    if matches!(outcome, Outcome::Ok | Outcome::Warn)
        && let Some(expect) = definition.and_then(|definition| definition.expect.as_ref())
        && let Some(words) = disappointment(expect, ended, folder, published)
    {
        (judged.outcome, judged.result_code) = (failed, result::EXPECTATION);
        (judged.reason, judged.words) = (Some("expectation".to_owned()), Some(words));
    }
    judged
}

fn meaning(definition: Option<&Definition>, code: i32, failed: Outcome) -> Outcome {
    let meaning = u8::try_from(code).ok().and_then(|code| definition?.exit.get(&code).copied());
    match meaning {
        Some(Meaning::Ok) => Outcome::Ok,
        Some(Meaning::Warn) => Outcome::Warn,
        Some(Meaning::Fail) => Outcome::Fail,
        Some(Meaning::Retry) => Outcome::Retry,
        Some(Meaning::Idle) => Outcome::Idle,
        None if code == 0 => Outcome::Ok,
        None => failed,
    }
}

/// What a run that went well should have done and did not.
fn disappointment(expect: &Expect, ended: &monitor_runs::Outcome, folder: &Path, published: u32) -> Option<String> {
    let took = Duration::from_micros(ended.ended_us.saturating_sub(ended.started_us));
    if let Some(least) = expect.min_duration.filter(|least| took < *least) {
        return Some(format!("it took {took:.1?}, and at least {least:?} was expected"));
    }
    if let Some(least) = expect.published.filter(|least| published < *least) {
        return Some(format!("it published {published} files, and at least {least} were expected"));
    }
    let has = |text: &String| output_has(&folder.join("output.log"), text.as_bytes());
    if let Some(text) = expect.output_lacks.as_ref().filter(|text| has(text).unwrap_or(false)) {
        return Some(format!("its output contains {text:?}"));
    }
    if let Some(text) = expect.output_has.as_ref().filter(|text| !has(text).unwrap_or(false)) {
        return Some(format!("its output doesn't contain {text:?}"));
    }
    None
}

/// Looks for a text in the output, in pieces that overlap: a line may be as long as the file.
fn output_has(path: &Path, text: &[u8]) -> io::Result<bool> {
    let mut file = BufReader::with_capacity(1 << 20, File::open(path)?);
    let mut window: Vec<u8> = Vec::new();
    loop {
        let piece = file.fill_buf()?;
        if piece.is_empty() {
            return Ok(false);
        }
        window.extend(piece);
        let length = piece.len();
        file.consume(length);
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

    fn check(more: &str, ended: &monitor_runs::Outcome, expected: (Outcome, i32)) {
        let judged = judge(Some(&definition(more)), ended, Path::new("/nowhere"), 2);
        assert_eq!((judged.outcome, judged.result_code), expected, "{more} {ended:?}");
    }

    #[test]
    fn a_code_means_what_the_definition_says() {
        let exit = "exit = { 24 = \"warn\", 75 = \"retry\", 0 = \"idle\", 3 = \"ok\", 4 = \"fail\" }";
        for (code, outcome) in
            [(24, Outcome::Warn), (75, Outcome::Retry), (0, Outcome::Idle), (3, Outcome::Ok), (4, Outcome::Fail), (5, Outcome::Fail)]
        {
            check(exit, &ended(code), (outcome, code));
        }
        check("", &ended(0), (Outcome::Ok, 0));
        check("", &ended(95), (Outcome::Fail, 95));
        check("retry = { times = 2, backoff = \"1s\" }", &ended(5), (Outcome::Retry, 5));
        check(&format!("{exit}\nretry = {{ times = 2, backoff = \"1s\" }}"), &ended(4), (Outcome::Fail, 4));
    }

    #[test]
    fn a_run_without_a_code_of_its_own_is_given_one() {
        let by = |reason: &str| monitor_runs::Outcome { reason: Some(reason.to_owned()), code: None, signal: Some(15), ..ended(0) };
        check("", &by("killed"), (Outcome::Fail, 92));
        check("", &by("timeout"), (Outcome::Fail, 93));
        check("", &by("memory"), (Outcome::Fail, 97));
        check("", &monitor_runs::Outcome { code: None, signal: Some(9), ..ended(0) }, (Outcome::Fail, 137));
        let not_found = monitor_runs::Outcome { reason: Some("not-found".to_owned()), error: Some("no".to_owned()), ..ended(127) };
        check("", &not_found, (Outcome::Fail, 127));
    }

    #[test]
    fn a_success_that_did_nothing_is_none() {
        check("expect = { min-duration = \"2s\", published = 2 }", &ended(0), (Outcome::Ok, 0));
        check("expect = { min-duration = \"3s\" }", &ended(0), (Outcome::Fail, 91));
        check("expect = { published = 3 }", &ended(0), (Outcome::Fail, 91));
        check("expect = { output-has = \"done\" }", &ended(0), (Outcome::Fail, 91));
        check("expect = { min-duration = \"3s\" }", &ended(7), (Outcome::Fail, 7));
        let folder = tempfile::tempdir().unwrap();
        let log = [vec![b'x'; (1 << 20) - 3], b"ERROR: no\n".to_vec()].concat();
        std::fs::write(folder.path().join("output.log"), log).unwrap();
        for (text, is_there) in [("ERROR", true), ("no\n", true), ("ERRORS", false), ("x", true)] {
            assert_eq!(output_has(&folder.path().join("output.log"), text.as_bytes()).unwrap(), is_there, "{text}");
        }
    }
}
