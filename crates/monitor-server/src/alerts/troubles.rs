//! Troubles of the server itself, which no event reports: a full disk, and mistakes in the file of rules and channels.

use std::sync::PoisonError;

use monitor_alerts::{AlertState, Cause, Subject, SubjectKind};
use monitor_store::{AlertsChange, AlertsQuery, of_server};

use super::{Alerts, blocking};
use crate::ingest::IngestError;

/// Subject of alerts about the server's disk.
const DISK: &str = "disk";
/// Subject of alerts about the file of rules and channels.
const FILE: &str = "alerts.toml";

impl Alerts {
    /// Checks if the disk is full.
    pub(super) async fn look_at_disk(&self) -> Result<(), IngestError> {
        self.note_trouble(Cause::Disk, DISK, self.parts.ingest.full().as_deref()).await
    }

    /// Checks if the file of rules and channels has mistakes.
    pub(super) async fn look_at_mistakes(&self) -> Result<(), IngestError> {
        let ruleset = self.rules();
        let why = (!ruleset.mistakes.is_empty()).then(|| ruleset.mistakes.join("\n"));
        self.note_trouble(Cause::Settings, FILE, why.as_deref()).await
    }

    /// Stores a sign when a trouble begins, and another one when it ends.
    async fn note_trouble(&self, cause: Cause, name: &'static str, why: Option<&str>) -> Result<(), IngestError> {
        let known = self.troubles.lock().unwrap_or_else(PoisonError::into_inner).get(name).copied();
        let was = match known {
            Some(was) => was,
            None => self.tells_of(name).await?,
        };
        if was != why.is_some() {
            let sign = of_server(cause, name, why, self.parts.clock.wall_us());
            self.change(AlertsChange { signs: vec![sign], ..AlertsChange::default() }).await?;
        }
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner).insert(name, why.is_some());
        Ok(())
    }

    /// True if an alert about the trouble is firing, which may stem from before the server started.
    async fn tells_of(&self, name: &str) -> Result<bool, IngestError> {
        let subject = Subject::new(SubjectKind::Server, name).to_string();
        let query = AlertsQuery { state: Some(AlertState::Firing), subject: Some(subject), before: None, limit: 1 };
        let store = self.parts.store.clone();
        Ok(!blocking(move || store.alerts(&query)).await?.is_empty())
    }
}
