//! `GET /api/v1/alerts`, `/alerts/{alert}` and `/alerts/explain`: alerts and the decisions about them.

use std::collections::{BTreeSet, HashSet};

use axum::Json;
use axum::extract::State;
use monitor_alerts::AlertState;
use monitor_store::{AlertsQuery, DeliveriesOf, Delivery, NotesOf, RootKey, Store, StoreError};
use monitor_wire::{Alert, AlertDetail, AlertExplanation, AlertMessage, AlertsPage, ExplainedSign, Problem, ProcessId};
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::params::{Limit, NoParams, PathParts, Strict};
use super::super::problem::ApiError;
use super::super::refusals::Unreadable;
use super::super::{Answer, App};
use super::{no_alert, show};
use crate::alerts::enrich;

/// Maximum numbers of decisions and of messages in the response about one alert.
const MOST_NOTES: usize = 1_000;
const MOST_MESSAGES: usize = 100;
/// Maximum number of events of a run that are explained.
const MOST_SIGNS: usize = 100;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in super::super) struct AlertsParams {
    /// Only alerts in this state: `firing` or `resolved`.
    state: Option<String>,
    /// Only alerts about this subject, such as `task:gold`.
    subject: Option<String>,
    /// Maximum number of alerts to return (1 to 1000, default 50).
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Limit<1000>,
    /// `next_cursor` of the previous page, unchanged.
    cursor: Option<String>,
}

/// Lists alerts, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/alerts",
    tag = "alerts",
    params(AlertsParams),
    responses(
        (status = 200, description = "One page", body = AlertsPage),
        Unreadable,
    )
)]
pub(in super::super) async fn get_alerts(State(app): State<App>, Strict(params): Strict<AlertsParams>) -> Answer<AlertsPage> {
    let wrong = |name: &str, detail: String| ApiError::Parameter { name: name.to_owned(), detail: format!("parameter `{name}`: {detail}") };
    let state = params
        .state
        .as_deref()
        .map(|state| AlertState::from_word(state).ok_or_else(|| wrong("state", "`firing` or `resolved` is expected".to_owned())));
    let before = params
        .cursor
        .as_deref()
        .map(|cursor| cursor.parse::<u64>().map_err(|_| wrong("cursor", "the `next_cursor` of the page before is expected".to_owned())));
    let limit = params.limit.0;
    let query = AlertsQuery { state: state.transpose()?, subject: params.subject, before: before.transpose()?, limit: limit + 1 };
    let found = app.ask(move |store| {
        let alerts = store.alerts(&query)?;
        let is_more = alerts.len() > limit;
        let listed = alerts.into_iter().take(limit).map(|alert| {
            let deliveries = newest_to_each(store.deliveries(DeliveriesOf::Alert(alert.id), MOST_MESSAGES)?);
            Ok(Alert { deliveries, ..show::alert(alert) })
        });
        Ok((listed.collect::<Result<Vec<_>, StoreError>>()?, is_more))
    });
    let (alerts, is_more) = found.await?;
    let next_cursor = alerts.last().filter(|_| is_more).map(|last| last.id.to_string());
    let ruleset = app.alerts.rules();
    let can_tell = !ruleset.settings.channels.is_empty();
    Ok(Json(AlertsPage { alerts, next_cursor, can_tell, mistakes: ruleset.mistakes.clone() }))
}

