//! Tests the recording of unmodified Python programs.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::harness::{House, output, wait_for};

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
    // Including the versions of pyenv that are not selected.
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

/// The oldest and the newest of them, which are watched in different ways.
fn oldest_and_newest() -> Vec<String> {
    let minor = |python: &String| {
        let out = Command::new(python).args(["-c", "import sys; print(sys.version_info[1])"]).output().unwrap();
        String::from_utf8(out.stdout).unwrap().trim().parse::<u32>().unwrap()
    };
    let mut found = pythons();
    found.sort_by_cached_key(minor);
    found.dedup_by_key(|python| minor(python));
    let newest = found.pop();
    found.truncate(1);
    found.extend(newest);
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
LIMIT = 900
def endless(n): return endless(n + 1)
class Job:
    def run(self): return down(LIMIT)
def numbers(n):
    if n: yield from numbers(n - 1)
    yield n
def main():
    assert Job().run() == 900, "deep"
    assert sum(numbers(200)) == 20100
    for _ in range(2):
        try: endless(0)
        except RecursionError: pass
        else: assert False
    sys.setrecursionlimit(3000)
    assert sys.getrecursionlimit() == 3000 and down(2900) == 2900
    result = []
    thread = threading.Thread(target=lambda: result.append(down(2900))); thread.start(); thread.join()
    assert result == [2900]
if __name__ == "__main__":
    main()
    print("done")
"#;

/// Returns the number of calls with this name in a tree, including those in folds.
fn calls_of(tree: &[Value], name: &str) -> u64 {
    tree.iter().filter(|process| process["name"] == name).map(|process| process["fold"]["count"].as_u64().unwrap_or(1)).sum()
}

/// Returns the number of events that were dropped and counted, which happens on busy machines.
fn missing_in(house: &House, tree: &[Value]) -> u64 {
    let page = house.get("/roots/1/tree?limit=1");
    let dropped: u64 = page["dropped"].as_array().into_iter().flatten().filter_map(|dropped| dropped["count"].as_u64()).sum();
    dropped + tree[0]["fields"]["injected_lost"].as_u64().unwrap_or(0)
}

/// The main script's functions are recorded, and none of our own frames.
#[test]
fn python_calls_may_be_deep_and_in_the_main_script() {
    for python in oldest_and_newest() {
        let house = House::new();
        std::fs::write(house.folder.path().join("deep.py"), DEEP).unwrap();
        std::fs::write(house.folder.path().join("monitor-python.toml"), "[[function]]\npath = \"deep.**\"\n").unwrap();
        let out = output(house.run(&["--inject", "python"], &[&python, "deep.py"]), b"");
        assert_eq!((&*String::from_utf8_lossy(&out.stdout), &*String::from_utf8_lossy(&out.stderr)), ("done\n", ""), "{python}");
        let tree = house.tree();
        assert_eq!((calls_of(&tree, "deep.main"), calls_of(&tree, "deep.Job.run")), (1, 1), "{python}");
        // On a busy machine, drops are reported later.
        wait_for("all that is deep", || {
            let tree = house.tree();
            (calls_of(&tree, "deep.down") + missing_in(&house, &tree) >= 901 + 2 * 2_901).then_some(())
        });
    }
}

/// The script waits for the launcher at intervals, so that no event is lost on a busy machine.
const MANY: &str = r#"
import fcntl, os, struct, termios, time
feed = os.open(os.environ["MONITOR_FEED"], os.O_RDWR | os.O_NONBLOCK)
def leaf(n):
    if n % 100 == 0:
        while struct.unpack("i", fcntl.ioctl(feed, termios.FIONREAD, bytes(4)))[0]: time.sleep(0.001)
    return n
def main():
    assert sum(leaf(n) for n in range(50000)) == 1249975000
main()
"#;

/// Many calls are few rows.
#[test]
fn python_calls_fold() {
    for python in oldest_and_newest() {
        let house = House::new();
        std::fs::write(house.folder.path().join("many.py"), MANY).unwrap();
        std::fs::write(house.folder.path().join("monitor-python.toml"), "[[function]]\npath = \"many.**\"\n").unwrap();
        let out = output(house.run(&["--inject", "python"], &[&python, "many.py"]), b"");
        assert!(out.status.success(), "{python}: {}", String::from_utf8_lossy(&out.stderr));
        let tree = house.tree();
        let (calls, missing) = (calls_of(&tree, "many.leaf"), missing_in(&house, &tree));
        assert!(calls > 100 && calls <= 50_000 && calls + missing >= 50_000, "{python}: {calls} and {missing} that are missing");
        // At most a hundred rows per name, including slow calls and the calls recorded last.
        assert!(tree.len() < 500, "{python}: {} rows", tree.len());
    }
}

#[test]
fn a_configuration_without_matches_causes_a_warning() {
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

/// `python -m` requests the code from a module's loader, and daemons close descriptors that they have not opened.
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
        // The program closes the descriptor through which its calls are reported.
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
