//! Time rules: parsing, due times, and behavior at changes of the clock.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use monitor_tasks::Rule;
use monitor_tasks::rule::dst;

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).expect("a zone")
}

/// Returns the due times after a civil time, in local time with offset.
fn due(rule: &str, zone_name: &str, after: &str, count: usize) -> Vec<String> {
    let (rule, zone) = (Rule::parse(rule, "gold").expect(rule), zone(zone_name));
    let mut at = dst::instant(after.parse().expect("a civil time"), &zone).expect("an instant");
    let mut found = Vec::new();
    while let Some(next) = rule.next(at, &zone).filter(|_| found.len() < count) {
        found.push(next.to_zoned(zone.clone()).strftime("%m-%d %H:%M:%S %:z").to_string().replace(":00 ", " "));
        at = next;
    }
    found
}

fn check(rule: &str, zone_name: &str, after: &str, expected: &[&str]) {
    assert_eq!(due(rule, zone_name, after, expected.len()), expected, "{rule} in {zone_name} after {after}");
}

#[test]
fn each_form_of_rule_has_its_due_times() {
    let berlin = "Europe/Berlin";
    let from = "2026-01-01T00:00";
    check("30 2 * * 1-5", berlin, from, &["01-01 02:30 +01:00", "01-02 02:30 +01:00", "01-05 02:30 +01:00"]);
    check("*/20 30 2 * * *", berlin, from, &["01-01 02:30 +01:00", "01-01 02:30:20 +01:00", "01-01 02:30:40 +01:00", "01-02 02:30 +01:00"]);
    check("0 0 12 1 1 ? 2027-2028", berlin, from, &["01-01 12:00 +01:00", "01-01 12:00 +01:00"]);
    assert_eq!(due("0 0 12 1 1 ? 2027-2028", berlin, from, 9).len(), 2);
    check("0 0 L * *", berlin, from, &["01-31 00:00 +01:00", "02-28 00:00 +01:00"]);
    check("0 0 LW * *", berlin, from, &["01-30 00:00 +01:00", "02-27 00:00 +01:00"]);
    check("0 0 15W 2,3 *", berlin, from, &["02-16 00:00 +01:00", "03-16 00:00 +01:00"]);
    check("0 0 ? * FRI#2", berlin, from, &["01-09 00:00 +01:00", "02-13 00:00 +01:00"]);
    check("0 0 * * friL", berlin, from, &["01-30 00:00 +01:00", "02-27 00:00 +01:00"]);
    check("0 0 * jan-feb sat-sun", berlin, from, &["01-03 00:00 +01:00", "01-04 00:00 +01:00", "01-10 00:00 +01:00"]);
    check("0 0 * * 5-7", berlin, from, &["01-02 00:00 +01:00", "01-03 00:00 +01:00", "01-04 00:00 +01:00", "01-09 00:00 +01:00"]);
    // Either of two days, as in cron; both if one field starts with a star.
    check("0 0 13 * 5", berlin, from, &["01-02 00:00 +01:00", "01-09 00:00 +01:00", "01-13 00:00 +01:00"]);
    check("0 0 */2 * 5", berlin, from, &["01-09 00:00 +01:00", "01-23 00:00 +01:00"]);
    check("5/20 0 * * *", berlin, from, &["01-01 00:05 +01:00", "01-01 00:25 +01:00", "01-01 00:45 +01:00", "01-02 00:05 +01:00"]);
    check("@Daily", berlin, from, &["01-02 00:00 +01:00"]);
    check("@every 90s", "UTC", from, &["01-01 00:01:30 +00:00", "01-01 00:03 +00:00"]);
    check("@every 1h30m", "UTC", from, &["01-01 01:30 +00:00", "01-01 03:00 +00:00"]);
    assert_eq!(due("2026-12-24T18:00", berlin, from, 9), ["12-24 18:00 +01:00"]);
    assert_eq!(due("2026-12-24 18:00:30Z", berlin, from, 9), ["12-24 19:00:30 +01:00"]);
    assert_eq!(due("2025-12-24T18:00", berlin, from, 9), [""; 0]);
    assert!(due("@boot", berlin, from, 9).is_empty() && Rule::parse("@reboot", "a").unwrap().is_boot());
    check("0 0 29 2 *", berlin, from, &["02-29 00:00 +01:00", "02-29 00:00 +01:00"]);
}

