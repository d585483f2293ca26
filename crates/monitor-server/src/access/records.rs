//! Storage interface for tokens, users, sessions and the audit log. Of secrets, only hashes are stored. The rights are evaluated by the
//! callers.

use monitor_wire::{AuditEntry, JobGrant};

use super::{AccessError, Holder, Identity, Role, Token, User};

/// Hash of a random secret.
pub(super) type Hash = [u8; 32];

/// Durable storage. Every method blocks briefly. Times are Unix microseconds.
pub(super) trait Records: Send + Sync {
    /// Returns a number that differs after any change by any process since the last call.
    fn version(&self) -> Result<u64, AccessError>;

    /// Adds a token. Returns false if its name is in use.
    fn add_token(&self, token: &Token, hash: &Hash) -> Result<bool, AccessError>;

    /// Returns all tokens, by name.
    fn tokens(&self) -> Result<Vec<Token>, AccessError>;

    /// Returns the token with this id, and the hash of its secret.
    fn token(&self, id: &str) -> Result<Option<(Token, Hash)>, AccessError>;

    /// Records the time at which a token was used.
    fn use_token(&self, id: &str, at_us: u64) -> Result<(), AccessError>;

    /// Removes the token with this name or id. Returns false if there is none.
    fn remove_token(&self, name: &str) -> Result<bool, AccessError>;

    /// Adds a user, with the hash of the password. Returns false if the name is in use.
    fn add_user(&self, user: &User, password: &str) -> Result<bool, AccessError>;

    /// Returns all users, by name.
    fn users(&self) -> Result<Vec<User>, AccessError>;

    /// Returns the password hash of a user. `None` for users who log in through OpenID Connect.
    fn password(&self, name: &str) -> Result<Option<String>, AccessError>;

    /// Sets a user's password hash and ends all sessions of the user. Returns false if the user does not exist.
    fn set_password(&self, name: &str, password: &str) -> Result<bool, AccessError>;

    /// Sets the role of a provider's user. A new user gets the first of the names that is not in use. Returns the user's name.
    fn put_identity(&self, identity: &Identity, names: &[String; 2], role: Role, now_us: u64) -> Result<String, AccessError>;

    /// Removes a provider's user with all sessions. Returns false if there is none.
    fn remove_identity(&self, identity: &Identity) -> Result<bool, AccessError>;

    /// Removes a user with all sessions. Returns false if the user does not exist.
    fn remove_user(&self, name: &str) -> Result<bool, AccessError>;

    /// Sets or removes the grant of the token or user with this name. Returns false if there is none.
    fn set_job_grant(&self, holder: Holder, name: &str, grant: Option<&JobGrant>) -> Result<bool, AccessError>;

    /// Adds a session of a user, and removes expired sessions.
    fn add_session(&self, hash: &Hash, user: &str, expires_us: u64, now_us: u64) -> Result<(), AccessError>;

    /// Returns the user and the expiry time of a session that has not expired.
    fn session(&self, hash: &Hash, now_us: u64) -> Result<Option<(User, u64)>, AccessError>;

    /// Removes a session.
    fn remove_session(&self, hash: &Hash) -> Result<(), AccessError>;

    /// Adds a link, and removes expired links.
    fn add_link(&self, hash: &Hash, role: Role, expires_us: u64, now_us: u64) -> Result<(), AccessError>;

    /// Removes a link and returns its role. Returns `None` if the link does not exist or has expired. Also removes expired tokens whose
    /// names begin with `prefix`.
    fn take_link(&self, hash: &Hash, prefix: &str, now_us: u64) -> Result<Option<Role>, AccessError>;

    /// Adds an audit entry with the next number, and removes the one that is `kept` numbers older.
    fn add_deed(&self, deed: &AuditEntry, kept: u64) -> Result<(), AccessError>;

    /// Returns up to `limit` audit entries before a number, newest first.
    fn deeds(&self, before: u64, limit: usize) -> Result<Vec<AuditEntry>, AccessError>;
}
