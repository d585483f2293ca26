//! Who is logged in.

use std::time::Duration;

use super::secret::{hash, random};
use super::{Access, AccessError, How, Principal};

impl Access {
    /// Logs somebody in: what their cookie is to have.
    pub(crate) fn begin_session(&self, user: &str, lifetime: Duration) -> Result<String, AccessError> {
        let secret = random(32)?;
        let now = self.clock.wall_us();
        let expires = now.saturating_add(lifetime.as_micros() as u64);
        self.records.add_session(&hash(&secret), user, expires, now)?;
        Ok(secret)
    }

    /// Whose cookie this is; none if nobody's who is logged in.
    pub(crate) fn by_session(&self, secret: &str) -> Result<Option<Principal>, AccessError> {
        if secret.starts_with("pm_") {
            return self.by_browser(secret);
        }
        // A row is found by a hash, so that how long that takes tells nothing of what is hashed.
        let found = self.records.session(&hash(secret), self.clock.wall_us())?;
        Ok(found.map(|(user, expires_us)| {
            let scopes = [user.role.scope()].into_iter().collect();
            Principal { name: Some(user.name), how: How::Session, scopes, expires_us: Some(expires_us) }
        }))
    }

    /// Logs out.
    pub(crate) fn end_session(&self, secret: &str) -> Result<(), AccessError> {
        if secret.starts_with("pm_") {
            return self.end_browser(secret);
        }
        self.records.remove_session(&hash(secret))
    }
}
