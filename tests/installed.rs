//! The installation of docs/guides/server.md and the copy of docs/guides/backup.md, line by line. The programs of the units run directly, in a folder that represents the machine.
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use monitor_tests::{command, terminate, wait_for};
use serde_json::{Value, json};

const PAGE: &str = concat!(include_str!("../docs/guides/server.md"), include_str!("../docs/guides/backup.md"));
/// Keys of units that the systemd of Debian 12 does not know.
const NEWER_KEYS: &str = "Unknown key 'DelegateSubgroup'";

/// The first block of shell commands below a heading.
fn block(heading: &str) -> &'static str {
    let section = PAGE.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("{heading} is a heading")).1;
    section.split_once("```sh\n").and_then(|(_, rest)| rest.split_once("```")).expect("it has commands").0
}

/// A folder that represents the root of a machine, and the running services. They end with the test.
struct Machine {
    root: tempfile::TempDir,
    port: u16,
    services: BTreeMap<String, Child>,
}

impl Machine {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        // Commands start in a copy of the repository folder, so that the repository stays unchanged.
        let here = root.path().join("repository");
        fs::create_dir(&here).unwrap();
        std::os::unix::fs::symlink(concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging"), here.join("packaging")).unwrap();
        Self { root, port, services: BTreeMap::new() }
    }

    fn path(&self, below: &str) -> PathBuf {
        self.root.path().join(below)
    }

    /// A text in which paths of a machine are replaced by paths of this folder.
    fn moved(&self, text: &str) -> String {
        let root = self.root.path().display();
        let monitor = command("monitor");
        let text = text.replace("/usr/local/bin/monitor", monitor.get_program().to_str().unwrap());
        let text = text.replace("/etc/", &format!("{root}/etc/")).replace("/var/lib/", &format!("{root}/var/lib/"));
        text.replace("tar -C / ", &format!("tar -C {root} ")).replace("60010", &self.port.to_string())
    }

