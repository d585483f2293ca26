//! Tokens: `pm_` + id + `_` + secret, both hex digits. The id finds the row, the secret is checked.

use std::time::Duration;

use rusqlite::{OptionalExtension, Row, params};

use super::secret::{hash, is_same, random};
use super::{Access, AccessError, How, Principal, Scopes, check_name};

/// When a token was last used is told to so much.
const USED_EVERY_US: u64 = 60_000_000;

/// What may be shown of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The part of it that may be shown.
    pub id: String,
    /// Its name, like no other's.
    pub name: String,
    /// What it allows.
    pub scopes: Scopes,
    /// When it was made, Unix µs.
    pub created_us: u64,
    /// When it ends, Unix µs; none if never.
    pub expires_us: Option<u64>,
    /// When it was last used, to a minute.
    pub used_us: Option<u64>,
}

/// A token as it is to be.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// Its name, like no other's.
    pub name: String,
    /// What it allows.
    pub scopes: Scopes,
    /// When it ends; none for never.
    pub lifetime: Option<Duration>,
}

impl Access {
    /// Makes a token. It is shown this once: only a hash of it is kept.
    ///
    /// # Errors
    /// If there is one of this name, or it is the server's own, or the database fails.
    pub fn create_token(&self, new: &NewToken) -> Result<String, AccessError> {
        if new.name == super::local::NAME || new.name.starts_with(super::links::BROWSER) {
            return Err(AccessError::Reserved { name: new.name.clone() });
        }
        self.put_token(new)
    }

    pub(super) fn put_token(&self, new: &NewToken) -> Result<String, AccessError> {
        check_name(&new.name)?;
        let (id, secret) = (random(6)?, random(32)?);
        let now = self.clock.wall_us();
        let expires = new.lifetime.map(|lifetime| now.saturating_add(lifetime.as_micros() as u64) as i64);
        self.write(|connection| {
            let sql = "INSERT INTO token(id, name, hash, scopes, created, expires) VALUES(?, ?, ?, ?, ?, ?) ON CONFLICT(name) DO NOTHING";
            let row = params![id, new.name, hash(&secret), new.scopes.to_string(), now as i64, expires];
            match connection.execute(sql, row)? {
                0 => Err(AccessError::Exists { what: "token", name: new.name.clone() }),
                _ => Ok(()),
            }
        })?;
        Ok(format!("pm_{id}_{secret}"))
    }

    /// All tokens, by name.
    ///
    /// # Errors
    /// If the database fails.
    pub fn tokens(&self) -> Result<Vec<Token>, AccessError> {
        let sql = "SELECT id, name, scopes, created, expires, used FROM token ORDER BY name";
        Ok(self.read(|connection| connection.prepare_cached(sql)?.query_map([], token)?.collect())?)
    }

    /// Ends a token, by its name or its id.
    ///
    /// # Errors
    /// If there is none, or the database fails.
    pub fn revoke_token(&self, name: &str) -> Result<(), AccessError> {
        self.write(|connection| match connection.execute("DELETE FROM token WHERE name = ?1 OR id = ?1", [name])? {
            0 => Err(AccessError::Missing { what: "token", name: name.to_owned() }),
            _ => Ok(()),
        })
    }

    /// Whose token this is; none if it is none, or has ended.
    ///
    /// # Errors
    /// If the database fails.
    pub(crate) fn by_token(&self, text: &str) -> Result<Option<(Principal, Token)>, AccessError> {
        let (id, secret) = text.strip_prefix("pm_").and_then(|rest| rest.split_once('_')).unwrap_or_default();
        let sql = "SELECT id, name, scopes, created, expires, used, hash FROM token WHERE id = ?";
        let found = self.read(|connection| {
            connection.prepare_cached(sql)?.query_row([id], |row| Ok((token(row)?, row.get::<_, Vec<u8>>(6)?))).optional()
        })?;
        let (token, kept) = found.map_or((None, vec![0; 32]), |(token, kept)| (Some(token), kept));
        let is_right = is_same(&hash(secret), &kept);
        let token = token.filter(|token| is_right && token.expires_us.is_none_or(|expires| self.clock.wall_us() < expires));
        Ok(token.map(|token| {
            let (name, expires_us) = (Some(token.name.clone()), token.expires_us);
            (Principal { name, how: How::Token, scopes: token.scopes, expires_us }, token)
        }))
    }

