//! What scripts and Python programs tell of themselves, with no line of them changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::process::Command;

use serde_json::Value;

use crate::harness::{House, output, wait_for};

/// One line a process: depth, name, kind, and how it failed.
fn outline(tree: &[Value]) -> String {
    let mut text = String::new();
    for process in tree {
        let word = |key: &str| process[key].as_str().unwrap_or_default().to_owned();
        let error = process["error"]["message"].as_str().map(|error| format!(": {error}")).unwrap_or_default();
        let state = if word("state") == "succeeded" { String::new() } else { format!(" [{}]", word("state")) };
        let indent = "  ".repeat(process["depth"].as_u64().unwrap() as usize);
        writeln!(text, "{indent}{} ({}){state}{error}", word("name"), word("kind")).unwrap();
    }
    text
}

#[test]
fn the_commands_of_a_script_are_processes_of_their_own() {
    let house = House::new();
    let script = "#!/bin/bash\nset -eu\nx=$(echo inner)\nfor n in 1 2; do\n  echo $n $x\ndone\nfalse || true\nbash below.sh\necho \"last $_ $?\" >&2\nexit 4\n";
    std::fs::write(house.folder.path().join("script.sh"), script).unwrap();
    std::fs::write(house.folder.path().join("below.sh"), "true\n! sh -c 'exit 6'\n").unwrap();
    let plain = output(
        {
            let mut bash = Command::new("bash");
            bash.arg("script.sh").current_dir(house.folder.path());
            bash
        },
        b"",
    );
    let out = output(house.run(&["--inject", "shell"], &["bash", "script.sh"]), b"");
    assert_eq!(
        (&out.status.code(), &out.stdout, String::from_utf8_lossy(&out.stderr)),
        (&plain.status.code(), &plain.stdout, String::from_utf8_lossy(&plain.stderr))
    );
    let tree = house.tree();
    let expected = "\
bash (script) [failed]: exit code 4\nlast below.sh 0
  set -eu (script)
  x=$(echo inner) (script)
  for n in 1 2 (script)
  echo $n $x (script)
  for n in 1 2 (script)
  echo $n $x (script)
  false (script)
  true (script)
  bash below.sh (script)
    true (script)
    sh -c 'exit 6' (script)
  echo \"last $_ $?\" 1>&2 (script)
  exit 4 (script) [failed]: exit code 4
";
    let seen = outline(&tree);
    assert_eq!(seen, expected);
    let place = tree.iter().find(|process| process["name"] == "bash below.sh").unwrap()["fields"]["place"].clone();
    assert_eq!(place, "script.sh:8");
}

/// A pipeline's parts, heads of loops and what was said before have no exit codes of their own.
#[test]
fn a_step_has_no_exit_code_but_its_own() {
    let house = House::new();
    std::fs::write(house.folder.path().join("it.sh"), "false; echo one | cat | cat\nfalse; false\nfor n in 1; do :; done\n(exit 0)\n")
        .unwrap();
    let out = output(house.run(&["--inject", "shell"], &["bash", "it.sh"]), b"");
    assert_eq!(&*out.stdout, b"one\n");
    let expected = "\
bash (script)
  false (script) [failed]: exit code 1
  echo one (script)
  cat (script)
  cat (script)
  false (script) [failed]: exit code 1
  false (script) [failed]: exit code 1
  for n in 1 (script)
  : (script)
";
    assert_eq!(outline(&house.tree()), expected);
}

