//! Reports, summaries and annotations of `cargo monitor`, with a server and without.

use std::fs;
use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use flate2::read::GzDecoder;
use monitor_tests::{Finished, Server, command, run, wait_for};
use serde_json::Value;

use crate::Project;

const TESTS: &str = r#"
pub fn call(n: u32) -> Result<u32, String> {
    if n > 3 { Err(format!("{} is too much", n)) } else { Ok(n) }
}

#[test]
fn passes() {
    assert!(call(3).is_ok());
    if std::env::var("FATE").is_ok_and(|fate| fate == "waits") {
        std::fs::write("passed", "").unwrap();
    }
}

#[test]
fn depends() {
    let fate = std::env::var("FATE").unwrap_or_default();
    if fate == "waits" {
        std::fs::write("waits", "").unwrap();
        std::thread::sleep(std::time::Duration::from_secs(600));
    }
    call(if fate == "fails" { 4 } else { 3 }).unwrap();
}
"#;

/// A project with two programs of tests, and a folder for temporary files.
struct Shop {
    project: Project,
}

impl Shop {
    fn new(name: &str) -> Self {
        let project = Project::of(name, "", &format!("fn main() {{ println!(\"{{:?}}\", call(3)); }}\n{TESTS}"));
        for folder in ["tests", "tmp"] {
            fs::create_dir(project.path(folder)).expect("a folder");
        }
        fs::write(project.path("tests/whole.rs"), "#[test]\nfn whole() {}\n").expect("a file");
        Self { project }
    }

    /// `cargo monitor` with these variables, and with a server or where none listens.
    fn with(&self, variables: &[(&str, &str)], line: &str, server: Option<&Server>) -> Command {
        let mut monitor = self.project.monitor(line, server);
        if server.is_none() {
            monitor.env("MONITOR_SERVER_URL", "http://127.0.0.1:1").env("MONITOR_SPOOL_DIR", self.project.path("spool"));
        }
        monitor.env("TMPDIR", self.project.path("tmp")).envs(variables.iter().copied());
        monitor
    }

    fn monitor(&self, line: &str, server: Option<&Server>) -> Command {
        self.with(&[], line, server)
    }

    /// Fails if something of a report is left.
    fn assert_tidy(&self) {
        let left: Vec<PathBuf> = fs::read_dir(self.project.path("tmp")).expect("a folder").flatten().map(|entry| entry.path()).collect();
        let left: Vec<_> = left.iter().filter(|path| path.to_string_lossy().contains("monitor-")).collect();
        assert!(left.is_empty() && !self.project.path("spool").exists(), "{left:?}");
    }

