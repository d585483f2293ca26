//! Parser for sizes, used by all programs of this project.

const UNITS: [(&str, u32); 5] = [("", 0), ("k", 10), ("m", 20), ("g", 30), ("t", 40)];

/// Parses a size in bytes: a whole number, optionally with `_` separators, and a binary unit `K`, `M`, `G` or `T`, optionally followed by
/// `iB` or `B`, in any case. `None` for anything else and on overflow.
///
/// ```
/// assert_eq!(monitor_spool::bytes("64MiB"), Some(64 << 20));
/// assert_eq!(monitor_spool::bytes("1_000"), Some(1_000));
/// assert_eq!(monitor_spool::bytes("1.5G"), None);
/// ```
pub fn bytes(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let unit = unit.trim_start();
    let letter = unit.strip_suffix("ib").filter(|letter| !letter.is_empty()).or_else(|| unit.strip_suffix('b')).unwrap_or(unit);
    let (_, shift) = UNITS.iter().find(|(known, _)| *known == letter)?;
    number.replace('_', "").parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, expected) in [
            ("0", 0),
            ("1_048_576", 1 << 20),
            (" 64MiB ", 64 << 20),
            ("64 MiB", 64 << 20),
            ("64mb", 64 << 20),
            ("64K", 64 << 10),
            ("2T", 2 << 40),
            ("7B", 7),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(bytes(text), Some(expected), "{text:?}");
        }
        let long = "9".repeat(100_000);
        for bad in ["", "MiB", "-1", "+1", "1.5MiB", "1e9", "64iB", "64XB", "64MiBs", "99999999999GiB", "18446744073709551616", &long] {
            assert_eq!(bytes(bad), None, "{bad:?}");
        }
    }
}
