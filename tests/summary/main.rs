//! Summaries and annotations of runs in CI, with real commands, a real server, and the files that CI systems read.
#![cfg(target_os = "linux")]

mod documented;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use monitor_tests::{Finished, Server, command, run};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A CI job: a folder with the file of its summary.
struct Job {
    folder: TempDir,
    server: Option<Server>,
}

impl Job {
    fn new(server: Option<Server>) -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), server }
    }

    fn summary(&self) -> PathBuf {
        self.folder.path().join("summary.md")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.summary()).unwrap_or_default()
    }

    /// Adds the environment of the job, with `monitor` on the search path.
    fn prepared(&self, mut command: Command) -> Command {
        let monitor = monitor_tests::command("monitor");
        let programs = PathBuf::from(monitor.get_program());
        let path = std::env::var("PATH").expect("there is one");
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GITHUB_")) {
            command.env_remove(name);
        }
        command.env("PATH", format!("{}:{path}", programs.parent().expect("a folder").display())).current_dir(&self.folder);
        match &self.server {
            Some(server) => command.env("MONITOR_SERVER_URL", server.url()).env("MONITOR_SPOOL_DIR", server.spool()),
            // No program listens there.
            None => command.env("MONITOR_SERVER_URL", "http://127.0.0.1:1").env("MONITOR_SPOOL_DIR", self.folder.path().join("spool")),
        };
        command.env("GITHUB_STEP_SUMMARY", self.summary());
        command
    }

    fn monitor(&self, args: &[&str]) -> Command {
        let mut monitor = command("monitor");
        monitor.args(args);
        self.prepared(monitor)
    }

    fn run(&self, args: &[&str]) -> Finished {
        run(self.monitor(&[&["run"], args].concat()))
    }

    fn show(&self, root: &str, format: &str) -> String {
        let shown = run(self.monitor(&["show", root, "--format", format]));
        assert_eq!(shown.code, Some(0), "{}", shown.stderr);
        shown.stdout
    }
}

#[test]
fn a_failed_run_is_compared_with_the_last_good_one() {
    let job = Job::new(Some(Server::start()));
    let good = "monitor run --name compile -- true && monitor run --name test -- true && monitor run --name pack -- true";
    assert_eq!(job.run(&["--name", "build", "--", "sh", "-c", good]).code, Some(0));
    let bad = "monitor run --name compile -- true && monitor run --name test -- sh -c 'echo reading rows >&2; echo error: no such table >&2; exit 4' || exit 3";
    assert_eq!(job.run(&["--name", "build", "--", "sh", "-c", bad]).code, Some(3));
    let text = job.text();
    assert_eq!(text.matches("### ").count() - text.matches("#### ").count(), 2, "nested runs write none: {text}");
    let failed = &text[text.find("### ✗ `build <2>`: failed in ").unwrap_or_else(|| panic!("{text}"))..];
    for line in [
        "- `build` failed: `error: no such table`, exit code 3",
        "  - `test` failed: `error: no such table`, exit code 4",
        "```text\nreading rows\nerror: no such table\n```",
        "#### Slowest steps\n\n- `",
        "`build <1>`, which took ",
        "- New failures: `test`",
        "- Not started: `pack`",
    ] {
        assert!(failed.contains(line), "{line}: {failed}");
    }
    let server = job.server.as_ref().expect("there is one");
    let root = &server.roots()[0];
    let id = root["root_id"].as_str().expect("an id");
    assert!(failed.contains(&format!("[Open the run](<{}/tasks/{id}>)", server.url())), "{failed}");
    assert!(failed.starts_with(job.show(id, "markdown").trim_end()), "{failed}");
    assert!(job.show("2", "text").contains("    test failed: error: no such table, exit code 4\n"));
    let json = run(job.monitor(&["show", "2", "--json"])).stdout;
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["failing_path"][1]["error"]["message"], "error: no such table");
    assert_eq!(json["last_good"]["missing"], json!({"first": [{"name": "pack", "times": 1}], "count": 1}));
    assert_eq!(run(job.monitor(&["show", "77"])).code, Some(4));
}

#[test]
fn without_a_server_the_outcome_and_the_reason_are_written() {
    let job = Job::new(None);
    let finished = job.run(&["--name", "build", "--", "sh", "-c", "echo error: no such table >&2; exit 3"]);
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(3), "error: no such table\n"));
    assert_eq!(job.text(), "### ✗ `build`: failed, `exit code 3`\n\nReason: `error: no such table`\n\n");
    assert_eq!(job.run(&["--", "/no/such/program"]).code, Some(127));
    assert!(job.text().contains("### ✗ `program`: failed, "), "{}", job.text());
}

