//! `POST /api/v1/alerts/channels/{channel}/test` and `/preview`: tests of alert channels.

use axum::Json;
use axum::extract::State;
use monitor_store::DeliveriesOf;
use monitor_wire::{AlertChannel, AlertMessage, AlertPreview, Problem};

use super::super::params::{NoParams, PathParts, Strict};
use super::super::problem::ApiError;
use super::super::{Answer, App};
use super::show;
use crate::alerts::{Preview, Ruleset};

/// Sends a test message through a channel immediately and returns the receiver's response.
#[utoipa::path(
    post,
    path = "/api/v1/alerts/channels/{channel}/test",
    tag = "alerts",
    params(("channel" = String, Path, description = "Name of the channel", example = "ops")),
    responses(
        (status = 200, description = "The result", body = AlertMessage),
        (status = 404, description = "The channel does not exist", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in super::super) async fn post_test(
    State(app): State<App>,
    path: PathParts,
    Strict(NoParams {}): Strict<NoParams>,
) -> Answer<AlertMessage> {
    let name = path.text("channel");
    let delivery = app.alerts.test(name).await.ok_or_else(|| no_channel(&app, name))?;
    Ok(Json(show::message(delivery)))
}

/// Returns the newest alert as the channel would format it, without sending a message.
#[utoipa::path(
    post,
    path = "/api/v1/alerts/channels/{channel}/preview",
    tag = "alerts",
    params(("channel" = String, Path, description = "Name of the channel", example = "ops")),
    responses(
        (status = 200, description = "The text of the message", body = AlertPreview),
        (status = 404, description = "The channel does not exist", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in super::super) async fn post_preview(
    State(app): State<App>,
    path: PathParts,
    Strict(NoParams {}): Strict<NoParams>,
) -> Answer<AlertPreview> {
    let name = path.text("channel");
    let Preview { alert, text, trouble } = app.alerts.preview(name).await?.ok_or_else(|| no_channel(&app, name))?;
    Ok(Json(AlertPreview { alert, title: text.title.clone(), is_own: text.own.is_some(), text: text.plain(), trouble }))
}

fn no_channel(app: &App, name: &str) -> ApiError {
    let name: String = name.chars().take(100).collect();
    let remedy = match app.alerts.rules().mistakes.first() {
        Some(mistake) => format!("the file of channels has mistakes, {mistake}"),
        None => "`GET /api/v1/alerts/rules` lists those that there are".to_owned(),
    };
    ApiError::Missing { detail: format!("there is no channel {name:?}: {remedy}") }
}

/// Returns the channels, each with its last message.
pub(super) async fn told(app: &App, ruleset: &Ruleset) -> Result<Vec<AlertChannel>, ApiError> {
    let channels: Vec<(String, &'static str)> =
        ruleset.settings.channels.values().map(|channel| (channel.name.clone(), channel.kind.as_str())).collect();
    app.ask(move |store| {
        let told = channels.into_iter().map(|(name, kind)| {
            let last = store.deliveries(DeliveriesOf::Channel(&name), 1)?.pop().map(show::message);
            Ok(AlertChannel { name, kind: kind.to_owned(), last })
        });
        told.collect()
    })
    .await
}
