//! Random jobs with random events, compared with properties that hold for all of them.

use std::collections::HashMap;

use monitor_jobs::{
    Contact, Contacts, Directive, HEARTBEAT_US, HostRun, JobState, StepState, Target, apply, batch_sizes, operate, plan, report,
};
use monitor_wire::{
    HostStatus, JobFailed, JobOperate, JobOperation, JobReport, JobReportEvent, JobRequest, JobRetry, JobRunKey, JobStatus, JobThen,
    Rolling, RollingMode, StepRequest,
};
use proptest::prelude::*;

const OPERATIONS: [JobOperation; 9] = [
    JobOperation::Stop,
    JobOperation::RetryFailed,
    JobOperation::RetryNotStarted,
    JobOperation::RetryAll,
    JobOperation::Skip,
    JobOperation::Continue,
    JobOperation::Ignore,
    JobOperation::Confirm,
    JobOperation::Refuse,
];

#[derive(Debug, Clone)]
enum Event {
    /// Time passes, and the agents of some hosts are in contact.
    Time(u64, u8),
    /// An agent reports, about an order of any attempt.
    Report {
        host: usize,
        step: usize,
        back: u32,
        what: u8,
    },
    Operate(usize),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (0..40u64, any::<u8>()).prop_map(|(seconds, online)| Event::Time(seconds, online)),
        5 => (0..6usize, 0..2usize, 0..2u32, 0..9u8).prop_map(|(host, step, back, what)| Event::Report { host, step, back, what }),
        1 => (0..OPERATIONS.len()).prop_map(Event::Operate),
    ]
}

fn job() -> impl Strategy<Value = JobState> {
    let expression = prop_oneof![Just("1"), Just("2"), Just("1 +1"), Just("34%"), Just("1 *3")];
    let mode = prop_oneof![Just(RollingMode::PauseOnFailure), Just(RollingMode::Ignore), Just(RollingMode::Ask)];
    let limit = proptest::option::of(prop_oneof![Just("1"), Just("50%")]);
    let rolling = (expression, mode, limit, proptest::option::of(1..3u32)).prop_map(|(expression, mode, limit, parallel)| Rolling {
        expression: expression.to_owned(),
        mode,
        stop_after_failures: limit.map(str::to_owned),
        parallel,
    });
    let targets = proptest::collection::vec(any::<bool>(), 0..6);
    let retries = || proptest::option::of(0..3u32);
    (proptest::option::of(rolling), retries(), retries(), 1..3usize, targets).prop_map(|(rolling, times, again, steps, targets)| {
        let step = StepRequest { script: "true".to_owned(), timeout: Some("1m".to_owned()), ..StepRequest::default() };
        let target = |(index, is_known): (usize, bool)| Target {
            host_id: (is_known || index % 2 == 0).then_some(index as u64),
            name: index.to_string(),
            ip: None,
            cloud_id: 0,
        };
        let targets: Vec<Target> = targets.into_iter().enumerate().map(target).collect();
        let state = |id| StepState {
            id,
            status: JobStatus::WAITING,
            attempt: 1,
            batches: 0,
            started_us: None,
            ended_us: None,
            hosts: vec![HostRun::default(); targets.len()],
        };
        JobState {
            id: 7,
            status: JobStatus::WAITING,
            request: JobRequest {
                steps: vec![step; steps],
                rolling,
                retry: times.map(|times| JobRetry { times, backoff: Some("5s".to_owned()) }),
                then: again.map(|times| JobThen {
                    failed: Some(JobFailed { retry: Some(JobRetry { times, backoff: Some("7s".to_owned()) }), job: None }),
                }),
                ..JobRequest::default()
            },
            by: "ada".to_owned(),
            follows: None,
            followed_by: None,
            warnings: Vec::new(),
            steps: (0..steps as u64).map(state).collect(),
            targets,
            created_us: 0,
            started_us: None,
            ended_us: None,
        }
    })
}

struct World {
    now_us: u64,
    job: JobState,
    contacts: Contacts,
    /// For each key that was offered, the time of its order.
    offered: HashMap<JobRunKey, Option<u64>>,
    wake_at_us: Option<u64>,
}

impl World {
    /// Returns a world where the host 4 has no agent.
    fn new(job: JobState) -> Self {
        let now_us = 1_000_000_000;
        let contacts = (0..6).map(|id| (id, Contact { has_agent: id != 4, last_us: now_us, ..Contact::default() })).collect();
        Self { now_us, job, contacts, offered: HashMap::new(), wake_at_us: None }
    }

    fn plan(&mut self) {
        let next = plan(self.now_us, &self.job, &self.contacts);
        for transition in &next.transitions {
            apply(&mut self.job, transition);
            let once = self.job.clone();
            apply(&mut self.job, transition);
            assert_eq!(self.job, once, "a change that is applied twice is the same as once");
        }
        let mut newly_ordered = Vec::new();
        for directive in &next.directives {
            let Directive::Run(key) = directive else { continue };
            let ordered = self.run(key).ordered_us;
            if !self.offered.contains_key(key) {
                newly_ordered.push(*key);
            }
            let first = *self.offered.entry(*key).or_insert(ordered);
            assert_eq!(first, ordered, "{key:?} was ordered twice");
        }
        let again = plan(self.now_us, &self.job, &self.contacts);
        assert_eq!((again.transitions.as_slice(), &again.directives), (&[][..], &next.directives), "a plan decides all at once");
        self.wake_at_us = again.wake_at_us;
        assert!(self.wake_at_us.is_none_or(|at| at > self.now_us));
        self.check(&newly_ordered);
    }

