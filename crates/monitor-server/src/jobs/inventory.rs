//! Hosts that jobs run on, and saved targets.

use std::collections::BTreeSet;

use monitor_jobs::Inventory;
use monitor_store::{HostRow, JobStore, SavedRow, StoreError};
use monitor_wire::{HostDefinition, ManagedHost, SavedTargets, Targets};

use super::hosts_file::HostsFile;
use super::{JobError, Jobs};
use crate::access::is_account;

/// Maximum number of saved targets.
pub(super) const MOST_SAVED: usize = 1_000;
/// Maximum length of a tag, value or group, in bytes.
const MAX_WORD_BYTES: usize = 255;
/// Maximum number of tags and of groups of a host.
const MOST_WORDS: usize = 100;

/// Numbers of hosts that a new version of the file of hosts has added, changed and removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct HostChanges {
    pub(super) added: usize,
    pub(super) changed: usize,
    pub(super) removed: usize,
}

impl Jobs {
    /// Returns what targets can select.
    pub(super) async fn inventory(&self) -> Result<Inventory, JobError> {
        self.ask(inventory).await
    }

    /// Returns all hosts by name.
    pub(crate) async fn hosts(&self) -> Result<Vec<ManagedHost>, JobError> {
        let rows = self.ask(JobStore::hosts).await?;
        let (now_us, mut book) = (self.clock.wall_us(), self.book.lock().await);
        self.load(&mut book).await?;
        let managed = |HostRow { id, definition, created_us, is_from_file, .. }: HostRow| {
            let has_agent = book.is_known(&definition.name);
            let last_contact_us = book.last_contact(&definition.name);
            let is_online = last_contact_us.is_some_and(|last| now_us.saturating_sub(last) <= monitor_jobs::CONTACT_US);
            ManagedHost { id, definition, is_from_file, has_agent, is_online, last_contact_us, created_us }
        };
        Ok(rows.into_iter().map(managed).collect())
    }

    /// Adds hosts, or changes the settings of those with the same names. Returns true for each host that was added.
    pub(crate) async fn put_hosts(&self, definitions: Vec<HostDefinition>) -> Result<Vec<bool>, JobError> {
        let _changing = self.changing_hosts.lock().await;
        let rows = self.ask(JobStore::hosts).await?;
        let filed: BTreeSet<&str> = rows.iter().filter(|row| row.is_from_file).map(|row| row.definition.name.as_str()).collect();
        if let Some(host) = definitions.iter().find(|host| filed.contains(host.name.as_str())) {
            return Err(self.is_from_file(&format!("the host {}", host.name)));
        }
        let now_us = self.clock.wall_us();
        let (added, rows) = self.ask(move |jobs| Ok((jobs.put_hosts(&definitions, now_us)?, jobs.hosts()?))).await?;
        self.book.lock().await.take_accounts(&rows);
        Ok(added)
    }

    /// Removes a host. Returns false if there is none.
    pub(crate) async fn remove_host(&self, id: u64) -> Result<bool, JobError> {
        let _changing = self.changing_hosts.lock().await;
        if let Some(row) = self.ask(JobStore::hosts).await?.iter().find(|row| row.id == id && row.is_from_file) {
            return Err(self.is_from_file(&format!("the host {}", row.definition.name)));
        }
        let mut book = self.book.lock().await;
        let is_removed = self.ask(move |jobs| jobs.remove_host(id)).await?;
        // An agent that connects adds its host again.
        book.forget_hosts();
        Ok(is_removed)
    }

    /// Returns all saved targets by name, with what they select now.
    pub(crate) async fn saved_targets(&self) -> Result<Vec<SavedTargets>, JobError> {
        self.ask(|jobs| {
            let inventory = inventory(jobs)?;
            let shown = |SavedRow { name, targets, is_from_file }: SavedRow| {
                let (selected, problem) = match monitor_jobs::select(&targets, &inventory) {
                    Ok(selected) => (selected.len() as u64, None),
                    Err(mistakes) => (0, Some(mistakes.join("; "))),
                };
                SavedTargets { name, targets, is_from_file, selected, problem }
            };
            Ok(jobs.saved_targets()?.into_iter().map(shown).collect())
        })
        .await
    }

    /// Saves targets, or replaces those with this name. They were checked.
    pub(crate) async fn put_saved_targets(&self, name: String, targets: Targets) -> Result<(), JobError> {
        let _changing = self.changing_hosts.lock().await;
        let rows = self.ask(JobStore::saved_targets).await?;
        match rows.iter().find(|row| row.name == name) {
            Some(row) if row.is_from_file => return Err(self.is_from_file(&format!("the saved targets {name}"))),
            None if rows.len() >= MOST_SAVED => {
                return Err(JobError::Refused(format!("there are {MOST_SAVED} saved targets, which is the maximum: remove some")));
            }
            _ => {}
        }
        self.ask(move |jobs| jobs.put_saved_targets(&name, &targets)).await
    }

