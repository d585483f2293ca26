//! Closes connections whose requests go on after the right to them has ended: a token was revoked, somebody was removed or logged out, or
//! a time was over.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::room::Room;
use crate::access::Access;

/// Between two looks at what has changed; a stream ends within a second of it.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Looks for as long as it is polled.
pub(super) async fn watch(access: Arc<Access>, room: Arc<Room>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let (access, room) = (access.clone(), room.clone());
        if let Err(error) = tokio::task::spawn_blocking(move || close_revoked(&access, &room)).await {
            tracing::error!(%error, "could not look which rights have ended");
        }
    }
}

fn close_revoked(access: &Access, room: &Room) {
    let granted = room.granted();
    if granted.is_empty() {
        return;
    }
    let version = match access.look() {
        Ok(version) => version,
        Err(error) => {
            tracing::error!(%error, "could not look which rights have ended");
            return;
        }
    };
    // Many streams may go on by one credential.
    let mut looked_up = HashMap::new();
    for (phase, grant) in granted.into_iter().filter(|(_, grant)| Access::is_stale(grant, version)) {
        let holds = *looked_up.entry((grant.credential.clone(), grant.scope)).or_insert_with(|| {
            access.holds(&grant.credential, grant.scope).unwrap_or_else(|error| {
                // Every new request is refused then, too.
                tracing::error!(%error, "a right could not be looked up: its connections are closed");
                false
            })
        });
        phase.settle(&grant, version, holds);
    }
}
