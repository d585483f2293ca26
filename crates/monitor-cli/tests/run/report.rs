//! Tests `monitor run --report`, `monitor report` and `monitor export --format html`. Reads the file as a browser does.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine as _;
use flate2::read::GzDecoder;
use serde_json::{Value, json};

use crate::harness::{House, kill, line_of, wait_for};
use crate::support::{ROOT, TestServer, ended, started};

/// A file that was written.
pub(crate) struct File {
    html: String,
}

impl File {
    pub(crate) fn read(path: &Path) -> Self {
        Self { html: fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())) }
    }

    fn block(&self, id: &str) -> &str {
        let start = self.html.find(&format!("id=\"{id}\">")).unwrap_or_else(|| panic!("no block {id}")) + id.len() + 6;
        &self.html[start..start + self.html[start..].find("</script>").expect("its end")]
    }

    fn about(&self) -> Value {
        serde_json::from_str(self.block("report")).expect("JSON")
    }

    fn unpacked(&self, id: &str) -> Vec<u8> {
        let packed = base64::prelude::BASE64_STANDARD.decode(self.block(id)).expect("base64");
        let mut bytes = Vec::new();
        GzDecoder::new(&packed[..]).read_to_end(&mut bytes).expect("gzip");
        bytes
    }

    /// Messages of the log of a run.
    pub(crate) fn said(&self, run: usize) -> Vec<String> {
        let lines = String::from_utf8(self.unpacked(&format!("logs-{run}"))).expect("UTF-8");
        let message = |line: &str| serde_json::from_str::<Value>(line).expect("JSON")["message"].as_str().expect("a text").to_owned();
        lines.lines().map(message).collect()
    }

    /// Returns the columns of a run as text, for searching names and values.
    pub(crate) fn tree(&self, run: usize) -> String {
        let columns = self.unpacked(&format!("tree-{run}"));
        assert!(columns.starts_with(b"PMTREE01"));
        String::from_utf8_lossy(&columns).into_owned()
    }

    /// Everything that a reader of a file with one run finds in it.
    pub(crate) fn text(&self) -> String {
        assert!(self.html.starts_with("<!doctype html>") && self.html.ends_with("</body></html>\n"), "it is whole");
        let workers = String::from_utf8(self.unpacked("workers")).expect("UTF-8");
        [&*self.html, &workers, &self.tree(0), &self.said(0).join("\n")].concat()
    }
}

/// `monitor run` with nothing configured: there is no server.
pub(crate) fn alone(house: &House, options: &[&str], command: &[&str]) -> Command {
    let mut monitor = house.run(options, command);
    monitor.env("MONITOR_SERVER_URL", "http://127.0.0.1:1").env("TMPDIR", house.folder.path());
    monitor
}

/// Asserts that no temporary data of a report is left.
fn assert_tidy(house: &House) {
    let left: Vec<_> = fs::read_dir(house.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with("monitor-")), "{left:?}");
}

