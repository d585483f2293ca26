//! Tests the output of commands: logs, a file, and the limits of both.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::harness::{House, output};

/// Level, stream and text of each line, oldest first.
fn logs(house: &House) -> Vec<(String, String)> {
    let process = house.process();
    let path = format!("/roots/{}/processes/{}/logs?limit=10000", process["root_id"].as_str().unwrap(), process["id"].as_str().unwrap());
    let text = |log: &Value, key: &str| log[key].as_str().unwrap_or_default().to_owned();
    let logs = house.get(&path)["logs"].as_array().expect("a list").clone();
    logs.iter().map(|log| (text(log, "stream"), text(log, "message"))).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(stream, line)| ((*stream).to_owned(), (*line).to_owned())).collect()
}

#[test]
fn each_line_is_a_log_of_the_process_with_its_stream() {
    let house = House::new();
    // The order of lines from two pipes is undefined.
    let script =
        r"printf 'one\n\ntwo\n'; printf '\033[31mred\033[0m\r\n' >&2; printf '10%%\r99%%\r100%%'; printf '\377\n'; printf 'no end'";
    let out = output(house.run(&[], &["sh", "-c", script]), b"");
    assert_eq!((&*out.stdout, &*out.stderr), (&b"one\n\ntwo\n10%\r99%\r100%\xff\nno end"[..], &b"\x1b[31mred\x1b[0m\r\n"[..]));
    let (errors, lines): (Vec<_>, Vec<_>) = logs(&house).into_iter().partition(|(stream, _)| stream == "stderr");
    assert_eq!(errors, pairs(&[("stderr", "red")]));
    assert_eq!(lines, pairs(&[("stdout", "one"), ("stdout", ""), ("stdout", "two"), ("stdout", "100%\u{fffd}"), ("stdout", "no end")]));
    assert_eq!(house.process()["fields"]["output_bytes"], out.stdout.len() + out.stderr.len());
}

/// `2>&1`: one pipe, so the order is kept.
#[test]
fn output_of_both_streams_to_the_same_pipe_stays_in_order() {
    let house = House::new();
    let monitor = house.run(&[], &["sh", "-c", "for n in 1 2 3 4 5; do echo out $n; echo err $n >&2; done; exit 1"]);
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "exec \"$@\" 2>&1", "sh"])
        .arg(monitor.get_program())
        .args(monitor.get_args())
        .envs(monitor.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let out = output(shell, b"");
    let expected: Vec<String> = (1..=5).flat_map(|n| [format!("out {n}"), format!("err {n}")]).collect();
    assert_eq!(String::from_utf8(out.stdout).unwrap(), expected.join("\n") + "\n");
    assert_eq!(logs(&house).into_iter().map(|(_, line)| line).collect::<Vec<_>>(), expected);
    assert!(house.process()["error"]["tail"].as_str().unwrap().ends_with("out 5\nerr 5"));
}

#[test]
fn floods_and_long_lines_are_cut_and_counted_and_reach_the_reader_whole() {
    let house = House::new();
    let out = output(house.run(&[], &["sh", "-c", "head -c 20000 /dev/zero | tr '\\0' x; echo; yes | head -c 30000000"]), b"");
    assert_eq!(out.stdout.len(), 30_020_001);
    let logs = logs(&house);
    assert!(logs[0].1.ends_with("… (11808 bytes cut)") && logs[0].1.len() < 9_000, "{}", logs[0].1.len());
    assert!(logs.len() <= 10_000 && logs[1..].iter().all(|(_, line)| line == "y"), "{}", logs.len());
    let fields = house.process()["fields"].clone();
    assert_eq!(fields["output_bytes"], 30_020_001);
    assert!(fields["output_cut_bytes"].as_u64() > Some(10_000_000), "{fields}");
}

fn log_file(house: &House) -> PathBuf {
    PathBuf::from(house.process()["fields"]["log_file"].as_str().expect("a path"))
}

#[test]
fn a_log_file_beyond_its_limit_keeps_the_first_and_the_last_bytes() {
    let house = House::new();
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    output(house.run(&["--name", "a/b", "--log-dir", "logs"], &["cat"]), &bytes);
    let path = log_file(&house);
    let shape: Vec<_> =
        path.strip_prefix(house.folder.path().canonicalize().unwrap()).unwrap().iter().map(|part| part.to_str().unwrap()).collect();
    assert!(
        matches!(&shape[..], ["logs", "a_b", "logs", month, day, file] if month.len() == 6 && day.len() == 2 && Path::new(file).extension().is_some_and(|end| end == "log") && file.len() == 6 + 1 + 16 + 4),
        "{shape:?}"
    );
    assert_eq!(std::fs::read(&path).unwrap(), bytes);

    let house = House::new();
    output(house.run(&["--log-dir", "logs", "--log-bytes", "1K"], &["cat"]), &bytes);
    let text = std::fs::read(log_file(&house)).unwrap();
    let note = &b"\n(cut: 90112 bytes are left out here)\n"[..];
    assert_eq!(
        text,
        [&bytes[..4_096], note, &bytes[4_096 + 90_112..]].concat(),
        "a block at least is kept of the beginning and of the end"
    );
    assert_eq!(house.process()["fields"]["log_file_cut_bytes"], 90_112);
}

/// A file system of 64 KiB in a separate namespace, where any user may mount file systems.
#[test]
fn a_full_disk_truncates_only_the_log_file() {
    let may_mount = Command::new("unshare").args(["--map-root-user", "--mount", "true"]).stderr(Stdio::null()).status();
    if !may_mount.is_ok_and(|status| status.success()) {
        eprintln!("nothing may be mounted here, not even in a namespace: the unit test of /dev/full has to do");
        return;
    }
    let house = House::new();
    std::fs::create_dir(house.folder.path().join("small")).unwrap();
    let run = house.run(&["--log-dir", "small"], &["sh", "-c", "head -c 1000000 /dev/zero; exit 3"]);
    let mut apart = Command::new("unshare");
    apart.args(["--map-root-user", "--mount", "sh", "-c", "mount -t tmpfs -o size=64k tmpfs small && exec \"$@\"", "sh"]);
    apart.arg(run.get_program()).args(run.get_args()).current_dir(house.folder.path());
    for (name, value) in run.get_envs().filter_map(|(name, value)| Some((name, value?))) {
        apart.env(name, value);
    }
    let out = output(apart, b"");
    assert_eq!((out.status.code(), out.stdout.len(), &*out.stderr), (Some(3), 1_000_000, &b""[..]));
    let process = house.process();
    assert!(process["fields"]["log_file_error"].as_str().is_some_and(|error| error.contains("No space left")), "{process:#}");
}
