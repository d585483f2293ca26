//! Tests that every store of hosts and jobs must pass.

use std::collections::BTreeMap;

use monitor_jobs::{Contact, Contacts, JobState, Target, Transition, Verdict, apply, plan, report};
use monitor_wire::{
    CallbackDelivery, DeliveryState, HostDefinition, HostStatus, JobCallback, JobFailed, JobReport, JobReportEvent, JobRequest, JobRunKey,
    JobStatus, JobThen, StepRequest, Targets,
};

use crate::jobs::listed;
use crate::{HostRow, JobHostsQuery, JobStore, JobsQuery, NewJob, SavedRow};

/// Storage of hosts and jobs under test. Opening a store there again simulates a restart.
pub trait JobPlace {
    type Store: JobStore;

    /// Creates an empty place.
    fn new() -> Self;

    /// Opens the store. A store that was opened before must have been dropped.
    fn open(&self) -> Self::Store;
}

/// Generates all tests for a store of hosts and jobs. `$place` is its [`JobPlace`].
#[macro_export]
macro_rules! job_suite {
    ($place:ident) => {
        $crate::job_suite! { $place;
            hosts_are_added_once_then_changed_and_a_removed_hosts_number_is_not_used_again
            an_agent_that_connects_is_kept_with_its_host
            the_file_of_hosts_replaces_what_came_from_it_and_nothing_else
            a_request_id_starts_one_job_until_it_is_too_old
            one_job_follows_a_failed_one_or_none_for_a_reason
            a_job_is_read_as_it_was_changed_also_after_a_restart
            changes_are_numbered_and_forgotten_numbers_are_not_used_again
            callbacks_wait_in_order_and_equal_ones_wait_once
            jobs_are_filtered_and_paged
            hosts_of_a_job_are_filtered_and_paged
            ended_jobs_are_removed_with_their_hosts_and_their_numbers_are_not_used_again
        }
    };
    ($place:ident; $($test:ident)*) => {
        $(#[test]
        fn $test() {
            $crate::suite::jobs::$test::<$place>();
        })*
    };
}

/// Returns the request of a job with `steps` steps.
pub fn request(name: &str, steps: usize) -> JobRequest {
    let step = StepRequest { script: "true".to_owned(), ..StepRequest::default() };
    JobRequest { name: Some(name.to_owned()), steps: vec![step; steps], ..JobRequest::default() }
}

/// Adds a job with two steps, whose hosts have the numbers `hosts`, and one target that is no host.
fn add(store: &impl JobStore, name: &str, hosts: &[u64], created_us: u64) -> JobState {
    let target = |id: &u64| Target { host_id: Some(*id), name: format!("web-{id}"), ip: Some(format!("10.0.0.{id}")), cloud_id: 3 };
    let mut targets: Vec<Target> = hosts.iter().map(target).collect();
    targets.push(Target { host_id: None, name: "gone".to_owned(), ip: None, cloud_id: 0 });
    let new = NewJob { request: request(name, 2), by: "ada".to_owned(), follows: None, targets, verdict: Verdict::default(), created_us };
    let (job, is_new) = store.add_job(&new, 0).unwrap();
    assert!(is_new);
    job
}

fn change(store: &impl JobStore, job: &mut JobState, changes: &[Transition]) {
    store.change_job(job.id, changes, None).unwrap();
    for change in changes {
        apply(job, change);
    }
}

/// Starts the first step, and reports the end of each host in `ends`.
fn run(store: &impl JobStore, job: &mut JobState, ends: &[(u64, HostStatus)]) {
    let contacts: Contacts = job
        .targets
        .iter()
        .filter_map(|target| Some((target.host_id?, Contact { has_agent: true, last_us: 10, ..Contact::default() })))
        .collect();
    let next = plan(10, job, &contacts);
    change(store, job, &next.transitions);
    for (number, (host, status)) in ends.iter().enumerate() {
        let key = JobRunKey { job: job.id, step: job.steps[0].id, host: *host, attempt: 1 };
        let event = JobReportEvent::Ended {
            status: *status,
            exit_code: Some(1),
            reason: Some("a reason".to_owned()),
            tag: (*host == 1).then(|| "first".to_owned()),
            output_bytes: 7,
            omitted_bytes: 1,
        };
        let changes = report(20, job, &JobReport { number: number as u64, key, root_id: None, at_us: 19, event });
        change(store, job, &changes);
    }
    let next = plan(20, job, &contacts);
    change(store, job, &next.transitions);
}