#[test]
fn without_a_server_the_report_has_the_run_and_the_exit_code_is_kept() {
    let house = House::new();
    let output = alone(&house, &["--report", "r.html"], &["sh", "-c", "echo a; echo why >&2; exit 3"]).output().unwrap();
    assert_eq!((output.status.code(), &output.stdout[..], &output.stderr[..]), (Some(3), &b"a\n"[..], &b"why\n"[..]));
    let file = File::read(&house.folder.path().join("r.html"));
    let tree = file.tree(0);
    assert!(tree.contains(r#""state":"failed""#) && tree.contains(r#""exit_code":3"#) && tree.contains("why"), "{tree}");
    // They came by two pipes.
    let mut said = file.said(0);
    said.sort_unstable();
    assert_eq!(said, ["a", "why"]);
    let workers: Vec<Value> = serde_json::from_slice(&file.unpacked("workers")).unwrap();
    assert_eq!((workers.len(), &workers[0]["state"]), (1, &"offline".into()), "{workers:?}");
    assert_eq!(file.about()["runs"][0]["omitted_lines"], 0);
    assert_tidy(&house);
    assert!(house.trees().is_empty(), "no server was told");
}

#[test]
fn a_report_contains_nested_runs() {
    let house = House::new();
    let nested = format!("{} run --name inner -- sh -c 'echo within'; exit 0", assert_cmd::cargo::cargo_bin!("monitor").display());
    let status = alone(&house, &["--report", "r.html", "--name", "outer"], &["sh", "-c", &nested]).status().unwrap();
    assert!(status.success());
    let file = File::read(&house.folder.path().join("r.html"));
    let tree = file.tree(0);
    assert!(tree.contains(r#""count":2"#) && tree.contains("inner") && tree.contains(r#""title":"outer <"#), "{tree}");
    assert!(file.said(0).contains(&"within".to_owned()));
    assert_tidy(&house);
}

#[test]
fn with_a_server_the_report_comes_from_its_data() {
    let house = House::new();
    let status = house.run(&["--report", "r.html", "--name", "both"], &["sh", "-c", "echo a; exit 4"]).status().unwrap();
    assert_eq!(status.code(), Some(4));
    let file = File::read(&house.folder.path().join("r.html"));
    assert!(file.tree(0).contains(r#""state":"failed""#));
    assert_eq!(file.said(0), ["a"]);
    let tree = house.tree();
    assert_eq!((&tree[0]["name"], &tree[0]["root_id"]), (&"both".into(), &file.about()["runs"][0]["root_id"]));
}

#[test]
fn with_a_server_the_spool_stays_as_it_is() {
    let house = House::new();
    let state = house.folder.path().join("state");
    fs::create_dir_all(state.join("spool")).unwrap();
    fs::write(state.join("keep"), "").unwrap();
    let mut run = house.run(&["--report", "on.html"], &["sh", "-c", "echo a; exit 4"]);
    assert_eq!(run.env("MONITOR_SPOOL_DIR", state.join("spool")).status().unwrap().code(), Some(4));
    assert_eq!(File::read(&house.folder.path().join("on.html")).said(0), ["a"]);
    assert!(state.join("keep").exists() && state.join("spool").exists());
    // And without one.
    let mut run = house.run(&["--report", "off.html"], &["sh", "-c", "echo a; exit 4"]);
    assert_eq!(run.env("MONITOR_SPOOL_DIR", "off").status().unwrap().code(), Some(4));
    assert_eq!(File::read(&house.folder.path().join("off.html")).said(0), ["a"]);
}

#[test]
fn a_signal_leaves_a_whole_file() {
    let house = House::new();
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let file = format!("{signal}.html");
        let script = format!("echo ready; echo $$ > {signal}; exec sleep 600");
        let mut launcher = alone(&house, &["--report", &file], &["sh", "-c", &script]);
        let mut launcher = launcher.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        line_of(house.folder.path().join(signal));
        kill(launcher.id(), signal);
        assert_eq!(launcher.wait().unwrap().code(), Some(code), "{signal}");
        assert!(File::read(&house.folder.path().join(&file)).said(0).contains(&"ready".to_owned()), "{signal}");
    }
}

#[test]
fn an_unwritable_report_path_is_refused_before_the_command_runs() {
    let house = House::new();
    let made = Command::new("mkfifo").arg(house.folder.path().join("pipe")).status().unwrap();
    assert!(made.success());
    for (file, words) in [("none/r.html", "there is no folder"), (".", "there is no folder"), ("pipe", "pipe is not a regular file")] {
        let output = alone(&house, &["--report", file], &["touch", "ran"]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(125) && said.contains(words), "{file}: {said}");
    }
    let many = [&["--report", "r.html"][..], &["--redact=a"; 101]].concat();
    for (options, code, words) in
        [(&["--report", "r.html", "--redact", "a", "--redact", "[b"][..], 2, "'[b' for '--redact"), (&many, 125, "--redact: 101 patterns")]
    {
        let output = alone(&house, options, &["touch", "ran"]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(code) && said.contains(words), "{said}");
    }
    assert!(!house.folder.path().join("ran").exists() && house.folder.path().join("pipe").exists());
    let output = alone(&house, &["--report", "r.html"], &["/no/such/command"]).output().unwrap();
    assert_eq!(output.status.code(), Some(127));
    assert!(File::read(&house.folder.path().join("r.html")).tree(0).contains("not-found"));
    assert_tidy(&house);
}

#[test]
fn a_report_of_a_spool_leaves_the_spool_as_it_is() {
    let house = House::new();
    let mut run = alone(&house, &["--name", "kept"], &["echo", "a"]);
    assert!(run.status().unwrap().success());
    let report = |args: &[&str]| {
        let output = house.monitor(&[&["report"], args].concat()).env("TMPDIR", house.folder.path()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for _ in 0..2 {
        let (code, said) = report(&["spool", "-o", "r.html"]);
        assert!(code == Some(0) && said.contains("KiB in r.html"), "{said}");
        assert_eq!(File::read(&house.folder.path().join("r.html")).said(0), ["a"]);
    }
    fs::create_dir(house.folder.path().join("empty")).unwrap();
    fs::write(house.folder.path().join("text"), "no spool").unwrap();
    for (spool, words) in
        [("empty", "nothing was recorded"), ("none", "could not read the spool none"), ("text", "could not read the spool text")]
    {
        let (code, said) = report(&[spool, "-o", "x.html"]);
        assert!(code == Some(1) && said.contains(words), "{spool}: {said}");
    }
    let (code, said) = report(&["spool", "-o", "r.html", "--redact", "x", "--redact", "ke*"]);
    let file = File::read(&house.folder.path().join("r.html"));
    assert!(code == Some(0) && file.said(0).is_empty(), "{said}");
    assert_eq!(file.about()["redacted"], json!(["x", "ke*"]));
    for (args, words) in [(["--redact", "a", "--redact", "{b"], "'{b'"), (["--redact", "a", "--redact", ""], "is empty")] {
        let (code, said) = report(&[&["spool", "-o", "x.html"][..], &args].concat());
        assert!(code == Some(2) && said.contains("--redact") && said.contains(words), "{said}");
    }
    let (code, said) = report(&["spool", "-o", "/dev/null"]);
    assert!(code == Some(1) && said.contains("/dev/null is not a regular file"), "{said}");
    let (code, said) = report(&["spool", "-o", "no/x.html"]);
    assert!(code == Some(1) && said.contains("could not write no/x.html"), "{said}");
    assert!(!house.folder.path().join("x.html").exists());
    assert_tidy(&house);
}

/// A server with a tree that contains a process with many log lines, and a process with confidential arguments and lines.
fn talkative() -> TestServer {
    let server = TestServer::start();
    let mut secret = started(ROOT, 2, Some(1), "secret step");
    secret["fields"] = json!({"arg.password": "hunter2"});
    let mut said = Vec::new();
    for line in 0..2_000_u64 {
        let text = format!("line {line} {:x}", line.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        said.push(
            json!({"type": "process-logged", "root_id": ROOT, "id": format!("{:016x}", 1), "time_us": 1_763_600_000_000_100_u64 + line,
                         "level": "info", "message": text, "fields": {}}),
        );
    }
    said.push(json!({"type": "process-logged", "root_id": ROOT, "id": format!("{:016x}", 2), "time_us": 1_763_600_000_000_100_u64,
                     "level": "info", "message": "hunter3", "fields": {}}));
    let named = started(ROOT, 1, None, "</title><script>alert(1)</script>\u{202e}");
    server.send(1, &[vec![named, secret, ended(ROOT, 2, 5, Some("it failed"))], said].concat());
    server
}

#[test]
fn an_export_has_no_markup_of_names_and_nothing_that_is_redacted() {
    let server = talkative();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let export = |name: &str, more: &[&str]| {
        server.run(&[&["export", ROOT, "--format", "html", "-o", path(name).to_str().unwrap()], more].concat());
        File::read(&path(name))
    };
    let whole = export("whole.html", &[]);
    assert!(whole.html.contains("<title>&lt;/title&gt;&lt;script&gt;") && !whole.html.contains("<script>alert"));
    assert!(whole.tree(0).contains("hunter2") && whole.said(0).contains(&"hunter3".to_owned()));
    assert_eq!((whole.said(0).len(), &whole.about()["redacted"]), (2_001, &json!([])));
    let policy = whole.html.find("Content-Security-Policy").expect("a policy");
    assert!(policy < whole.html.find("<style>").unwrap() && whole.html.contains("default-src 'none'"));

    let less = export("less.html", &["--redact", "secret*"]);
    assert!(!less.tree(0).contains("hunter2") && less.tree(0).contains("it failed"), "its end stays");
    assert_eq!((less.said(0).len(), &less.about()["redacted"]), (2_000, &json!(["secret*"])));

    let least = export("least.html", &["--redact", "secret{ step,a}", "--redact", "a, b", "--redact=-*", "--redact", "</title>*"]);
    assert!(!least.tree(0).contains("hunter2") && least.said(0).is_empty());
    assert_eq!(least.about()["redacted"], json!(["secret{ step,a}", "a, b", "-*", "</title>*"]), "as they were given");

    let short = export("short.html", &["--report-bytes", "8K"]);
    let (said, omitted) = (short.said(0), short.about()["runs"][0]["omitted_lines"].as_u64().unwrap());
    assert!(omitted > 0 && said.len() as u64 + omitted == 2_001, "{} and {omitted}", said.len());
    assert!(said[0].starts_with("line 0 ") && said.last().unwrap().starts_with("line 1999 "), "the first and the last ones stay");

    let both = export("both.html", &["--compare", "1"]);
    assert_eq!((both.about()["runs"].as_array().unwrap().len(), both.tree(1)), (2, both.tree(0)));
}

#[test]
fn options_of_html_reports_are_refused_for_other_formats() {
    let server = talkative();
    for (args, code, words) in [
        (&["--compare", "1"][..], 2, "--compare needs --format html"),
        (&["--redact", "a", "--format", "json"], 2, "--redact needs --format html"),
        (&["--format", "html", "--redact", "a", "--redact", "[a"], 2, "'[a' for '--redact <GLOB>': \"[a\" is not a pattern"),
        (&["--format", "html", "--redact", ""], 2, "'--redact <GLOB>': the pattern is empty"),
        (&[&["--format", "html"][..], &["--redact=a"; 101]].concat(), 2, "--redact: 101 patterns: give at most 100"),
        (&["--format", "html", "--compare", "77"], 4, "no run 77"),
        (&["--format", "html", "--report-bytes", "100"], 1, "--report-bytes"),
        (&["--format", "html", "--report-bytes", "x"], 2, "500M"),
    ] {
        let output = crate::support::monitor(&[&["export", ROOT], args].concat()).env("MONITOR_SERVER_URL", &server.url).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(code) && said.contains(words), "{args:?}: {:?} {said}", output.status);
    }
    let ask = |query: &str| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let url = format!("{}/api/v1/roots/{ROOT}/export?{query}", server.url);
        runtime.block_on(async {
            let answer = reqwest::get(url).await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        })
    };
    let many = |times: usize| format!("format=html{}", "&redact=a".repeat(times));
    for (query, status, words) in [
        ("format=ndjson&bytes=5", 400, "`bytes`"),
        ("format=ndjson&redact=a&redact=b", 400, "`redact`: only `format=html`"),
        ("format=html&bytes=-1", 400, "`bytes`"),
        ("format=html&bytes=5&bytes=5", 400, "`bytes`: given twice"),
        ("format=html&compare=x", 400, "`compare`"),
        ("format=html&bytes=0", 413, "`bytes`"),
        ("format=html&redact=a&redact=%5Bb", 400, r#"`redact`: \"[b\" is not a pattern of names: unclosed character class"#),
        (&format!("format=html&redact={}", "a".repeat(1_001)), 400, "1001 bytes: give at most 1000"),
        (&many(101), 400, "101 patterns: give at most 100"),
        (&many(100), 200, ""),
    ] {
        let (found, text) = ask(query);
        assert!(found == status && text.contains(words), "{query}: {found} {text}");
    }
    wait_for("the server to be well", || (ask("format=html&redact=&redact=").0 == 200).then_some(()));
}

#[test]
fn the_help_of_a_report_has_examples_and_no_server() {
    let help = crate::support::monitor(&["report", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(help.contains("Examples:\n") && help.contains("  monitor report /tmp/spool") && help.contains("Exit codes:"), "{help}");
    assert!(!help.contains("MONITOR_SERVER_URL") && !help.contains("--exit-code"), "{help}");
}
