//! Tests the import of crontabs as tasks: real files, a real server and a real agent. `crontab` is replaced by a script that stores its
//! table in a file.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::batch::Tasks;
use crate::support::monitor;

/// Replacement of `crontab` that can kill its caller before or after it has installed a new table.
const CRONTAB: &str = "#!/bin/sh
cd \"${0%/*}\"
if [ \"$1\" = -l ]; then
    if [ -e table ]; then cat table; else echo \"no crontab for ada\" >&2; exit 1; fi
else
    cat > new
    if [ -e kill-before ]; then rm kill-before; kill -9 $PPID; exit 1; fi
    mv new table
    if [ -e kill-after ]; then rm kill-after; kill -9 $PPID; fi
fi
";

const TABLE: &str =
    "MAILTO=ada@example.org\n# every night\n30 2 * * 1-5 ./gold.sh\n@reboot /opt/warm-up\n61 * * * * broken\n0 4 * * * mail root%Hello\n";

struct Cron(TempDir);

impl Cron {
    fn new(table: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("crontab"), CRONTAB).unwrap();
        fs::set_permissions(folder.path().join("crontab"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(folder.path().join("table"), table).unwrap();
        Self(folder)
    }

    fn mark(&self, name: &str) {
        fs::write(self.0.path().join(name), "").unwrap();
    }

    fn table(&self) -> String {
        fs::read_to_string(self.0.path().join("table")).unwrap()
    }

    fn import(&self, server: &Tasks, args: &[&str]) -> assert_cmd::Command {
        let mut command = server.command(&[&["task", "import-crontab"], args].concat());
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", self.0.path().display())).env("XDG_STATE_HOME", self.0.path().join("state"));
        command
    }

    /// Number of lines that cron runs.
    fn lines(&self) -> usize {
        self.table().lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit() || c == '@')).count()
    }
}

/// Returns the server's tasks, and true for each that its rules start.
fn tasks(server: &Tasks) -> Vec<(String, bool)> {
    let page: Value = server.json(&["task", "list"]);
    let tasks = page["tasks"].as_array().unwrap().iter();
    tasks.map(|task| (task["name"].as_str().unwrap().to_owned(), task["definition"]["paused"] != true)).collect()
}

#[test]
fn a_crontab_is_imported_once_and_an_interrupted_import_is_completed() {
    let (server, cron) = (Tasks::start(), Cron::new(TABLE));
    let all = |is_active: bool| ["gold", "mail", "warm-up"].map(|name| (name.to_owned(), is_active)).to_vec();
    // Cron runs the jobs until the import takes over.
    let added = cron.import(&server, &[]).assert().code(2).get_output().clone();
    let (out, said) = (String::from_utf8(added.stdout).unwrap(), String::from_utf8(added.stderr).unwrap());
    assert_eq!(out.lines().next(), Some("added gold, paused"), "{out}");
    assert!(said.contains("crontab:5: ") && said.contains("1 line is no task"), "{said}");
    assert_eq!((cron.table(), tasks(&server)), (TABLE.to_owned(), all(false)));
    assert!(server.run(&["task", "list"]).lines().all(|line| line.contains("paused")));
    // Killed before cron has the new table: cron continues, and the tasks stay paused.
    cron.mark("kill-before");
    cron.import(&server, &["--take-over"]).assert().failure();
    assert_eq!((cron.table(), tasks(&server)), (TABLE.to_owned(), all(false)));
    // Killed after cron has the new table: no job runs, and this is visible.
    cron.mark("kill-after");
    cron.import(&server, &["--take-over"]).assert().failure();
    assert_eq!((cron.lines(), tasks(&server)), (1, all(false)), "{}", cron.table());
    let out = cron.import(&server, &["--take-over"]).assert().code(2).get_output().stdout.clone();
    assert_eq!(String::from_utf8(out).unwrap(), "resumed gold\nresumed mail\nresumed warm-up\n");
    assert_eq!(tasks(&server), all(true));
    let table =
        TABLE.replace("30 2", "#monitor:gold# 30 2").replace("@reboot", "#monitor:warm-up# @reboot").replace("0 4", "#monitor:mail# 0 4");
    assert_eq!(cron.table(), table);
    let shown = server.run(&["task", "show", "gold"]);
    assert!(shown.contains("shell = \"cd; ./gold.sh\"") && shown.contains("owner = \"ada@example.org\""), "{shown}");
    // Repeating the import changes nothing, also not a task that was paused by the user since.
    let file = cron.0.path().join("mail.toml");
    // A top-level key must precede the tables.
    fs::write(&file, format!("paused = true\n{}", server.run(&["task", "export", "mail"]))).unwrap();
    server.run(&["task", "edit", "mail", "--file", file.to_str().unwrap()]);
    assert!(cron.import(&server, &["--take-over"]).assert().code(2).get_output().stdout.is_empty());
    fs::write(&file, fs::read_to_string(&file).unwrap().replace("paused = true\n", "")).unwrap();
    server.run(&["task", "edit", "mail", "--file", file.to_str().unwrap()]);
    assert_eq!(cron.table(), table);
    // Copies of the old table are kept.
    let copies = fs::read_dir(cron.0.path().join("state/monitor")).unwrap().flatten();
    let copies: Vec<_> = copies.map(|entry| fs::read_to_string(entry.path()).unwrap()).collect();
    assert!(!copies.is_empty() && copies.iter().all(|copy| copy == TABLE), "{copies:?}");
    // The user restores the old table: its lines match the existing tasks.
    fs::write(cron.0.path().join("table"), TABLE).unwrap();
    cron.import(&server, &["--take-over"]).assert().code(2);
    assert_eq!((cron.table(), tasks(&server)), (table, all(true)));
}

