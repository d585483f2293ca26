//! Meaning of the end of a run.

use std::time::Duration;

use serde::Serialize;

use crate::definition::{Definition, Expect, Meaning};
use crate::ledger::Outcome;

/// How a run ended, as far as its agent knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// How.
    pub how: How,
    /// Time from its start to its end.
    pub ran: Duration,
    /// Number of files that it published.
    pub published: u32,
    /// Its output contains what `output-has` asks for.
    pub has_wanted_output: bool,
    /// Its output contains what `output-lacks` forbids.
    pub has_unwanted_output: bool,
}

impl End {
    /// The end of a run of which nothing else is known.
    pub fn new(how: How) -> Self {
        Self { how, ran: Duration::ZERO, published: 0, has_wanted_output: false, has_unwanted_output: false }
    }
}

/// Ways in which a run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// The command ended with this exit code.
    Exit(u8),
    /// A signal ended the command.
    Signal(u8),
    /// The command couldn't be started: 125 for any cause, 126 if it can't be executed, 127 if it isn't there.
    NotStarted(u8),
    /// A hook failed.
    Hook,
    /// Somebody ended it, or the next run replaced it.
    Killed,
    /// It ran for longer than `kill-after`.
    KillAfter,
    /// Its launcher was gone, and nobody knows how it ended.
    Lost,
    /// What it left couldn't be moved to the history.
    Publishing,
    /// It exceeded a limit.
    Limit,
}

/// Result code of a run whose hook failed. The codes 90 to 97 are those of runs that a command's own code says nothing of;
/// 95 is never given, since what can't start in time is no run but a missed due time.
pub const HOOK: u8 = 90;
/// Result code of a run that did not do what `expect` asks for.
pub const EXPECTATION: u8 = 91;
/// Result code of a run that somebody ended.
pub const KILLED: u8 = 92;
/// Result code of a run that ran for longer than `kill-after`.
pub const KILL_AFTER: u8 = 93;
/// Result code of a run that was lost.
pub const LOST: u8 = 94;
/// Result code of a run that went well and whose files couldn't be moved to the history.
pub const PUBLISHING: u8 = 96;
/// Result code of a run that exceeded a limit.
pub const LIMIT: u8 = 97;

/// What the end of a run means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Its outcome.
    pub outcome: Outcome,
    /// The command's exit code, 128 and the number of a signal, or one of 90 to 97 and 125 to 127.
    pub result_code: u8,
    /// What is wrong, in words. None if all went well.
    pub reason: Option<String>,
}

/// Finds out what the end of a run means to its task.
pub fn verdict(task: &Definition, end: &End) -> Verdict {
    let (result_code, meaning, reason) = match end.how {
        How::Exit(code) => {
            let meaning = task.exit.get(&code).copied().unwrap_or(if code == 0 { Meaning::Ok } else { Meaning::Fail });
            (code, meaning, format!("exit code {code}"))
        }
        How::Signal(signal) => {
            let code = signal.saturating_add(128);
            (code, task.exit.get(&code).copied().unwrap_or(Meaning::Fail), format!("signal {signal}"))
        }
        How::NotStarted(code) => (code.clamp(125, 127), Meaning::Fail, "the command could not be started".to_owned()),
        How::Hook => (HOOK, Meaning::Fail, "a hook failed".to_owned()),
        How::Killed => (KILLED, Meaning::Fail, "it was ended".to_owned()),
        How::KillAfter => (KILL_AFTER, Meaning::Fail, "it ran for longer than kill-after".to_owned()),
        How::Lost => (LOST, Meaning::Fail, "it was lost: nobody knows how it ended".to_owned()),
        How::Publishing => (PUBLISHING, Meaning::Fail, "its files could not be moved to the history".to_owned()),
        How::Limit => (LIMIT, Meaning::Fail, "it exceeded a limit".to_owned()),
    };
    let unmet = task.expect.as_ref().filter(|_| matches!(meaning, Meaning::Ok | Meaning::Warn)).and_then(|expect| unmet(expect, end));
    let (result_code, meaning, reason) = match unmet {
        Some(reason) => (EXPECTATION, Meaning::Fail, Some(reason)),
        None => (result_code, meaning, Some(reason).filter(|_| !matches!(meaning, Meaning::Ok | Meaning::Idle))),
    };
    let outcome = match meaning {
        Meaning::Ok => Outcome::Ok,
        Meaning::Warn => Outcome::Warn,
        Meaning::Idle => Outcome::Idle,
        Meaning::Retry => Outcome::Retry,
        Meaning::Fail if is_tried_again(task, end.how) => Outcome::Retry,
        Meaning::Fail => Outcome::Fail,
    };
    Verdict { outcome, result_code, reason }
}

