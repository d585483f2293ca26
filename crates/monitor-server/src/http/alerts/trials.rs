//! `GET /api/v1/alerts/try`, `GET` and `POST /api/v1/alerts/trials`: trials of rules on past events.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use monitor_alerts::{Channel, Rule, Settings, World};
use monitor_wire::{AlertTrial, AlertTrials, Problem, RuleDraft, RuleTrial};
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::commands::Small;
use super::super::params::{NoParams, Strict};
use super::super::problem::ApiError;
use super::super::refusals::Unreadable;
use super::super::{Answer, App};
use super::rules::{no_rule, wrong};
use super::show;

/// Maximum size of a draft, in bytes.
const MAX_BYTES: usize = 64 << 10;
/// Maximum number of rules in a draft.
const MOST_RULES: usize = 20;
/// Maximum number of signs times the number of rules, per request. With several rules, fewer signs are read.
const MOST_SIGNS: usize = 100_000;
/// Maximum number of alerts in the response.
const MOST_ALERTS: usize = 100;
const DAY_US: u64 = 86_400_000_000;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in super::super) struct TryParams {
    /// Name of the rule.
    #[param(example = "failed")]
    rule: String,
    /// Number of past days to try the rule on (1 to 90, default 7).
    #[param(minimum = 1, maximum = 90)]
    days: Option<u32>,
}

/// Tries a rule on past events.
///
/// Returns the alerts that this rule alone would have raised, without silences.
#[utoipa::path(
    get,
    path = "/api/v1/alerts/try",
    tag = "alerts",
    params(TryParams),
    responses(
        (status = 200, description = "The alerts that the rule would have raised", body = AlertTrial),
        Unreadable,
        (status = 404, description = "The rule does not exist", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in super::super) async fn get_try(State(app): State<App>, Strict(params): Strict<TryParams>) -> Answer<AlertTrial> {
    let days = days(params.days)?;
    let ruleset = app.alerts.rules();
    let rule = ruleset.rules.iter().find(|rule| rule.name == params.rule).cloned().ok_or_else(|| no_rule(&params.rule))?;
    let mut trials = tried(&app, vec![rule], ruleset.settings.channels.clone(), days).await?;
    trials.pop().map(|tried| Json(tried.trial)).ok_or_else(|| no_rule(&params.rule))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in super::super) struct TrialsParams {
    /// Number of past days to try the rules on (1 to 90, default 7).
    #[param(minimum = 1, maximum = 90)]
    days: Option<u32>,
}

/// Tries all rules in effect on past events.
///
/// Returns the alerts that each rule alone would have raised, without silences.
#[utoipa::path(
    get,
    path = "/api/v1/alerts/trials",
    tag = "alerts",
    params(TrialsParams),
    responses(
        (status = 200, description = "The alerts that each rule would have raised", body = AlertTrials),
        Unreadable,
    )
)]
pub(in super::super) async fn get_trials(State(app): State<App>, Strict(params): Strict<TrialsParams>) -> Answer<AlertTrials> {
    let days = days(params.days)?;
    let ruleset = app.alerts.rules();
    let trials = tried(&app, ruleset.rules.clone(), ruleset.settings.channels.clone(), days).await?;
    Ok(Json(AlertTrials { trials, warnings: Vec::new() }))
}

/// Tries draft rules, written as in `alerts.toml`, on past events.
///
/// Nothing is stored and no notification is sent. The error lists all mistakes of the draft with line and column.
#[utoipa::path(
    post,
    path = "/api/v1/alerts/trials",
    tag = "alerts",
    request_body = RuleDraft,
    responses(
        (status = 200, description = "The alerts that each rule would have raised", body = AlertTrials),
        (status = 400, description = "The rules are invalid. The error lists all mistakes, one per line", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The rules are too large", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "The body is not JSON, or is compressed", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in super::super) async fn post_trials(
    State(app): State<App>,
    Strict(NoParams {}): Strict<NoParams>,
    Small(draft): Small<RuleDraft, MAX_BYTES>,
) -> Answer<AlertTrials> {
    let days = days(draft.days)?;
    let mut channels = app.alerts.rules().settings.channels.clone();
    let settings = Settings::draft(&draft.toml, &channels).map_err(|mistakes| wrong(&mistakes))?;
    if !(1..=MOST_RULES).contains(&settings.rules.len()) {
        let detail = format!("toml: 1 to {MOST_RULES} rules are expected, each below [[rule]], and these are {}", settings.rules.len());
        return Err(ApiError::Body { detail });
    }
    channels.extend(settings.channels);
    let trials = tried(&app, settings.rules, channels, days).await?;
    Ok(Json(AlertTrials { trials, warnings: settings.warnings.iter().map(ToString::to_string).collect() }))
}

fn days(days: Option<u32>) -> Result<u64, ApiError> {
    let days = days.unwrap_or(7);
    if !(1..=90).contains(&days) {
        let detail = "parameter `days`: 1 to 90 is expected".to_owned();
        return Err(ApiError::Parameter { name: "days".to_owned(), detail });
    }
    Ok(days.into())
}

/// Returns the alerts that each rule alone would have raised.
async fn tried(app: &App, rules: Vec<Rule>, channels: BTreeMap<String, Channel>, days: u64) -> Result<Vec<RuleTrial>, ApiError> {
    let until_us = app.clock.wall_us();
    let most = MOST_SIGNS / rules.len().max(1);
    app.ask(move |store| {
        let mut signs = store.signs_between((until_us.saturating_sub(days * DAY_US), until_us), most + 1)?;
        let is_cut = signs.len() > most;
        signs.drain(..signs.len().saturating_sub(most));
        let trials = rules.into_iter().map(|rule| {
            let world = World { rules: std::slice::from_ref(&rule), channels: &channels, hushes: &[] };
            let replayed = monitor_alerts::replay(world, &signs, until_us);
            let (count, messages) = (replayed.alerts.len() as u64, replayed.messages.len() as u64);
            let alerts = replayed.alerts.into_values().rev().take(MOST_ALERTS).map(show::alert).collect();
            RuleTrial { rule: rule.name.clone(), trial: AlertTrial { count, messages, alerts, is_cut } }
        });
        Ok(trials.collect())
    })
    .await
}
