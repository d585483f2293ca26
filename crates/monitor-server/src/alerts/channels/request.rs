//! Requests of channels, and the answers of chats.

use monitor_notify::post::{Answer, Post};
use url::Url;

use super::Undelivered;

/// Creates a request with a JSON body.
pub(super) fn json(url: Url, body: &serde_json::Value) -> Post {
    Post::json(url, body.to_string().into_bytes())
}

/// Converts a response to a failure.
pub(super) fn failed(answer: &Answer) -> Undelivered {
    Undelivered { why: answer.words(), after: answer.after }
}

/// Evaluates the response of a chat. A response with status 200 is a failure if its body contains a code other than 0.
///
/// # Errors
/// Returns an error if the response is a failure.
pub(super) fn numbered(answer: Answer, codes: &[&str]) -> Result<String, Undelivered> {
    let body: Option<serde_json::Value> = serde_json::from_str(&answer.body).ok();
    let code = codes.iter().find_map(|code| body.as_ref()?.get(code)?.as_i64());
    if answer.status.is_success() && code == Some(0) { Ok(answer.body) } else { Err(failed(&answer)) }
}
