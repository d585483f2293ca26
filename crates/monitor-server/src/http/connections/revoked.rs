//! Closes connections whose requests go on after the right to them has ended: a token was revoked, somebody was removed or logged out, or
//! a time was over.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::room::Room;
use crate::access::{Access, AccessError};
use crate::clock::Clock;
use crate::duties::Duty;

/// Between two looks at what has changed; a stream ends within a second of it.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Looks again and again, until it is told to stop.
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
    // Many streams may go on by one credential.
    let mut looked_up = HashMap::new();
    for (phase, grant) in granted.into_iter().filter(|(_, grant)| access.is_stale(grant, version)) {
        let holds = *looked_up.entry((grant.credential.clone(), grant.scope)).or_insert_with(|| {
            access.holds(&grant.credential, grant.scope).unwrap_or_else(|error| {
                // Every new request is refused then, too.
                tracing::error!(%error, "a right could not be looked up: its connections are closed");
                false
            })
        });
        phase.settle(&grant, version, holds);
    }
    Ok(())
}
