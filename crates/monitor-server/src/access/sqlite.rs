//! Records in `access.db` of the data folder.

use std::path::Path;

use monitor_store::StoreError;
use monitor_store_sqlite::{Schema, SubjectFile};
use monitor_wire::{AuditEntry, JobGrant};
use rusqlite::{OptionalExtension, Row, params};
use serde_json::json;

use super::records::{Hash, Records};
use super::{AccessError, Holder, Identity, Role, Token, User};

/// The schema of users, tokens and the audit, in `access.db`.
pub(crate) const SCHEMA: Schema = Schema {
    // `PMac`.
    application_id: 0x504d_6163,
    first: 5,
    steps: &[include_str!("schema.sql"), include_str!("job-grants.sql")],
};

/// Records in a file, which the command line opens next to a running server.
pub(super) struct SqliteRecords(SubjectFile);

impl SqliteRecords {
    pub(super) fn open(folder: &Path) -> Result<Self, AccessError> {
        Ok(Self(SubjectFile::open(folder, "access.db", &SCHEMA)?))
    }
}

impl From<StoreError> for AccessError {
    fn from(error: StoreError) -> Self {
        if matches!(error, StoreError::Database { .. }) { Self::Database(error) } else { Self::File(error) }
    }
}

impl Records for SqliteRecords {
    fn version(&self) -> Result<u64, AccessError> {
        Ok(self.0.version()?)
    }

    fn add_token(&self, token: &Token, hash: &Hash) -> Result<bool, AccessError> {
        let sql =
            "INSERT INTO token(id, name, hash, scopes, created, expires, jobs) VALUES(?, ?, ?, ?, ?, ?, ?) ON CONFLICT(name) DO NOTHING";
        let (created, expires) = (token.created_us as i64, token.expires_us.map(|expires| expires as i64));
        let row = params![token.id, token.name, hash, token.scopes.to_string(), created, expires, grant_text(token.jobs.as_ref())];
        Ok(self.0.write(|to| to.execute(sql, row))? > 0)
    }

    fn tokens(&self) -> Result<Vec<Token>, AccessError> {
        let sql = "SELECT id, name, scopes, created, expires, used, jobs FROM token ORDER BY name";
        Ok(self.0.read(|from| from.prepare_cached(sql)?.query_map([], token)?.collect())?)
    }

    fn token(&self, id: &str) -> Result<Option<(Token, Hash)>, AccessError> {
        let sql = "SELECT id, name, scopes, created, expires, used, jobs, hash FROM token WHERE id = ?";
        Ok(self.0.read(|from| from.prepare_cached(sql)?.query_row([id], |row| Ok((token(row)?, row.get(7)?))).optional())?)
    }

    fn use_token(&self, id: &str, at_us: u64) -> Result<(), AccessError> {
        let sql = "UPDATE token SET used = ?2 WHERE id = ?1";
        Ok(self.0.write(|to| to.execute(sql, params![id, at_us as i64]).map(drop))?)
    }

    fn remove_token(&self, name: &str) -> Result<bool, AccessError> {
        Ok(self.0.write(|to| to.execute("DELETE FROM token WHERE name = ?1 OR id = ?1", [name]))? > 0)
    }

    fn add_user(&self, user: &User, password: &str) -> Result<bool, AccessError> {
        let sql = "INSERT INTO user(name, password, role, created) VALUES(?, ?, ?, ?) ON CONFLICT(name) DO NOTHING";
        let row = params![user.name, password, user.role.as_str(), user.created_us as i64];
        Ok(self.0.write(|to| to.execute(sql, row))? > 0)
    }

    fn users(&self) -> Result<Vec<User>, AccessError> {
        let sql = "SELECT name, role, created, issuer, jobs FROM user ORDER BY name";
        Ok(self.0.read(|from| from.prepare_cached(sql)?.query_map([], user)?.collect())?)
    }

    fn password(&self, name: &str) -> Result<Option<String>, AccessError> {
        let sql = "SELECT password FROM user WHERE name = ? AND issuer IS NULL";
        Ok(self.0.read(|from| from.prepare_cached(sql)?.query_row([name], |row| row.get(0)).optional())?)
    }

    fn set_password(&self, name: &str, password: &str) -> Result<bool, AccessError> {
        let is_set = self.0.write(|to| {
            to.execute("DELETE FROM session WHERE user = ?", [name])?;
            to.execute("UPDATE user SET password = ?2 WHERE name = ?1", params![name, password])
        });
        Ok(is_set? > 0)
    }

