use serde_json::Value;

use crate::support::monitor;

fn output(args: &[&str]) -> String {
    let output = monitor(args).env("TZ", "Asia/Shanghai").assert().success().get_output().stdout.clone();
    String::from_utf8(output).unwrap()
}

#[test]
fn next_shows_due_times_in_both_zones_and_what_a_change_of_the_clock_does() {
    let text = output(&["task", "next", "30 2 * * *", "--zone", "Europe/Berlin", "-n", "2", "--after", "2026-03-28T12:00Z"]);
    let expected = "\
Sun 2026-03-29 03:00:00 CEST   here Sun 2026-03-29 09:00:00 CST   the clock skips 02:30:00: due at the first instant after
Mon 2026-03-30 02:30:00 CEST   here Mon 2026-03-30 08:30:00 CST
";
    assert_eq!(text, expected);
    let args = ["task", "next", "30 * * * *", "--zone", "Europe/Berlin", "-n", "2", "--after", "2026-10-25T00:00Z", "--json"];
    let json: Value = serde_json::from_str(&output(&args)).unwrap();
    assert_eq!(json["zone"], "Europe/Berlin");
    assert_eq!(json["due"][0]["due_us"], 1_792_888_200_000_000_u64);
    assert_eq!(json["due"][0]["local"], "2026-10-25T02:30:00+02:00");
    assert_eq!(json["due"][0]["here"], "2026-10-25T08:30:00+08:00");
    assert_eq!(json["due"][0]["note"], "the clock shows this time twice: this is the first one");
    assert_eq!(json["due"][1]["note"], "the clock shows this time twice: this is the second one");
    // Several rules are one list; this machine's zone is the default.
    let text = output(&["task", "next", "0 0 * * *", "0 0,12 * * *", "--after", "2026-01-01T00:00Z", "-n", "2"]);
    assert_eq!(text, "Thu 2026-01-01 12:00:00 CST\nFri 2026-01-02 00:00:00 CST\n");
    assert_eq!(output(&["task", "next", "2020-01-01T00:00"]), "never again\n");
    assert_eq!(output(&["task", "next", "@boot"]), "and whenever the machine has started\n");
}

#[test]
fn next_names_the_place_of_a_mistake_and_ends_with_2() {
    for (args, words) in [
        (&["task", "next", "61 2 * * *"][..], "rule \"61 2 * * *\": column 1, minute: 61 is not in 0 to 59"),
        (&["task", "next", "0 0 30 2 *"], "never fires"),
        (&["task", "next", "@daily", "--zone", "Europe/Berln"], "did you mean Europe/Berlin?"),
        (&["task", "next", "@daily", "-n", "0"], "1..=1000"),
        (&["task", "next", "@daily", "--after", "noon"], "--after"),
        (&["task", "next"], "RULE"),
        (&["task", "nxet"], "next"),
    ] {
        let output = monitor(args).assert().code(2).get_output().stderr.clone();
        let message = String::from_utf8(output).unwrap();
        assert!(message.contains(words), "{args:?}: {message}");
    }
}