    /// Whether [`Access::used`] is to be called.
    pub(crate) fn is_used_anew(&self, token: &Token) -> bool {
        token.used_us.is_none_or(|used| self.clock.wall_us().saturating_sub(used) >= USED_EVERY_US)
    }

    /// Notes that a token was used.
    pub(crate) fn used(&self, token: &Token) -> Result<(), AccessError> {
        self.write(|connection| {
            connection.execute("UPDATE token SET used = ?2 WHERE id = ?1", params![token.id, self.clock.wall_us() as i64])?;
            Ok(())
        })
    }
}

fn token(row: &Row<'_>) -> rusqlite::Result<Token> {
    let time = |index: usize| row.get::<_, Option<i64>>(index).map(|time| time.map(|time| time as u64));
    Ok(Token {
        id: row.get(0)?,
        name: row.get(1)?,
        // One that can't be read allows nothing.
        scopes: row.get::<_, String>(2)?.parse().unwrap_or_default(),
        created_us: time(3)?.unwrap_or_default(),
        expires_us: time(4)?,
        used_us: time(5)?,
    })
}

#[cfg(test)]
mod tests {
    use super::super::Scope;
    use super::*;

    fn access() -> (tempfile::TempDir, Access) {
        let folder = tempfile::tempdir().unwrap();
        let access = Access::open(folder.path()).unwrap();
        (folder, access)
    }

    fn new(name: &str, scope: Scope) -> NewToken {
        NewToken { name: name.to_owned(), scopes: [scope].into_iter().collect(), lifetime: None }
    }

    #[test]
    fn only_the_whole_token_is_taken_until_it_is_revoked() {
        let (folder, access) = access();
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
        // Beside a server that has it open.
        Access::open(folder.path()).unwrap().revoke_token("build-7").unwrap();
        assert_eq!(access.by_token(&text).unwrap(), None);
        assert!(matches!(access.revoke_token(&token.id), Err(AccessError::Missing { .. })));
    }

    #[test]
    fn a_token_ends_when_it_was_told_to() {
        let (_folder, access) = access();
        let of = |name: &str, ms| NewToken { lifetime: Some(Duration::from_millis(ms)), ..new(name, Scope::Read) };
        let ended = access.create_token(&of("ended", 0)).unwrap();
        let lasting = access.create_token(&of("lasting", 3_600_000)).unwrap();
        assert_eq!(access.by_token(&ended).unwrap(), None);
        assert!(access.by_token(&lasting).unwrap().is_some());
    }

    #[test]
    fn nothing_of_a_secret_is_on_the_disk() {
        let (folder, access) = access();
        let text = access.create_token(&new("a", Scope::Admin)).unwrap();
        let secret = text.rsplit('_').next().unwrap().as_bytes();
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            assert!(!bytes.windows(16).any(|window| window == &secret[..16]));
        }
    }

    #[test]
    fn names_are_unique_and_harmless() {
        let (_folder, access) = access();
        access.create_token(&new("a", Scope::Read)).unwrap();
        assert!(matches!(access.create_token(&new("a", Scope::Read)), Err(AccessError::Exists { .. })));
        for name in ["", "a b", "a\n", "<a>", &"a".repeat(65)] {
            assert!(matches!(access.create_token(&new(name, Scope::Read)), Err(AccessError::Name { .. })), "{name}");
        }
        access.create_token(&new("构建-7", Scope::Read)).unwrap();
    }

    #[test]
    fn another_programs_file_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let other = rusqlite::Connection::open(folder.path().join("access.db")).unwrap();
        other.execute_batch("CREATE TABLE theirs(x)").unwrap();
        assert!(matches!(Access::open(folder.path()), Err(AccessError::Foreign { .. })));
    }
}