    fn put_identity(&self, identity: &Identity, names: &[String; 2], role: Role, now_us: u64) -> Result<String, AccessError> {
        let Identity { issuer, subject, .. } = identity;
        let put = self.0.write(|to| {
            let sql = "UPDATE user SET role = ?3 WHERE issuer = ?1 AND subject = ?2 RETURNING name";
            let kept = to.query_row(sql, params![issuer, subject, role.as_str()], |row| row.get(0)).optional()?;
            if let Some(name) = kept {
                return Ok(name);
            }
            let is_taken = |name: &String| to.query_row("SELECT 1 FROM user WHERE name = ?", [name], |_| Ok(())).optional();
            let name = if is_taken(&names[0])?.is_some() { &names[1] } else { &names[0] };
            let sql = "INSERT INTO user(name, password, role, created, issuer, subject) VALUES(?, '', ?, ?, ?, ?)";
            to.execute(sql, params![name, role.as_str(), now_us as i64, issuer, subject])?;
            Ok(name.clone())
        });
        Ok(put?)
    }

    fn remove_identity(&self, identity: &Identity) -> Result<bool, AccessError> {
        let Identity { issuer, subject, .. } = identity;
        let sql = "DELETE FROM user WHERE issuer = ? AND subject = ?";
        Ok(self.0.write(|to| to.execute(sql, params![issuer, subject]))? > 0)
    }

    fn remove_user(&self, name: &str) -> Result<bool, AccessError> {
        Ok(self.0.write(|to| to.execute("DELETE FROM user WHERE name = ?", [name]))? > 0)
    }

    fn set_job_grant(&self, holder: Holder, name: &str, grant: Option<&JobGrant>) -> Result<bool, AccessError> {
        let sql = match holder {
            Holder::Token => "UPDATE token SET jobs = ?2 WHERE name = ?1",
            Holder::User => "UPDATE user SET jobs = ?2 WHERE name = ?1",
        };
        Ok(self.0.write(|to| to.execute(sql, params![name, grant_text(grant)]))? > 0)
    }

    fn add_session(&self, hash: &Hash, user: &str, expires_us: u64, now_us: u64) -> Result<(), AccessError> {
        let sql = "INSERT INTO session(hash, user, expires) VALUES(?, ?, ?)";
        let added = self.0.write(|to| {
            to.execute("DELETE FROM session WHERE expires <= ?", [now_us as i64])?;
            to.execute(sql, params![hash, user, expires_us as i64]).map(drop)
        });
        Ok(added?)
    }

    fn session(&self, hash: &Hash, now_us: u64) -> Result<Option<(User, u64)>, AccessError> {
        let sql = "SELECT name, role, created, issuer, jobs, expires FROM session JOIN user ON name = user WHERE hash = ? AND expires > ?";
        let read = |row: &Row<'_>| Ok((user(row)?, row.get::<_, i64>(5)? as u64));
        Ok(self.0.read(|from| from.prepare_cached(sql)?.query_row(params![hash, now_us as i64], read).optional())?)
    }

    fn remove_session(&self, hash: &Hash) -> Result<(), AccessError> {
        Ok(self.0.write(|to| to.execute("DELETE FROM session WHERE hash = ?", [hash]).map(drop))?)
    }

    fn add_link(&self, hash: &Hash, role: Role, expires_us: u64, now_us: u64) -> Result<(), AccessError> {
        let sql = "INSERT INTO link(hash, role, expires) VALUES(?, ?, ?)";
        let added = self.0.write(|to| {
            to.execute("DELETE FROM link WHERE expires <= ?", [now_us as i64])?;
            to.execute(sql, params![hash, role.as_str(), expires_us as i64]).map(drop)
        });
        Ok(added?)
    }

    fn take_link(&self, hash: &Hash, prefix: &str, now_us: u64) -> Result<Option<Role>, AccessError> {
        let word: Option<String> = self.0.write(|to| {
            let sql = "DELETE FROM token WHERE substr(name, 1, length(?1)) = ?1 AND expires <= ?2";
            to.execute(sql, params![prefix, now_us as i64])?;
            let sql = "DELETE FROM link WHERE hash = ? AND expires > ? RETURNING role";
            to.query_row(sql, params![hash, now_us as i64], |row| row.get(0)).optional()
        })?;
        Ok(word.map(|word| role(&word)))
    }