/// What a script only asks is no failure, whatever the answer.
#[test]
fn a_condition_that_is_not_met_is_no_failure() {
    let house = House::new();
    let script = "if grep -q x /dev/null; then :; fi\n[ a = b ]\n[[ a == b ]]\n((0))\nfalse || true\ntrue && false || echo no\n! true\n\
                  while grep -q y /dev/null; do :; done\ngrep -q z /dev/null\ntrue | false\necho last\n";
    std::fs::write(house.folder.path().join("it.sh"), script).unwrap();
    let out = output(house.run(&["--inject", "shell"], &["bash", "it.sh"]), b"");
    assert_eq!((out.status.code(), &*out.stdout), (Some(0), &b"no\nlast\n"[..]));
    let expected = "\
bash (script)
  grep -q x /dev/null (script)
  [ a = b ] (script)
  [[ a == b ]] (script)
  ((0)) (script)
  false (script)
  true (script)
  true (script)
  false (script)
  echo no (script)
  true (script)
  grep -q y /dev/null (script)
  grep -q z /dev/null (script) [failed]: exit code 1
  true (script)
  false (script) [failed]: exit code 1
  echo last (script)
";
    let tree = house.tree();
    assert_eq!(outline(&tree), expected);
    assert_eq!(tree[2]["exit_code"], 1, "what it answered is told");
    // A script with an ERR trap of its own keeps it, and what it says of conditions is lost.
    let house = House::new();
    std::fs::write(house.folder.path().join("it.sh"), "trap 'echo own' ERR\nfalse || true\nfalse\n[ a = b ]\ntrue\n").unwrap();
    let out = output(house.run(&["--inject", "shell"], &["bash", "it.sh"]), b"");
    assert_eq!(&*out.stdout, b"own\nown\n");
    assert_eq!(house.tree().iter().filter(|process| process["name"] == "[ a = b ]" && process["state"] == "failed").count(), 0);
}

#[test]
fn commands_of_an_exit_trap_have_their_own_names() {
    for (trap, end, names) in [
        ("echo bye $?; rm -f \"x y\"; echo 'a b'", "exit 3", &["exit 3", "echo bye $?", "rm -f \"x y\"", "echo 'a b'"][..]),
        ("echo one\necho two", "false", &["false", "echo one", "echo two"]),
        ("cleanup", "echo over", &["echo over", "cleanup"]),
        ("echo one && echo two", "echo over", &["echo over", "echo one && echo two", "echo one && echo two"]),
    ] {
        let house = House::new();
        let script = format!("set -f\ncleanup() {{ echo c; }}\ntrue\ntrap {} EXIT\n{end}\n", shell_word(trap));
        std::fs::write(house.folder.path().join("it.sh"), &script).unwrap();
        let plain = output(
            {
                let mut bash = Command::new("bash");
                bash.arg("it.sh").current_dir(house.folder.path());
                bash
            },
            b"",
        );
        let out = output(house.run(&["--inject", "shell"], &["bash", "it.sh"]), b"");
        assert_eq!((out.status.code(), &out.stdout, &out.stderr), (plain.status.code(), &plain.stdout, &plain.stderr), "{trap}");
        let tree = house.tree();
        let seen: Vec<_> = tree.iter().skip(4).map(|process| process["name"].as_str().unwrap()).collect();
        assert_eq!(seen, names, "{}", outline(&tree));
        let last = tree.last().unwrap();
        assert_eq!((&last["state"], &last["reason"]), (&"succeeded".into(), &"unknown".into()), "the script's code is none of its own");
        assert!(last["fields"]["place"].as_str().unwrap().ends_with("it.sh:EXIT"), "{last:#}");
    }
}

