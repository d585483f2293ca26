//! Recursion.

use expect_test::expect;
use monitor_tests::{Finished, Server, run};

use crate::{Project, good, tree};

/// What each call takes of the stack is told by the program itself: plain, woven, and woven and recorded.
#[test]
fn recursion_as_deep_as_the_plain_program_bears_it_ends_as_it_does_there() {
    let (server, project) = (Server::start(), Project::of("deep", "", include_str!("../woven/deep.rs")));
    let said = |finished: Finished| {
        let stdout = good(finished).stdout;
        let (bytes, results): (Vec<_>, Vec<_>) = stdout.lines().map(str::to_owned).partition(|line| line.contains("bytes a call"));
        let bytes: Vec<usize> = bytes.iter().filter_map(|line| line.split(' ').next()?.parse().ok()).collect();
        (bytes, results)
    };
    for profile in ["", " --release"] {
        let (plain, results) = said(run(project.cargo(&format!("run -q{profile}"))));
        let (woven, same) = said(run(project.monitor(&format!("run -q{profile}"), Some(&server))));
        assert_eq!(same, results, "recorded{profile}");
        let mut off = project.monitor(&format!("run -q{profile}"), Some(&server));
        off.env("MONITOR_SPOOL_DIR", "off");
        let (off, same) = said(run(off));
        assert_eq!(same, results, "not recorded{profile}");
        println!("bytes of stack a call{profile}, plain {plain:?}, woven {off:?}, recorded {woven:?}");
        // A value's call gets a guard, a result's one its result once or twice more.
        let is_small = |(plain, woven): (&usize, &usize)| *woven <= plain * 3 + 128;
        assert!(plain.len() == 2 && plain.iter().zip(&woven).all(is_small), "{plain:?} {woven:?}");
        assert_eq!(off, woven, "what is recorded takes no more of the stack");
    }
    let text = tree(&server, "deep::main");
    expect![[r#"
        deep::main
          deep::here
          deep::sum
            deep::here
          deep::here
          deep::checked
            deep::here
          deep::even
            deep::odd
          deep::broken [failed]: no bottom
          deep::Tree::of
          deep::Tree::depth
          deep::even
            deep::odd
    "#]]
    .assert_eq(&text);
}