fn host(name: &str, group: &str) -> HostDefinition {
    HostDefinition { name: name.to_owned(), groups: vec![group.to_owned()], ..HostDefinition::default() }
}

fn host_row(store: &impl JobStore, name: &str) -> HostRow {
    store.hosts().unwrap().into_iter().find(|row| row.definition.name == name).unwrap()
}

pub fn hosts_are_added_once_then_changed_and_a_removed_hosts_number_is_not_used_again<P: JobPlace>() {
    let place = P::new();
    let store = place.open();
    assert_eq!(store.put_hosts(&[host("web", "test"), host("db", "test")], 5).unwrap(), [true, true]);
    let (web, db) = (host_row(&store, "web"), host_row(&store, "db"));
    assert_eq!(store.put_hosts(&[host("web", "prod"), host("last", "test")], 7).unwrap(), [false, true]);
    let last = host_row(&store, "last");
    assert_eq!((web.created_us, last.created_us), (5, 7));
    assert_eq!(store.hosts().unwrap(), [db.clone(), last.clone(), HostRow { definition: host("web", "prod"), ..web.clone() }]);
    assert!(store.remove_host(last.id).unwrap());
    assert!(!store.remove_host(last.id).unwrap());
    drop(store);
    let store = place.open();
    assert_eq!(store.hosts().unwrap().len(), 2);
    store.put_hosts(&[host("new", "prod")], 8).unwrap();
    assert!(host_row(&store, "new").id > last.id.max(web.id).max(db.id));
}

pub fn an_agent_that_connects_is_kept_with_its_host<P: JobPlace>() {
    let place = P::new();
    let store = place.open();
    store.put_hosts(&[host("web", "test"), host("db", "test")], 5).unwrap();
    let before = host_row(&store, "web");
    store.meet_host("web", 6).unwrap();
    store.meet_host("new", 7).unwrap();
    drop(store);
    let store = place.open();
    assert_eq!(host_row(&store, "web"), HostRow { has_agent: true, ..before });
    let new = host_row(&store, "new");
    assert_eq!((new.created_us, new.has_agent, new.definition.groups.len()), (7, true, 0));
    store.put_hosts(&[host("web", "prod")], 9).unwrap();
    assert!(host_row(&store, "web").has_agent && !host_row(&store, "db").has_agent);
}

