//! The table of cases that the page's tests read as well, and properties of all durations.

use std::time::Duration;

use monitor_duration::{Error, LONGEST, milliseconds, read, read_positive, rounded, write};
use proptest::prelude::*;

/// Lines of `cases.txt` of a kind: the text, and the nanoseconds before or after it.
fn cases(kind: &str) -> impl Iterator<Item = (&'static str, Option<u64>)> {
    let lines = include_str!("../cases.txt").lines().filter_map(move |line| line.strip_prefix(kind)?.strip_prefix(' '));
    lines.map(|line| {
        let mut parts = line.split('"');
        let (before, text, after) = (parts.next().unwrap_or_default(), parts.next().expect("a text"), parts.next().unwrap_or_default());
        (text, [before, after].iter().find_map(|ns| ns.trim().parse().ok()))
    })
}

#[test]
fn texts_are_read() {
    for (text, ns) in cases("read") {
        let expected = Duration::from_nanos(ns.expect("nanoseconds"));
        assert_eq!(read(text), Ok(expected), "{text:?}");
        assert_eq!(read_positive(text), if expected.is_zero() { Err(Error::Zero) } else { Ok(expected) }, "{text:?}");
    }
    assert!(cases("read").count() > 20);
}

#[test]
fn other_texts_are_refused() {
    for (text, _) in cases("refuse") {
        let error = read(text).expect_err(text);
        assert!(error.to_string().starts_with("expected a duration "), "{text:?}: {error}");
        assert_eq!(read_positive(text), Err(error), "{text:?}");
    }
    assert!(cases("refuse").count() > 20);
}

#[test]
fn durations_are_written() {
    for (text, ns) in cases("write") {
        assert_eq!(write(Duration::from_nanos(ns.expect("nanoseconds"))), text);
    }
    for (text, ns) in cases("rounded") {
        assert_eq!(rounded(Duration::from_nanos(ns.expect("nanoseconds"))), text);
    }
    assert_eq!(rounded(Duration::MAX), "213503982334601 d 07 h");
    assert!(cases("write").count() > 5 && cases("rounded").count() > 20);
}

#[test]
fn milliseconds_are_rounded_up() {
    for (ns, ms) in [(0, 0), (1, 1), (1_000_000, 1), (1_000_001, 2), (u64::MAX, 18_446_744_073_710)] {
        assert_eq!(milliseconds(Duration::from_nanos(ns)), ms);
    }
    assert_eq!(milliseconds(Duration::MAX), u64::MAX);
}

#[test]
fn errors_name_the_mistake() {
    let expected = "expected a duration such as 500ms, 90s, 1h30m or 7d";
    for (text, words) in [
        ("", expected.to_owned()),
        ("1h30", format!("{expected}: 30 has no unit")),
        ("2 hours", format!("{expected}: \"hours\" is none of the units us, ms, s, m, h, d and w")),
        ("1\u{1b}[0m", format!("{expected}: \"\\u{{1b}}[\" is none of the units us, ms, s, m, h, d and w")),
        (&"9".repeat(99), format!("{expected}: {}… has no unit", "9".repeat(20))),
        ("40000d", "expected a duration of at most 36500d, which is a hundred years".to_owned()),
    ] {
        assert_eq!(read(text).map_err(|error| error.to_string()), Err(words), "{text:?}");
    }
    assert_eq!(read_positive("0s").map_err(|error| error.to_string()), Err(format!("{expected}, and not 0s")));
}

proptest! {
    #[test]
    fn written_durations_are_read_back(ns in 0..=LONGEST.as_nanos() as u64) {
        let duration = Duration::from_nanos(ns);
        prop_assert_eq!(read(&write(duration)), Ok(duration));
    }

    #[test]
    fn rounded_durations_differ_by_less_than_a_tenth(ns in 1..=LONGEST.as_nanos() as u64 - 86_400_000_000_000) {
        let back = read(&rounded(Duration::from_nanos(ns))).expect("a duration").as_nanos() as u64;
        prop_assert!(back.abs_diff(ns) <= ns / 10, "{}", back);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC*|([0-9.]{0,30} ?[a-zµ]{0,3} ?){0,4}") {
        if let Ok(duration) = read(&text) {
            prop_assert!(duration <= LONGEST);
        }
    }
}
