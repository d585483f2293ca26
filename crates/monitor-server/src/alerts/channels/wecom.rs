//! Group robots of `WeCom`: <https://developer.work.weixin.qq.com/document/path/91770>.

use monitor_notify::post::{Answer, Post};
use serde_json::json;
use url::Url;

use super::{Letter, Undelivered, request};

/// Maximum size of a Markdown message, in bytes.
const MOST_BYTES: usize = 4_096;

pub(super) fn request(url: Url, letter: &Letter<'_>) -> Post {
    request::json(url, &json!({"msgtype": "markdown", "markdown": {"content": letter.text.markdown(MOST_BYTES)}}))
}

pub(super) fn judge(answer: Answer) -> Result<String, Undelivered> {
    request::numbered(answer, &["errcode"])
}