pub fn the_file_of_hosts_replaces_what_came_from_it_and_nothing_else<P: JobPlace>() {
    let place = P::new();
    let store = place.open();
    let targets = |group: &str| Targets { groups: vec![group.to_owned()], ..Targets::default() };
    let saved = |names: &[(&str, &str)]| names.iter().map(|(name, group)| ((*name).to_owned(), targets(group))).collect::<BTreeMap<_, _>>();
    let hosts = |store: &P::Store| {
        let shown = |row: HostRow| (row.definition.name.clone(), row.definition.groups.join(" "), row.is_from_file);
        store.hosts().unwrap().into_iter().map(shown).collect::<Vec<_>>()
    };
    let all_saved = |store: &P::Store| {
        let shown = |row: SavedRow| (row.name, row.targets.groups.join(" "), row.is_from_file);
        store.saved_targets().unwrap().into_iter().map(shown).collect::<Vec<_>>()
    };
    let text = |name: &str, group: &str, is_from_file| (name.to_owned(), group.to_owned(), is_from_file);
    store.put_hosts(&[host("own", "a"), host("shared", "a")], 1).unwrap();
    let (own, shared) = (host_row(&store, "own"), host_row(&store, "shared"));
    store.put_saved_targets("own", &targets("a")).unwrap();
    store.put_saved_targets("shared", &targets("a")).unwrap();
    store.put_inventory(&[host("filed", "b"), host("shared", "b")], &saved(&[("filed", "b"), ("shared", "b")]), 2).unwrap();
    assert_eq!(hosts(&store), [text("filed", "b", true), text("own", "a", false), text("shared", "b", true)]);
    assert_eq!(all_saved(&store), [text("filed", "b", true), text("own", "a", false), text("shared", "b", true)]);
    let shared_now = host_row(&store, "shared");
    assert_eq!((shared_now.id, shared_now.created_us), (shared.id, 1));
    let filed = host_row(&store, "filed").id;
    drop(store);

    let store = place.open();
    store.put_inventory(&[host("filed", "c"), host("new", "c")], &saved(&[("filed", "c")]), 3).unwrap();
    assert_eq!(hosts(&store), [text("filed", "c", true), text("new", "c", true), text("own", "a", false)]);
    assert_eq!(all_saved(&store), [text("filed", "c", true), text("own", "a", false)]);
    assert_eq!((host_row(&store, "filed").id, host_row(&store, "own").id), (filed, own.id));
    assert!(store.remove_saved_targets("own").unwrap() && !store.remove_saved_targets("own").unwrap());
    store.put_inventory(&[], &BTreeMap::new(), 4).unwrap();
    assert_eq!((hosts(&store), all_saved(&store)), (vec![text("own", "a", false)], Vec::new()));
}

pub fn a_request_id_starts_one_job_until_it_is_too_old<P: JobPlace>() {
    let place = P::new();
    let store = place.open();
    let new = |id: Option<&str>, created_us| NewJob {
        request: JobRequest { request_id: id.map(str::to_owned), ..request("check", 1) },
        by: "ada".to_owned(),
        follows: None,
        targets: Vec::new(),
        verdict: Verdict { needs_confirmation: created_us == 300, warnings: vec![format!("at {created_us}")] },
        created_us,
    };
    let (first, is_new) = store.add_job(&new(Some("a"), 100), 0).unwrap();
    assert!(is_new);
    let (again, is_new) = store.add_job(&new(Some("a"), 200), 100).unwrap();
    assert_eq!((again, is_new), (first.clone(), false));
    let (late, is_new) = store.add_job(&new(Some("a"), 300), 101).unwrap();
    assert!(is_new && late.id != first.id);
    assert_eq!((first.steps[0].status, late.steps[0].status), (JobStatus::WAITING, JobStatus::NEEDS_USER));
    assert_eq!(store.job(late.id).unwrap().unwrap(), late);
    assert_eq!(late.warnings, ["at 300"]);
    for (id, since, expected) in [("a", 100, Some(&first)), ("a", 101, Some(&late)), ("a", 301, None), ("b", 0, None)] {
        assert_eq!(store.job_of_request(id, since).unwrap().as_ref(), expected, "{id} since {since}");
    }
    let (one, _) = store.add_job(&new(None, 300), 0).unwrap();
    let (other, is_new) = store.add_job(&new(None, 300), 0).unwrap();
    assert!(is_new && one.id != other.id && one.steps[0].id != other.steps[0].id);
}

