//! The camera that sends mail.

use std::fmt::Write as _;

use monitor_api::InvalidSetting;
use monitor_notify::mail;
use monitor_notify::mail::lettre::message::Mailbox;
use monitor_notify::mail::lettre::transport::smtp::AsyncSmtpTransportBuilder;
use monitor_notify::mail::lettre::{AsyncSmtpTransport, Message, Tokio1Executor};
use monitor_wire::Process;

use super::{Camera, Result};
use crate::state::{Mark, State};

/// Maximum number of failed tasks listed in a mail.
const MOST_NAMED: usize = 50;
/// Maximum length of an error in a mail, in characters.
const LONGEST_ERROR: usize = 300;

/// Sends a mail with the number of changed tasks and a list of failed tasks.
///
/// ```
/// use monitor_receiver::camera::MailCamera;
///
/// let camera = MailCamera::new("smtps://user:secret@mail.example.com", "monitor@example.com", ["ops@example.com"])?;
/// # Ok::<(), monitor_receiver::InvalidSetting>(())
/// ```
pub struct MailCamera {
    server: AsyncSmtpTransportBuilder,
    from: Mailbox,
    to: Vec<Mailbox>,
    mark: Mark,
}

impl std::fmt::Debug for MailCamera {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MailCamera").field("from", &self.from).field("to", &self.to).finish_non_exhaustive()
    }
}

impl MailCamera {
    /// Creates a camera that sends through this mail server: `smtps://user:password@host`, `smtp://host:587?tls=required` for STARTTLS, or
    /// `smtp://localhost` without encryption.
    ///
    /// # Errors
    /// If an address is invalid, or there are no recipients.
    pub fn new(server: &str, from: &str, to: impl IntoIterator<Item = impl AsRef<str>>) -> std::result::Result<Self, InvalidSetting> {
        let wrong = |name: &str, why: String| InvalidSetting { name: name.to_owned(), why };
        let address = |text: &str| text.parse::<Mailbox>().map_err(|error| wrong("an address of mail", format!("{text:?}: {error}")));
        // The URL contains the password, so it is not quoted in the error.
        let server = AsyncSmtpTransport::<Tokio1Executor>::from_url(server)
            .map_err(|_| wrong("the mail server", "expected a URL like smtps://user:password@mail.example.com".to_owned()))?;
        let to = to.into_iter().map(|to| address(to.as_ref())).collect::<std::result::Result<Vec<_>, _>>()?;
        if to.is_empty() {
            return Err(wrong("an address of mail", "nobody is named whom the mail could go to".to_owned()));
        }
        Ok(Self { server, from: address(from)?, to, mark: Mark::default() })
    }

    fn mail(&self, state: &State) -> Result<Message> {
        let (title, text) = words(&state.tasks_since(self.mark).collect::<Vec<_>>());
        Ok(mail::begin(self.from.clone(), self.to.iter().cloned(), title).body(text)?)
    }
}

/// Creates title and text of a mail about changed tasks.
fn words(tasks: &[&Process]) -> (String, String) {
    let failed: Vec<_> = tasks.iter().filter(|task| matches!(task.state.as_str(), "failed" | "lost")).collect();
    let title = format!("{} tasks changed, {} failed or lost", tasks.len(), failed.len());
    let mut text = format!("{title}.\n");
    for task in failed.iter().take(MOST_NAMED) {
        let error = task.error.as_ref().map(|error| error.message.as_str()).unwrap_or_default();
        let id = task.native_id.clone().unwrap_or_else(|| task.id.to_string());
        let _ = write!(text, "\n{} {} ({})", task.state, plain(&task.name), plain(&id));
        if !error.is_empty() {
            let _ = write!(text, ": {}", plain(error));
        }
    }
    if failed.len() > MOST_NAMED {
        let _ = write!(text, "\n… and {} more", failed.len() - MOST_NAMED);
    }
    text.push('\n');
    (title, text)
}

/// Replaces control characters, so that recorded text can't look like another line of the mail.
fn plain(text: &str) -> String {
    text.chars().take(LONGEST_ERROR).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

impl Camera for MailCamera {
    fn shutter(&mut self, state: &State) -> Result {
        if state.tasks_since(self.mark).next().is_none() {
            return Ok(());
        }
        super::wait_for(mail::send(self.server.clone(), self.mail(state)?))??;
        self.mark = state.mark();
        Ok(())
    }

    fn name(&self) -> String {
        let to: Vec<_> = self.to.iter().map(|to| to.email.to_string()).collect();
        format!("mail:{}", to.join(","))
    }
}
