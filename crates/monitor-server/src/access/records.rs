//! What is kept of tokens, users, logins and deeds, in plain types. Secrets are only known here by what is kept of them; who may do what is
//! decided above.

use monitor_wire::AuditEntry;

use super::{AccessError, Identity, Role, Token, User};

/// What is kept of a random secret.
pub(super) type Hash = [u8; 32];

/// Keeps them, durably. Every method blocks, briefly. Times are Unix microseconds.
pub(super) trait Records: Send + Sync {
    /// A number that differs whenever something was changed since it was asked for the last time, by whichever program.
    fn version(&self) -> Result<u64, AccessError>;

    /// Adds a token; false if there is one of its name.
    fn add_token(&self, token: &Token, hash: &Hash) -> Result<bool, AccessError>;

    /// All tokens, by name.
    fn tokens(&self) -> Result<Vec<Token>, AccessError>;

    /// The token of an id, and what is kept of its secret.
    fn token(&self, id: &str) -> Result<Option<(Token, Hash)>, AccessError>;

    /// Notes that a token was used.
    fn use_token(&self, id: &str, at_us: u64) -> Result<(), AccessError>;

    /// Removes the token of this name or id; false if there is none.
    fn remove_token(&self, name: &str) -> Result<bool, AccessError>;

    /// Adds a user, with the hash of the password; false if there is one of this name.
    fn add_user(&self, user: &User, password: &str) -> Result<bool, AccessError>;

    /// All users, by name.
    fn users(&self) -> Result<Vec<User>, AccessError>;

    /// The hash of a user's password; none for somebody who logs in by a provider.
    fn password(&self, name: &str) -> Result<Option<String>, AccessError>;

    /// Gives a user another hash of a password, and ends the logins; false if there is nobody of this name.
    fn set_password(&self, name: &str, password: &str) -> Result<bool, AccessError>;

    /// Gives whoever a provider knows this role, and adds somebody who is new by the first of the names that nobody else has: the name
    /// that holds.
    fn put_identity(&self, identity: &Identity, names: &[String; 2], role: Role, now_us: u64) -> Result<String, AccessError>;

    /// Removes whoever a provider knows, and all logins; false if there is nobody.
    fn remove_identity(&self, identity: &Identity) -> Result<bool, AccessError>;

    /// Removes a user and all logins; false if there is nobody of this name.
    fn remove_user(&self, name: &str) -> Result<bool, AccessError>;

    /// Adds a login of a user, and removes those that have ended.
    fn add_session(&self, hash: &Hash, user: &str, expires_us: u64, now_us: u64) -> Result<(), AccessError>;

    /// The user of a login that has not ended, and when it does.
    fn session(&self, hash: &Hash, now_us: u64) -> Result<Option<(User, u64)>, AccessError>;

    /// Removes a login.
    fn remove_session(&self, hash: &Hash) -> Result<(), AccessError>;

    /// Adds a link, and removes those that have ended.
    fn add_link(&self, hash: &Hash, role: Role, expires_us: u64, now_us: u64) -> Result<(), AccessError>;

    /// Takes a link away: what whoever comes by it may do; none if there is none that has not ended. Tokens whose names begin with `prefix`
    /// and that have ended are removed.
    fn take_link(&self, hash: &Hash, prefix: &str, now_us: u64) -> Result<Option<Role>, AccessError>;

    /// Adds a deed with the next number, and removes that which is `kept` before it.
    fn add_deed(&self, deed: &AuditEntry, kept: u64) -> Result<(), AccessError>;

    /// At most so many deeds before a number, newest first.
    fn deeds(&self, before: u64, limit: usize) -> Result<Vec<AuditEntry>, AccessError>;
}