fn shell_word(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[test]
fn what_a_script_becomes_by_exec_is_its_last_command() {
    let house = House::new();
    std::fs::write(house.folder.path().join("it.sh"), "exec 3>&1 2> err\necho one >&3\nexec bash next.sh\n").unwrap();
    std::fs::write(house.folder.path().join("next.sh"), "echo two\nfalse\nexec sh -c 'exit 5'\n").unwrap();
    let out = output(house.run(&["--inject", "shell"], &["bash", "it.sh"]), b"");
    assert_eq!((out.status.code(), &*out.stdout), (Some(5), &b"one\ntwo\n"[..]));
    let expected = "\
bash (script) [failed]: exit code 5
  exec 3>&1 2> err (script)
  echo one 1>&3 (script)
  exec bash next.sh (script) [failed]: exit code 5
    echo two (script)
    false (script) [failed]: exit code 1
    exec sh -c 'exit 5' (script) [failed]: exit code 5
";
    assert_eq!(outline(&house.tree()), expected);
}

/// Beyond a hundred, commands that look alike are counted, with what they start; what is no script hangs below the script itself.
#[test]
fn loops_fold() {
    let house = House::new();
    let monitor = assert_cmd::cargo::cargo_bin!("monitor");
    let script = format!(
        "for n in {{1..400}}; do\n  : $n\n  [ $n = 350 ] && {} run --name afar -- true\n  bash below.sh\ndone\nfalse\n",
        monitor.display()
    );
    std::fs::write(house.folder.path().join("it.sh"), script).unwrap();
    std::fs::write(house.folder.path().join("below.sh"), "# $(touch harm)\ntrue 'x]$(touch harm)'\n").unwrap();
    output(house.run(&["--inject", "shell"], &["bash", "it.sh"]), b"");
    let tree = house.tree();
    let of = |name: &str| tree.iter().filter(|process| process["name"].as_str().unwrap().starts_with(name)).collect::<Vec<_>>();
    for name in [": $n", "[ $n = 350 ]", "bash below.sh"] {
        let found = of(name);
        let counted: u64 = found.iter().filter_map(|process| process["fold"]["count"].as_u64()).sum();
        let single = found.iter().filter(|process| process["fold"].is_null()).count() as u64;
        assert_eq!(counted + single, 400, "{name}");
        assert!((100..150).contains(&single), "{name}: {single} are told singly");
        assert!(found.iter().all(|process| process["state"] == "succeeded"));
    }
    // Slow ones are told singly, too, and so is what is below these.
    assert!(tree.len() < 900, "{}", tree.len());
    assert!(!house.folder.path().join("harm").exists(), "the text of a command is never run");
    let afar = of("afar");
    assert_eq!((afar.len(), afar[0]["orphan"].as_bool()), (1, Some(false)));
    assert_eq!((tree[tree.len() - 1]["name"].as_str(), tree[tree.len() - 1]["state"].as_str()), (Some("false"), Some("failed")));
}

/// Two scripts of one step: which of them ended how is not told, and each of their last commands has ended.
#[test]
fn the_last_command_of_each_script_ends_with_it() {
    let house = House::new();
    std::fs::write(house.folder.path().join("it.sh"), "sh -c 'bash a.sh; bash b.sh'\ntrue\n").unwrap();
    std::fs::write(house.folder.path().join("a.sh"), "echo a1\necho a2\n").unwrap();
    std::fs::write(house.folder.path().join("b.sh"), "echo b1\necho b2\n").unwrap();
    let out = output(house.run(&["--inject", "shell"], &["bash", "it.sh"]), b"");
    assert_eq!(&*out.stdout, b"a1\na2\nb1\nb2\n");
    let tree = house.tree();
    assert!(tree.len() == 7 && tree.iter().all(|process| process["state"] == "succeeded"), "{}", outline(&tree));
    let reason = |name: &str| tree.iter().find(|process| process["name"] == name).unwrap()["reason"].clone();
    assert_eq!((reason("echo a1"), reason("echo a2"), reason("echo b2")), (Value::Null, "unknown".into(), "unknown".into()));
}

/// The trap goes, and the script goes on as if it had never been there.
#[test]
fn a_script_of_very_many_commands_is_let_alone_at_last() {
    let house = House::new();
    let script = "for ((n = 0; n < 5100; n++)); do :; done; echo a b; echo $_; trap -p DEBUG; echo $MONITOR_PARENT_ID";
    std::fs::write(house.folder.path().join("it.sh"), script).unwrap();
    let out = output(house.run(&["--inject", "shell"], &["bash", "it.sh"]), b"");
    let process = house.tree()[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(String::from_utf8_lossy(&out.stdout), format!("a b\nb\n{process}\n"));
}

/// Traces, traps, a closed feed and its own settings: the script sees none of it.
#[test]
fn a_script_does_the_same_with_and_without() {
    let house = House::new();
    let scripts = [
        "set -x; echo a; IFS=:; y='b:c'; echo $y; set +x; echo $IFS",
        "trap 'echo bye $?' EXIT; trap 'echo err' ERR; false; echo $?",
        "RANDOM=42; echo $RANDOM $RANDOM; set -o pipefail; false | true; echo $?; echo $_",
        "trap 'echo own $BASH_COMMAND' DEBUG; true; echo x",
        "set -u; f() { echo in f $1; return 3; }; f 1 || echo $?; exec sh -c 'echo $0; exit 7'",
        "rm -f \"$MONITOR_FEED\"; echo gone; sleep 0.01; echo on",
        "set -u; unset MONITOR_FEED MONITOR_FEED_PID MONITOR_ROOT_ID; echo on; . './a\tb'; echo $?",
        "cat <<< here; read line < /etc/hostname; [[ -n $line ]] && echo read; wait; kill -TERM $$",
    ];
    for script in scripts {
        let path = house.folder.path().join("it.sh");
        std::fs::write(&path, script).unwrap();
        // With settings of its own, named as bash expands it.
        std::fs::write(house.folder.path().join("own.bash"), "echo own settings\n").unwrap();
        std::fs::write(house.folder.path().join("a\tb"), "echo sourced\n").unwrap();
        let plain = output(
            {
                let mut bash = Command::new("bash");
                bash.arg("it.sh").current_dir(house.folder.path()).env("BASH_ENV", "${NO_SUCH-.}/$(echo own).bash");
                bash
            },
            b"",
        );
        let mut run = house.run(&["--inject", "shell"], &["bash", "it.sh"]);
        run.env("BASH_ENV", "${NO_SUCH-.}/$(echo own).bash");
        let out = output(run, b"");
        let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let code = plain.status.code().unwrap_or(143);
        assert_eq!(
            (out.status.code(), shown(&out.stdout), shown(&out.stderr)),
            (Some(code), shown(&plain.stdout), shown(&plain.stderr)),
            "{script}"
        );
    }
}

const APP: &str = r#"
import asyncio, contextlib, threading, concurrent.futures, subprocess, sys

class Job:
    def __init__(self, n): self.n = n
    def run(self): return [step(self.n), self.twice(2), Job.make(3)]
    @staticmethod
    def twice(n): return n * 2
    @classmethod
    def make(cls, n): return cls(n).n

def step(n): return n + 1
def fails():
    try: raise KeyError("why\tnot")
    except KeyError as error: raise ValueError("bad\nthing") from error
async def fetch(n):
    await asyncio.sleep(0)
    return helper(n)
def helper(n): return n
async def given_up(): await asyncio.sleep(600)
def numbers(n):
    got = None
    for i in range(n): got = yield (i, got)
    return "done"
async def ticks(n):
    for i in range(n):
        yield i
def on_thread(): return helper(1)
def nightly(day, *, hour=3): return helper(day)
def from_afar(x, root_id=None, parent_id=None): return x
def hidden(): return 1
def starts(): return subprocess.run([sys.executable, "-c", "import os; print(os.environ['MONITOR_PARENT_ID'])"], stdout=subprocess.PIPE, universal_newlines=True).stdout.strip()
"#;

const MAIN: &str = r#"
import asyncio, inspect, sys, threading, concurrent.futures
import app
assert app.Job(1).run() == [2, 4, 3], "methods"
assert inspect.signature(app.nightly).parameters["hour"].default == 3 and app.step.__name__ == "step"
assert inspect.iscoroutinefunction(app.fetch) and inspect.isgeneratorfunction(app.numbers) and inspect.isasyncgenfunction(app.ticks)
try: app.fails()
except ValueError as error: assert isinstance(error.__cause__, KeyError)
async def main():
    assert await asyncio.gather(app.fetch(1), app.fetch(2)) == [1, 2]
    assert [i async for i in app.ticks(3)] == [0, 1, 2]
    task = asyncio.ensure_future(app.given_up())
    await asyncio.sleep(0.01)
    task.cancel()
    try: await task
    except asyncio.CancelledError: pass
asyncio.run(main())
g = app.numbers(3)
assert next(g) == (0, None) and g.send("x") == (1, "x")
g.close()
def all_of():
    result = yield from app.numbers(1)
    assert result == "done"
list(all_of())
thread = threading.Thread(target=app.on_thread); thread.start(); thread.join()
with concurrent.futures.ThreadPoolExecutor() as pool: assert pool.submit(app.on_thread).result() == 1
app.nightly(7)
root = "0199a3ce929d0e0e47360199a3ce929d"
app.from_afar(1, root_id=root, parent_id="a3ce929d0e0e4736")
app.hidden()
print(len(app.starts()), sys.modules.get("sitecustomize").__file__ if hasattr(sys.modules.get("sitecustomize"), "__file__") else "")
"#;

const CONFIG: &str = r#"
[[function]]
path = "app.nightly"
kind = "root"
name = "nightly build"
batch = "day"

[[function]]
path = "app.from_afar"
kind = "cross_process"

[[function]]
path = "app.on_thread"
kind = "cross_thread"

[[function]]
path = "app.**"
exclude = ["app.hidden", "app.Job.__init__"]
"#;

/// Every Python from 3.8 on that this machine has; the plain one at least.
fn pythons() -> Vec<String> {
    let mut found = vec!["python3".to_owned()];
    found.extend((8..=15).map(|minor| format!("python3.{minor}")));
    // Those of pyenv, too, whichever is chosen.
    let versions = std::env::home_dir().unwrap_or_default().join(".pyenv/versions");
    let versions = std::fs::read_dir(versions).into_iter().flatten().flatten();
    found.extend(versions.map(|version| version.path().join("bin/python3").to_string_lossy().into_owned()));
    let runs = |python: &String| {
        Command::new(python).args(["-c", "import sys; sys.exit(sys.version_info < (3, 8))"]).output().is_ok_and(|out| out.status.success())
    };
    found.retain(runs);
    assert!(!found.is_empty(), "there is no Python");
    found
}

#[test]
fn python_functions_are_processes_as_configured() {
    for python in pythons() {
        let house = House::new();
        for (name, text) in [("app.py", APP), ("main.py", MAIN), ("monitor-python.toml", CONFIG)] {
            std::fs::write(house.folder.path().join(name), text).unwrap();
        }
        let out = output(house.run(&["--inject", "python"], &[&python, "main.py"]), b"");
        assert!(out.status.success(), "{python}: {}", String::from_utf8_lossy(&out.stderr));
        assert!(out.stdout.starts_with(b"16 "), "{python}: a program that it starts knows whose child it is");
        // One of them hangs below a process of another tree.
        let trees = wait_for("all of it", || {
            let trees = house.trees();
            let is_over = |process: &Value| process["state"] != "running";
            trees.iter().any(|tree| tree[0]["kind"] == "script" && tree.iter().all(is_over)).then_some(trees)
        });
        let afar = trees.iter().flatten().find(|process| process["name"] == "app.from_afar").expect("the tree it was called from");
        assert_eq!(
            (&afar["root_id"], &afar["parent_id"], &afar["kind"]),
            (&"0199a3ce929d0e0e47360199a3ce929d".into(), &"a3ce929d0e0e4736".into(), &"cross_process".into())
        );
        let tree = trees.iter().find(|tree| tree[0]["kind"] == "script").unwrap();
        let mut count = BTreeMap::new();
        let ids: BTreeMap<_, _> = tree.iter().map(|process| (process["id"].as_str().unwrap(), process["name"].as_str().unwrap())).collect();
        for process in &tree[1..] {
            let above = ids[process["parent_id"].as_str().unwrap()];
            let above = if above.starts_with("python") { "main" } else { above };
            let line = format!(
                "{above} > {} ({}, {})",
                process["name"].as_str().unwrap(),
                process["kind"].as_str().unwrap(),
                process["state"].as_str().unwrap()
            );
            *count.entry(line).or_insert(0) += 1;
        }
        let found: BTreeSet<String> = count.iter().map(|(line, count)| format!("{count} {line}")).collect();
        let expected = "\
2 app.fetch > app.helper (normal, succeeded)
2 app.on_thread > app.helper (normal, succeeded)
1 app.Job.run > app.Job.make (normal, succeeded)
1 app.Job.run > app.Job.twice (normal, succeeded)
1 app.Job.run > app.step (normal, succeeded)
1 main > app.Job.run (normal, succeeded)
1 main > app.fails (normal, failed)
2 main > app.fetch (normal, succeeded)
1 main > app.given_up (normal, cancelled)
1 main > app.numbers (normal, cancelled)
1 main > app.numbers (normal, succeeded)
2 main > app.on_thread (cross_thread, succeeded)
1 main > app.starts (normal, succeeded)
1 main > app.ticks (normal, succeeded)
1 main > nightly build (root, succeeded)
1 nightly build > app.helper (normal, succeeded)
";
        assert_eq!(found, expected.lines().map(str::to_owned).collect(), "{python}");
        let failed = tree.iter().find(|process| process["state"] == "failed").unwrap();
        assert_eq!(failed["error"]["message"], "builtins.ValueError: bad\nthing");
        assert!(failed["fields"]["place"].as_str().unwrap().contains("app.py:"), "{failed}");
    }
}

const DEEP: &str = r#"
import sys, threading
assert sys.getrecursionlimit() == 1000
def down(n): return 0 if n == 0 else 1 + down(n - 1)
LIMIT = 950
def leaf(n): return n
def endless(n): return endless(n + 1)
class Job:
    def run(self): return down(900), down(LIMIT)
def numbers(n):
    if n: yield from numbers(n - 1)
    yield n
def main():
    assert Job().run() == (900, 950), "deep"
    assert sum(numbers(200)) == 20100
    for _ in range(3):
        try: endless(0)
        except RecursionError: pass
        else: assert False
    sys.setrecursionlimit(3000)
    assert sys.getrecursionlimit() == 3000 and down(2900) == 2900
    result = []
    thread = threading.Thread(target=lambda: result.append(down(2900))); thread.start(); thread.join()
    assert result == [2900]
    assert sum(leaf(n) for n in range(50000)) == 1249975000
if __name__ == "__main__":
    main()
    print("done")
"#;

/// The main script's functions are there, none of our frames counts, and many calls are few rows.
#[test]
fn python_calls_may_be_deep_and_many_and_in_the_main_script() {
    for python in pythons() {
        let house = House::new();
        std::fs::write(house.folder.path().join("deep.py"), DEEP).unwrap();
        std::fs::write(house.folder.path().join("monitor-python.toml"), "[[function]]\npath = \"deep.**\"\n").unwrap();
        let out = output(house.run(&["--inject", "python"], &[&python, "deep.py"]), b"");
        assert_eq!((&*String::from_utf8_lossy(&out.stdout), &*String::from_utf8_lossy(&out.stderr)), ("done\n", ""), "{python}");
        let tree = house.tree();
        let count = |name: &str| {
            tree.iter().filter(|process| process["name"] == name).map(|process| process["fold"]["count"].as_u64().unwrap_or(1)).sum::<u64>()
        };
        let lost = tree[0]["fields"]["injected_lost"].as_u64().unwrap_or(0);
        assert_eq!((count("deep.main"), count("deep.Job.run")), (1, 1), "{python}");
        assert!(count("deep.leaf") <= 50_000 && count("deep.leaf") + lost >= 50_000, "{python}: {} and {lost} lost", count("deep.leaf"));
        let leaves = tree.iter().filter(|process| process["name"] == "deep.leaf").count();
        assert!(leaves < 1_000, "{python}: {leaves} rows");
        assert!(count("deep.down") + lost >= 901 + 951 + 2 * 2_901, "{python}: {}", count("deep.down"));
    }
}

#[test]
fn nothing_that_matches_gets_a_word() {
    let house = House::new();
    std::fs::write(house.folder.path().join("app.py"), APP).unwrap();
    std::fs::write(house.folder.path().join("monitor-python.toml"), "[[function]]\npath = \"ap.**\"\n").unwrap();
    for (command, says) in [
        (&["python3", "-c", "import app; app.step(1)"][..], "monitor run: nothing was heard of a function that monitor-python.toml names"),
        (&["python3", "-I", "-c", "print"], "monitor run: no Python was seen"),
        (&["true"], "monitor run: no Python was seen"),
    ] {
        let out = output(house.run(&["--inject", "python"], command), b"");
        let stderr = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success() && stderr.starts_with(says) && stderr.lines().count() == 1, "{command:?}: {stderr}");
    }
    wait_for("all of them", || {
        let trees = house.trees();
        (trees.len() == 3 && trees.iter().all(|tree| tree[0]["fields"]["injected_nothing"].is_string())).then_some(())
    });
}

#[test]
fn a_hook_that_fails_harms_no_program() {
    let house = House::new();
    for (name, text) in [("app.py", APP), ("monitor-python.toml", CONFIG), ("sitecustomize.py", "print('own sitecustomize')\n")] {
        std::fs::write(house.folder.path().join(name), text).unwrap();
    }
    let program = "import os, sys; [os.remove(os.environ['MONITOR_FEED']) for _ in sys.argv[1:]]; import app; print(app.Job(1).run())";
    for (set, argument) in [
        ("", ""),
        ("", "and the feed goes away"),
        ("MONITOR_PYTHON_CONFIG=/no/such/file", ""),
        ("MONITOR_FEED=/dev/null", ""),
        ("MONITOR_PARENT_ID=odd", ""),
    ] {
        let mut run = house.run(&["--inject", "python", "--inject-config", "monitor-python.toml"], &["env", "PYTHONPATH_KEEP=1"]);
        run.args(set.split_whitespace())
            .args(["python3", "-c", program])
            .args(Some(argument).filter(|it| !it.is_empty()))
            .env("PYTHONPATH", house.folder.path());
        let out = output(run, b"");
        assert_eq!(
            String::from_utf8_lossy(&out.stdout),
            "own sitecustomize\n[2, 4, 3]\n",
            "{set} {argument}: {}",
            String::from_utf8_lossy(&out.stderr)
        );
    }
    let out = output(house.run(&["--inject", "python", "--inject-config", "none.toml"], &["true"]), b"");
    let stderr = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.code() == Some(125) && stderr.contains("none.toml") && stderr.contains("--inject-config"), "{stderr}");
    std::fs::write(house.folder.path().join("broken.toml"), "[[function]]\npath = 3\n").unwrap();
    let out = output(house.run(&["--inject", "python", "--inject-config", "broken.toml"], &["true"]), b"");
    let stderr = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.code() == Some(125) && stderr.contains("line 2, column 8"), "{stderr}");
}

