//! The camera that posts to an address.

use std::time::Duration;

use monitor_api::InvalidSetting;
use reqwest::Url;

use super::{Camera, Picture, Result};
use crate::state::{Mark, State};

/// The answer must be there by then.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Posts each [`Picture`] as JSON. An answer of 200 to 299 takes it; a redirection is not followed.
///
/// ```
/// use monitor_receiver::camera::WebhookCamera;
///
/// assert!(WebhookCamera::new("https://user:secret@example.com/pictures").is_ok());
/// assert!(WebhookCamera::new("example.com").is_err());
/// ```
pub struct WebhookCamera {
    url: Url,
    /// The address without a password.
    shown: String,
    mark: Mark,
}

impl std::fmt::Debug for WebhookCamera {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookCamera").field("url", &self.shown).finish_non_exhaustive()
    }
}

impl WebhookCamera {
    /// A camera that posts to this address. A user and password in it are sent as HTTP's basic authentication, and shown nowhere.
    ///
    /// # Errors
    /// When it is no http or https URL.
    pub fn new(url: &str) -> std::result::Result<Self, InvalidSetting> {
        let wrong = |why: String| InvalidSetting { name: "the webhook's address".to_owned(), why };
        let url: Url = url.parse().map_err(|error| wrong(format!("{error}; expected a URL like https://example.com/pictures")))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(wrong("expected a URL like https://example.com/pictures".to_owned()));
        }
        let mut shown = url.clone();
        // An http URL can have both, so that neither fails.
        let _ = (shown.set_username(""), shown.set_password(None));
        shown.set_query(None);
        Ok(Self { url, shown: shown.into(), mark: Mark::default() })
    }

    fn post(&self, json: Vec<u8>) -> Result {
        let failed = |error: reqwest::Error| format!("{} was not reached: {}", self.shown, monitor_http::with_causes(&error.without_url()));
        let mut client = reqwest::Client::builder().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none());
        if self.url.host_str().is_some_and(monitor_wire::is_loopback) {
            client = client.no_proxy();
        }
        let request = client.build().map_err(failed)?.post(self.url.clone()).header("content-type", "application/json").body(json);
        // A runtime can't be entered twice: this thread may be one of the program's own.
        let sent = std::thread::scope(|scope| {
            let send = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                Ok::<_, std::io::Error>(runtime.block_on(async { request.send().await }))
            });
            send.join().expect("sending doesn't panic")
        });
        let status = sent?.map_err(failed)?.status();
        if status.is_success() { Ok(()) } else { Err(format!("{} answered {status}", self.shown).into()) }
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
