//! Serialization of single values of a definition.

use std::fmt::Display;
use std::time::Duration;

use serde::Serializer;

use crate::reading::UNITS;

fn write_bytes(bytes: u64) -> String {
    let unit = UNITS.iter().find(|(_, bits)| bytes.is_multiple_of(1 << bits));
    unit.map_or_else(|| bytes.to_string(), |(unit, bits)| format!("{}{unit}", bytes >> bits))
}

#[expect(clippy::ref_option, reason = "serde calls it so")]
pub(super) fn maybe_bytes<S: Serializer>(value: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&value.map(write_bytes).unwrap_or_default())
}

pub(super) fn shown<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

pub(super) fn one_or_several<S: Serializer>(texts: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    if let [one] = texts { serializer.serialize_str(one) } else { serializer.collect_seq(texts) }
}

pub(super) fn duration<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&monitor_duration::write(*value))
}

#[expect(clippy::ref_option, reason = "serde calls it so")]
pub(super) fn maybe_duration<S: Serializer>(value: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&value.map(monitor_duration::write).unwrap_or_default())
}
