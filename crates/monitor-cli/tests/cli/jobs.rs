//! Tests hosts and jobs on hosts through the command line, with a real server and real agents.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::batch::Tasks;
use crate::support::{monitor, wait_for};

/// Runs a command. Returns its exit code, its stdout and its stderr.
fn run(server: &Tasks, args: &[&str]) -> (i32, String, String) {
    let output = server.command(args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// A folder with scripts.
struct Scripts(TempDir);

impl Scripts {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

#[test]
fn hosts_are_added_tagged_imported_and_removed() {
    let server = Tasks::start();
    let added = server.run(&["host", "add", "web-1", "--ip", "10.0.0.7", "--tag", "env=test", "--tag", "canary", "--group", "web"]);
    assert_eq!(added, "added web-1\n");
    assert_eq!(server.run(&["host", "add", "web-1", "--ipv6", "fd00::7", "--group", "eu"]), "changed web-1\n");
    assert_eq!(server.run(&["host", "tag", "web-1", "env=prod", "--remove", "canary"]), "changed web-1\n");
    let host = server.json(&["host", "show", "web-1"]);
    let expected = serde_json::json!({"ip": "10.0.0.7", "ipv6": "fd00::7", "tags": {"env": "prod"}, "groups": ["web", "eu"]});
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&host[name], value, "{host}");
    }
    let by_number = server.run(&["host", "show", &host["id"].to_string()]);
    assert!(by_number.starts_with("web-1 (number ") && by_number.contains("no agent"), "{by_number}");
    let scripts = Scripts::new();
    let csv = scripts.write("hosts.csv", "name,ip,tags\nweb-1,10.0.0.8,\nweb-2,10.0.0.9,env=prod\n");
    let said = server.run(&["host", "import", &csv]);
    assert!(said.contains("added web-2\n") && said.contains("changed web-1\n"), "{said}");
    assert!(server.run(&["host", "import", &csv]).contains("unchanged: 2"));
    assert_eq!(server.json(&["host", "show", "web-1"])["tags"]["env"], "prod", "an import removes no tags");
    let mut inventory = server.command(&["host", "import", "-"]);
    let said = inventory.write_stdin(r#"{"db": {"hosts": ["db-1"]}, "_meta": {"hostvars": {"db-1": {"ansible_host": "10.0.0.20"}}}}"#);
    assert_eq!(String::from_utf8_lossy(&said.assert().success().get_output().stdout), "added db-1\n");
    let list = server.run(&["host", "list"]);
    assert!(list.lines().count() == 3 && list.contains("@db") && list.contains("env=prod"), "{list}");
    assert_eq!(server.run(&["host", "remove", "web-2"]), "removed web-2\n");
    let (code, _, said) = run(&server, &["host", "show", "web-2"]);
    assert!(code == 4 && said.contains("monitor host list"), "{code} {said}");
    let bad = scripts.write("bad.csv", "name,ip\nok,10.0.0.1\na b,10.0.0.2\nc,10.0.0.300\n");
    let (code, _, said) = run(&server, &["host", "import", &bad]);
    assert!(code == 2 && said.contains("bad.csv:3: ") && said.contains("bad.csv:4: ") && said.contains("2 mistakes"), "{code} {said}");
    assert_eq!(run(&server, &["host", "show", "ok"]).0, 4, "a file with mistakes imports nothing");
    let (code, _, said) = run(&server, &["host", "import", &scripts.write("x", "one\ntwo\n")]);
    assert!(code == 2 && said.contains("x:1: ") && said.contains("--format"), "{code} {said}");
}

#[test]
fn targets_are_saved_and_jobs_run_on_them() {
    let scripts = Scripts::new();
    let file = scripts.write("hosts.toml", "[host.web-9]\ntags = { env = \"prod\" }\n[targets.prod]\ntags = \"env=prod\"\n");
    let server = Tasks::with(&["--hosts-file", &file]);
    let list = wait_for("the file", || Some(server.run(&["target", "list"])).filter(|list| list.contains("prod")));
    assert_eq!(list, "prod  1 host  env=prod  (file)\n");
    server.run(&["host", "add", "web-1", "--group", "web"]);
    assert_eq!(server.run(&["target", "save", "web", "--group", "web", "--host", "db"]), "saved web; it selects 2 hosts\n");
    let later = server.run(&["target", "save", "later", "--host", "dev-*"]);
    assert_eq!(later, "saved later; no job can use it now: targets.hosts[0]: no host's name matches `dev-*`\n");
    let script = scripts.write("check.sh", "true\n");
    let preview = server.run(&["job", "preview", "--saved", "web", "--saved", "prod", "--saved", "nothing", &script]);
    assert!(["web-1", "db", "web-9", "nothing"].iter().all(|name| preview.contains(&format!("\n  {name}"))), "{preview}");
    let (code, _, said) = run(&server, &["job", "run", "--saved", "later", &script]);
    assert!(code == 2 && said.contains("targets.saved[0]: `later`"), "{code} {said}");
    assert_eq!(server.run(&["target", "remove", "later"]), "removed later\n");
    assert_eq!(server.json(&["target", "list"])["targets"].as_array().unwrap().len(), 2);

    for (args, code, part) in [
        (&["target", "remove", "later"][..], 4, "no saved targets have the name \"later\""),
        (&["target", "save", "a b", "--host", "x"], 2, "can't be a name"),
        (&["target", "save", "x"], 2, "--host"),
        (&["target", "save", "prod", "--host", "x"], 1, "hosts.toml: change it there"),
        (&["target", "remove", "prod"], 1, "hosts.toml: change it there"),
        (&["host", "tag", "web-9", "env=test"], 1, "hosts.toml: change it there"),
        (&["host", "remove", "web-9"], 1, "hosts.toml: change it there"),
    ] {
        let (found, _, said) = run(&server, args);
        assert!(found == code && said.contains(part), "{args:?}: {found} {said}");
    }
    assert!(server.run(&["host", "list"]).contains("env=prod  (file)\n"));
    fs::write(&file, "[host.web-9]\nip = 7\n").unwrap();
    let said = wait_for("the mistake", || Some(run(&server, &["host", "list"]).2).filter(|said| !said.is_empty()));
    assert!(said.contains("hosts.toml:2: ") && said.contains("the last valid version stays in effect"), "{said}");
}

#[test]
fn a_job_names_hosts_that_do_not_exist_or_have_no_agent() {
    let server = Tasks::start();
    server.run(&["host", "add", "idle", "--tag", "env=test"]);
    let scripts = Scripts::new();
    let script = scripts.write("check.sh", "echo hello\n");
    let preview = server.run(&["job", "preview", "--host", "idle", "--host", "nowhere", &script]);
    assert!(preview.starts_with("0 hosts can run it\n2 hosts can't\n") && preview.contains("  nowhere"), "{preview}");
    let (code, _, said) = run(&server, &["job", "preview", "--host", "web-*", &script]);
    assert!(code == 2 && said.contains("web-*"), "{code} {said}");
    let (code, out, said) = run(&server, &["job", "run", "--host", "idle", "--host", "nowhere", &script]);
    assert!(code == 6 && said.contains("2 of 2 hosts did not succeed"), "{code} {out} {said}");
    assert!(out.contains("no such host (status 2): 1 host\n  nowhere") && out.contains("idle"), "{out}");
    let jobs = server.json(&["job", "list"]);
    let job = jobs["jobs"][0]["job_id"].to_string();
    assert_eq!(jobs["jobs"][0]["name"], "check.sh");
    let list = server.run(&["job", "list", "--state", "ended"]);
    assert!(list.starts_with(&job) && list.contains("check.sh") && list.contains("2 failed"), "{list}");
    assert!(server.run(&["job", "show", &job]).contains("  no such host\n"));
    assert_eq!(server.json(&["job", "hosts", &job, "--status", "2"])["hosts"].as_array().unwrap().len(), 1);
    let (code, _, said) = run(&server, &["job", "output", &job, "nowhere"]);
    assert!(code == 2 && said.contains("no known host"), "{code} {said}");
    let (code, _, said) = run(&server, &["job", "output", &job, "other"]);
    assert!(code == 4 && said.contains(&format!("monitor job hosts {job}")), "{code} {said}");
    assert_eq!(run(&server, &["job", "wait", &job]).0, 6);
    assert_eq!(run(&server, &["job", "wait", "999"]).0, 4);
    assert_eq!(run(&server, &["job", "show", "999"]).0, 4);
}

/// An agent with its own folder, which contains its `data`.
pub(crate) struct Agent {
    child: Child,
    pub(crate) folder: TempDir,
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Name of the user of this test.
fn user() -> String {
    String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap().trim().to_owned()
}

/// Joins the server as `name`, starts the agent, and waits until the server is in contact with it.
pub(crate) fn agent(server: &Tasks, name: &str) -> Agent {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let token = server.run(&["token", "create", name, "--scope", "agent"]);
    let url = server.url();
    let (config, data) = (path("agent.toml"), path("data"));
    monitor(&["agent", "join", url, "--config", &config, "--data", &data]).write_stdin(token).assert().success();
    let mut settings = fs::OpenOptions::new().append(true).open(&config).unwrap();
    writeln!(settings, "\n[jobs]\naccounts = [{:?}]\nrefuse = [\"forbidden\"]", user()).unwrap();
    let log = fs::File::create(folder.path().join("log")).unwrap();
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("monitor"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MONITOR_")) {
        command.env_remove(name);
    }
    command.args(["agent", "--config", &config]).env("MONITOR_SPOOL_DIR", "off").env("XDG_STATE_HOME", folder.path());
    let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
    let agent = Agent { child, folder };
    let is_online = |hosts: &Value| hosts["hosts"].as_array().unwrap().iter().any(|host| host["name"] == name && host["is_online"] == true);
    wait_for("the agent to connect", || is_online(&server.json(&["host", "list"])).then_some(()));
    agent
}

/// Number of the newest job.
fn newest(server: &Tasks) -> String {
    server.json(&["job", "list", "--limit", "1"])["jobs"][0]["job_id"].to_string()
}

/// Lines of a file that scripts append to.
fn lines(path: &Path) -> usize {
    fs::read_to_string(path).map_or(0, |text| text.lines().count())
}

#[test]
fn a_script_runs_on_each_host_and_every_outcome_is_known() {
    let server = Tasks::start();
    let (_first, _second) = (agent(&server, "web-1"), agent(&server, "web-2"));
    let scripts = Scripts::new();
    let mark: PathBuf = scripts.0.path().join("mark");
    let good = scripts.write("good.sh", &format!("echo \"$1 on $0\" | tail -c 20; echo x >> {}\nprintf 'no end'", mark.display()));
    let (code, out, said) = run(&server, &["job", "run", "--host", "web-*", &good, "--", "hello"]);
    assert_eq!(code, 0, "{out} {said}");
    assert!(out.contains("web-1  ") && out.contains("web-2  ") && out.contains("2 hosts: 2 succeeded"), "{out}");
    assert_eq!(lines(&mark), 2);
    let job = newest(&server);
    assert!(server.run(&["job", "output", &job, "web-1"]).ends_with("\nno end"));
    assert_eq!(run(&server, &["job", "wait", &job]).0, 0);

    let request = ["job", "run", "--host", "web-1", "--request-id", "once", "--detach", &good];
    let (first, again) = (run(&server, &request), run(&server, &request));
    assert!(first.0 == 0 && again.0 == 0 && again.1.contains("was started before"), "{first:?} {again:?}");
    assert_eq!(run(&server, &["job", "wait", &newest(&server)]).0, 0);
    assert_eq!(lines(&mark), 3, "two requests with one id are one job");

    assert_eq!(server.run(&["job", "script", &job]), fs::read_to_string(&good).unwrap());
    let request = server.json(&["job", "script", &job]);
    assert_eq!(
        (&request["steps"][0]["args"], &request["targets"]["hosts"]),
        (&serde_json::json!(["hello"]), &serde_json::json!(["web-*"]))
    );
    let (code, _, said) = run(&server, &["job", "script", &job, "--step", "999"]);
    assert!(code == 2 && said.contains("has no step 999"), "{code} {said}");

    let bad = scripts.write("bad.sh", "echo first\necho 'disk full' >&2\nexit 3\n");
    let (code, out, said) = run(&server, &["job", "run", "--host", "web-1", "--host", "nowhere", &bad]);
    assert!(code == 6 && said.contains("2 of 2 hosts did not succeed"), "{code} {out} {said}");
    assert!(out.contains("exit code 3") && out.contains("    disk full\n") && out.contains("no such host (status 2): 1 host"), "{out}");

    let refused = scripts.write("refused.sh", "echo forbidden\n");
    let (code, out, _) = run(&server, &["job", "run", "--host", "web-1", &refused]);
    assert!(code == 6 && out.contains("refused by the host (status 12)") && out.contains("forbidden"), "{out}");

    let slow = scripts.write("slow.sh", "echo begun\nsleep 600\n");
    let (code, out, _) = run(&server, &["job", "run", "--host", "web-1", "--timeout", "1s", &slow]);
    assert!(code == 6 && out.contains("timed out (status 102): 1 host"), "{code} {out}");
}

#[test]
fn a_rule_lets_a_user_confirm_a_job_before_it_begins() {
    let server = Tasks::with(&["--job-rule", r#"[{ pattern = "rm -rf", action = "confirm", message = "ask ada" }]"#]);
    let _agent = agent(&server, "web-1");
    let scripts = Scripts::new();
    let mark = scripts.0.path().join("mark");
    let script = scripts.write("clean.sh", &format!("echo x >> {}; rm -rf /nothing-of-this-name\n", mark.display()));
    let rule = "steps[0].script matches the rule `rm -rf` (ask ada): a user must confirm this job before it begins";
    assert!(server.run(&["job", "preview", "--host", "web-1", &script]).contains(rule));
    let start = || {
        let (code, _, said) = run(&server, &["job", "run", "--host", "web-1", "--wait", "1s", &script]);
        let job = newest(&server);
        assert!(code == 124 && said.contains(rule), "{code} {said}");
        assert!(said.contains(&format!("job {job} waits for a user: `monitor job confirm {job}` or `refuse {job}`")), "{said}");
        job
    };
    for end in ["refuse", "stop"] {
        let job = start();
        assert_eq!(run(&server, &["job", end, &job]).0, 0);
        assert_eq!(run(&server, &["job", "wait", &job]).0, 6);
        let (code, _, said) = run(&server, &["job", "retry", &job, "--all"]);
        assert!(code == 1 && said.contains("Start a new one"), "{code} {said}");
    }
    assert!(!mark.exists(), "nothing has begun");
    let job = start();
    assert!(server.run(&["job", "show", &job]).contains(rule));
    assert_eq!(run(&server, &["job", "confirm", &job]).0, 0);
    assert_eq!(run(&server, &["job", "wait", &job]).0, 0);
    assert_eq!(lines(&mark), 1);
}

#[test]
fn a_result_groups_the_hosts_by_output_and_shows_their_messages() {
    let server = Tasks::start();
    let (_first, _second) = (agent(&server, "web-1"), agent(&server, "web-2"));
    let scripts = Scripts::new();
    let message = r#"{"status": false, "data": [{"module": "disk", "item": "/data", "status": false, "message": "92 % full"}]}"#;
    let script = scripts.write("check.sh", &format!("echo '{message}'\n"));
    let (code, out, said) = run(&server, &["job", "run", "--host", "web-*", &script]);
    assert_eq!(code, 0, "{out} {said}");
    let job = newest(&server);
    let text = server.run(&["job", "result", &job]);
    assert!(text.contains("2 hosts: 2 succeeded\noutput of 2 hosts: web-1, web-2\n  {"), "{text}");
    assert!(text.contains("error    web-1            disk  /data  92 % full\nerror    web-2 "), "{text}");
    let result = server.json(&["job", "result", &job]);
    assert_eq!((&result["counts"]["9"], &result["messages"][0]["level"]), (&2.into(), &"error".into()), "{result}");
    let (code, _, said) = run(&server, &["job", "result", &job, "--step", "999"]);
    assert!(code == 2 && said.contains("has no step 999"), "{code} {said}");
    assert_eq!(run(&server, &["job", "result", "999"]).0, 4);
}

#[test]
fn a_job_is_stopped_and_its_failed_hosts_are_retried() {
    let server = Tasks::start();
    let _agent = agent(&server, "db-1");
    let scripts = Scripts::new();
    let slow = scripts.write("slow.sh", "echo begun\nexec sleep 600\n");
    let (code, _, said) = run(&server, &["job", "run", "--host", "db-1", "--wait", "2s", &slow]);
    assert!(code == 124 && said.contains("timed out after 2s: 1 of 1 host is still running: db-1"), "{code} {said}");
    let job = newest(&server);
    wait_for("the output", || server.run(&["job", "output", &job, "db-1"]).contains("begun").then_some(()));
    let (code, _, said) = run(&server, &["job", "wait", &job, "--polls", "2", "--interval", "100ms"]);
    assert!(code == 124 && said.contains("timed out after 2 polls of 100ms"), "{code} {said}");
    assert_eq!(run(&server, &["job", "stop", &job]).0, 0);
    let (code, out, _) = run(&server, &["job", "wait", &job]);
    assert!(code == 6 && out.contains("stopped (status 403): 1 host"), "{code} {out}");

    let flag = scripts.0.path().join("flag");
    let twice = scripts.write("twice.sh", &format!("echo attempt\ntest -e {0} || {{ touch {0}; exit 4; }}\n", flag.display()));
    assert_eq!(run(&server, &["job", "run", "--host", "db-1", &twice]).0, 6);
    let job = newest(&server);
    let (code, out, said) = run(&server, &["job", "retry", &job, "--failed", "--host", "db-1"]);
    assert_eq!(code, 0, "{out} {said}");
    assert_eq!(run(&server, &["job", "wait", &job]).0, 0);
    let hosts = server.json(&["job", "hosts", &job]);
    assert_eq!((&hosts["hosts"][0]["attempt"], &hosts["hosts"][0]["status"]), (&2.into(), &9.into()), "{hosts}");
    let (code, _, said) = run(&server, &["job", "retry", &job, "--host", "other"]);
    assert!(code == 4 && said.contains("has no host \"other\""), "{code} {said}");
}

#[test]
fn a_script_for_failures_runs_on_the_hosts_that_have_failed() {
    let server = Tasks::start();
    let (_first, _second) = (agent(&server, "web-1"), agent(&server, "web-2"));
    let scripts = Scripts::new();
    let mark = scripts.0.path().join("mark");
    // The first host to begin succeeds.
    let deploy = scripts.write("deploy.sh", &format!("mkdir {}.first || exit 3\n", mark.display()));
    let restore = scripts.write("restore.sh", &format!("echo x >> {}\n", mark.display()));
    let (code, out, _) = run(&server, &["job", "run", "--host", "web-*", "--if-failed", &restore, &deploy]);
    assert!(code == 6 && out.contains("(status 104): 1 host\n"), "{code} {out}");
    let next = wait_for("the job that follows", || server.json(&["job", "show", "1"])["followed_by"].as_u64()).to_string();
    assert_eq!(run(&server, &["job", "wait", &next]).0, 0);
    assert_eq!(lines(&mark), 1);
    assert!(server.run(&["job", "show", "1"]).contains(&format!("\nis followed by job {next}\n")));
    let shown = server.run(&["job", "show", &next]);
    assert!(shown.starts_with(&format!("job {next}  restore.sh  ")) && shown.contains("\nfollows job 1\n"), "{shown}");
    let failed = server.json(&["job", "hosts", "1", "--status", "104"])["hosts"][0]["name"].clone();
    assert_eq!(server.json(&["job", "hosts", &next])["hosts"][0]["name"], failed);
    let (code, _, said) = run(&server, &["job", "run", "--host", "web-1", "--if-failed", "/nowhere.sh", &deploy]);
    assert!(code == 1 && said.contains("/nowhere.sh"), "{code} {said}");
}

#[test]
fn ctrl_c_leaves_the_job_running_and_names_the_next_commands() {
    let server = Tasks::start();
    let _agent = agent(&server, "db-1");
    let scripts = Scripts::new();
    let slow = scripts.write("slow.sh", "exec sleep 600\n");
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("monitor"));
    command.args(["job", "run", "--host", "db-1", &slow]).stdout(Stdio::null()).stderr(Stdio::piped());
    command.env("MONITOR_SERVER_URL", server.url()).env("MONITOR_DATA", server.data());
    let child = command.spawn().unwrap();
    let is_running = |hosts: &Value| hosts["hosts"][0]["status"] == 7;
    wait_for("the script to run", || {
        let jobs = server.json(&["job", "list"]);
        let job = jobs["jobs"][0]["job_id"].as_u64()?.to_string();
        is_running(&server.json(&["job", "hosts", &job])).then_some(())
    });
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let job = newest(&server);
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains(&format!("`monitor job wait {job}`")) && said.contains(&format!("`monitor job stop {job}`")), "{said}");
    assert!(is_running(&server.json(&["job", "hosts", &job])));
    assert_eq!(run(&server, &["job", "stop", &job]).0, 0);
    assert_eq!(run(&server, &["job", "wait", &job]).0, 6);
}

#[test]
fn a_host_that_comes_late_runs_the_retry() {
    let server = Tasks::start();
    server.run(&["host", "add", "late"]);
    let scripts = Scripts::new();
    let script = scripts.write("ok.py", "print('from python')\n");
    assert_eq!(run(&server, &["job", "run", "--host", "late", &script]).0, 6);
    let job = newest(&server);
    let _agent = agent(&server, "late");
    let (code, out, said) = run(&server, &["job", "retry", &job]);
    assert_eq!(code, 0, "{out} {said}");
    assert_eq!(run(&server, &["job", "wait", &job, "--timeout", "60s"]).0, 0);
    assert_eq!(server.run(&["job", "output", &job, "late", "-f"]), "from python\n");
}
