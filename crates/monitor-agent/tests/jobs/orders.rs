//! Orders that are accepted, repeated or refused.

use monitor_wire::{HostStatus, JobOrder, JobReportEvent, JobRunKey, SecretSource, SignedJobOrder};

use crate::host::{Host, order, own_name, wait_for};

#[test]
fn an_order_is_accepted_started_and_ended_with_its_output() {
    let host = Host::start("");
    let order = JobOrder {
        args: vec!["a b".to_owned(), "$(id)".to_owned()],
        env: [("COLOR".to_owned(), "red".to_owned())].into(),
        ..order("echo \"$1|$2|$COLOR\"; echo to-stderr >&2; echo \"$MONITOR_ROOT_ID $0\"; echo 'job_success:[fine]'")
    };
    let end = host.run(&order);
    assert_eq!((end.status, end.exit_code, end.tag.as_deref()), (HostStatus::SUCCEEDED, Some(0), Some("fine")), "{end:?}");
    let output = host.server.output(order.key);
    assert!(output.contains("a b|$(id)|red\n") && output.contains("to-stderr\n") && output.contains(&order.root_id), "{output}");
    assert_eq!((end.output_bytes, end.omitted_bytes), (output.len() as u64, 0));
    let events = host.server.events(order.key);
    assert_eq!(events[..2], [JobReportEvent::Accepted, JobReportEvent::Started { interpreter: None }]);
    assert_eq!(events.len(), 3, "{events:?}");
    let script = output.lines().find_map(|line| line.strip_prefix(&format!("{} ", order.root_id))).unwrap();
    assert!(!std::path::Path::new(script).exists(), "the script is removed");
}

#[test]
fn a_changed_misdirected_expired_or_outdated_order_is_refused_with_the_reason() {
    let host = Host::start("");
    let script = format!("echo >> {}", host.path("ran").display());
    let refused = |key: JobRunKey, words: &str| {
        let end = host.ended(key);
        assert_eq!(end.status, HostStatus::REFUSED, "{end:?}");
        assert!(end.reason.contains(words), "{end:?}");
    };
    let changed = order(&script);
    let signed = host.server.sign(&changed);
    host.server.offer_signed(changed.key, SignedJobOrder { order: signed.order.replace("check", "other"), ..signed });
    refused(changed.key, "monitor agent trust");
    // A forged order doesn't block the genuine one with the same key.
    host.server.change(|data| data.reports.clear());
    host.server.change(|data| data.orders.clear());
    assert_eq!(host.run(&changed).status, HostStatus::SUCCEEDED);
    let other = JobOrder { agent: "db-2".to_owned(), ..order(&script) };
    host.server.offer(&other);
    refused(other.key, "is for the agent \"db-2\"");
    let expired = JobOrder { expires_us: monitor_runs::now_us() - 1, ..order(&script) };
    host.server.offer(&expired);
    refused(expired.key, "expired");
    let second = order(&script);
    let second = JobOrder { key: JobRunKey { attempt: 2, ..second.key }, ..second };
    assert_eq!(host.run(&second).status, HostStatus::SUCCEEDED);
    let first = JobOrder { key: JobRunKey { attempt: 1, ..second.key }, ..second };
    host.server.offer(&first);
    refused(first.key, "already has attempt 2");
    assert_eq!(host.lines("ran"), 2);
}

#[test]
fn a_stop_of_an_unknown_run_is_answered_and_blocks_no_later_order() {
    let host = Host::start("");
    let order = order("true");
    host.server.change(|data| data.stops.push(order.key));
    let end = host.ended(order.key);
    assert!(end.status == HostStatus::LOST && end.reason.contains("no record of the run"), "{end:?}");
    host.server.change(|data| {
        data.stops.clear();
        data.reports.clear();
    });
    assert_eq!(host.run(&order).status, HostStatus::SUCCEEDED);
}

#[test]
fn without_a_trusted_key_no_order_is_accepted() {
    let host = Host::start("");
    std::fs::remove_file(host.path("data/job-keys")).unwrap();
    let end = host.run(&order("true"));
    assert!(end.status == HostStatus::REFUSED && end.reason.contains("monitor agent trust"), "{end:?}");
    host.trust(&host.server.key());
    assert_eq!(host.run(&order("true")).status, HostStatus::SUCCEEDED, "the file is read for each order");
}

#[test]
fn a_repeated_order_starts_once_and_its_last_state_is_reported_again() {
    let host = Host::start("");
    let order = order(&format!("echo >> {}", host.path("ran").display()));
    let end = host.run(&order);
    for _ in 0..3 {
        // The server has lost the reports.
        host.server.change(|data| data.reports.clear());
        assert_eq!(host.ended(order.key), end);
    }
    assert_eq!(host.lines("ran"), 1);
}

