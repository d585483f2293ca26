//! Closes connections that are still answering a request after the caller has lost the right to it: the token was revoked or has expired,
//! the user was removed, or the session has ended.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::room::Room;
use crate::access::{Access, AccessError};
use crate::clock::Clock;
use crate::duties::Duty;

/// Interval of the checks. A stream ends within a second of a change.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Checks at an interval until `stopping` is cancelled.
pub(crate) async fn watch(access: &Arc<Access>, room: &Arc<Room>, clock: &Clock, duty: &Duty, stopping: &CancellationToken) {
    while stopping.run_until_cancelled(clock.sleep(LOOK_EVERY)).await.is_some() {
        let (access, room) = (access.clone(), room.clone());
        let result = match tokio::task::spawn_blocking(move || close_revoked(&access, &room)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(monitor_http::with_causes(&error)),
            Err(error) => Err(error.to_string()),
        };
        duty.ran(result.map_err(|problem| format!("could not look which rights have ended: {problem}")), LOOK_EVERY);
    }
}

fn close_revoked(access: &Access, room: &Room) -> Result<(), AccessError> {
    let granted = room.granted();
    if granted.is_empty() {
        return Ok(());
    }
    let version = access.look()?;
    // Cached per credential and scope, because many streams may use the same one.
    let mut looked_up = HashMap::new();
    for (phase, grant) in granted.into_iter().filter(|(_, grant)| access.is_stale(grant, version)) {
        let holds = *looked_up.entry((grant.credential.clone(), grant.scope)).or_insert_with(|| {
            access.holds(&grant.credential, grant.scope).unwrap_or_else(|error| {
                // If the lookup fails, new requests are refused too, so running requests are ended.
                tracing::error!(%error, "a right could not be looked up: its connections are closed");
                false
            })
        });
        phase.settle(&grant, version, holds);
    }
    Ok(())
}