    /// Executes the commands of a page. There is no init system and no other user.
    fn follow(&mut self, commands: &str) {
        for line in commands.lines() {
            let services =
                |word: &str| line.split_once(word).map(|(_, names)| names.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
            if let Some(names) = services("systemctl stop ") {
                for name in &names {
                    self.stop(name);
                }
            } else if let Some(names) = services("systemctl enable --now ").or_else(|| services("systemctl start ")) {
                for name in &names {
                    self.start(name);
                }
            } else if !line.starts_with("useradd ") {
                self.shell(line);
            }
        }
    }

    fn shell(&self, line: &str) {
        let monitor = command("monitor");
        let programs = Path::new(monitor.get_program()).parent().unwrap();
        let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
        let line = self.moved(&line.replace("sudo -u monitor ", "").replace(" -g monitor", ""));
        let mut shell = Command::new("sh");
        shell.args(["-euc", &line]).current_dir(self.path("repository")).env("PATH", path).stdin(Stdio::null());
        let output = shell.output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        // Files of settings and units also contain paths of a machine.
        for word in line.split_whitespace().filter(|word| word.starts_with(self.root.path().to_str().unwrap())) {
            if [".toml", ".service"].iter().any(|end| word.ends_with(end)) {
                let text = fs::read_to_string(word).unwrap();
                fs::write(word, self.moved(&text)).unwrap();
            }
        }
    }

    /// Starts a service as its unit describes.
    fn start(&mut self, name: &str) {
        let path = self.path(&format!("etc/systemd/system/{name}.service"));
        let verified = Command::new("systemd-analyze").arg("verify").arg(&path).output().expect("systemd-analyze is installed");
        let said = String::from_utf8_lossy(&verified.stderr);
        assert!(verified.status.success() && said.lines().all(|line| line.contains(NEWER_KEYS)), "{name}: {said}");
        let unit = fs::read_to_string(&path).unwrap();
        let values = |key: &str| unit.lines().filter_map(move |line| line.strip_prefix(key)).map(str::to_owned).collect::<Vec<_>>();
        let [folder] = &values("StateDirectory=")[..] else { panic!("{name} has one folder for its state") };
        fs::create_dir_all(self.path(&format!("var/lib/{folder}"))).unwrap();
        let [line] = &values("ExecStart=")[..] else { panic!("{name} has one command") };
        let mut words = line.split_whitespace();
        let program = words.next().unwrap();
        assert_eq!(program, command("monitor").get_program().to_str().unwrap());
        let mut service = command("monitor");
        // The unit alone sets the environment. The user's home folder is the state folder.
        let home = self.path(&format!("var/lib/{folder}"));
        service.env_remove("MONITOR_AGENT").env_remove("MONITOR_SPOOL_DIR").env("HOME", home).env_remove("XDG_CONFIG_HOME").args(words);
        service.envs(values("Environment=").iter().map(|pair| pair.split_once('=').unwrap()));
        let log = fs::File::options().create(true).append(true).open(self.path(&format!("{name}.log"))).unwrap();
        service.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.services.insert(name.to_owned(), service.spawn().unwrap());
        if name == "monitor" {
            wait_for("the server", || Self::http().get(self.url("/healthz")).send().ok().filter(|answer| answer.status() == 200));
        }
    }

    fn stop(&mut self, name: &str) {
        terminate(&mut self.services.remove(name).unwrap_or_else(|| panic!("{name} runs")));
    }

    fn http() -> reqwest::blocking::Client {
        reqwest::blocking::Client::builder().no_proxy().build().unwrap()
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn get(&self, path: &str) -> Value {
        Self::http().get(self.url(&format!("/api/v1{path}"))).bearer_auth(self.token()).send().unwrap().json().unwrap()
    }

    fn post(&self, path: &str, body: &Value) -> u16 {
        let request = Self::http().post(self.url(&format!("/api/v1{path}"))).bearer_auth(self.token());
        request.json(body).send().unwrap().status().as_u16()
    }

    /// The token in the data folder.
    fn token(&self) -> String {
        fs::read_to_string(self.path("var/lib/monitor/local.token")).unwrap().lines().nth(1).unwrap().to_owned()
    }

    /// Starts a run of a task. Returns the number of its successful runs.
    fn run(&self, task: &str) -> usize {
        let before = self.runs(task);
        wait_for("the agent's channel", || (self.post(&format!("/batch-tasks/{task}/run"), &json!({})) == 200).then_some(()));
        wait_for("a run", || Some(self.runs(task)).filter(|runs| *runs > before))
    }

    fn runs(&self, task: &str) -> usize {
        let runs = self.get(&format!("/batch-tasks/runs?task={task}&agent=local&outcome=succeeded"));
        runs["runs"].as_array().unwrap_or_else(|| panic!("{runs}")).len()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for (name, service) in &mut self.services {
            if std::thread::panicking() {
                let log = self.root.path().join(format!("{name}.log"));
                eprintln!("{name}: {}", fs::read_to_string(log).unwrap_or_default());
            }
            let _ = service.kill();
            let _ = service.wait();
        }
    }
}

#[test]
fn services_are_installed_as_documented_and_restored_from_a_backup() {
    let mut machine = Machine::new();
    machine.follow(block("## Install"));
    machine.follow(block("## The agent of the server's machine"));
    let mode = |below: &str| std::os::unix::fs::PermissionsExt::mode(&fs::metadata(machine.path(below)).unwrap().permissions()) & 0o777;
    assert_eq!([mode("etc/monitor/agent.token"), mode("etc/monitor/agent.toml"), mode("etc/monitor/server.toml")], [0o600, 0o600, 0o640]);
    // A task of the server without `on`, and a task in the folder of tasks.
    assert_eq!(machine.post("/batch-tasks", &json!({"name": "gold", "command": ["true"]})), 201);
    fs::write(machine.path("etc/monitor/tasks/silver.toml"), "name = \"silver\"\ncommand = [\"true\"]\n").unwrap();
    wait_for("the file", || (machine.get("/batch-tasks")["tasks"].as_array()?.len() == 2).then_some(()));
    assert_eq!((machine.run("gold"), machine.run("silver")), (1, 1));
    let alerts = "[channel.page]\nkind = \"command\"\ncommand = [\"true\"]\n";
    fs::write(machine.path("etc/monitor/alerts.toml"), alerts).unwrap();
    let has_channel = |machine: &Machine| machine.get("/alerts/rules").to_string().contains("\"page\"");
    wait_for("the channel", || has_channel(&machine).then_some(()));

    machine.follow(block("## A copy of everything"));
    // A run after the copy was made.
    assert_eq!(machine.run("gold"), 2);
    machine.stop("monitor-agent");
    machine.stop("monitor");
    for lost in ["etc/monitor", "var/lib"] {
        fs::remove_dir_all(machine.path(lost)).unwrap();
    }
    machine.follow("tar -C / -xpzf monitor.tar.gz\nsystemctl start monitor monitor-agent");
    assert_eq!((machine.runs("gold"), machine.runs("silver")), (1, 1), "as it was when the copy was made");
    assert_eq!((machine.run("gold"), machine.run("silver")), (2, 2));
    wait_for("the channel", || has_channel(&machine).then_some(()));
    let tokens = machine.get("/tokens");
    assert!(tokens["tokens"].as_array().unwrap().iter().any(|token| token["name"] == "local"), "{tokens}");
}
