//! Login sessions.

use std::time::Duration;

use super::secret::{hash, random};
use super::{Access, AccessError, How, Principal};

impl Access {
    /// Starts a session of a user. Returns the value of the session cookie.
    pub(crate) fn begin_session(&self, user: &str, lifetime: Duration) -> Result<String, AccessError> {
        let secret = random(32)?;
        let now = self.clock.wall_us();
        let expires = now.saturating_add(lifetime.as_micros() as u64);
        self.records.add_session(&hash(&secret), user, expires, now)?;
        Ok(secret)
    }

    /// Returns the user of a session cookie. `None` if there is no such session.
    pub(crate) fn by_session(&self, secret: &str) -> Result<Option<Principal>, AccessError> {
        if secret.starts_with("pm_") {
            return self.by_browser(secret);
        }
        // The row is found by a hash, so the time of the lookup reveals nothing about the secret.
        let found = self.records.session(&hash(secret), self.clock.wall_us())?;
        Ok(found.map(|(user, expires_us)| {
            let scopes = [user.role.scope()].into_iter().collect();
            Principal { name: Some(user.name), how: How::Session, scopes, expires_us: Some(expires_us) }
        }))
    }

    /// Ends a session.
    pub(crate) fn end_session(&self, secret: &str) -> Result<(), AccessError> {
        if secret.starts_with("pm_") {
            return self.end_browser(secret);
        }
        self.records.remove_session(&hash(secret))
    }
}
