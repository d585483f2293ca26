//! Values of the options of `monitor run`.

use clap::ValueEnum;
use monitor_runs::{Link, Secret, Verdict};

/// `500000`, `64K`, `500M`, `2GiB`, `1T`.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let bytes = monitor_spool::bytes(text).filter(|bytes| *bytes > 0);
    bytes.ok_or_else(|| "expected a number of bytes such as 500M or 2G".to_owned())
}

/// `NAME=VALUE`.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    if name.is_empty() { Err("a name stands before `=`".to_owned()) } else { Ok((name.to_owned(), value.to_owned())) }
}

/// `ROOT:PROCESS:RELATION`.
pub(super) fn link(text: &str) -> Result<Link, String> {
    let mut words = text.splitn(3, ':').map(str::to_owned);
    let mut word = || words.next().ok_or("expected ROOT:PROCESS:RELATION, the ids in hexadecimal digits");
    Ok(Link { root_id: word()?, process_id: word()?, relation: word()? })
}

/// `NAME=file:PATH`, `NAME=env:VARIABLE`.
pub(super) fn secret(text: &str) -> Result<(String, Secret), String> {
    // The error does not repeat the text, which may be the secret itself.
    let expected = || "expected NAME=file:PATH or NAME=env:VARIABLE, which say where the secret is, and not what it is".to_owned();
    let (name, place) = pair(text).map_err(|_| expected())?;
    let secret = match place.split_once(':') {
        Some(("file", path)) if !path.is_empty() => Secret::File(std::path::absolute(path).map_err(|error| error.to_string())?),
        Some(("env", variable)) if !variable.is_empty() => Secret::Env(variable.to_owned()),
        _ => return Err(expected()),
    };
    Ok((name, secret))
}

/// `24=ok`.
pub(super) fn verdict(text: &str) -> Result<(u8, Verdict), String> {
    let expected = || "expected CODE=MEANING: 0 to 255, and ok, failed, final or cancelled, as 24=ok".to_owned();
    let (code, meaning) = text.split_once('=').ok_or_else(expected)?;
    let code = code.parse().map_err(|_| expected())?;
    let meaning = match Meaning::from_str(meaning, false).map_err(|_| expected())? {
        Meaning::Ok => Verdict::Ok,
        Meaning::Failed => Verdict::Failed,
        Meaning::Final => Verdict::Final,
        Meaning::Cancelled => Verdict::Cancelled,
    };
    Ok((code, meaning))
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Meaning {
    Ok,
    Failed,
    Final,
    Cancelled,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_as_people_write_them() {
        assert_eq!(bytes("2G"), Ok(2 << 30));
        assert_eq!(bytes("64KiB"), Ok(64 << 10));
        for bad in ["", "0", "-1", "1.5G", "2X", "99999999999999999T", "99999999999999999999"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn variables_secrets_and_exit_codes_are_read_and_invalid_values_refused() {
        assert_eq!(pair("A=b=c"), Ok(("A".to_owned(), "b=c".to_owned())));
        assert_eq!(secret("T=file:/run/t"), Ok(("T".to_owned(), Secret::File("/run/t".into()))));
        assert_eq!(secret("T=env:X"), Ok(("T".to_owned(), Secret::Env("X".to_owned()))));
        assert_eq!(verdict("24=ok"), Ok((24, Verdict::Ok)));
        for bad in ["", "A", "=b"] {
            assert!(pair(bad).is_err(), "{bad}");
        }
        for bad in ["", "T", "T=hush", "T=env:", "T=file:", "=env:X", "T=vault:x"] {
            assert!(!secret(bad).unwrap_err().contains("hush"), "{bad}");
        }
        assert!(link("a:b:c:d").is_ok_and(|link| link.relation == "c:d") && link("a:b").is_err());
        for bad in ["", "24", "24=", "256=ok", "-1=ok", "x=ok", "24=OK", "24=good"] {
            assert!(verdict(bad).is_err(), "{bad}");
        }
    }
}
