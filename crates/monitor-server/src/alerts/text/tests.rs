use expect_test::expect;
use monitor_alerts::{GoodRun, PublishedChange, Severity, Subject};

use super::*;

const DUE: u64 = 1_795_228_200_000_000;

fn message(kind: MessageKind, cause: Cause) -> Message {
    Message {
        id: "7-fired-ops".to_owned(),
        alert: 7,
        kind,
        rule: "imports".to_owned(),
        subject: Subject::new(SubjectKind::Task, "gold"),
        cause,
        severity: Severity::Warning,
        time_us: DUE + 9_000_000,
        since_us: DUE + 9_000_000,
        resolved_us: None,
        count: 1,
        subjects: 1,
        names: Vec::new(),
        note: None,
        facts: Facts {
            run: Some("gold@20261121T023000Z.1".to_owned()),
            root_id: Some("019f0000000000000000000000000001".to_owned()),
            path: vec!["nightly".to_owned(), "gold".to_owned()],
            machine: Some("db-1".to_owned()),
            due_us: Some(DUE),
            started_us: Some(DUE + 1_000_000),
            ended_us: Some(DUE + 9_000_000),
            elapsed_ns: Some(8_012_345_678),
            usual_ns: Some(3_600_000_000_000),
            exit_code: Some(137),
            error: Some("no prices".to_owned()),
            lines: vec!["reading".to_owned(), "no prices".to_owned()],
            version: Some(5),
            good: Some(GoodRun {
                run: "gold@20261120T023000Z.1".to_owned(),
                version: 3,
                ended_us: Some(DUE - 82_800_000_000),
                elapsed_ns: Some(3_600_000_000_000),
            }),
            changes: vec!["- config = 1".to_owned(), "+ config = 2".to_owned()],
            published: vec![
                PublishedChange { target: "prod".to_owned(), was: 1, is: None },
                PublishedChange { target: "pre".to_owned(), was: 3, is: Some(1) },
            ],
            is_new_error: true,
            ..Facts::default()
        },
        channel: "ops".to_owned(),
        address: None,
        to: vec!["@owner".to_owned(), "ops".to_owned()],
    }
}

fn words(message: &Message, language: Language) -> Text {
    let url = "https://monitor.example.com".parse().unwrap();
    text(message, &Context { language, public_url: Some(&url), zone: TimeZone::UTC, secrets: &["hunter22".to_owned()] })
}

