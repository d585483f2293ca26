//! Channels: how messages are delivered. A channel contains references to secrets, never the secrets themselves.

use std::collections::BTreeMap;

use monitor_tasks::definition::Variable;
use monitor_tasks::reading::{Found, Reader};

use crate::cause::words;
use crate::rule::is_address;

words! {
    /// Language of messages.
    Language {
        /// English.
        En = "en",
        /// Chinese.
        Zh = "zh",
    }
}

words! {
    /// Protection of the connection to a mail server.
    MailTls {
        /// The connection starts in plain text and switches to TLS before any other command.
        Starttls = "starttls",
        /// TLS from the start.
        Tls = "tls",
        /// No protection.
        None = "none",
    }
}

/// A channel: a way to deliver messages.
#[derive(Clone, PartialEq)]
pub struct Channel {
    /// Name of the channel.
    pub name: String,
    /// Kind and its settings.
    pub kind: ChannelKind,
    /// Language of the messages.
    pub language: Language,
    /// Maximum number of messages per minute. Further messages are combined into one sum.
    pub rate: u32,
    /// True if the channel may send to private, link-local and loopback addresses.
    pub private: bool,
    /// Message template in the channel's language. It replaces the built-in text.
    pub template: Option<String>,
}

/// Kind of a channel with its settings.
#[derive(Clone, PartialEq)]
pub enum ChannelKind {
    /// Mail by SMTP.
    Mail {
        /// Host and optional port of the mail server.
        server: String,
        /// Protection of the connection.
        tls: MailTls,
        /// User name for the login.
        user: Option<String>,
        /// Password for the login.
        password: Option<Variable>,
        /// The sender's address.
        from: String,
        /// Recipients of messages without an address of their own.
        to: Vec<String>,
        /// PEM file with the certificate authorities that the server's certificate must be signed by. By default, the system's are trusted.
        ca: Option<String>,
    },
    /// JSON sent by HTTP POST.
    Webhook {
        /// Address to post to.
        url: Variable,
        /// Key that signs the body.
        secret: Option<Variable>,
        /// Additional headers.
        headers: BTreeMap<String, Variable>,
    },
    /// A `WeCom` group robot.
    Wecom {
        /// Address of the robot.
        url: Variable,
    },
    /// A `DingTalk` group robot.
    Dingtalk {
        /// Address of the robot.
        url: Variable,
        /// Key of the signature.
        secret: Option<Variable>,
    },
    /// A Feishu group robot.
    Feishu {
        /// Address of the robot.
        url: Variable,
        /// Key of the signature.
        secret: Option<Variable>,
    },
    /// A Slack incoming webhook.
    Slack {
        /// Address of the webhook.
        url: Variable,
    },
    /// A command on an agent. It receives the message as JSON on standard input.
    Command {
        /// The program and its arguments.
        command: Vec<String>,
        /// Name of the agent. By default, the server's own agent.
        agent: Option<String>,
    },
    /// Mail by `sendmail` on the machine of the server's own agent, addressed to the agent's user unless the message has an address. This
    /// channel exists only while no other channel is defined.
    Sendmail,
}

impl ChannelKind {
    /// Words of the kinds that can be written in the settings.
    pub const WORDS: [&str; 7] = ["mail", "webhook", "wecom", "dingtalk", "feishu", "slack", "command"];

    /// Returns the word of the kind.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Mail { .. } => "mail",
            Self::Webhook { .. } => "webhook",
            Self::Wecom { .. } => "wecom",
            Self::Dingtalk { .. } => "dingtalk",
            Self::Feishu { .. } => "feishu",
            Self::Slack { .. } => "slack",
            Self::Command { .. } => "command",
            Self::Sendmail => "sendmail",
        }
    }
}

impl Channel {
    /// Name of the default channel.
    pub const SENDMAIL: &str = "sendmail";

    /// Creates the default channel, which exists while no other is defined: mail by `sendmail`, as with cron.
    pub fn sendmail() -> Self {
        let name = Self::SENDMAIL.to_owned();
        Self { name, kind: ChannelKind::Sendmail, language: Language::En, rate: RATE, private: false, template: None }
    }
}

/// Prints only name and kind, because an address may be a secret.
impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Channel").field("name", &self.name).field("kind", &self.kind.as_str()).finish_non_exhaustive()
    }
}

/// Default number of messages per minute.
const RATE: u32 = 10;

/// Maximum length of a template, in bytes.
const LONGEST_TEMPLATE: usize = 16 << 10;

