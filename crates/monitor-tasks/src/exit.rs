//! Meaning of a run's end.

use std::time::Duration;

use crate::definition::{Definition, Expect, Meaning};
use crate::ledger::Outcome;
use crate::reason::EndReason;

/// End of a run, as observed by its agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// Cause of the end.
    pub how: How,
    /// Duration of the run.
    pub ran: Duration,
    /// Number of published files.
    pub published: u32,
    /// True if the output contains the text of `output-has`.
    pub has_wanted_output: bool,
    /// True if the output contains the text of `output-lacks`.
    pub has_unwanted_output: bool,
}

impl End {
    /// Creates an end without further facts.
    pub fn new(how: How) -> Self {
        Self { how, ran: Duration::ZERO, published: 0, has_wanted_output: false, has_unwanted_output: false }
    }
}

/// Causes of a run's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// The command exited with this code.
    Exit(u8),
    /// This signal ended the command.
    Signal(u8),
    /// A reason other than the command's exit.
    Other(EndReason),
}

/// Meaning of a run's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Outcome of the run.
    pub outcome: Outcome,
    /// Exit code of the command, 128 plus a signal's number, or one of 90 to 97 and 125 to 127.
    pub result_code: u8,
    /// Reason for the outcome. `None` if the command's exit code is the reason.
    pub reason: Option<EndReason>,
    /// Error text. `None` after a success.
    pub words: Option<String>,
}

/// Determines the meaning of a run's end for its task.
pub fn verdict(task: &Definition, end: &End) -> Verdict {
    let meant = |code: u8| task.exit.get(&code).copied();
    let (result_code, meaning, reason, words) = match end.how {
        How::Exit(code) => {
            (code, meant(code).unwrap_or(if code == 0 { Meaning::Ok } else { Meaning::Fail }), None, format!("exit code {code}"))
        }
        How::Signal(signal) => {
            let code = EndReason::Signal.code().saturating_add(signal);
            (code, meant(code).unwrap_or(Meaning::Fail), Some(EndReason::Signal), format!("signal {signal}"))
        }
        How::Other(reason) => (reason.code(), Meaning::Fail, Some(reason), reason.words().to_owned()),
    };
    let unmet = task.expect.as_ref().filter(|_| matches!(meaning, Meaning::Ok | Meaning::Warn)).and_then(|expect| unmet(expect, end));
    let (result_code, meaning, reason, words) = match unmet {
        Some(unmet) => (EndReason::Expectation.code(), Meaning::Fail, Some(EndReason::Expectation), Some(unmet)),
        None => (result_code, meaning, reason, Some(words).filter(|_| !matches!(meaning, Meaning::Ok | Meaning::Idle))),
    };
    let outcome = match meaning {
        Meaning::Ok => Outcome::Ok,
        Meaning::Warn => Outcome::Warn,
        Meaning::Idle => Outcome::Idle,
        Meaning::Retry => Outcome::Retry,
        Meaning::Fail if is_tried_again(task, end.how) => Outcome::Retry,
        Meaning::Fail => Outcome::Fail,
    };
    Verdict { outcome, result_code, reason, words }
}

/// Returns true if the task retries any failure, because no exit code is marked `retry`. A run that was killed or lost is never retried,
/// since its work may have been done.
fn is_tried_again(task: &Definition, how: How) -> bool {
    let may_be = !matches!(how, How::Other(EndReason::Killed | EndReason::Lost));
    may_be && task.retry.is_some() && !task.exit.values().any(|meaning| *meaning == Meaning::Retry)
}

/// Returns a message about the first condition that the run did not meet.
fn unmet(expect: &Expect, end: &End) -> Option<String> {
    let brief = expect.min_duration.filter(|least| end.ran < *least);
    let few = expect.published.filter(|least| end.published < *least);
    let (lacks, has) = (expect.output_lacks.as_ref(), expect.output_has.as_ref());
    brief
        .map(|least| format!("it ran for less than {}", monitor_duration::write(least)))
        .or_else(|| few.map(|least| format!("it published {} files, and {least} were expected", end.published)))
        .or_else(|| lacks.filter(|_| end.has_unwanted_output).map(|text| format!("its output contains {text:?}")))
        .or_else(|| has.filter(|_| !end.has_wanted_output).map(|text| format!("its output lacks {text:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(keys: &str, end: &End, outcome: Outcome, result_code: u8, reason: &str) {
        let task = Definition::from_toml(&format!("name = \"gold\"\n{keys}")).expect("no mistakes");
        let found = verdict(&task, end);
        assert_eq!((found.outcome, found.result_code), (outcome, result_code), "{keys}: {end:?}");
        assert!(found.words.as_deref().unwrap_or_default().starts_with(reason), "{:?}", found.words);
    }

    #[test]
    fn an_exit_code_has_the_outcome_of_the_map() {
        let map = "exit = { \"24\" = \"warn\", \"75\" = \"retry\", \"3\" = \"idle\", \"143\" = \"ok\" }";
        let exit = |code| End::new(How::Exit(code));
        check("", &exit(0), Outcome::Ok, 0, "");
        check("", &exit(95), Outcome::Fail, 95, "exit code 95");
        check(map, &exit(24), Outcome::Warn, 24, "exit code 24");
        check(map, &exit(75), Outcome::Retry, 75, "exit code 75");
        check(map, &exit(3), Outcome::Idle, 3, "");
        check(map, &exit(1), Outcome::Fail, 1, "exit code 1");
        check(map, &End::new(How::Signal(15)), Outcome::Ok, 143, "");
        check("exit = { \"0\" = \"fail\" }", &exit(0), Outcome::Fail, 0, "exit code 0");
    }

    #[test]
    fn only_runs_that_failed_by_themselves_are_retried() {
        let retry = "retry = { times = 3 }";
        let others = EndReason::ALL.into_iter().map(|reason| (How::Other(reason), reason.code()));
        for (how, code) in others.chain([(How::Exit(1), 1), (How::Signal(9), 137)]) {
            check("", &End::new(how), Outcome::Fail, code, "");
            check("retry = { times = 3 }\nexit = { \"75\" = \"retry\" }", &End::new(how), Outcome::Fail, code, "");
            let is_final = matches!(how, How::Other(EndReason::Killed | EndReason::Lost));
            check(retry, &End::new(how), if is_final { Outcome::Fail } else { Outcome::Retry }, code, "");
        }
    }

    #[test]
    fn a_run_that_did_nothing_is_no_success() {
        let expect = "expect = { min-duration = \"20s\", published = 1, output-lacks = \"ERROR\", output-has = \"done\" }";
        let good =
            End { how: How::Exit(0), ran: Duration::from_secs(20), published: 1, has_wanted_output: true, has_unwanted_output: false };
        check(expect, &good, Outcome::Ok, 0, "");
        let brief = End { ran: Duration::from_secs(19), ..good.clone() };
        check(expect, &brief, Outcome::Fail, 91, "it ran for less than 20s");
        check(expect, &End { published: 0, ..good.clone() }, Outcome::Fail, 91, "it published 0 files");
        check(expect, &End { has_unwanted_output: true, ..good.clone() }, Outcome::Fail, 91, "its output contains \"ERROR\"");
        check(expect, &End { has_wanted_output: false, ..good.clone() }, Outcome::Fail, 91, "its output lacks \"done\"");
        check(expect, &End { how: How::Exit(2), ..brief.clone() }, Outcome::Fail, 2, "exit code 2");
        check(&format!("{expect}\nexit = {{ \"0\" = \"idle\" }}"), &brief, Outcome::Idle, 0, "");
    }
}
