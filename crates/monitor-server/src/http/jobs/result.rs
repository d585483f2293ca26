//! Outcome of a step of a job: `GET /api/v1/jobs/{id}/result`.

use std::collections::{BTreeMap, HashMap};

use axum::Json;
use axum::extract::State;
use monitor_jobs::{JobState, Level, messages};
use monitor_wire::{HostMessage, JobResult, JobRunKey, MessageLevel, OutputShape};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use utoipa::IntoParams;

use super::super::params::{PathParts, Strict};
use super::super::{Answer, App};
use super::{NoJob, step_of};

/// Number of bytes of each host's output that are read.
const READ_BYTES: u64 = 1 << 20;
/// Number of characters of an example.
const EXAMPLE_CHARS: usize = 2_000;
/// Maximum number of groups of hosts with similar output.
const MOST_SHAPES: usize = 1_000;
/// Maximum number of messages, and of bytes in their texts.
const MOST_MESSAGES: usize = 10_000;
const MOST_MESSAGE_BYTES: usize = 8 << 20;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in super::super) struct JobResultParams {
    /// Number of the step. By default, the last one that has begun.
    step: Option<u64>,
}

/// Returns the outcome of a step: counts, groups of hosts with similar output, and messages.
///
/// Messages are lines of output of the form `{"status": true, "data": [{"module": "disk", "item": "/", "status": true, "message": "ok"}]}`.
#[utoipa::path(
    get,
    path = "/api/v1/jobs/{id}/result",
    tag = "jobs",
    params(("id" = u64, Path, description = "Number of the job"), JobResultParams),
    responses((status = 200, description = "As it stands", body = JobResult), NoJob)
)]
pub(in super::super) async fn get_result(
    State(app): State<App>,
    path: PathParts,
    Strict(params): Strict<JobResultParams>,
) -> Answer<JobResult> {
    let job = app.jobs.job(path.read("id")?).await?;
    let step = step_of(&job, params.step)?;
    let mut result = counted(&job, step);
    let (mut shapes, mut message_bytes) = (Shapes::default(), 0);
    for (target, run) in job.targets.iter().zip(&job.steps[step].hosts) {
        let (Some(host), false, Some(_)) = (target.host_id, run.status.is_open(), run.accepted_us) else { continue };
        let key = JobRunKey { job: job.id, step: job.steps[step].id, host, attempt: run.running_attempt() };
        let (output, total) = app.jobs.output(key, 0, READ_BYTES).await?;
        let text = String::from_utf8_lossy(&output);
        shapes.add(host, &text);
        if result.is_cut {
            continue;
        }
        for message in messages(&output, run.omitted_bytes > 0 || total > output.len() as u64) {
            message_bytes += message.module.len() + message.item.len() + message.text.len();
            if result.messages.len() == MOST_MESSAGES || message_bytes > MOST_MESSAGE_BYTES {
                result.is_cut = true;
                break;
            }
            let level = match message.level {
                Level::Normal => MessageLevel::Normal,
                Level::Warning => MessageLevel::Warning,
                Level::Error => MessageLevel::Error,
            };
            let (host_id, host) = (host, target.name.clone());
            result.messages.push(HostMessage { host_id, host, level, module: message.module, item: message.item, text: message.text });
        }
    }
    result.is_cut |= shapes.is_cut;
    result.shapes = shapes.groups.into_values().collect();
    result.shapes.sort_by_key(|shape| (std::cmp::Reverse(shape.hosts.len()), shape.hosts.first().copied()));
    Ok(Json(result))
}

/// Groups of hosts with similar output.
#[derive(Default)]
struct Shapes {
    /// Groups by the digest of their shape. The texts of all hosts together could fill the memory.
    groups: HashMap<[u8; 32], OutputShape>,
    /// True if hosts are missing, because there are too many groups.
    is_cut: bool,
}

impl Shapes {
    fn add(&mut self, host: u64, output: &str) {
        let digest = Sha256::digest(shape(output)).into();
        if self.groups.len() == MOST_SHAPES && !self.groups.contains_key(&digest) {
            self.is_cut = true;
            return;
        }
        let new = || OutputShape { hosts: Vec::new(), example: output.chars().take(EXAMPLE_CHARS).collect() };
        self.groups.entry(digest).or_insert_with(new).hosts.push(host);
    }
}

fn counted(job: &JobState, step: usize) -> JobResult {
    let (mut counts, mut tags) = (BTreeMap::new(), BTreeMap::new());
    for run in &job.steps[step].hosts {
        *counts.entry(run.status.0).or_default() += 1;
        if let Some(tag) = &run.tag {
            *tags.entry(tag.clone()).or_default() += 1;
        }
    }
    let (step_id, status) = (job.steps[step].id, job.steps[step].status);
    JobResult { job_id: job.id, step_id, status, counts, tags, shapes: Vec::new(), messages: Vec::new(), is_cut: false }
}

/// Returns a text in which each number is replaced by `0`.
fn shape(text: &str) -> String {
    let mut shape = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            digit if digit.is_ascii_digit() => {
                if !shape.ends_with('0') {
                    shape.push('0');
                }
            }
            other => shape.push(other),
        }
    }
    shape
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_that_differ_in_numbers_only_have_the_same_shape() {
        assert_eq!(shape("used 80% of 100 GB\n"), shape("used 7% of 4096 GB\n"));
        assert_ne!(shape("used 80%"), shape("free 80%"));
    }

    #[test]
    fn further_groups_are_left_out_and_known_ones_still_grow() {
        let mut shapes = Shapes::default();
        for host in 0..=MOST_SHAPES {
            shapes.add(host as u64, &"x".repeat(host + 1));
            assert_eq!(shapes.is_cut, host == MOST_SHAPES);
        }
        shapes.add(7_777, "x");
        let hosts: Vec<_> = shapes.groups.values().map(|group| group.hosts.len()).collect();
        assert_eq!((hosts.len(), hosts.iter().sum()), (MOST_SHAPES, MOST_SHAPES + 1));
    }
}