    /// Removes saved targets. Returns false if there are none with this name.
    pub(crate) async fn remove_saved_targets(&self, name: String) -> Result<bool, JobError> {
        let _changing = self.changing_hosts.lock().await;
        if self.ask(JobStore::saved_targets).await?.iter().any(|row| row.name == name && row.is_from_file) {
            return Err(self.is_from_file(&format!("the saved targets {name}")));
        }
        self.ask(move |jobs| jobs.remove_saved_targets(&name)).await
    }

    /// Replaces what came from the file of hosts by its new version.
    pub(super) async fn put_file(&self, file: HostsFile) -> Result<HostChanges, JobError> {
        let _changing = self.changing_hosts.lock().await;
        let rows = self.ask(JobStore::hosts).await?;
        let changes = changes(&rows, &file.hosts);
        let now_us = self.clock.wall_us();
        // No agent may add its host again between the removal and the note that it is gone.
        let mut book = self.book.lock().await;
        let put = move |jobs: &dyn JobStore| {
            jobs.put_inventory(&file.hosts, &file.saved, now_us)?;
            jobs.hosts()
        };
        book.take_accounts(&self.ask(put).await?);
        if changes.removed > 0 {
            book.forget_hosts();
        }
        Ok(changes)
    }

    fn is_from_file(&self, what: &str) -> JobError {
        let path = self.settings.hosts_file.as_ref().map_or_else(|| "`hosts-file`".to_owned(), |path| path.display().to_string());
        JobError::Refused(format!("{what} comes from the file {path}: change it there"))
    }
}

fn inventory(jobs: &dyn JobStore) -> Result<Inventory, StoreError> {
    let hosts = jobs.hosts()?.into_iter().map(|row| (row.id, row.definition)).collect();
    let saved = jobs.saved_targets()?.into_iter().map(|row| (row.name, row.targets)).collect();
    Ok(Inventory::new(hosts, saved))
}

/// Compares the hosts with those of a new version of the file.
fn changes(rows: &[HostRow], new: &[HostDefinition]) -> HostChanges {
    let mut changes = HostChanges::default();
    for host in new {
        match rows.binary_search_by(|row| row.definition.name.cmp(&host.name)) {
            Ok(at) if rows[at].is_from_file && rows[at].definition == *host => {}
            Ok(_) => changes.changed += 1,
            Err(_) => changes.added += 1,
        }
    }
    let names: BTreeSet<&str> = new.iter().map(|host| host.name.as_str()).collect();
    changes.removed = rows.iter().filter(|row| row.is_from_file && !names.contains(row.definition.name.as_str())).count();
    changes
}

/// Returns true if a host or saved targets can have this name. It is the same as for tokens, because an agent has the name of its token.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.chars().count()) && name.chars().all(|c| c.is_alphanumeric() || ".-_@".contains(c))
}

/// Returns all mistakes of a host, each with its key.
pub(crate) fn mistakes_of_host(host: &HostDefinition) -> Vec<(String, String)> {
    let mut mistakes = Vec::new();
    let mut wrong = |key: &str, why: String| mistakes.push((key.to_owned(), why));
    let short = |text: &str| text.chars().take(80).collect::<String>();
    if !is_name(&host.name) {
        wrong("name", format!("{:?} can't be a name: use 1 to 64 letters, digits and `.`, `-`, `_`, `@`", short(&host.name)));
    }
    if let Some(ip) = host.ip.as_deref().filter(|ip| ip.parse::<std::net::Ipv4Addr>().is_err()) {
        wrong("ip", format!("{:?} is no IPv4 address, such as 10.0.0.7", short(ip)));
    }
    if let Some(ip) = host.ipv6.as_deref().filter(|ip| ip.parse::<std::net::Ipv6Addr>().is_err()) {
        wrong("ipv6", format!("{:?} is no IPv6 address, such as fd00::7", short(ip)));
    }
    let is_word = |text: &str| {
        !text.is_empty() && text.len() <= MAX_WORD_BYTES && !text.contains([',', '=', '!']) && !text.contains(char::is_control)
    };
    for name in host.tags.keys().filter(|name| !is_word(name)) {
        wrong(
            "tags",
            format!("{:?} can't be a tag: use up to {MAX_WORD_BYTES} bytes without commas, `=`, `!` and control characters", short(name)),
        );
    }
    for (name, value) in host.tags.iter().filter(|(_, value)| !value.is_empty() && !is_word(value)) {
        wrong(
            &format!("tags.{}", short(name)),
            format!("{:?} can't be a value: use up to {MAX_WORD_BYTES} bytes without commas", short(value)),
        );
    }
    for group in host.groups.iter().filter(|group| !is_word(group)) {
        wrong("groups", format!("{:?} can't be a group: use up to {MAX_WORD_BYTES} bytes without commas", short(group)));
    }
    for account in host.accounts.iter().filter(|account| !is_account(account)) {
        wrong("accounts", format!("{:?} is not an account: give names such as `app`", short(account)));
    }
    for (key, count) in [("tags", host.tags.len()), ("groups", host.groups.len()), ("accounts", host.accounts.len())] {
        if count > MOST_WORDS {
            wrong(key, format!("{count} are too many: give at most {MOST_WORDS}"));
        }
    }
    mistakes
}