    /// The trees of a report as text, in which names and values can be searched for.
    fn trees(&self, file: &str) -> Vec<String> {
        let html = fs::read_to_string(self.project.path(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let block = |id: &str| {
            let start = html.find(&format!("id=\"{id}\">")).unwrap_or_else(|| panic!("no block {id}")) + id.len() + 6;
            html[start..start + html[start..].find("</script>").expect("its end")].to_owned()
        };
        let about: Value = serde_json::from_str(&block("report")).expect("JSON");
        assert_eq!(about["is_comparison"], false);
        let tree = |run: usize| {
            let packed = base64::prelude::BASE64_STANDARD.decode(block(&format!("tree-{run}"))).expect("base64");
            let mut bytes = Vec::new();
            GzDecoder::new(&packed[..]).read_to_end(&mut bytes).expect("gzip");
            String::from_utf8_lossy(&bytes).into_owned()
        };
        (0..about["runs"].as_array().expect("runs").len()).map(tree).collect()
    }
}

fn has_all(tree: &str, words: &[&str]) -> bool {
    words.iter().all(|word| tree.contains(word))
}

/// Lines for GitHub.
fn annotations(finished: &Finished) -> Vec<&str> {
    finished.stderr.lines().filter(|line| line.starts_with("::")).collect()
}

#[test]
fn without_a_server_the_report_has_all_programs_of_tests() {
    let shop = Shop::new("reported-alone");
    let tested = run(shop.monitor("test --report ok.html", None));
    assert_eq!(tested.code, Some(0), "{}", tested.stderr);
    assert!(!tested.stderr.contains("spool") && !tested.stderr.contains("::error"), "{}", tested.stderr);
    let trees = shop.trees("ok.html");
    assert_eq!(trees.len(), 2);
    assert!(has_all(&trees[0], &["tests of reported_alone", "passes", "depends", r#""state":"succeeded""#]), "{}", trees[0]);
    assert!(has_all(&trees[1], &["tests of whole", r#""state":"succeeded""#]), "{}", trees[1]);
    shop.assert_tidy();

    // cargo goes on to the second program, and the failed one is shown first.
    fs::write(shop.project.path("tests/whole.rs"), "#[test]\nfn whole() { panic!(\"it is empty\"); }\n").expect("a file");
    let tested = run(shop.with(&[("GITHUB_ACTIONS", "true")], "test --report bad.html --summary s.md --no-fail-fast", None));
    assert_eq!(tested.code, Some(101), "{}", tested.stderr);
    let trees = shop.trees("bad.html");
    assert!(has_all(&trees[0], &["tests of whole", "it is empty", r#""state":"failed""#]), "{}", trees[0]);
    assert!(has_all(&trees[1], &["passes", "depends"]), "{}", trees[1]);
    assert_eq!(annotations(&tested), ["::error file=tests/whole.rs,line=2,title=whole::it is empty"]);
    let summary = fs::read_to_string(shop.project.path("s.md")).expect("a summary");
    assert!(
        has_all(&summary, &["### ✗ `tests of whole", "- `whole` failed: `it is empty`", "### ✓ `tests of reported_alone"]),
        "{summary}"
    );
    shop.assert_tidy();
}

#[test]
fn with_a_server_the_report_and_the_annotations_are_made_of_its_data() {
    let (server, shop) = (Server::start(), Shop::new("reported-there"));
    let github = [("FATE", "fails"), ("GITHUB_ACTIONS", "true"), ("GITHUB_STEP_SUMMARY", "s.md")];
    let tested = run(shop.with(&github, "test --report r.html --no-fail-fast", Some(&server)));
    assert_eq!(tested.code, Some(101), "{}", tested.stderr);
    let trees = shop.trees("r.html");
    assert_eq!((trees.len(), server.roots().len()), (2, 2));
    assert!(has_all(&trees[0], &["depends", "4 is too much", r#""state":"failed""#]), "{}", trees[0]);
    assert_eq!(annotations(&tested), ["::error file=src/main.rs,line=3,title=reported_there%3A%3Acall::4 is too much"]);
    let summary = fs::read_to_string(shop.project.path("s.md")).expect("a summary");
    assert!(has_all(&summary, &["### ✗ `tests of reported_there", "  - `depends` failed: ", "[Open the run](<"]), "{summary}");
    // Without a report the same, compared with a good run. A part of another run writes none.
    fs::remove_file(shop.project.path("s.md")).expect("a file");
    assert_eq!(run(shop.with(&github[1..], "test --bin reported-there", Some(&server))).code, Some(0));
    assert!(fs::read_to_string(shop.project.path("s.md")).expect("a summary").starts_with("### ✓ `tests of reported_there"));
    fs::remove_file(shop.project.path("s.md")).expect("a file");
    let outer = [("MONITOR_ROOT_ID", "0199a3ce929d0e0e47360199a3ce929d"), ("MONITOR_PARENT_ID", "0000000000000001")];
    let nested = run(shop.with(&[&github[..], &outer].concat(), "test --bin reported-there", Some(&server)));
    assert!(nested.code == Some(101) && annotations(&nested).is_empty() && !shop.project.path("s.md").exists(), "{}", nested.stderr);
    shop.assert_tidy();
}

#[test]
fn the_report_of_a_program_is_part_of_an_outer_one() {
    let shop = Shop::new("reported-within");
    let cargo = shop.monitor("run --report inner.html -- --report", None);
    let mut outer = command("monitor");
    outer.args(["run", "--name", "outer", "--report", "outer.html", "--"]).arg(cargo.get_program()).args(cargo.get_args());
    outer.envs(cargo.get_envs().filter_map(|(name, value)| Some((name, value?)))).current_dir(shop.project.path("."));
    let finished = run(outer);
    assert_eq!((finished.code, finished.stdout.trim()), (Some(0), "Ok(3)"), "{}", finished.stderr);
    let (inner, outer) = (shop.trees("inner.html"), shop.trees("outer.html").concat());
    assert!(inner.len() == 1 && inner[0].contains("reported_within::call"), "{}", inner.concat());
    assert!(has_all(&outer, &[r#""title":"outer <"#, "reported_within::call"]), "{outer}");
    shop.assert_tidy();
}

#[test]
fn a_signal_ends_the_tests_and_leaves_a_report() {
    let shop = Shop::new("reported-early");
    assert_eq!(run(shop.monitor("test --no-run", None)).code, Some(0));
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        for file in ["passed", "waits"] {
            let _ = fs::remove_file(shop.project.path(file));
        }
        let mut tests = shop.monitor("test --report r.html -- --test-threads=2", None);
        tests.env("FATE", "waits").stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let mut tests = tests.spawn().expect("it starts");
        let have_run = || ["passed", "waits"].iter().all(|file| shop.project.path(file).exists());
        wait_for("both tests", || have_run().then_some(()));
        // Ctrl-C reaches all programs of a terminal, and SIGTERM this one alone.
        let target = if signal == "INT" { format!("-{}", tests.id()) } else { tests.id().to_string() };
        assert!(Command::new("kill").args([&format!("-{signal}"), "--", &target]).status().expect("kill").success());
        assert_eq!(tests.wait().expect("it ends").code(), Some(code), "{signal}");
        let trees = shop.trees("r.html");
        assert!(trees.len() == 1 && has_all(&trees[0], &["passes", "depends", r#""state":"lost""#]), "{signal}: {}", trees.concat());
        fs::remove_file(shop.project.path("r.html")).expect("a file");
        shop.assert_tidy();
    }
}

#[test]
fn invalid_report_options_are_refused_before_compiling() {
    let shop = Shop::new("reported-never");
    for (line, code, words) in [
        ("test --report .", 1, "there is no folder for the file"),
        ("test --report no/r.html", 1, "there is no folder for the file"),
        ("run --report", 2, "a value is required for '--report <FILE>'"),
        ("bench --report=", 2, "a value is required for '--report <FILE>'"),
        ("test -q --report r.html", 1, "write it before cargo's own, as in `cargo monitor test --report"),
    ] {
        let refused = run(shop.monitor(line, None));
        assert!(refused.code == Some(code) && refused.stderr.contains(words), "{line}: {}", refused.stderr);
        assert!(!refused.stderr.contains("Compiling"), "{line}: {}", refused.stderr);
    }
    // Alone in its folder, and with nothing in PATH but cargo.
    let alone = shop.project.path("cargo-monitor");
    let of = shop.monitor("test --report r.html", None);
    fs::copy(of.get_program(), &alone).expect("a copy");
    let cargo = PathBuf::from(std::env::var_os("CARGO").expect("cargo runs the tests"));
    let path = format!("{}:/usr/bin:/bin", cargo.parent().unwrap_or(Path::new("/")).display());
    let without = |line: &str| {
        let mut monitor = Command::new(&alone);
        monitor.arg("monitor").args(line.split(' ')).current_dir(shop.project.path(".")).env("PATH", &path);
        monitor.envs(of.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("GITHUB_ACTIONS", "true");
        run(monitor)
    };
    let refused = without("test --report r.html");
    assert!(refused.code == Some(1) && refused.stderr.contains("--report: it needs the program `monitor`"), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("cargo install --path crates/monitor-cli") && !refused.stderr.contains("Compiling"),
        "{}",
        refused.stderr
    );
    // Without a report there is a note, and cargo goes on.
    let noted = without("test --no-such-option");
    assert!(noted.code == Some(1) && noted.stderr.contains("unexpected argument"), "{}", noted.stderr);
    assert_eq!(noted.stderr.matches("no summary is written: it needs the program `monitor`").count(), 1, "{}", noted.stderr);
    shop.assert_tidy();
}
