//! Hosts and jobs in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use monitor_jobs::{HostRun, JobState, StepState, Transition, apply};
use monitor_wire::{CallbackDelivery, DeliveryState, HostDefinition, HostStatus, JobCallback, JobStatus, Targets};

use crate::jobs::{listed, new_delivery};
use crate::{HostRow, JobHostRow, JobHostsQuery, JobRow, JobStore, JobsQuery, NewJob, SavedRow, StoreError};

/// In-memory store of hosts and jobs. A clone has the same data.
#[derive(Clone, Default)]
pub struct MemoryJobs(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    hosts: BTreeMap<String, HostRow>,
    saved: BTreeMap<String, SavedRow>,
    jobs: BTreeMap<u64, JobState>,
    changes: Vec<(u64, u64, Transition)>,
    deliveries: BTreeMap<u64, CallbackDelivery>,
    /// Jobs that no job follows, although their requests name one.
    without_follow_up: BTreeSet<u64>,
    last_host: u64,
    last_job: u64,
    last_step: u64,
    last_change: u64,
    last_delivery: u64,
}

impl State {
    fn job_of_request(&self, request_id: &str, since_us: u64) -> Option<JobState> {
        let is_its = |job: &&JobState| job.request.request_id.as_deref() == Some(request_id) && job.created_us >= since_us;
        self.jobs.values().find(is_its).cloned()
    }

    fn put_host(&mut self, definition: &HostDefinition, now_us: u64) -> (&mut HostRow, bool) {
        let is_new = !self.hosts.contains_key(&definition.name);
        self.last_host += u64::from(is_new);
        let new = HostRow { id: self.last_host, definition: definition.clone(), created_us: now_us, is_from_file: false, has_agent: false };
        let row = self.hosts.entry(definition.name.clone()).or_insert(new);
        row.definition = definition.clone();
        (row, is_new)
    }

    fn add_delivery(&mut self, callback: &JobCallback) {
        let newest = self.deliveries.values().rfind(|delivery| delivery.callback.job_instance_id == callback.job_instance_id);
        if let Some(newest) = newest
            && newest.attempts == 0
            && newest.callback.has_same_content(callback)
        {
            return;
        }
        self.last_delivery += 1;
        let id = self.last_delivery;
        self.deliveries.insert(id, new_delivery(id, callback));
    }
}

impl MemoryJobs {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl JobStore for MemoryJobs {
    fn hosts(&self) -> Result<Vec<HostRow>, StoreError> {
        Ok(self.state().hosts.values().cloned().collect())
    }

    fn put_hosts(&self, definitions: &[HostDefinition], now_us: u64) -> Result<Vec<bool>, StoreError> {
        let mut state = self.state();
        Ok(definitions.iter().map(|definition| state.put_host(definition, now_us).1).collect())
    }

    fn meet_host(&self, name: &str, now_us: u64) -> Result<(), StoreError> {
        let mut state = self.state();
        if !state.hosts.contains_key(name) {
            state.put_host(&HostDefinition { name: name.to_owned(), ..HostDefinition::default() }, now_us);
        }
        state.hosts.entry(name.to_owned()).and_modify(|row| row.has_agent = true);
        Ok(())
    }

    fn remove_host(&self, id: u64) -> Result<bool, StoreError> {
        let mut state = self.state();
        let before = state.hosts.len();
        state.hosts.retain(|_, row| row.id != id);
        Ok(state.hosts.len() < before)
    }

    fn saved_targets(&self) -> Result<Vec<SavedRow>, StoreError> {
        Ok(self.state().saved.values().cloned().collect())
    }

    fn put_saved_targets(&self, name: &str, targets: &Targets) -> Result<(), StoreError> {
        let row = SavedRow { name: name.to_owned(), targets: targets.clone(), is_from_file: false };
        self.state().saved.insert(name.to_owned(), row);
        Ok(())
    }

    fn remove_saved_targets(&self, name: &str) -> Result<bool, StoreError> {
        Ok(self.state().saved.remove(name).is_some())
    }

    fn put_inventory(&self, hosts: &[HostDefinition], saved: &BTreeMap<String, Targets>, now_us: u64) -> Result<(), StoreError> {
        let mut state = self.state();
        state.hosts.retain(|name, row| !row.is_from_file || hosts.iter().any(|host| host.name == *name));
        state.saved.retain(|_, row| !row.is_from_file);
        for host in hosts {
            state.put_host(host, now_us).0.is_from_file = true;
        }
        let row = |(name, targets): (&String, &Targets)| {
            (name.clone(), SavedRow { name: name.clone(), targets: targets.clone(), is_from_file: true })
        };
        state.saved.extend(saved.iter().map(row));
        Ok(())
    }

