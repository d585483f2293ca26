//! Group robots of `DingTalk`: <https://open.dingtalk.com/document/robots/custom-robot-access>.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use monitor_notify::post::{Answer, Post};
use monitor_store::cut::cut;
use serde_json::json;
use sha2::Sha256;
use url::Url;

use super::{Letter, Undelivered, request};

/// The most that a message may have, in bytes: the robot takes 20,000 with all that is around it.
const MOST_BYTES: usize = 16_000;
/// The most that a title in the list of chats may have, in bytes.
const MOST_TITLE: usize = 200;

pub(super) fn request(mut url: Url, secret: Option<&str>, letter: &Letter<'_>) -> Post {
    if let Some(secret) = secret {
        let now_ms = letter.now_us / 1_000;
        url.query_pairs_mut().append_pair("timestamp", &now_ms.to_string()).append_pair("sign", &signature(secret, now_ms));
    }
    let title = cut(&letter.text.title, MOST_TITLE);
    request::json(url, &json!({"msgtype": "markdown", "markdown": {"title": title, "text": letter.text.markdown(MOST_BYTES)}}))
}

/// HMAC-SHA256 by the secret over the time in milliseconds, a line feed and the secret.
fn signature(secret: &str, now_ms: u64) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length");
    mac.update(format!("{now_ms}\n{secret}").as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

pub(super) fn judge(answer: Answer) -> Result<String, Undelivered> {
    request::numbered(answer, &["errcode"])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By `printf '1700000000000\nSECtest' | openssl dgst -sha256 -hmac SECtest -binary | base64`.
    #[test]
    fn the_signature_is_that_of_openssl() {
        assert_eq!(signature("SECtest", 1_700_000_000_000), "aZLLrriXgn05YbwaGR7knYsLeJADjr9NwLaNNKpxh4g=");
    }
}
