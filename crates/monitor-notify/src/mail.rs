//! Mail by SMTP.

use std::time::Duration;

pub use lettre;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MessageBuilder};
use lettre::transport::smtp::AsyncSmtpTransportBuilder;
use lettre::{AsyncTransport as _, Message};

/// Timeout of each step of the conversation with the mail server.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Begins a mail from a program.
pub fn begin(from: Mailbox, to: impl IntoIterator<Item = Mailbox>, subject: impl Into<String>) -> MessageBuilder {
    let automatic = HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned());
    let mail = Message::builder().from(from).subject(subject).raw_header(automatic).header(ContentType::TEXT_PLAIN);
    to.into_iter().fold(mail, MessageBuilder::to)
}

/// Sends a mail and returns the answer of the mail server.
///
/// # Errors
/// If the mail server can't be reached or refuses the mail.
pub async fn send(server: AsyncSmtpTransportBuilder, mail: Message) -> Result<String, String> {
    match server.timeout(Some(TIMEOUT)).build::<lettre::Tokio1Executor>().send(mail).await {
        Ok(answer) => Ok(format!("{} {}", answer.code(), answer.message().collect::<Vec<_>>().join(" "))),
        Err(error) => Err(monitor_http::with_causes(&error)),
    }
}
