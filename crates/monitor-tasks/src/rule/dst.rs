//! Conversion of civil time to instants, for times that the clock skips or shows twice.

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

/// Smallest time step.
const LEAST: SignedDuration = SignedDuration::from_nanos(1);

/// Returns the instant of a civil time. If the clock shows it twice, the first; if the clock skips it, the first instant after the gap.
pub fn instant(civil: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    match zone.to_ambiguous_timestamp(civil).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(civil).ok(),
        AmbiguousOffset::Fold { before, .. } => before.to_timestamp(civil).ok(),
        AmbiguousOffset::Gap { before, after } => {
            // With the offset before the gap, the time lies at or after the transition.
            let inside = before.to_timestamp(civil).ok()?;
            let end = zone.preceding(inside.checked_add(LEAST).ok()?).next().map(|transition| transition.timestamp());
            end.or_else(|| after.to_timestamp(civil).ok())
        }
    }
}

/// Returns the civil times that the clock skips just before `instant`: from the first skipped time to the first time after the gap.
pub fn gap_that_ends_at(instant: Timestamp, zone: &TimeZone) -> Option<(DateTime, DateTime)> {
    let (before, after) = offsets_around(instant, zone)?;
    let (from, to) = (before.to_datetime(instant), after.to_datetime(instant));
    (from < to).then_some((from, to))
}

/// Returns 1 or 2 if the clock shows the civil time of `instant` twice: its first or second occurrence.
pub fn pass(instant: Timestamp, zone: &TimeZone) -> Option<u8> {
    let offset = zone.to_offset(instant);
    match zone.to_ambiguous_timestamp(offset.to_datetime(instant)).offset() {
        AmbiguousOffset::Fold { before, .. } => Some(if offset == before { 1 } else { 2 }),
        _ => None,
    }
}

/// Returns the first change of the zone's offset after `instant`.
pub(super) fn next_change(instant: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    zone.following(instant).find(|change| offsets_around(change.timestamp(), zone).is_some()).map(|change| change.timestamp())
}

/// Returns the civil time at which the repetition ends, if `instant` is in the second pass.
pub(super) fn end_of_repetition(instant: Timestamp, zone: &TimeZone) -> Option<DateTime> {
    if pass(instant, zone) != Some(2) {
        return None;
    }
    let change = zone.preceding(instant.checked_add(LEAST).ok()?).next()?.timestamp();
    let (before, _) = offsets_around(change, zone)?;
    Some(before.to_datetime(change))
}

/// Returns the offsets before and after an instant, if they differ.
fn offsets_around(instant: Timestamp, zone: &TimeZone) -> Option<(Offset, Offset)> {
    let before = zone.to_offset(instant.checked_sub(LEAST).ok()?);
    let after = zone.to_offset(instant);
    (before != after).then_some((before, after))
}
