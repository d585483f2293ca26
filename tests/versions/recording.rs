//! Makes the folders and the expected answers of this version, for the tests of later versions.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use monitor_tests::{Server, example, run, terminate, wait_for, worker};
use serde_json::Value;

use super::{Answers, LATE_TASK, Opened, answer, archive, expected, start_agent, unpack};

/// Commands whose answers are kept, in addition to the trees.
const QUERIES: [&str; 16] = [
    "alert show 1",
    "heartbeat list",
    "host list",
    "job hosts 1",
    "job list",
    "job show 1",
    "list",
    "queue list",
    "queue tasks",
    "target list",
    "task list",
    "task runs",
    "task versions gold",
    "token list",
    "user list",
    "workers",
];

/// Fields that can differ between two openings: the number of events in the server, and the last use of a token.
const VARIABLE: [&str; 2] = ["as_of", "used_us"];

#[test]
#[ignore = "writes the folders of a new version: see CONTRIBUTING.md"]
fn record_the_folders_of_this_version() {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("agent")).unwrap();
    let mut server = Server::start_in(place.path().join("data"));
    administer(&server);
    run_programs(&server, place.path());
    run_tasks_and_a_job(&mut server, &place.path().join("agent"));
    leave_records(&server, &place.path().join("spool"));
    let version = env!("CARGO_PKG_VERSION");
    pack(version, place.path());
    // Values that differ between two copies, such as the times of their own events, are not kept.
    let [first, second] = [(); 2].map(|()| {
        let copy = tempfile::tempdir().unwrap();
        unpack(version, copy.path());
        let opened = Opened::start(copy.path());
        let answers = answers(&opened);
        opened.stop();
        serde_json::to_value(answers).unwrap()
    });
    let answers: Answers = serde_json::from_value(common(first, &second).unwrap()).unwrap();
    let lines: Vec<String> = answers.iter().map(|(args, answer)| format!("{args:?}: {answer}")).collect();
    fs::write(expected(version), format!("{{\n{}\n}}\n", lines.join(",\n"))).unwrap();
}

