//! Who is logged in.

use std::time::Duration;

use rusqlite::{OptionalExtension, params};

use super::secret::{hash, random};
use super::users::role;
use super::{Access, AccessError, How, Principal};

impl Access {
    /// Logs somebody in: what their cookie is to have.
    pub(crate) fn begin_session(&self, user: &str, lifetime: Duration) -> Result<String, AccessError> {
        let secret = random(32)?;
        let now = self.clock.wall_us();
        let expires = now.saturating_add(lifetime.as_micros() as u64);
        self.write(|connection| {
            connection.execute("DELETE FROM session WHERE expires <= ?", [now as i64])?;
            let sql = "INSERT INTO session(hash, user, expires) VALUES(?, ?, ?)";
            connection.execute(sql, params![hash(&secret), user, expires as i64])?;
            Ok(())
        })?;
        Ok(secret)
    }

    /// Whose cookie this is; none if nobody's who is logged in.
    pub(crate) fn by_session(&self, secret: &str) -> Result<Option<Principal>, AccessError> {
        if secret.starts_with("pm_") {
            return self.by_browser(secret);
        }
        // A row is found by a hash, so that how long that takes tells nothing of what is hashed.
        let sql = "SELECT name, role, expires FROM session JOIN user ON name = user WHERE hash = ? AND expires > ?";
        let found = self.read(|connection| {
            let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?));
            connection.prepare_cached(sql)?.query_row(params![hash(secret), self.clock.wall_us() as i64], read).optional()
        })?;
        Ok(found.map(|(name, word, expires)| {
            let scopes = [role(&word).scope()].into_iter().collect();
            Principal { name: Some(name), how: How::Session, scopes, expires_us: Some(expires as u64) }
        }))
    }

    /// Logs out.
    pub(crate) fn end_session(&self, secret: &str) -> Result<(), AccessError> {
        if secret.starts_with("pm_") {
            return self.end_browser(secret);
        }
        self.write(|connection| {
            connection.execute("DELETE FROM session WHERE hash = ?", [hash(secret)])?;
            Ok(())
        })
    }
}