    fn add_job(&self, new: &NewJob, since_us: u64) -> Result<(JobState, bool), StoreError> {
        let mut state = self.state();
        if let Some(request_id) = &new.request.request_id
            && let Some(job) = state.job_of_request(request_id, since_us)
        {
            return Ok((job, false));
        }
        if let Some(followed) = new.follows.and_then(|id| state.jobs.get(&id)) {
            if let Some(next) = followed.followed_by.and_then(|next| state.jobs.get(&next)) {
                return Ok((next.clone(), false));
            }
            let (id, next) = (followed.id, state.last_job + 1);
            state.jobs.entry(id).and_modify(|job| job.followed_by = Some(next));
        }
        state.last_job += 1;
        let mut job = JobState {
            id: state.last_job,
            status: JobStatus::WAITING,
            request: new.request.clone(),
            by: new.by.clone(),
            follows: new.follows,
            followed_by: None,
            warnings: new.verdict.warnings.clone(),
            targets: new.targets.clone(),
            steps: Vec::new(),
            created_us: new.created_us,
            started_us: None,
            ended_us: None,
        };
        for position in 0..new.request.steps.len() {
            state.last_step += 1;
            job.steps.push(StepState {
                id: state.last_step,
                status: new.first_status(position),
                attempt: 1,
                batches: 0,
                started_us: None,
                ended_us: None,
                hosts: vec![HostRun::default(); new.targets.len()],
            });
        }
        state.jobs.insert(job.id, job.clone());
        Ok((job, true))
    }

    fn job_of_request(&self, request_id: &str, since_us: u64) -> Result<Option<JobState>, StoreError> {
        Ok(self.state().job_of_request(request_id, since_us))
    }

    fn jobs_to_follow(&self) -> Result<Vec<u64>, StoreError> {
        let state = self.state();
        let is_failed = |job: &&JobState| job.status == JobStatus::FAILED && job.request.follow_up().is_some() && job.followed_by.is_none();
        let failed = state.jobs.values().filter(is_failed).map(|job| job.id);
        Ok(failed.filter(|id| !state.without_follow_up.contains(id)).collect())
    }

    fn refuse_follow_up(&self, id: u64, reason: &str) -> Result<(), StoreError> {
        let mut state = self.state();
        state.without_follow_up.insert(id);
        state.jobs.entry(id).and_modify(|job| job.warnings.push(reason.to_owned()));
        Ok(())
    }

    fn open_jobs(&self) -> Result<Vec<u64>, StoreError> {
        let is_lost = |run: &HostRun| run.is_stopping && run.status == HostStatus::UNREACHABLE;
        let is_open = |job: &&JobState| job.ended_us.is_none() || job.steps.iter().any(|step| step.hosts.iter().any(is_lost));
        Ok(self.state().jobs.values().filter(is_open).map(|job| job.id).collect())
    }

    fn job(&self, id: u64) -> Result<Option<JobState>, StoreError> {
        Ok(self.state().jobs.get(&id).cloned())
    }

    fn jobs(&self, query: &JobsQuery) -> Result<Vec<JobRow>, StoreError> {
        let matches = |job: &&JobState| {
            query.status.is_none_or(|status| job.status == status)
                && query.is_open.is_none_or(|is_open| job.ended_us.is_none() == is_open)
                && query.name.as_ref().is_none_or(|name| job.request.name.as_ref().is_some_and(|of| of.contains(name)))
                && query.host.is_none_or(|host| job.targets.iter().any(|target| target.host_id == Some(host)))
                && query.from_us.is_none_or(|from| job.created_us >= from)
                && query.before.is_none_or(|before| job.id < before)
        };
        Ok(self.state().jobs.values().rev().filter(matches).take(query.limit).map(row).collect())
    }

