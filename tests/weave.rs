//! `cargo monitor` on a project that nobody edits: the same program, and a tree.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use expect_test::expect;
use monitor_tests::{Finished, Server, command, outline, run, wait_for};
use serde_json::Value;
use tempfile::TempDir;

/// A copy of the project under test.
struct Project {
    folder: TempDir,
}

impl Project {
    fn new() -> Self {
        let project = Self { folder: tempfile::tempdir().expect("a folder") };
        copy(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/woven")), project.folder.path());
        project
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    fn edit(&self, file: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(file)).expect("a file");
        assert!(text.contains(from), "{file} has no {from}");
        fs::write(self.path(file), text.replace(from, to)).expect("a file");
    }

    /// A program of one file, of a name of its own: all are built into one folder.
    fn of(name: &str, dependencies: &str, main: &str) -> Self {
        let project = Self { folder: tempfile::tempdir().expect("a folder") };
        fs::create_dir(project.path("src")).expect("a folder");
        let manifest = format!("[package]\nname = {name:?}\nedition = \"2018\"\n[workspace]\n[dependencies]\n{dependencies}");
        fs::write(project.path("Cargo.toml"), manifest).expect("a file");
        fs::write(project.path("src/main.rs"), main).expect("a file");
        project
    }

    /// Plain cargo.
    fn cargo(&self, line: &str) -> Command {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(line.split(' ')).current_dir(&self.folder);
        cargo.env("CARGO_TARGET_DIR", self.path("target"));
        plain(&mut cargo);
        cargo
    }

    /// `cargo monitor`. What it builds for all projects is built once for all tests.
    fn monitor(&self, line: &str, server: Option<&Server>) -> Command {
        let mut monitor = command("cargo-monitor");
        monitor.arg("monitor").args(line.split(' ')).current_dir(&self.folder);
        monitor.env("CARGO_TARGET_DIR", concat!(env!("CARGO_TARGET_TMPDIR"), "/woven"));
        if let Some(server) = server {
            monitor.env("MONITOR_SERVER_URL", server.url()).env("MONITOR_SPOOL_DIR", server.spool());
        }
        // All calls, however short they are; what is counted has tests of its own.
        monitor.env("MONITOR_FOLD_BELOW", "off");
        plain(&mut monitor);
        monitor
    }

    /// All its files, but what is built.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("a folder").flatten() {
                let path = entry.path();
                if path.is_dir() && !path.ends_with("target") {
                    folders.push(path);
                } else if path.is_file() {
                    files.insert(path.clone(), fs::read(path).expect("a file"));
                }
            }
        }
        files
    }
}

/// What the tests' own cargo has said to them is not meant for others.
fn plain(command: &mut Command) {
    for name in ["CARGO_INCREMENTAL", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER"] {
        command.env_remove(name);
    }
    command.env("CARGO_NET_RETRY", "2").env("CARGO_TERM_COLOR", "never");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("the project").flatten() {
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(&path, &to).expect("a file");
        }
    }
}

/// The lines of a text that hold one of these.
fn lines(text: &str, words: &[&str]) -> Vec<String> {
    let is_meant = |line: &&str| words.iter().any(|word| line.contains(word));
    text.lines().filter(is_meant).map(|line| line.trim().to_owned()).collect()
}

fn good(finished: Finished) -> Finished {
    assert_eq!(finished.code, Some(0), "{}\n{}", finished.stdout, finished.stderr);
    finished
}

/// The outline of the tree with a root of this name, as soon as nothing in it runs.
fn tree(server: &Server, name: &str) -> String {
    let is_over = |root: &Value| root["name"] == name && root["counts"]["running"] == 0 && root["state"] != "running";
    wait_for(name, || server.roots().into_iter().find(is_over).map(|root| outline(&server.tree(&root))))
}

