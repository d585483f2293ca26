//! Incremental parser of OTLP requests. It decodes one span or log record at a time, so that a small body can't expand to a large tree of
//! messages in memory.

use prost::Message;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::Refused;
use super::proto::{Resource, Scope};

/// Format of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `application/x-protobuf`
    Protobuf,
    /// `application/json`
    Json,
}

/// Maximum size of a span, log record, resource or scope, in bytes.
const MAX_ITEM_BYTES: usize = 1 << 20;

/// Item with its sender and scope, or the reason why the item, its resource or its scope can't be decoded.
pub(super) type Item<'a, S, T> = Result<(&'a S, &'a Scope, T), String>;

/// Calls `take` for each item, with the sender that `speak` derives from its resource. The outer two levels of both kinds of requests have
/// the same structure.
///
/// # Errors
/// Returns an error if the body is not such a request, or if `take` returns one. The caller must then discard the items it has received.
pub(super) fn each<S, T: Message + Default + DeserializeOwned>(
    body: &[u8],
    form: Form,
    speak: impl Fn(&Resource) -> S,
    mut take: impl FnMut(Item<'_, S, T>) -> Result<(), Refused>,
) -> Result<(), Refused> {
    match form {
        Form::Protobuf => each_protobuf(body, &speak, &mut take),
        Form::Json => each_json(body, &speak, &mut take),
    }
}

fn each_protobuf<S, T: Message + Default>(
    body: &[u8],
    speak: &impl Fn(&Resource) -> S,
    take: &mut impl FnMut(Item<'_, S, T>) -> Result<(), Refused>,
) -> Result<(), Refused> {
    let message = "the body";
    for group in (Parts { rest: body, of: message }) {
        let (1, group) = group? else { continue };
        let speaker = head(group, "a resource")?.map(|resource| speak(&resource));
        for part in (Parts { rest: group, of: "a resource's part" }) {
            let (2, part) = part? else { continue };
            let scope: Result<Scope, String> = head(part, "a scope")?;
            for item in (Parts { rest: part, of: "a scope's part" }) {
                let (2, item) = item? else { continue };
                take(said_by(&speaker, &scope, || decode(item, "an item")))?;
            }
        }
    }
    Ok(())
}

fn said_by<'a, S, T>(
    speaker: &'a Result<S, String>,
    scope: &'a Result<Scope, String>,
    item: impl FnOnce() -> Result<T, String>,
) -> Item<'a, S, T> {
    let said_by = (speaker.as_ref().map_err(Clone::clone)?, scope.as_ref().map_err(Clone::clone)?);
    Ok((said_by.0, said_by.1, item()?))
}

/// Decodes the resource or scope, which is field 1 of a message, or returns the reason why it can't be decoded.
///
/// # Errors
/// Returns an error if the enclosing message is invalid.
fn head<T: Message + Default>(message: &[u8], what: &'static str) -> Result<Result<T, String>, String> {
    let mut found = Ok(T::default());
    for part in (Parts { rest: message, of: what }) {
        if let (1, part) = part? {
            found = decode(part, what);
        }
    }
    Ok(found)
}

fn decode<T: Message + Default>(bytes: &[u8], what: &str) -> Result<T, String> {
    check_size(bytes.len(), what)?;
    T::decode(bytes).map_err(|error| format!("{what} can't be read: {error}"))
}

fn check_size(bytes: usize, what: &str) -> Result<(), String> {
    if bytes > MAX_ITEM_BYTES {
        return Err(format!("{what} has {bytes} bytes, the most is {MAX_ITEM_BYTES}"));
    }
    Ok(())
}

/// Iterator over the fields of a protobuf message that are messages themselves: tag and bytes.
struct Parts<'a> {
    rest: &'a [u8],
    of: &'static str,
}

impl<'a> Parts<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            number |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if *byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn skip(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (skipped, rest) = self.rest.split_at_checked(bytes)?;
        self.rest = rest;
        Some(skipped)
    }

    /// Returns the next field. Its bytes are `None` if it is not a message.
    fn field(&mut self) -> Option<(u64, Option<&'a [u8]>)> {
        let key = self.varint()?;
        let bytes = match key & 7 {
            0 => self.varint().map(|_| None)?,
            1 => self.skip(8).map(|_| None)?,
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Some(self.skip(length)?)
            }
            5 => self.skip(4).map(|_| None)?,
            _ => return None,
        };
        Some((key >> 3, bytes))
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = Result<(u64, &'a [u8]), String>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            let left = self.rest.len();
            match self.field() {
                Some((tag, Some(bytes))) => return Some(Ok((tag, bytes))),
                Some((_, None)) => {}
                None => {
                    self.rest = &[];
                    return Some(Err(format!("{} is no protobuf message, {left} bytes before its end", self.of)));
                }
            }
        }
        None
    }
}

fn each_json<S, T: DeserializeOwned>(
    body: &[u8],
    speak: &impl Fn(&Resource) -> S,
    take: &mut impl FnMut(Item<'_, S, T>) -> Result<(), Refused>,
) -> Result<(), Refused> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Request<'a> {
        #[serde(borrow, default, alias = "resourceLogs")]
        resource_spans: Vec<&'a RawValue>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Group<'a> {
        #[serde(borrow)]
        resource: Option<&'a RawValue>,
        #[serde(borrow, default, alias = "scopeLogs")]
        scope_spans: Vec<&'a RawValue>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Part<'a> {
        #[serde(borrow)]
        scope: Option<&'a RawValue>,
        #[serde(borrow, default, alias = "logRecords")]
        spans: Vec<&'a RawValue>,
    }
    // Invalid UTF-8 can occur only inside the texts of a span or log record, so the rest of the request is usable.
    let text = String::from_utf8_lossy(body);
    // serde would accept a list as a message.
    if !text.trim_ascii_start().starts_with('{') {
        return Err("the body can't be read: it is no JSON object".to_owned().into());
    }
    let request: Request<'_> = serde_json::from_str(&text).map_err(|error| format!("the body can't be read: {error}"))?;
    let mut number = 0_u64;
    for group in request.resource_spans {
        let group: Group<'_> = parse_outer(group, "a group of a resource")?;
        let resource = group.resource.map_or_else(|| Ok(Resource::default()), |resource| parse(resource, "a resource"));
        let speaker = resource.map(|resource| speak(&resource));
        for part in group.scope_spans {
            let part: Part<'_> = parse_outer(part, "a group of a scope")?;
            let scope = part.scope.map_or_else(|| Ok(Scope::default()), |scope| parse(scope, "a scope"));
            for item in part.spans {
                number += 1;
                take(said_by(&speaker, &scope, || parse(item, "an item")).map_err(|why| format!("number {number}: {why}")))?;
            }
        }
    }
    Ok(())
}

fn parse<T: DeserializeOwned>(json: &RawValue, what: &str) -> Result<T, String> {
    check_size(json.get().len(), what)?;
    parse_outer(json, what)
}

/// Parses a part that contains many items and can therefore be large.
fn parse_outer<'a, T: Deserialize<'a>>(json: &'a RawValue, what: &str) -> Result<T, String> {
    serde_json::from_str(json.get()).map_err(|error| format!("{what} can't be read: {error}"))
}
