//! Civil time and instants: what becomes of a time that the clock skips or shows twice.

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

/// One nanosecond: the least time before an instant.
const LEAST: SignedDuration = SignedDuration::from_nanos(1);

/// The instant of a civil time: the first of both if the clock shows it twice, the first after the gap if the clock skips it.
pub fn instant(civil: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    match zone.to_ambiguous_timestamp(civil).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(civil).ok(),
        AmbiguousOffset::Fold { before, .. } => before.to_timestamp(civil).ok(),
        AmbiguousOffset::Gap { before, after } => {
            // Read with the offset from before the gap, the time lies at or after the transition.
            let inside = before.to_timestamp(civil).ok()?;
            let end = zone.preceding(inside.checked_add(LEAST).ok()?).next().map(|transition| transition.timestamp());
            end.or_else(|| after.to_timestamp(civil).ok())
        }
    }
}

/// The civil times that the clock skips just before `instant`: from the first one to the first that it shows again.
pub fn gap_that_ends_at(instant: Timestamp, zone: &TimeZone) -> Option<(DateTime, DateTime)> {
    let (before, after) = offsets_around(instant, zone)?;
    let (from, to) = (before.to_datetime(instant), after.to_datetime(instant));
    (from < to).then_some((from, to))
}

/// Which of the two times an instant is that the clock shows twice: 1 or 2.
pub fn pass(instant: Timestamp, zone: &TimeZone) -> Option<u8> {
    let offset = zone.to_offset(instant);
    match zone.to_ambiguous_timestamp(offset.to_datetime(instant)).offset() {
        AmbiguousOffset::Fold { before, .. } => Some(if offset == before { 1 } else { 2 }),
        _ => None,
    }
}

/// The first instant after `instant` at which the offset of the zone changes.
pub(super) fn next_change(instant: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    zone.following(instant).find(|change| offsets_around(change.timestamp(), zone).is_some()).map(|change| change.timestamp())
}

/// The civil time where the clock stops repeating itself, if `instant` is shown for the second time.
pub(super) fn end_of_repetition(instant: Timestamp, zone: &TimeZone) -> Option<DateTime> {
    if pass(instant, zone) != Some(2) {
        return None;
    }
    let change = zone.preceding(instant.checked_add(LEAST).ok()?).next()?.timestamp();
    let (before, _) = offsets_around(change, zone)?;
    Some(before.to_datetime(change))
}

/// The offsets before and after an instant, if they differ.
fn offsets_around(instant: Timestamp, zone: &TimeZone) -> Option<(Offset, Offset)> {
    let before = zone.to_offset(instant.checked_sub(LEAST).ok()?);
    let after = zone.to_offset(instant);
    (before != after).then_some((before, after))
}
