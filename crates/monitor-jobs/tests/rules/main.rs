//! The rules of jobs, one test each.

mod retries;
mod world;

use monitor_jobs::{CONTACT_US, Contact, Directive, Transition, callback, operate, plan, report};
use monitor_wire::{HostStatus, JobOperate, JobOperation, JobReport, JobReportEvent, JobRunKey, JobStatus, Rolling, RollingMode};

use world::{NOW, SECOND, World, ended, met};

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