    fn add_deed(&self, deed: &AuditEntry, kept: u64) -> Result<(), AccessError> {
        let added = self.0.write(|to| {
            let sql = "INSERT INTO audit(time, who, how, address, action, outcome) VALUES(?, ?, ?, ?, ?, ?)";
            let row = params![deed.time_us as i64, deed.who, deed.how, deed.address, deed.action, deed.outcome];
            to.prepare_cached(sql)?.execute(row)?;
            let newest = to.last_insert_rowid();
            to.prepare_cached("DELETE FROM audit WHERE number <= ?")?.execute([newest - kept as i64]).map(drop)
        });
        Ok(added?)
    }

    fn deeds(&self, before: u64, limit: usize) -> Result<Vec<AuditEntry>, AccessError> {
        let before = i64::try_from(before).unwrap_or(i64::MAX);
        let read = |row: &Row<'_>| {
            Ok(AuditEntry {
                number: row.get::<_, i64>(0)? as u64,
                time_us: row.get::<_, i64>(1)? as u64,
                who: row.get(2)?,
                how: row.get(3)?,
                address: row.get(4)?,
                action: row.get(5)?,
                outcome: row.get(6)?,
            })
        };
        let sql = "SELECT number, time, who, how, address, action, outcome FROM audit WHERE number < ? ORDER BY number DESC LIMIT ?";
        Ok(self.0.read(|from| from.prepare_cached(sql)?.query_map(params![before, limit as i64], read)?.collect())?)
    }
}

fn token(row: &Row<'_>) -> rusqlite::Result<Token> {
    let time = |index: usize| row.get::<_, Option<i64>>(index).map(|time| time.map(|time| time as u64));
    Ok(Token {
        id: row.get(0)?,
        name: row.get(1)?,
        // Unreadable scopes grant no rights.
        scopes: row.get::<_, String>(2)?.parse().unwrap_or_default(),
        created_us: time(3)?.unwrap_or_default(),
        expires_us: time(4)?,
        used_us: time(5)?,
        jobs: job_grant(row, 6)?,
    })
}

fn user(row: &Row<'_>) -> rusqlite::Result<User> {
    let role = role(&row.get::<_, String>(1)?);
    Ok(User { name: row.get(0)?, role, created_us: row.get::<_, i64>(2)? as u64, issuer: row.get(3)?, jobs: job_grant(row, 4)? })
}

fn grant_text(grant: Option<&JobGrant>) -> Option<String> {
    grant.map(|grant| json!(grant).to_string())
}

/// An unreadable grant permits nothing.
fn job_grant(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<JobGrant>> {
    let text: Option<String> = row.get(column)?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
}

/// An unreadable role is the lowest one.
fn role(text: &str) -> Role {
    text.parse().unwrap_or(Role::Viewer)
}

#[cfg(test)]
mod tests {
    use super::super::{Access, NewToken, Scope};
    use super::*;

    #[test]
    fn nothing_of_a_secret_is_on_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let access = Access::open(folder.path()).unwrap();
        let new = NewToken { name: "a".to_owned(), scopes: [Scope::Admin].into_iter().collect(), lifetime: None, jobs: None };
        let text = access.create_token(&new).unwrap();
        let secret = text.rsplit('_').next().unwrap().as_bytes();
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            assert!(!bytes.windows(16).any(|window| window == &secret[..16]));
        }
    }

    #[test]
    fn tokens_and_users_of_the_first_schema_have_no_grant() {
        let folder = tempfile::tempdir().unwrap();
        let first = Schema { steps: &SCHEMA.steps[..1], ..SCHEMA };
        let old = SubjectFile::open(folder.path(), "access.db", &first).unwrap();
        let rows = "INSERT INTO token VALUES('id', 'deploy', zeroblob(32), 'operate', 1, NULL, NULL);
                    INSERT INTO user VALUES('ada', '', 'operator', 1, NULL, NULL)";
        old.write(|to| to.execute_batch(rows)).unwrap();
        drop(old);
        let access = Access::open(folder.path()).unwrap();
        let (tokens, users) = (access.tokens().unwrap(), access.users().unwrap());
        assert_eq!((tokens[0].name.as_str(), &tokens[0].jobs, users[0].name.as_str(), &users[0].jobs), ("deploy", &None, "ada", &None));
        let grant = JobGrant { on: "env".to_owned(), accounts: Vec::new() };
        access.set_job_grant(Holder::Token, "deploy", Some(&grant)).unwrap();
        assert_eq!(access.tokens().unwrap()[0].jobs, Some(grant));
    }

    #[test]
    fn another_programs_file_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let other = rusqlite::Connection::open(folder.path().join("access.db")).unwrap();
        other.execute_batch("CREATE TABLE theirs(x)").unwrap();
        assert!(matches!(Access::open(folder.path()), Err(AccessError::File(StoreError::Foreign { .. }))));
    }
}