#[test]
fn a_retry_that_must_not_run_reports_about_the_former_attempt_again() {
    let host = Host::start("");
    let script = format!("echo line >> {}", host.path("lines").display());
    let first = order(&script);
    assert_eq!(host.run(&first).status, HostStatus::SUCCEEDED);
    let reported = host.server.events(first.key).len();
    // The server has lost the reports of the first attempt.
    let retry = |attempt, since| JobOrder { key: JobRunKey { attempt, ..first.key }, since, ..first.clone() };
    let second = retry(2, 1);
    host.server.offer(&second);
    wait_for("the report about the first attempt", || (host.server.events(first.key).len() > reported).then_some(()));
    assert!(matches!(host.server.events(first.key).last(), Some(JobReportEvent::Ended { status: HostStatus::SUCCEEDED, .. })));
    assert_eq!((host.server.events(second.key), host.lines("lines")), (vec![], 1));
    // A user has decided that the script runs again.
    assert_eq!((host.run(&retry(3, 3)).status, host.lines("lines")), (HostStatus::SUCCEEDED, 2));

    // Nothing has started in a former attempt that was refused.
    let refused = JobOrder { expires_us: 1, ..order(&script) };
    assert_eq!(host.run(&refused).status, HostStatus::REFUSED);
    let again = JobOrder { key: JobRunKey { attempt: 2, ..refused.key }, expires_us: first.expires_us, ..refused };
    assert_eq!((host.run(&again).status, host.lines("lines")), (HostStatus::SUCCEEDED, 3));
}

#[test]
fn the_outcome_of_another_job_with_the_same_number_does_not_count() {
    let host = Host::start("");
    let first = order(&format!("echo >> {}", host.path("ran").display()));
    assert_eq!(host.run(&first).status, HostStatus::SUCCEEDED);
    // The server was restored from a backup, so it uses the number again.
    host.server.change(|data| *data = crate::server::Data::default());
    let second = JobOrder { root_id: "fedcba9876543210fedcba9876543210".to_owned(), script: "exit 3".to_owned(), ..first };
    let end = host.run(&second);
    assert!(end.status == HostStatus::REFUSED && end.reason.contains("another job of this number"), "{end:?}");
    let reported = host.server.change(|data| data.reports.values().map(|report| report.root_id.clone()).collect::<Vec<_>>());
    assert!(!reported.is_empty() && reported.iter().all(|root| *root == Some(second.root_id.clone())), "{reported:?}");
    assert_eq!(host.lines("ran"), 1);
}

#[test]
fn the_owners_rules_refuse_orders_and_are_named() {
    let host = Host::start("refuse = ['rm\\s+-rf']\nsecret-env = [\"AGENTS_SECRET\"]");
    let with_secret =
        |name: &str| JobOrder { secrets: [("T".to_owned(), SecretSource::Env(name.to_owned()))].into(), ..order("echo ${#T} $T") };
    for (order, status, words) in [
        (order("rm  -rf /tmp/x"), HostStatus::REFUSED, "refuse"),
        (with_secret("PATH"), HostStatus::REFUSED, "secret-env"),
        (JobOrder { account: Some("no-such-account".to_owned()), ..order("true") }, HostStatus::NO_ACCOUNT, "no-such-account"),
        (JobOrder { account: Some("daemon".to_owned()), ..order("true") }, HostStatus::REFUSED, "accounts"),
        (JobOrder { account: Some(own_name()), ..order("true") }, HostStatus::SUCCEEDED, ""),
    ] {
        let end = host.run(&order);
        assert!(end.status == status && end.reason.contains(words), "{end:?}");
    }
    let order = with_secret("AGENTS_SECRET");
    assert_eq!(host.run(&order).status, HostStatus::SUCCEEDED);
    assert_eq!(host.server.output(order.key), "11 ***\n");
    let closed = Host::start("enabled = false");
    assert!(closed.run(&crate::host::order("true")).reason.contains("enabled = false"));
}

#[test]
fn further_orders_wait_for_a_free_place_and_can_be_stopped_or_expire_meanwhile() {
    let host = Host::start("max-runs = 1");
    let gate = host.path("gate");
    let first = order(&format!("until test -e {}; do sleep 0.05; done", gate.display()));
    host.server.offer(&first);
    wait_for("the start", || host.server.events(first.key).contains(&JobReportEvent::Started { interpreter: None }).then_some(()));
    let script = format!("echo >> {}", host.path("ran").display());
    let [stopped, next] = [order(&script), order(&script)];
    let expires_us = monitor_runs::now_us() + 3_000_000;
    let expired = JobOrder { expires_us, ..order(&script) };
    for order in [&stopped, &expired, &next] {
        host.server.offer(order);
        wait_for("accepted", || host.server.events(order.key).contains(&JobReportEvent::Accepted).then_some(()));
    }
    host.server.change(|data| data.stops.push(stopped.key));
    assert_eq!(host.ended(stopped.key).status, HostStatus::STOPPED);
    wait_for("the order expires", || (monitor_runs::now_us() > expires_us).then_some(()));
    std::fs::write(&gate, "").unwrap();
    assert_eq!(host.ended(expired.key).status, HostStatus::JOB_TIME_OVER);
    assert_eq!((host.ended(first.key).status, host.ended(next.key).status), (HostStatus::SUCCEEDED, HostStatus::SUCCEEDED));
    assert_eq!(host.lines("ran"), 1);
}
