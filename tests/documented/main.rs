//! Examples of the documentation, executed like a user would: docs/reference/api.md in the shell and in Python, with a real server and the example
//! `workers`; docs/start/first-batch-task.md; each definition of a batch task; docs/guides/heartbeats.md, a heartbeat and its ping;
//! docs/guides/control.md and the pages about alerts, each command and each file.
#![cfg(target_os = "linux")]

mod alerts;
mod control;
mod session;

use std::fs;
use std::process::{Child, Command, Stdio};

use monitor_tests::{Server, command, example, run, wait_for};

const PAGE: &str = include_str!("../../docs/reference/api.md");
/// Written after each step of the page. No example prints it.
const END_OF_STEP: char = '\u{1e}';

/// Code blocks that are followed by a single block with their output.
#[derive(Default)]
struct Step {
    shell: Vec<String>,
    python: Vec<String>,
    prints: String,
}

fn steps() -> Vec<Step> {
    let (mut steps, mut step, mut open) = (Vec::new(), Step::default(), None::<(&str, String)>);
    for line in PAGE.lines() {
        open = match (open.take(), line.strip_prefix("```")) {
            (None, language) => language.map(|language| (language, String::new())),
            (Some((language, text)), None) => Some((language, format!("{text}{line}\n"))),
            (Some((language, text)), Some(_)) => {
                match language {
                    "sh" => step.shell.push(text),
                    "python" => step.python.push(text),
                    "text" => steps.push(Step { prints: text, ..std::mem::take(&mut step) }),
                    _ => {}
                }
                None
            }
        };
    }
    assert!(step.shell.is_empty() && step.python.is_empty(), "the page says what each step prints");
    steps
}

/// The example `workers`. It ends with its test.
struct Workers(Child);

impl Drop for Workers {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The example `workers`, as soon as everything that the page requires has happened.
fn workers(server: &Server) -> Workers {
    let mut command = example("workers", Some(server));
    command.arg("600").env("MONITOR_COMMANDS", "all").stdin(Stdio::null()).stdout(Stdio::null());
    let workers = Workers(command.spawn().expect("it starts"));
    wait_for("its channel", || server.ask("GET", "/metrics").1.contains("\nmonitor_channels 1\n").then_some(()));
    for (query, count) in [("state=succeeded&q=id:render-2", 1), ("state=succeeded&q=id:render-12", 1), ("phase=revoked", 2)] {
        let path = format!("/queue-tasks?{query}&queue=films");
        wait_for(query, || (server.get(&path)["tasks"].as_array()?.len() >= count).then_some(()));
    }
    workers
}

/// A shell command whose search path contains `monitor`.
fn shell(words: &str) -> Command {
    let monitor = command("monitor");
    let programs = std::path::Path::new(monitor.get_program()).parent().expect("a folder of programs").to_owned();
    let path = std::env::join_paths([programs].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").expect("PATH"))));
    let mut shell = Command::new("sh");
    shell.args(["-c", words]).env("PATH", path.expect("folders"));
    shell
}

/// Runs a script of the page. Returns the output of each step.
fn printed(server: &Server, script: &str) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let script = script.replace("http://127.0.0.1:60010", server.url());
    fs::write(folder.path().join("page.sh"), script).expect("the script");
    let mut shell = shell("exec sh -eu page.sh");
    shell.current_dir(folder.path());
    shell.env("MONITOR_DATA", server.data()).env("no_proxy", "*").env("PYTHONIOENCODING", "utf-8");
    let finished = run(shell);
    assert_eq!(finished.code, Some(0), "{}{}", finished.stdout, finished.stderr);
    finished.stdout.split_terminator(&format!("{END_OF_STEP}\n")).map(str::to_owned).collect()
}

/// True if the text matches the pattern, in which `…` represents any text.
fn is_like(text: &str, words: &str) -> bool {
    let mut parts = words.split('…');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    for part in parts.clone() {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.is_empty() || words.ends_with('…')
}

fn check(steps: &[Step], printed: &[String]) {
    assert_eq!(printed.len(), steps.len(), "{printed:?}");
    for (step, printed) in steps.iter().zip(printed) {
        let missing = missing_line(printed, &step.prints);
        assert!(missing.is_none(), "{missing:?} isn't printed, or not in its place:\n{printed}");
    }
}

/// The first line of the page that is not in the output, or not in the right order. Ignores the widths of columns, which depend on their
/// content.
fn missing_line<'a>(printed: &str, words: &'a str) -> Option<&'a str> {
    let joined = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut lines = printed.lines();
    words.lines().find(|line| !lines.any(|printed| is_like(&joined(printed), &joined(line))))
}

#[test]
fn in_the_shell() {
    let server = Server::start();
    let (_workers, steps) = (workers(&server), steps());
    assert!(steps.len() > 12, "{} steps", steps.len());
    let end = "printf '\\036\\n'\n";
    let script = steps.iter().map(|step| format!("{}{end}", step.shell.concat())).collect::<Vec<_>>().concat();
    check(&steps, &printed(&server, &script));
}

#[test]
fn in_python() {
    let server = Server::start();
    let (_workers, steps) = (workers(&server), steps());
    let end = "print('\\x1e')\n";
    let python = steps.iter().map(|step| format!("{}{end}", step.python.concat())).collect::<Vec<_>>().concat();
    assert!(steps.iter().all(|step| step.shell.is_empty() == step.python.is_empty()), "each step is in both languages");
    // Address and token come from the shell commands of the page.
    let script = format!("{}exec python3 - <<'PAGE'\n{python}PAGE\n", steps[0].shell[0]);
    check(&steps, &printed(&server, &script));
}

