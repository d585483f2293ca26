//! Ids. A root id is a W3C trace id, and a process id is a W3C parent id.

use std::fmt;
use std::num::{NonZeroU64, NonZeroU128};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

impl RootId {
    /// Returns the process id that represents the root's own process in messages that contain only the root id. It is the lower half of the root
    /// id; none if this half is zero. The project's clients give this id to the process that begins a run. In any other run the server treats
    /// this id as the root's own process.
    ///
    /// ```
    /// let root: monitor_wire::RootId = "0199a3ce929d0e0e47360199a3ce929d".parse().unwrap();
    /// assert_eq!(root.own_process(), "47360199a3ce929d".parse().ok());
    /// ```
    pub fn own_process(self) -> Option<ProcessId> {
        ProcessId::new(self.get() as u64)
    }
}

/// Error for a text that is not an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidId {
    what: &'static str,
    digits: usize,
    found: String,
}

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, digits, found } = self;
        write!(f, "{found:?} is no {what}: expected {digits} lower-case hex digits, not all zero")
    }
}

impl std::error::Error for InvalidId {}

fn parse_hex(what: &'static str, digits: usize, text: &str) -> Result<u128, InvalidId> {
    let value = if text.len() == digits { hex(text.as_bytes()).unwrap_or(0) } else { 0 };
    if value == 0 {
        let found = text.chars().take(digits + 8).collect();
        return Err(InvalidId { what, digits, found });
    }
    Ok(value)
}

/// Parses up to 32 lower-case hex digits.
fn hex(digits: &[u8]) -> Option<u128> {
    let mut value = 0;
    // Shifting a `u64` is cheaper than shifting a `u128`, so parse each half on its own.
    for half in digits.chunks(16) {
        let mut part = 0_u64;
        for digit in half {
            let digit = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return None,
            };
            part = part << 4 | u64::from(digit);
        }
        value = value << (4 * half.len()) | u128::from(part);
    }
    Some(value)
}

/// Writes a number as lower-case hex digits that fill `digits`, with leading zeros.
fn write_hex(mut value: u128, digits: &mut [u8]) -> &str {
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(value & 15) as usize];
        value >>= 4;
    }
    str::from_utf8(digits).expect("hex digits are ASCII")
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $nonzero:ty, $int:ty, $digits:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name($nonzero);

        impl $name {
            /// Returns the id with this number; none if it is zero.
            pub fn new(value: $int) -> Option<Self> {
                <$nonzero>::new(value).map(Self)
            }

            /// Returns the number of the id, which is never zero.
            pub fn get(self) -> $int {
                self.0.get()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!("{:0", $digits, "x}"), self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let value = parse_hex($what, $digits, text)?;
                Ok(Self(<$nonzero>::new(value as $int).expect("checked not to be zero")))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut digits = [0; $digits];
                let digits = write_hex(self.0.get().into(), &mut digits);
                serializer.serialize_str(digits)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl de::Visitor<'_> for Text {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        write!(f, "{} lower-case hex digits", $digits)
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }

        #[cfg(feature = "openapi")]
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::schema::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .pattern(Some(concat!("^(?!0{", $digits, "}$)[0-9a-f]{", $digits, "}$")))
                    .description(Some(concat!("A ", $what, ": ", $digits, " lower-case hex digits, not all zero")))
                    .into()
            }
        }

        #[cfg(feature = "openapi")]
        impl utoipa::ToSchema for $name {}
    };
}