    fn job_hosts(&self, query: &JobHostsQuery) -> Result<Vec<(u64, JobHostRow)>, StoreError> {
        let state = self.state();
        let Some(job) = state.jobs.get(&query.job) else { return Ok(Vec::new()) };
        let rows = job.steps.iter().flat_map(|step| step.hosts.iter().zip(&job.targets).map(move |(run, target)| (step.id, run, target)));
        let matches = |(number, (step, run, _)): &(u64, (u64, &HostRun, _))| {
            query.step.is_none_or(|id| id == *step)
                && query.status.is_none_or(|status| status == run.status)
                && (query.tag.is_none() || query.tag == run.tag)
                && *number > query.after.unwrap_or(0)
        };
        let host = |(number, (step_id, run, target)): (u64, (u64, &HostRun, &monitor_jobs::Target))| {
            (number, JobHostRow { step_id, target: target.clone(), run: run.clone() })
        };
        Ok((1..).zip(rows).filter(matches).take(query.limit).map(host).collect())
    }

    fn change_job(&self, id: u64, changes: &[Transition], callback: Option<&JobCallback>) -> Result<(), StoreError> {
        let mut state = self.state();
        let State { jobs, changes: all, last_change, .. } = &mut *state;
        if let Some(job) = jobs.get_mut(&id) {
            for change in changes {
                apply(job, change);
                *last_change += 1;
                all.push((*last_change, id, change.clone()));
            }
            if let Some(callback) = callback {
                state.add_delivery(callback);
            }
        }
        Ok(())
    }

    fn job_changes(&self, after: u64, limit: usize) -> Result<Vec<(u64, u64, Transition)>, StoreError> {
        Ok(self.state().changes.iter().filter(|(number, ..)| *number > after).take(limit).cloned().collect())
    }

    fn forget_changes(&self, until: u64) -> Result<(), StoreError> {
        self.state().changes.retain(|(number, ..)| *number > until);
        Ok(())
    }

    fn waiting_callbacks(&self, limit: usize) -> Result<Vec<(String, CallbackDelivery)>, StoreError> {
        let state = self.state();
        let mut oldest: BTreeMap<u64, &CallbackDelivery> = BTreeMap::new();
        for delivery in state.deliveries.values().filter(|delivery| delivery.state == DeliveryState::Waiting) {
            oldest.entry(delivery.callback.job_instance_id).or_insert(delivery);
        }
        let url = |job: u64| state.jobs.get(&job).and_then(|job| job.request.callback_url.clone());
        let mut waiting: Vec<_> = oldest.into_iter().filter_map(|(job, delivery)| Some((url(job)?, delivery.clone()))).collect();
        waiting.sort_by_key(|(_, delivery)| (delivery.next_us, delivery.id));
        waiting.truncate(limit);
        Ok(waiting)
    }

    fn put_delivery(&self, delivery: &CallbackDelivery) -> Result<(), StoreError> {
        if let Some(stored) = self.state().deliveries.get_mut(&delivery.id) {
            *stored = delivery.clone();
        }
        Ok(())
    }

    fn callbacks(&self, job: u64, before: Option<u64>, limit: usize) -> Result<Option<Vec<CallbackDelivery>>, StoreError> {
        let state = self.state();
        if !state.jobs.contains_key(&job) {
            return Ok(None);
        }
        let matches =
            |delivery: &&CallbackDelivery| delivery.callback.job_instance_id == job && before.is_none_or(|before| delivery.id < before);
        Ok(Some(state.deliveries.values().rev().filter(matches).take(limit).cloned().collect()))
    }

    fn remove_jobs(&self, before_us: u64, limit: usize) -> Result<Vec<u64>, StoreError> {
        let mut state = self.state();
        let mut ended: Vec<(u64, u64)> = state.jobs.values().filter_map(|job| Some((job.ended_us?, job.id))).collect();
        ended.retain(|(ended, _)| *ended < before_us);
        ended.sort_unstable();
        let ids: BTreeSet<u64> = ended.into_iter().take(limit).map(|(_, id)| id).collect();
        state.jobs.retain(|id, _| !ids.contains(id));
        state.deliveries.retain(|_, delivery| !ids.contains(&delivery.callback.job_instance_id));
        Ok(ids.into_iter().collect())
    }
}

fn row(job: &JobState) -> JobRow {
    let counts = job.steps.iter().map(|step| {
        let mut counts: BTreeMap<HostStatus, u32> = BTreeMap::new();
        step.hosts.iter().for_each(|run| *counts.entry(run.status).or_default() += 1);
        counts.into_iter().collect()
    });
    let counts = counts.collect();
    let mut job = job.clone();
    job.request = listed(&job.request);
    job.targets.clear();
    job.steps.iter_mut().for_each(|step| step.hosts.clear());
    JobRow { job, counts }
}