#[test]
fn an_unreachable_server_and_a_missing_crontab_change_nothing() {
    let (server, cron) = (Tasks::start(), Cron::new(TABLE));
    cron.import(&server, &["--take-over", "--server", "http://127.0.0.1:1"]).assert().code(3);
    assert_eq!(cron.table(), TABLE);
    fs::remove_file(cron.0.path().join("table")).unwrap();
    assert!(cron.import(&server, &["--take-over"]).assert().success().get_output().stdout.is_empty());
    cron.import(&server, &["--take-over", "-"]).assert().code(2);
    cron.import(&server, &["--take-over", "--print"]).assert().code(2);
    cron.import(&server, &["--take-over", "/no/such/crontab"]).assert().code(1);
}

#[cfg(target_os = "linux")]
#[test]
fn files_of_cron_become_files_of_the_agent() {
    let agent = crate::batch::Agent::start(&[("gold", "shell = \"true\"")]);
    let etc = agent.path("etc");
    fs::create_dir_all(etc.join("cron.d")).unwrap();
    let system = "SHELL=/bin/sh\nPATH=/usr/bin:/bin\n17 * * * * root cd / && run-parts /etc/cron.hourly\n";
    let own = "CRON_TZ=Europe/Berlin\n*/5 * * * * batch /opt/gold --all\n";
    for (name, text) in [("crontab", system), ("cron.d/gold", own), ("cron.d/old.dpkg-dist", own), ("cron.d/.placeholder", "")] {
        fs::write(etc.join(name), text).unwrap();
    }
    fs::set_permissions(etc.join("cron.d/gold"), fs::Permissions::from_mode(0o640)).unwrap();
    let [crontab, folder, to] =
        [etc.join("crontab"), etc.join("cron.d"), agent.path("tasks")].map(|path| path.to_str().unwrap().to_owned());
    let args = ["task", "import-crontab", crontab.as_str(), &folder, "--to", &to, "--take-over"];
    let out = agent.run(&args);
    assert!(out.contains("added run-parts, paused\nadded gold-2, paused\n"), "{out}");
    let read = |path: &Path| fs::read_to_string(path).unwrap();
    assert_eq!(read(&etc.join("crontab")), system.replace("17 *", "#monitor:run-parts# 17 *"));
    assert_eq!(read(&etc.join("cron.d/gold")), own.replace("*/5 *", "#monitor:gold-2# */5 *"));
    assert_eq!(fs::metadata(etc.join("cron.d/gold")).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(read(&etc.join("cron.d/old.dpkg-dist")), own, "cron doesn't read it");
    let copies =
        fs::read_dir(etc.join("cron.d")).unwrap().flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(".gold."));
    assert_eq!(copies.map(|entry| read(&entry.path())).collect::<Vec<_>>(), [own]);
    let task = read(&agent.path("tasks/gold-2.toml"));
    assert!(task.contains("user = \"batch\"") && task.contains("zone = \"Europe/Berlin\"") && !task.contains("paused"), "{task}");
    let list = agent.run(&["task", "list"]);
    assert_eq!(list.lines().filter(|line| line.contains(" next ")).count(), 2, "{list}");
    assert_eq!(agent.run(&args), "");
}

#[cfg(target_os = "linux")]
#[test]
fn cron_continues_until_an_agent_has_the_tasks() {
    let agent = crate::batch::Agent::start(&[("gold", "shell = \"true\"")]);
    let (crontab, elsewhere) = (agent.path("mine"), agent.path("elsewhere"));
    fs::write(&crontab, "30 2 * * * ./tin\n").unwrap();
    let args = ["task", "import-crontab", crontab.to_str().unwrap(), "--to", elsewhere.to_str().unwrap(), "--take-over"];
    let said = agent.command(&args).timeout(std::time::Duration::from_secs(120)).assert().code(1).get_output().stderr.clone();
    assert!(String::from_utf8(said).unwrap().contains("the agent doesn't take tin"));
    assert_eq!(fs::read_to_string(&crontab).unwrap(), "30 2 * * * ./tin\n");
    // Without an agent, the target is a server, which has no folder.
    let mut alone = monitor(&args);
    alone.env("XDG_STATE_HOME", agent.path("nobody")).assert().code(2);
}

#[test]
fn tasks_are_printed_also_if_the_variable_names_a_folder_of_tasks() {
    let folder = tempfile::tempdir().unwrap();
    let (crontab, tasks) = (folder.path().join("crontab"), folder.path().join("tasks"));
    fs::write(&crontab, "0 4 * * * ./gold.sh\n").unwrap();
    let mut command = monitor(&["task", "import-crontab", crontab.to_str().unwrap(), "--print"]);
    command.env("MONITOR_AGENT_TASKS", &tasks).assert().success();
    assert!(!tasks.exists());
}
