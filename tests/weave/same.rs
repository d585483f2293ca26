//! A woven project behaves like the plain project, and has a tree.

use std::fs;
use std::process::Command;

use expect_test::expect;
use monitor_tests::{Finished, Server, run, wait_for};
use serde_json::Value;

use crate::{Project, good, lines, tree};

#[test]
fn a_woven_project_runs_unchanged_and_is_recorded_as_a_tree() {
    let (server, project) = (Server::start(), Project::new());
    let plain = good(run(project.cargo("run --locked -p shop")));
    let before = project.files();
    let woven = good(run(project.monitor("run -p shop", Some(&server))));
    assert_eq!(woven.stdout, plain.stdout);
    expect![[r#"
        shop::main
          shop_lib::Cart::add
          shop_lib::add
          shop_lib::Cart::price
          old::greet
            old::inner::make
          shop::block_on
            shop_lib::fetch [failed]: nothing to fetch
          shop::block_on
            shop_lib::fetch
          shop_lib::add
    "#]]
    .assert_eq(&tree(&server, "shop::main"));
    assert!(project.files() == before, "sources and lock file are untouched");

    // The build with `cargo monitor` leaves the results of plain cargo valid.
    let plain = good(run(project.cargo("build --locked -p shop")));
    assert_eq!(lines(&plain.stderr, &["Compiling"]), Vec::<String>::new());
    let again = good(run(project.monitor("build -p shop", None)));
    assert_eq!(lines(&again.stderr, &["Compiling"]), Vec::<String>::new());
    project.edit("old/src/inner.rs", "unused = 1", "unused = 2");
    let again = good(run(project.monitor("build -p shop", None)));
    let compiled: Vec<String> =
        lines(&again.stderr, &["Compiling"]).iter().map(|line| line.split(' ').nth(1).unwrap().to_owned()).collect();
    assert_eq!(compiled, ["old", "shop"], "{}", again.stderr);

    // Removing a table from the file affects only the crates that it names.
    fs::write(
        project.path("monitor.toml"),
        "[[function]]\npath = \"old::greet\"\n[[function]]\npath = \"shop::**\"\n[[function]]\npath = \"shop_lib::**\"\n",
    )
    .unwrap();
    let again = good(run(project.monitor("build -p shop", None)));
    assert_eq!(lines(&again.stderr, &["Compiling old"]).len(), 1, "{}", again.stderr);
    fs::write(
        project.path("monitor.toml"),
        "[[function]]\npath = \"old::**\"\n[[function]]\npath = \"shop::**\"\n[[function]]\npath = \"shop_lib::**\"\n",
    )
    .unwrap();
    let again = good(run(project.monitor("build -p shop", None)));
    assert!(lines(&again.stderr, &["Compiling shop-lib"]).is_empty() && again.stderr.contains("Compiling old"), "{}", again.stderr);
}

#[test]
fn tests_and_doctests_have_the_same_results() {
    let (server, project) = (Server::start(), Project::new());
    let results = |finished: Finished| {
        let mut results = lines(&good(finished).stdout, &["test ", "running "]);
        for line in &mut results {
            line.truncate(line.find(" finished in").unwrap_or(line.len()));
        }
        results.sort();
        results
    };
    let plain = results(run(project.cargo("test --workspace --features shop-lib/extra")));
    assert!(plain.iter().any(|line| line.contains("lib.rs - add")), "{plain:?}");
    assert_eq!(results(run(project.monitor("test --all --workspace --features shop-lib/extra", Some(&server)))), plain);
    // A tree for each test program. Below it is each test with its name, and below the test the program that it started.
    let started = wait_for("the program below its test", || Some(tree(&server, "tests of it")).filter(|tree| tree.contains("shop::main")));
    assert!(started.starts_with("tests of it\n  it_runs\n    shop::main\n      shop_lib::Cart::add\n"), "{started}");
    assert!(started.contains("shop_lib::fetch"), "{started}");
    let (mut lines, mut tests) = (Vec::new(), Vec::new());
    wait_for("each test of the library", || {
        lines = tree(&server, "tests of shop_lib").lines().map(str::to_owned).collect();
        lines.sort();
        tests = lines.iter().filter(|line| !line.starts_with("    ")).map(|line| line.split(':').take(3).collect::<String>()).collect();
        (tests.len() >= 4).then_some(())
    });
    assert_eq!(tests, ["  testsadds", "  testsby_a_macro", "  testspanics [failed]", "tests of shop_lib"], "{lines:?}");
    let mut roots = Vec::new();
    wait_for("a tree for each program", || {
        roots = server.roots().iter().map(|root| root["name"].as_str().unwrap_or_default().to_owned()).collect();
        roots.sort();
        (roots.len() >= 3).then_some(())
    });
    assert_eq!(roots, ["tests of documentation", "tests of it", "tests of shop_lib"]);
}

#[test]
fn messages_of_the_compiler_and_of_panics_are_the_same() {
    let project = Project::new();
    let said = |finished: &Finished| {
        let all = finished.stderr.lines().skip_while(|line| !line.starts_with("warning:") && !line.starts_with("error"));
        let ours = |line: &&str| {
            !["Compiling", "Checking", "Finished", "Running", "cargo monitor:", "Blocking"].iter().any(|word| line.contains(word))
        };
        all.filter(ours).map(str::to_owned).collect::<Vec<_>>()
    };
    // Compiler warnings.
    let (plain, woven) = (run(project.cargo("build -p old")), run(project.monitor("build -p old", None)));
    assert!(said(&plain).iter().any(|line| line.contains("old/src/inner.rs:4:9")), "{}", plain.stderr);
    assert_eq!(said(&good(woven)), said(&plain));

    // The location of a panic, in its message and in the backtrace.
    let places = |mut command: Command| {
        let finished = run({
            command.env("RUST_BACKTRACE", "1").env("MONITOR_ENABLED", "0");
            command
        });
        assert_eq!(finished.code, Some(101), "{}", finished.stderr);
        // Without the thread id.
        let at = lines(&finished.stderr, &["panicked at", "bin/src/main.rs:", "stock.rs:"]);
        at.into_iter().map(|line| line.rsplit(' ').next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    let plain = places(project.cargo("run -q -p shop -- panic"));
    let woven = places(project.monitor("run -q -p shop -- panic", None));
    let own = ["lib/src/elsewhere/stock.rs:4:5:", "./lib/src/elsewhere/stock.rs:4:5", "./bin/src/main.rs:11:13"];
    assert!(own.iter().all(|place| plain.iter().any(|found| found == place)), "{plain:?}");
    assert!(own.iter().all(|place| woven.iter().any(|found| found == place)), "{woven:?}");

    // Errors in the user's code.
    project.edit("lib/src/lib.rs", "self.items.iter()", "self.item.iter()");
    project.edit("lib/src/lib.rs", "mac::twice!(a) - a + b", "mac::twice!(a) - a + \"b\"");
    let (plain, woven) = (run(project.cargo("build -p shop-lib")), run(project.monitor("build -p shop-lib", None)));
    assert_eq!((plain.code, woven.code), (Some(101), Some(101)));
    assert_eq!(said(&woven), said(&plain));
    assert!(woven.stderr.contains("lib/src/lib.rs:13:24") || woven.stderr.contains("lib/src/lib.rs:13:"), "{}", woven.stderr);
}

#[test]
fn every_kind_of_build_does_the_same() {
    let (server, project) = (Server::start(), Project::new());
    let plain = good(run(project.cargo("run -q -p shop"))).stdout;
    let mut rustc = Command::new("rustc");
    rustc.arg("-vV");
    let host = run(rustc).stdout;
    let host = host.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned();
    for line in ["run -q -p shop --release", "run -q -p shop --profile fat", &format!("run -q -p shop --target {host}")] {
        assert_eq!(good(run(project.monitor(line, Some(&server)))).stdout, plain, "{line}");
    }
    let is_good = |root: &Value| root["name"] == "shop::main" && root["state"] == "succeeded";
    wait_for("all three", || (server.roots().iter().filter(|root| is_good(root)).count() == 3).then_some(()));
    // The exit code of the program.
    assert_eq!(run(project.monitor("run -q -p shop -- exit", Some(&server))).code, Some(7));
}