#[test]
fn words_with_gaps_are_compared() {
    for (text, words, expected) in [
        ("a 12 b", "a … b", true),
        ("a", "a", true),
        ("ab", "a", false),
        ("ab", "a…", true),
        ("ba", "a…", false),
        ("x@h: ok", "x@…: no", false),
    ] {
        assert_eq!(is_like(text, words), expected, "{text} {words}");
    }
}

const FIRST_TASK: &str = include_str!("../../docs/start/first-batch-task.md");
const DEFINITIONS: &str = concat!(
    include_str!("../../docs/reference/definitions.md"),
    include_str!("../../docs/guides/batch-runs.md"),
    include_str!("../../docs/guides/publishing.md"),
);

/// Commands at a prompt, in the order of a section, each with its output.
fn typed(page: &str, section: &str) -> Vec<(String, String)> {
    let (_, text) = page.split_once(&format!("\n## {section}\n")).expect("the section");
    let (text, _) = text.split_once("\n## ").expect("its end");
    let blocks = text.split("```\n").skip(1).step_by(2).collect::<String>();
    let commands = blocks.split("$ ").skip(1).map(|command| command.split_once('\n').expect("a line"));
    commands.map(|(command, prints)| (command.to_owned(), prints.to_owned())).collect()
}

/// A text in which each number is replaced by 0, because times and ids differ.
fn without_numbers(text: &str) -> String {
    let mut last = ' ';
    let digits = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c });
    digits.filter(|c| std::mem::replace(&mut last, *c) != '0' || *c != '0').collect()
}

#[test]
fn the_first_ten_minutes_of_batch_tasks() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut agent = None;
    let shell = |words: &str| {
        let mut shell = shell(words);
        shell.current_dir(folder.path()).env("TZ", "Asia/Shanghai");
        for (name, value) in [("XDG_STATE_HOME", "state"), ("XDG_CONFIG_HOME", "config"), ("XDG_DATA_HOME", "data"), ("HOME", ".")] {
            shell.env(name, folder.path().join(value));
        }
        // A new user has no server yet.
        shell.env_remove("MONITOR_SERVER_URL").env_remove("MONITOR_TOKEN").env_remove("MONITOR_AGENT_DATA");
        shell
    };
    let commands = typed(FIRST_TASK, "The first ten minutes");
    assert!(commands.len() >= 8, "{commands:?}");
    for (words, prints) in commands {
        if let Some(file) = words.strip_prefix("cat ") {
            let file = folder.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).expect("a folder");
            fs::write(file, prints).expect("the file");
        } else if let Some(words) = words.strip_suffix(" &") {
            let mut started = shell(&format!("exec {words}"));
            agent = Some(Workers(started.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts")));
        } else {
            wait_for(&words, || {
                let finished = run(shell(&words));
                let is_said = prints.is_empty() || without_numbers(&finished.stdout) == without_numbers(&prints);
                // Only commands that read are repeated, because they may run before the result exists.
                assert!(is_said || words.ends_with(" list"), "{words}: {}{}", finished.stdout, finished.stderr);
                (finished.code == Some(0) && is_said).then_some(())
            });
        }
    }
    assert!(agent.is_some(), "the page starts an agent");
}

#[test]
fn each_definition_of_the_pages_has_no_mistake() {
    let folder = tempfile::tempdir().expect("a folder");
    let indented = DEFINITIONS.split("```toml\n").skip(1).map(|rest| rest.split("```").next().expect("its end"));
    let definitions: Vec<String> = indented.map(str::to_owned).collect();
    assert!(definitions.len() >= 3, "{definitions:?}");
    for text in definitions {
        let has = |key: &str| text.lines().any(|line| line.trim_start().starts_with(key));
        let name = if has("name ") { "" } else { "name = \"gold\"\n" };
        let program = if has("command ") || has("shell ") { "" } else { "shell = \"true\"\n" };
        fs::write(folder.path().join("gold.toml"), [name, program, &text].concat()).expect("the file");
        // Tasks that the definition starts.
        for other in ["load", "clean-up"] {
            fs::write(folder.path().join(format!("{other}.toml")), format!("name = \"{other}\"\nshell = \"true\"\n")).expect("the file");
        }
        let mut check = command("monitor");
        check.args(["task", "check", "gold.toml", "load.toml", "clean-up.toml"]).current_dir(folder.path());
        let finished = run(check);
        assert_eq!(
            (finished.code, finished.stdout.as_str(), finished.stderr.as_str()),
            (Some(0), "no mistakes in 3 tasks\n", ""),
            "{text}"
        );
    }
}

#[test]
fn a_heartbeat_is_added_and_pinged_as_documented() {
    let server = Server::start();
    let (_, block) = include_str!("../../docs/guides/heartbeats.md").split_once("```sh\n").expect("commands");
    let (block, _) = block.split_once("```").expect("their end");
    let [add, ping] = block.lines().collect::<Vec<_>>()[..] else { panic!("two commands: {block}") };
    let done = |words: &str| {
        let mut line = shell(words);
        line.env("MONITOR_SERVER_URL", server.url()).env("MONITOR_TOKEN", server.token()).env("no_proxy", "*");
        let finished = run(line);
        assert_eq!(finished.code, Some(0), "{words}: {}{}", finished.stdout, finished.stderr);
        finished.stdout
    };
    let added = done(add);
    let (page, _) = ping.split_once("https://").expect("an address");
    assert_eq!(done(&format!("{page}{}", added.lines().next().expect("the address"))), "OK");
    let heartbeat = server.get("/heartbeats")["heartbeats"][0].clone();
    assert_eq!((&heartbeat["name"], &heartbeat["state"]), (&"nightly-backup".into(), &"up".into()), "{heartbeat}");
}