pub fn one_job_follows_a_failed_one_or_none_for_a_reason<P: JobPlace>() {
    let place = P::new();
    let store = place.open();
    let then = Some(JobThen { failed: Some(JobFailed { retry: None, job: Some(Box::new(request("repair", 1))) }) });
    let new = |request: JobRequest, follows| NewJob {
        request,
        by: "ada".to_owned(),
        follows,
        targets: Vec::new(),
        verdict: Verdict { warnings: vec!["a \"rule\"".to_owned()], ..Verdict::default() },
        created_us: 5,
    };
    let add = |request: JobRequest| store.add_job(&new(request, None), 0).unwrap().0.id;
    let [first, second] = [1, 2].map(|_| add(JobRequest { then: then.clone(), ..request("deploy", 1) }));
    let plain = add(request("plain", 1));
    assert!(store.jobs_to_follow().unwrap().is_empty());
    for id in [first, second, plain] {
        store.change_job(id, &[Transition::Job { status: JobStatus::FAILED, at_us: 9 }], None).unwrap();
    }
    assert_eq!(store.jobs_to_follow().unwrap(), [first, second]);
    let (next, is_new) = store.add_job(&new(request("repair", 1), Some(first)), 0).unwrap();
    assert!(is_new && next.follows == Some(first), "{next:?}");
    let (again, is_new) = store.add_job(&new(request("repair", 1), Some(first)), 0).unwrap();
    assert!(!is_new && again == next, "{again:?}");
    store.refuse_follow_up(second, "no host has failed").unwrap();
    assert!(store.jobs_to_follow().unwrap().is_empty());
    drop(store);
    let store = place.open();
    assert_eq!((store.jobs_to_follow().unwrap(), store.job(next.id).unwrap()), (vec![], Some(next.clone())));
    let read = |id| store.job(id).unwrap().unwrap();
    assert_eq!((read(first).followed_by, read(second).followed_by), (Some(next.id), None));
    assert_eq!(read(second).warnings, ["a \"rule\"", "no host has failed"]);
    let listed = store.jobs(&JobsQuery { limit: 9, ..JobsQuery::default() }).unwrap();
    let links: Vec<_> = listed.iter().map(|row| (row.job.follows, row.job.followed_by)).collect();
    assert_eq!(links, [(Some(first), None), (None, None), (None, None), (None, Some(next.id))]);
}

pub fn a_job_is_read_as_it_was_changed_also_after_a_restart<P: JobPlace>() {
    let place = P::new();
    let store = place.open();
    let mut job = add(&store, "check", &[1, 2, 3], 5);
    assert_eq!(store.job(job.id).unwrap().as_ref(), Some(&job));
    run(&store, &mut job, &[(1, HostStatus::SUCCEEDED), (2, HostStatus::EXIT_CODE)]);
    assert_eq!(store.job(job.id).unwrap().as_ref(), Some(&job));
    assert_eq!(store.open_jobs().unwrap(), [job.id]);
    let run = Box::new(monitor_jobs::HostRun { status: HostStatus(777), not_before_us: Some(9), ..job.steps[0].hosts[2].clone() });
    let changes = [
        Transition::Host { step: 0, host: 2, run, at_us: 30 },
        Transition::Step { step: 0, status: JobStatus::FAILED, attempt: 2, batches: 3, at_us: 31 },
        Transition::Job { status: JobStatus::FAILED, at_us: 32 },
    ];
    change(&store, &mut job, &changes);
    store.change_job(job.id + 1, &changes, None).unwrap();
    drop(store);
    let store = place.open();
    assert_eq!(job.ended_us, Some(32));
    assert_eq!(store.job(job.id).unwrap().as_ref(), Some(&job));
    assert_eq!((store.job(job.id + 1).unwrap(), store.open_jobs().unwrap()), (None, vec![]));
    // A host that was lost while its job was stopped must be stopped when it returns.
    let lost = monitor_jobs::HostRun { status: HostStatus::UNREACHABLE, is_stopping: true, ..job.steps[0].hosts[0].clone() };
    change(&store, &mut job, &[Transition::Host { step: 0, host: 0, run: Box::new(lost), at_us: 40 }]);
    assert_eq!(store.open_jobs().unwrap(), [job.id]);
}