/// `python -m` asks whoever loads a module for its code, and a daemon closes files that it has not opened.
#[test]
fn packages_run_as_programs_and_daemons_keep_their_files() {
    let house = House::new();
    let package = house.folder.path().join("tool");
    std::fs::create_dir(&package).unwrap();
    let main = "import os\nfrom tool.work import work\nos.closerange(3, 100)\nfiles = [open('own%d' % n, 'w') for n in range(20)]\n\
        print(work(2))\nfor file in files: file.write('mine\\n'); file.close()\n";
    for (name, text) in [("__init__.py", "def top(): return 1\n"), ("__main__.py", main), ("work.py", "def work(n): return n + 1\n")] {
        std::fs::write(package.join(name), text).unwrap();
    }
    std::fs::write(house.folder.path().join("monitor-python.toml"), "[[function]]\npath = \"tool.**\"\n").unwrap();
    for python in pythons() {
        let out = output(house.run(&["--inject", "python"], &[&python, "-m", "tool"]), b"");
        assert_eq!(&*String::from_utf8_lossy(&out.stdout), "3\n", "{python}");
        // It closes the way by which it would be heard.
        assert!(out.stderr.starts_with(b"monitor run: nothing was heard of a function"), "{}", String::from_utf8_lossy(&out.stderr));
        for number in 0..20 {
            assert_eq!(std::fs::read_to_string(house.folder.path().join(format!("own{number}"))).unwrap(), "mine\n");
        }
    }
    // A launcher within a launcher: each call is one process.
    let house = House::new();
    std::fs::write(house.folder.path().join("app.py"), "def step(n): return n\n").unwrap();
    std::fs::write(house.folder.path().join("monitor-python.toml"), "[[function]]\npath = \"app.*\"\n").unwrap();
    let monitor = assert_cmd::cargo::cargo_bin!("monitor");
    let inner = ["run", "--inject", "python", "--", "python3", "-c", "import app; print(app.step(4))"];
    let outer = [&[monitor.to_str().unwrap()][..], &inner].concat();
    assert_eq!(&*output(house.run(&["--inject", "python"], &outer), b"").stdout, b"4\n");
    assert_eq!(house.tree().iter().filter(|process| process["name"] == "app.step").count(), 1);
}
