//! The rules that each host must meet after a round.

use std::collections::BTreeMap;

use serde_json::Value;

const SUCCEEDED: u64 = 9;
/// Status of a host that had succeeded before the last attempt.
const SUCCEEDED_BEFORE: u64 = 3;
const REFUSED: u64 = 12;
const UNREACHABLE: u64 = 310;
/// Statuses of hosts that wait or run.
const OPEN: [u64; 2] = [5, 7];

/// A row of a host in a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) status: u64,
    reason: String,
}

/// The lines that the script has written on a host: for each run (job, step, host, attempt) the number of begins and of ends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Lines(BTreeMap<String, (usize, usize)>);

impl Lines {
    /// Reads the lines `began RUN` and `ended RUN`.
    pub(super) fn read(text: &str) -> Self {
        let mut runs = BTreeMap::<String, (usize, usize)>::new();
        for (word, run) in text.lines().filter_map(|line| line.split_once(' ')) {
            let (begins, ends) = runs.entry(run.to_owned()).or_default();
            *(if word == "began" { begins } else { ends }) += 1;
        }
        Self(runs)
    }

    fn begins(&self) -> usize {
        self.0.values().map(|(begins, _)| begins).sum()
    }

    fn ends(&self) -> usize {
        self.0.values().map(|(_, ends)| ends).sum()
    }
}

/// The rows of each host in an answer of `monitor job hosts --json`.
pub(super) fn rows(answer: &Value) -> BTreeMap<String, Vec<Row>> {
    let mut rows = BTreeMap::<String, Vec<Row>>::new();
    for host in answer["hosts"].as_array().into_iter().flatten() {
        let row = Row { status: host["status"].as_u64().unwrap_or(0), reason: host["reason"].as_str().unwrap_or_default().to_owned() };
        rows.entry(host["name"].as_str().unwrap_or_default().to_owned()).or_default().push(row);
    }
    rows
}

/// Returns the rules that a host does not meet. `is_ahead` is true for the host whose clock is ahead: each order has expired for it.
/// `may_be_unreachable` is false if all hosts were reachable in the last attempt.
pub(super) fn violations(rows: &[Row], lines: &Lines, is_ahead: bool, may_be_unreachable: bool) -> Vec<String> {
    let mut found = Vec::new();
    let mut expect = |is_met: bool, rule: &str| {
        if !is_met {
            found.push(rule.to_owned());
        }
    };
    let (begins, ends) = (lines.begins(), lines.ends());
    expect(lines.0.values().all(|(begins, ends)| *begins <= 1 && *ends <= 1), "an attempt ran more than once");
    // Only hosts on which nothing has started are tried again.
    expect(begins <= 1, "the script has started in more than one attempt");
    expect(ends == begins, "the script has begun and has not ended");
    let [row] = rows else {
        expect(false, "the host does not have exactly one row");
        return found;
    };
    expect(!OPEN.contains(&row.status), "the status is not final");
    match row.status {
        SUCCEEDED | SUCCEEDED_BEFORE => expect(begins == 1 && ends == 1, "the host has succeeded, and the script did not run exactly once"),
        UNREACHABLE => {
            expect(ends == 0, "the script ran to its end, and the status is 310");
            expect(may_be_unreachable, "the status is 310, and the host was reachable");
        }
        REFUSED => {
            expect(is_ahead, "a host with a correct clock has refused the order");
            expect(begins == 0, "the order was refused, and the script ran");
        }
        status => expect(OPEN.contains(&status), "the status is none of 3, 9, 12 and 310"),
    }
    if !found.is_empty() {
        found.push(format!("status {} {:?}, lines {lines:?}", row.status, row.reason));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the first violated rule of a host with one row.
    fn first(status: u64, text: &str) -> Option<String> {
        let rows = [Row { status, reason: String::new() }];
        violations(&rows, &Lines::read(text), false, true).into_iter().next()
    }

    #[test]
    fn outcomes_must_match_the_lines_of_the_script() {
        let once = "began job-1-1-1-1\nended job-1-1-1-1\n";
        let twice = "began job-1-1-1-1\nended job-1-1-1-1\nbegan job-1-1-1-2\nended job-1-1-1-2\n";
        for (status, text, expected) in [
            (9, once, None),
            (3, once, None),
            (310, "", None),
            (9, "", Some("did not run exactly once")),
            (9, "began job-1-1-1-1\n", Some("has not ended")),
            (9, twice, Some("in more than one attempt")),
            (9, &[once, once].concat(), Some("more than once")),
            (310, once, Some("ran to its end")),
            (7, once, Some("not final")),
            (12, "", Some("a correct clock")),
            (500, "", Some("none of")),
        ] {
            let found = first(status, text);
            assert_eq!(found.is_some(), expected.is_some(), "{status} {text:?}: {found:?}");
            assert!(found.unwrap_or_default().contains(expected.unwrap_or_default()), "{status} {text:?}");
        }
    }

    #[test]
    fn rows_and_clocks_are_checked() {
        let answer = serde_json::json!({"hosts": [{"name": "h01", "status": 12, "reason": "expired"}, {"name": "h02", "status": 310}]});
        let rows = rows(&answer);
        assert_eq!(violations(&rows["h01"], &Lines::default(), true, true), Vec::<String>::new());
        assert!(!violations(&rows["h02"], &Lines::default(), false, false).is_empty());
        assert!(!violations(&[], &Lines::default(), false, true).is_empty());
        assert!(!violations(&[rows["h02"].clone(), rows["h02"].clone()].concat(), &Lines::default(), false, true).is_empty());
    }
}