/// Returns an alert with its decisions and messages.
#[utoipa::path(
    get,
    path = "/api/v1/alerts/{alert}",
    tag = "alerts",
    params(("alert" = u64, Path, description = "Number of the alert", example = 1)),
    responses(
        (status = 200, description = "The alert", body = AlertDetail),
        (status = 404, description = "The alert does not exist", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in super::super) async fn get_alert(
    State(app): State<App>,
    path: PathParts,
    Strict(NoParams {}): Strict<NoParams>,
) -> Answer<AlertDetail> {
    let id: u64 = path.text("alert").parse().map_err(|_| no_alert(path.text("alert")))?;
    let page_url = app.alerts.page_url().to_owned();
    let found = app.ask(move |store| detail(store, id, &page_url, |_| true));
    Ok(Json(found.await?.ok_or_else(|| no_alert(path.text("alert")))?))
}

/// Returns the newest message to each recipient. `messages` are those of an alert, the newest first.
fn newest_to_each(messages: Vec<Delivery>) -> Vec<AlertMessage> {
    let mut recipients = HashSet::new();
    let is_newest = |of: &Delivery| recipients.insert((of.message.channel.clone(), of.message.address.clone()));
    messages.into_iter().filter(is_newest).map(show::message).collect()
}

/// Returns an alert with its messages, and the decisions for which `is_wanted` returns true.
fn detail(
    store: &dyn Store,
    id: u64,
    page_url: &str,
    is_wanted: impl Fn(&monitor_alerts::Note) -> bool,
) -> Result<Option<AlertDetail>, StoreError> {
    let Some(mut alert) = store.alert(id)? else { return Ok(None) };
    enrich::alert(store, page_url, &mut alert);
    let notes = store.alert_notes(NotesOf::Alert(id), MOST_NOTES)?.into_iter().filter(is_wanted);
    let messages = store.deliveries(DeliveriesOf::Alert(id), MOST_MESSAGES)?;
    let (notes, messages) = (notes.map(show::note).collect(), messages.into_iter().map(show::message).collect());
    Ok(Some(AlertDetail { alert: show::alert(alert), notes, messages }))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in super::super) struct ExplainAlertParams {
    /// Run, by its id or number.
    root: String,
    /// Id of a process of the run. Without it, all processes are considered.
    process: Option<String>,
}

/// Explains the decisions about the events of a run: the recipients that were notified, those that were not, and the rule, window or silence
/// that decided it.
#[utoipa::path(
    get,
    path = "/api/v1/alerts/explain",
    tag = "alerts",
    params(ExplainAlertParams),
    responses(
        (status = 200, description = "The events that may raise alerts, with the decisions about them", body = AlertExplanation),
        Unreadable,
        (status = 404, description = "The run does not exist", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in super::super) async fn get_alert_explanation(
    State(app): State<App>,
    Strict(params): Strict<ExplainAlertParams>,
) -> Answer<AlertExplanation> {
    let wrong = |name: &str| ApiError::Parameter { name: name.to_owned(), detail: format!("parameter `{name}`: an id is expected") };
    let process = params.process.as_deref().map(|id| id.parse::<ProcessId>().map_err(|_| wrong("process"))).transpose()?;
    let root = match (params.root.parse(), params.root.parse::<u64>()) {
        // The id also explains a run that has been deleted.
        (Ok(id), _) => Some(id),
        (Err(_), Ok(number)) => app.ask(move |store| store.root(RootKey::Number(number))).await?.map(|root| root.root_id),
        _ => return Err(wrong("root")),
    };
    let Some(root) = root else { return Err(ApiError::NoRoot { root: params.root }) };
    let page_url = app.alerts.page_url().to_owned();
    let explained = app.ask(move |store| {
        let (mut signs, mut concerned) = (Vec::new(), BTreeSet::new());
        for sign in store.signs_of(&root.to_string(), process.map(|id| id.to_string()).as_deref(), MOST_SIGNS)? {
            let notes = store.alert_notes(NotesOf::Sign(sign.seq), MOST_SIGNS)?;
            concerned.extend(notes.iter().map(|note| note.alert).filter(|alert| *alert > 0));
            signs.push(ExplainedSign {
                time_us: sign.time_us,
                what: sign.what.as_str().to_owned(),
                subject: sign.subject.to_string(),
                process_id: sign.process,
                notes: notes.into_iter().map(show::note).collect(),
            });
        }
        let alerts = concerned.into_iter().filter_map(|alert| detail(store, alert, &page_url, |note| note.sign == 0).transpose());
        let alerts = alerts.collect::<Result<_, _>>()?;
        Ok(AlertExplanation { signs, alerts })
    });
    Ok(Json(explained.await?))
}