#[test]
fn an_h_is_stable_and_within_its_bounds() {
    // These values must never change, because tasks would run at other times.
    check("H H * * *", "UTC", "2026-01-01T00:00", &["01-01 18:39 +00:00", "01-02 18:39 +00:00"]);
    for task in (0..200).map(|index| format!("task-{index}")) {
        let rule = Rule::parse("H(10-19) H/6 H * *", &task).expect("a rule");
        let (mut at, utc) = ("2026-01-01T00:00Z".parse::<Timestamp>().expect("a time"), TimeZone::UTC);
        let mut hours = Vec::new();
        for _ in 0..4 {
            at = rule.next(at, &utc).expect("a due time");
            let civil = utc.to_datetime(at);
            assert!((10..20).contains(&civil.minute()) && civil.day() <= 28, "{task}: {civil}");
            hours.push(civil.hour());
        }
        assert!(hours.windows(2).all(|pair| pair[0] + 6 == pair[1]) && hours[0] < 6, "{task}: {hours:?}");
    }
    let minutes: std::collections::BTreeSet<_> = (0..200)
        .map(|index| Rule::parse("H * * * *", &format!("task-{index}")).unwrap().next(Timestamp::UNIX_EPOCH, &TimeZone::UTC).unwrap())
        .collect();
    assert!(minutes.len() > 40, "the minutes are spread: {}", minutes.len());
}

#[test]
fn a_change_of_the_clock_loses_nothing_and_doubles_nothing() {
    let (berlin, york, shanghai, howe) = ("Europe/Berlin", "America/New_York", "Asia/Shanghai", "Australia/Lord_Howe");
    // Spring: 02:00 to 03:00 is skipped.
    let spring = "2026-03-29T00:59";
    check("30 2 * * *", berlin, spring, &["03-29 03:00 +02:00", "03-30 02:30 +02:00"]);
    check("30 2,14 * * *", berlin, spring, &["03-29 03:00 +02:00", "03-29 14:30 +02:00"]);
    check("0,30 2 * * *", berlin, spring, &["03-29 03:00 +02:00", "03-30 02:00 +02:00", "03-30 02:30 +02:00"]);
    check("0 2,3 * * *", berlin, spring, &["03-29 03:00 +02:00", "03-30 02:00 +02:00"]);
    check("30 * * * *", berlin, spring, &["03-29 01:30 +01:00", "03-29 03:30 +02:00"]);
    check("30 */2 * * *", berlin, spring, &["03-29 04:30 +02:00", "03-29 06:30 +02:00"]);
    check("2026-03-29T02:15", berlin, spring, &["03-29 03:00 +02:00"]);
    check("30 2 * * *", york, "2026-03-08T00:00", &["03-08 03:00 -04:00", "03-09 02:30 -04:00"]);
    // Autumn: 02:00 to 03:00 occurs twice.
    let autumn = "2026-10-25T00:59";
    check("30 2 * * *", berlin, autumn, &["10-25 02:30 +02:00", "10-26 02:30 +01:00"]);
    check("0 1,2 * * *", berlin, autumn, &["10-25 01:00 +02:00", "10-25 02:00 +02:00", "10-26 01:00 +01:00"]);
    check("*/30 2,3 * * *", berlin, autumn, &["10-25 02:00 +02:00", "10-25 02:30 +02:00", "10-25 03:00 +01:00"]);
    check("30 * * * *", berlin, autumn, &["10-25 01:30 +02:00", "10-25 02:30 +02:00", "10-25 02:30 +01:00", "10-25 03:30 +01:00"]);
    check("2026-10-25T02:15", berlin, autumn, &["10-25 02:15 +02:00"]);
    check("30 1 * * *", york, "2026-10-31T23:00", &["11-01 01:30 -04:00", "11-02 01:30 -05:00"]);
    // Lord Howe shifts by half an hour: 02:00 to 02:30 is skipped, 01:30 to 02:00 occurs twice.
    check("0,15,30 2 * * *", howe, "2026-10-04T00:00", &["10-04 02:30 +11:00", "10-05 02:00 +11:00"]);
    check("*/15 * * * *", howe, "2026-10-04T01:44", &["10-04 01:45 +10:30", "10-04 02:30 +11:00", "10-04 02:45 +11:00"]);
    check("45 1 * * *", howe, "2026-04-05T00:00", &["04-05 01:45 +11:00", "04-06 01:45 +10:30"]);
    check("45 * * * *", howe, "2026-04-05T01:00", &["04-05 01:45 +11:00", "04-05 01:45 +10:30", "04-05 02:45 +10:30"]);
    // The last change in China was in 1991.
    check("30 2 * * *", shanghai, "2026-03-28T12:00", &["03-29 02:30 +08:00", "03-30 02:30 +08:00"]);
    check("30 0 * * *", shanghai, "1991-04-13T12:00", &["04-14 00:30 +08:00", "04-15 00:30 +09:00"]);
    // Samoa skipped a whole day.
    check("0 9 * * *", "Pacific/Apia", "2011-12-29T10:00", &["12-31 00:00 +14:00", "12-31 09:00 +14:00"]);
}

