//! A run of another user publishes through the agent, which accepts only files of that user. Only root may start such runs.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;

use monitor_tests::{command, wait_for};
use nix::unistd::{User, geteuid};

use crate::harness::Agent;
use crate::publish::{definition, target};

/// A user that exists on each system.
const USER: &str = "nobody";

/// True if the tests run as root. Otherwise prints that the test was skipped.
fn is_root() -> bool {
    let is_root = geteuid().is_root();
    if !is_root {
        eprintln!("not tried: only root may start runs of another user");
    }
    is_root
}

/// An agent whose folders of tasks other users may enter, with a home as with `--home`.
fn agent_for_others() -> (Agent, tempfile::TempDir) {
    let home = tempfile::tempdir().unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let programs = home.path().join("bin");
    fs::create_dir(&programs).unwrap();
    fs::set_permissions(&programs, fs::Permissions::from_mode(0o755)).unwrap();
    // Other users may not enter the build folder.
    fs::copy(command("monitor").get_program(), programs.join("monitor")).unwrap();
    let agent = Agent::start_with(&[], vec![("MONITOR_AGENT_HOME", home.path().into())]);
    wait_for("the agent's socket", || socket(&home).map(drop));
    (agent, home)
}

fn socket(home: &tempfile::TempDir) -> Option<std::path::PathBuf> {
    let entries = fs::read_dir(home.path()).ok()?.flatten().map(|entry| entry.path());
    entries.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "sock"))
}

fn said(agent: &Agent, id: &str) -> String {
    fs::read_to_string(agent.path("data/runs").join(id).join("output.log")).unwrap_or_default()
}

/// Runs the task once more. Returns the id of the run and its output.
fn ran(agent: &Agent, words: &[&str]) -> (String, String) {
    let id = agent.ask(&[&["run", "gold", "--wait", "--"], words].concat()).stdout.lines().next().unwrap_or_default().to_owned();
    let output = said(agent, &id);
    (id, output)
}

#[test]
fn a_run_of_another_user_publishes_only_files_that_this_user_may_read() {
    if !is_root() {
        return;
    }
    let (agent, home) = agent_for_others();
    let (prod, sent, secret) = (agent.path("srv/prod"), home.path().join("sent"), agent.path("secret"));
    fs::write(&secret, "only root reads this").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    fs::create_dir(&sent).unwrap();
    fs::set_permissions(&sent, fs::Permissions::from_mode(0o777)).unwrap();
    let shell = format!(
        "cd $MONITOR_PUBLISH_DIR; mkdir day; echo $1 > day/price; case $1 in link) ln -s {0} link;; folder) ln -s / all;; name) ln {0} name;; \
         program) echo > program; chmod 4755 program;; pipe) mkfifo pipe;; esac; id -un; {1}/bin/monitor publish $2",
        secret.display(),
        home.path().display()
    );
    let command =
        format!("publish.send = {{ command = [\"sh\", \"-c\", \"id -un > {}/who; cat day/price >> {0}/who\"] }}\n", sent.display());
    agent.define("gold", &definition(&shell, &format!("user = {USER:?}\n{}{command}", target("prod", &prod))));
    agent.wait_for_log("a task is new or has changed");

    let (_, output) = ran(&agent, &["good", "prod"]);
    assert!(output.starts_with(USER) && output.contains("prod: 1 file"), "{output}\n{}", agent.log());
    assert_eq!(fs::read_to_string(prod.join("day/price")).unwrap(), "good\n");
    assert_eq!(fs::metadata(prod.join("day/price")).unwrap().uid(), 0, "the copy belongs to the agent's user");
    // The set-user-id bit is not copied, because the copy has another owner.
    let (_, output) = ran(&agent, &["program", "prod"]);
    assert!(output.contains("prod: 2 files"), "{output}");
    assert_eq!(fs::metadata(prod.join("program")).unwrap().permissions().mode() & 0o7777, 0o755);
    // A command of the target also runs as the user of the task.
    let (_, output) = ran(&agent, &["by-command", "send"]);
    assert!(output.contains("send: 1 file"), "{output}");
    assert_eq!(fs::read_to_string(sent.join("who")).unwrap(), format!("{USER}\nby-command\n"));

    for (what, words) in [
        ("link", "is a link that may lead out of the folder"),
        ("folder", "is a link that may lead out of the folder"),
        ("pipe", "is no file, folder or link"),
        ("name", "is another name of a file that isn't the user's"),
    ] {
        let (_, output) = ran(&agent, &[what, "prod"]);
        // The system may have refused the hard link already.
        let is_refused = output.contains(words) || (what == "name" && output.contains("not permitted"));
        assert!(is_refused, "{what}: {output}");
        assert!(!prod.join(what).exists() && !prod.join("all").exists(), "{what}: the target shows what it showed");
    }
    let (_, output) = ran(&agent, &["good", "none"]);
    assert!(output.contains("gold has no target \"none\", but prod, send"), "{output}");
    // A publication can be restored as usual. The command of a target also runs as the user of the task.
    agent.done(&["restore-publication", "gold", "1"]);
    assert_eq!(fs::read_to_string(prod.join("day/price")).unwrap(), "good\n");
    fs::remove_file(sent.join("who")).unwrap();
    agent.done(&["restore-publication", "gold", "3"]);
    assert_eq!(fs::read_to_string(sent.join("who")).unwrap(), format!("{USER}\nby-command\n"));
}

