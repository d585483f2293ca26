//! One-time links that log in a browser. `monitor open` creates a link in the data folder. The browser that follows it gets a token of its
//! own as a cookie. The token has a name, so that it is listed and can be revoked like any other.

use std::time::Duration;

use super::secret::{hash, random};
use super::{Access, AccessError, How, NewToken, Principal, Role};

/// Time within which a link must be used.
pub const LINK_LIFETIME: Duration = Duration::from_secs(60);
/// Prefix of the names of browsers' tokens.
pub(super) const BROWSER: &str = "browser-";

impl Access {
    /// Creates the secret of a link. A browser that presents it within [`LINK_LIFETIME`] gets this role.
    ///
    /// # Errors
    /// Returns an error if the database fails.
    pub fn create_link(&self, role: Role) -> Result<String, AccessError> {
        let secret = random(32)?;
        let (now, expires) = (self.clock.wall_us(), self.clock.wall_us().saturating_add(LINK_LIFETIME.as_micros() as u64));
        self.records.add_link(&hash(&secret), role, expires, now)?;
        Ok(secret)
    }

    /// Uses up a link. Returns the name of the browser's token, and the token. Returns `None` if the link does not exist or has expired.
    pub(crate) fn take_link(&self, secret: &str, lifetime: Duration) -> Result<Option<(String, String)>, AccessError> {
        let Some(role) = self.records.take_link(&hash(secret), BROWSER, self.clock.wall_us())? else { return Ok(None) };
        let name = format!("{BROWSER}{}", random(4)?);
        let scopes = [role.scope()].into_iter().collect();
        let token = self.put_token(&NewToken { name: name.clone(), scopes, lifetime: Some(lifetime), jobs: None })?;
        Ok(Some((name, token)))
    }

    /// Returns the browser that a token in a cookie belongs to.
    pub(super) fn by_browser(&self, token: &str) -> Result<Option<Principal>, AccessError> {
        let found = self.by_token(token)?.map(|(principal, _)| Principal { how: How::Session, ..principal });
        Ok(found.filter(|principal| principal.name.as_deref().is_some_and(|name| name.starts_with(BROWSER))))
    }

    /// Logs out a browser.
    pub(super) fn end_browser(&self, token: &str) -> Result<(), AccessError> {
        match self.by_browser(token)?.and_then(|principal| principal.name) {
            Some(name) => self.revoke_token(&name),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Scope;
    use super::*;

    #[test]
    fn a_link_logs_in_a_single_browser_once() {
        let (_folder, accesses) = super::super::both();
        for [access, _] in accesses {
            link_lets_in_once(&access);
        }
    }

    fn link_lets_in_once(access: &Access) {
        let hour = Duration::from_hours(1);
        let link = access.create_link(Role::Operator).unwrap();
        assert_eq!(access.take_link("", hour).unwrap(), None);
        let (name, token) = access.take_link(&link, hour).unwrap().unwrap();
        assert_eq!(access.take_link(&link, hour).unwrap(), None, "only once");
        let principal = access.by_session(&token).unwrap().unwrap();
        assert!(principal.how == How::Session && principal.scopes.has(Scope::Operate) && !principal.scopes.has(Scope::Admin));
        assert_eq!(principal.name, Some(name.clone()));
        assert!(!access.has_any().unwrap(), "who has the folder is nobody from outside");
        let new = NewToken { name: "a".to_owned(), scopes: [Scope::Admin].into_iter().collect(), lifetime: None, jobs: None };
        let other = access.create_token(&new).unwrap();
        assert_eq!(access.by_session(&other).unwrap(), None, "no other token is a cookie");
        assert!(matches!(access.create_token(&NewToken { name, ..new }), Err(AccessError::Reserved { .. })));
        access.end_session(&token).unwrap();
        assert_eq!(access.by_session(&token).unwrap(), None);
        // Expired tokens of browsers are deleted when the next browser logs in.
        let links = [access.create_link(Role::Viewer).unwrap(), access.create_link(Role::Viewer).unwrap()];
        let (_, brief) = access.take_link(&links[0], Duration::ZERO).unwrap().unwrap();
        assert_eq!(access.by_session(&brief).unwrap(), None);
        access.take_link(&links[1], hour).unwrap().unwrap();
        assert_eq!(access.tokens().unwrap().iter().filter(|token| token.name.starts_with(BROWSER)).count(), 1);
    }
}
