//! A job, its hosts and the time, as the tests of the rules change them.

use monitor_jobs::{Contact, Contacts, Directive, HostRun, JobState, Plan, StepState, Target, apply, operate, plan, report};
use monitor_wire::{
    HostStatus, JobOperate, JobOperation, JobReport, JobReportEvent, JobRequest, JobRunKey, JobStatus, Rolling, RollingMode, StepRequest,
};

pub(crate) const NOW: u64 = 1_000_000_000;
pub(crate) const SECOND: u64 = 1_000_000;

/// A job on the hosts 1 to `hosts`, whose agents are in contact.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) now_us: u64,
    pub(crate) job: JobState,
    pub(crate) contacts: Contacts,
    pub(crate) plan: Plan,
}

impl World {
    pub(crate) fn new(hosts: u64, steps: u64, change: impl FnOnce(&mut JobRequest)) -> Self {
        let step = StepRequest { script: "true".to_owned(), timeout: Some("1m".to_owned()), ..StepRequest::default() };
        let mut request = JobRequest { steps: vec![step; steps as usize], ..JobRequest::default() };
        change(&mut request);
        let target = |id: u64| Target { host_id: Some(id), name: format!("web-{id}"), ip: None, cloud_id: 0 };
        let targets: Vec<Target> = (1..=hosts).map(target).collect();
        let step = |id| StepState {
            id,
            status: JobStatus::WAITING,
            attempt: 1,
            batches: 0,
            started_us: None,
            ended_us: None,
            hosts: vec![HostRun::default(); targets.len()],
        };
        let steps = (100..100 + steps).map(step).collect();
        let job = JobState {
            id: 7,
            status: JobStatus::WAITING,
            request,
            by: "ada".to_owned(),
            follows: None,
            followed_by: None,
            warnings: Vec::new(),
            targets,
            steps,
            created_us: NOW,
            started_us: None,
            ended_us: None,
        };
        let contacts = (1..=hosts).map(|id| (id, met(NOW))).collect();
        Self { now_us: NOW, job, contacts, plan: Plan::default() }
    }

    pub(crate) fn rolling(hosts: u64, expression: &str, mode: RollingMode) -> Self {
        Self::new(hosts, 1, |request| {
            request.rolling = Some(Rolling { expression: expression.to_owned(), mode, ..Rolling::default() });
        })
    }

    pub(crate) fn plan(&mut self) -> &mut Self {
        self.plan = plan(self.now_us, &self.job, &self.contacts);
        for transition in &self.plan.transitions {
            apply(&mut self.job, transition);
        }
        self
    }

    /// Lets time pass. Only the agents of `heard` stay in contact.
    pub(crate) fn pass(&mut self, us: u64, heard: &[u64]) -> &mut Self {
        self.now_us += us;
        for id in heard {
            self.contacts.insert(*id, met(self.now_us));
        }
        self.plan()
    }

    pub(crate) fn tell(&mut self, host: u64, attempt: u32, event: JobReportEvent) -> usize {
        let step = self.job.steps.iter().position(|step| !step.status.is_passed()).unwrap_or(0);
        self.tell_step(step, host, attempt, event)
    }

    pub(crate) fn tell_step(&mut self, step: usize, host: u64, attempt: u32, event: JobReportEvent) -> usize {
        let key = JobRunKey { job: 7, step: self.job.steps[step].id, host, attempt };
        let changes = report(self.now_us, &self.job, &JobReport { number: 1, key, root_id: None, at_us: self.now_us, event });
        for change in &changes {
            apply(&mut self.job, change);
        }
        changes.len()
    }

    pub(crate) fn end(&mut self, host: u64, status: HostStatus) -> &mut Self {
        let attempt = self.job.steps[0].hosts[host as usize - 1].attempt;
        self.tell(host, attempt, ended(status));
        self.plan()
    }

    pub(crate) fn operate(&mut self, operation: JobOperation) -> Result<&mut Self, String> {
        self.operate_on(operation, &[])
    }

    pub(crate) fn operate_on(&mut self, operation: JobOperation, hosts: &[u64]) -> Result<&mut Self, String> {
        let operation = JobOperate { operation, step_id: None, hosts: hosts.to_vec() };
        let changes = operate(self.now_us, &self.job, &operation).map_err(|refusal| refusal.0)?;
        for change in &changes {
            apply(&mut self.job, change);
        }
        Ok(self.plan())
    }

    pub(crate) fn statuses(&self) -> Vec<u16> {
        self.job.steps[0].hosts.iter().map(|run| run.status.0).collect()
    }

    /// The hosts that are offered an order, with their attempts.
    pub(crate) fn offered(&self) -> Vec<(u64, u32)> {
        let offered = |directive: &Directive| match directive {
            Directive::Run(key) => Some((key.host, key.attempt)),
            Directive::Stop(_) => None,
        };
        self.plan.directives.iter().filter_map(offered).collect()
    }

    /// The statuses of the job and its steps.
    pub(crate) fn progress(&self) -> Vec<u8> {
        [self.job.status.0].into_iter().chain(self.job.steps.iter().map(|step| step.status.0)).collect()
    }
}

pub(crate) fn met(last_us: u64) -> Contact {
    Contact { has_agent: true, last_us, ..Contact::default() }
}

pub(crate) fn ended(status: HostStatus) -> JobReportEvent {
    let exit_code = (status == HostStatus::EXIT_CODE).then_some(3);
    JobReportEvent::Ended { status, exit_code, reason: None, tag: None, output_bytes: 5, omitted_bytes: 0 }
}