#[test]
fn with_a_report_the_summary_is_complete_without_a_server() {
    let job = Job::new(None);
    let github = |args: &[&str]| {
        let mut monitor = job.monitor(&[&["run", "--report", "r.html", "--name", "build"], args].concat());
        monitor.env("GITHUB_ACTIONS", "true").env("TMPDIR", job.folder.path());
        run(monitor)
    };
    let worker = command("monitor-test-worker");
    let worker = worker.get_program().to_str().expect("a path");
    let finished = github(&["--", "sh", "-c", &format!("{worker} panic; monitor run --name test -- false; exit 3")]);
    assert_eq!(finished.code, Some(3));
    for line in ["### ✗ `build <1>`: failed in ", "#### Failing path\n\n- `build` failed: ", "#### Slowest steps\n\n- `"] {
        assert!(job.text().contains(line), "{line}: {}", job.text());
    }
    assert!(!job.text().contains("[Open the run]"), "{}", job.text());
    let annotations: Vec<_> = finished.stderr.lines().filter(|line| line.starts_with("::")).collect();
    assert!(annotations.len() == 2 && annotations[0].starts_with("::error file=tests/worker/main.rs,line="), "{}", finished.stderr);

    // The report is too small, or there is nothing that it could be made of.
    fs::remove_file(job.summary()).expect("a summary");
    let finished = github(&["--report-bytes", "1", "--", "sh", "-c", "exit 4"]);
    assert!(finished.code == Some(4) && finished.stderr.contains("the report was not written: "), "{}", finished.stderr);
    assert!(job.text().contains("- `build` failed: `exit code 4`"), "{}", job.text());
    fs::remove_file(job.summary()).expect("a summary");
    let finished = github(&["--", "sh", "-c", "rm -r \"$MONITOR_SPOOL_DIR\"; echo error: no such table >&2; exit 5"]);
    assert!(finished.code == Some(5) && finished.stderr.contains("the report was not written: "), "{}", finished.stderr);
    assert_eq!(job.text(), "### ✗ `build`: failed, `exit code 5`\n\nReason: `error: no such table`\n\n");
    let left: Vec<_> = fs::read_dir(&job.folder).expect("a folder").flatten().map(|entry| entry.file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with("monitor-")), "{left:?}");
}

#[test]
fn a_summary_is_written_to_the_given_file_and_keeps_the_exit_code() {
    let job = Job::new(Some(Server::start()));
    assert_eq!(job.run(&["--summary", "off", "--", "sh", "-c", "exit 3"]).code, Some(3));
    assert_eq!(job.run(&["--summary", "other.md", "--", "true"]).code, Some(0));
    assert_eq!(job.text(), "");
    assert!(fs::read_to_string(job.folder.path().join("other.md")).expect("a file").starts_with("### ✓ `true <2>`: succeeded"));
    for (command, code) in [("exit 3", 3), ("exit 0", 0)] {
        let finished = job.run(&["--summary", "no/such/folder/s.md", "--", "sh", "-c", command]);
        assert_eq!(finished.code, Some(code));
        assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
        assert!(finished.stderr.starts_with("monitor: the summary can't be written to no/such/folder/s.md: "), "{}", finished.stderr);
    }
    // Without a spool, the launcher sends the records itself.
    let mut monitor = job.monitor(&["run", "--", "sh", "-c", "exit 4"]);
    monitor.env("MONITOR_SPOOL_DIR", "off");
    assert_eq!(run(monitor).code, Some(4));
    assert!(job.text().contains("- `sh` failed: "), "{}", job.text());
}

/// The text outside of code spans and code blocks.
fn outside_code(markdown: &str) -> String {
    let (mut outside, mut fence) = (String::new(), None::<String>);
    for line in markdown.lines() {
        let ticks = &line[..line.len() - line.trim_start_matches('`').len()];
        match &fence {
            Some(open) if ticks.len() >= open.len() && ticks == line => fence = None,
            Some(_) => {}
            None if ticks.len() >= 3 && line.ends_with("text") => fence = Some(ticks.to_owned()),
            None => {
                let mut rest = line;
                while let Some(at) = rest.find('`') {
                    outside.push_str(&rest[..at]);
                    let ticks = rest[at..].len() - rest[at..].trim_start_matches('`').len();
                    let (open, mut end) = (at + ticks, None);
                    let mut from = open;
                    while let Some(next) = rest[from..].find('`').map(|next| from + next) {
                        let length = rest[next..].len() - rest[next..].trim_start_matches('`').len();
                        from = next + length;
                        if length == ticks {
                            end = Some(from);
                            break;
                        }
                    }
                    rest = &rest[end.unwrap_or_else(|| panic!("an open span: {line}"))..];
                }
                outside.push_str(rest);
                outside.push('\n');
            }
        }
    }
    assert_eq!(fence, None, "an open block: {markdown}");
    outside
}

const HOSTILE: &[&str] = &[
    "evil [link](http://evil) ![evil](http://evil) <img src=evil onerror=evil> <https://evil> @evil #1",
    "`evil` ``evil`` ```evil",
    "```\n# evil\n```\n<script>evil</script>\n\n| evil | evil |\n|---|---|\n",
    "evil\\` | \u{1b}[31mevil\u{202e}\u{7f}\u{9b}\r\n::error::evil",
    "`evil",
    "evil`",
];

