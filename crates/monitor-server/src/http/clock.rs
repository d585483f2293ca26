//! `POST /api/v1/clock/confirm`: confirms the server's clock.

use axum::Json;
use axum::extract::State;
use monitor_wire::Confirmed;

use super::params::{NoParams, Strict};
use super::refusals::Unreadable;
use super::{Answer, App};
use crate::retention::Jump;

/// Confirms that the server's clock is right after it jumped ahead, so that retention uses it for the ages of runs at once.
///
/// Has no effect if the clock did not jump.
#[utoipa::path(
    post,
    path = "/api/v1/clock/confirm",
    tag = "server",
    responses(
        (status = 200, description = "The clock is confirmed", body = Confirmed),
        Unreadable,
    )
)]
pub(super) async fn post_confirm(State(app): State<App>, Strict(NoParams {}): Strict<NoParams>) -> Answer<Confirmed> {
    let clock_jump = app.ages.jump().map(Jump::told);
    app.ages.confirm();
    app.sweep.notify_one();
    Ok(Json(Confirmed { clock_jump }))
}
