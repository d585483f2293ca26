//! Webhooks: JSON by POST to any receiver. `AlertWebhook` in the API description defines the format.

use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderName, HeaderValue};
use monitor_notify::post::{Answer, Post};
use monitor_wire::{AlertSubject, AlertWebhook};
use sha2::Sha256;
use url::Url;

use super::{Letter, Undelivered, request};
use crate::access::hex;

/// Header of the signature.
const SIGNATURE: &str = "monitor-signature";

/// Creates the request for a message.
///
/// # Errors
/// Returns an error if a header contains characters that can't be sent.
pub(super) fn request(url: Url, secret: Option<&str>, headers: &[(&String, String)], letter: &Letter<'_>) -> Result<Post, String> {
    let body = serde_json::to_value(body(letter)).map_err(|error| error.to_string())?;
    let mut post = request::json(url, &body);
    let unsendable = |name: &str| format!("headers: {name} can't be sent: it has characters that no header has");
    for (name, value) in headers {
        let key = HeaderName::try_from(name.as_str()).map_err(|_| unsendable(name))?;
        let mut value = HeaderValue::try_from(value).map_err(|_| unsendable(name))?;
        value.set_sensitive(true);
        post.headers.insert(key, value);
    }
    let id = HeaderValue::try_from(letter.message.id.as_str()).map_err(|_| unsendable("idempotency-key"))?;
    post.headers.insert("idempotency-key", id);
    if let Some(secret) = secret {
        let value = format!("t={},v1={}", letter.now_s(), signature(secret, letter.now_s(), &post.body));
        post.headers.insert(SIGNATURE, HeaderValue::try_from(value).map_err(|_| unsendable(SIGNATURE))?);
    }
    Ok(post)
}

/// Computes HMAC-SHA256 over the time, a dot and the body, as hex digits.
fn signature(secret: &str, now_s: u64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length");
    mac.update(format!("{now_s}.").as_bytes());
    mac.update(body);
    hex(&mac.finalize().into_bytes())
}

pub(super) fn body(letter: &Letter<'_>) -> AlertWebhook {
    let message = letter.message;
    AlertWebhook {
        version: 1,
        id: message.id.clone(),
        kind: message.kind.to_string(),
        alert: message.alert,
        rule: message.rule.clone(),
        cause: message.cause.to_string(),
        severity: message.severity.to_string(),
        subject: AlertSubject { kind: message.subject.kind.to_string(), name: message.subject.name.clone() },
        time_us: message.time_us,
        since_us: message.since_us,
        resolved_us: message.resolved_us,
        count: message.count,
        subjects: message.subjects,
        names: message.names.clone(),
        note: message.note.clone(),
        facts: serde_json::to_value(&message.facts).ok().and_then(|facts| facts.as_object().cloned()).unwrap_or_default(),
        to: message.to.clone(),
        title: letter.text.title.clone(),
        text: letter.text.plain(),
        url: letter.text.link.as_ref().map(|(_, link)| link.clone()),
    }
}

/// Evaluates the response. Any 2xx status means that the message was delivered.
pub(super) fn judge(answer: &Answer) -> Result<String, Undelivered> {
    if answer.status.is_success() { Ok(format!("{} {}", answer.status, answer.body)) } else { Err(request::failed(answer)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected value from `printf '1700000000.{}' | openssl dgst -sha256 -hmac key`.
    #[test]
    fn the_signature_is_that_of_openssl() {
        let expected = "9d713ed406bb7076d4123f0dc2c39d2df5c654ed4b0cd56b52c8b4c940bd63ae";
        assert_eq!(signature("key", 1_700_000_000, b"{}"), expected);
    }
}
