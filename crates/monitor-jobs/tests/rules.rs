//! The rules of jobs, one test each.

use monitor_jobs::{
    CONTACT_US, Contact, Contacts, Directive, HostRun, JobState, ORDER_TTL_US, Plan, StepState, Target, Transition, apply, callback,
    operate, plan, report,
};
use monitor_wire::{
    HostStatus, JobFailed, JobOperate, JobOperation, JobReport, JobReportEvent, JobRequest, JobRetry, JobRunKey, JobStatus, JobThen,
    Rolling, RollingMode, StepRequest,
};

const NOW: u64 = 1_000_000_000;
const SECOND: u64 = 1_000_000;

/// A job on the hosts 1 to `hosts`, whose agents are in contact.
#[derive(Debug)]
struct World {
    now_us: u64,
    job: JobState,
    contacts: Contacts,
    plan: Plan,
}

impl World {
    fn new(hosts: u64, steps: u64, change: impl FnOnce(&mut JobRequest)) -> Self {
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

    fn rolling(hosts: u64, expression: &str, mode: RollingMode) -> Self {
        Self::new(hosts, 1, |request| {
            request.rolling = Some(Rolling { expression: expression.to_owned(), mode, ..Rolling::default() });
        })
    }

    fn plan(&mut self) -> &mut Self {
        self.plan = plan(self.now_us, &self.job, &self.contacts);
        for transition in &self.plan.transitions {
            apply(&mut self.job, transition);
        }
        self
    }

    /// Lets time pass. Only the agents of `heard` stay in contact.
    fn pass(&mut self, us: u64, heard: &[u64]) -> &mut Self {
        self.now_us += us;
        for id in heard {
            self.contacts.insert(*id, met(self.now_us));
        }
        self.plan()
    }

    fn tell(&mut self, host: u64, attempt: u32, event: JobReportEvent) -> usize {
        let step = self.job.steps.iter().position(|step| !step.status.is_passed()).unwrap_or(0);
        self.tell_step(step, host, attempt, event)
    }

    fn tell_step(&mut self, step: usize, host: u64, attempt: u32, event: JobReportEvent) -> usize {
        let key = JobRunKey { job: 7, step: self.job.steps[step].id, host, attempt };
        let changes = report(self.now_us, &self.job, &JobReport { number: 1, key, root_id: None, at_us: self.now_us, event });
        for change in &changes {
            apply(&mut self.job, change);
        }
        changes.len()
    }

    fn end(&mut self, host: u64, status: HostStatus) -> &mut Self {
        let attempt = self.job.steps[0].hosts[host as usize - 1].attempt;
        self.tell(host, attempt, ended(status));
        self.plan()
    }

    fn operate(&mut self, operation: JobOperation) -> Result<&mut Self, String> {
        self.operate_on(operation, &[])
    }

    fn operate_on(&mut self, operation: JobOperation, hosts: &[u64]) -> Result<&mut Self, String> {
        let operation = JobOperate { operation, step_id: None, hosts: hosts.to_vec() };
        let changes = operate(self.now_us, &self.job, &operation).map_err(|refusal| refusal.0)?;
        for change in &changes {
            apply(&mut self.job, change);
        }
        Ok(self.plan())
    }

    fn statuses(&self) -> Vec<u16> {
        self.job.steps[0].hosts.iter().map(|run| run.status.0).collect()
    }

    /// The hosts that are offered an order, with their attempts.
    fn offered(&self) -> Vec<(u64, u32)> {
        let offered = |directive: &Directive| match directive {
            Directive::Run(key) => Some((key.host, key.attempt)),
            Directive::Stop(_) => None,
        };
        self.plan.directives.iter().filter_map(offered).collect()
    }

    /// The statuses of the job and its steps.
    fn progress(&self) -> Vec<u8> {
        [self.job.status.0].into_iter().chain(self.job.steps.iter().map(|step| step.status.0)).collect()
    }
}

fn met(last_us: u64) -> Contact {
    Contact { has_agent: true, last_us, ..Contact::default() }
}

fn ended(status: HostStatus) -> JobReportEvent {
    let exit_code = (status == HostStatus::EXIT_CODE).then_some(3);
    JobReportEvent::Ended { status, exit_code, reason: None, tag: None, output_bytes: 5, omitted_bytes: 0 }
}

#[test]
fn targets_that_are_no_hosts_and_hosts_without_agents_end_at_once_and_the_others_run() {
    let mut world = World::new(3, 1, |_| {});
    world.job.targets[0].host_id = None;
    world.contacts.remove(&2);
    assert_eq!(world.plan().statuses(), [2, 18, 5]);
    assert_eq!(world.offered(), [(3, 1)]);
    world.end(3, HostStatus::SUCCEEDED);
    assert_eq!((world.statuses(), world.progress()), (vec![2, 18, 9], vec![4, 4]));
    world.contacts.insert(2, met(NOW));
    world.operate(JobOperation::RetryFailed).unwrap();
    assert_eq!((world.statuses(), world.offered()), (vec![2, 5, 3], vec![(2, 2)]));
    let empty = World::new(0, 1, |_| {}).plan().progress();
    assert_eq!(empty, [3, 3]);
}

#[test]
fn a_host_without_the_account_ends_when_its_turn_comes_until_its_list_is_corrected() {
    let mut world = World::new(3, 1, |job| {
        job.account = Some("app".to_owned());
        job.rolling = Some(Rolling { expression: "2".to_owned(), mode: RollingMode::Ignore, ..Rolling::default() });
    });
    for id in [1, 3] {
        world.contacts.insert(id, Contact { lacks_account: true, ..met(NOW) });
    }
    assert_eq!(world.plan().statuses(), [311, 5, 5]);
    assert_eq!(world.offered(), [(2, 1)]);
    world.end(2, HostStatus::SUCCEEDED);
    assert_eq!((world.statuses(), world.progress()), (vec![311, 9, 311], vec![6, 6]));
    assert!(world.job.steps[0].hosts[2].reason.as_deref().unwrap().contains("no account \"app\""));
    world.contacts.insert(3, met(NOW));
    world.operate(JobOperation::RetryFailed).unwrap();
    assert_eq!((world.statuses(), world.offered()), (vec![311, 3, 5], vec![(3, 2)]));
}

#[test]
fn an_order_is_offered_until_it_is_accepted_and_the_next_step_follows_a_success() {
    let mut world = World::new(2, 2, |_| {});
    world.plan();
    assert_eq!(world.plan().offered(), [(1, 1), (2, 1)]);
    assert_eq!(world.tell(1, 1, JobReportEvent::Accepted), 1);
    assert_eq!(world.tell(1, 1, JobReportEvent::Accepted), 0);
    assert_eq!(world.plan().offered(), [(2, 1)]);
    world.tell(1, 1, JobReportEvent::Started { interpreter: Some("python3".to_owned()) });
    assert!(world.job.steps[0].hosts[0].reason.as_ref().unwrap().contains("python3"));
    assert_eq!(world.statuses(), [7, 5]);
    world.end(1, HostStatus::SUCCEEDED).end(2, HostStatus::SUCCEEDED);
    assert_eq!((world.progress(), world.offered()), (vec![2, 3, 2], vec![(1, 1), (2, 1)]));
    assert!(world.plan.directives.iter().all(|directive| matches!(directive, Directive::Run(key) if key.step == 101)));
    world.end(1, HostStatus::SUCCEEDED).end(2, HostStatus::SUCCEEDED);
    assert_eq!(world.progress(), [3, 3, 3]);
}

#[test]
fn two_missed_heartbeats_end_a_host_alone_and_a_late_report_corrects_it() {
    let mut world = World::new(3, 1, |_| {});
    world.plan();
    world.tell(2, 1, JobReportEvent::Started { interpreter: None });
    assert_eq!(world.pass(CONTACT_US, &[3]).statuses(), [5, 7, 5]);
    assert_eq!(world.plan.wake_at_us, Some(world.now_us + 1));
    assert_eq!(world.pass(1, &[3]).statuses(), [310, 310, 5]);
    assert_eq!(world.end(3, HostStatus::SUCCEEDED).progress(), [4, 4]);
    let ended_us = world.job.ended_us;
    assert_eq!(world.tell(1, 1, ended(HostStatus::SUCCEEDED)), 1);
    assert_eq!(world.progress(), [4, 4]);
    assert_eq!(world.tell(2, 1, ended(HostStatus::SUCCEEDED)), 3);
    assert_eq!((world.statuses(), world.progress()), (vec![9, 9, 9], vec![3, 3]));
    assert!(world.job.steps[0].hosts[1].is_corrected && !world.job.steps[0].hosts[2].is_corrected);
    assert_eq!(world.job.ended_us, ended_us);
    assert_eq!(world.tell(2, 1, ended(HostStatus::EXIT_CODE)), 0, "an end that an agent has reported stays");
}

#[test]
fn a_callback_is_made_for_each_change_of_a_status_and_for_late_corrections() {
    let told = |world: &World, changes: &[Transition]| {
        callback("root".to_owned(), &world.job, changes).map(|told| (told.status.0, told.step_instances[0].status.0, told.corrected))
    };
    let mut world = World::new(2, 1, |request| request.callback_url = Some("https://example.com".to_owned()));
    let begin = plan(world.now_us, &world.job, &world.contacts).transitions;
    assert_eq!(told(&world, &begin), Some((2, 2, false)));
    world.plan();
    let run = |world: &World, host: u64, event| {
        let key = JobRunKey { job: 7, step: 100, host, attempt: 1 };
        report(world.now_us, &world.job, &JobReport { number: 1, key, root_id: None, at_us: world.now_us, event })
    };
    assert_eq!(told(&world, &run(&world, 1, ended(HostStatus::SUCCEEDED))), None, "the step goes on");
    world.pass(CONTACT_US + 1, &[]);
    assert_eq!((world.statuses(), world.progress()), (vec![310, 310], vec![4, 4]));
    assert_eq!(told(&world, &run(&world, 1, ended(HostStatus::SUCCEEDED))), Some((4, 4, true)), "no status but that of the host changes");
    world.tell(1, 1, ended(HostStatus::SUCCEEDED));
    assert_eq!(told(&world, &run(&world, 2, ended(HostStatus::SUCCEEDED))), Some((3, 3, true)));
    let retry = JobOperate { operation: JobOperation::RetryFailed, step_id: None, hosts: Vec::new() };
    let changes = operate(world.now_us, &world.job, &retry).unwrap();
    assert_eq!(told(&world, &changes).map(|(_, _, is_corrected)| is_corrected), Some(false), "a retry is no correction");
    world.job.request.callback_url = None;
    assert_eq!(told(&world, &begin), None);
}

#[test]
fn a_late_success_does_not_begin_steps_that_were_discarded() {
    let mut world = World::new(1, 2, |_| {});
    world.plan().pass(CONTACT_US + 1, &[]);
    assert_eq!((world.progress(), world.job.steps[1].hosts[0].status), (vec![4, 4, 14], HostStatus::JOB_TIME_OVER));
    world.tell_step(0, 1, 1, ended(HostStatus::SUCCEEDED));
    assert_eq!(world.progress(), [4, 3, 14]);
    assert_eq!(world.plan().plan.transitions, []);
}

#[test]
fn a_host_that_never_accepted_is_retried_with_the_next_attempt_after_its_order_has_expired() {
    let mut world = World::new(1, 1, |request| request.retry = Some(JobRetry { times: 1, backoff: Some("5s".to_owned()) }));
    world.plan().pass(CONTACT_US + 1, &[]);
    let run = world.job.steps[0].hosts[0].clone();
    assert_eq!((run.status.0, run.attempt, run.retries, run.not_before_us), (5, 1, 1, Some(NOW + ORDER_TTL_US)));
    assert_eq!((world.offered(), world.plan.wake_at_us), (vec![], Some(NOW + ORDER_TTL_US)));
    world.pass(NOW + ORDER_TTL_US - world.now_us, &[1]);
    assert_eq!(world.offered(), [(1, 2)]);
    assert_eq!(world.tell(1, 1, ended(HostStatus::JOB_TIME_OVER)), 0, "the first attempt started nothing");
    world.pass(ORDER_TTL_US, &[1]);
    let run = &world.job.steps[0].hosts[0];
    assert_eq!((run.status.0, run.attempt), (310, 2));
    assert!(run.reason.as_ref().unwrap().contains("has not accepted"));
}

#[test]
fn a_retry_waits_for_reports_of_an_agent_that_has_not_connected_since_the_start_of_the_server() {
    let mut world = World::new(1, 1, |request| request.retry = Some(JobRetry { times: 1, backoff: Some("0s".to_owned()) }));
    // The server was killed after the order. The time of its start counts as contact.
    world.plan().pass(ORDER_TTL_US, &[1]);
    assert_eq!((world.offered(), world.job.steps[0].hosts[0].not_before_us), (vec![], Some(world.now_us + CONTACT_US + 1)));
    assert_eq!(world.tell(1, 1, JobReportEvent::Accepted), 1);
    assert_eq!(world.pass(CONTACT_US + 1, &[1]).offered(), []);
}

#[test]
fn a_host_that_turns_out_to_have_accepted_is_not_retried() {
    let mut world = World::new(2, 1, |request| request.retry = Some(JobRetry { times: 3, backoff: None }));
    world.plan();
    world.tell(2, 1, JobReportEvent::Accepted);
    world.pass(CONTACT_US + 1, &[]);
    assert_eq!(world.statuses(), [5, 310]);
    assert_eq!(world.tell(1, 1, JobReportEvent::Accepted), 1);
    world.pass(ORDER_TTL_US, &[1]);
    assert_eq!((world.offered(), world.job.steps[0].hosts[0].attempt), (vec![], 1));
    assert_eq!(world.end(1, HostStatus::SUCCEEDED).statuses(), [9, 310]);
}

#[test]
fn a_host_in_contact_that_reports_no_end_is_not_observed_and_a_later_report_corrects_it() {
    let mut world = World::new(1, 1, |_| {});
    world.plan();
    world.tell(1, 1, JobReportEvent::Started { interpreter: None });
    for _ in 0..17 {
        assert_eq!(world.pass(10 * SECOND, &[1]).statuses(), [7]);
    }
    assert_eq!(world.pass(10 * SECOND, &[1]).statuses(), [500]);
    assert!(world.job.steps[0].hosts[0].reason.is_some());
    world.tell(1, 1, ended(HostStatus::TIMED_OUT));
    assert_eq!((world.statuses(), world.progress()), (vec![102], vec![4, 4]));
}

#[test]
fn an_agent_cant_report_a_status_that_only_the_server_knows_or_an_order_it_wasnt_given() {
    let mut world = World::rolling(2, "1", RollingMode::Ignore);
    world.plan();
    assert_eq!(world.tell(2, 1, ended(HostStatus::SUCCEEDED)), 0);
    assert_eq!(world.tell(9, 1, ended(HostStatus::SUCCEEDED)), 0);
    assert_eq!(world.tell(1, 2, ended(HostStatus::SUCCEEDED)), 0);
    world.tell(1, 1, ended(HostStatus::SUCCEEDED_BEFORE));
    assert_eq!(world.statuses(), [500, 5]);
    world.plan();
    world.tell(2, 1, ended(HostStatus(777)));
    assert_eq!(world.statuses(), [500, 777]);
}

#[test]
fn long_texts_of_an_agent_are_cut() {
    let mut world = World::new(1, 1, |_| {});
    world.plan();
    let (status, text) = (HostStatus::EXIT_CODE, Some("é".repeat(100_000)));
    let event = JobReportEvent::Ended { status, exit_code: Some(1), reason: text.clone(), tag: text, output_bytes: 0, omitted_bytes: 0 };
    assert_eq!(world.tell(1, 1, event), 1);
    let run = &world.job.steps[0].hosts[0];
    assert_eq!((run.tag.as_ref().unwrap().len(), run.reason.as_ref().unwrap().len()), (2 * 255, 2 * 2_000));
}

#[test]
fn a_rolling_job_pauses_after_a_failure_until_a_user_continues() {
    let mut world = World::rolling(4, "1 2", RollingMode::PauseOnFailure);
    assert_eq!(world.plan().offered(), [(1, 1)]);
    assert_eq!(world.end(1, HostStatus::SUCCEEDED).offered(), [(2, 1), (3, 1)]);
    world.end(2, HostStatus::EXIT_CODE).end(3, HostStatus::SUCCEEDED);
    assert_eq!((world.progress(), world.offered()), (vec![7, 7], vec![]));
    assert_eq!(world.operate(JobOperation::Continue).unwrap().offered(), [(4, 1)]);
    assert_eq!(world.end(4, HostStatus::SUCCEEDED).progress(), [4, 4]);
    assert_eq!(world.operate(JobOperation::Ignore).unwrap().progress(), [6, 6]);
}

#[test]
fn a_rolling_job_asks_after_each_batch_or_ignores_failures() {
    let mut world = World::rolling(3, "1", RollingMode::Ask);
    assert_eq!(world.plan().end(1, HostStatus::SUCCEEDED).progress(), [15, 15]);
    assert_eq!(world.operate(JobOperation::Confirm).unwrap().offered(), [(2, 1)]);
    world.end(2, HostStatus::SUCCEEDED);
    assert_eq!(world.operate(JobOperation::Refuse).unwrap().progress(), [13, 13]);
    assert_eq!(world.statuses(), [9, 9, 13]);
    let mut world = World::rolling(2, "50%", RollingMode::Ignore);
    assert_eq!(world.plan().end(1, HostStatus::EXIT_CODE).offered(), [(2, 1)]);
    assert_eq!(world.end(2, HostStatus::SUCCEEDED).progress(), [6, 6]);
}

#[test]
fn limits_of_failures_and_of_parallel_hosts_are_kept() {
    let mut world = World::new(5, 1, |request| {
        request.rolling = Some(Rolling {
            expression: "100%".to_owned(),
            mode: RollingMode::Ignore,
            stop_after_failures: Some("40%".to_owned()),
            parallel: Some(2),
        });
    });
    assert_eq!(world.plan().offered(), [(1, 1), (2, 1)]);
    assert_eq!(world.end(1, HostStatus::EXIT_CODE).offered(), [(2, 1), (3, 1)]);
    world.end(2, HostStatus::EXIT_CODE);
    assert_eq!((world.statuses(), world.progress()), (vec![104, 104, 5, 13, 13], vec![2, 2]));
    assert_eq!(world.end(3, HostStatus::SUCCEEDED).progress(), [4, 4]);
}

#[test]
fn a_stop_ends_running_hosts_and_starts_no_others() {
    let mut world = World::new(4, 2, |request| {
        request.rolling = Some(Rolling { expression: "3".to_owned(), ..Rolling::default() });
    });
    world.plan();
    world.tell(1, 1, JobReportEvent::Started { interpreter: None });
    world.operate(JobOperation::Stop).unwrap();
    assert_eq!((world.statuses(), world.progress(), world.offered()), (vec![7, 5, 5, 403], vec![10, 10, 1], vec![]));
    assert_eq!(world.plan.directives.len(), 3);
    assert!(world.operate(JobOperation::Stop).unwrap_err().contains("Wait until its hosts have ended."));
    world.end(1, HostStatus::STOPPED);
    world.tell(2, 1, JobReportEvent::NotStopped { reason: "it is stuck".to_owned() });
    world.pass(CONTACT_US + 1, &[]);
    assert_eq!((world.statuses(), world.progress()), (vec![403, 404, 310, 403], vec![11, 11, 14]));
    assert_eq!(world.job.steps[1].hosts[0].status, HostStatus::STOPPED);
    assert_eq!(world.plan.directives.len(), 1, "a host that returns is told again: {:?}", world.plan.directives);
    world.pass(1, &[1, 2, 3, 4]);
    assert_eq!(world.operate(JobOperation::Skip).unwrap().progress(), [2, 5, 2]);
}

#[test]
fn retries_begin_a_new_attempt_of_the_selected_hosts() {
    let start = || {
        let mut world = World::new(4, 1, |_| {});
        world.plan().end(1, HostStatus::SUCCEEDED).end(2, HostStatus::EXIT_CODE);
        world.tell(3, 1, JobReportEvent::Accepted);
        world.pass(CONTACT_US + 1, &[]).pass(1, &[1, 2, 3, 4]);
        assert_eq!((world.statuses(), world.progress()), (vec![9, 104, 310, 310], vec![4, 4]));
        world
    };
    let mut world = start();
    assert_eq!(world.operate(JobOperation::RetryFailed).unwrap().offered(), [(2, 2), (3, 2), (4, 2)]);
    assert_eq!((world.statuses(), world.job.steps[0].attempt), (vec![3, 5, 5, 5], 2));
    assert!(world.operate(JobOperation::RetryFailed).unwrap_err().contains("`stop` is possible"));
    assert_eq!(start().operate(JobOperation::RetryNotStarted).unwrap().offered(), [(4, 2)]);
    assert_eq!(start().operate(JobOperation::RetryAll).unwrap().offered(), [(1, 2), (2, 2), (3, 2), (4, 2)]);
    // The first attempt on host 3 may still run, although its second attempt has never begun.
    let mut world = start();
    world.operate(JobOperation::RetryFailed).unwrap();
    world.pass(CONTACT_US + 1, &[1, 2]).end(2, HostStatus::EXIT_CODE).pass(1, &[1, 2, 3, 4]);
    assert_eq!(world.statuses(), [3, 104, 310, 310]);
    assert_eq!(world.operate(JobOperation::RetryNotStarted).unwrap().offered(), [(4, 3)]);
    let mut world = start();
    assert_eq!(world.operate_on(JobOperation::RetryFailed, &[2]).unwrap().offered(), [(2, 2)]);
    assert_eq!(world.end(2, HostStatus::SUCCEEDED).progress(), [4, 4], "the other hosts have still failed");
    assert!(start().operate_on(JobOperation::RetryFailed, &[1]).unwrap_err().contains("`retry-all` is possible"));
    assert!(start().operate_on(JobOperation::RetryFailed, &[9]).unwrap_err().contains("no host 9"));
    assert!(start().operate_on(JobOperation::Skip, &[2]).unwrap_err().contains("Leave `hosts` out"));
}

#[test]
fn a_former_attempt_that_was_accepted_counts_for_the_retry_that_must_not_run() {
    let start = |operation| {
        let mut world = World::new(1, 1, |_| {});
        // The agent accepts the order, and its report does not arrive.
        world.plan().pass(CONTACT_US + 1, &[]).pass(1, &[1]);
        assert_eq!(world.statuses(), [310]);
        world.operate(operation).unwrap();
        world
    };
    let mut world = start(JobOperation::RetryNotStarted);
    assert_eq!(world.offered(), [(1, 2)]);
    world.tell(1, 1, JobReportEvent::Accepted);
    world.pass(1, &[1]);
    assert_eq!((world.offered(), world.job.steps[0].hosts[0].running_attempt()), (vec![], 1), "nothing is offered any more");
    world.tell(1, 2, ended(HostStatus::REFUSED));
    world.tell(1, 1, JobReportEvent::Started { interpreter: None });
    world.tell(1, 1, ended(HostStatus::SUCCEEDED));
    world.plan();
    assert_eq!((world.statuses(), world.progress()), (vec![9], vec![3, 3]));

    // An order that was refused has started nothing.
    let mut world = start(JobOperation::RetryNotStarted);
    world.tell(1, 1, ended(HostStatus::JOB_TIME_OVER));
    world.pass(1, &[1]);
    assert_eq!(world.offered(), [(1, 2)]);
    // A user has decided that the script may run again, once.
    let mut world = start(JobOperation::RetryFailed);
    world.tell(1, 1, ended(HostStatus::SUCCEEDED));
    world.pass(1, &[1]);
    assert_eq!((world.offered(), world.statuses()), (vec![(1, 2)], vec![5]));
    world.pass(CONTACT_US + 1, &[]).pass(1, &[1]).operate(JobOperation::RetryNotStarted).unwrap();
    assert_eq!((world.offered(), world.job.steps[0].hosts[0].since), (vec![(1, 3)], 2));
    assert_eq!(world.tell(1, 1, ended(HostStatus::SUCCEEDED)), 0);
    world.tell(1, 2, ended(HostStatus::EXIT_CODE));
    assert_eq!(world.statuses(), [104]);
}

#[test]
fn a_step_does_not_end_while_a_host_of_a_later_batch_runs_for_a_former_attempt() {
    let start = || {
        let mut world = World::rolling(3, "1", RollingMode::PauseOnFailure);
        world.plan().end(1, HostStatus::EXIT_CODE).operate(JobOperation::Continue).unwrap();
        // The second host accepts the order, and its report does not arrive.
        world.pass(CONTACT_US + 1, &[1, 3]).operate(JobOperation::Continue).unwrap().end(3, HostStatus::SUCCEEDED);
        world.operate(JobOperation::RetryNotStarted).unwrap();
        assert_eq!(world.statuses(), [104, 5, 3]);
        assert_eq!(world.job.status, JobStatus::NEEDS_USER, "the first host has failed in the first attempt");
        world.tell(2, 1, JobReportEvent::Started { interpreter: None });
        world.pass(1, &[1, 2, 3]);
        assert_eq!(world.statuses(), [104, 7, 3]);
        world
    };
    for operation in [JobOperation::Refuse, JobOperation::Skip] {
        let refusal = start().operate(operation).unwrap_err();
        assert!(
            refusal.contains("runs its script already") && refusal.contains("`continue`, `stop` and retries are possible"),
            "{refusal}"
        );
    }
    // A retry of the first host waits until the second one has ended.
    let mut world = start();
    assert_eq!(world.operate_on(JobOperation::RetryFailed, &[1]).unwrap().offered(), []);
    world.tell(2, 1, ended(HostStatus::SUCCEEDED));
    assert_eq!(world.plan().offered(), [(1, 2)]);
    assert_eq!(world.end(1, HostStatus::SUCCEEDED).job.status, JobStatus::SUCCEEDED);
    // A stop reaches the host, and the step waits for its end.
    let mut world = start();
    world.operate(JobOperation::Stop).unwrap();
    assert!(matches!(world.plan.directives[..], [Directive::Stop(JobRunKey { host: 2, attempt: 1, .. })]), "{:?}", world.plan);
    assert_eq!(world.job.status, JobStatus::STOPPING);
    world.tell(2, 1, ended(HostStatus::STOPPED));
    assert_eq!(world.plan().job.status, JobStatus::STOPPED);
    // A host whose agent is silent ends like any other.
    let mut world = start();
    world.operate(JobOperation::Stop).unwrap().pass(CONTACT_US + 1, &[1, 3]);
    assert_eq!((world.job.status, world.statuses()), (JobStatus::STOPPED, vec![104, 310, 3]));
}

#[test]
fn a_failed_step_is_ignored_skipped_or_retried_and_the_later_steps_follow() {
    let start = || {
        let mut world = World::new(1, 3, |_| {});
        world.plan().end(1, HostStatus::EXIT_CODE);
        assert_eq!(world.progress(), [4, 4, 14, 14]);
        world
    };
    assert_eq!(start().operate(JobOperation::Ignore).unwrap().progress(), [2, 6, 2, 1]);
    assert_eq!(start().operate(JobOperation::Continue).unwrap().progress(), [2, 6, 2, 1]);
    assert_eq!(start().operate(JobOperation::Skip).unwrap().progress(), [2, 5, 2, 1]);
    let mut world = start();
    world.operate(JobOperation::RetryFailed).unwrap();
    assert_eq!(world.end(1, HostStatus::SUCCEEDED).progress(), [2, 3, 2, 1]);
    let first = JobOperate { operation: JobOperation::RetryAll, step_id: Some(100), hosts: vec![] };
    assert!(operate(NOW, &world.job, &first).unwrap_err().0.contains("A later step has begun"));
    let none = JobOperate { operation: JobOperation::Stop, step_id: Some(5), hosts: vec![] };
    assert!(operate(NOW, &world.job, &none).unwrap_err().0.contains("Its steps are 100, 101, 102"));
    assert!(start().operate(JobOperation::Confirm).unwrap_err().contains("`ignore`"));
}

#[test]
fn a_job_that_needs_a_confirmation_begins_in_no_other_way() {
    const OTHERS: [JobOperation; 6] = [
        JobOperation::Skip,
        JobOperation::Continue,
        JobOperation::Ignore,
        JobOperation::RetryFailed,
        JobOperation::RetryNotStarted,
        JobOperation::RetryAll,
    ];
    let start = || {
        let mut world = World::new(2, 2, |_| {});
        world.job.steps[0].status = JobStatus::NEEDS_USER;
        world.job.targets[1].host_id = None;
        world.plan();
        assert_eq!((world.progress(), world.offered()), (vec![7, 7, 1], vec![]));
        world
    };
    for operation in OTHERS {
        assert!(start().operate(operation).unwrap_err().contains("`confirm`, `refuse` and `stop` are possible"), "{operation:?}");
        for end in [JobOperation::Refuse, JobOperation::Stop] {
            let mut world = start();
            assert_eq!(world.operate(end).unwrap().progress(), [13, 13, 14], "{end:?}");
            assert_eq!((world.statuses(), world.offered()), (vec![13, 13], vec![]));
            assert!(world.operate(operation).unwrap_err().contains("Start a new one"), "{end:?} {operation:?}");
            let later = JobOperate { operation, step_id: Some(101), hosts: vec![] };
            assert!(operate(NOW, &world.job, &later).is_err(), "{end:?} {operation:?}");
        }
    }
    let mut world = start();
    assert_eq!(world.operate(JobOperation::Confirm).unwrap().offered(), [(1, 1)]);
    assert_eq!(world.statuses(), [5, 2], "a target that is no host is found after the confirmation");
    // After the beginning, all is as in other jobs.
    world.end(1, HostStatus::EXIT_CODE);
    assert_eq!(world.operate(JobOperation::RetryFailed).unwrap().offered(), [(1, 2)]);
    assert!(start().operate(JobOperation::Refuse).unwrap().operate(JobOperation::Confirm).is_err());
}

#[test]
fn failed_hosts_are_retried_a_limited_number_of_times() {
    let retry = JobRetry { times: 2, backoff: Some("30s".to_owned()) };
    let mut world = World::new(4, 1, |request| {
        request.then = Some(JobThen { failed: Some(JobFailed { retry: Some(retry.clone()), job: None }) });
    });
    world.plan();
    assert_eq!(world.offered(), [(1, 1), (2, 1), (3, 1), (4, 1)]);
    for host in 1..=4 {
        world.tell(host, 1, JobReportEvent::Accepted);
    }
    world.plan().end(1, HostStatus::SUCCEEDED).end(2, HostStatus::EXIT_CODE).end(3, HostStatus::TIMED_OUT);
    assert_eq!(world.job.status, JobStatus::RUNNING, "the last host still runs");
    // The end of the last host is not observed, so its script may still run. It is not retried.
    world.end(4, HostStatus::LOST);
    assert_eq!((world.job.status, world.job.steps[0].attempt, world.offered()), (JobStatus::RUNNING, 2, vec![]));
    assert_eq!(world.statuses(), [3, 5, 5, 500]);
    assert_eq!(world.job.steps[0].hosts[1].reason.as_deref(), Some("The last attempt: exit code not 0. Retry 1 of 2 follows."));
    assert_eq!(world.plan.wake_at_us, Some(world.now_us + 30 * SECOND));
    world.pass(29 * SECOND, &[1, 2, 3]);
    assert_eq!(world.offered(), []);
    world.pass(SECOND, &[1, 2, 3]);
    assert_eq!(world.offered(), [(2, 2), (3, 2)]);
    world.tell(2, 2, JobReportEvent::Accepted);
    world.plan().end(2, HostStatus::SUCCEEDED).end(3, HostStatus::REFUSED);
    assert_eq!((world.job.steps[0].attempt, world.statuses()), (3, vec![3, 3, 5, 500]));
    world.pass(30 * SECOND, &[1, 2, 3]).end(3, HostStatus::SUCCEEDED);
    assert_eq!((world.job.status, world.statuses()), (JobStatus::FAILED, vec![3, 3, 9, 500]));

    // An agent that was offered the order is silent. It may have accepted it, and its late report still counts.
    let mut world = World::new(2, 1, |request| {
        request.then = Some(JobThen { failed: Some(JobFailed { retry: Some(retry.clone()), job: None }) });
    });
    world.plan().end(1, HostStatus::SUCCEEDED).pass(21 * SECOND, &[1]);
    assert_eq!((world.job.status, world.statuses()), (JobStatus::FAILED, vec![9, 310]));
    world.end(2, HostStatus::SUCCEEDED);
    assert_eq!((world.job.status, world.statuses()), (JobStatus::SUCCEEDED, vec![9, 9]));

    // Without an agent, another attempt would fail at once. A host without the account waits, so that its list can be corrected.
    let mut world = World::new(3, 1, |request| {
        request.account = Some("app".to_owned());
        request.then = Some(JobThen { failed: Some(JobFailed { retry: Some(retry.clone()), job: None }) });
    });
    world.contacts.remove(&1);
    world.contacts.insert(2, Contact { lacks_account: true, ..met(NOW) });
    world.plan().end(3, HostStatus::SUCCEEDED);
    assert_eq!((world.job.steps[0].attempt, world.statuses()), (2, vec![18, 5, 3]));
    world.pass(29 * SECOND, &[3]);
    assert_eq!((world.offered(), world.statuses()), (vec![], vec![18, 5, 3]));
    world.pass(SECOND, &[2, 3]);
    assert_eq!(world.offered(), [(2, 2)]);

    // A user stops the job during the pause. The attempts that users begin count.
    let mut world = World::new(1, 1, |request| {
        request.then = Some(JobThen { failed: Some(JobFailed { retry: Some(retry), job: None }) });
    });
    world.plan().tell(1, 1, JobReportEvent::Accepted);
    world.plan().end(1, HostStatus::EXIT_CODE);
    assert_eq!(world.job.status, JobStatus::RUNNING);
    world.operate(JobOperation::Stop).unwrap();
    assert_eq!((world.job.status, world.statuses()), (JobStatus::STOPPED, vec![403]));
    world.contacts.clear();
    world.operate(JobOperation::RetryAll).unwrap();
    assert_eq!((world.job.status, world.statuses()), (JobStatus::FAILED, vec![18]));
}