#[test]
fn publishing_for_runs_of_other_users_or_ended_runs_is_refused() {
    if !is_root() {
        return;
    }
    let (agent, home) = agent_for_others();
    let (prod, go) = (agent.path("srv/prod"), home.path().join("go"));
    let shell = format!("echo 1 > $MONITOR_PUBLISH_DIR/price; while ! test -e {}; do sleep 0.05; done; exit 0", go.display());
    agent.define("gold", &definition(&shell, &target("prod", &prod)));
    agent.define("theirs", &definition(&shell, &format!("user = {USER:?}\n{}", target("prod", &agent.path("srv/theirs")))));
    agent.wait_for_log("task=\"theirs\"");
    agent.wait_for_log("task=\"gold\"");
    let [own, theirs] = ["gold", "theirs"].map(|task| agent.done(&["run", task]).lines().next().unwrap().to_owned());
    for task in ["gold", "theirs"] {
        wait_for("its file", || home.path().join("task").join(task).join("publish/price").exists().then_some(()));
    }
    let socket = socket(&home).unwrap();
    // Sends a request as another user, with content that `monitor` would never send.
    let ask_as = |user: &str, text: &str| {
        let (socket, text, uid) = (socket.clone(), text.to_owned(), User::from_name(user).unwrap().unwrap().uid.as_raw());
        let ask = move || {
            // SAFETY: it changes only the effective user of this thread, which ends below.
            #[expect(unsafe_code, reason = "nothing safe changes the user of one thread")]
            let changed = unsafe { libc::syscall(libc::SYS_setresuid, -1, uid, -1) };
            assert_eq!(changed, 0);
            let mut stream = UnixStream::connect(socket).unwrap();
            // A rejected client may get its answer before it has sent everything.
            let _ = stream.write_all(text.as_bytes());
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let mut answer = String::new();
            let _ = stream.read_to_string(&mut answer);
            answer
        };
        std::thread::spawn(ask).join().unwrap()
    };
    let request = |run: &str, target: &str| format!("{}\n", serde_json::json!({ "run": run, "target": target }));
    let answer = ask_as(USER, &request(&own, "prod"));
    assert!(answer.contains("belongs to another user") && !prod.exists(), "{answer}");
    let answer = ask_as(USER, &request(&theirs, "prod"));
    assert!(answer.contains("\"done\"") && agent.path("srv/theirs/price").exists(), "{answer}");
    for (text, words) in [
        (request("gold@20200101T000000Z.1", "prod"), "knows no run"),
        (request("../../etc", "prod"), "knows no run"),
        (request(&theirs, "../../x"), "has no target"),
        (String::new(), "can't be read"),
        ("{}\n".to_owned(), "can't be read"),
        (format!("{{\"run\": {theirs:?}, \"target\": \"prod\", \"files\": \"/etc\"}}\n"), "can't be read"),
        ("\u{0}\u{1}\n".to_owned(), "can't be read"),
        ("x".repeat(5_000), "can't be read"),
    ] {
        let answer = ask_as(USER, &text);
        assert!(answer.contains("\"refused\"") && answer.contains(words), "{text:.80}: {answer}");
    }
    // Idle connections don't block other requests.
    let silent: Vec<UnixStream> = (0..10).map(|_| UnixStream::connect(&socket).unwrap()).collect();
    let mut loud = UnixStream::connect(&socket).unwrap();
    loud.write_all(request(&own, "prod").as_bytes()).unwrap();
    let mut answer = String::new();
    loud.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("\"done\"") && prod.join("price").exists(), "{answer}");
    drop(silent);
    // Idle connections of another user block nothing either.
    let connect_as = |user: &str, count: usize| {
        let (socket, uid) = (socket.clone(), User::from_name(user).unwrap().unwrap().uid.as_raw());
        let connect = move || {
            // SAFETY: it changes only the effective user of this thread, which ends below.
            #[expect(unsafe_code, reason = "nothing safe changes the user of one thread")]
            let changed = unsafe { libc::syscall(libc::SYS_setresuid, -1, uid, -1) };
            assert_eq!(changed, 0);
            (0..count).map(|_| UnixStream::connect(&socket).unwrap()).collect::<Vec<_>>()
        };
        std::thread::spawn(connect).join().unwrap()
    };
    let idle = connect_as(USER, 40);
    let mut loud = UnixStream::connect(&socket).unwrap();
    loud.write_all(request(&own, "prod").as_bytes()).unwrap();
    let mut answer = String::new();
    loud.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("\"done\""), "{answer}");
    drop(idle);
    fs::write(&go, "").unwrap();
    agent.ended("gold", 1);
    agent.ended("theirs", 1);
    let answer = ask_as(USER, &request(&theirs, "prod"));
    assert!(answer.contains("has ended"), "{answer}");
}

