//! Reading definitions of tasks: valid definitions, and the reported mistakes.

use std::time::Duration;

use monitor_tasks::definition::{
    Definition, Hooks, Keep, Limits, Meaning, Missed, MissedPolicy, Overlap, Program, Retry, Target, Variable, check_agents, check_book,
};
use proptest::prelude::*;
use serde_json::{Value, json};

const WHOLE: &str = r#"
name = "gold"
command = ["node", "index.js", ""]
rules = ["30 2 * * 1-5", "H 4 * * 6"]
zone = "Asia/Shanghai"
on = ["db-1"]
timeout = "30m"
kill-after = "2h"
start-within = "10m"
jitter = "30s"
owner = "ada@example.org"
user = "batch"
tags = ["prices"]
env = { DB_PASSWORD = { file = "/etc/gold/pw" }, TOKEN = { env = "GOLD_TOKEN" }, EMPTY = "" }
missed = { policy = "all", cap = 10, within = "1d" }
overlap = "queue 3"
retry = { times = 3, backoff = "1m" }
quiet = ["22:00-06:00"]
lock = "db"
exit = { "24" = "warn", "75" = "retry" }
expect = { min-duration = "20s", published = 1, output-lacks = "ERROR" }
then = { success = ["load"], fail = ["clean-up"] }
limits = { memory = "512M", cpu = "1h", nice = 10 }
hooks = { before = ["./prepare", "--all"], after = ["./tidy"] }
retention = { logs = { age = "30d", size = "1G", count = 1000 }, history = { count = 50 } }
publish.prod = { folder = "/srv/resources/autostatic/gold" }
publish.pre = { command = ["rsync", "-a"] }
publish.web = { s3 = "s3://bucket/gold", region = "eu-central-1", endpoint = "http://127.0.0.1:9000", access-key = { env = "K" }, secret-key = { file = "/k" }, timeout = "5s" }

[config]
rows = 100
kind = "small"

[config.production]
rows = 5000
"#;

#[test]
fn every_key_is_read() {
    let task = Definition::from_toml(WHOLE).expect("no mistakes");
    assert_eq!(task.program, Program::Command { command: ["node", "index.js", ""].map(str::to_owned).to_vec() });
    assert_eq!((task.timeout, task.kill_after), (Some(Duration::from_secs(1_800)), Some(Duration::from_secs(7_200))));
    assert_eq!(task.missed, Missed { policy: MissedPolicy::All, within: Duration::from_secs(86_400), cap: Some(10) });
    assert_eq!((task.overlap, task.retry), (Overlap::Queue(3), Some(Retry { times: 3, backoff: Duration::from_secs(60) })));
    assert_eq!((task.exit[&24], task.exit[&75]), (Meaning::Warn, Meaning::Retry));
    assert_eq!(task.limits, Limits { memory: Some(512 << 20), cpu: Some(Duration::from_secs(3_600)), nice: Some(10) });
    assert_eq!(task.hooks, Hooks { before: ["./prepare", "--all"].map(str::to_owned).to_vec(), after: vec!["./tidy".to_owned()] });
    assert_eq!(task.retention.logs, Keep { age: Some(Duration::from_secs(30 * 86_400)), size: Some(1 << 30), count: Some(1000) });
    assert_eq!(task.retention.history, Keep { count: Some(50), ..Keep::default() });
    assert_eq!(task.env["DB_PASSWORD"], Variable::File { file: "/etc/gold/pw".to_owned() });
    assert_eq!(task.publish["prod"], Target::Folder { folder: "/srv/resources/autostatic/gold".to_owned() });
    assert_eq!(Value::Object(task.config_for(None)), json!({ "rows": 100, "kind": "small" }));
    assert_eq!(Value::Object(task.config_for(Some("production"))), json!({ "rows": 5000, "kind": "small" }));
    assert_eq!(Value::Object(task.config_for(Some("staging"))), json!({ "rows": 100, "kind": "small" }));
}

#[test]
fn the_examples_of_the_pages_have_no_mistakes() {
    let page = concat!(
        include_str!("../../../docs/reference/definitions.md"),
        include_str!("../../../docs/guides/batch-runs.md"),
        include_str!("../../../docs/guides/publishing.md"),
    );
    let examples = page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    // Partial examples in the documentation have no name.
    let whole = |example: &str| if example.starts_with("name = ") { example.to_owned() } else { format!("name = \"gold\"\n{example}") };
    let tasks: Vec<_> = examples.map(|example| Definition::from_toml(&whole(example)).expect(example)).collect();
    assert!(tasks.iter().any(|task| !task.config.is_empty() && task.config_for(Some("production"))["rows"] == 5000), "{tasks:?}");
}

