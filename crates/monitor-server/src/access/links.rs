//! Links that let a browser in once: `monitor open` makes one in the data folder, the browser comes by it and gets a token of its own, as a
//! cookie. That token has a name, so that it is listed and revoked as any other.

use std::time::Duration;

use super::secret::{hash, random};
use super::{Access, AccessError, How, NewToken, Principal, Role};

/// How long a link waits for its browser.
pub const LINK_LIFETIME: Duration = Duration::from_secs(60);
/// Names of browsers' tokens begin so.
pub(super) const BROWSER: &str = "browser-";

impl Access {
    /// Makes a link's secret. A browser that shows it within [`LINK_LIFETIME`] may do what this role may.
    ///
    /// # Errors
    /// If the database fails.
    pub fn create_link(&self, role: Role) -> Result<String, AccessError> {
        let secret = random(32)?;
        let (now, expires) = (self.clock.wall_us(), self.clock.wall_us().saturating_add(LINK_LIFETIME.as_micros() as u64));
        self.records.add_link(&hash(&secret), role, expires, now)?;
        Ok(secret)
    }

    /// Takes a link, which is over by that: the name of the browser's token, and the token. None if there is no such link, or no more.
    pub(crate) fn take_link(&self, secret: &str, lifetime: Duration) -> Result<Option<(String, String)>, AccessError> {
        let Some(role) = self.records.take_link(&hash(secret), BROWSER, self.clock.wall_us())? else { return Ok(None) };
        let name = format!("{BROWSER}{}", random(4)?);
        let scopes = [role.scope()].into_iter().collect();
        let token = self.put_token(&NewToken { name: name.clone(), scopes, lifetime: Some(lifetime) })?;
        Ok(Some((name, token)))
    }

    /// Whose browser this is, by the token in its cookie.
    pub(super) fn by_browser(&self, token: &str) -> Result<Option<Principal>, AccessError> {
        let found = self.by_token(token)?.map(|(principal, _)| Principal { how: How::Session, ..principal });
        Ok(found.filter(|principal| principal.name.as_deref().is_some_and(|name| name.starts_with(BROWSER))))
    }

    /// Logs a browser out.
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
    fn a_link_lets_one_browser_in_once() {
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
        let new = NewToken { name: "a".to_owned(), scopes: [Scope::Admin].into_iter().collect(), lifetime: None };
        let other = access.create_token(&new).unwrap();
        assert_eq!(access.by_session(&other).unwrap(), None, "no other token is a cookie");
        assert!(matches!(access.create_token(&NewToken { name, ..new }), Err(AccessError::Reserved { .. })));
        access.end_session(&token).unwrap();
        assert_eq!(access.by_session(&token).unwrap(), None);
        // A browser whose time is over is forgotten when the next one comes.
        let links = [access.create_link(Role::Viewer).unwrap(), access.create_link(Role::Viewer).unwrap()];
        let (_, brief) = access.take_link(&links[0], Duration::ZERO).unwrap().unwrap();
        assert_eq!(access.by_session(&brief).unwrap(), None);
        access.take_link(&links[1], hour).unwrap().unwrap();
        assert_eq!(access.tokens().unwrap().iter().filter(|token| token.name.starts_with(BROWSER)).count(), 1);
    }
}
