//! Pending login that has not come back from the provider. Its data is stored only in the browser's cookie, and everything that is sent to
//! the provider is derived from it, so an abandoned login leaves nothing on the server. The state of a login that has come back is
//! remembered as long as it would be valid, so that it can be used only once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::access::{AccessError, hash, hex, random};

/// Maximum time for the login at the provider.
pub(crate) const FLOW_LIFETIME: Duration = Duration::from_secs(10 * 60);
/// Maximum number of remembered logins. Beyond it, the oldest one is removed; the provider also accepts its code only once.
const MOST_TAKEN: usize = 10_000;

/// Pending login.
#[derive(Debug)]
pub(crate) struct Flow {
    /// Value of the cookie.
    pub(crate) cookie: String,
    content: Content,
}

#[derive(Debug, Serialize, Deserialize)]
struct Content {
    secret: String,
    begun_us: u64,
    next: String,
    lang: String,
}

impl Flow {
    /// Begins a login that leads to the path `next`.
    pub(super) fn begin(next: &str, lang: &str, now_us: u64) -> Result<Self, AccessError> {
        let content = Content { secret: random(32)?, begun_us: now_us, next: next.to_owned(), lang: lang.to_owned() };
        let cookie = BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(&content).expect("words and numbers"));
        Ok(Self { cookie, content })
    }

    /// Parses a cookie. `None` if it is invalid.
    pub(super) fn read(cookie: &str) -> Option<Self> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(cookie).ok()?;
        Some(Self { cookie: cookie.to_owned(), content: serde_json::from_slice(&bytes).ok()? })
    }

    /// Returns the path that the login leads to. It comes from the cookie, which can be changed, so the pages check it again.
    pub(crate) fn next(&self) -> &str {
        &self.content.next
    }

    /// Returns the language of the pages.
    pub(crate) fn lang(&self) -> &str {
        &self.content.lang
    }

    /// Returns `state`, which the provider sends back. It ties the response to the browser that began the login.
    pub(super) fn state(&self) -> String {
        self.derived("state")
    }

    /// Returns `nonce`, which the ID token contains. It ties the token to this login.
    pub(super) fn nonce(&self) -> String {
        self.derived("nonce")
    }

    /// Returns the PKCE verifier, which proves to the provider that the server which sends the code has begun the login. It is sent only
    /// together with the code.
    pub(super) fn verifier(&self) -> String {
        self.derived("verifier")
    }

    /// True if the login began within [`FLOW_LIFETIME`].
    fn is_young(&self, now_us: u64) -> bool {
        now_us.saturating_sub(self.content.begun_us) < FLOW_LIFETIME.as_micros() as u64
    }

    fn derived(&self, name: &str) -> String {
        hex(&hash(&format!("{name} of {}", self.cookie)))
    }
}

/// States of the logins that have come back.
#[derive(Debug, Default)]
pub(super) struct Taken(Mutex<HashMap<String, u64>>);

/// Reason for refusing a login that has come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotTaken {
    /// It belongs to another browser, or is too old.
    Stranger,
    /// It has come back before.
    Again,
}

impl Taken {
    /// Accepts a login that comes back with this state, once.
    pub(super) fn take(&self, flow: &Flow, state: &str, now_us: u64) -> Result<(), NotTaken> {
        if flow.state() != state || !flow.is_young(now_us) {
            return Err(NotTaken::Stranger);
        }
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.contains_key(state) {
            return Err(NotTaken::Again);
        }
        if taken.len() >= MOST_TAKEN {
            let oldest_young = now_us.saturating_sub(FLOW_LIFETIME.as_micros() as u64);
            taken.retain(|_, begun_us| *begun_us > oldest_young);
        }
        if taken.len() >= MOST_TAKEN
            && let Some(oldest) = taken.iter().min_by_key(|(_, begun_us)| **begun_us).map(|(state, _)| state.clone())
        {
            taken.remove(&oldest);
        }
        taken.insert(state.to_owned(), flow.content.begun_us);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_763_600_000_000_000;

    #[test]
    fn a_login_can_be_restored_from_its_cookie() {
        let flow = Flow::begin("/tasks/7?view=tree", "zh", NOW).unwrap();
        let read = Flow::read(&flow.cookie).unwrap();
        assert_eq!((read.next(), read.lang()), ("/tasks/7?view=tree", "zh"));
        let words = |flow: &Flow| [flow.state(), flow.nonce(), flow.verifier()];
        assert_eq!(words(&read), words(&flow));
        let [state, nonce, verifier] = words(&flow);
        assert!(state != nonce && nonce != verifier && state != verifier && (43..=128).contains(&verifier.len()));
        assert_ne!(Flow::begin("/tasks/7?view=tree", "zh", NOW).unwrap().state(), state);
        for cookie in ["", "x", "e30", "%", &flow.cookie[1..]] {
            assert!(Flow::read(cookie).is_none(), "{cookie}");
        }
    }

    #[test]
    fn a_login_is_accepted_once_within_its_lifetime_and_with_its_own_state() {
        let (taken, flow) = (Taken::default(), Flow::begin("/", "en", NOW).unwrap());
        let other = Flow::begin("/", "en", NOW).unwrap();
        let lifetime = FLOW_LIFETIME.as_micros() as u64;
        assert_eq!(taken.take(&flow, &other.state(), NOW), Err(NotTaken::Stranger));
        assert_eq!(taken.take(&flow, "", NOW), Err(NotTaken::Stranger));
        assert_eq!(taken.take(&flow, &flow.state(), NOW + lifetime), Err(NotTaken::Stranger));
        assert_eq!(taken.take(&flow, &flow.state(), NOW + lifetime - 1), Ok(()));
        assert_eq!(taken.take(&flow, &flow.state(), NOW), Err(NotTaken::Again));
        assert_eq!(taken.take(&other, &other.state(), NOW), Ok(()));
    }

    #[test]
    fn logins_that_came_back_are_remembered_within_bounds() {
        let taken = Taken::default();
        let begin = |n: usize| Flow::begin("/", "en", NOW + n as u64).unwrap();
        let first = begin(0);
        taken.take(&first, &first.state(), NOW).unwrap();
        for n in 1..=MOST_TAKEN {
            let flow = begin(n);
            taken.take(&flow, &flow.state(), NOW).unwrap();
        }
        assert_eq!(taken.0.lock().unwrap().len(), MOST_TAKEN);
        assert_eq!(taken.take(&first, &first.state(), NOW), Ok(()), "only the oldest one is forgotten");
        let later = Flow::begin("/", "en", NOW + 2 * FLOW_LIFETIME.as_micros() as u64).unwrap();
        taken.take(&later, &later.state(), NOW + 2 * FLOW_LIFETIME.as_micros() as u64).unwrap();
        assert_eq!(taken.0.lock().unwrap().len(), 1);
    }
}
