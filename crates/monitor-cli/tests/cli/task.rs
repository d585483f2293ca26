use serde_json::Value;

use crate::support::monitor;

fn output(args: &[&str]) -> String {
    let output = monitor(args).env("TZ", "Asia/Shanghai").assert().success().get_output().stdout.clone();
    String::from_utf8(output).unwrap()
}

#[test]
fn next_shows_due_times_in_both_zones_and_effects_of_clock_changes() {
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
    // Several rules are combined; this machine's time zone is the default.
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

#[test]
fn check_lists_all_mistakes_with_file_line_and_column_and_exits_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let write = |name: &str, text: &[u8]| std::fs::write(path(name), text).unwrap();
    write("gold.toml", b"name = \"gold\"\nrules = [\"30 2 * * 1-5\"]\nthen = { success = [\"load\"] }\n");
    write("load.json", br#"{ "name": "load", "command": ["true"] }"#);
    assert_eq!(output(&["task", "check", &path("gold.toml"), &path("load.json")]), "no mistakes in 2 tasks\n");
    let json: Value = serde_json::from_str(&output(&["task", "check", "--json", &path("load.json")])).unwrap();
    assert_eq!((&json["tasks"][0]["name"], &json["mistakes"]), (&Value::from("load"), &Value::Array(vec![])));

    write("bad.toml", b"name = \"bad\"\nrulse = []\nrules = [\"0 25 * * *\"]\n");
    write("bytes.toml", b"name = \"\xff\"");
    write("broken.json", b"{ \"name\": \"a\",\n ]");
    write("long.toml", "é".repeat(600_000).as_bytes());
    let files = ["bad.toml", "bytes.toml", "broken.json", "long.toml"].map(path);
    let args: Vec<&str> = ["task", "check"].into_iter().chain(files.iter().map(String::as_str)).collect();
    let found = monitor(&args).assert().code(2).get_output().clone();
    let text = String::from_utf8(found.stdout).unwrap();
    for words in [
        "bad.toml:2:1: rulse: there is no such key; did you mean rules?",
        "bad.toml:3:13: rules.0: hour: 25 is not in 0 to 23",
        "bytes.toml:1:9: this is no UTF-8",
        "broken.json:2:2: ",
        "long.toml:1:1: at most 1048576 bytes are read",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert_eq!(String::from_utf8(found.stderr).unwrap(), "monitor: 5 mistakes\n");

    // Errors that are only detected when all files are checked together.
    let alone = monitor(&["task", "check", &path("gold.toml")]).assert().code(2).get_output().stdout.clone();
    assert!(String::from_utf8(alone).unwrap().contains("gold.toml:3:21: then.success.0: there is no task load"));
    write("load.toml", b"name = \"load\"\nthen.fail = [\"gold\"]");
    let circle = monitor(&["task", "check", &path("gold.toml"), &path("load.toml")]).assert().code(2).get_output().stdout.clone();
    assert!(String::from_utf8(circle).unwrap().contains("for ever: gold → load → gold"));
    monitor(&["task", "check", &path("none.toml")]).assert().code(1);

    // A task whose rules never start a run.
    write("past.toml", b"name = \"past\"\nrules = [\"@daily\", \"2024-12-24T18:00\"]");
    let past = monitor(&["task", "check", &path("past.toml")]).assert().code(2).get_output().stdout.clone();
    assert!(String::from_utf8(past).unwrap().contains("past.toml:2:20: rules.1: this rule never fires again: all of its times are past"));
    write("quiet.toml", b"name = \"quiet\"\nrules = [\"30 2 * * *\"]\nquiet = [\"22:00-06:00\"]\nstart-within = \"10m\"");
    let quiet = monitor(&["task", "check", &path("quiet.toml")]).assert().success().get_output().stderr.clone();
    let quiet = String::from_utf8(quiet).unwrap();
    assert!(
        quiet.starts_with("warning: ") && quiet.contains("quiet.toml:2:10: rules.0: this rule starts nothing: its due times"),
        "{quiet}"
    );
}
