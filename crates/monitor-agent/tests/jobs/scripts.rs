//! How scripts run and end: exit codes, timeout, stop, interpreter, output, secrets and accounts.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};

use monitor_wire::{HostStatus, JobOrder, JobReportEvent, Language, SecretSource};

use crate::host::{Host, order, wait_for};

#[test]
fn each_way_to_end_has_its_status() {
    let host = Host::start("");
    for (order, status, code) in [
        (order("exit 3"), HostStatus::EXIT_CODE, Some(3)),
        (order("kill -9 $$"), HostStatus::ENDED_ON_HOST, None),
        (JobOrder { timeout_s: 1, ..order("sleep 60") }, HostStatus::TIMED_OUT, None),
        (order("#!/nowhere/ruby\n"), HostStatus::NOT_STARTED, None),
        (JobOrder { language: Language::Bat, ..order("echo") }, HostStatus::NOT_STARTED, None),
    ] {
        let end = host.run(&order);
        assert_eq!((end.status, end.exit_code), (status, code), "{end:?}");
    }
    let order = order("echo begun; sleep 60");
    host.server.offer(&order);
    wait_for("output while it runs", || (host.server.output(order.key) == "begun\n").then_some(()));
    host.server.change(|data| data.stops.push(order.key));
    assert_eq!(host.ended(order.key).status, HostStatus::STOPPED);
}

#[test]
fn a_missing_interpreter_is_replaced_and_reported() {
    let host = Host::start("");
    let order = order("#!/nowhere/bin/python -u\nprint(6 * 7)\n");
    let end = host.run(&order);
    assert_eq!((end.status, host.server.output(order.key).as_str()), (HostStatus::SUCCEEDED, "42\n"), "{end:?}");
    let started = host.server.events(order.key).into_iter().find(|event| matches!(event, JobReportEvent::Started { .. }));
    let Some(JobReportEvent::Started { interpreter: Some(interpreter) }) = started else { panic!("{started:?}") };
    assert!(interpreter.starts_with("python"), "{interpreter}");
}

#[test]
fn of_long_output_the_first_and_last_half_arrive_and_the_gap_is_counted() {
    let host = Host::start("");
    let order = JobOrder { output_bytes: 100_000, ..order("i=0; while [ $i -lt 100000 ]; do echo line $i; i=$((i+1)); done") };
    let end = host.run(&order);
    let whole = (0..100_000).map(|number| format!("line {number}")).collect::<Vec<_>>().join("\n") + "\n";
    let output = host.server.output(order.key);
    assert_eq!((end.output_bytes, end.omitted_bytes), (100_000, whole.len() as u64 - 100_000));
    assert_eq!(output, format!("{}{}", &whole[..50_000], &whole[whole.len() - 50_000..]));
}

#[test]
fn a_secret_of_a_file_is_masked_wherever_a_write_is_cut() {
    let host = Host::start("");
    let file = host.path("password");
    fs::write(&file, "hunter2-secret\n").unwrap();
    let secrets = [("DB".to_owned(), SecretSource::File(file.to_str().unwrap().to_owned()))].into();
    let order = JobOrder { secrets, ..order("printf 'a hunter2-'; sleep 0.3; printf 'secret b '; printf %s \"$DB\"; echo ' c'") };
    let end = host.run(&order);
    assert_eq!(host.server.output(order.key), "a *** b *** c\n", "{end:?}");
    let text = |name| fs::read_to_string(host.run_folder(order.key).join(name)).unwrap();
    assert!(!text("spec.json").contains("hunter2") && !text("output.log").contains("hunter2"));
}

#[test]
fn sensitive_arguments_are_hidden_where_the_command_is_recorded() {
    let host = Host::start("");
    let order = JobOrder { is_param_sensitive: true, args: vec!["hunter2".to_owned()], ..order("test \"$1\" = hunter2") };
    let end = host.run(&order);
    assert_eq!(end.status, HostStatus::SUCCEEDED, "{end:?}");
    let state = fs::read_to_string(host.run_folder(order.key).join("state.json")).unwrap();
    assert!(state.contains("***") && !state.contains("hunter2"), "{state}");
}

#[test]
fn a_script_of_another_account_has_only_the_rights_of_that_account() {
    if !nix::unistd::geteuid().is_root() {
        println!("NOT TESTED: only root may start scripts of another account");
        return;
    }
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    let host = Host::start("");
    let shared = tempfile::tempdir().unwrap();
    fs::set_permissions(shared.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let [of_nobody, of_root] = ["nobody", "root"].map(|name| shared.path().join(name));
    for file in [&of_nobody, &of_root] {
        fs::write(file, "hunter2-secret").unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
    }
    chown(&of_nobody, Some(nobody.uid.as_raw()), Some(nobody.gid.as_raw())).unwrap();
    let with = |file: &std::path::Path, script: &str| JobOrder {
        account: Some("nobody".to_owned()),
        secrets: [("DB".to_owned(), SecretSource::File(file.to_str().unwrap().to_owned()))].into(),
        ..order(script)
    };
    let good =
        with(&of_nobody, "id -un; stat -c '%U %a' \"$0\" \"$(dirname \"$0\")\"; mkdir \"$0-x\" 2>/dev/null || echo $DB; echo \"$0\"");
    let end = host.run(&good);
    let output = host.server.output(good.key);
    assert!(output.starts_with("nobody\nnobody 700\nroot 750\n***\n"), "{output} {end:?}");
    assert!(!std::path::Path::new(output.lines().last().unwrap()).exists());
    let end = host.run(&with(&of_root, "true"));
    assert_eq!(end.status, HostStatus::NOT_STARTED, "{end:?}");
    assert!(end.reason.contains("Permission denied") && end.reason.contains("DB"), "{end:?}");
}
