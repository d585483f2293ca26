//! Searches for the next time that matches all fields of a rule.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::{DateTime, Weekday, date};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

use super::dst;
use super::error::RuleError;
use super::field::{self, Field};

/// A rule with fields.
#[derive(Debug, Clone)]
pub(super) struct Calendar {
    cron: Cron,
    /// True if the hour field starts with `*`. In that case the task follows the clock: it runs twice in repeated hours and not at all in
    /// skipped hours.
    follows_clock: bool,
    last_year: i16,
}

impl Calendar {
    pub(super) fn parse(text: &str, task: &str) -> Result<Self, RuleError> {
        let fields = field::split(text, task)?;
        let [second, minute, hour, day, month, weekday, year] = &fields;
        // As in cron, a day must match either of both fields, or both if a field starts with `*`.
        let both = (day.begins_with_star || weekday.begins_with_star) && day.text != "*" && weekday.text != "*";
        let weekdays = format!("{}{}", if both { "+" } else { "" }, weekday.text);
        let plain = [&second.text, &minute.text, &hour.text, &day.text, &month.text, &weekdays, &year.text].map(String::as_str).join(" ");
        let parser = CronParser::builder().seconds(Seconds::Required).year(Year::Required).build();
        let cron = parser.parse(&plain).map_err(|error| RuleError::new(1, format!("this rule can't be read: {error}")))?;
        let last_year = year.values.last().map_or(i16::MAX, |year| *year as i16);
        let calendar = Self { cron, follows_clock: hour.begins_with_star, last_year };
        if !calendar.has_a_day(month, year) {
            let message =
                "this rule never fires: no such day is in these months".to_owned() + if year.text == "*" { "" } else { " of these years" };
            return Err(RuleError { field: Some(day.name), column: day.column, message });
        }
        Ok(calendar)
    }

    /// Returns true if some day of any year matches. The calendar repeats after 28 years.
    fn has_a_day(&self, months: &Field, years: &Field) -> bool {
        let all: Vec<u16> = (2000..2028).collect();
        let years = if years.text == "*" { &all } else { &years.values };
        let every_month: Vec<u16> = (1..=12).collect();
        let months = if months.text == "*" { &every_month } else { &months.values };
        let firsts = years.iter().flat_map(|year| months.iter().map(move |month| date(*year as i16, *month as i8, 1)));
        firsts.into_iter().any(|first| first.series(1.day()).take(first.days_in_month() as usize).any(|day| self.is_on(day)))
    }

    fn is_on(&self, day: jiff::civil::Date) -> bool {
        let weekday = croner_weekday(day.weekday());
        self.cron.pattern.day_match(i32::from(day.year()), day.month() as u32, day.day() as u32, weekday).unwrap_or(false)
    }

    pub(super) fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        if self.follows_clock { self.next_of_clock(after, zone) } else { self.next_once(after, zone) }
    }

    /// Returns each civil time once. Later civil times never map to earlier instants, so the first result after `after` is the next.
    fn next_once(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let mut civil = match dst::end_of_repetition(after, zone) {
            Some(end) => self.search(end, true)?,
            None => self.search(zone.to_datetime(after), false)?,
        };
        loop {
            let due = dst::instant(civil, zone)?;
            if due > after {
                return Some(due);
            }
            civil = self.search(civil, false)?;
        }
    }

    /// Returns each instant at which the clock shows a matching time. Between two changes of the offset, civil time is linear.
    fn next_of_clock(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let (mut from, mut inclusive) = (after, false);
        loop {
            let offset = zone.to_offset(from);
            let civil = self.search(offset.to_datetime(from), inclusive)?;
            let due = offset.to_timestamp(civil).ok()?;
            let Some(change) = dst::next_change(from, zone).filter(|change| *change <= due) else { return Some(due) };
            // No earlier civil time matches. Only changes of the offset within two days of it can matter, except for the very next change,
            // which may repeat times before `after`.
            let near = due - SignedDuration::from_hours(48);
            (from, inclusive) = if inclusive && near > change { (near, true) } else { (change, true) };
        }
    }

    /// Returns the first civil time of the rule from `from` until before `to`. `None` if the rule follows the clock.
    pub(super) fn first_between(&self, from: DateTime, to: DateTime) -> Option<DateTime> {
        if self.follows_clock { None } else { self.search(from, true).filter(|civil| *civil < to) }
    }

    fn search(&self, from: DateTime, inclusive: bool) -> Option<DateTime> {
        // A fraction of a second belongs to the second that has started.
        let has_fraction = from.subsec_nanosecond() != 0;
        let from = from.with().subsec_nanosecond(0).build().ok()?;
        if from.year() > self.last_year {
            return None;
        }
        self.cron.find_next_occurrence(&from, inclusive && !has_fraction).ok()
    }
}

fn croner_weekday(day: Weekday) -> croner::time::Weekday {
    use croner::time::Weekday as Croners;
    match day {
        Weekday::Monday => Croners::Monday,
        Weekday::Tuesday => Croners::Tuesday,
        Weekday::Wednesday => Croners::Wednesday,
        Weekday::Thursday => Croners::Thursday,
        Weekday::Friday => Croners::Friday,
        Weekday::Saturday => Croners::Saturday,
        Weekday::Sunday => Croners::Sunday,
    }
}
