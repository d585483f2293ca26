//! Brief calls, which are counted.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use monitor_tests::{Server, outline, run, wait_for};
use serde_json::Value;

use crate::{LastNumber, Project, good};

/// Brief calls, a failed call and a long call. The test checks what remains of them after a kill.
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
        // The default setting is lower. The busy machine of the tests needs this value.
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

/// A parser whose calls mostly fail, as usual for parsers.
const FAILING_CALLS: &str = "
fn main() {
    let words = [\"12\", \"x\", \"7 m\", \"\"];
    let known = (0..8_000).filter(|n| value(words[n % 4], *n).is_ok()).count();
    println!(\"{known}\");
}

fn value(word: &str, at: usize) -> Result<u32, String> {
    for _ in 0..2 {
        if let Ok(number) = number(word, at) {
            return Ok(number);
        }
    }
    unit(word)
}

fn number(word: &str, at: usize) -> Result<u32, String> {
    if word.is_empty() {
        return Err(format!(\"nothing at {at}\"));
    }
    word.parse().map_err(|_| format!(\"'{word}' at {at} is no number\"))
}

fn unit(word: &str) -> Result<u32, String> {
    for part in word.split(' ') {
        if part == \"m\" {
            return Ok(1);
        }
    }
    Err(\"a unit is missing\".to_owned())
}
";

/// Twenty functions that call each other in every order, three levels deep, like a parser.
fn calls_along_many_paths() -> String {
    let names: Vec<String> = (0..20).map(|number| format!("step{number}")).collect();
    let step = |name: &String| {
        format!(
            "fn {name}(rest: &[usize]) {{
    let begun = std::time::Instant::now();
    while begun.elapsed() < std::time::Duration::from_micros(2) {{}}
    if let [next, rest @ ..] = rest {{
        STEPS[*next](rest);
    }}
}}
"
        )
    };
    let steps: String = names.iter().map(step).collect();
    format!(
        "const STEPS: [fn(&[usize]); 20] = [{}];
{steps}
fn main() {{
    all_orders();
    println!(\"done\");
}}

fn all_orders() {{
    for order in 0..8_000 {{
        STEPS[order / 400](&[order / 20 % 20, order % 20]);
    }}
}}
",
        names.join(", ")
    )
}

#[test]
fn calls_along_many_paths_have_a_limited_number_of_rows() {
    let (server, project) = (Server::start(), Project::of("many-paths", "", &calls_along_many_paths()));
    let mut command = project.monitor("run -q", Some(&server));
    // So low that no call is brief.
    command.env("MONITOR_FOLD_BELOW", "1us");
    assert_eq!(good(run(command)).stdout, "done\n");
    let processes = server.tree(&server.finished_root());
    let steps = processes.iter().filter(|process| process["name"].as_str().is_some_and(|name| name.starts_with("many_paths::step")));
    let calls: u64 = steps.map(|process| process["fold"]["count"].as_u64().unwrap_or(1)).sum();
    assert_eq!(calls, 24_000);
    // Five hundred calls and the slow calls. There are more than 8,000 paths.
    assert!(processes.len() < 3_000 && processes.iter().all(|process| process["orphan"] == false), "{} rows", processes.len());
}

#[test]
fn failed_calls_are_counted_and_their_texts_are_found() {
    let (server, project) = (Server::start(), Project::of("failing-calls", "", FAILING_CALLS));
    let mut command = project.monitor("run -q", Some(&server));
    command.env("MONITOR_FOLD_BELOW", "10ms");
    assert_eq!(good(run(command)).stdout, "4000\n");
    let root = server.finished_root();
    let processes = server.tree(&root);
    let text = outline(&processes);
    assert!(processes.len() < 300, "{} rows: {text}", processes.len());
    // Counted and failed calls of a name, in folds and in separate rows.
    let calls = |name: &str| {
        let own = processes.iter().filter(|process| process["name"] == format!("failing_calls::{name}"));
        let counts = own.map(|process| match process["fold"].as_object() {
            Some(fold) => (fold["count"].as_u64().unwrap(), fold["failed"].as_u64().unwrap()),
            None => (1, u64::from(process["state"] == "failed")),
        });
        counts.fold((0, 0), |(all, failed), (count, of_them)| (all + count, failed + of_them))
    };
    assert_eq!(["value", "number", "unit"].map(calls), [(8_000, 4_000), (14_000, 12_000), (6_000, 4_000)], "{text}");
    for searched in ["is no number", "nothing at", "a unit is missing"] {
        let found = server.get(&format!("/processes?root={}&limit=1000&q={}", root["number"], searched.replace(' ', "%20")));
        let is_fold = |process: &Value| process["fold"]["errors"].as_array().is_some_and(|errors| !errors.is_empty());
        assert!(found["processes"].as_array().unwrap().iter().any(is_fold), "{searched}: {found}");
    }
}

/// Prints its setting, and makes a few long calls and many brief calls.
const TOLD: &str = "
fn main() {
    println!(\"{}\", std::env::var(\"MONITOR_FOLD_BELOW\").unwrap());
    for _ in 0..5 {
        slow();
    }
    for n in 0..50 {
        quick(n);
    }
}

fn slow() {
    let pause = std::time::Duration::from_millis(2);
    std::thread::sleep(pause);
}

fn quick(n: u32) -> u32 {
    let mut sum = n;
    for k in 0..n {
        sum = sum.wrapping_mul(31).wrapping_add(k);
    }
    sum
}
";

#[test]
fn fold_below_is_100_us_unless_the_file_or_the_environment_sets_it() {
    let project = Project::of("told", "", TOLD);
    for (line, variable, told) in [
        (None, None, "100us"),
        (Some("fold-below = \"250us\"\n"), None, "250us"),
        (Some("fold-below = \"off\"\n"), None, "off"),
        (Some("fold-below = \"off\"\n"), Some("300us"), "300us"),
    ] {
        let server = Server::start();
        if let Some(line) = line {
            fs::write(project.path("monitor.toml"), format!("{line}[[function]]\npath = \"told::**\"\n")).unwrap();
        }
        let mut woven = project.monitor("run -q", Some(&server));
        woven.env_remove("MONITOR_FOLD_BELOW").envs(variable.map(|below| ("MONITOR_FOLD_BELOW", below)));
        assert_eq!(good(run(woven)).stdout, format!("{told}\n"));
        let is_over = |root: &Value| root["name"] == "told::main" && root["state"] != "running";
        let root = wait_for("its end", || server.roots().into_iter().find(is_over));
        wait_for("nothing is left in the spool", || fs::read_dir(server.spool()).unwrap().next().is_none().then_some(()));
        let processes = server.tree(&root);
        let rows = |name: &str| {
            let own: Vec<_> = processes.iter().filter(|process| process["name"] == name).collect();
            let counted: u64 = own.iter().filter_map(|process| process["fold"]["count"].as_u64()).sum();
            (own.iter().filter(|process| process["fold"].is_null()).count() as u64, counted)
        };
        assert_eq!(rows("told::slow"), (5, 0), "{told}: {}", outline(&processes));
        let (singly, counted) = rows("told::quick");
        assert_eq!(singly + counted, 50, "{told}: {}", outline(&processes));
        // Even on a busy machine, only the first calls of each path have rows because of their duration.
        assert!(if told == "off" { counted == 0 } else { counted >= 20 }, "{told}: {}", outline(&processes));
    }
}