fn is_hidden(c: char) -> bool {
    c.is_control() && c != '\n' || ('\u{202a}'..='\u{202e}').contains(&c)
}

/// Posts a failed run with nested processes.
fn post(server: &Server, depth: usize, text: impl Fn(usize) -> String) {
    let root = "0199a3ce929d0e0e47360199a3ce929d";
    let events = (1..=depth).flat_map(|id| {
        let about = |time_us: usize| json!({"root_id": root, "id": format!("{id:016x}"), "time_us": 1_763_600_000_000_000_usize + time_us});
        let (mut started, mut ended) = (about(id), about(5_000_000 - id));
        let parent = (id > 1).then(|| format!("{:016x}", id - 1));
        let text = text(id);
        let more = json!({"type": "process-started", "parent_id": parent, "kind": "normal", "name": text,
                          "source": {"file": text, "line": 7}});
        started.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let error = json!({"kind": "error", "message": text, "chain": vec![&text; 7], "tail": text});
        let more = json!({"type": "process-ended", "outcome": "failed", "elapsed_ns": 4_000_000_000_u64, "error": error});
        ended.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        [started, ended]
    });
    let worker = json!({"id": "5b0c0000000000000000000000000001", "hostname": "h", "pid": 1, "program": "p"});
    let batch = json!({"version": 1, "worker": worker, "sequence": 1, "sent_us": 1, "events": events.collect::<Vec<_>>()});
    let (status, answer) = server.post(&batch);
    assert_eq!(status, 200, "{answer}");
}

#[test]
fn recorded_text_is_nothing_but_text() {
    let job = Job::new(Some(Server::start()));
    post(job.server.as_ref().expect("there is one"), HOSTILE.len(), |id| HOSTILE[id - 1].to_owned());
    let text = job.show("1", "markdown");
    assert!(text.matches("evil").count() > 20, "{text}");
    assert!(!outside_code(&text).contains("evil"), "{text}");
    assert!(!text.contains(is_hidden), "{text:?}");
    assert!(!job.show("1", "text").contains(is_hidden));
    let mut monitor = job.monitor(&["run", "--name", HOSTILE[2], "--", "sh", "-c", "printf \"$1\" >&2; exit 3", "sh", HOSTILE[1]]);
    monitor.env("GITHUB_ACTIONS", "true");
    let finished = run(monitor);
    assert_eq!(finished.code, Some(3));
    assert!(job.text().contains("evil") && !outside_code(&job.text()).contains("evil"), "{}", job.text());
    assert_eq!(finished.stderr.lines().filter(|line| line.starts_with("::")).count(), 1, "{}", finished.stderr);
}

#[test]
fn a_summary_has_at_most_60_kilobytes() {
    let job = Job::new(Some(Server::start()));
    post(job.server.as_ref().expect("there is one"), 40, |id| format!("{id} {}", "\u{1b}`".repeat(700)));
    let text = job.show("1", "markdown");
    assert!((40_000..=60_000).contains(&text.len()), "{}", text.len());
    assert!(text.contains(" were left out.") && text.contains("[Open the run]("), "{}", &text[text.len() - 300..]);
    outside_code(&text);
}

#[test]
fn failures_are_annotations_on_github() {
    let job = Job::new(Some(Server::start()));
    let github = |args: &[&str]| {
        let mut monitor = job.monitor(args);
        monitor.env("GITHUB_ACTIONS", "true");
        let finished = run(monitor);
        let lines: Vec<String> = finished.stderr.lines().filter(|line| line.starts_with("::")).map(str::to_owned).collect();
        (finished.code, lines)
    };
    let steps = "for n in 1 2 3 4 5 6 7 8 9 10 11 12; do monitor run --name \"step $n: a,b\" -- sh -c 'echo error: 50% broke >&2; exit 4'; done; exit 3";
    let (code, lines) = github(&["run", "--name", "build", "--", "sh", "-c", steps]);
    assert_eq!((code, lines.len()), (Some(3), 10), "{lines:?}");
    assert_eq!(lines[0], "::error title=step 1%3A a%2Cb::error: 50%25 broke");
    let worker = command("monitor-test-worker");
    let worker = worker.get_program().to_str().expect("a path");
    let (code, lines) = github(&["run", "--name", "worker", "--", "sh", "-c", &format!("{worker} panic; exit 3")]);
    assert_eq!((code, lines.len()), (Some(3), 1), "{lines:?}");
    assert!(lines[0].starts_with("::error file=tests/worker/main.rs,line=") && lines[0].contains(",title=panics::"), "{lines:?}");
    assert!(lines[0].contains("the end of the tape"), "{lines:?}");
    assert_eq!(github(&["run", "--", "true"]), (Some(0), Vec::new()));
    let (code, lines) = github(&["run", "--summary", "off", "--name", "x", "--", "sh", "-c", "echo error: y >&2; exit 3"]);
    assert_eq!((code, lines), (Some(3), vec!["::error title=x::error: y".to_owned()]));
}
