//! Secrets of channels. They are read when a message is sent, and recorded so that they can be removed from messages and responses.

use monitor_alerts::{Channel, ChannelKind, Variable};
use url::Url;

/// Minimum length of a part of a URL that is treated as a key.
const SHORTEST_KEY: usize = 8;
/// Maximum number of bytes read from a file.
const LONGEST: u64 = 64 << 10;

/// Secrets that were read for a message.
#[derive(Default)]
pub(super) struct Secrets(Vec<String>);

impl Secrets {
    /// Reads all values that a channel refers to. Values that can't be read are skipped.
    pub(super) fn of(channel: &Channel) -> Self {
        let mut secrets = Self::default();
        let (url, others): (Option<&Variable>, Vec<&Variable>) = match &channel.kind {
            ChannelKind::Mail { password, .. } => (None, password.iter().collect()),
            ChannelKind::Webhook { url, secret, headers } => (Some(url), secret.iter().chain(headers.values()).collect()),
            ChannelKind::Dingtalk { url, secret } | ChannelKind::Feishu { url, secret } => (Some(url), secret.iter().collect()),
            ChannelKind::Wecom { url } | ChannelKind::Slack { url } => (Some(url), Vec::new()),
            ChannelKind::Command { .. } | ChannelKind::Sendmail => (None, Vec::new()),
        };
        // A value that can't be read can't be part of a text either.
        for of in others {
            _ = secrets.take("value", of);
        }
        _ = url.map(|url| secrets.take_url(url));
        secrets
    }

    /// Reads a value.
    ///
    /// # Errors
    /// Describes the source that can't be read, without the value.
    pub(super) fn take(&mut self, name: &str, of: &Variable) -> Result<String, String> {
        let value = match of {
            // A literal value in the settings is not a secret.
            Variable::Value(value) => return Ok(value.clone()),
            Variable::File { file } => read(file).map_err(|error| format!("{name}: could not read {file}: {error}"))?,
            Variable::Env { env } => std::env::var(env).map_err(|_| format!("{name}: the environment of the server has no text {env}"))?,
        };
        let value = value.lines().next().unwrap_or_default().trim().to_owned();
        if value.is_empty() {
            return Err(format!("{name}: {} is empty", source(of)));
        }
        self.0.push(value.clone());
        Ok(value)
    }

    /// Reads a URL. URLs of chats contain their keys.
    ///
    /// # Errors
    /// Returns an error if the value is not a URL, or can't be read.
    pub(super) fn take_url(&mut self, of: &Variable) -> Result<Url, String> {
        let text = self.take("url", of)?;
        let url = Url::parse(&text).ok().filter(|url| ["http", "https"].contains(&url.scheme()) && url.has_host());
        let url = url.ok_or_else(|| format!("url: {} is no address that begins with https:// or http://", source(of)))?;
        self.0.push(text);
        let parts = url.path_segments().into_iter().flatten().map(str::to_owned);
        let values = url.query_pairs().map(|(_, value)| value.into_owned());
        self.0.extend(parts.chain(values).chain(url.password().map(str::to_owned)).filter(|part| part.len() >= SHORTEST_KEY));
        // Longer secrets come first, so that the whole URL is removed before its parts.
        self.0.sort_by_key(|value| std::cmp::Reverse(value.len()));
        Ok(url)
    }

    pub(super) fn values(&self) -> &[String] {
        &self.0
    }
}

fn read(file: &str) -> std::io::Result<String> {
    let mut text = String::new();
    std::io::Read::read_to_string(&mut std::io::Read::take(std::fs::File::open(file)?, LONGEST), &mut text)?;
    Ok(text)
}

/// Describes the source of a value.
fn source(of: &Variable) -> String {
    match of {
        Variable::Value(_) => "what the settings say".to_owned(),
        Variable::File { file } => file.clone(),
        Variable::Env { env } => format!("the variable {env}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_read_when_it_is_needed_and_known_from_then_on() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("url").to_str().unwrap().to_owned();
        let of = Variable::File { file: file.clone() };
        let mut secrets = Secrets::default();
        assert!(secrets.take_url(&of).unwrap_err().contains("could not read"));
        for (text, wrong) in [("", "is empty"), ("ftp://a/b", "no address"), ("key-0815", "no address")] {
            std::fs::write(&file, text).unwrap();
            let error = Secrets::default().take_url(&of).unwrap_err();
            assert!(error.contains(wrong) && (text.is_empty() || !error.contains(text)), "{text}: {error}");
        }
        std::fs::write(&file, "https://a.example/services/T0AAAAAAA/short?key=0815-4711\n").unwrap();
        assert_eq!(secrets.take_url(&of).unwrap().host_str(), Some("a.example"));
        for secret in ["https://a.example/services/T0AAAAAAA/short?key=0815-4711", "T0AAAAAAA", "0815-4711"] {
            assert!(secrets.values().iter().any(|value| value == secret), "{secret}");
        }
        let missing = Variable::Env { env: "MONITOR_TEST_THAT_IS_NOT_SET".to_owned() };
        assert!(secrets.take("secret", &missing).unwrap_err().contains("MONITOR_TEST_THAT_IS_NOT_SET"));
    }
}
