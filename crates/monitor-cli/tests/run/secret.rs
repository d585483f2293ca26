//! Tests that secrets are masked in all recorded and stored data, and passed on unchanged.

use std::fs;
use std::path::Path;

use crate::detached::{detach, pid_of, until};
use crate::harness::{House, kill, output, wait_for};
use crate::report::{File, alone};

const VALUE: &str = "Zx81-hush-9c";
/// Lines of a further secret. The one in the middle is too short to be masked.
const LINES: [&str; 3] = ["first-quiet-line", "abc", "last-quiet-line"];

/// Writes both secrets to files and returns the options that set `P` and `KEY` to them.
fn options(house: &House) -> Vec<String> {
    let file = |name: &str, text: String| {
        let path = house.folder.path().join("secrets").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        ["--secret".to_owned(), format!("{name}=file:{}", path.display())]
    };
    [file("P", format!("{VALUE}\n")), file("KEY", LINES.join("\n") + "\n")].concat()
}

/// Checks that no file of the folder has a value, except the files of the secrets themselves.
fn check_files(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.ends_with("secrets") {
            continue;
        }
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => check_files(&path),
            Ok(kind) if kind.is_file() => check(&path.display().to_string(), &fs::read(&path).unwrap_or_default()),
            _ => {}
        }
    }
}

fn check(what: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for value in [VALUE, LINES[0], LINES[2]] {
        assert!(!text.contains(value), "{what}: {text}");
    }
}

fn log_of(house: &House, id: &str) -> String {
    fs::read_to_string(house.folder.path().join("runs").join(id).join("output.log")).unwrap()
}

#[test]
fn values_of_secrets_are_masked_in_all_that_a_detached_run_keeps() {
    let house = House::new();
    let options = options(&house);
    let mut options: Vec<&str> = options.iter().map(String::as_str).collect();
    options.extend(["--log-dir", "kept"]);
    let script = r#"printf 'begin Zx81-'; until [ -e go ]; do sleep 0.02; done; printf "hush-9c end\n"; echo "$KEY"; printf '\033[1mZx81-\033[0mhush-9c\n'
        echo "error: login with $P failed" >&2; exit 3"#;
    let id = detach(&house, &options, script);
    wait_for("the beginning of the value", || log_of(&house, &id).starts_with("begin ").then_some(()));
    fs::write(house.folder.path().join("go"), "").unwrap();
    let run = until(&house, &id, "ended");
    check("the run", run.to_string().as_bytes());
    let log = log_of(&house, &id);
    let error = "error: login with *** failed\n";
    assert!(log.contains(error), "{log}");
    // It may come in between.
    assert!(log.replace(error, "").starts_with("begin *** end\n***\n"), "{log}");
    let process = house.process();
    assert_eq!(process["error"]["message"], "error: login with *** failed");
    check("the process", process.to_string().as_bytes());
    let root = process["root_id"].as_str().unwrap();
    let logs = wait_for("the logs", || {
        Some(house.get(&format!("/roots/{root}/logs?limit=1000"))).filter(|logs| logs.to_string().contains("begin ***"))
    });
    check("the logs", logs.to_string().as_bytes());
    check_files(house.folder.path());
}

#[test]
fn the_end_of_a_value_is_masked_when_the_launcher_was_killed_after_its_beginning() {
    let house = House::new();
    let options = options(&house);
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let script = r#"echo ready; echo "$P" | cut -c1-5 | tr -d '\n'; until [ -e go ]; do sleep 0.02; done
        echo "$P" | cut -c6-; echo "$P then $KEY"; exit 3"#;
    let id = detach(&house, &options, script);
    wait_for("output", || log_of(&house, &id).starts_with("ready\n").then_some(()));
    kill(pid_of(&house, &id, "launcher"), "KILL");
    until(&house, &id, "unwatched");
    fs::write(house.folder.path().join("go"), "").unwrap();
    until(&house, &id, "ended");
    let log = wait_for("all output", || Some(log_of(&house, &id)).filter(|log| log.matches("***").count() >= 3));
    assert!(!log.contains("hush") && log.contains("*** then ***"), "{log}");
    check_files(house.folder.path());
}

#[test]
fn the_caller_receives_every_byte_and_recorded_output_is_masked() {
    let house = House::new();
    let options = options(&house);
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let out = output(house.run(&options, &["sh", "-c", r#"echo "a $P"; echo "b $P" >&2; exit 4"#]), b"");
    assert_eq!((out.status.code(), &*out.stdout), (Some(4), format!("a {VALUE}\n").as_bytes()));
    assert!(String::from_utf8_lossy(&out.stderr).starts_with(&format!("b {VALUE}\n")), "{out:?}");
    let process = house.process();
    assert_eq!(process["error"]["message"], "b ***");
    check("the process", process.to_string().as_bytes());
    let root = process["root_id"].as_str().unwrap();
    let logs = wait_for("the logs", || {
        Some(house.get(&format!("/roots/{root}/logs?limit=1000"))).filter(|logs| logs.to_string().contains("a ***"))
    });
    check("the logs", logs.to_string().as_bytes());
    check_files(house.folder.path());
}

#[test]
fn a_report_has_no_value_that_the_page_masks() {
    let house = House::new();
    let options = options(&house);
    let mut options: Vec<&str> = options.iter().map(String::as_str).collect();
    options.extend(["--mask", "pin", "--report", "r.html", "--name", "masked"]);
    let script = r#"echo "a $P"; printf 'Zx81-'; printf 'hush-9c\n'; echo "$KEY"; echo "b $P" >&2; exit 4"#;
    let arguments = ["sh", "-c", script, "sh", "--pin=Ab12cd", "--password", "Ef34gh", "https://me:Ij56kl@host.invalid/"];
    let masked = |file: &str| {
        let file = File::read(&house.folder.path().join(file));
        let text = file.text();
        check("the file", text.as_bytes());
        for value in ["Ab12cd", "Ef34gh", "Ij56kl"] {
            assert!(!text.contains(value), "{value}: {}", file.tree(0));
        }
        for shown in ["--pin=***", "--password ***", "https://me:***@host.invalid/", r#""message":"b ***""#] {
            assert!(file.tree(0).contains(shown), "{shown}: {}", file.tree(0));
        }
        assert!(file.said(0).contains(&"a ***".to_owned()) && file.said(0).contains(&"b ***".to_owned()), "{:?}", file.said(0));
    };
    let without_server = output(alone(&house, &options, &arguments), b"");
    assert_eq!(without_server.status.code(), Some(4));
    masked("r.html");
    let with_server = output(house.run(&options, &arguments), b"");
    assert_eq!(with_server.status.code(), Some(4));
    masked("r.html");
    // The server's own file, and the page that it is compared with.
    let process = house.process();
    let command = process["fields"]["command"].as_str().unwrap();
    assert!(command.contains("--pin=***") && command.contains("--password ***"), "{process}");
    let export = output(house.monitor(&["export", process["root_id"].as_str().unwrap(), "--format", "html", "-o", "e.html"]), b"");
    assert!(export.status.success(), "{}", String::from_utf8_lossy(&export.stderr));
    masked("e.html");
}