#[test]
fn a_link_in_the_place_of_the_folder_is_not_emptied_and_leads_nowhere() {
    if !is_root() {
        return;
    }
    let (agent, home) = agent_for_others();
    // The user owns the folder of the task and may create any file in it.
    let own = home.path().join("task/gold");
    let precious = agent.path("precious");
    fs::create_dir_all(&own).unwrap();
    fs::create_dir(&precious).unwrap();
    fs::write(precious.join("file"), "").unwrap();
    let nobody = User::from_name(USER).unwrap().unwrap();
    std::os::unix::fs::chown(&own, Some(nobody.uid.as_raw()), Some(nobody.gid.as_raw())).unwrap();
    let prod = agent.path("srv/prod");
    let shell = format!(
        "cd {}; rmdir publish; ln -s {} publish; {}/bin/monitor publish prod",
        own.display(),
        precious.display(),
        home.path().display()
    );
    agent.define("gold", &definition(&shell, &format!("user = {USER:?}\n{}", target("prod", &prod))));
    agent.wait_for_log("a task is new or has changed");
    for _ in 0..2 {
        let (_, output) = ran(&agent, &[]);
        assert!(output.contains("prod is not published") && !prod.exists(), "{output}\n{}", agent.log());
        assert!(precious.join("file").exists(), "the next run empties its own folder alone");
        assert_eq!(fs::metadata(&precious).unwrap().uid(), 0, "and gives nobody's else away");
    }
}

#[test]
fn links_in_the_places_of_history_and_logs_are_not_followed() {
    if !is_root() {
        return;
    }
    let (agent, home) = agent_for_others();
    let own = home.path().join("task/gold");
    let (precious, secret) = (agent.path("precious"), agent.path("secret"));
    fs::create_dir_all(&own).unwrap();
    fs::create_dir(&precious).unwrap();
    fs::write(&secret, "only root reads this").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let nobody = User::from_name(USER).unwrap().unwrap();
    std::os::unix::fs::chown(&own, Some(nobody.uid.as_raw()), Some(nobody.gid.as_raw())).unwrap();
    let shell = format!(
        "echo $1 > $MONITOR_PUBLISH_DIR/price.sh; cd {}; case $1 in links) ln -s {1} history; mv logs before; ln -s {1} logs;; \
         change) cd history/*/*/ && ln -sf {2} price.sh;; esac",
        own.display(),
        precious.display(),
        secret.display()
    );
    agent.define("gold", &definition(&shell, &format!("user = {USER:?}\n{}", target("prod", &agent.path("srv/prod")))));
    agent.wait_for_log("a task is new or has changed");

    for (number, link, code) in [(1, "history", 96), (2, "logs", 125)] {
        ran(&agent, &["links"]);
        let run = agent.ended("gold", number).pop().unwrap();
        let words = format!("{link} is a link, where this user needs a folder: remove it");
        assert!(run["result_code"] == code && run.to_string().contains(&words), "{run}");
    }
    assert_eq!(fs::read_dir(&precious).unwrap().count(), 0, "nothing is written there: {}", agent.log());
    for link in ["history", "logs"] {
        fs::remove_file(own.join(link)).unwrap();
    }
    ran(&agent, &["mended"]);
    agent.ended("gold", 3);
    let kept = agent.done(&["history", "gold"]);
    let kept_line = kept.lines().find(|line| line.contains("gold@")).unwrap_or_else(|| panic!("{kept}")).to_owned();
    assert_eq!(kept.lines().count(), 1, "{kept}");
    // The user owns the kept files and may replace them, but only with content that the user may read.
    ran(&agent, &["change"]);
    let kept = own.join("history").read_dir().unwrap().map_while(Result::ok).find(|entry| entry.file_type().unwrap().is_dir()).unwrap();
    assert_eq!(kept.metadata().unwrap().permissions().mode() & 0o777, 0o755, "others read there");
    let first = kept_line.split_whitespace().next().unwrap();
    let told: serde_json::Value = serde_json::from_str(&agent.done(&["history", "gold", first, "--json"])).unwrap();
    assert_eq!(told["files"]["price.sh"], secret.as_os_str().len(), "the link's own length: {told}");
}