id!(
    /// Id of a run: 128 bits, written as 32 lower-case hex digits, never zero.
    ///
    /// ```
    /// # use monitor_wire::RootId;
    /// let id: RootId = "0199a3ce929d0e0e47360199a3ce929d".parse()?;
    /// assert_eq!(id.to_string(), "0199a3ce929d0e0e47360199a3ce929d");
    /// # Ok::<(), monitor_wire::InvalidId>(())
    /// ```
    RootId, NonZeroU128, u128, 32, "root id"
);
id!(
    /// Id of a process within its run: 64 bits, written as 16 lower-case hex digits, never zero.
    ProcessId, NonZeroU64, u64, 16, "process id"
);
id!(
    /// Id of a worker: 128 random bits, written as 32 lower-case hex digits. Each operating-system process has a new one.
    WorkerId, NonZeroU128, u128, 32, "worker id"
);
id!(
    /// Id of a command: 64 random bits, written as 16 lower-case hex digits, never zero.
    CommandId, NonZeroU64, u64, 16, "command id"
);

/// The W3C header `traceparent`, which identifies a process in a run.
///
/// ```
/// # use monitor_wire::{ProcessId, RootId, Traceparent};
/// let text = "00-0199a3ce929d0e0e47360199a3ce929d-a3ce929d0e0e4736-01";
/// let parent: Traceparent = text.parse().unwrap();
/// assert_eq!(parent.process_id, ProcessId::new(0xa3ce_929d_0e0e_4736).unwrap());
/// assert_eq!(parent.to_string(), text);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traceparent {
    /// The run (W3C: trace id).
    pub root_id: RootId,
    /// The process in it (W3C: parent id).
    pub process_id: ProcessId,
}

impl fmt::Display for Traceparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-01", self.root_id, self.process_id)
    }
}

/// Error for a text that is not a `traceparent`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidTraceparent(String);

impl fmt::Display for InvalidTraceparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no traceparent: expected 00-<32 hex digits>-<16 hex digits>-<2 hex digits>", self.0)
    }
}

impl std::error::Error for InvalidTraceparent {}

impl FromStr for Traceparent {
    type Err = InvalidTraceparent;

    /// Parses the header as W3C Trace Context specifies. A version later than 00 may have more fields after the flags.
    fn from_str(text: &str) -> Result<Self, InvalidTraceparent> {
        let invalid = || InvalidTraceparent(text.chars().take(80).collect());
        let is_hex = |part: &str| part.len() == 2 && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let mut parts = text.trim().split('-');
        let (Some(version), Some(root), Some(process), Some(flags)) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(invalid());
        };
        let more_is_allowed = version != "00";
        if !is_hex(version) || version == "ff" || !is_hex(flags) || (parts.next().is_some() && !more_is_allowed) {
            return Err(invalid());
        }
        Ok(Self { root_id: root.parse().map_err(|_| invalid())?, process_id: process.parse().map_err(|_| invalid())? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_form_is_an_id() {
        for bad in
            ["", "0", "0000000000000000", "A3CE929D0E0E4736", "a3ce929d0e0e473", "a3ce929d0e0e47366", "+3ce929d0e0e4736", "ａ3ce929d0e0e4"]
        {
            assert!(bad.parse::<ProcessId>().is_err(), "{bad:?}");
        }
        assert_eq!("ffffffffffffffff".parse::<ProcessId>().unwrap().get(), u64::MAX);
        assert_eq!("0000000000000001".parse::<ProcessId>().unwrap().to_string(), "0000000000000001");
    }

    #[test]
    fn the_error_names_the_found_and_the_expected_text() {
        let error = "x".repeat(100_000).parse::<RootId>().unwrap_err().to_string();
        assert!(error.contains("32 lower-case hex digits") && error.len() < 200, "{error}");
    }

    #[test]
    fn a_traceparent_is_taken_only_whole() {
        let good = "00-0199a3ce929d0e0e47360199a3ce929d-a3ce929d0e0e4736-01";
        for bad in [
            "",
            "00",
            &good[..54],
            &format!("{good}-x"),
            &good.replace("00-", "ff-"),
            &good.replace("a3ce929d0e0e4736-01", "0000000000000000-01"),
        ] {
            assert!(bad.parse::<Traceparent>().is_err(), "{bad:?}");
        }
        assert!(format!("{}-more", good.replace("00-", "01-")).parse::<Traceparent>().is_ok());
    }
}