pub fn changes_are_numbered_and_forgotten_numbers_are_not_used_again<P: JobPlace>() {
    let place = P::new();
    let store = place.open();
    let mut job = add(&store, "check", &[1], 5);
    let job_is = |status, at_us| Transition::Job { status, at_us };
    let changes = [job_is(JobStatus::RUNNING, 1), job_is(JobStatus::NEEDS_USER, 2), job_is(JobStatus::RUNNING, 3)];
    change(&store, &mut job, &changes);
    let numbered: Vec<_> = (1..).zip(changes).map(|(number, change)| (number, job.id, change)).collect();
    assert_eq!(store.job_changes(0, 10).unwrap(), numbered);
    assert_eq!(store.job_changes(1, 1).unwrap(), numbered[1..2]);
    store.forget_changes(3).unwrap();
    assert_eq!(store.job_changes(0, 10).unwrap(), []);
    drop(store);
    let store = place.open();
    change(&store, &mut job, &[job_is(JobStatus::FAILED, 4)]);
    assert_eq!(store.job_changes(0, 10).unwrap(), [(4, job.id, job_is(JobStatus::FAILED, 4))]);
}

pub fn callbacks_wait_in_order_and_equal_ones_wait_once<P: JobPlace>() {
    let place = P::new();
    let store = place.open();
    let add = |url: &str| {
        let request = JobRequest { callback_url: Some(url.to_owned()), ..request("check", 1) };
        let new = NewJob { request, by: "ada".to_owned(), follows: None, targets: Vec::new(), verdict: Verdict::default(), created_us: 5 };
        store.add_job(&new, 0).unwrap().0
    };
    let (one, two) = (add("https://one.example"), add("https://two.example"));
    let tell = |job: &JobState, status, corrected, time_us| {
        let callback = JobCallback {
            job_instance_id: job.id,
            name: "check".to_owned(),
            root_id: "root".to_owned(),
            status,
            step_instances: Vec::new(),
            corrected,
            time_us,
        };
        store.change_job(job.id, &[Transition::Job { status, at_us: time_us }], Some(&callback)).unwrap();
    };
    let of = |store: &P::Store, job: &JobState| store.callbacks(job.id, None, 10).unwrap().unwrap();
    let times = |deliveries: &[CallbackDelivery]| deliveries.iter().map(|delivery| delivery.callback.time_us).collect::<Vec<_>>();
    tell(&one, JobStatus::RUNNING, false, 20);
    tell(&two, JobStatus::RUNNING, false, 10);
    tell(&one, JobStatus::FAILED, false, 30);
    tell(&one, JobStatus::FAILED, false, 31);
    tell(&one, JobStatus::FAILED, true, 32);
    assert_eq!(times(&of(&store, &one)), [32, 30, 20], "an equal one waits once");
    let waiting = store.waiting_callbacks(10).unwrap();
    let first: Vec<_> = waiting.iter().map(|(url, delivery)| (url.as_str(), delivery.callback.time_us, delivery.next_us)).collect();
    assert_eq!(first, [("https://two.example", 10, Some(10)), ("https://one.example", 20, Some(20))]);
    assert_eq!(store.waiting_callbacks(1).unwrap(), waiting[..1]);

    let delivered = CallbackDelivery {
        state: DeliveryState::Delivered,
        attempts: 2,
        answer: Some("answered with 200 OK".to_owned()),
        tried_us: Some(40),
        next_us: None,
        ..waiting[1].1.clone()
    };
    store.put_delivery(&delivered).unwrap();
    let mut tried = store.waiting_callbacks(10).unwrap().pop().unwrap().1;
    assert_eq!(tried.callback.time_us, 30);
    (tried.attempts, tried.next_us) = (1, Some(50));
    store.put_delivery(&tried).unwrap();
    let given_up = CallbackDelivery { state: DeliveryState::GivenUp, next_us: None, ..waiting[0].1.clone() };
    store.put_delivery(&given_up).unwrap();
    drop(store);

    let store = place.open();
    assert_eq!(of(&store, &one)[1..], [tried.clone(), delivered]);
    assert_eq!(of(&store, &two), [given_up]);
    assert_eq!(store.waiting_callbacks(10).unwrap(), [("https://one.example".to_owned(), tried.clone())]);
    assert_eq!(times(&store.callbacks(one.id, Some(tried.id), 10).unwrap().unwrap()), [20]);
    assert_eq!(times(&store.callbacks(one.id, None, 1).unwrap().unwrap()), [32]);
    assert_eq!(store.remove_jobs(100, 10).unwrap(), [one.id]);
    assert_eq!((store.callbacks(one.id, None, 10).unwrap(), store.waiting_callbacks(10).unwrap()), (None, Vec::new()));
}

