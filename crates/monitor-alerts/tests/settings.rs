//! Reading `alerts.toml`: valid files, and the positions of all mistakes.

use monitor_alerts::{Cause, ChannelKind, Rule, Settings, Severity, Times, To, Variable, builtin};

const WHOLE: &str = r#"
[[rule]]
name = "imports"
on = { cause = ["failed", "missed"], task = "import-*", tag = "nightly", agent = "db-*" }
times = 2
severity = "critical"
to = ["@owner", "ops", "ada@example.com"]
repeat = "6h"
escalate = [{ after = "30m", to = ["lead"] }]
quiet = "22:00-07:00 Europe/Berlin"
then = { run = "clean-up", at-most = 2, within = "1h" }

[[rule]]
name = "workers"
on = { cause = "failed", name = "worker-*" }
times = "5 within 10m"
to = ["hook"]
then = { retry = true }

[channel.ops]
kind = "wecom"
url = { file = "/etc/monitor/ops-url" }
language = "zh"

[channel.lead]
kind = "mail"
server = "smtp.example.com:587"
user = "monitor"
password = { env = "SMTP_PASSWORD" }
from = "monitor@example.com"
to = ["lead@example.com"]
ca = "/etc/monitor/ca.pem"

[channel.hook]
kind = "webhook"
url = "http://127.0.0.1:9/hook"
secret = { file = "/etc/monitor/key" }
headers = { authorization = { env = "HOOK_TOKEN" } }
private = true
rate = 5

[channel.pager]
kind = "command"
command = ["/usr/local/bin/page", ""]
"#;

#[test]
fn rules_and_channels_are_read() {
    let settings = Settings::from_toml(WHOLE).unwrap();
    let rule = &settings.rules[0];
    assert_eq!((rule.on.cause.as_slice(), rule.times), ([Cause::Failed, Cause::Missed].as_slice(), Times::InARow(2)));
    assert_eq!(rule.to, Some(vec![To::Owner, To::Channel("ops".into()), To::Address("ada@example.com".into())]));
    assert_eq!((rule.severity, rule.escalate[0].after.as_secs()), (Some(Severity::Critical), 1_800));
    assert_eq!(settings.rules[1].times, Times::Within(5, std::time::Duration::from_secs(600)));
    assert!(settings.channels["ops"].kind == ChannelKind::Wecom { url: Variable::File { file: "/etc/monitor/ops-url".into() } });
    assert_eq!((settings.channels["hook"].rate, settings.channels["ops"].rate, settings.warnings.len()), (5, 10, 0));
    // The JSON form of a rule reads back as the same rule.
    for rule in settings.rules.iter().chain(&builtin()) {
        let read = Rule::from_json(serde_json::to_value(rule).unwrap(), &settings.channels).unwrap();
        assert_eq!(Rule { is_builtin: rule.is_builtin, ..read }, *rule);
    }
}

#[test]
fn a_template_has_the_language_of_its_channel() {
    let read = |more: &str| Settings::from_toml(&format!("[channel.ops]\nkind = \"slack\"\nurl = \"https://a.example\"\n{more}"));
    let template = |more: &str| read(more).unwrap().channels["ops"].template.clone();
    assert_eq!(template(""), None);
    assert_eq!(template("template = \"{{ name }}\""), Some("{{ name }}".to_owned()));
    assert_eq!(template("template = { en = \"a\", zh = \"b\" }"), Some("a".to_owned()));
    assert_eq!(template("language = \"zh\"\ntemplate = { en = \"a\", zh = \"b\" }"), Some("b".to_owned()));
    for (more, words) in [
        ("template = { zh = \"b\" }", "4:12: channel.ops.template: there is none in the channel's language, en"),
        ("template = { en = \"a\", fr = \"b\" }", "4:24: channel.ops.template.fr: there is no such key"),
        ("template = \"\"", "not empty"),
        ("template = 7", "4:12:"),
        (&format!("template = \"{}\"", "x".repeat(20_000)), "at most 16384 bytes"),
    ] {
        let told = read(more).unwrap_err().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        assert!(told.contains(words), "{more}: {told}");
    }
}

#[test]
fn a_draft_may_use_the_existing_channels() {
    let channels = Settings::from_toml(WHOLE).unwrap().channels;
    let rule = |to: &str| format!("[[rule]]\nname = \"x\"\non = {{ cause = \"failed\" }}\nto = [\"{to}\"]\n");
    for to in ["ops", "ada@example.com", "@owner"] {
        assert_eq!(Settings::draft(&rule(to), &channels).unwrap().rules.len(), 1, "{to}");
    }
    let own = format!("{}[channel.own]\nkind = \"slack\"\nurl = \"https://a.example\"\n", rule("own"));
    assert_eq!(Settings::draft(&own, &channels).unwrap().rules.len(), 1);
    let told = Settings::draft(&rule("opz"), &channels).unwrap_err()[0].to_string();
    assert!(told.contains("did you mean ops?"), "{told}");
    assert!(Settings::from_toml(&rule("ops")).is_err(), "the file knows its own channels alone");
}

