//! The disk of the server: that it has no room is a sign, which no event tells.

use std::sync::PoisonError;

use monitor_alerts::{AlertState, Subject, SubjectKind};

use super::{Alerts, blocking};
use crate::ingest::IngestError;
use crate::store::{AlertsChange, AlertsQuery, DISK, of_disk};

impl Alerts {
    /// Stores a sign when the disk has no room, and another when it has room again.
    pub(super) async fn look_at_disk(&self) -> Result<(), IngestError> {
        let why = self.parts.ingest.full();
        let known = *self.is_full.lock().unwrap_or_else(PoisonError::into_inner);
        let was_full = match known {
            Some(was_full) => was_full,
            None => self.tells_of_disk().await?,
        };
        if was_full != why.is_some() {
            let sign = of_disk(why.as_deref(), self.parts.clock.wall_us());
            self.change(AlertsChange { signs: vec![sign], ..AlertsChange::default() }).await?;
        }
        *self.is_full.lock().unwrap_or_else(PoisonError::into_inner) = Some(why.is_some());
        Ok(())
    }

    /// Returns true if an alert fires that the disk has no room: the server may have been stopped meanwhile.
    async fn tells_of_disk(&self) -> Result<bool, IngestError> {
        let subject = Subject::new(SubjectKind::Server, DISK).to_string();
        let query = AlertsQuery { state: Some(AlertState::Firing), subject: Some(subject), before: None, limit: 1 };
        let store = self.parts.store.clone();
        Ok(!blocking(move || store.alerts(&query)).await?.is_empty())
    }
}