#[test]
fn a_message_contains_the_facts_of_a_failed_run() {
    let fired = message(MessageKind::Fired, Cause::Failed);
    expect![[r#"
        gold failed

        Task: nightly › gold
        Run: gold@20261121T023000Z.1
        Machine: db-1
        Since: 2026-11-21 02:30:09
        Due: 2026-11-21 02:30:00
        Started: 2026-11-21 02:30:01
        Ended: 2026-11-21 02:30:09
        Took: 8.0 s (usually 1 h 00 m)
        Exit code: 137 (killed by SIGKILL, maybe for want of memory)
        Why: no prices
        Last good run: 2026-11-20 03:30:00 (1 h 00 m)
        Changed since the last good run: version 3 became 5, nothing published to prod (1 file before), 1 file published to pre instead of 3, - config = 1, + config = 2, it took 8.0 s instead of 1 h 00 m, the error is new
        Told: @owner, ops
        Rule: imports (warning)

          reading
          no prices

        Open: https://monitor.example.com/tasks/019f0000000000000000000000000001
        monitor alert ack 7 · monitor alert snooze 7 --for 2h"#]]
    .assert_eq(&words(&fired, Language::En).plain());
    expect![[r#"
        gold 失败

        任务: nightly › gold
        执行: gold@20261121T023000Z.1
        机器: db-1
        自: 2026-11-21 02:30:09
        应开始于: 2026-11-21 02:30:00
        开始于: 2026-11-21 02:30:01
        结束于: 2026-11-21 02:30:09
        耗时: 8.0 s (通常 1 h 00 m)
        退出码: 137 (被 SIGKILL 终止，可能内存不足)
        原因: no prices
        上次成功: 2026-11-20 03:30:00 (1 h 00 m)
        自上次成功以来的变化: 版本 3 变为 5, 未发布到 prod（上次 1 个文件）, 向 pre 发布 1 个文件，上次为 3 个, - config = 1, + config = 2, 耗时 8.0 s，上次为 1 h 00 m, 错误首次出现
        已通知: @owner, ops
        规则: imports (warning)

          reading
          no prices

        查看: https://monitor.example.com/tasks/019f0000000000000000000000000001
        确认：monitor alert ack 7 · 静默：monitor alert snooze 7 --for 2h"#]]
    .assert_eq(&words(&fired, Language::Zh).plain());
    let over = Message { resolved_us: Some(DUE + 18_600_000_000), count: 6, ..message(MessageKind::Resolved, Cause::Failed) };
    assert_eq!(words(&over, Language::En).title, "Over: gold failed 6 times (2026-11-21 02:30:09–07:40:00)");
    assert_eq!(words(&over, Language::Zh).title, "已恢复：gold 失败 6 次（2026-11-21 02:30:09–07:40:00）");
}

#[test]
fn each_kind_and_cause_has_words_in_both_languages() {
    for (language, has_chinese) in [(Language::En, false), (Language::Zh, true)] {
        let mut titles = std::collections::BTreeSet::new();
        for (_, kind) in MessageKind::WORDS {
            for (_, cause) in Cause::WORDS {
                let said = words(&message(*kind, *cause), language);
                let is_chinese = said.title.chars().any(|c| ('\u{4e00}'..'\u{a000}').contains(&c));
                assert!(!said.title.is_empty() && is_chinese == has_chinese, "{kind} {cause}: {}", said.title);
                titles.insert(said.title);
            }
        }
        // Digests and test messages have no cause.
        assert_eq!(titles.len(), (MessageKind::WORDS.len() - 2) * Cause::WORDS.len() + 2);
    }
}

#[test]
fn an_exit_code_has_a_meaning() {
    let said = |code: i64, word: Option<&str>, language| {
        let mut fired = message(MessageKind::Fired, Cause::Failed);
        (fired.facts.exit_code, fired.facts.exit_meaning) = (Some(code), word.map(str::to_owned));
        let label = if language == Language::En { "Exit code" } else { "退出码" };
        words(&fired, language).rows.into_iter().find(|(of, _)| *of == label).unwrap().1
    };
    for (code, word, en, zh) in [
        (1, None, "1", "1"),
        (24, Some("retry"), "24 (retry, as the task says)", "24 (任务定义为 retry)"),
        (91, None, "91", "91"),
        (91, Some("expectation"), "91 (it did not do what is expected of it)", "91 (未达到预期)"),
        (97, Some("memory"), "97 (it used more memory than it may)", "97 (内存超限)"),
        (125, None, "125 (the command could not be started)", "125 (命令无法启动)"),
        (126, None, "126 (the command can't be executed)", "126 (命令无法执行)"),
        (127, None, "127 (the command was not found)", "127 (找不到命令)"),
        (128, None, "128", "128"),
        (129, None, "129 (ended by SIGHUP)", "129 (被 SIGHUP 终止)"),
        (139, None, "139 (crashed: SIGSEGV)", "139 (崩溃：SIGSEGV)"),
        (159, None, "159 (ended by SIGSYS)", "159 (被 SIGSYS 终止)"),
        (160, None, "160", "160"),
        (i64::MIN, None, "-9223372036854775808", "-9223372036854775808"),
    ] {
        assert_eq!((said(code, word, Language::En).as_str(), said(code, word, Language::Zh).as_str()), (en, zh));
    }
}

#[test]
fn an_unchanged_definition_is_mentioned_except_after_the_alert_is_resolved() {
    let mut fired = message(MessageKind::Fired, Cause::Failed);
    let good = fired.facts.good.as_mut().unwrap();
    (good.version, good.elapsed_ns) = (5, Some(8_000_000_000));
    (fired.facts.changes, fired.facts.is_new_error, fired.facts.error_seen_us) = (Vec::new(), false, Some(DUE - 82_800_000_000));
    fired.facts.published.clear();
    let row = |message: &Message| words(message, Language::En).rows.into_iter().find(|(label, _)| label.starts_with("Changed"));
    assert_eq!(row(&fired).unwrap().1, "nothing in the definition (version 5), the same error as 2026-11-20 03:30:00");
    fired.kind = MessageKind::Resolved;
    assert_eq!(row(&fired), None);
}

#[test]
fn words_of_a_run_are_data() {
    let hostile = "a\r\nBcc: all@example.com\0{{ 7*7 }}\u{202e}<script>**b** [x](http://evil) <!channel> @all `c` hunter22";
    let mut fired = message(MessageKind::Fired, Cause::Failed);
    fired.subject.name = hostile.to_owned();
    fired.facts.error = Some(hostile.to_owned());
    fired.facts.lines = vec![hostile.to_owned(), "x".repeat(1 << 20)];
    fired.facts.path.clear();
    fired.facts.link = Some("javascript:alert(1)".to_owned());
    let said = words(&fired, Language::En);
    assert_eq!(said.title, "a ⏎ Bcc: all@example.com\\u{0}{{ 7*7 }}\\u{202e}<script>**b** [x](http://evil) <!channel> @all `c` *** failed");
    let plain = said.plain();
    assert!(plain.len() < 10_000 && !plain.contains("hunter22") && !plain.contains(['\r', '\0', '\u{202e}']), "{plain}");
    assert!(plain.lines().all(|line| !line.starts_with("Bcc")));
    assert_eq!(said.link.as_ref().unwrap().1, "https://monitor.example.com/tasks/019f0000000000000000000000000001", "no other scheme");
    for most in [4_096, 600, 100, 10, 3, 0] {
        let markdown = said.markdown(most);
        assert!(markdown.len() <= most, "{most}: {}", markdown.len());
        if most < 100 {
            continue;
        }
        // Only the built-in markup remains.
        let ours =
            markdown.replace("### ", "").replace("\n> ", "\n").replace("[Open](https://monitor.example.com/tasks/", "").replace("\n\n", "");
        assert!(!ours.contains(['<', '[', ']', '*', '`', '#', '@', '\\']), "{most}: {ours}");
    }
    let whole = said.markdown(4_096);
    assert!(whole.starts_with("### a ⏎ Bcc") && whole.contains("monitor alert ack 7"), "what is cut is the middle: {whole}");
}

#[test]
fn a_text_is_cut_by_bytes_and_never_within_a_character() {
    for most in 0..40 {
        for text in ["金价更新失败了没有价格", "plain words, and more of them to be cut", "a𝄞b𝄞c𝄞d𝄞e𝄞f"] {
            let short = cut(text, most);
            assert!(short.len() <= most && (short == text || short.is_empty() || short.ends_with('…')), "{text} {most}: {short}");
        }
    }
    assert_eq!(clean("tab\tline\r\nnext\r\n", 100), "tab line ⏎ next");
    assert_eq!(clean("abcdef", 3), "abc…");
}

#[test]
fn a_message_about_several_names_them_and_counts_what_happened() {
    let title =
        |cause, count, subjects, language| words(&Message { count, subjects, ..message(MessageKind::Updated, cause) }, language).title;
    assert_eq!(title(Cause::Failed, 6, 5, Language::En), "More: gold and 4 others failed, 6 times in all");
    assert_eq!(title(Cause::Failed, 2, 2, Language::En), "More: gold and another one failed");
    assert_eq!(title(Cause::Failed, 6, 1, Language::En), "More: gold failed 6 times");
    assert_eq!(title(Cause::Timeout, 3, 3, Language::En), "More: gold and 2 others take longer than their timeouts");
    assert_eq!(title(Cause::Failed, 6, 5, Language::Zh), "更新：gold 等 5 个 失败，共 6 次");
}

#[test]
fn a_message_about_a_job_has_its_number_its_reason_and_its_hosts() {
    let facts = Facts {
        job: Some(12),
        root_id: Some("019f0000000000000000000000000001".to_owned()),
        path: vec!["deploy".to_owned()],
        ended_us: Some(DUE),
        error: Some("step 1: failed on 2 of 50 hosts (2 timed out)".to_owned()),
        link: Some("https://monitor.example.com/tasks/jobs?job=12".to_owned()),
        ..Facts::default()
    };
    let of = |cause: Cause, count: u64| Message {
        subject: Subject::new(SubjectKind::Job, "deploy"),
        count,
        facts: facts.clone(),
        ..message(MessageKind::Fired, cause)
    };
    expect![[r#"
        job deploy timed out

        Job: deploy (12)
        Since: 2026-11-21 02:30:09
        Ended: 2026-11-21 02:30:00
        Why: step 1: failed on 2 of 50 hosts (2 timed out)
        Told: @owner, ops
        Rule: imports (warning)

        Open: https://monitor.example.com/tasks/jobs?job=12
        monitor alert ack 7 · monitor alert snooze 7 --for 2h"#]]
    .assert_eq(&words(&of(Cause::Timeout, 1), Language::En).plain());
    let title = |cause, count, language| words(&of(cause, count), language).title;
    assert_eq!(title(Cause::Failed, 1, Language::En), "job deploy failed");
    assert_eq!(title(Cause::Failed, 3, Language::En), "job deploy failed 3 times");
    assert_eq!(title(Cause::Lost, 1, Language::En), "job deploy lost a host");
    assert_eq!(title(Cause::Lost, 4, Language::En), "job deploy lost 4 hosts");
    assert_eq!(title(Cause::Failed, 1, Language::Zh), "作业 deploy 失败");
    assert_eq!(title(Cause::Timeout, 1, Language::Zh), "作业 deploy 超时");
    assert_eq!(title(Cause::Lost, 4, Language::Zh), "作业 deploy 有 4 台主机失联");
}
