//! `fast_execute_script`: starts a job with one script.

use std::collections::HashSet;

use axum::Extension;
use axum::extract::{FromRequest as _, Request, State};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use monitor_jobs::{MOST_TARGETS, MOST_TIMEOUT_S};
use monitor_wire::{IpTarget, JobRequest, Language, Rolling, RollingMode, StepRequest, Targets};
use serde_json::{Value, json};

use super::super::App;
use super::answer::recorded;
use super::caller::User;
use super::failure::{Failure, code};
use super::params::Params;
use crate::access::Principal;

/// Name of a job without one.
const NAME: &str = "fast_execute_script";

pub(super) async fn post_execute(
    State(app): State<App>,
    Extension(principal): Extension<Option<Principal>>,
    Extension(user): Extension<User>,
    request: Request,
) -> Response {
    let params = Params::from_request(request, &app).await;
    let what = user.words(params.as_ref().ok());
    let started = match params {
        Ok(params) => execute(&app, &params, principal).await,
        Err(failure) => Err(failure),
    };
    recorded(what, started)
}

async fn execute(app: &App, params: &Params, principal: Option<Principal>) -> Result<(Value, String), Failure> {
    let targets = targets(params)?;
    check_numbers(app, &targets).await?;
    let name = params.text("task_name")?.unwrap_or_else(|| NAME.to_owned());
    let request = JobRequest {
        targets,
        account: account(params)?,
        steps: vec![step(params, name.clone())?],
        rolling: rolling(params)?,
        callback_url: match params.text("callback_url")? {
            Some(url) => Some(url),
            None => params.text("bk_callback_url")?,
        },
        ..JobRequest::default()
    };
    if params.flag("start_task")? == Some(false) {
        return Err(params.illegal("start_task", "a job of this server begins at once: leave it out, or send true"));
    }
    let started = app.jobs.start(request, app.job_caller(principal).await?).await?;
    let step = started.steps.first().map(|step| step.step_id);
    let data = json!({"job_instance_id": started.job_id, "job_instance_name": name, "step_instance_id": step});
    Ok((data, format!("started job {}", started.job_id)))
}

fn step(params: &Params, name: String) -> Result<StepRequest, Failure> {
    let Some(script) = decoded(params, "script_content")? else {
        if params.has("script_id") || params.has("script_version_id") {
            return Err(params.illegal("script_id", "this server stores no scripts: send the text of one as script_content"));
        }
        return Err(params.missing("script_content"));
    };
    let args = match decoded(params, "script_param")? {
        Some(text) => shlex::split(&text).ok_or_else(|| {
            params.illegal(
                "script_param",
                "a quotation mark or a backslash in it has no counterpart: complete it, or escape it with a backslash",
            )
        })?,
        None => Vec::new(),
    };
    let language = match params.number("script_language")?.unwrap_or(1) {
        1 => Language::Shell,
        2 => Language::Bat,
        3 => Language::Perl,
        4 => Language::Python,
        5 => Language::Powershell,
        other => {
            let why = format!("{other} is none of 1 (shell), 2 (bat), 3 (perl), 4 (python), 5 (powershell)");
            return Err(params.illegal("script_language", &why));
        }
    };
    let timeout = match params.number("timeout")? {
        Some(seconds) if !(1..=MOST_TIMEOUT_S).contains(&seconds) => {
            return Err(params.illegal("timeout", &format!("{seconds} is not from 1 to {MOST_TIMEOUT_S} seconds")));
        }
        seconds => seconds.map(|seconds| format!("{seconds}s")),
    };
    let is_param_sensitive = params.flag("is_param_sensitive")?.unwrap_or_default();
    Ok(StepRequest { name: Some(name), script, language, args, is_param_sensitive, timeout, ..StepRequest::default() })
}

/// Decodes a parameter from base64. Line breaks in it are ignored.
fn decoded(params: &Params, name: &str) -> Result<Option<String>, Failure> {
    let Some(mut text) = params.text(name)? else { return Ok(None) };
    text.retain(|char| !char.is_ascii_whitespace());
    let bytes = STANDARD.decode(text).map_err(|error| params.illegal(name, &format!("it is not base64: {error}")))?;
    let text = String::from_utf8(bytes).map_err(|error| params.illegal(name, &format!("the text in it is not UTF-8: {error}")))?;
    Ok(Some(text))
}

