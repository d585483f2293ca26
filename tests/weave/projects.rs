//! Projects with special features: compiler wrappers, attributes, threads, no standard library.

use std::fs;
use std::path::Path;

use expect_test::expect;
use monitor_tests::{Server, command, folders, outline, run, wait_for};
use serde_json::json;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::{Project, good, tree};

/// The project as `cargo new` creates it, with no line before `main`.
#[test]
fn a_function_on_the_first_line_of_a_file_is_woven_and_its_body_keeps_its_columns() {
    let (server, project) = (Server::start(), Project::of("hello", "", "fn main() {\n    std::env::args().nth(9).unwrap();\n}\n"));
    let finished = run(project.monitor("run", Some(&server)));
    assert!(finished.code == Some(101) && finished.stderr.contains("src/main.rs:2:29:"), "{}", finished.stderr);
    assert!(finished.stderr.contains("1 function woven in 1 crate\n"), "{}", finished.stderr);
    assert!(tree(&server, "hello::main").contains("failed"), "{}", tree(&server, "hello::main"));
}

/// Two wrappers that log their calls: one for all crates, like sccache, and one for the crates of the workspace.
#[cfg(unix)]
#[test]
fn wrappers_that_the_project_has_are_called() {
    use std::os::unix::fs::PermissionsExt;

    let (server, elsewhere) = (Server::start(), tempfile::tempdir().unwrap());
    fs::create_dir(elsewhere.path().join("src")).unwrap();
    fs::write(elsewhere.path().join("Cargo.toml"), "[package]\nname = \"other\"\n[workspace]\n").unwrap();
    fs::write(elsewhere.path().join("src/lib.rs"), "pub fn greet() {}\n").unwrap();
    let project = Project::of("wrapped", &format!("other.path = {:?}\n", elsewhere.path()), "fn main() {\n    other::greet()\n}\n");
    fs::create_dir(project.path(".cargo")).unwrap();
    let settings = "[build]\nrustc-wrapper = \"./outer\"\nrustc-workspace-wrapper = \"./inner\"\n";
    fs::write(project.path(".cargo/config.toml"), settings).unwrap();
    for name in ["outer", "inner"] {
        let log = project.path(&format!("{name}.log"));
        fs::write(project.path(name), format!("#!/bin/sh\necho \"$@\" >> {}\nexec \"$@\"\n", log.display())).unwrap();
        fs::set_permissions(project.path(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    good(run(project.monitor("run", Some(&server))));
    let compiled = |name: &str| {
        let log = fs::read_to_string(project.path(name)).unwrap();
        let of = |of: &&str| log.contains(&format!("--crate-name {of} "));
        ["wrapped", "other"].into_iter().filter(of).collect::<Vec<_>>()
    };
    assert_eq!((compiled("outer.log"), compiled("inner.log")), (vec!["other"], vec!["wrapped"]));
    assert_eq!(tree(&server, "wrapped::main"), "wrapped::main\n");
}

/// The project's own recorder records the attributes and the woven functions.
#[test]
fn a_project_that_already_has_attributes_makes_a_single_tree() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let (server, project) = (
        Server::start(),
        Project::of(
            "own",
            &format!("monitor-client.path = {:?}\n", repository.join("monitor-client")),
            "#[monitor_client::root_task]\nfn work() {\n    step(3);\n}\n\nfn step(n: u32) {\n    let _ = n;\n    last();\n}\n\n\
             #[monitor_client::normal_task(name = \"the last\")]\nfn last() {}\n\nfn main() {\n    work();\n}\n",
        ),
    );
    // The lock file of this repository, so that no crate must be downloaded.
    fs::copy(repository.join("Cargo.lock"), project.path("Cargo.lock")).unwrap();
    fs::write(project.path("monitor.toml"), "[[function]]\npath = \"own::step\"\n").unwrap();
    let finished = good(run(project.monitor("run", Some(&server))));
    assert!(finished.stderr.contains("1 function woven in 1 crate\n"), "{}", finished.stderr);
    assert_eq!(tree(&server, "work"), "work\n  own::step\n    the last\n");
}

#[test]
fn the_shipper_for_other_programs_also_uses_https() {
    let folder = tempfile::tempdir().unwrap();
    let own = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    fs::write(&certificate, own.cert.pem()).unwrap();
    fs::write(&key, own.signing_key.serialize_pem()).unwrap();
    let server = Server::start_with_tls(&certificate, &key);
    assert!(server.url().starts_with("https://"), "{}", server.url());
    let project = Project::of("far", "", "fn main() {\n}\n");
    let mut woven = project.monitor("run", Some(&server));
    woven.env("SSL_CERT_FILE", &certificate);
    good(run(woven));
    let mut launched = command("monitor");
    launched.args(["run", "--", "true"]).env("MONITOR_SERVER_URL", server.url()).env("SSL_CERT_FILE", &certificate);
    good(run(launched));
    for name in ["far::main", "true"] {
        assert_eq!(tree(&server, name), format!("{name}\n"));
    }
}

/// The process that ships has no terminal for its messages, so the next `cargo monitor` prints them.
#[tokio::test]
async fn refused_events_wait_in_the_spool_and_the_next_launch_reports_it() {
    let stranger = MockServer::start().await;
    let problem = json!({"type": "about:blank", "title": "", "status": 403, "detail": "not here"});
    let answer = ResponseTemplate::new(403).set_body_json(problem);
    Mock::given(method("POST")).and(path("/api/v1/events")).respond_with(answer).mount(&stranger).await;
    let url = stranger.uri();
    let checked = move || {
        let main = "fn main() {\n    println!(\"{}\", step(3));\n}\n\nfn step(n: u32) -> u32 {\n    let mut m = n;\n    for k in 0..n {\n        m += k;\n    }\n    m\n}\n";
        let (server, project) = (Server::start(), Project::of("kept", "", main));
        let mut launches = 0;
        let said = wait_for("the next launch to say that it is refused", || {
            let mut woven = project.monitor("run", Some(&server));
            woven.env("MONITOR_SERVER_URL", &url);
            let finished = good(run(woven));
            launches += 1;
            finished.stderr.contains("waits in the spool").then_some(finished.stderr)
        });
        assert_eq!(said.matches(&format!("the server at {url} refuses what is recorded")).count(), 1, "{said}");
        // Other processes have locked the spool while they try.
        wait_for("all to be shipped elsewhere", || {
            let mut ship = command("monitor");
            ship.args(["spool", "ship", "--server", server.url(), "--dir"]).arg(server.spool());
            run(ship);
            (folders(server.spool()) == 0).then_some(())
        });
        let outlines: Vec<_> = server.roots().iter().map(|root| outline(&server.tree(root))).collect();
        assert_eq!(outlines, vec!["kept::main\n  kept::step\n"; launches]);
        assert_eq!(server.get("/status")["dropped"], json!([]));
    };
    tokio::task::spawn_blocking(checked).await.unwrap();
}

#[test]
fn work_passed_to_other_threads_belongs_to_the_call_that_passed_it() {
    let (server, project) = (
        Server::start(),
        Project::of(
            "hands",
            "crossbeam-utils = \"0.8\"\nrayon = \"1.12\"\ntokio = { version = \"1\", features = [\"rt-multi-thread\"] }\n",
            include_str!("../woven/hands.rs"),
        ),
    );
    let plain = good(run(project.cargo("run -q")));
    let woven = good(run(project.monitor("run", Some(&server))));
    assert_eq!(woven.stdout, plain.stdout);
    // All functions were woven, although the context has to be passed on.
    assert!(!woven.stderr.contains("is not monitored") && woven.stderr.contains("9 functions woven"), "{}", woven.stderr);
    expect![[r#"
        hands::main
          hands::by_threads
            hands::work
            hands::work
          hands::by_scope
            hands::Own::spawn
              hands::work
              hands::work
            hands::work
            hands::work
            hands::work
          hands::by_rayon
            hands::work
            hands::work
            hands::work
            hands::work
            hands::work
            hands::work
          hands::by_crossbeam
            hands::work
            hands::work
          hands::by_tasks
            hands::step
            hands::step
            hands::work
    "#]]
    .assert_eq(&tree(&server, "hands::main"));
}

/// A `no_std` crate without any explicit settings for the compiler.
#[test]
fn a_crate_without_std_is_woven_too() {
    let (server, project) = (Server::start(), Project::of("bare", "", "fn main() {\n    println!(\"{:?}\", bare::twice(4));\n}\n"));
    let lib = "#![no_std]\n\npub fn twice(n: u8) -> Result<u8, &'static str> {\n    grow(n, 2).ok_or(\"too large\")\n}\n\n\
               fn grow(n: u8, by: u8) -> Option<u8> {\n    if by == 1 {\n        return Some(n);\n    }\n    grow(n, by - 1)?.checked_add(n)\n}\n";
    fs::write(project.path("src/lib.rs"), lib).unwrap();
    let finished = good(run(project.monitor("run", Some(&server))));
    assert_eq!(finished.stdout, "Ok(8)\n");
    assert!(finished.stderr.contains("2 functions woven in 1 crate\n"), "{}", finished.stderr);
    assert_eq!(tree(&server, "bare::main"), "bare::main\n  bare::twice\n    bare::grow\n");
}

/// A library that isn't woven and starts threads for its callers.
const THREADS: &str = "
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

pub fn on_another<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    thread::spawn(work).join().unwrap()
}

type Work = Box<dyn FnOnce() + Send>;

/// One thread, that does what it is told.
pub struct Pool(Mutex<Sender<Work>>, Mutex<Receiver<()>>);

impl Pool {
    pub fn new() -> Self {
        let ((send, receive), (done, is_done)) = (channel::<Work>(), channel());
        thread::spawn(move || {
            for work in receive {
                work();
                done.send(()).unwrap();
            }
        });
        Pool(Mutex::new(send), Mutex::new(is_done))
    }

    pub fn does(&self, work: impl FnOnce() + Send + 'static) {
        self.0.lock().unwrap().send(Box::new(work)).unwrap();
        self.1.lock().unwrap().recv().unwrap();
    }
}
";

/// None of these closures is passed to a function that the weaver knows. Only at runtime is it known which call starts the thread.
const STARTERS: &str = "
fn main() {
    by_a_library(1);
    by_name();
    let pool = starts_a_pool();
    uses_it(&pool);
}

fn by_a_library(number: u64) {
    println!(\"{}\", threads::on_another(move || work(number)));
}

fn by_name() {
    let named = more;
    std::thread::spawn(named).join().unwrap();
}

fn more() {
    println!(\"{}\", work(2));
}

fn starts_a_pool() -> threads::Pool {
    let pool = threads::Pool::new();
    pool.does(|| println!(\"{}\", work(3)));
    pool
}

fn uses_it(pool: &threads::Pool) {
    pool.does(|| println!(\"{}\", work(4)));
}

fn work(number: u64) -> u64 {
    number.pow(1)
}
";

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn a_thread_without_a_carried_parent_belongs_to_the_call_that_started_it() {
    let elsewhere = tempfile::tempdir().unwrap();
    fs::create_dir(elsewhere.path().join("src")).unwrap();
    fs::write(elsewhere.path().join("Cargo.toml"), "[package]\nname = \"threads\"\nedition = \"2021\"\n[workspace]\n").unwrap();
    fs::write(elsewhere.path().join("src/lib.rs"), THREADS).unwrap();
    let (server, project) = (Server::start(), Project::of("starters", &format!("threads.path = {:?}\n", elsewhere.path()), STARTERS));
    let plain = good(run(project.cargo("run")));
    let woven = good(run(project.monitor("run", Some(&server))));
    assert_eq!(woven.stdout, plain.stdout);
    // The thread of a pool outlives the call that started it, and belongs to the tree from then on.
    expect![[r#"
        starters::main
          starters::by_a_library
            starters::work [inferred]
          starters::by_name
            starters::more [inferred]
              starters::work
          starters::starts_a_pool
            starters::work [inferred]
          starters::uses_it
          starters::work [inferred]
    "#]]
    .assert_eq(&tree(&server, "starters::main"));
}
