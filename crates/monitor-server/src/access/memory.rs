//! Records in memory, for tests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use monitor_wire::{AuditEntry, JobGrant};

use super::records::{Hash, Records};
use super::{AccessError, Holder, Identity, Role, Token, User};

/// Records that are not persistent. A clone is another connection to the same records.
#[derive(Clone, Default)]
pub(super) struct MemoryRecords(Arc<Mutex<Rows>>);

#[derive(Default)]
struct Rows {
    version: u64,
    tokens: BTreeMap<String, (Token, Hash)>,
    users: BTreeMap<String, (User, String)>,
    /// Names of the users who log in through a provider, by issuer and subject.
    identities: BTreeMap<(String, String), String>,
    sessions: BTreeMap<Hash, (String, u64)>,
    links: BTreeMap<Hash, (Role, u64)>,
    deeds: Vec<AuditEntry>,
}

impl MemoryRecords {
    fn read(&self) -> MutexGuard<'_, Rows> {
        self.0.lock().unwrap()
    }

    fn write(&self) -> MutexGuard<'_, Rows> {
        let mut rows = self.read();
        rows.version += 1;
        rows
    }
}

impl Records for MemoryRecords {
    fn version(&self) -> Result<u64, AccessError> {
        Ok(self.read().version)
    }

    fn add_token(&self, token: &Token, hash: &Hash) -> Result<bool, AccessError> {
        let is_new = !self.read().tokens.contains_key(&token.name);
        if is_new {
            self.write().tokens.insert(token.name.clone(), (token.clone(), *hash));
        }
        Ok(is_new)
    }

    fn tokens(&self) -> Result<Vec<Token>, AccessError> {
        Ok(self.read().tokens.values().map(|(token, _)| token.clone()).collect())
    }

    fn token(&self, id: &str) -> Result<Option<(Token, Hash)>, AccessError> {
        Ok(self.read().tokens.values().find(|(token, _)| token.id == id).cloned())
    }

    fn use_token(&self, id: &str, at_us: u64) -> Result<(), AccessError> {
        self.write().tokens.values_mut().filter(|(token, _)| token.id == id).for_each(|(token, _)| token.used_us = Some(at_us));
        Ok(())
    }

    fn remove_token(&self, name: &str) -> Result<bool, AccessError> {
        let mut rows = self.write();
        let before = rows.tokens.len();
        rows.tokens.retain(|_, (token, _)| token.name != name && token.id != name);
        Ok(rows.tokens.len() < before)
    }

    fn add_user(&self, user: &User, password: &str) -> Result<bool, AccessError> {
        let is_new = !self.read().users.contains_key(&user.name);
        if is_new {
            self.write().users.insert(user.name.clone(), (user.clone(), password.to_owned()));
        }
        Ok(is_new)
    }

    fn users(&self) -> Result<Vec<User>, AccessError> {
        Ok(self.read().users.values().map(|(user, _)| user.clone()).collect())
    }

    fn password(&self, name: &str) -> Result<Option<String>, AccessError> {
        Ok(self.read().users.get(name).filter(|(user, _)| user.issuer.is_none()).map(|(_, password)| password.clone()))
    }

    fn set_password(&self, name: &str, password: &str) -> Result<bool, AccessError> {
        let mut rows = self.write();
        rows.sessions.retain(|_, (user, _)| user != name);
        let kept = rows.users.get_mut(name).map(|(_, kept)| password.clone_into(kept));
        Ok(kept.is_some())
    }

    fn put_identity(&self, identity: &Identity, names: &[String; 2], role: Role, now_us: u64) -> Result<String, AccessError> {
        let mut rows = self.write();
        let key = (identity.issuer.clone(), identity.subject.clone());
        let free = if rows.users.contains_key(&names[0]) { &names[1] } else { &names[0] };
        let name = rows.identities.entry(key).or_insert_with(|| free.clone()).clone();
        let new = User { name: name.clone(), role, created_us: now_us, issuer: Some(identity.issuer.clone()), jobs: None };
        rows.users.entry(name.clone()).or_insert((new, String::new())).0.role = role;
        Ok(name)
    }

    fn remove_identity(&self, identity: &Identity) -> Result<bool, AccessError> {
        let name = self.read().identities.get(&(identity.issuer.clone(), identity.subject.clone())).cloned();
        name.map_or(Ok(false), |name| self.remove_user(&name))
    }

    fn remove_user(&self, name: &str) -> Result<bool, AccessError> {
        let mut rows = self.write();
        rows.identities.retain(|_, user| user != name);
        rows.sessions.retain(|_, (user, _)| user != name);
        Ok(rows.users.remove(name).is_some())
    }

    fn set_job_grant(&self, holder: Holder, name: &str, grant: Option<&JobGrant>) -> Result<bool, AccessError> {
        let mut rows = self.write();
        let jobs = match holder {
            Holder::Token => rows.tokens.get_mut(name).map(|(token, _)| &mut token.jobs),
            Holder::User => rows.users.get_mut(name).map(|(user, _)| &mut user.jobs),
        };
        Ok(jobs.map(|jobs| *jobs = grant.cloned()).is_some())
    }

    fn add_session(&self, hash: &Hash, user: &str, expires_us: u64, now_us: u64) -> Result<(), AccessError> {
        let mut rows = self.write();
        rows.sessions.retain(|_, (_, expires)| *expires > now_us);
        rows.sessions.insert(*hash, (user.to_owned(), expires_us));
        Ok(())
    }

    fn session(&self, hash: &Hash, now_us: u64) -> Result<Option<(User, u64)>, AccessError> {
        let rows = self.read();
        let found = rows.sessions.get(hash).filter(|(_, expires)| *expires > now_us);
        Ok(found.and_then(|(user, expires)| Some((rows.users.get(user)?.0.clone(), *expires))))
    }

    fn remove_session(&self, hash: &Hash) -> Result<(), AccessError> {
        self.write().sessions.remove(hash);
        Ok(())
    }

    fn add_link(&self, hash: &Hash, role: Role, expires_us: u64, now_us: u64) -> Result<(), AccessError> {
        let mut rows = self.write();
        rows.links.retain(|_, (_, expires)| *expires > now_us);
        rows.links.insert(*hash, (role, expires_us));
        Ok(())
    }

    fn take_link(&self, hash: &Hash, prefix: &str, now_us: u64) -> Result<Option<Role>, AccessError> {
        let mut rows = self.write();
        rows.tokens.retain(|name, (token, _)| !name.starts_with(prefix) || token.expires_us.is_none_or(|expires| expires > now_us));
        Ok(rows.links.remove(hash).filter(|(_, expires)| *expires > now_us).map(|(role, _)| role))
    }

    fn add_deed(&self, deed: &AuditEntry, kept: u64) -> Result<(), AccessError> {
        let mut rows = self.write();
        let number = rows.deeds.last().map_or(1, |last| last.number + 1);
        rows.deeds.push(AuditEntry { number, ..deed.clone() });
        rows.deeds.retain(|deed| deed.number + kept > number);
        Ok(())
    }

    fn deeds(&self, before: u64, limit: usize) -> Result<Vec<AuditEntry>, AccessError> {
        Ok(self.read().deeds.iter().rev().filter(|deed| deed.number < before).take(limit).cloned().collect())
    }
}
