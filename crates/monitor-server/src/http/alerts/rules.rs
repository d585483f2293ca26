//! `GET /api/v1/alerts/rules`, `PUT` and `DELETE /api/v1/alerts/rules/{rule}`: rules of alerts.

use axum::extract::State;
use axum::{Extension, Json};
use monitor_alerts::{Mistake, Rule};
use monitor_store::{AlertsChange, RuleEdit};
use monitor_wire::{AlertRule, AlertRules, Problem};
use serde_json::{Map, Value};

use super::super::batch::who;
use super::super::commands::Small;
use super::super::params::{NoParams, PathParts, Strict};
use super::super::problem::ApiError;
use super::super::refusals::NotTaken;
use super::super::{Answer, App};
use super::channels;
use crate::access::Principal;
use crate::alerts::Ruleset;

/// Maximum size of a rule, in bytes.
const MAX_BYTES: usize = 64 << 10;

/// Lists the rules and channels in effect.
///
/// The rules of the file come first, then the rules of the page, then the built-in rules.
#[utoipa::path(
    get,
    path = "/api/v1/alerts/rules",
    tag = "alerts",
    responses((status = 200, description = "The rules and channels", body = AlertRules))
)]
pub(in super::super) async fn get_rules(State(app): State<App>, Strict(NoParams {}): Strict<NoParams>) -> Answer<AlertRules> {
    told(&app).await
}

async fn told(app: &App) -> Answer<AlertRules> {
    let ruleset = app.alerts.rules();
    let rules = ruleset.rules.iter().map(|rule| shown(&ruleset, rule)).collect();
    let channels = channels::told(app, &ruleset).await?;
    let file = app.alerts.file().display();
    let mut warnings: Vec<_> = ruleset.settings.warnings.iter().map(|warning| warning.in_file(&file)).collect();
    let stored = ruleset.rules.iter().filter(|rule| source(&ruleset, rule) == "page");
    warnings.extend(stored.filter_map(|rule| Some(format!("rule {}: {}", rule.name, rule.warning()?))));
    Ok(Json(AlertRules { rules, channels, mistakes: ruleset.mistakes.clone(), warnings, file: file.to_string() }))
}

fn shown(ruleset: &Ruleset, rule: &Rule) -> AlertRule {
    let definition = match serde_json::to_value(rule) {
        Ok(Value::Object(definition)) => definition,
        _ => Map::new(),
    };
    let replaces_builtin = !rule.is_builtin && monitor_alerts::builtin().iter().any(|of| of.name == rule.name);
    AlertRule { name: rule.name.clone(), source: source(ruleset, rule).to_owned(), replaces_builtin, definition }
}

/// Returns the origin of a rule.
fn source(ruleset: &Ruleset, rule: &Rule) -> &'static str {
    if rule.is_builtin {
        "built-in"
    } else if ruleset.settings.rules.iter().any(|of| of.name == rule.name) {
        "file"
    } else {
        "page"
    }
}

/// Adds or changes a rule, in the format described in docs/reference/alert-rules.md.
///
/// The error lists all mistakes of the rule.
#[utoipa::path(
    put,
    path = "/api/v1/alerts/rules/{rule}",
    tag = "alerts",
    params(("rule" = String, Path, description = "Name of the rule", example = "imports")),
    request_body(content = Object, example = json!({"on": {"cause": ["failed"], "task": "import-*"}, "times": 2, "to": ["@owner"]})),
    responses(
        (status = 200, description = "The rules and channels in effect", body = AlertRules),
        (status = 400, description = "The rule is invalid", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "A rule with this name is defined in the file", body = Problem, content_type = "application/problem+json"),
        NotTaken,
    )
)]
pub(in super::super) async fn put_rule(
    State(app): State<App>,
    Extension(principal): Extension<Option<Principal>>,
    path: PathParts,
    Strict(NoParams {}): Strict<NoParams>,
    Small(mut definition): Small<Map<String, Value>, MAX_BYTES>,
) -> Answer<AlertRules> {
    let (name, ruleset) = (path.text("rule").to_owned(), app.alerts.rules());
    in_file(&ruleset, &name)?;
    definition.insert("name".to_owned(), name.clone().into());
    let rule = Rule::from_json(definition.into(), &ruleset.settings.channels).map_err(|mistakes| wrong(&mistakes))?;
    change(&app, RuleEdit { name, who: who(principal), rule: Some(rule) }).await
}

/// Deletes a rule that was added on the page.
///
/// If there is a built-in rule with the same name, it takes effect again.
#[utoipa::path(
    delete,
    path = "/api/v1/alerts/rules/{rule}",
    tag = "alerts",
    params(("rule" = String, Path, description = "Name of the rule", example = "imports")),
    responses(
        (status = 200, description = "The rules and channels in effect", body = AlertRules),
        (status = 404, description = "The rule does not exist", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The rule is defined in the file", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in super::super) async fn delete_rule(
    State(app): State<App>,
    Extension(principal): Extension<Option<Principal>>,
    path: PathParts,
    Strict(NoParams {}): Strict<NoParams>,
) -> Answer<AlertRules> {
    let (name, ruleset) = (path.text("rule").to_owned(), app.alerts.rules());
    in_file(&ruleset, &name)?;
    if !ruleset.stored.iter().any(|rule| rule.name == name && rule.definition.is_some()) {
        return Err(no_rule(&name));
    }
    change(&app, RuleEdit { name, who: who(principal), rule: None }).await
}

fn in_file(ruleset: &Ruleset, name: &str) -> Result<(), ApiError> {
    if ruleset.settings.rules.iter().any(|rule| rule.name == name) {
        return Err(ApiError::Conflict { detail: format!("the rule {name} stands in the file: change it there") });
    }
    Ok(())
}

pub(super) fn no_rule(name: &str) -> ApiError {
    let name: String = name.chars().take(100).collect();
    ApiError::Missing { detail: format!("there is no rule {name:?}: `GET /api/v1/alerts/rules` lists those that there are") }
}

pub(super) fn wrong(mistakes: &[Mistake]) -> ApiError {
    ApiError::Body { detail: mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n") }
}

async fn change(app: &App, edit: RuleEdit) -> Answer<AlertRules> {
    app.alerts.change(AlertsChange { rules: vec![edit], ..AlertsChange::default() }).await?;
    app.alerts.rules_changed();
    app.alerts.look().await?;
    told(app).await
}
