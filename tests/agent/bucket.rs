//! Publications to a bucket of a real S3 server.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::Agent;
use crate::publish::definition;

const KEY: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI-not-to-be-told";

/// An S3 server that stores each bucket as a folder. It ends with the test.
struct Buckets {
    folder: TempDir,
    url: String,
    requests: Arc<AtomicUsize>,
    _runtime: tokio::runtime::Runtime,
}

impl Buckets {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("site")).unwrap();
        let mut service = S3ServiceBuilder::new(s3s_fs::FileSystem::new(folder.path()).unwrap());
        service.set_auth(SimpleAuth::from_single(KEY, SECRET));
        let service = service.build();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = requests.clone();
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((socket, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                let service = service.clone();
                tokio::spawn(async move {
                    let server = auto::Builder::new(hyper_util::rt::TokioExecutor::new());
                    let _ = server.serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        Self { folder, url, requests, _runtime: runtime }
    }

    fn object(&self, name: &str) -> PathBuf {
        self.folder.path().join("site").join(name)
    }

    /// Content of `current.json`.
    fn current(&self) -> Value {
        serde_json::from_slice(&fs::read(self.object("web/gold/current.json")).unwrap()).unwrap()
    }

    /// Content of a file of the current publication.
    fn shown(&self, name: &str) -> Vec<u8> {
        fs::read(self.object(self.current()["prefix"].as_str().unwrap()).join(name)).unwrap()
    }
}

/// A target with a timeout that is long enough for a busy machine. The access key comes from an environment variable, the secret key from a
/// file.
fn bucket(name: &str, s3: &str, url: &str, secret: &Path) -> String {
    bucket_within("60s", name, s3, url, secret)
}

fn bucket_within(timeout: &str, name: &str, s3: &str, url: &str, secret: &Path) -> String {
    format!(
        "publish.{name} = {{ s3 = {s3:?}, endpoint = {url:?}, region = \"eu-central-1\", access-key = {{ env = \"BUCKET_KEY\" }}, secret-key = {{ file = {:?} }}, timeout = {timeout:?} }}\n",
        secret.to_str().unwrap()
    )
}

#[test]
fn a_run_publishes_to_a_bucket_and_publications_can_be_restored() {
    let buckets = Buckets::start();
    let agent = Agent::start_with(&[], vec![("BUCKET_KEY", KEY.into())]);
    let secret = agent.path("secret");
    fs::write(&secret, format!("{SECRET}\n")).unwrap();
    // A name whose characters must be escaped in a URL, an empty file, and a file that is large enough for a multipart upload.
    let shell = "cd $MONITOR_PUBLISH_DIR; mkdir day; echo $1 > price.json; printf %s $1 > 'day/a b#c+é%20'; : > empty; \
                 head -c 20000000 /dev/zero > large; monitor publish prod";
    agent.define("gold", &definition(shell, &bucket("prod", "s3://site/web/gold", &buckets.url, &secret)));
    agent.wait_for_log("a task is new or has changed");
    for text in ["old", "new"] {
        let done = agent.ask(&["run", "gold", "--wait", "--", text]);
        assert_eq!(done.code, Some(0), "{}{}", output(&agent, &done.stdout), agent.log());
        assert_eq!(buckets.shown("price.json"), format!("{text}\n").into_bytes());
    }
    assert_eq!(
        (buckets.shown("day/a b#c+é%20"), buckets.shown("empty"), buckets.shown("large").len()),
        (b"new".to_vec(), vec![], 20_000_000)
    );
    let current = buckets.current();
    assert_eq!((&current["files"], &current["bytes"]), (&json!(4), &json!(20_000_007)), "{current}");

    let list = |agent: &Agent| -> Value { serde_json::from_str(&agent.done(&["publications", "gold", "--json"])).unwrap() };
    let all = list(&agent);
    let about: Vec<_> = all["publications"].as_array().unwrap().iter().map(|of| (&of["number"], &of["is_current"], &of["files"])).collect();
    assert_eq!(about, [(&json!(2), &json!(true), &json!(4)), (&json!(1), &json!(false), &json!(4))], "{all}");
    assert!(all["publications"][0]["folder"].as_str().unwrap().starts_with("s3://site/web/gold/gold@"), "{all}");
    // The restoring command has the keys in its environment. It uploads nothing.
    let restore = |number: &str| {
        agent.done(&["restore-publication", "gold", number]);
    };
    let folders = || fs::read_dir(buckets.object("web/gold")).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_dir()).count();
    restore("1");
    assert_eq!((buckets.shown("price.json"), folders()), (b"old\n".to_vec(), 2));
    assert_eq!((&list(&agent)["publications"][0]["restores"], &list(&agent)["publications"][0]["is_current"]), (&json!(1), &json!(true)));
    // The objects of the publication are deleted, so its files come from the history.
    let gone = all["publications"][0]["folder"].as_str().unwrap().strip_prefix("s3://site/").unwrap().to_owned();
    fs::remove_dir_all(buckets.object(&gone)).unwrap();
    restore("2");
    assert_eq!(buckets.shown("price.json"), b"new\n");
    // The secret must not appear in lists, logs, files of tasks or the database.
    for told in [list(&agent).to_string(), agent.log(), fs::read_to_string(agent.path("tasks/gold.toml")).unwrap()] {
        assert!(!told.contains(SECRET), "{told}");
    }
    let database = fs::read(agent.path("data/agent.db")).unwrap();
    assert!(!database.windows(SECRET.len()).any(|bytes| bytes == SECRET.as_bytes()));
}

/// Output of a run.
fn output(agent: &Agent, id: &str) -> String {
    let id = id.lines().next().unwrap_or_default();
    fs::read_to_string(agent.path("data/runs").join(id).join("output.log")).unwrap_or_default()
}

#[test]
fn a_failed_upload_to_a_bucket_is_reported_and_keeps_the_previous_files() {
    let buckets = Buckets::start();
    let agent = Agent::start_with(&[], vec![("BUCKET_KEY", KEY.into())]);
    let (secret, wrong) = (agent.path("secret"), agent.path("wrong"));
    fs::write(&secret, SECRET).unwrap();
    fs::write(&wrong, "another").unwrap();
    // The first address accepts connections and never answers. The second address has no listener.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_url = format!("http://{}", silent.local_addr().unwrap());
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let targets = [
        bucket("prod", "s3://site/web/gold", &buckets.url, &secret),
        bucket("key", "s3://site/web/gold", &buckets.url, &wrong),
        bucket_within("2s", "away", "s3://site/web/gold", &format!("http://{closed}"), &secret),
        bucket_within("2s", "silent", "s3://site/web/gold", &silent_url, &secret),
        bucket("missing", "s3://site/web/gold", &buckets.url, Path::new("/no/such/secret")),
    ];
    let shell = "cd $MONITOR_PUBLISH_DIR; echo $1 > price.json; test $1 != link || ln -s price.json link; monitor publish $2";
    agent.define("gold", &definition(shell, &targets.concat()));
    agent.wait_for_log("a task is new or has changed");
    let ran = |args: &[&str]| {
        let done = agent.ask(&[&["run", "gold", "--wait", "--"], args].concat());
        (done.code, output(&agent, &done.stdout))
    };
    assert_eq!(ran(&["old", "prod"]).0, Some(0), "{}", agent.log());
    let before = buckets.requests.load(Ordering::Relaxed);
    for (target, words) in
        [("key", "SignatureDoesNotMatch"), ("away", "s3://site/web/gold"), ("silent", "s3://site/web/gold"), ("missing", "/no/such/secret")]
    {
        let (code, output) = ran(&["new", target]);
        assert!(code == Some(1) && output.contains(&format!("{target} is not published")) && output.contains(words), "{target}: {output}");
        assert!(!output.contains(SECRET), "{output}");
    }
    let (_, output) = ran(&["link", "prod"]);
    assert!(output.contains("link is no file, and S3 has nothing but files"), "{output}");
    assert_eq!(buckets.shown("price.json"), b"old\n");
    assert!(buckets.requests.load(Ordering::Relaxed) > before);
    let failed = agent.done(&["publications", "gold"]);
    assert_eq!(failed.lines().filter(|line| line.contains("failed: ")).count(), 5, "{failed}");
    drop(silent);
}
