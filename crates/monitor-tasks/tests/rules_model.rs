//! Compares `next` with a model that walks every minute of a year, and every second around changes of the clock.

use std::sync::LazyLock;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use monitor_tasks::Rule;
use proptest::collection::btree_set;
use proptest::prelude::*;

/// An instant with the civil time.
struct Moment {
    at: Timestamp,
    civil: DateTime,
    /// True if the clock has shown this time before.
    is_repeated: bool,
    /// Civil times skipped just before.
    skipped: Option<(DateTime, DateTime)>,
}

struct Walk {
    zone: TimeZone,
    step: i64,
    moments: Vec<Moment>,
}

fn walk(zone: &str, from: &str, to: &str, step: i64) -> Walk {
    let zone = TimeZone::get(zone).expect("a zone");
    let (from, to): (Timestamp, Timestamp) = (from.parse().expect("a time"), to.parse().expect("a time"));
    let mut moments: Vec<Moment> = Vec::new();
    let mut latest = zone.to_datetime(from);
    for second in (from.as_second()..to.as_second()).step_by(step as usize) {
        let at = Timestamp::from_second(second).expect("a time");
        let civil = zone.to_datetime(at);
        let expected = latest + SignedDuration::from_secs(step);
        let skipped = (civil > expected).then_some((expected, civil));
        moments.push(Moment { at, civil, is_repeated: !moments.is_empty() && civil <= latest, skipped });
        latest = latest.max(civil);
    }
    Walk { zone, step, moments }
}

const ZONES: [&str; 4] = ["Europe/Berlin", "America/New_York", "Asia/Shanghai", "Australia/Lord_Howe"];
static MINUTES: LazyLock<Vec<Walk>> =
    LazyLock::new(|| ZONES.iter().map(|zone| walk(zone, "2026-01-01T00:00Z", "2027-01-01T00:00Z", 60)).collect());
/// Two days around changes of the clock.
static SECONDS: LazyLock<Vec<Walk>> = LazyLock::new(|| {
    let around = [("Europe/Berlin", "03-28", "03-30"), ("Europe/Berlin", "10-24", "10-26"), ("Australia/Lord_Howe", "10-02", "10-05")];
    around.iter().map(|(zone, from, to)| walk(zone, &format!("2026-{from}T00:00Z"), &format!("2026-{to}T12:00Z"), 1)).collect()
});

/// Sets of values. `None` for `*`.
#[derive(Debug, Clone)]
struct Drawn {
    seconds: Option<Vec<i8>>,
    minutes: Option<Vec<i8>>,
    hours: Option<Vec<i8>>,
    /// Step of the hour field, if it starts with a star.
    hour_step: i8,
    days: Option<Vec<i8>>,
    months: Option<Vec<i8>>,
    weekdays: Option<Vec<i8>>,
}

fn list(values: Option<&Vec<i8>>) -> String {
    values.map_or_else(|| "*".to_owned(), |values| values.iter().map(i8::to_string).collect::<Vec<_>>().join(","))
}

impl Drawn {
    fn text(&self, has_seconds: bool) -> String {
        let hours = if self.hours.is_none() && self.hour_step > 1 { format!("*/{}", self.hour_step) } else { list(self.hours.as_ref()) };
        let seconds = if has_seconds { list(self.seconds.as_ref()) + " " } else { String::new() };
        let (minutes, days, months) = (list(self.minutes.as_ref()), list(self.days.as_ref()), list(self.months.as_ref()));
        format!("{seconds}{minutes} {hours} {days} {months} {}", list(self.weekdays.as_ref()))
    }

    fn names(&self, civil: DateTime, has_seconds: bool) -> bool {
        let is_in = |values: &Option<Vec<i8>>, value: i8| values.as_ref().is_none_or(|values| values.contains(&value));
        let weekday = civil.weekday().to_sunday_zero_offset();
        let day = match (&self.days, &self.weekdays) {
            (Some(days), Some(weekdays)) => days.contains(&civil.day()) || weekdays.contains(&weekday),
            _ => is_in(&self.days, civil.day()) && is_in(&self.weekdays, weekday),
        };
        let hour = if self.hours.is_none() { civil.hour() % self.hour_step == 0 } else { is_in(&self.hours, civil.hour()) };
        let second = if has_seconds { is_in(&self.seconds, civil.second()) } else { civil.second() == 0 };
        day && hour && second && is_in(&self.minutes, civil.minute()) && is_in(&self.months, civil.month())
    }

