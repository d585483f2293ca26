//! The examples of docs/api.md, as a user copies them: in the shell and in Python, against a real server and the example `workers`.
#![cfg(target_os = "linux")]

use std::fs;
use std::process::{Child, Command, Stdio};

use monitor_tests::{Server, command, example, run, wait_for};

const PAGE: &str = include_str!("../docs/api.md");
/// Written after each step of the page: no example prints it.
const END_OF_STEP: char = '\u{1e}';

/// Code blocks up to one that says what they print.
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

/// Ends with its test.
struct Workers(Child);

impl Drop for Workers {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The example `workers`, once all that the page asks for has happened.
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

/// Runs a script of the page, and returns what each of its steps printed.
fn printed(server: &Server, script: &str) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let script = script.replace("http://127.0.0.1:60010", server.url());
    fs::write(folder.path().join("page.sh"), script).expect("the script");
    let monitor = command("monitor");
    let programs = std::path::Path::new(monitor.get_program()).parent().expect("a folder of programs").to_owned();
    let path = std::env::join_paths([programs].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").expect("PATH"))));
    let mut shell = Command::new("sh");
    shell.arg("-eu").arg("page.sh").current_dir(folder.path()).env("PATH", path.expect("folders"));
    shell.env("MONITOR_DATA", server.data()).env("no_proxy", "*").env("PYTHONIOENCODING", "utf-8");
    let finished = run(shell);
    assert_eq!(finished.code, Some(0), "{}{}", finished.stdout, finished.stderr);
    finished.stdout.split_terminator(&format!("{END_OF_STEP}\n")).map(str::to_owned).collect()
}

/// Returns true if the text is as the words say, in which `…` stands for anything.
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
        let mut lines = printed.lines();
        for line in step.prints.lines() {
            assert!(lines.any(|printed| is_like(printed.trim_end(), line)), "{line:?} isn't printed, or not in its place:\n{printed}");
        }
    }
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
    // Address and token come from the page's own words for the shell.
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