fn account(params: &Params) -> Result<Option<String>, Failure> {
    let alias = params.text("account_alias")?;
    if alias.is_none() && params.has("account_id") {
        let why = "account_id: accounts have no numbers on this server: send the name of one as account_alias";
        return Err(Failure::new(code::NO_ACCOUNT, why));
    }
    Ok(alias)
}

/// Reads the hosts. Numbers of hosts take precedence over addresses. Dynamic groups are saved targets: the id is the name.
fn targets(params: &Params) -> Result<Targets, Failure> {
    let server = params.object("target_server")?.ok_or_else(|| params.missing("target_server"))?;
    if !server.list("topo_node_list")?.is_empty() {
        let why = "this server has no topology of a CMDB: send host_id_list, ip_list or dynamic_group_list";
        return Err(server.illegal("topo_node_list", why));
    }
    let group = |group: &Params| group.text("id")?.ok_or_else(|| group.missing("id"));
    let saved: Vec<String> = server.objects("dynamic_group_list")?.iter().map(group).collect::<Result<_, _>>()?;
    let hosts: Vec<String> = server.numbers("host_id_list")?.iter().map(u64::to_string).collect();
    let ips = if hosts.is_empty() { server.objects("ip_list")? } else { Vec::new() };
    let count = hosts.len().max(ips.len()) + saved.len();
    match count {
        0 => Err(Failure::new(code::NO_SERVER, "target_server: no host is selected: send host_id_list, ip_list or dynamic_group_list")),
        1..=MOST_TARGETS => {
            let ips = ips.iter().map(address).collect::<Result<_, _>>()?;
            Ok(Targets { hosts, ips, saved, ..Targets::default() })
        }
        _ => Err(Failure::new(code::TOO_MANY, format!("target_server: {count} hosts are too many: at most {MOST_TARGETS} are possible"))),
    }
}

/// Reads an address of the form `{"bk_cloud_id": 0, "ip": "10.0.0.7"}`.
pub(super) fn address(params: &Params) -> Result<IpTarget, Failure> {
    let ip = params.text("ip")?.ok_or_else(|| params.missing("ip"))?;
    Ok(IpTarget { ip, cloud_id: params.number("bk_cloud_id")?.unwrap_or_default() })
}

/// Refuses a number of a host that doesn't exist if it is the name of another host, because a job would run there.
async fn check_numbers(app: &App, targets: &Targets) -> Result<(), Failure> {
    if targets.hosts.is_empty() {
        return Ok(());
    }
    let hosts = app.jobs.hosts().await?;
    let numbers: HashSet<String> = hosts.iter().map(|host| host.id.to_string()).collect();
    let names: HashSet<&str> = hosts.iter().map(|host| host.definition.name.as_str()).collect();
    match targets.hosts.iter().find(|number| !numbers.contains(*number) && names.contains(number.as_str())) {
        None => Ok(()),
        Some(number) => {
            let why =
                format!("target_server.host_id_list: there is no host with the number {number}, only one of that name: send its number");
            Err(Failure::new(code::NO_SERVER, why))
        }
    }
}

fn rolling(params: &Params) -> Result<Option<Rolling>, Failure> {
    let Some(config) = params.object("rolling_config")? else { return Ok(None) };
    let refused = |why: String| Failure::new(code::ROLLING, format!("rolling_config.{why}"));
    let expression = config.text("expression")?.ok_or_else(|| refused("expression: it is missing".to_owned()))?;
    let mode = match config.number("mode")?.unwrap_or(1) {
        1 => RollingMode::PauseOnFailure,
        2 => RollingMode::Ignore,
        3 => RollingMode::Ask,
        other => return Err(refused(format!("mode: {other} is none of 1 (pause after a failure), 2 (ignore failures), 3 (ask)"))),
    };
    Ok(Some(Rolling { expression, mode, ..Rolling::default() }))
}
