//! The help of each command. The commands are those that the help itself lists.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use expect_test::expect_file;
use monitor_tests::{command, run};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/words/help");

/// Output of a program, independent of the terminal and the user.
fn printed(words: &[&str]) -> String {
    let mut program = command(words[0]);
    program.args(&words[1..]).env("COLUMNS", "100").env("HOME", "/home/ada");
    for name in ["XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"] {
        program.env_remove(name);
    }
    let finished = run(program);
    assert_eq!(finished.code, Some(0), "{words:?}: {}", finished.stderr);
    finished.stdout
}

/// Names below the heading `Commands:`, or `Methods:` of `monitor control`, of a help text.
fn below(help: &str) -> Vec<&str> {
    let lines = help.lines().skip_while(|line| !matches!(*line, "Commands:" | "Methods:")).skip(1).take_while(|line| !line.is_empty());
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").collect()
}

/// Appends the help of a command, and of all commands below it. Returns the number of commands.
fn append(text: &mut String, words: &[&str]) -> usize {
    let help = printed(&[words, &["--help"]].concat());
    let _ = writeln!(text, "$ {} --help\n{}\n", words.join(" "), help.trim_end());
    1 + below(&help).into_iter().map(|name| append(text, &[words, &[name]].concat())).sum::<usize>()
}

fn compare(file: &str, text: &str) {
    expect_file![Path::new(FOLDER).join(file)].assert_eq(&format!("{}\n", text.trim_end()));
}

#[test]
fn each_command_has_the_expected_help() {
    let all = printed(&["monitor", "help", "--all"]);
    compare("monitor.txt", &format!("$ monitor --help\n{}\n$ monitor help --all\n{all}", printed(&["monitor", "--help"])));
    let (mut count, mut files) = (1, BTreeSet::from(["monitor.txt".to_owned(), "cargo-monitor.txt".to_owned()]));
    for group in all.split("\n\n") {
        let (heading, commands) = group.split_once(":\n").expect("a heading");
        let file = format!("{}.txt", heading.to_lowercase().replace(' ', "-"));
        let mut text = String::new();
        for name in commands.lines().filter_map(|line| line.split_whitespace().next()) {
            count += append(&mut text, &["monitor", name]);
        }
        compare(&file, &text);
        files.insert(file);
    }
    // The manual is made from the parser itself. It has a page for each command that is not hidden, except `help`.
    let manual = tempfile::tempdir().expect("a folder");
    printed(&["monitor", "man", manual.path().to_str().expect("UTF-8")]);
    assert_eq!(count, 1 + fs::read_dir(manual.path()).expect("pages").count(), "the help lists each command");
    let kept: BTreeSet<_> =
        fs::read_dir(FOLDER).expect("files").map(|file| file.expect("a file").file_name().into_string().unwrap()).collect();
    assert_eq!(kept, files, "files of {FOLDER}");
}

#[test]
fn cargo_monitor_has_the_expected_help() {
    let mut text = String::new();
    let count = append(&mut text, &["cargo-monitor", "monitor"]);
    assert!(count > 6, "{text}");
    compare("cargo-monitor.txt", &text);
}
