//! `batch_get_job_instance_ip_log` and `get_job_instance_ip_log`: the output of hosts.

use std::collections::HashMap;
use std::net::IpAddr;

use axum::extract::State;
use axum::response::Response;
use monitor_jobs::{JobState, Target};
use monitor_wire::{IpTarget, JobRunKey};
use serde_json::{Value, json};

use super::super::App;
use super::answer::success;
use super::execute::address;
use super::failure::{Failure, code};
use super::params::Params;
use super::status::number;

/// Maximum number of hosts of a call.
const MOST_HOSTS: usize = 500;
/// Maximum number of bytes of output in an answer. Each of the requested hosts has an equal share.
const MOST_BYTES: u64 = 32 << 20;
/// Type of logs of scripts.
const SCRIPT: u8 = 1;

/// A host as a client requests it.
#[derive(Debug, Clone)]
enum Wanted {
    Number(u64),
    Address(IpTarget),
}

pub(super) async fn get_logs(State(app): State<App>, params: Params) -> Result<Response, Failure> {
    let (job, step) = step(&app, &params).await?;
    let numbers = params.numbers("host_id_list")?;
    let wanted: Vec<Wanted> = if numbers.is_empty() {
        params.objects("ip_list")?.iter().map(|params| Ok(Wanted::Address(address(params)?))).collect::<Result<_, Failure>>()?
    } else {
        numbers.into_iter().map(Wanted::Number).collect()
    };
    match wanted.len() {
        0 => return Err(Failure::new(code::MISSING, "ip_list: it is missing: send ip_list or host_id_list")),
        1..=MOST_HOSTS => {}
        count => {
            let why = format!("ip_list: {count} hosts are too many: request at most {MOST_HOSTS} at a time");
            return Err(Failure::new(code::TOO_MANY, why));
        }
    }
    let logs = logs(&app, &job, step, &wanted).await?;
    Ok(success(json!({"log_type": SCRIPT, "script_task_logs": logs})))
}

pub(super) async fn get_log(State(app): State<App>, params: Params) -> Result<Response, Failure> {
    let (job, step) = step(&app, &params).await?;
    let wanted = match params.number("bk_host_id")? {
        Some(number) => Wanted::Number(number),
        None => Wanted::Address(address(&params)?),
    };
    let mut log = logs(&app, &job, step, &[wanted]).await?.pop().unwrap_or_default();
    log["log_type"] = json!(SCRIPT);
    Ok(success(log))
}

async fn step(app: &App, params: &Params) -> Result<(JobState, usize), Failure> {
    let (job, step) = (params.needed_number("job_instance_id")?, params.needed_number("step_instance_id")?);
    let job = super::job(app, job).await?;
    let step = super::step(&job, step)?;
    Ok((job, step))
}

/// Returns a log for each requested host, in the order of the request. It is empty for a host that the job does not have.
async fn logs(app: &App, job: &JobState, step: usize, wanted: &[Wanted]) -> Result<Vec<Value>, Failure> {
    let places = Places::of(app, job).await?;
    let share = MOST_BYTES / wanted.len().max(1) as u64;
    let _room = app.answers.room(MOST_BYTES as usize).await?;
    let mut logs = Vec::new();
    for wanted in wanted {
        let place = places.of_wanted(wanted);
        let target = place.map(|place| &job.targets[place]);
        let run = place.and_then(|place| job.steps[step].hosts.get(place));
        let content = match (target.and_then(|target| target.host_id), run) {
            (Some(host), Some(run)) => {
                let key = JobRunKey { job: job.id, step: job.steps[step].id, host, attempt: run.running_attempt() };
                let (bytes, total) = app.jobs.output(key, 0, share).await?;
                whole_lines(bytes, total)
            }
            _ => String::new(),
        };
        let (host, cloud, ip) = match (wanted, target) {
            // Clients look the log up by the address that they have requested.
            (Wanted::Address(IpTarget { ip, cloud_id }), target) => (target.and_then(number), *cloud_id, ip.clone()),
            (Wanted::Number(number), Some(target)) => (Some(*number), target.cloud_id, target.ip.clone().unwrap_or_default()),
            (Wanted::Number(number), None) => (Some(*number), 0, String::new()),
        };
        logs.push(json!({"bk_host_id": host, "bk_cloud_id": cloud, "ip": ip, "log_content": content}));
    }
    Ok(logs)
}

/// Returns output as text. If a part of the output is missing at the end, its last line is left out unless it is complete.
fn whole_lines(mut bytes: Vec<u8>, total: u64) -> String {
    if (bytes.len() as u64) < total {
        let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |place| place + 1);
        bytes.truncate(end);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Positions of the hosts of a job.
struct Places {
    by_number: HashMap<u64, usize>,
    by_address: HashMap<(IpAddr, u64), usize>,
}

impl Places {
    /// Collects the addresses that hosts had when the job began, and those that they have now.
    async fn of(app: &App, job: &JobState) -> Result<Self, Failure> {
        let mut places = Self { by_number: HashMap::new(), by_address: HashMap::new() };
        for (place, target) in job.targets.iter().enumerate() {
            let Target { ip, cloud_id, .. } = target;
            places.by_number.extend(number(target).map(|number| (number, place)));
            places.add(ip.as_ref(), *cloud_id, place);
        }
        for host in app.jobs.hosts().await? {
            let Some(place) = places.by_number.get(&host.id).copied() else { continue };
            places.add(host.definition.ip.as_ref(), host.definition.cloud_id, place);
            places.add(host.definition.ipv6.as_ref(), host.definition.cloud_id, place);
        }
        Ok(places)
    }

    fn add(&mut self, ip: Option<&String>, cloud_id: u64, place: usize) {
        if let Some(ip) = ip.and_then(|ip| ip.parse().ok()) {
            self.by_address.entry((ip, cloud_id)).or_insert(place);
        }
    }

    fn of_wanted(&self, wanted: &Wanted) -> Option<usize> {
        match wanted {
            Wanted::Number(number) => self.by_number.get(number).copied(),
            Wanted::Address(IpTarget { ip, cloud_id }) => self.by_address.get(&(ip.trim().parse().ok()?, *cloud_id)).copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_that_is_cut_ends_with_a_complete_line() {
        assert_eq!(whole_lines(b"one\ntwo".to_vec(), 7), "one\ntwo");
        assert_eq!(whole_lines(b"one\ntwo".to_vec(), 8), "one\n");
        assert_eq!(whole_lines(b"one".to_vec(), 8), "");
        assert_eq!(whole_lines(b"\xff\n".to_vec(), 2), "\u{fffd}\n");
    }
}