    fn is_due(&self, moment: &Moment, walk: &Walk, has_seconds: bool) -> bool {
        if self.hours.is_none() {
            return self.names(moment.civil, has_seconds);
        }
        let mut skipped = moment.skipped.into_iter().flat_map(|(from, to)| {
            let count = from.duration_until(to).as_secs() / walk.step;
            (0..count).map(move |index| from + SignedDuration::from_secs(index * walk.step))
        });
        (!moment.is_repeated && self.names(moment.civil, has_seconds)) || skipped.any(|civil| self.names(civil, has_seconds))
    }
}

fn some_of(from: i8, to: i8, most: usize) -> impl Strategy<Value = Option<Vec<i8>>> {
    prop_oneof![2 => Just(None), 3 => btree_set(from..=to, 1..=most).prop_map(|set| Some(set.into_iter().collect()))]
}

fn drawn() -> impl Strategy<Value = Drawn> {
    // Prefer hours at which the clocks change.
    let hours = prop_oneof![2 => Just(None), 2 => btree_set(0_i8..=3, 1..=3).prop_map(|set| Some(set.into_iter().collect())), 1 => some_of(0, 23, 5)];
    let time = (some_of(0, 59, 4), some_of(0, 59, 6), hours, 1_i8..=5);
    let day = (some_of(1, 28, 6), some_of(1, 12, 6), some_of(0, 6, 3));
    (time, day).prop_map(|((seconds, minutes, hours, hour_step), (days, months, weekdays))| Drawn {
        seconds,
        minutes,
        hours,
        hour_step,
        days,
        months,
        weekdays,
    })
}

fn agrees(drawn: &Drawn, walk: &Walk, has_seconds: bool, points: &[prop::sample::Index]) -> Result<(), TestCaseError> {
    let text = drawn.text(has_seconds);
    let rule = Rule::parse(&text, "model").expect("a rule");
    let due: Vec<Timestamp> =
        walk.moments.iter().filter(|moment| drawn.is_due(moment, walk, has_seconds)).map(|moment| moment.at).collect();
    let end = walk.moments.last().expect("moments").at;
    let check = |after: Timestamp| {
        let expected = due.get(due.partition_point(|at| *at <= after)).copied();
        let found = rule.next(after, &walk.zone).filter(|at| *at <= end);
        prop_assert_eq!(found, expected, "{} after {}", &text, after);
        Ok::<(), TestCaseError>(())
    };
    // Follow the chain of due times, so that none is lost or duplicated. If there are many, only check those around changes of the clock.
    let changes: Vec<Timestamp> =
        walk.moments.iter().filter(|moment| moment.skipped.is_some() || moment.is_repeated).map(|moment| moment.at).collect();
    let near = |at: &Timestamp| {
        let next = changes.partition_point(|change| *change < *at - SignedDuration::from_secs(4_000));
        changes.get(next).is_some_and(|change| *change < *at + SignedDuration::from_secs(4_000))
    };
    let chain: Vec<_> =
        due.iter().filter(|at| due.len() < 500 || near(at)).step_by(if due.len() < 500 { 1 } else { 97 }).take(200).collect();
    for after in chain {
        check(*after)?;
    }
    for point in points {
        let moment = point.get(&walk.moments);
        check(moment.at)?;
        check(moment.at + SignedDuration::from_millis(700))?;
        check(moment.at - SignedDuration::from_millis(1))?;
    }
    for change in changes.iter().step_by(if walk.step == 1 { 211 } else { 7 }) {
        check(*change - SignedDuration::from_secs(1))?;
        check(*change)?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn due_times_in_every_minute_of_a_year_match_the_model(drawn in drawn(), zone in 0..ZONES.len(), points in proptest::collection::vec(any::<prop::sample::Index>(), 10)) {
        agrees(&drawn, &MINUTES[zone], false, &points)?;
    }

    #[test]
    fn due_times_in_every_second_around_a_clock_change_match_the_model(mut drawn in drawn(), walk in 0..3_usize, points in proptest::collection::vec(any::<prop::sample::Index>(), 10)) {
        (drawn.days, drawn.months) = (None, None);
        agrees(&drawn, &SECONDS[walk], true, &points)?;
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,60}|[-0-9*/,LWH#?() @a-z]{0,80}|([0-9*/,LWH#?(),-]{1,6} ){4,6}[0-9*L#]{1,3}") {
        if let Ok(rule) = Rule::parse(&text, &text) {
            rule.next("2026-03-01T00:00Z".parse().unwrap(), &TimeZone::get("Europe/Berlin").unwrap());
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..3_000)) {
        let _ = Rule::parse(&String::from_utf8_lossy(&bytes), "hostile");
    }
}
