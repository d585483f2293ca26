//! HTTP headers for requests to an OTLP receiver, most of which contain secrets.

use std::fmt;
use std::path::PathBuf;

use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;

/// Headers with their values or references to them. `Debug` output contains no values.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct OtlpHeaders(Vec<(HeaderName, Place)>);

#[derive(Clone, PartialEq, Eq)]
enum Place {
    Here(HeaderValue),
    File(PathBuf),
    Env(String),
}

impl OtlpHeaders {
    /// Reads comma-separated `name=value`, `name=file:PATH` and `name=env:VARIABLE`. Values are percent-encoded, as in
    /// `OTEL_EXPORTER_OTLP_HEADERS`.
    ///
    /// # Errors
    /// The position of the invalid header, without its value, and the expected form.
    pub fn read(text: &str) -> Result<Self, String> {
        let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty()).enumerate();
        let read = |(place, pair): (usize, &str)| {
            let nth = place + 1;
            let (name, value) = pair.split_once('=').ok_or_else(|| {
                format!("header {nth}: expected NAME=VALUE, NAME=file:PATH or NAME=env:VARIABLE, between commas; write %2C for a comma in a value")
            })?;
            let name: HeaderName =
                name.trim().parse().map_err(|_| format!("header {nth}: its name has characters that names of headers can't have"))?;
            if matches!(name.as_str(), "content-type" | "content-length" | "content-encoding" | "host" | "transfer-encoding" | "connection")
            {
                return Err(format!("{name}: it is set without being told"));
            }
            let place = match value.trim().split_once(':') {
                Some(("file", path)) if !path.is_empty() => Place::File(path.into()),
                Some(("env", variable)) if !variable.is_empty() => Place::Env(variable.to_owned()),
                _ => {
                    let bytes: Vec<u8> = percent_decode_str(value.trim()).collect();
                    Place::Here(secret(&name, &bytes)?)
                }
            };
            Ok((name, place))
        };
        Ok(Self(pairs.map(read).collect::<Result<_, _>>()?))
    }

    /// Returns names and references. Literal values are masked.
    pub fn show(&self) -> String {
        let shown = self.0.iter().map(|(name, place)| match place {
            Place::Here(_) => format!("{name}=[masked]"),
            Place::File(path) => format!("{name}=file:{}", path.display()),
            Place::Env(variable) => format!("{name}=env:{variable}"),
        });
        shown.collect::<Vec<_>>().join(",")
    }

    /// Resolves the current values.
    ///
    /// # Errors
    /// The name of a header without a value, and its reference.
    pub fn values(&self) -> Result<HeaderMap, String> {
        let mut values = HeaderMap::new();
        for (name, place) in &self.0 {
            let value = match place {
                Place::Here(value) => value.clone(),
                Place::File(path) => {
                    let text = std::fs::read(path).map_err(|error| format!("otlp-headers: {name}: {}: {error}", path.display()))?;
                    secret(name, text.trim_ascii_end()).map_err(|why| format!("otlp-headers: {why} (in {})", path.display()))?
                }
                Place::Env(variable) => {
                    let missing = || format!("otlp-headers: {name}: the environment has no variable {variable} that is text");
                    secret(name, std::env::var(variable).map_err(|_| missing())?.as_bytes())
                        .map_err(|why| format!("otlp-headers: {why} (in the variable {variable})"))?
                }
            };
            values.append(name.clone(), value);
        }
        Ok(values)
    }
}

fn secret(name: &HeaderName, bytes: &[u8]) -> Result<HeaderValue, String> {
    let mut value =
        HeaderValue::from_bytes(bytes).map_err(|_| format!("{name}: its value has characters that values of headers can't have"))?;
    value.set_sensitive(true);
    Ok(value)
}

impl fmt::Debug for OtlpHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.show())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_and_never_shown() {
        let headers = OtlpHeaders::read("Authorization=Bearer%20hush, x-tenant=a:b ,").unwrap();
        let values = headers.values().unwrap();
        assert_eq!((values["authorization"].to_str().unwrap(), values["x-tenant"].to_str().unwrap()), ("Bearer hush", "a:b"));
        assert_eq!(headers.show(), "authorization=[masked],x-tenant=[masked]");
        assert!(!format!("{headers:?} {values:?}").contains("hush"));
    }

    #[test]
    fn a_file_is_read_each_time_and_a_missing_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let headers = OtlpHeaders::read(&format!("authorization=file:{}", path.display())).unwrap();
        assert!(headers.values().unwrap_err().contains("authorization: "), "there is no such file");
        for text in ["Bearer one\n", "Bearer two"] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(headers.values().unwrap()["authorization"], text.trim_end());
        }
        std::fs::write(&path, "hush\0hush").unwrap();
        assert!(!headers.values().unwrap_err().contains("hush"));
        let of_env = OtlpHeaders::read("a=env:MONITOR_TEST_THAT_IS_NOT_SET").unwrap();
        assert!(of_env.values().unwrap_err().contains("no variable MONITOR_TEST_THAT_IS_NOT_SET"));
        assert_eq!(of_env.show(), "a=env:MONITOR_TEST_THAT_IS_NOT_SET");
    }

    #[test]
    fn an_invalid_header_is_named_without_its_value() {
        for text in ["hush", "a=b,hush", "a b=hush", "=hush", "a=hush%00", "content-type=hush", "Host=hush", "a=hush%0D%0Ab: c"] {
            let why = OtlpHeaders::read(text).unwrap_err();
            assert!(!why.contains("hush"), "{text:?}: {why}");
        }
    }
}
