//! Amount of recorded events of a real program (`MONITOR_EVENTS`).

use monitor_tests::{Server, outline, run, worker};

#[test]
fn the_environment_sets_the_recorded_levels() {
    let server = Server::start();
    let runs = |levels: &str| {
        // 2,000 leaves below 20 calls. Two leaves fail.
        let mut many = worker(&server, &["many", "2000"]);
        many.env("MONITOR_EVENTS", levels).env("MONITOR_LOG", "stderr");
        let finished = run(many);
        assert!(finished.code == Some(0) && !finished.stderr.contains("MONITOR_EVENTS"), "{levels}: {}", finished.stderr);
        server.roots()
    };
    assert_eq!(runs("off").len(), 0);
    assert_eq!(runs("root:off,hundred=off,leaf=off").len(), 0);
    let told = |levels: &str| {
        let root = runs(levels).remove(0);
        outline(&server.tree(&root))
    };
    let roots = "many\n  leaf [failed]: leaf 999 fails\n  leaf [failed]: leaf 1999 fails\n";
    assert_eq!(told("roots"), roots, "what fails hangs below what is told");
    assert_eq!(told("roots,hundred=off"), roots);
    assert_eq!(told("all,leaf=off"), format!("many\n{}", "  hundred\n".repeat(20)));
    assert_eq!(told("l?af=off,normal:off"), "many\n");
}

#[test]
fn invalid_levels_are_reported_once_and_exclude_nothing() {
    let server = Server::start();
    for (at, levels) in ["loud", "leaf", "normal:", "=off", "a b:off", "\u{1b}[2J=loud"].into_iter().enumerate() {
        let mut joins = worker(&server, &["joins"]);
        joins.env("MONITOR_EVENTS", levels).env("MONITOR_LOG", "stderr");
        let finished = run(joins);
        assert_eq!(finished.code, Some(0), "{levels:?}");
        assert_eq!(server.roots().len(), at + 1, "{levels:?}");
        let said = finished.stderr;
        assert_eq!(said.matches("MONITOR_EVENTS").count(), 1, "{levels:?}: {said}");
        assert!(said.contains("all, roots, off or watched, alone or for kinds and names"), "{levels:?}: {said}");
        assert!(!said.contains('\u{1b}'), "{levels:?}: {said:?}");
    }
}