/// Returns true if a task tries any failure again: none of its exit codes says so of itself. What may have been done is never repeated.
fn is_tried_again(task: &Definition, how: How) -> bool {
    let may_be = !matches!(how, How::Killed | How::Lost);
    may_be && task.retry.is_some() && !task.exit.values().any(|meaning| *meaning == Meaning::Retry)
}

/// The first expectation that a run didn't meet.
fn unmet(expect: &Expect, end: &End) -> Option<String> {
    let brief = expect.min_duration.filter(|least| end.ran < *least);
    let few = expect.published.filter(|least| end.published < *least);
    let (lacks, has) = (expect.output_lacks.as_ref(), expect.output_has.as_ref());
    brief
        .map(|least| format!("it ran for less than {}", crate::duration::write(least)))
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
        assert!(found.reason.as_deref().unwrap_or_default().starts_with(reason), "{:?}", found.reason);
    }

    #[test]
    fn an_exit_code_means_what_the_map_says() {
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
    fn only_what_failed_by_itself_is_tried_again() {
        let retry = "retry = { times = 3 }";
        for (how, code) in [
            (How::Exit(1), 1),
            (How::Signal(9), 137),
            (How::NotStarted(127), 127),
            (How::Hook, HOOK),
            (How::KillAfter, KILL_AFTER),
            (How::Publishing, PUBLISHING),
            (How::Limit, LIMIT),
        ] {
            check(retry, &End::new(how), Outcome::Retry, code, "");
            check("", &End::new(how), Outcome::Fail, code, "");
            check("retry = { times = 3 }\nexit = { \"75\" = \"retry\" }", &End::new(how), Outcome::Fail, code, "");
        }
        for (how, code) in [(How::Killed, KILLED), (How::Lost, LOST)] {
            check(retry, &End::new(how), Outcome::Fail, code, "it ");
        }
    }

    #[test]
    fn a_run_that_did_nothing_is_no_success() {
        let expect = "expect = { min-duration = \"20s\", published = 1, output-lacks = \"ERROR\", output-has = \"done\" }";
        let good =
            End { how: How::Exit(0), ran: Duration::from_secs(20), published: 1, has_wanted_output: true, has_unwanted_output: false };
        check(expect, &good, Outcome::Ok, 0, "");
        let brief = End { ran: Duration::from_secs(19), ..good.clone() };
        check(expect, &brief, Outcome::Fail, EXPECTATION, "it ran for less than 20s");
        check(expect, &End { published: 0, ..good.clone() }, Outcome::Fail, EXPECTATION, "it published 0 files");
        check(expect, &End { has_unwanted_output: true, ..good.clone() }, Outcome::Fail, EXPECTATION, "its output contains \"ERROR\"");
        check(expect, &End { has_wanted_output: false, ..good.clone() }, Outcome::Fail, EXPECTATION, "its output lacks \"done\"");
        check(expect, &End { how: How::Exit(2), ..brief.clone() }, Outcome::Fail, 2, "exit code 2");
        check(&format!("{expect}\nexit = {{ \"0\" = \"idle\" }}"), &brief, Outcome::Idle, 0, "");
    }
}