#[test]
fn a_due_time_moved_by_a_clock_change_has_its_original_time() {
    let zone = zone("Europe/Berlin");
    let rule = Rule::parse("30 2 * * *", "gold").unwrap();
    let spring: Timestamp = "2026-03-29T01:00Z".parse().unwrap();
    assert_eq!(rule.moved_from(spring, &zone), Some("2026-03-29T02:30".parse::<DateTime>().unwrap()));
    assert_eq!(rule.moved_from("2026-03-30T00:30Z".parse().unwrap(), &zone), None);
    assert_eq!(Rule::parse("0 3 * * *", "gold").unwrap().moved_from(spring, &zone), None);
    let passes = ["2026-10-25T00:30Z", "2026-10-25T01:30Z", "2026-10-25T02:30Z"].map(|at| dst::pass(at.parse().unwrap(), &zone));
    assert_eq!(passes, [Some(1), Some(2), None]);
}

#[test]
fn a_mistake_is_reported_with_its_place() {
    for (rule, expected) in [
        ("", "column 1: the rule is empty"),
        ("* * *", "and there are 3"),
        ("* * * * * * * 1", "column 15: expected 5 fields"),
        ("61 2 * * *", "column 1, minute: 61 is not in 0 to 59"),
        ("0 2,24 * * *", "column 5, hour: 24 is not in 0 to 23"),
        ("0 0 * * MOND", "column 9, day of week: MOND is no value: allowed are 0 to 7, SUN to SAT"),
        ("0 0 * * MOND", "did you mean MON?"),
        ("0  0 * Janu *", "column 8, month: JANU is no value"),
        ("0 0 * * fri-mon", "column 9, day of week: FRI-MON runs backwards: write 5-6,0-1"),
        ("0 22-2 * * *", "runs backwards: write 22-23,0-2"),
        ("*/0 * * * *", "column 3, minute: a step is a number from 1 to 60"),
        ("*/x * * * *", "column 3, minute: a step"),
        ("1,,2 * * * *", "column 3, minute: nothing stands where a value should"),
        ("0 0 L,LW * *", "L and LW don't stand together"),
        ("0 0 * * L", "L follows a weekday"),
        ("0 0 * * 5#6", "column 11, day of week: behind # stands 1 to 5"),
        ("0 0 32W * *", "column 5, day of month: 32 is not in 1 to 31"),
        ("H(50-70) * * * *", "column 6, minute: 70 is not in 0 to 59"),
        ("H5 * * * *", "column 1, minute: expected H, H/5"),
        ("0 0 30 2 *", "column 5, day of month: this rule never fires"),
        ("0 0 31 4,6 *", "never fires"),
        ("0 0 0 29 2 ? 2027", "never fires"),
        ("@dayly", "column 1: @dayly is no name of a rule; did you mean @daily?"),
        ("@daily 5", "column 8: nothing follows @daily"),
        ("@every 5", "column 8: 5: expected a duration"),
        ("@every 0s", "one at least"),
        ("@every 1500ms", "whole seconds"),
        ("2026-13-24T18:00", "column 1: 2026-13-24T18:00 is no time"),
        ("2026-12-24T18:00:00.5Z", "whole seconds"),
        ("０ 0 * * *", "column 1, minute"),
        ("\u{1b}[31m 0 * * *", "\\u{1b}[31M is no value"),
    ] {
        let error = Rule::parse(rule, "gold").expect_err(rule).to_string();
        assert!(error.contains(expected), "{rule:?}: {error}");
    }
}

#[test]
fn a_search_for_a_rare_day_comes_to_an_end() {
    let zone = zone("Europe/Berlin");
    for rule in [
        "* * 29 2 *",
        "0 0 29 2 *",
        "* * * 29 2 ? 2196",
        "0 0 0 1 1 ? 2199",
        "0 0 0 1 1 ? 1970",
        "0 0 31 4,6,9,11 *",
        "0 0 29 2 */6",
        "* * 5#5 2 0#5",
    ] {
        let Ok(rule) = Rule::parse(rule, "gold") else { continue };
        let mut at = "2026-03-01T00:00Z".parse::<Timestamp>().unwrap();
        for _ in 0..3 {
            at = rule.next(at, &zone).unwrap_or(at);
        }
        rule.next("2199-12-31T23:59:59Z".parse().unwrap(), &zone);
    }
}
