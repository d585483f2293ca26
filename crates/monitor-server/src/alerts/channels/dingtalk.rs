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

/// Maximum size of a message, in bytes. The robot accepts 20,000 including the surrounding JSON.
const MOST_BYTES: usize = 16_000;
/// Maximum size of a title in the list of chats, in bytes.
const MOST_TITLE: usize = 200;

pub(super) fn request(mut url: Url, secret: Option<&str>, letter: &Letter<'_>) -> Post {
    if let Some(secret) = secret {
        let now_ms = letter.now_us / 1_000;
        url.query_pairs_mut().append_pair("timestamp", &now_ms.to_string()).append_pair("sign", &signature(secret, now_ms));
    }
    let title = cut(&letter.text.title, MOST_TITLE);
    request::json(url, &json!({"msgtype": "markdown", "markdown": {"title": title, "text": letter.text.markdown(MOST_BYTES)}}))
}

/// Computes HMAC-SHA256, with the secret as the key, over the time in milliseconds, a line feed and the secret.
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

    /// Expected value from `printf '1700000000000\nSECtest' | openssl dgst -sha256 -hmac SECtest -binary | base64`.
    #[test]
    fn the_signature_is_that_of_openssl() {
        assert_eq!(signature("SECtest", 1_700_000_000_000), "aZLLrriXgn05YbwaGR7knYsLeJADjr9NwLaNNKpxh4g=");
    }
}