pub fn jobs_are_filtered_and_paged<P: JobPlace>() {
    let place = P::new();
    let store = place.open();
    let mut disk = add(&store, "disk check", &[1, 2, 3], 100);
    let net = add(&store, "net check", &[3, 4], 200);
    run(&store, &mut disk, &[(1, HostStatus::SUCCEEDED), (2, HostStatus::EXIT_CODE), (3, HostStatus::EXIT_CODE)]);
    assert_eq!(disk.status, JobStatus::FAILED);
    let ids = |query: JobsQuery| {
        let jobs = store.jobs(&JobsQuery { limit: if query.limit == 0 { 10 } else { query.limit }, ..query }).unwrap();
        jobs.iter().map(|row| row.job.id).collect::<Vec<_>>()
    };
    let any = JobsQuery::default;
    assert_eq!(ids(any()), [net.id, disk.id]);
    assert_eq!(ids(JobsQuery { limit: 1, ..any() }), [net.id]);
    assert_eq!(ids(JobsQuery { before: Some(net.id), ..any() }), [disk.id]);
    assert_eq!(ids(JobsQuery { status: Some(JobStatus::FAILED), ..any() }), [disk.id]);
    assert_eq!(ids(JobsQuery { is_open: Some(true), ..any() }), [net.id]);
    assert_eq!(ids(JobsQuery { is_open: Some(false), ..any() }), [disk.id]);
    assert_eq!(ids(JobsQuery { name: Some("disk".to_owned()), ..any() }), [disk.id]);
    assert_eq!(ids(JobsQuery { name: Some("%".to_owned()), ..any() }), [0; 0]);
    assert_eq!(ids(JobsQuery { host: Some(3), ..any() }), [net.id, disk.id]);
    assert_eq!(ids(JobsQuery { host: Some(4), ..any() }), [net.id]);
    assert_eq!(ids(JobsQuery { from_us: Some(101), ..any() }), [net.id]);
    let rows = store.jobs(&JobsQuery { limit: 10, ..any() }).unwrap();
    assert_eq!(rows[0].counts, [[(HostStatus::WAITING, 3)], [(HostStatus::WAITING, 3)]]);
    let first = vec![(HostStatus::NO_SUCH_HOST, 1), (HostStatus::SUCCEEDED, 1), (HostStatus::EXIT_CODE, 2)];
    assert_eq!(rows[1].counts, [first, vec![(HostStatus::JOB_TIME_OVER, 4)]]);
    disk.request = listed(&disk.request);
    disk.targets.clear();
    disk.steps.iter_mut().for_each(|step| step.hosts.clear());
    assert_eq!(rows[1].job, disk);
}