/// Runs a command, which must succeed, with this text as its stdin.
fn order<A: AsRef<OsStr>>(server: &Server, args: &[A], stdin: &str) -> String {
    let mut order = example("monitor", Some(server));
    order.args(args).env("MONITOR_DATA", server.data()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = order.spawn().unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{order:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Adds what people keep in a server.
fn administer(server: &Server) {
    order(server, &["user", "add", "ada", "--role", "operator"], "one long password\none long password\n");
    order(server, &["token", "create", "build-7", "--scope", "ingest"], "");
    order(server, &["heartbeat", "add", "nightly-backup", "--every", "400d"], "");
    order(server, &["host", "add", "db-1", "--ip", "10.0.0.7", "--tag", "env=prod", "--group", "db"], "");
    order(server, &["target", "save", "prod", "--tags", "env=prod"], "");
}

/// Records programs with attributes, of queues and of `monitor run`.
fn run_programs(server: &Server, place: &Path) {
    let sources = place.join("sources");
    fs::create_dir(&sources).unwrap();
    fs::write(sources.join("a.rs"), "fn main() {}\n").unwrap();
    fs::write(sources.join("b.md"), "some words\n").unwrap();
    let mut pipeline = example("pipeline", Some(server));
    pipeline.arg(&sources).arg("--report").arg(sources.join("report.json"));
    let ended = run(pipeline);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    for (args, code) in [(&["talks"][..], 0), (&["tells"], 0), (&["logs-in", "secret"], 0), (&["burst", "100"], 0), (&["panic"], 101)] {
        let mut program = worker(server, args);
        program.env("MONITOR_FOLD_AFTER", "10");
        assert_eq!(run(program).code, Some(code), "{args:?}");
    }
    assert_eq!(run(example("workers", Some(server))).code, Some(0));
    let mut script = example("monitor", Some(server));
    script.current_dir(place).args(["run", "--name", "import", "--", "sh", "-c", "echo begun; echo 'no rows' >&2; exit 3"]);
    assert_eq!(run(script).code, Some(3));
    let newest = wait_for("the run", || server.roots().into_iter().find(|root| root["name"] == "import" && root["state"] == "failed"));
    order(server, &["pin", newest["root_id"].as_str().unwrap()], "");
    fs::remove_dir_all(sources).unwrap();
}

/// Runs two tasks and a job. A third run ends while the server is unreachable, so that the agent keeps its report.
fn run_tasks_and_a_job(server: &mut Server, folder: &Path) {
    let token = order(server, &["token", "create", "web-1", "--scope", "agent"], "");
    let config = folder.join("agent.toml");
    order(
        server,
        &[
            OsStr::new("agent"),
            "join".as_ref(),
            server.url().as_ref(),
            "--config".as_ref(),
            config.as_ref(),
            "--data".as_ref(),
            folder.as_ref(),
        ],
        &token,
    );
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().expect("the user has a name").name;
    let mut settings = OpenOptions::new().append(true).open(&config).unwrap();
    writeln!(settings, "\n[jobs]\naccounts = [{user:?}]").unwrap();
    let gate = folder.join("gate");
    assert!(Command::new("mkfifo").arg(&gate).status().unwrap().success());
    let wait = format!("read line < {}; echo \"$line\"", gate.display());
    for (name, command) in [("gold", "echo mined"), ("tin", "echo empty >&2; exit 3"), (LATE_TASK, &wait)] {
        order(server, &["task", "add", "--name", name, "--on", "web-1", "--", "sh", "-c", command], "");
    }
    let mut agent = start_agent(folder, server);
    let run_of = |server: &Server, task: &str, field: &str| {
        wait_for(task, || answer(server, &["task", "runs", task])["runs"][0].get(field).filter(|value| value.is_u64()).cloned())
    };
    for task in ["gold", "tin"] {
        order(server, &["task", "run", task], "");
        run_of(server, task, "ended_us");
    }
    order(server, &["task", "pause", "gold"], "");
    order(server, &["job", "run", "--host", "web-1", "-"], "echo checked\n");
    order(server, &["task", "run", LATE_TASK], "");
    run_of(server, LATE_TASK, "started_us");
    server.stop();
    File::options().write(true).open(&gate).unwrap().write_all(b"late\n").unwrap();
    wait_for("the end of the run", || {
        let mut runs = example("monitor", None);
        runs.args(["task", "runs", LATE_TASK, "--json"]).env("MONITOR_AGENT_DATA", folder).env("MONITOR_SERVER_URL", server.url());
        serde_json::from_str::<Value>(&run(runs).stdout).ok()?["runs"][0]["ended_us"].is_u64().then_some(())
    });
    terminate(&mut agent);
    fs::remove_file(gate).unwrap();
}

/// Leaves records of a program that ended while the server was unreachable, and of a killed program.
fn leave_records(server: &Server, spool: &Path) {
    let worker = |name: &str| {
        let mut worker = worker(server, &[name]);
        worker.env("MONITOR_SPOOL_DIR", spool);
        worker
    };
    let mut killed = worker("talks").spawn().unwrap();
    wait_for("the speed of its clock", || has_calibration(spool).then_some(()));
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_eq!(run(worker("tells")).code, Some(0));
}

/// True if the only program in a spool has measured its clock. Otherwise the reader estimates its times, differently on each machine.
fn has_calibration(spool: &Path) -> bool {
    let programs = fs::read_dir(spool).into_iter().flatten().flatten().filter_map(|entry| fs::read(entry.path().join("program")).ok());
    // Length of a tick in both copies of the state: see docs/internals/spool.md.
    programs.into_iter().any(|program| [168, 296].iter().any(|at| program.get(*at..at + 8).is_some_and(|word| word != [0; 8])))
}

fn pack(version: &str, place: &Path) {
    let mut tar = Command::new("tar");
    tar.args(["--create", "--sparse", "--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--use-compress-program=gzip -9n"]);
    tar.arg("--file").arg(archive(version)).arg("--directory").arg(place).args(["agent", "data", "spool"]);
    assert!(tar.status().unwrap().success());
}

fn answers(opened: &Opened) -> Answers {
    let ask = |args: String| {
        let answer = opened.answer(&args.split(' ').collect::<Vec<_>>());
        (args, answer)
    };
    let roots = opened.server.roots();
    let of_roots = roots.iter().map(|root| root["root_id"].as_str().unwrap()).flat_map(|id| [format!("tree {id}"), format!("logs {id}")]);
    QUERIES.map(str::to_owned).into_iter().chain(of_roots).map(ask).collect()
}

/// The parts that are the same in both values.
fn common(first: Value, second: &Value) -> Option<Value> {
    match first {
        Value::Object(first) => {
            let fields = first.into_iter().filter(|(key, _)| !VARIABLE.contains(&key.as_str()));
            Some(Value::Object(fields.filter_map(|(key, value)| Some((key.clone(), common(value, second.get(key)?)?))).collect()))
        }
        Value::Array(first) => {
            assert_eq!(Some(first.len()), second.as_array().map(Vec::len));
            let values = first.into_iter().enumerate().map(|(index, value)| common(value, &second[index]).unwrap_or_default());
            Some(Value::Array(values.collect()))
        }
        first => (first == *second).then_some(first),
    }
}