    fn run(&self, key: &JobRunKey) -> &HostRun {
        let host = self.job.targets.iter().position(|target| target.host_id == Some(key.host)).unwrap();
        &self.job.steps[key.step as usize].hosts[host]
    }

    fn check(&self, newly_ordered: &[JobRunKey]) {
        let rolling = self.job.request.rolling.as_ref();
        for step in &self.job.steps {
            let in_batches = |run: &&HostRun| !matches!(run.status, HostStatus::NO_SUCH_HOST | HostStatus::NO_AGENT);
            let hosts: Vec<&HostRun> = step.hosts.iter().filter(in_batches).collect();
            let sizes = batch_sizes(rolling, hosts.len());
            let active = hosts.iter().filter(|run| run.status.is_open() && run.ordered_us.is_some() && run.not_before_us.is_none()).count();
            let current = sizes.get((step.batches as usize).saturating_sub(1)).copied().unwrap_or(0) as usize;
            // A host that waits for its turn or its retry may turn out to have started already, so the limits hold for new orders only.
            let is_ordering = newly_ordered.iter().any(|key| key.step == step.id);
            let most = rolling.and_then(|rolling| rolling.parallel).map_or(usize::MAX, |parallel| parallel as usize);
            assert!(!is_ordering || active <= most.min(current), "{active} hosts run at once in a batch of {current}: {step:?}");
            if step.status.is_finished() {
                assert!(step.hosts.iter().all(|run| !run.status.is_open()), "a host is left open: {step:?}");
            }
        }
        if self.job.status.is_finished() {
            assert!(self.job.steps.iter().all(|step| step.status.is_finished()), "a step is left open: {:?}", self.job);
            assert!(self.job.ended_us.is_some());
        }
    }

    fn happen(&mut self, event: &Event) {
        match event {
            Event::Time(seconds, online) => {
                self.now_us += seconds * 1_000_000;
                let heard = self.contacts.iter_mut().filter(|(id, _)| online & (1 << **id) != 0);
                for (_, contact) in heard {
                    contact.last_us = self.now_us;
                }
            }
            Event::Report { host, step, back, what } => {
                let (step, host) = (step % self.job.steps.len(), *host);
                let Some(run) = self.job.steps[step].hosts.get(host) else { return };
                let Some(id) = self.job.targets[host].host_id else { return };
                let attempt = run.attempt.saturating_sub(*back);
                let before = self.job.clone();
                let key = JobRunKey { job: 7, step: step as u64, host: id, attempt };
                let told = JobReport { number: 1, key, root_id: None, at_us: self.now_us, event: report_event(*what) };
                let changes = report(self.now_us, &self.job, &told);
                for change in &changes {
                    apply(&mut self.job, change);
                }
                let run = &before.steps[step].hosts[host];
                let is_former = (run.since..run.attempt).contains(&attempt);
                let decides = is_former && run.accepted_us.is_none() && told.event.shows_acceptance();
                let is_meant = attempt == run.running_attempt() && run.ordered_us.is_some();
                if !decides && !is_meant {
                    assert_eq!(self.job, before, "a report of another attempt changes nothing");
                }
                let again = report(self.now_us, &self.job, &told);
                assert_eq!(again, [], "a repeated report changes nothing");
            }
            Event::Operate(index) => {
                let operation = JobOperate { operation: OPERATIONS[*index], step_id: None, hosts: Vec::new() };
                if let Ok(changes) = operate(self.now_us, &self.job, &operation) {
                    assert_ne!(changes, [], "an operation that is possible changes something");
                    for change in &changes {
                        apply(&mut self.job, change);
                    }
                }
            }
        }
        self.plan();
    }
}

fn report_event(what: u8) -> JobReportEvent {
    let ended = |status| JobReportEvent::Ended { status, exit_code: None, reason: None, tag: None, output_bytes: 0, omitted_bytes: 0 };
    match what {
        0 | 1 => JobReportEvent::Accepted,
        2 => JobReportEvent::Started { interpreter: None },
        3 => ended(HostStatus::EXIT_CODE),
        4 => ended(HostStatus::STOPPED),
        5 => ended(HostStatus::REFUSED),
        // A status that agents can't report.
        6 => ended(HostStatus::RUNNING),
        7 => JobReportEvent::NotStopped { reason: "it is stuck".to_owned() },
        _ => ended(HostStatus::SUCCEEDED),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8 * ProptestConfig::default().cases, ..ProptestConfig::default() })]

    #[test]
    fn a_job_orders_each_key_once_keeps_its_batches_and_ends_with_explicit_outcomes(
        job in job(),
        events in proptest::collection::vec(event(), 0..60),
    ) {
        let mut world = World::new(job);
        world.plan();
        for event in &events {
            world.happen(event);
        }
        // From now on all agents are silent, and a user continues whatever waits for a decision.
        for _ in 0..200 {
            if world.job.status.is_finished() {
                break;
            }
            if matches!(world.job.status, JobStatus::NEEDS_USER | JobStatus::NEXT_BATCH) {
                world.happen(&Event::Operate(5));
            } else {
                let wake_at = world.wake_at_us.expect("a job that waits for a host has a time to wake at");
                world.now_us = wake_at;
                world.plan();
            }
        }
        prop_assert!(world.job.status.is_finished(), "the job is open for ever: {:?}", world.job);
        prop_assert!(world.now_us < 1_000_000_000 + 5_000 * HEARTBEAT_US);
        for step in &world.job.steps {
            prop_assert!(step.hosts.iter().all(|run| !run.status.is_open()));
        }
    }
}
