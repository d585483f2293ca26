//! Selection of the woven functions, and the reasons why others are skipped.

use std::fs;

use monitor_tests::{Server, run, wait_for};
use serde_json::Value;

use crate::{Project, good};

#[test]
fn functions_that_cannot_be_woven_are_left_out() {
    let project = Project::new();
    let first = good(run(project.monitor("build -p shop", None)));
    assert!(first.stderr.contains("warning: `shop::short` is not monitored: too many words"), "{}", first.stderr);
    let listed = good(run(project.monitor("list --json", None)));
    let listed: Value = serde_json::from_str(&listed.stdout).expect("JSON");
    let of = |name: &str| listed["crates"].as_array().unwrap().iter().find(|of| of["crate"] == name).unwrap().clone();
    let functions = |name: &str| of(name)["functions"].as_array().unwrap().clone();
    let fixed = functions("shop_lib").into_iter().find(|function| function["path"] == "shop_lib::fixed").unwrap();
    assert_eq!((&fixed["woven"], fixed["skipped"].as_str()), (&Value::Bool(false), Some("a const fn may run in the compiler")));
    assert_eq!(functions("shop_lib").iter().filter(|function| function["woven"] == true).count(), 8);
    assert_eq!(of("mac")["skipped"], "a macro runs in the compiler");
    // The result is cached, so the compiler runs once.
    project.edit("bin/src/main.rs", "pow(1) + 1", "pow(1) + 2");
    project.edit("bin/src/main.rs", "pow(1) + 2", "pow(1) + 1");
    let again = good(run(project.monitor("build -p shop", None)));
    assert!(again.stderr.contains("`shop::short` is not monitored"), "{}", again.stderr);
}

#[test]
fn an_invalid_setting_is_reported_if_requested_and_the_default_is_used() {
    let (server, project) = (Server::start(), Project::new());
    let words = "MONITOR_FOLD_AFTER: \"never\" is not taken: expected a number from 1 on, or off";
    for (log, said) in [("stderr", 1), ("", 0)] {
        let mut exit = project.monitor("run -q -p shop -- exit", Some(&server));
        exit.env("MONITOR_FOLD_AFTER", "never").env("MONITOR_LOG", log);
        let finished = run(exit);
        assert_eq!(finished.code, Some(7));
        assert_eq!(finished.stderr.matches(words).count(), said, "{log}: {}", finished.stderr);
    }
    wait_for("both are recorded", || (server.roots().iter().filter(|root| root["name"] == "shop::main").count() == 2).then_some(()));
}

#[test]
fn a_file_of_settings_is_written_listed_and_checked() {
    let project = Project::new();
    good(run(project.monitor("init", None)));
    let text = fs::read_to_string(project.path("monitor.toml")).unwrap();
    for part in ["path = \"shop::main\"\nkind = \"root\"", "path = \"old::inner::**\"", "# shop_lib::Cart::add  lib/src/lib.rs:34"] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let listed = good(run(project.monitor("list", None))).stdout;
    assert!(listed.contains("  root          shop::main  bin/src/main.rs:4\n"), "{listed}");
    let again = run(project.monitor("init", None));
    assert!(again.code == Some(1) && again.stderr.contains("is there already; --force overwrites it"), "{}", again.stderr);

    for (text, place, words) in [
        ("[[function]]\npath = \"shop_lib::Crat::add\"\n", "monitor.toml:2:8: ", "much like it: shop_lib::Cart::add"),
        ("[[function]]\npath = \"shop::**\"\nkin = \"root\"\n", "monitor.toml:3:1: ", "kin"),
        ("[[function]]\npath = \"shop:**\"\n", "monitor.toml:2:8: ", "`**` stands alone"),
        ("[function]\n", "monitor.toml:1:1: ", "sequence"),
    ] {
        fs::write(project.path("monitor.toml"), text).unwrap();
        let listed = run(project.monitor("list", None));
        assert!(listed.code == Some(1) && listed.stderr.contains(place) && listed.stderr.contains(words), "{text}\n{}", listed.stderr);
    }
    for (line, words) in [
        ("--config nowhere.toml build", "nowhere.toml can't be read"),
        ("build --manifest-path nowhere/Cargo.toml", "nowhere/Cargo.toml"),
        ("biuld", "build"),
    ] {
        let finished = run(project.monitor(line, None));
        assert!(finished.code != Some(0) && finished.stderr.contains(words), "{line}\n{}", finished.stderr);
    }
}

#[test]
fn trivial_functions_are_left_out_unless_requested() {
    let project = Project::of(
        "choice",
        "",
        "struct Cart {\n    items: Vec<u8>,\n}\n\nimpl Cart {\n    fn new() -> Self {\n        Self { items: Vec::new() }\n    }\n\n    \
         fn len(&self) -> usize {\n        self.items.len()\n    }\n\n    fn sort(&mut self) {\n        self.items.sort();\n    }\n}\n\n\
         impl Drop for Cart {\n    fn drop(&mut self) {\n        self.sort();\n    }\n}\n\nfn main() {\n    \
         let cart = Cart::new();\n    println!(\"{}\", cart.len());\n}\n",
    );
    let woven = || {
        let listed = good(run(project.monitor("list --json", None)));
        let listed: Value = serde_json::from_str(&listed.stdout).expect("JSON");
        let functions = listed["crates"][0]["functions"].as_array().unwrap().clone();
        let is_woven = |function: &&Value| function["woven"] == true;
        functions.iter().filter(is_woven).map(|function| function["path"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(woven(), ["choice::Cart::sort", "choice::main"]);
    let listed = good(run(project.monitor("list", None))).stdout;
    for (why, function) in [
        ("it only reads, builds or assigns values; `include` brings it back", "choice::Cart::len  src/main.rs:10"),
        (
            "traits such as Clone, Debug, Default, Drop and From are left out; `include` brings them back",
            "choice::Cart::drop  src/main.rs:20",
        ),
    ] {
        let at = listed.find(&format!("  skipped: {why}\n")).unwrap_or_else(|| panic!("{why}\n{listed}"));
        assert!(listed[at..].contains(function), "{function}\n{listed}");
    }
    fs::write(project.path("monitor.toml"), "[[function]]\npath = \"choice::**\"\ninclude = [\"**::drop\"]\n").unwrap();
    assert_eq!(woven(), ["choice::Cart::sort", "choice::Cart::drop", "choice::main"]);
    // A function with an exact path is woven even if it is excluded by default.
    fs::write(project.path("monitor.toml"), "[[function]]\npath = \"choice::Cart::new\"\n").unwrap();
    assert_eq!(woven(), ["choice::Cart::new"]);
    good(run(project.monitor("build", None)));
}