#[test]
fn addresses_are_hidden_in_debug_output() {
    let settings = Settings::from_toml(WHOLE).unwrap();
    let shown = format!("{settings:?}");
    assert!(!shown.contains("127.0.0.1") && !shown.contains("/etc/monitor"), "{shown}");
}

#[test]
fn all_mistakes_are_reported_at_once_with_their_places() {
    let text = r#"[[rule]]
name = "a b"
on = { cause = ["faild"], tsk = "x" }
times = "0 within 10m"
to = ["opz", "x@", "a@b.c"]
quiet = "22-7 Mars/Base"
repeat = "1s"
then = { run = "x", retry = true }

[[rule]]
name = "late"

[channel.ops]
kind = "wecon"

[channel.hook]
kind = "webhook"
url = "ftp://x"
secret = "plain"
colour = 1
"#;
    let mistakes = Settings::from_toml(text).unwrap_err();
    let told: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    for (place, words) in [
        ("2:8:", "is no name"),
        ("3:17:", "did you mean failed?"),
        ("3:27:", "did you mean task?"),
        ("4:9:", "5 within 10m"),
        ("5:7:", "there is no channel opz; did you mean ops?"),
        ("5:14:", "a mail address"),
        ("5:20:", "no channel of the kind mail"),
        ("6:9:", "there is no zone Mars/Base"),
        ("7:10:", "at least 1m"),
        ("8:8:", "either a task"),
        ("10:", "it is missing what the rule is for"),
        ("14:8:", "did you mean wecom?"),
        ("18:7:", "https:// or http://"),
        ("19:10:", "a table is expected"),
        ("20:1:", "no such key"),
    ] {
        assert!(told.iter().any(|told| told.starts_with(place) && told.contains(words)), "{place} {words} in {told:#?}");
    }
}

#[test]
fn a_rule_without_causes_is_a_warning() {
    let settings = Settings::from_toml("[[rule]]\nname = \"none\"\non = { cause = [] }\nto = [\"@owner\"]\n").unwrap();
    assert_eq!(settings.warnings.len(), 1);
    assert!(settings.warnings[0].to_string().starts_with("3:16: "), "{}", settings.warnings[0]);
}

#[test]
fn a_rule_without_recipients_is_a_warning_unless_they_are_set_to_none() {
    let rule = |more: &str| format!("[[rule]]\nname = \"none\"\non = {{ cause = [\"failed\"] }}\n{more}\n");
    let warnings = |more: &str| Settings::from_toml(&rule(more)).unwrap().warnings;
    let forgotten = warnings("");
    assert!(forgotten.len() == 1 && forgotten[0].to_string().contains("to = []"), "{forgotten:?}");
    assert_eq!(warnings("to = []"), [], "it is turned off on purpose");
    assert_eq!(warnings("then = { retry = true }"), [], "a rule may be for what it starts");
}

#[test]
fn malformed_and_hostile_files_are_mistakes_with_a_place() {
    for text in [
        "[[rule",
        "rule = 1",
        "channel = []",
        "[channel.\"a/b\"]\nkind = \"slack\"",
        "\0",
        &"x".repeat(2 << 20),
        "[[rule]]\nname = \"\u{1b}[31m\"",
    ] {
        let mistakes = Settings::from_toml(text).unwrap_err();
        assert!(mistakes.iter().all(|mistake| mistake.line.is_some() && !mistake.to_string().contains('\u{1b}')), "{mistakes:?}");
    }
    assert_eq!(Settings::from_toml("").unwrap(), Settings::default());
}

#[test]
fn a_percentage_is_a_share_of_failed_calls() {
    use monitor_alerts::Times;
    let minutes = |count: u64| std::time::Duration::from_secs(60 * count);
    for (text, expected) in [
        ("5% within 10m", Ok(Times::Share(5, minutes(10)))),
        ("100% within 1m", Ok(Times::Share(100, minutes(1)))),
        ("0% within 10m", Err("from 1% to 100%")),
        ("101% within 10m", Err("from 1% to 100%")),
        ("-5% within 10m", Err("from 1% to 100%")),
        ("5% within 30s", Err("at least 1m")),
        ("5% within 31d", Err("at most 30d")),
        ("5%", Err("is expected")),
    ] {
        match (Times::parse(text), expected) {
            (Ok(read), Ok(expected)) => assert_eq!((read, read.to_string().as_str()), (expected, text)),
            (Err(why), Err(words)) => assert!(why.contains(words), "{text}: {why}"),
            (read, _) => panic!("{text}: {read:?}"),
        }
    }
    let share = Times::Share(5, minutes(10));
    for (failed, calls, is_share) in
        [(1, 19, false), (1, 20, true), (0, 20, false), (4, 100, false), (5, 100, true), (u64::MAX, u64::MAX, true)]
    {
        assert_eq!(share.is_share(failed, calls), is_share, "{failed} of {calls}");
    }
    let text = "[[rule]]\nname = \"a\"\non = { cause = [\"failed\", \"missed\"] }\ntimes = \"5% within 10m\"\n";
    let mistakes = Settings::from_toml(text).unwrap_err();
    assert!(
        mistakes[0].to_string().starts_with("4:9: ") && mistakes[0].to_string().contains("a share is one of failed calls"),
        "{mistakes:?}"
    );
}