#[test]
fn a_project_runs_as_without_and_is_seen_as_a_tree() {
    let (server, project) = (Server::start(), Project::new());
    let plain = good(run(project.cargo("run --locked -p shop")));
    let before = project.files();
    let woven = good(run(project.monitor("run -p shop", Some(&server))));
    assert_eq!(woven.stdout, plain.stdout);
    expect![[r#"
        shop::main
          shop_lib::Cart::add
          shop_lib::add
          shop_lib::Cart::price
          old::greet
            old::inner::make
          shop::block_on
            shop_lib::fetch [failed]: nothing to fetch
          shop::block_on
            shop_lib::fetch
          shop_lib::add
    "#]]
    .assert_eq(&tree(&server, "shop::main"));
    assert!(project.files() == before, "sources and lock file are untouched");

    // Nobody has to build anything anew.
    let plain = good(run(project.cargo("build --locked -p shop")));
    assert_eq!(lines(&plain.stderr, &["Compiling"]), Vec::<String>::new());
    let again = good(run(project.monitor("build -p shop", None)));
    assert_eq!(lines(&again.stderr, &["Compiling"]), Vec::<String>::new());
    project.edit("old/src/inner.rs", "unused = 1", "unused = 2");
    let again = good(run(project.monitor("build -p shop", None)));
    let compiled: Vec<String> =
        lines(&again.stderr, &["Compiling"]).iter().map(|line| line.split(' ').nth(1).unwrap().to_owned()).collect();
    assert_eq!(compiled, ["old", "shop"], "{}", again.stderr);

    // One table less in the file concerns only the crates that it names.
    fs::write(
        project.path("monitor.toml"),
        "[[function]]\npath = \"old::greet\"\n[[function]]\npath = \"shop::**\"\n[[function]]\npath = \"shop_lib::**\"\n",
    )
    .unwrap();
    let again = good(run(project.monitor("build -p shop", None)));
    assert_eq!(lines(&again.stderr, &["Compiling old"]).len(), 1, "{}", again.stderr);
    fs::write(
        project.path("monitor.toml"),
        "[[function]]\npath = \"old::**\"\n[[function]]\npath = \"shop::**\"\n[[function]]\npath = \"shop_lib::**\"\n",
    )
    .unwrap();
    let again = good(run(project.monitor("build -p shop", None)));
    assert!(lines(&again.stderr, &["Compiling shop-lib"]).is_empty() && again.stderr.contains("Compiling old"), "{}", again.stderr);
}

#[test]
fn tests_and_doctests_have_the_same_results() {
    let (server, project) = (Server::start(), Project::new());
    let results = |finished: Finished| {
        let mut results = lines(&good(finished).stdout, &["test ", "running "]);
        for line in &mut results {
            line.truncate(line.find(" finished in").unwrap_or(line.len()));
        }
        results.sort();
        results
    };
    let plain = results(run(project.cargo("test --workspace --features shop-lib/extra")));
    assert!(plain.iter().any(|line| line.contains("lib.rs - add")), "{plain:?}");
    assert_eq!(results(run(project.monitor("test --workspace --features shop-lib/extra", Some(&server)))), plain);
    // A tree for each program of tests, and below it each test by its name.
    expect![[r#"
        tests of it
          it_runs
    "#]]
    .assert_eq(&tree(&server, "tests of it"));
    let (mut lines, mut tests) = (Vec::new(), Vec::new());
    wait_for("each test of the library", || {
        lines = tree(&server, "tests of shop_lib").lines().map(str::to_owned).collect();
        lines.sort();
        tests = lines.iter().filter(|line| !line.starts_with("    ")).map(|line| line.split(':').take(3).collect::<String>()).collect();
        (tests.len() >= 4).then_some(())
    });
    assert_eq!(tests, ["  testsadds", "  testsby_a_macro", "  testspanics [failed]", "tests of shop_lib"], "{lines:?}");
    // A program that a test has started is shipped as well.
    assert!(tree(&server, "shop::main").contains("shop_lib::fetch"));
    let mut roots = Vec::new();
    wait_for("a tree for each program", || {
        roots = server.roots().iter().map(|root| root["name"].as_str().unwrap_or_default().to_owned()).collect();
        roots.sort();
        (roots.len() >= 4).then_some(())
    });
    assert_eq!(roots, ["shop::main", "tests of documentation", "tests of it", "tests of shop_lib"]);
}

#[test]
fn what_the_compiler_and_a_panic_say_is_the_same() {
    let project = Project::new();
    let said = |finished: &Finished| {
        let all = finished.stderr.lines().skip_while(|line| !line.starts_with("warning:") && !line.starts_with("error"));
        let ours = |line: &&str| {
            !["Compiling", "Checking", "Finished", "Running", "cargo monitor:", "Blocking"].iter().any(|word| line.contains(word))
        };
        all.filter(ours).map(str::to_owned).collect::<Vec<_>>()
    };
    // Warnings.
    let (plain, woven) = (run(project.cargo("build -p old")), run(project.monitor("build -p old", None)));
    assert!(said(&plain).iter().any(|line| line.contains("old/src/inner.rs:4:9")), "{}", plain.stderr);
    assert_eq!(said(&good(woven)), said(&plain));

    // Where a panic stands, in its message and in the backtrace.
    let places = |mut command: Command| {
        let finished = run({
            command.env("RUST_BACKTRACE", "1").env("MONITOR_ENABLED", "0");
            command
        });
        assert_eq!(finished.code, Some(101), "{}", finished.stderr);
        // Without the number of the thread.
        let at = lines(&finished.stderr, &["panicked at", "bin/src/main.rs:", "stock.rs:"]);
        at.into_iter().map(|line| line.rsplit(' ').next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    let plain = places(project.cargo("run -q -p shop -- panic"));
    let woven = places(project.monitor("run -q -p shop -- panic", None));
    let own = ["lib/src/elsewhere/stock.rs:4:5:", "./lib/src/elsewhere/stock.rs:4:5", "./bin/src/main.rs:11:13"];
    assert!(own.iter().all(|place| plain.iter().any(|found| found == place)), "{plain:?}");
    assert!(own.iter().all(|place| woven.iter().any(|found| found == place)), "{woven:?}");

    // The user's own mistakes.
    project.edit("lib/src/lib.rs", "self.items.iter()", "self.item.iter()");
    project.edit("lib/src/lib.rs", "mac::twice!(a) - a + b", "mac::twice!(a) - a + \"b\"");
    let (plain, woven) = (run(project.cargo("build -p shop-lib")), run(project.monitor("build -p shop-lib", None)));
    assert_eq!((plain.code, woven.code), (Some(101), Some(101)));
    assert_eq!(said(&woven), said(&plain));
    assert!(woven.stderr.contains("lib/src/lib.rs:13:24") || woven.stderr.contains("lib/src/lib.rs:13:"), "{}", woven.stderr);
}

#[test]
fn what_can_not_be_woven_is_left_out() {
    let project = Project::new();
    let first = good(run(project.monitor("build -p shop", None)));
    assert!(first.stderr.contains("warning: `shop::short` is not monitored: too many words"), "{}", first.stderr);
    let listed = good(run(project.monitor("list --json", None)));
    let listed: Value = serde_json::from_str(&listed.stdout).expect("JSON");
    let of = |name: &str| listed["crates"].as_array().unwrap().iter().find(|of| of["crate"] == name).unwrap().clone();
    let functions = |name: &str| of(name)["functions"].as_array().unwrap().clone();
    let fixed = functions("shop_lib").into_iter().find(|function| function["path"] == "shop_lib::fixed").unwrap();
    assert_eq!((&fixed["woven"], fixed["skipped"].as_str()), (&Value::Bool(false), Some("a const fn may run in the compiler")));
    assert_eq!(functions("shop_lib").iter().filter(|function| function["woven"] == true).count(), 8);
    assert_eq!(of("mac")["skipped"], "a macro runs in the compiler");
    // It is remembered: the compiler is asked once.
    project.edit("bin/src/main.rs", "pow(1) + 1", "pow(1) + 2");
    project.edit("bin/src/main.rs", "pow(1) + 2", "pow(1) + 1");
    let again = good(run(project.monitor("build -p shop", None)));
    assert!(again.stderr.contains("`shop::short` is not monitored"), "{}", again.stderr);
}

#[test]
fn every_kind_of_build_does_the_same() {
    let (server, project) = (Server::start(), Project::new());
    let plain = good(run(project.cargo("run -q -p shop"))).stdout;
    let mut rustc = Command::new("rustc");
    rustc.arg("-vV");
    let host = run(rustc).stdout;
    let host = host.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned();
    for line in ["run -q -p shop --release", "run -q -p shop --profile fat", &format!("run -q -p shop --target {host}")] {
        assert_eq!(good(run(project.monitor(line, Some(&server)))).stdout, plain, "{line}");
    }
    let is_good = |root: &Value| root["name"] == "shop::main" && root["state"] == "succeeded";
    wait_for("all three", || (server.roots().iter().filter(|root| is_good(root)).count() == 3).then_some(()));
    // The program's own end.
    assert_eq!(run(project.monitor("run -q -p shop -- exit", Some(&server))).code, Some(7));
}

#[test]
fn a_bad_setting_is_said_to_who_asks_and_the_default_taken() {
    let (server, project) = (Server::start(), Project::new());
    let words = "MONITOR_FOLD_AFTER: \"never\" is not taken: expected a number from 1 on, or off";
    for (log, said) in [("stderr", 1), ("", 0)] {
        let mut exit = project.monitor("run -q -p shop -- exit", Some(&server));
        exit.env("MONITOR_FOLD_AFTER", "never").env("MONITOR_LOG", log);
        let finished = run(exit);
        assert_eq!(finished.code, Some(7));
        assert_eq!(finished.stderr.matches(words).count(), said, "{log}: {}", finished.stderr);
    }
    wait_for("both are recorded", || (server.roots().iter().filter(|root| root["name"] == "shop::main").count() == 2).then_some(()));
}

#[test]
fn a_killed_program_leaves_its_tree() {
    let (server, project) = (Server::start(), Project::new());
    let mut child = project.monitor("run -q -p shop -- wait", Some(&server)).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    let pid = output.by_ref().map_while(Result::ok).last_number();
    let waits =
        |root: &Value| root["name"] == "shop::main" && root["state"] == "running" && outline(&server.tree(root)).contains("shop::wait");
    wait_for("the program is seen while it runs", || server.roots().iter().any(waits).then_some(()));
    assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
    assert_ne!(child.wait().unwrap().code(), Some(0));
    let root = wait_for("its end", || server.roots().into_iter().find(|root| root["name"] == "shop::main" && root["state"] != "running"));
    let text = outline(&server.tree(&root));
    assert!(text.contains("shop_lib::fetch") && text.contains("shop::wait [lost]"), "{text}");
    wait_for("nothing is left in the spool", || fs::read_dir(server.spool()).unwrap().next().is_none().then_some(()));
}

/// Calls that are brief, one that fails, and one that isn't; what is to be had of them when the program is killed.
const BRIEF_CALLS: &str = "
fn main() {
    for n in 0..2_000 {
        let _ = outer(n);
    }
    long();
    println!(\"{}\", std::process::id());
    waits();
}

fn outer(n: u32) -> Result<u32, String> {
    let mut sum = 0;
    for m in 0..2 {
        sum += inner(n, m);
    }
    if n == 1_234 { Err(format!(\"the sum is {}\", sum)) } else { Ok(sum) }
}

fn inner(n: u32, m: u32) -> u32 {
    let mut sum = n;
    for k in 0..m {
        sum = sum.wrapping_mul(31).wrapping_add(k);
    }
    sum
}

fn long() {
    let pause = std::time::Duration::from_millis(20);
    std::thread::sleep(pause);
    inner(1, 2);
}

fn waits() {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect(\"a line\");
}
";

#[test]
fn brief_calls_are_counted_and_those_that_fail_or_take_long_have_rows() {
    for is_killed in [false, true] {
        let (server, project) = (Server::start(), Project::of("brief-calls", "", BRIEF_CALLS));
        let mut command = project.monitor("run -q", Some(&server));
        // As it is for whoever says nothing, but for a machine that is busy with other tests.
        command.env("MONITOR_FOLD_BELOW", "10ms").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let pid = output.by_ref().map_while(Result::ok).last_number();
        if is_killed {
            assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
        } else {
            drop(child.stdin.take());
        }
        assert_eq!(child.wait().unwrap().code() == Some(0), !is_killed);
        let is_over = |root: &Value| root["name"] == "brief_calls::main" && root["state"] != "running";
        let root = wait_for("its end", || server.roots().into_iter().find(is_over));
        wait_for("nothing is left in the spool", || fs::read_dir(server.spool()).unwrap().next().is_none().then_some(()));
        let processes = server.tree(&root);
        let of = |name: &str| -> u64 {
            let own = processes.iter().filter(|process| process["name"] == name);
            own.map(|process| process["fold"]["count"].as_u64().unwrap_or(1)).sum()
        };
        let text = outline(&processes);
        assert_eq!((of("brief_calls::outer"), of("brief_calls::inner"), of("brief_calls::long")), (2_000, 4_001, 1), "{text}");
        assert!(processes.len() < 300 && processes.iter().all(|process| process["orphan"] == false), "{text}");
        let failed: Vec<_> = processes.iter().filter(|process| process["state"] == "failed" && process["fold"].is_null()).collect();
        assert!(failed.iter().any(|process| process["error"]["message"] == "the sum is 39488"), "{failed:?}");
        assert!(text.contains("  brief_calls::long\n    brief_calls::inner ×1\n"), "{text}");
    }
}

/// The number that a program prints.
trait LastNumber {
    fn last_number(self) -> String;
}

impl<I: Iterator<Item = String>> LastNumber for I {
    fn last_number(mut self) -> String {
        self.find(|line| line.bytes().all(|byte| byte.is_ascii_digit()) && !line.is_empty()).expect("its number")
    }
}

/// As `cargo new` writes it: nothing stands before `main` that could carry anything.
#[test]
fn a_function_on_the_first_line_of_a_file_is_woven_and_its_body_keeps_its_columns() {
    let (server, project) = (Server::start(), Project::of("hello", "", "fn main() {\n    std::env::args().nth(9).unwrap();\n}\n"));
    let finished = run(project.monitor("run", Some(&server)));
    assert!(finished.code == Some(101) && finished.stderr.contains("src/main.rs:2:29:"), "{}", finished.stderr);
    assert!(finished.stderr.contains("1 function woven in 1 crate\n"), "{}", finished.stderr);
    assert!(tree(&server, "hello::main").contains("failed"), "{}", tree(&server, "hello::main"));
}

/// A program that fails so often as it is told. What fails is recorded singly.
const BRIEF: &str = "
fn main() {
    let times = std::env::args().nth(1).and_then(|times| times.parse().ok()).unwrap_or(3);
    let failed = (0..times).filter(|n| fails(*n).is_err()).count();
    println!(\"{failed}\");
}

fn fails(n: u32) -> Result<u32, String> {
    if n % 2 == 0 { Err(format!(\"{n:0200}\")) } else { Err(n.to_string()) }
}
";

/// A program that was built woven, started by hand: nobody ships beside it.
fn by_hand(name: &str, args: &[&str], server: &Server) -> Command {
    let mut program = Command::new(Path::new(concat!(env!("CARGO_TARGET_TMPDIR"), "/woven/monitor/build/debug")).join(name));
    program.args(args).env("MONITOR_SPOOL_DIR", server.spool()).env("MONITOR_ENABLED", "1").env("MONITOR_FOLD_AFTER", "off");
    program
}

/// The files of the programs in a spool.
fn spooled(server: &Server) -> Vec<String> {
    let folders = fs::read_dir(server.spool()).expect("a spool").map(|folder| folder.expect("a folder").path());
    folders
        .flat_map(|folder| fs::read_dir(folder).expect("a folder"))
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect()
}

fn ship_by_hand(server: &Server) {
    let mut ship = command("monitor");
    ship.args(["spool", "ship", "--server", server.url(), "--dir"]).arg(server.spool());
    good(run(ship));
}

#[test]
fn a_short_program_makes_few_files_and_who_ships_says_goodbye_for_it() {
    let (server, project) = (Server::start(), Project::of("brief", "", BRIEF));
    good(run(project.monitor("build", None)));
    let mut off = by_hand("brief", &[], &server);
    off.env_remove("MONITOR_ENABLED");
    assert_eq!(good(run(off)).stdout, "3\n");
    assert!(!server.spool().exists(), "off nothing is made");
    // On a busy machine it may take longer than most things are waited with.
    let files = wait_for("a program that is over before more is made", || {
        let _ = fs::remove_dir_all(server.spool());
        good(run(by_hand("brief", &[], &server)));
        let files = spooled(&server);
        (!files.iter().any(|file| file.starts_with("journal-") || file.starts_with("spare-"))).then_some(files)
    });
    assert!(files.len() <= 5, "who it is, a lock, the memory of one thread, words of failures: {files:?}");
    ship_by_hand(&server);
    let text = tree(&server, "brief::main");
    assert!(text.starts_with("brief::main\n") && text.matches("brief::fails [failed]").count() == 3, "{text}");
    let worker = &server.get("/workers")["workers"][0];
    assert_eq!((&worker["state"], &worker["program"]), (&"offline".into(), &"brief".into()), "{worker}");
    assert_eq!(server.get("/status")["dropped"], serde_json::json!([]));
}

#[test]
fn a_burst_that_the_spool_has_no_room_for_keeps_its_root() {
    let (server, project) = (Server::start(), Project::of("burst", "", BRIEF));
    good(run(project.monitor("build", None)));
    let mut burst = by_hand("burst", &["60000"], &server);
    burst.env("MONITOR_SPOOL_BYTES", "4194304").env("MONITOR_EXIT_TIMEOUT", "2m");
    assert_eq!(good(run(burst)).stdout, "60000\n");
    ship_by_hand(&server);
    let roots = server.roots();
    assert!(matches!(&roots[..], [root] if root["name"] == "burst::main" && root["state"] == "succeeded"), "{roots:?}");
    let dropped = server.get("/status")["dropped"].clone();
    let is_known = |drop: &Value| ["process-started", "process-ended"].contains(&drop["type"].as_str().unwrap());
    assert!(dropped.as_array().unwrap().iter().any(|drop| drop["reason"] == "spool"), "{dropped}");
    assert!(dropped.as_array().unwrap().iter().all(is_known), "what was given up is known by kind: {dropped}");
}

/// Both keep what they are asked for: one for all crates, as sccache, and one for those of the workspace.
#[cfg(unix)]
#[test]
fn wrappers_that_the_project_has_are_called() {
    use std::os::unix::fs::PermissionsExt;

    let (server, elsewhere) = (Server::start(), tempfile::tempdir().unwrap());
    fs::create_dir(elsewhere.path().join("src")).unwrap();
    fs::write(elsewhere.path().join("Cargo.toml"), "[package]\nname = \"other\"\n[workspace]\n").unwrap();
    fs::write(elsewhere.path().join("src/lib.rs"), "pub fn greet() {}\n").unwrap();
    let project = Project::of("wrapped", &format!("other.path = {:?}\n", elsewhere.path()), "fn main() {\n    other::greet()\n}\n");
    fs::create_dir(project.path(".cargo")).unwrap();
    let settings = "[build]\nrustc-wrapper = \"./outer\"\nrustc-workspace-wrapper = \"./inner\"\n";
    fs::write(project.path(".cargo/config.toml"), settings).unwrap();
    for name in ["outer", "inner"] {
        let log = project.path(&format!("{name}.log"));
        fs::write(project.path(name), format!("#!/bin/sh\necho \"$@\" >> {}\nexec \"$@\"\n", log.display())).unwrap();
        fs::set_permissions(project.path(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    good(run(project.monitor("run", Some(&server))));
    let compiled = |name: &str| {
        let log = fs::read_to_string(project.path(name)).unwrap();
        let of = |of: &&str| log.contains(&format!("--crate-name {of} "));
        ["wrapped", "other"].into_iter().filter(of).collect::<Vec<_>>()
    };
    assert_eq!((compiled("outer.log"), compiled("inner.log")), (vec!["other"], vec!["wrapped"]));
    assert_eq!(tree(&server, "wrapped::main"), "wrapped::main\n");
}

/// Its attributes and what is woven are recorded by one recorder: its own.
#[test]
fn a_project_that_has_attributes_already_has_one_tree() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let (server, project) = (
        Server::start(),
        Project::of(
            "own",
            &format!("monitor-client.path = {:?}\n", repository.join("monitor-client")),
            "#[monitor_client::root_task]\nfn work() {\n    step(3);\n}\n\nfn step(n: u32) {\n    let _ = n;\n    last();\n}\n\n\
             #[monitor_client::normal_task(name = \"the last\")]\nfn last() {}\n\nfn main() {\n    work();\n}\n",
        ),
    );
    // What has been fetched for this repository will do.
    fs::copy(repository.join("Cargo.lock"), project.path("Cargo.lock")).unwrap();
    fs::write(project.path("monitor.toml"), "[[function]]\npath = \"own::step\"\n").unwrap();
    let finished = good(run(project.monitor("run", Some(&server))));
    assert!(finished.stderr.contains("1 function woven in 1 crate\n"), "{}", finished.stderr);
    assert_eq!(tree(&server, "work"), "work\n  own::step\n    the last\n");
}

#[test]
fn who_ships_for_others_does_so_by_https_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let own = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    fs::write(&certificate, own.cert.pem()).unwrap();
    fs::write(&key, own.signing_key.serialize_pem()).unwrap();
    let server = Server::start_with_tls(&certificate, &key);
    assert!(server.url().starts_with("https://"), "{}", server.url());
    let project = Project::of("far", "", "fn main() {\n}\n");
    let mut woven = project.monitor("run", Some(&server));
    woven.env("SSL_CERT_FILE", &certificate);
    good(run(woven));
    let mut launched = command("monitor");
    launched.args(["run", "--", "true"]).env("MONITOR_SERVER_URL", server.url()).env("SSL_CERT_FILE", &certificate);
    good(run(launched));
    for name in ["far::main", "true"] {
        assert_eq!(tree(&server, name), format!("{name}\n"));
    }
}

#[test]
fn a_file_of_settings_is_written_listed_and_checked() {
    let project = Project::new();
    good(run(project.monitor("init", None)));
    let text = fs::read_to_string(project.path("monitor.toml")).unwrap();
    for part in ["path = \"shop::main\"\nkind = \"root\"", "path = \"old::inner::**\"", "# shop_lib::Cart::add  lib/src/lib.rs:34"] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let listed = good(run(project.monitor("list", None))).stdout;
    assert!(listed.contains("  root          shop::main  bin/src/main.rs:4\n"), "{listed}");
    let again = run(project.monitor("init", None));
    assert!(again.code == Some(1) && again.stderr.contains("is there already; --force overwrites it"), "{}", again.stderr);

    for (text, place, words) in [
        ("[[function]]\npath = \"shop_lib::Crat::add\"\n", "monitor.toml:2:8: ", "much like it: shop_lib::Cart::add"),
        ("[[function]]\npath = \"shop::**\"\nkin = \"root\"\n", "monitor.toml:3:1: ", "kin"),
        ("[[function]]\npath = \"shop:**\"\n", "monitor.toml:2:8: ", "`**` stands alone"),
        ("[function]\n", "monitor.toml:1:1: ", "sequence"),
    ] {
        fs::write(project.path("monitor.toml"), text).unwrap();
        let listed = run(project.monitor("list", None));
        assert!(listed.code == Some(1) && listed.stderr.contains(place) && listed.stderr.contains(words), "{text}\n{}", listed.stderr);
    }
    for (line, words) in [
        ("--config nowhere.toml build", "nowhere.toml can't be read"),
        ("build --manifest-path nowhere/Cargo.toml", "nowhere/Cargo.toml"),
        ("biuld", "build"),
    ] {
        let finished = run(project.monitor(line, None));
        assert!(finished.code != Some(0) && finished.stderr.contains(words), "{line}\n{}", finished.stderr);
    }
}

/// What each call takes of the stack is told by the program itself: plain, woven, and woven and recorded.
#[test]
fn recursion_as_deep_as_the_plain_program_bears_it_ends_as_it_does_there() {
    let (server, project) = (Server::start(), Project::of("deep", "", include_str!("woven/deep.rs")));
    let said = |finished: Finished| {
        let stdout = good(finished).stdout;
        let (bytes, results): (Vec<_>, Vec<_>) = stdout.lines().map(str::to_owned).partition(|line| line.contains("bytes a call"));
        let bytes: Vec<usize> = bytes.iter().filter_map(|line| line.split(' ').next()?.parse().ok()).collect();
        (bytes, results)
    };
    for profile in ["", " --release"] {
        let (plain, results) = said(run(project.cargo(&format!("run -q{profile}"))));
        let (woven, same) = said(run(project.monitor(&format!("run -q{profile}"), Some(&server))));
        assert_eq!(same, results, "recorded{profile}");
        let mut off = project.monitor(&format!("run -q{profile}"), Some(&server));
        off.env("MONITOR_SPOOL_DIR", "off");
        let (off, same) = said(run(off));
        assert_eq!(same, results, "not recorded{profile}");
        println!("bytes of stack a call{profile}, plain {plain:?}, woven {off:?}, recorded {woven:?}");
        // A value's call gets a guard, a result's one its result once or twice more.
        let is_small = |(plain, woven): (&usize, &usize)| *woven <= plain * 3 + 128;
        assert!(plain.len() == 2 && plain.iter().zip(&woven).all(is_small), "{plain:?} {woven:?}");
        assert_eq!(off, woven, "what is recorded takes no more of the stack");
    }
    let text = tree(&server, "deep::main");
    expect![[r#"
        deep::main
          deep::here
          deep::sum
            deep::here
          deep::here
          deep::checked
            deep::here
          deep::even
            deep::odd
          deep::broken [failed]: no bottom
          deep::Tree::of
          deep::Tree::depth
          deep::even
            deep::odd
    "#]]
    .assert_eq(&text);
}

#[test]
fn what_nobody_wants_to_read_of_is_left_out_unless_it_is_asked_for() {
    let project = Project::of(
        "choice",
        "",
        "struct Cart {\n    items: Vec<u8>,\n}\n\nimpl Cart {\n    fn new() -> Self {\n        Self { items: Vec::new() }\n    }\n\n    \
         fn len(&self) -> usize {\n        self.items.len()\n    }\n\n    fn sort(&mut self) {\n        self.items.sort();\n    }\n}\n\n\
         impl Drop for Cart {\n    fn drop(&mut self) {\n        self.sort();\n    }\n}\n\nfn main() {\n    \
         let cart = Cart::new();\n    println!(\"{}\", cart.len());\n}\n",
    );
    let woven = || {
        let listed = good(run(project.monitor("list --json", None)));
        let listed: Value = serde_json::from_str(&listed.stdout).expect("JSON");
        let functions = listed["crates"][0]["functions"].as_array().unwrap().clone();
        let is_woven = |function: &&Value| function["woven"] == true;
        functions.iter().filter(is_woven).map(|function| function["path"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(woven(), ["choice::Cart::sort", "choice::main"]);
    let listed = good(run(project.monitor("list", None))).stdout;
    for (why, function) in [
        ("it only reads, builds or assigns values; `include` brings it back", "choice::Cart::len  src/main.rs:10"),
        (
            "traits such as Clone, Debug, Default, Drop and From are left out; `include` brings them back",
            "choice::Cart::drop  src/main.rs:20",
        ),
    ] {
        let at = listed.find(&format!("  skipped: {why}\n")).unwrap_or_else(|| panic!("{why}\n{listed}"));
        assert!(listed[at..].contains(function), "{function}\n{listed}");
    }
    fs::write(project.path("monitor.toml"), "[[function]]\npath = \"choice::**\"\ninclude = [\"**::drop\"]\n").unwrap();
    assert_eq!(woven(), ["choice::Cart::sort", "choice::Cart::drop", "choice::main"]);
    // A function that is named is meant.
    fs::write(project.path("monitor.toml"), "[[function]]\npath = \"choice::Cart::new\"\n").unwrap();
    assert_eq!(woven(), ["choice::Cart::new"]);
    good(run(project.monitor("build", None)));
}

#[test]
fn work_that_is_handed_on_belongs_to_who_handed_it_on() {
    let (server, project) = (
        Server::start(),
        Project::of(
            "hands",
            "rayon = \"1.12\"\ntokio = { version = \"1\", features = [\"rt-multi-thread\"] }\n",
            include_str!("woven/hands.rs"),
        ),
    );
    let plain = good(run(project.cargo("run -q")));
    let woven = good(run(project.monitor("run", Some(&server))));
    assert_eq!(woven.stdout, plain.stdout);
    // None was woven by less for what carries the context.
    assert!(!woven.stderr.contains("is not monitored") && woven.stderr.contains("7 functions woven"), "{}", woven.stderr);
    expect![[r#"
        hands::main
          hands::by_threads
            hands::work
            hands::work
          hands::by_scope
            hands::work
            hands::work
            hands::work
          hands::by_rayon
            hands::work
            hands::work
            hands::work
            hands::work
            hands::work
            hands::work
          hands::by_tasks
            hands::step
            hands::step
            hands::work
    "#]]
    .assert_eq(&tree(&server, "hands::main"));
}

/// Without the standard library, and with all that the compiler needs to be told of it left unsaid.
#[test]
fn a_crate_without_std_is_woven_all_the_same() {
    let (server, project) = (Server::start(), Project::of("bare", "", "fn main() {\n    println!(\"{:?}\", bare::twice(4));\n}\n"));
    let lib = "#![no_std]\n\npub fn twice(n: u8) -> Result<u8, &'static str> {\n    grow(n, 2).ok_or(\"too large\")\n}\n\n\
               fn grow(n: u8, by: u8) -> Option<u8> {\n    if by == 1 {\n        return Some(n);\n    }\n    grow(n, by - 1)?.checked_add(n)\n}\n";
    fs::write(project.path("src/lib.rs"), lib).unwrap();
    let finished = good(run(project.monitor("run", Some(&server))));
    assert_eq!(finished.stdout, "Ok(8)\n");
    assert!(finished.stderr.contains("2 functions woven in 1 crate\n"), "{}", finished.stderr);
    assert_eq!(tree(&server, "bare::main"), "bare::main\n  bare::twice\n    bare::grow\n");
}
