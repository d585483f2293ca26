//! The rules of later attempts.

use monitor_jobs::{CONTACT_US, Contact, Directive, ORDER_TTL_US};
use monitor_wire::{HostStatus, JobFailed, JobOperation, JobReportEvent, JobRetry, JobRunKey, JobStatus, JobThen, RollingMode};

use crate::world::{NOW, SECOND, World, ended, met};

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
