//! Group robots of Feishu: <https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot>.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use monitor_notify::post::{Answer, Post};
use monitor_store::cut::cut;
use serde_json::{Value, json};
use sha2::Sha256;
use url::Url;

use super::{Letter, Undelivered, request};

/// The most that a message may have, in bytes: a request may have 20 KB with all that is around it.
const MOST_BYTES: usize = 12_000;
/// The most that a title may have, in bytes.
const MOST_TITLE: usize = 500;

pub(super) fn request(url: Url, secret: Option<&str>, letter: &Letter<'_>) -> Post {
    let text = &letter.text;
    // Each element is of a kind of its own: words within one are never markup.
    let mut room = MOST_BYTES;
    let mut lines: Vec<Value> = Vec::new();
    let rows = text.rows.iter().map(|(label, value)| format!("{label}: {value}"));
    let own = text.own.iter().flat_map(|own| own.lines()).map(str::to_owned);
    for line in own.chain(rows).chain(text.output.iter().map(|line| format!("  {line}"))).chain(text.closing.clone()) {
        let line = cut(&line, room);
        room -= line.len();
        if !line.is_empty() {
            lines.push(json!([{"tag": "text", "text": line}]));
        }
    }
    lines.extend(text.link.as_ref().map(|(label, link)| json!([{"tag": "a", "text": label, "href": link}])));
    let post = json!({"title": cut(&text.title, MOST_TITLE), "content": lines});
    let mut body = json!({"msg_type": "post", "content": {"post": {"zh_cn": post}}});
    if let Some(secret) = secret {
        body["timestamp"] = letter.now_s().to_string().into();
        body["sign"] = signature(secret, letter.now_s()).into();
    }
    request::json(url, &body)
}

/// HMAC-SHA256 over nothing, by a key of the time in seconds, a line feed and the secret.
fn signature(secret: &str, now_s: u64) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(format!("{now_s}\n{secret}").as_bytes()).expect("a key of any length");
    STANDARD.encode(mac.finalize().into_bytes())
}

pub(super) fn judge(answer: Answer) -> Result<String, Undelivered> {
    request::numbered(answer, &["code", "StatusCode"])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By `printf '' | openssl dgst -sha256 -hmac "$(printf '1599360473\ndemo')" -binary | base64`.
    #[test]
    fn the_signature_is_that_of_openssl() {
        assert_eq!(signature("demo", 1_599_360_473), "l1N0gAcBjdwBvGm1xMjOF0XSyaLRpR7tuO5dHfhAYc8=");
    }
}