#[test]
fn a_definition_is_the_same_as_json() {
    for text in [WHOLE, "name = \"gold\"", "name = \"gold\"\nshell = \"a | b\"\noverlap = \"replace\""] {
        let task = Definition::from_toml(text).expect("no mistakes");
        let json = serde_json::to_value(&task).expect("JSON");
        assert_eq!(Definition::from_json(json), Ok(task));
    }
}

#[test]
fn a_definition_needs_only_a_name() {
    let task = Definition::from_toml("name = \"gold\"").expect("no mistakes");
    assert_eq!((task.program, task.overlap), (Program::Folder {}, Overlap::Skip));
    assert_eq!(task.missed, Missed { policy: MissedPolicy::Once, within: Duration::from_secs(3_600), cap: None });
}

fn mistakes(text: &str) -> Vec<String> {
    let mistakes = Definition::from_toml(text).expect_err(text);
    mistakes.iter().map(ToString::to_string).collect()
}

#[test]
fn all_mistakes_are_reported_at_once_with_line_and_column() {
    let text = "\
name = \"gold mine\"
comand = [\"node\"]
rules = [\"30 2 * * 1-5\", \"0 25 * * *\"]
zone = \"Europe/Berln\"
timeout = \"2 hours\"
exit = { \"256\" = \"ok\", \"3\" = \"wrn\" }
missed = \"onse\"

[retry]
time = 3
";
    let expected = [
        "1:8: name: \"gold mine\" is no name: at most 100 letters, digits, `-`, `_` and `.`, the first a letter or digit",
        "2:1: comand: there is no such key; did you mean command?",
        "3:29: rules.1: hour: 25 is not in 0 to 23",
        "4:8: zone: there is no zone Europe/Berln; did you mean Europe/Berlin?",
        "5:11: timeout: \"2 hours\": expected a duration such as 500ms, 90s, 1h30m or 7d: \"hours\" is none of the units us, ms, s, m, h, d and w",
        "6:10: exit.256: \"256\" is no exit code: 0 to 255",
        "6:30: exit.3: \"wrn\" is none of ok, warn, fail, retry, idle; did you mean warn?",
        "7:10: missed: \"onse\" is none of skip, once, all; did you mean once?",
        "9:1: retry: times is missing: retry = { times = 3, backoff = \"1m\" }",
        "10:1: retry.time: there is no such key; did you mean times?",
    ];
    assert_eq!(mistakes(text), expected);
}

#[test]
fn wrong_values_are_refused_with_an_explanation() {
    for (line, expected) in [
        ("name = 5", "a text is expected, and not 5"),
        ("name = \"../etc\"", "is no name"),
        ("name = \"\"", "not empty"),
        ("", "a name is missing"),
        ("name = \"a\"\ncommand = []", "2:11: command: a program is missing"),
        ("name = \"a\"\ncommand = \"ls\"", "a list is expected, and not the text \"ls\""),
        ("name = \"a\"\ncommand = [\"ls\"]\nshell = \"ls\"", "don't stand together"),
        ("name = \"a\"\nrules = [\"0 0 30 2 *\"]", "2:15: rules.0: day of month: this rule never fires"),
        ("name = \"a\"\nrules = [\"@dayly\"]", "did you mean @daily?"),
        ("name = \"a\"\noverlap = \"allow\"", "a number such as `queue 3`"),
        ("name = \"a\"\noverlap = \"quue 3\"", "did you mean queue?"),
        ("name = \"a\"\noverlap = \"queue 0\"", "a number such as"),
        ("name = \"a\"\nmissed = { policy = \"once\", cap = 3 }", "cap belongs to the policy all"),
        ("name = \"a\"\nretry = { times = 0 }", "a whole number from 1"),
        ("name = \"a\"\nretry = { times = 99999999999999999999 }", "a whole number from 1"),
        ("name = \"a\"\nquiet = [\"22:00-25:00\"]", "times of the day such as 22:00-06:00"),
        ("name = \"a\"\nenv = { A = 5 }", "a table is expected, and not 5"),
        ("name = \"a\"\nenv = { A = { file = \"a\", env = \"b\" } }", "{ file = \"/path\" } or"),
        ("name = \"a\"\nenv = { \"A=B\" = \"c\" }", "without `=`"),
        ("name = \"a\"\npublish = { prod = {} }", "one of folder, s3 and command"),
        ("name = \"a\"\npublish.p = { folder = \"/a\", s3 = \"s3://bucket\" }", "one of folder, s3 and command"),
        ("name = \"a\"\npublish.p = { folder = \"/a\", region = \"b\" }", "region"),
        ("name = \"a\"\npublish.p = { s3 = \"bucket/a\" }", "\"bucket/a\" is no address of a bucket such as s3://"),
        ("name = \"a\"\npublish.p = { s3 = \"s3://B_\" }", "is no address of a bucket"),
        ("name = \"a\"\npublish.p = { s3 = \"s3://bucket/../x\" }", "is no address of a bucket"),
        ("name = \"a\"\npublish.p = { s3 = \"s3://bucket//x\" }", "is no address of a bucket"),
        ("name = \"a\"\npublish.p = { s3 = \"s3://bucket\", access-key = \"AKIA\", secret-key = \"s\" }", "a table is expected"),
        ("name = \"a\"\npublish.p = { s3 = \"s3://bucket\", access-key = { env = \"A\" } }", "together, or neither"),
        ("name = \"a\"\npublish.p = { s3 = \"s3://bucket\", endpoint = \"ftp://a\" }", "an address such as https://"),
        ("name = \"a\"\npublish.p = { s3 = \"s3://bucket\", endpoint = \"https://me:pw@a\" }", "without a password"),
        ("name = \"a\"\npublish.p = { s3 = \"s3://bucket\", regin = \"b\" }", "did you mean"),
        ("name = \"a\"\ntimeout = \"2h\"\nkill-after = \"1h\"", "3:14: kill-after"),
        ("name = \"a\"\ntimeout = \"40000d\"", "2:11: timeout: \"40000d\": expected a duration of at most 36500d"),
        ("name = \"a\"\nowner = [\"ada\", 5]", "2:17: owner.1: a text is expected, and not 5"),
        ("name = \"a\"\nname = \"b\"", "2:1: "),
        ("name = \"a", "1:"),
        ("name = \"a\"\nshell = \"a\\u0000b\"", "without NUL"),
    ] {
        let all = mistakes(line).join("\n");
        assert!(all.contains(expected), "{line}: {all}");
    }
    let long = format!("name = \"{}\"", "a".repeat(2 << 20));
    assert!(mistakes(&long)[0].contains("at most 1048576 bytes"));
    let deep = format!("name = \"a\"\nconfig = {{ a = {}{} }}", "[".repeat(5_000), "]".repeat(5_000));
    assert!(!mistakes(&deep).is_empty());
}

#[test]
fn the_number_of_reported_mistakes_is_limited() {
    let unknown = (0..20_000).map(|index| format!("k{index} = 1")).collect::<Vec<_>>().join("\n");
    assert_eq!(mistakes(&unknown).len(), 100);
    let codes = (0..20_000).map(|index| format!("exit.k{index} = 1")).collect::<Vec<_>>().join("\n");
    assert_eq!(mistakes(&codes).len(), 100);
    assert!(mistakes(&"=\n".repeat(50_000)).len() <= 100);
}

#[test]
fn deeply_nested_keys_are_refused() {
    for count in [100, 10_000, 500_000] {
        let keys = vec!["a"; count].join(".");
        for text in [format!("name = \"a\"\nconfig.{keys} = 1"), format!("name = \"a\"\n[config.{keys}]\nb = 1")] {
            let text = &text[..text.len().min(1 << 20)];
            assert!(mistakes(text)[0].contains("recursion limit"), "{count}");
        }
    }
}

#[test]
fn mistakes_of_json_have_pointers() {
    let found = Definition::from_json(json!({ "name": "a", "rules": ["@daily", "61 * * * *"], "then": { "succes": [] } })).unwrap_err();
    let found: Vec<_> = found.iter().map(|mistake| (mistake.path.as_str(), mistake.line, mistake.message.as_str())).collect();
    assert_eq!(
        found,
        [("/rules/1", None, "minute: 61 is not in 0 to 59"), ("/then/succes", None, "there is no such key; did you mean success?"),]
    );
    for value in [json!(null), json!([]), json!("a"), json!(5)] {
        assert!(Definition::from_json(value).unwrap_err()[0].message.contains("a table is expected"));
    }
}

fn task(name: &str, success: &[&str], fail: &[&str]) -> Definition {
    Definition::from_json(json!({ "name": name, "then": { "success": success, "fail": fail } })).expect("a definition")
}

#[test]
fn a_book_is_checked_as_a_whole() {
    let book = [
        task("a", &["b"], &[]),
        task("b", &["c"], &["d"]),
        task("c", &[], &["a"]),
        task("d", &["d"], &["lod"]),
        task("load", &[], &[]),
        task("a", &[], &[]),
    ];
    let found: Vec<_> = check_book(&book).into_iter().map(|(index, path, message)| format!("{index} {path} {message}")).collect();
    assert_eq!(
        found,
        [
            "5 /name there is another task a",
            "3 /then/fail/0 there is no task lod; did you mean load?",
            "2 /then/fail/0 these tasks start one another for ever: a → b → c → a",
            "3 /then/success/0 these tasks start one another for ever: d → d",
        ]
    );
    assert_eq!(check_book(&[task("a", &["b", "c"], &[]), task("b", &["c"], &["c"]), task("c", &[], &[])]), []);
    // A very long chain.
    let names: Vec<_> = (0..5_000).map(|index| format!("t{index}")).collect();
    let chain: Vec<_> =
        names.iter().enumerate().map(|(index, name)| task(name, &[names[(index + 1) % names.len()].as_str()], &[])).collect();
    assert_eq!(check_book(&chain).len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_a_definition_or_mistakes(text in "(name|rules|zone|exit|then|env|config|publish|[a-z.]{1,8})( = )?[\\[{\"'=a-z0-9:*, \\]}\n]{0,40}|\\PC{0,80}") {
        if let Err(mistakes) = Definition::from_toml(&text) {
            prop_assert!(!mistakes.is_empty() && mistakes.iter().all(|mistake| mistake.line.is_some() && mistake.column.is_some()));
        }
    }
}

#[test]
fn an_unknown_agent_is_reported() {
    let task = Definition::from_toml("name = \"gold\"\non = [\"db-1\", \"bd-2\"]").expect("no mistakes");
    let found = check_agents(&[task], &["db-1", "db-2"]);
    assert_eq!(found, [(0, "/on/1".to_owned(), "there is no agent bd-2; did you mean db-2?".to_owned())]);
}

#[test]
fn wrong_limits_hooks_and_retention_are_reported() {
    for (text, expected) in [
        ("limits = { memory = \"0\" }", "limits.memory: \"0\": expected a number of bytes"),
        ("limits = { memory = \"5 parsecs\" }", "limits.memory: "),
        ("limits = { memory = \"99999999999T\" }", "limits.memory: "),
        ("limits = { memory = \"-1K\" }", "limits.memory: "),
        ("limits = { memory = 512 }", "limits.memory: a text is expected"),
        ("limits = { nice = -5 }", "limits.nice: a whole number from 0 to 19"),
        ("limits = { cpus = 2 }", "limits.cpus: there is no such key; did you mean cpu?"),
        ("hooks = { before = \"./prepare\" }", "hooks.before: a list is expected"),
        ("hooks = { after = \"./tidy\" }", "hooks.after: a list is expected"),
        ("hooks = { before = [7] }", "hooks.before.0: a text is expected"),
        ("hooks = { before = [\"\"] }", "hooks.before.0: "),
        ("hooks = { before = [] }", "hooks.before: a program is missing"),
        ("hooks = { around = [\"x\"] }", "hooks.around: there is no such key"),
        ("retention = { logs = { age = \"soon\" } }", "retention.logs.age: \"soon\": expected a duration"),
        ("retention = { logs = { count = 0 } }", "retention.logs.count: a whole number from 1"),
        ("retention = \"30d\"", "retention: a table is expected"),
    ] {
        let mistakes = Definition::from_toml(&format!("name = \"gold\"\n{text}")).expect_err(text);
        let told: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
        assert!(told.len() == 1 && told[0].contains(expected), "{text}: {told:?}");
    }
}

#[test]
fn owners_are_one_or_several() {
    for (owner, written) in [("\"ada\"", json!("ada")), ("[\"ada\"]", json!("ada")), ("[\"ada\", \"ops\"]", json!(["ada", "ops"]))] {
        let definition = Definition::from_toml(&format!("name = \"a\"\nowner = {owner}")).unwrap();
        assert_eq!(serde_json::to_value(&definition).unwrap()["owner"], written);
        assert_eq!(Definition::from_toml(&definition.to_toml()).unwrap(), definition);
    }
}

#[test]
fn an_argument_too_long_for_linux_is_refused() {
    let longest = "x".repeat((128 << 10) - 1);
    for (key, path) in [("shell = ", "shell"), ("command = [\"echo\", ", "command.1")] {
        let end = if key.starts_with("shell") { "" } else { "]" };
        let read = |word: &str| Definition::from_toml(&format!("name = \"a\"\n{key}\"{word}\"{end}"));
        assert!(read(&longest).is_ok());
        let told = read(&format!("{longest}x")).unwrap_err()[0].to_string();
        assert!(told.contains(&format!("{path}: Linux accepts 131071 bytes in one argument, and this one has 131072")), "{told}");
    }
}
