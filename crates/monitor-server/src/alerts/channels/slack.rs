//! Incoming webhooks of Slack: <https://api.slack.com/messaging/webhooks>.

use monitor_notify::post::{Answer, Post};
use monitor_store::cut::cut;
use serde_json::{Value, json};
use url::Url;

use super::{Letter, Undelivered, request};

/// Maximum size of a header, in bytes. Slack accepts 150 characters.
const MOST_HEADER: usize = 150;
/// Maximum size of a section, in bytes. Slack accepts 3,000 characters.
const MOST_SECTION: usize = 3_000;

pub(super) fn request(url: Url, letter: &Letter<'_>) -> Post {
    let text = &letter.text;
    // External text is sent as plain text, so that Slack creates no mentions, links or emoji from it.
    let plain = |text: &str, most: usize| json!({"type": "plain_text", "text": cut(text, most), "emoji": false});
    let section = |text: &str| json!({"type": "section", "text": plain(text, MOST_SECTION)});
    let rows: Vec<String> = text.rows.iter().map(|(label, value)| format!("{label}: {value}")).collect();
    let mut blocks: Vec<Value> = vec![json!({"type": "header", "text": plain(&text.title, MOST_HEADER)})];
    let sections =
        [text.own.clone().unwrap_or_default(), rows.join("\n"), text.output.join("\n"), text.closing.clone().unwrap_or_default()];
    blocks.extend(sections.iter().filter(|text| !text.trim().is_empty()).map(|text| section(text)));
    if let Some((label, link)) = &text.link {
        blocks.push(
            json!({"type": "section", "text": {"type": "mrkdwn", "text": format!("<{}|{label}>", link.replace(['<', '>', '|'], ""))}}),
        );
    }
    let escaped = text.title.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    request::json(url, &json!({"text": cut(&escaped, MOST_SECTION), "blocks": blocks, "unfurl_links": false}))
}

/// Evaluates the response. Slack responds with the word `ok` to an accepted message.
pub(super) fn judge(answer: Answer) -> Result<String, Undelivered> {
    if answer.status.is_success() && answer.body.trim() == "ok" { Ok(answer.body) } else { Err(request::failed(&answer)) }
}
