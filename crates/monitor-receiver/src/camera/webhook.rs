//! The camera that posts to a URL.

use std::time::Duration;

use monitor_api::InvalidSetting;
use monitor_notify::post::{self, Post, Url};

use super::{Camera, Picture, Result};
use crate::state::{Mark, State};

/// Timeout of a request.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Posts each [`Picture`] as JSON. A status of 200 to 299 counts as success. Redirects are not followed.
///
/// ```
/// use monitor_receiver::camera::WebhookCamera;
///
/// assert!(WebhookCamera::new("https://user:secret@example.com/pictures").is_ok());
/// assert!(WebhookCamera::new("example.com").is_err());
/// ```
pub struct WebhookCamera {
    url: Url,
    /// Address without password, for display.
    shown: String,
    mark: Mark,
}

impl std::fmt::Debug for WebhookCamera {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookCamera").field("url", &self.shown).finish_non_exhaustive()
    }
}

impl WebhookCamera {
    /// Creates a camera that posts to this URL. User and password in it are sent as HTTP basic authentication, and never displayed.
    ///
    /// # Errors
    /// If it is not an http or https URL.
    pub fn new(url: &str) -> std::result::Result<Self, InvalidSetting> {
        let wrong = |why: String| InvalidSetting { name: "the webhook's address".to_owned(), why };
        let url: Url = url.parse().map_err(|error| wrong(format!("{error}; expected a URL like https://example.com/pictures")))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(wrong("expected a URL like https://example.com/pictures".to_owned()));
        }
        let mut shown = url.clone();
        // Can't fail for an http URL.
        let _ = (shown.set_username(""), shown.set_password(None));
        shown.set_query(None);
        Ok(Self { url, shown: shown.into(), mark: Mark::default() })
    }

    fn post(&self, json: Vec<u8>) -> Result {
        let mut client = post::client(TIMEOUT);
        if self.url.host_str().is_some_and(monitor_wire::is_loopback) {
            client = client.no_proxy();
        }
        let client = client.build().map_err(|error| format!("no HTTP client can be made: {error}"))?;
        let answer = super::wait_for(post::send(&client, Post::json(self.url.clone(), json)))??;
        if answer.status.is_success() { Ok(()) } else { Err(format!("{} {}", self.shown, answer.words()).into()) }
    }
}

impl Camera for WebhookCamera {
    fn shutter(&mut self, state: &State) -> Result {
        self.post(serde_json::to_vec(&Picture::since(state, self.mark))?)?;
        self.mark = state.mark();
        Ok(())
    }

    fn name(&self) -> String {
        format!("webhook:{}", self.shown)
    }
}
