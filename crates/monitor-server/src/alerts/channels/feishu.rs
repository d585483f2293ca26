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

/// Maximum size of a message, in bytes. A request may have 20 KB including the surrounding JSON.
const MOST_BYTES: usize = 12_000;
/// Maximum size of a title, in bytes.
const MOST_TITLE: usize = 500;

pub(super) fn request(url: Url, secret: Option<&str>, letter: &Letter<'_>) -> Post {
    let text = &letter.text;
    // Each line is an element of type `text`. Feishu interprets no markup in such elements.
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

/// Computes HMAC-SHA256 over an empty message. The key consists of the time in seconds, a line feed and the secret.
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

    /// Expected value from `printf '' | openssl dgst -sha256 -hmac "$(printf '1599360473\ndemo')" -binary | base64`.
    #[test]
    fn the_signature_is_that_of_openssl() {
        assert_eq!(signature("demo", 1_599_360_473), "l1N0gAcBjdwBvGm1xMjOF0XSyaLRpR7tuO5dHfhAYc8=");
    }
}
