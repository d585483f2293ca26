//! One attempt to send a message.

use std::time::Duration;

use monitor_alerts::{Channel, ChannelKind, Message, Variable};

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It was taken.
    Taken(String),
    /// It may be taken later, after so long if the receiver says so.
    Later(String, Option<Duration>),
    /// It will never be taken.
    Refused(String),
}

/// Sends a message once.
pub(crate) async fn send(channel: &Channel, message: &Message) -> Answer {
    let ChannelKind::Webhook { url, .. } = &channel.kind else {
        return Answer::Refused(format!("channels of the kind {} can't be used yet", channel.kind.as_str()));
    };
    let url = match url {
        Variable::Value(url) => url.clone(),
        Variable::File { file } => match std::fs::read_to_string(file) {
            Ok(text) => text.trim().to_owned(),
            Err(error) => return Answer::Later(format!("{file} can't be read: {error}"), None),
        },
        Variable::Env { env } => match std::env::var(env) {
            Ok(text) => text,
            Err(error) => return Answer::Later(format!("{env}: {error}"), None),
        },
    };
    let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).redirect(reqwest::redirect::Policy::none()).build();
    let client = match client {
        Ok(client) => client,
        Err(error) => return Answer::Later(error.to_string(), None),
    };
    let body = serde_json::to_vec(message).unwrap_or_default();
    let request = client.post(url).header("content-type", "application/json").header("idempotency-key", &message.id).body(body);
    match request.send().await {
        Ok(response) if response.status().is_success() => Answer::Taken(response.status().to_string()),
        Ok(response) => Answer::Later(response.status().to_string(), None),
        Err(error) => Answer::Later(crate::causes(&error.without_url()), None),
    }
}