pub fn hosts_of_a_job_are_filtered_and_paged<P: JobPlace>() {
    let place = P::new();
    let store = place.open();
    let mut job = add(&store, "check", &[1, 2, 3], 5);
    add(&store, "other", &[1, 2], 5);
    run(&store, &mut job, &[(1, HostStatus::SUCCEEDED), (2, HostStatus::EXIT_CODE)]);
    let get = |query: JobHostsQuery| store.job_hosts(&JobHostsQuery { job: job.id, limit: query.limit.max(1), ..query }).unwrap();
    let all = get(JobHostsQuery { limit: 100, ..JobHostsQuery::default() });
    let expected: Vec<_> =
        job.steps.iter().flat_map(|step| job.targets.iter().zip(&step.hosts).map(|(target, run)| (step.id, target, run))).collect();
    assert_eq!(all.iter().map(|(_, row)| (row.step_id, &row.target, &row.run)).collect::<Vec<_>>(), expected);
    let mut paged = Vec::new();
    loop {
        let after = paged.last().map(|(number, _)| *number);
        let page = get(JobHostsQuery { after, limit: 3, ..JobHostsQuery::default() });
        if page.is_empty() {
            break;
        }
        paged.extend(page);
    }
    assert_eq!(paged, all);
    let names = |query: JobHostsQuery| {
        get(JobHostsQuery { limit: 100, ..query }).into_iter().map(|(_, row)| (row.step_id, row.target.name)).collect::<Vec<_>>()
    };
    let any = JobHostsQuery::default;
    let (one, two) = (job.steps[0].id, job.steps[1].id);
    assert_eq!(names(JobHostsQuery { status: Some(HostStatus::EXIT_CODE), ..any() }), [(one, "web-2".to_owned())]);
    assert_eq!(names(JobHostsQuery { tag: Some("first".to_owned()), ..any() }), [(one, "web-1".to_owned())]);
    assert_eq!(names(JobHostsQuery { step: Some(two), status: Some(HostStatus::WAITING), ..any() }).len(), 4);
    assert_eq!(names(JobHostsQuery { step: Some(two + 100), ..any() }), []);
}

pub fn ended_jobs_are_removed_with_their_hosts_and_their_numbers_are_not_used_again<P: JobPlace>() {
    let place = P::new();
    let store = place.open();
    let open = add(&store, "open", &[1], 1);
    let mut jobs = [add(&store, "a", &[1], 1), add(&store, "b", &[1], 1), add(&store, "c", &[1], 1)];
    for (job, at_us) in jobs.iter_mut().zip([10, 20, 30]) {
        change(&store, job, &[Transition::Job { status: JobStatus::FAILED, at_us }]);
    }
    assert_eq!(store.remove_jobs(30, 1).unwrap(), [jobs[0].id]);
    assert_eq!(store.remove_jobs(30, 10).unwrap(), [jobs[1].id]);
    assert_eq!(store.remove_jobs(31, 10).unwrap(), [jobs[2].id]);
    assert_eq!(store.remove_jobs(u64::MAX, 10).unwrap(), [0; 0]);
    assert_eq!(store.job(jobs[2].id).unwrap(), None);
    assert_eq!(store.job_hosts(&JobHostsQuery { job: jobs[2].id, limit: 10, ..JobHostsQuery::default() }).unwrap(), []);
    assert_eq!(store.job_changes(0, 10).unwrap().len(), 3, "changes stay until they are recorded");
    drop(store);
    let store = place.open();
    let next = add(&store, "next", &[1], 1);
    assert!(next.id > jobs[2].id && next.steps[0].id > jobs[2].steps[1].id);
    assert_eq!(store.open_jobs().unwrap(), [open.id, next.id]);
}

#[cfg(test)]
mod tests {
    use super::JobPlace;
    use crate::memory::jobs::MemoryJobs;

    struct InMemory(MemoryJobs);

    impl JobPlace for InMemory {
        type Store = MemoryJobs;

        fn new() -> Self {
            Self(MemoryJobs::default())
        }

        fn open(&self) -> MemoryJobs {
            self.0.clone()
        }
    }

    crate::job_suite!(InMemory);

    /// The macro generates tests only for the names in its list, so an unlisted test would never run.
    #[test]
    fn each_test_is_listed() {
        let (list, rest) = include_str!("jobs.rs").split_once("    };").unwrap();
        let names = rest.lines().filter_map(|line| line.strip_prefix("pub fn ")?.strip_suffix("<P: JobPlace>() {"));
        names.for_each(|name| assert!(list.lines().any(|line| line.trim() == name), "{name} is missing in the list of `job_suite`"));
    }
}
