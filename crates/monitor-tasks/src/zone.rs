//! Time zones by name.

use jiff::tz::TimeZone;

use crate::near::{did_you_mean, shown};

/// Finds an IANA time zone, such as `Europe/Berlin` or `UTC`.
///
/// # Errors
/// If there is no such zone. The message contains a suggestion.
pub fn find(name: &str) -> Result<TimeZone, String> {
    // No zone name is longer.
    let found = if name.len() <= 64 { TimeZone::get(name).ok() } else { None };
    found.ok_or_else(|| {
        let known: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
        format!("there is no zone {}{}", shown(name), did_you_mean(name, known.iter().map(String::as_str)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_found_by_name_or_hinted_at() {
        assert!(find("Asia/Shanghai").is_ok() && find("UTC").is_ok());
        assert_eq!(find("Europe/Berln").unwrap_err(), "there is no zone Europe/Berln; did you mean Europe/Berlin?");
        for name in ["", "../../etc/passwd", "/etc/localtime", "x".repeat(5_000).as_str(), "\u{1b}[31m", "Europe/Berlin\0"] {
            assert!(find(name).unwrap_err().starts_with("there is no zone"), "{name}");
        }
    }
}