/// Reads the channel called `name`.
pub(crate) fn channel<'a>(reader: &mut Reader<'a>, name: &str, found: Found<'a>) -> Option<Channel> {
    let path = found.0.clone();
    let mut table = reader.table(found)?;
    let kinds = ChannelKind::WORDS.map(|word| (word, word));
    let kind = if let Some(found) = table.get("kind") {
        reader.word(found, &kinds)
    } else {
        reader.wrong(&path, format!("a kind is missing: one of {}", ChannelKind::WORDS.join(", ")));
        None
    };
    let language = table.get("language").and_then(|found| reader.word(found, Language::WORDS)).unwrap_or(Language::En);
    let common = (
        language,
        table.get("rate").and_then(|found| reader.number(found, 1)).unwrap_or(RATE),
        table.get("private").and_then(|found| reader.truth(found)).unwrap_or_default(),
        table.get("template").and_then(|found| template(reader, found, language)),
    );
    let needed = |reader: &mut Reader<'a>, found: Option<Found<'a>>, example: &str| {
        if found.is_none() {
            reader.wrong(&path, format!("{example} is missing"));
        }
        found
    };
    let url = |reader: &mut Reader<'a>, found: Option<Found<'a>>| {
        let found = needed(reader, found, "the address, url = { file = \"/path\" },")?;
        address(reader, found)
    };
    let secret = |reader: &mut Reader<'a>, found: Option<Found<'a>>| reader.reference(found?);
    let has_kind = kind.is_some();
    let kind = kind.and_then(|kind| match kind {
        "mail" => {
            let server = needed(reader, table.get("server"), "the mail server, server = \"smtp.example.com:587\",");
            let from = needed(reader, table.get("from"), "the sender's address, from = \"monitor@example.com\",");
            let to = table.get("to").map(|found| reader.list(found)).unwrap_or_default();
            Some(ChannelKind::Mail {
                server: reader.maybe_text(server).unwrap_or_default(),
                tls: table.get("tls").and_then(|found| reader.word(found, MailTls::WORDS)).unwrap_or(MailTls::Starttls),
                user: reader.maybe_text(table.get("user")),
                password: secret(reader, table.get("password")),
                from: from.and_then(|found| mail_address(reader, found)).unwrap_or_default(),
                to: to.into_iter().filter_map(|found| mail_address(reader, found)).collect(),
                ca: reader.maybe_text(table.get("ca")),
            })
        }
        "webhook" => {
            let url = url(reader, table.get("url"));
            let secret = secret(reader, table.get("secret"));
            let headers = table.get("headers").map(|found| headers(reader, found)).unwrap_or_default();
            Some(ChannelKind::Webhook { url: url?, secret, headers })
        }
        "wecom" => Some(ChannelKind::Wecom { url: url(reader, table.get("url"))? }),
        "slack" => Some(ChannelKind::Slack { url: url(reader, table.get("url"))? }),
        "dingtalk" | "feishu" => {
            let url = url(reader, table.get("url"));
            let secret = secret(reader, table.get("secret"));
            let url = url?;
            Some(if kind == "feishu" { ChannelKind::Feishu { url, secret } } else { ChannelKind::Dingtalk { url, secret } })
        }
        _ => {
            let command = needed(reader, table.get("command"), "the command, command = [\"/usr/local/bin/page\"],")?;
            let agent = table.get("agent").and_then(|found| reader.name(found));
            Some(ChannelKind::Command { command: reader.command(command), agent })
        }
    });
    // The set of valid keys depends on the kind.
    if has_kind {
        reader.end(&table);
    }
    let (language, rate, private, template) = common;
    Some(Channel { name: name.to_owned(), kind: kind?, language, rate, private, template })
}

/// Reads an address, given literally or by reference.
fn address<'a>(reader: &mut Reader<'a>, found: Found<'a>) -> Option<Variable> {
    if !found.1.is_string() {
        return reader.reference(found);
    }
    let path = found.0.clone();
    let text = reader.text(found)?;
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    if rest.is_none_or(|rest| rest.is_empty() || rest.starts_with('/') || text.contains(|c: char| c.is_whitespace() || c.is_control())) {
        reader.wrong(&path, "an address that begins with https:// or http:// is expected");
        return None;
    }
    Some(Variable::Value(text.to_owned()))
}

fn mail_address<'a>(reader: &mut Reader<'a>, found: Found<'a>) -> Option<String> {
    let path = found.0.clone();
    let text = reader.text(found)?;
    if !is_address(text) {
        reader.wrong(&path, "an address such as ops@example.com is expected");
        return None;
    }
    Some(text.to_owned())
}

/// Reads a template: a text, or a table with a text per language. Selects the text in the channel's language.
fn template<'a>(reader: &mut Reader<'a>, found: Found<'a>, language: Language) -> Option<String> {
    let path = found.0.clone();
    let text = if found.1.is_object() {
        let mut table = reader.table(found)?;
        let texts = Language::WORDS.iter().map(|(word, of)| (*of, table.get(word))).collect::<Vec<_>>();
        reader.end(&table);
        let texts = texts.into_iter().map(|(of, found)| (of, reader.maybe_text(found))).collect::<Vec<_>>();
        let text = texts.into_iter().find(|(of, _)| *of == language).and_then(|(_, text)| text);
        if text.is_none() {
            reader.wrong(&path, format!("there is none in the channel's language, {language}"));
        }
        text?
    } else {
        reader.text(found)?.to_owned()
    };
    if text.len() > LONGEST_TEMPLATE {
        reader.wrong(&path, format!("at most {LONGEST_TEMPLATE} bytes are expected, and these are {}", text.len()));
        return None;
    }
    Some(text)
}

fn headers<'a>(reader: &mut Reader<'a>, found: Found<'a>) -> BTreeMap<String, Variable> {
    let Some(table) = reader.table(found) else { return BTreeMap::new() };
    let mut headers = BTreeMap::new();
    for (name, found) in table.all() {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if name.is_empty() || !name.chars().all(is_plain) {
            reader.wrong_key(&found.0, "a name of a header is expected: letters, digits, `-` and `_`");
            continue;
        }
        let value = if found.1.is_string() {
            let path = found.0.clone();
            let text = reader.text(found);
            if text.is_some_and(|text| text.contains(char::is_control)) {
                reader.wrong(&path, "a text without control characters is expected");
            }
            text.map(|text| Variable::Value(text.to_owned()))
        } else {
            reader.reference(found)
        };
        headers.extend(value.map(|value| (name.clone(), value)));
    }
    headers
}
