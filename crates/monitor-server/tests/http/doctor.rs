//! Tests of the diagnosis of processes without parents.

use serde_json::{Value, json};

use crate::support::{ROOT, TestServer, batch, read, started};

const BEGIN_US: u64 = 1_763_600_000_000_000;
const STRAY: &str = "0000000000000000000000000000005a";

fn begun(root: &str, id: &str, parent: Option<&str>, name: &str, thread: &str, after_us: u64) -> Value {
    let mut begun = started(root, id, parent, name);
    begun["thread"] = thread.into();
    begun["time_us"] = (BEGIN_US + after_us).into();
    begun
}

fn ended(root: &str, id: &str, after_us: u64) -> Value {
    json!({"type": "process-ended", "root_id": root, "id": id, "time_us": BEGIN_US + after_us, "outcome": "succeeded"})
}

/// Returns events in which `name` begins without a context on `thread`. At that time, `serve` and below it `handle` are running on thread
/// `main`; `warm_up` ran there earlier.
fn stray(name: &str, thread: &str) -> Value {
    let mut lone = begun(STRAY, "00000000000000e1", None, name, thread, 500);
    lone["attachment"] = "unattached".into();
    batch(
        1,
        &[
            begun(ROOT, "00000000000000c1", None, "serve", "main", 0),
            begun(ROOT, "00000000000000c2", Some("00000000000000c1"), "warm_up", "main", 10),
            ended(ROOT, "00000000000000c2", 100),
            begun(ROOT, "00000000000000c3", Some("00000000000000c1"), "handle", "main", 200),
            lone,
            begun(ROOT, "00000000000000c4", Some("00000000000000c1"), "later", "main", 900),
        ],
    )
}

#[tokio::test]
async fn the_doctor_guesses_a_lost_parent_and_suggests_a_line_of_code() {
    for (name, thread, fix, line) in [
        ("jobs::resize", "worker-1", "spawn_thread", "monitor_client::spawn_thread(move || jobs::resize(…))"),
        ("resize", "tokio-rt-worker", "tokio_spawn", "monitor_client::tokio::spawn(resize(…))"),
        ("resize", "main", "in_current", "resize(…).in_current()"),
        ("resize an image", "worker-1", "spawn_thread", "monitor_client::spawn_thread(move || work(…))"),
    ] {
        let server = TestServer::start().await;
        server.send(&stray(name, thread)).await;
        let all = server.ask("/api/v1/doctor").await;
        let found = &all["findings"][0];
        assert_eq!((all["findings"].as_array().unwrap().len(), &all["more"]), (1, &json!(false)), "{all}");
        let told = [&found["process"]["name"], &found["loss"], &found["fix"], &found["line"]];
        assert_eq!(told, [name, "unattached", fix, line]);
        let likely: Vec<_> = found["likely"].as_array().unwrap().iter().map(|likely| likely["process"]["name"].clone()).collect();
        assert_eq!(likely, ["handle", "serve"], "those that ran then, the deepest first");
        let words = found["words"].as_str().unwrap();
        assert!(words.starts_with(&format!("`{name}` (src/main.rs:12) on thread {thread} of nightly began without a parent.")), "{words}");
        assert!(words.contains("Likely its parent is `handle` (src/main.rs:12) in serve <1>") && words.contains(line), "{words}");
        for path in [format!("/api/v1/doctor?root={STRAY}"), format!("/api/v1/doctor?root={STRAY}&process=00000000000000e1")] {
            assert_eq!(server.ask(&path).await["findings"][0], *found);
        }
        assert_eq!(server.ask(&format!("/api/v1/doctor?root={ROOT}")).await["findings"], json!([]));
    }
}

#[tokio::test]
async fn isolated_processes_are_distinguished_from_those_with_an_unknown_parent() {
    let server = TestServer::start().await;
    let mut lone = begun(STRAY, "00000000000000e1", None, "tick", "timer", 0);
    lone["attachment"] = "unattached".into();
    let tree = [
        begun(ROOT, "00000000000000c1", None, "serve", "main", 10),
        begun(ROOT, "00000000000000c2", Some("00000000000000dd"), "step", "main", 20),
    ];
    server.send(&batch(1, &[&[lone][..], &tree].concat())).await;
    let found = server.ask(&format!("/api/v1/doctor?root={STRAY}")).await["findings"][0].clone();
    assert_eq!([&found["fix"], &found["line"], &found["likely"]], [&json!("begin"), &json!("#[monitor_client::root_task]"), &json!([])]);
    let found = server.ask(&format!("/api/v1/doctor?root={ROOT}")).await["findings"][0].clone();
    assert_eq!(
        [&found["process"]["name"], &found["loss"], &found["fix"], &found["line"]],
        [&json!("step"), &json!("orphan"), &json!("tell_parent"), &Value::Null]
    );
    assert_eq!(found["likely"][0]["process"]["name"], "serve");
    assert!(found["words"].as_str().unwrap().contains("names a parent that the server doesn't know, 00000000000000dd"), "{found}");
}

#[tokio::test]
async fn all_orphans_of_a_tree_are_found_up_to_a_limit() {
    let server = TestServer::start().await;
    let id = |n: u64| format!("{:016x}", 0x1000 + n);
    let orphans = (0..30).map(|n| begun(ROOT, &id(n), Some("00000000000000dd"), "step", "main", 20 + n));
    server
        .send(&batch(1, &[begun(ROOT, "00000000000000c1", None, "serve", "main", 10)].into_iter().chain(orphans).collect::<Vec<_>>()))
        .await;
    for (limit, count, more) in [("", 30, false), ("&limit=30", 30, false), ("&limit=29", 29, true), ("&limit=1", 1, true)] {
        let found = server.ask(&format!("/api/v1/doctor?root=1{limit}")).await;
        assert_eq!((found["findings"].as_array().unwrap().len(), found["more"].as_bool()), (count, Some(more)), "{limit}");
    }
    for (path, status) in [
        ("root=9", 404),
        ("root=1&process=00000000000000ff", 404),
        ("process=00000000000000c1", 400),
        ("root=x", 400),
        ("root=1&process=x", 400),
        ("limit=0", 400),
        ("colour=red", 400),
    ] {
        let answer = server.get(&format!("/api/v1/doctor?{path}")).send().await.unwrap();
        assert_eq!(read(answer).await.0, status, "{path}");
    }
}
