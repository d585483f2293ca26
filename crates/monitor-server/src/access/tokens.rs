//! Tokens of the form `pm_` + id + `_` + secret, both as hex digits. The id selects the row, and the secret is compared by its hash.

use std::time::Duration;

use monitor_wire::JobGrant;

use super::job_grant::check_grant;
use super::secret::{hash, is_same, random};
use super::{Access, AccessError, How, Principal, Scopes, check_name};

/// Resolution at which the last use of a token is recorded.
const USED_EVERY_US: u64 = 60_000_000;

/// Token without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Public part of the token.
    pub id: String,
    /// Unique name.
    pub name: String,
    /// Scopes that the token grants.
    pub scopes: Scopes,
    /// Creation time, in Unix microseconds.
    pub created_us: u64,
    /// Expiry time, in Unix microseconds. `None` if the token does not expire.
    pub expires_us: Option<u64>,
    /// Time of the last use, with a resolution of a minute.
    pub used_us: Option<u64>,
    /// Grant to run jobs on hosts.
    pub jobs: Option<JobGrant>,
}

/// Parameters of a new token.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// Unique name.
    pub name: String,
    /// Scopes that the token grants.
    pub scopes: Scopes,
    /// Lifetime. `None` if the token does not expire.
    pub lifetime: Option<Duration>,
    /// Grant to run jobs on hosts.
    pub jobs: Option<JobGrant>,
}

impl Access {
    /// Creates a token and returns it. Only its hash is stored, so the token can't be read again.
    ///
    /// # Errors
    /// Returns an error if the name is in use or reserved for the server, the grant has a mistake, or the database fails.
    pub fn create_token(&self, new: &NewToken) -> Result<String, AccessError> {
        check_name(&new.name)?;
        if let Some(grant) = &new.jobs {
            check_grant("token", &new.name, new.scopes, grant)?;
        }
        if new.name.starts_with(super::links::BROWSER) {
            return Err(AccessError::Reserved { name: new.name.clone() });
        }
        self.put_token(new)
    }

    pub(super) fn put_token(&self, new: &NewToken) -> Result<String, AccessError> {
        let (id, secret) = (random(6)?, random(32)?);
        let now = self.clock.wall_us();
        let token = Token {
            id: id.clone(),
            name: new.name.clone(),
            scopes: new.scopes,
            created_us: now,
            expires_us: new.lifetime.map(|lifetime| now.saturating_add(lifetime.as_micros() as u64)),
            used_us: None,
            jobs: new.jobs.clone(),
        };
        if !self.records.add_token(&token, &hash(&secret))? {
            return Err(AccessError::Exists { what: "token", name: new.name.clone() });
        }
        Ok(format!("pm_{id}_{secret}"))
    }

    /// Returns all tokens, by name.
    ///
    /// # Errors
    /// Returns an error if the database fails.
    pub fn tokens(&self) -> Result<Vec<Token>, AccessError> {
        self.records.tokens()
    }

    /// Revokes a token, by its name or its id.
    ///
    /// # Errors
    /// Returns an error if there is no such token, or the database fails.
    pub fn revoke_token(&self, name: &str) -> Result<(), AccessError> {
        let missing = || AccessError::Missing { what: "token", name: name.to_owned() };
        self.records.remove_token(name)?.then_some(()).ok_or_else(missing)
    }

    /// Returns the caller that a token belongs to. `None` if the token is invalid or has expired.
    ///
    /// # Errors
    /// Returns an error if the database fails.
    pub(crate) fn by_token(&self, text: &str) -> Result<Option<(Principal, Token)>, AccessError> {
        let (id, secret) = text.strip_prefix("pm_").and_then(|rest| rest.split_once('_')).unwrap_or_default();
        let (token, kept) = self.records.token(id)?.map_or((None, [0; 32]), |(token, kept)| (Some(token), kept));
        let is_right = is_same(&hash(secret), &kept);
        let token = token.filter(|token| is_right && token.expires_us.is_none_or(|expires| self.clock.wall_us() < expires));
        Ok(token.map(|token| {
            let (name, expires_us) = (Some(token.name.clone()), token.expires_us);
            (Principal { name, how: How::Token, scopes: token.scopes, expires_us }, token)
        }))
    }

    /// True if [`Access::used`] must be called.
    pub(crate) fn is_used_anew(&self, token: &Token) -> bool {
        token.used_us.is_none_or(|used| self.clock.wall_us().saturating_sub(used) >= USED_EVERY_US)
    }

    /// Records that a token was used.
    pub(crate) fn used(&self, token: &Token) -> Result<(), AccessError> {
        self.records.use_token(&token.id, self.clock.wall_us())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Scope, both};
    use super::*;

    fn new(name: &str, scope: Scope) -> NewToken {
        NewToken { name: name.to_owned(), scopes: [scope].into_iter().collect(), lifetime: None, jobs: None }
    }

    #[test]
    fn only_the_complete_token_is_accepted_until_it_is_revoked() {
        let (_folder, accesses) = both();
        for [access, other] in accesses {
            only_the_whole_is_taken(&access, &other);
        }
    }

    fn only_the_whole_is_taken(access: &Access, beside: &Access) {
        assert!(!access.has_any().unwrap());
        let text = access.create_token(&new("build-7", Scope::Ingest)).unwrap();
        assert!(access.has_any().unwrap());
        let (principal, token) = access.by_token(&text).unwrap().unwrap();
        assert_eq!((principal.name.as_deref(), principal.scopes.to_string()), (Some("build-7"), "ingest".to_owned()));
        let mut other = text.clone();
        let last = other.pop().unwrap();
        other.push(if last == '0' { '1' } else { '0' });
        for wrong in
            ["", "pm_", "pm__", "x", other.as_str(), &text[..text.len() - 1], &format!("{text}0"), &text[3..], &text.to_uppercase()]
        {
            assert_eq!(access.by_token(wrong).unwrap(), None, "{wrong}");
        }
        // The other connection revokes while the first is open, as the command line does next to a server.
        beside.revoke_token("build-7").unwrap();
        assert_eq!(access.by_token(&text).unwrap(), None);
        assert!(matches!(access.revoke_token(&token.id), Err(AccessError::Missing { .. })));
    }

    #[test]
    fn a_token_expires_at_the_end_of_its_lifetime() {
        let (_folder, accesses) = both();
        for [access, _] in &accesses {
            tokens_end(access);
        }
    }

    fn tokens_end(access: &Access) {
        let of = |name: &str, ms| NewToken { lifetime: Some(Duration::from_millis(ms)), ..new(name, Scope::Read) };
        let ended = access.create_token(&of("ended", 0)).unwrap();
        let lasting = access.create_token(&of("lasting", 3_600_000)).unwrap();
        assert_eq!(access.by_token(&ended).unwrap(), None);
        assert!(access.by_token(&lasting).unwrap().is_some());
    }

    #[test]
    fn names_are_unique_and_limited_to_safe_characters() {
        let (_folder, accesses) = both();
        for [access, _] in &accesses {
            names_are_checked(access);
        }
    }

    fn names_are_checked(access: &Access) {
        access.create_token(&new("a", Scope::Read)).unwrap();
        assert!(matches!(access.create_token(&new("a", Scope::Read)), Err(AccessError::Exists { .. })));
        for name in ["", "a b", "a\n", "<a>", "data folder", &"a".repeat(65)] {
            assert!(matches!(access.create_token(&new(name, Scope::Read)), Err(AccessError::Name { .. })), "{name}");
        }
        access.create_token(&new("构建-7", Scope::Read)).unwrap();
    }
}
