//! Tests of what jobs select: saved targets, and the file of hosts.

use std::path::Path;

use monitor_server::access::NewToken;
use monitor_wire::JobGrant;
use serde_json::{Value, json};

use crate::job_agent::{Agent, ask};
use crate::support::{TestServer, read, until};

fn job(saved: &[&str]) -> Value {
    json!({"targets": {"saved": saved}, "steps": [{"script": "df"}]})
}

/// Names of the hosts of a job.
async fn hosts_of(server: &TestServer, job: u64) -> Vec<String> {
    let (_, page) = ask(server, "GET", &format!("jobs/{job}/hosts"), None).await;
    page["hosts"].as_array().unwrap().iter().map(|host| host["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn saved_targets_are_resolved_at_the_start_and_stay_with_the_job() {
    let server = TestServer::start().await;
    let put = |hosts: Value| json!({"hosts": hosts});
    let web = |name: &str| json!({"name": name, "groups": ["web"]});
    assert_eq!(ask(&server, "PUT", "hosts", Some(put(json!([web("web-1"), {"name": "db-1"}])))).await.0, 200);
    let (status, saved) = ask(&server, "PUT", "targets/all-web", Some(json!({"groups": ["web"]}))).await;
    assert_eq!(status, 200, "{saved}");
    assert_eq!(saved, json!({"name": "all-web", "targets": {"groups": ["web"]}, "is_from_file": false, "selected": 1, "problem": null}),);
    let (status, later) = ask(&server, "PUT", "targets/later", Some(json!({"hosts": ["dev-*"]}))).await;
    assert!(status == 200 && later["problem"].as_str().unwrap().contains("no host's name matches `dev-*`"), "{later}");

    assert_eq!(ask(&server, "POST", "jobs", Some(job(&["all-web"]))).await.0, 201);
    assert_eq!(ask(&server, "PUT", "hosts", Some(put(json!([web("web-2")])))).await.0, 200);
    let (_, preview) = ask(&server, "POST", "jobs?preview=true", Some(job(&["all-web", "all-web", "nothing"]))).await;
    let names: Vec<&str> = preview["unable"].as_array().unwrap().iter().map(|host| host["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["web-1", "web-2", "nothing"], "{preview}");
    assert_eq!(hosts_of(&server, 1).await, ["web-1"]);

    for (method, path, body, status, part) in [
        ("PUT", "targets/a%20b", Some(json!({"hosts": ["web-1"]})), 400, "can't be a name"),
        ("PUT", "targets/a", Some(json!({"hosts": [""], "tags": "!"})), 400, "hosts[0]: it is empty"),
        ("PUT", "targets/a", Some(json!({})), 400, "they select no host"),
        ("PUT", "targets/a", Some(json!({"saved": ["all-web"]})), 400, "can't contain other saved targets"),
        ("PUT", "targets/a", Some(json!({"host": ["x"]})), 400, "host"),
        ("DELETE", "targets/a", None, 404, "`GET /api/v1/targets`"),
        ("POST", "jobs", Some(job(&["later"])), 400, "targets.saved[0]: `later`"),
        ("POST", "jobs", Some(job(&[" "])), 400, "targets.saved[0]"),
    ] {
        let (found, problem) = ask(&server, method, path, body.clone()).await;
        assert!(found == status && problem["detail"].as_str().unwrap().contains(part), "{method} {path} {body:?}: {problem}");
    }
    // A restart keeps them, and a job that has started doesn't need them.
    let server = TestServer::on(server.stop().await, |_| {}).await;
    let (_, all) = ask(&server, "GET", "targets", None).await;
    let counts: Vec<_> = all["targets"].as_array().unwrap().iter().map(|saved| (&saved["name"], &saved["selected"])).collect();
    assert_eq!(counts, [(&json!("all-web"), &json!(2)), (&json!("later"), &json!(0))]);
    assert_eq!(ask(&server, "DELETE", "targets/all-web", None).await.0, 204);
    assert_eq!((hosts_of(&server, 1).await, ask(&server, "GET", "jobs/1", None).await.0), (vec!["web-1".to_owned()], 200));
}

#[tokio::test]
async fn saved_targets_give_nobody_more_rights() {
    let server = TestServer::start().await;
    let put = json!({"hosts": [{"name": "web-1", "tags": {"env": "test"}}, {"name": "db-1", "tags": {"env": "prod"}}]});
    assert_eq!(ask(&server, "PUT", "hosts", Some(put)).await.0, 200);
    assert_eq!(ask(&server, "PUT", "targets/all", Some(json!({"hosts": ["*"]}))).await.0, 200);
    assert_eq!(ask(&server, "PUT", "targets/test", Some(json!({"tags": "env=test"}))).await.0, 200);
    let grant = JobGrant { on: "env=test".to_owned(), accounts: Vec::new() };
    let new = NewToken { name: "deploy".to_owned(), scopes: "operate".parse().unwrap(), lifetime: None, jobs: Some(grant) };
    let token = server.access().create_token(&new).unwrap();
    let send = async |method: reqwest::Method, path: &str, body: Value| {
        let url = format!("http://{}/api/v1/{path}", server.address);
        read(server.client.request(method, url).bearer_auth(&token).json(&body).send().await.unwrap()).await
    };
    assert_eq!(send(reqwest::Method::POST, "jobs", job(&["test"])).await.0, 201);
    let (status, problem) = send(reqwest::Method::POST, "jobs", job(&["all"])).await;
    assert!(status == 403 && problem["detail"].as_str().unwrap().contains("db-1"), "{problem}");
    assert_eq!(send(reqwest::Method::PUT, "targets/test", json!({"hosts": ["*"]})).await.0, 403);
    assert_eq!(send(reqwest::Method::DELETE, "targets/test", Value::Null).await.0, 403);
}

/// Replaces a file at once, as an editor does.
fn write(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(&new, path).unwrap();
}

/// Waits until the duty that reads the file has this error, or none.
async fn error_becomes(server: &TestServer, part: Option<&str>) -> Value {
    let duty = async || {
        let (_, status) = ask(server, "GET", "status", None).await;
        status["duties"].as_array().unwrap().iter().find(|duty| duty["name"] == "hosts").unwrap()["error"].clone()
    };
    until(async || {
        let error = duty().await;
        part.map_or(error.is_null(), |part| error.as_str().is_some_and(|error| error.contains(part)))
    })
    .await;
    duty().await
}

#[tokio::test]
async fn the_file_of_hosts_is_read_again_and_mistakes_keep_its_last_version() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hosts.toml");
    let configured = file.clone();
    let server = TestServer::with(move |config| config.hosts_file = Some(configured.clone())).await;
    let names = async |server: &TestServer| {
        let (_, hosts) = ask(server, "GET", "hosts", None).await;
        let shown = |host: &Value| format!("{} {} {}", host["id"], host["name"].as_str().unwrap(), host["is_from_file"]);
        hosts["hosts"].as_array().unwrap().iter().map(shown).collect::<Vec<_>>()
    };
    // There is no file, which is no error.
    error_becomes(&server, None).await;
    let agent = Agent::connect(&server, "web-1").await;
    assert_eq!(names(&server).await, ["1 web-1 false"]);
    write(&file, "[host.web-1]\ntags = { env = \"test\" }\n[host.web-2]\nip = \"10.0.0.2\"\n[targets.test]\ntags = \"env=test\"\n");
    until(async || names(&server).await == ["1 web-1 true", "2 web-2 true"]).await;
    let (_, saved) = ask(&server, "GET", "targets", None).await;
    assert_eq!((&saved["targets"][0]["is_from_file"], &saved["targets"][0]["selected"]), (&json!(true), &json!(1)), "{saved}");
    assert_eq!(ask(&server, "POST", "jobs", Some(job(&["test"]))).await.0, 201);
    assert_eq!(agent.order(&server).await["key"]["host"], 1);

    // Hosts and targets in the file are changed only there.
    for (method, path, body) in [
        ("PUT", "hosts", Some(json!({"hosts": [{"name": "db-1"}, {"name": "web-2"}]}))),
        ("DELETE", "hosts/2", None),
        ("PUT", "targets/test", Some(json!({"hosts": ["*"]}))),
        ("DELETE", "targets/test", None),
    ] {
        let (status, problem) = ask(&server, method, path, body).await;
        assert!(status == 409 && problem["detail"].as_str().unwrap().contains("hosts.toml: change it there"), "{method} {path}: {problem}");
    }
    assert_eq!(ask(&server, "PUT", "hosts", Some(json!({"hosts": [{"name": "db-1"}]}))).await.0, 200);

    let all = ["3 db-1 false", "1 web-1 true", "2 web-2 true"];
    write(&file, "[host.web-1]\n[host.web-3]\nip = \"10.0.0\"\n");
    let error = error_becomes(&server, Some("hosts.toml:2: ip: ")).await;
    assert!(error.as_str().unwrap().contains("the last valid version stays in effect"), "{error}");
    assert_eq!(ask(&server, "GET", "hosts", None).await.1["file_problem"], error);
    assert_eq!(names(&server).await, all);
    std::fs::remove_file(&file).unwrap();
    error_becomes(&server, Some("is missing, and what came from it stays (hosts: 2, saved targets: 1)")).await;
    assert_eq!(names(&server).await, all);
    // After a restart, the hosts stay as well.
    let server = TestServer::on(server.stop().await, move |config| config.hosts_file = Some(file.clone())).await;
    error_becomes(&server, Some("is missing")).await;
    assert_eq!(names(&server).await, all);

    let file = folder.path().join("hosts.toml");
    write(&file, "[host.web-2]\n");
    until(async || names(&server).await == ["3 db-1 false", "2 web-2 true"]).await;
    // The agent of a removed host adds it again, without its settings.
    agent.orders(&server, 0).await;
    assert_eq!(names(&server).await, ["3 db-1 false", "4 web-1 false", "2 web-2 true"]);
    write(&file, "");
    until(async || names(&server).await == ["3 db-1 false", "4 web-1 false"]).await;
    error_becomes(&server, None).await;
}

#[tokio::test]
async fn an_account_that_a_host_does_not_list_is_told_before_and_after_the_start() {
    let server = TestServer::start().await;
    let one = Agent::connect(&server, "web-1").await;
    Agent::connect(&server, "web-2").await;
    let hosts = |accounts: Value| json!({"hosts": [{"name": "web-2", "accounts": accounts}]});
    for wrong in [json!([""]), json!([" app"]), json!(["a".repeat(256)]), json!(vec!["app"; 101])] {
        let (status, problem) = ask(&server, "PUT", "hosts", Some(hosts(wrong))).await;
        assert_eq!(status, 400);
        assert!(problem.to_string().contains("accounts"), "{problem}");
    }
    assert_eq!(ask(&server, "PUT", "hosts", Some(hosts(json!(["db"])))).await.0, 200);

    let request = json!({"targets": {"hosts": ["web-*"]}, "account": "app", "steps": [{"script": "df"}]});
    let server = TestServer::on(server.stop().await, |_| {}).await;
    // The server knows the agents again, although they have not connected since and have sent no events.
    let (_, preview) = ask(&server, "POST", "jobs?preview=true", Some(request.clone())).await;
    let reason = preview["unable"][0]["reason"].as_str().unwrap();
    assert!(preview["able"][0]["name"] == "web-1" && reason.contains("no account \"app\" for this host"), "{preview}");
    let (_, started) = ask(&server, "POST", "jobs", Some(request)).await;
    let order = one.order(&server).await;
    let ended = [json!({"event": "accepted"}), json!({"event": "started"}), json!({"event": "ended", "status": 9})];
    assert_eq!(one.report(&server, &order, &ended).await.0, 204);
    let id = &started["job_id"];
    assert_eq!(ask(&server, "GET", &format!("jobs/{id}/wait?timeout_ms=60000"), None).await.1["status"], 4);
    let (_, rows) = ask(&server, "GET", &format!("jobs/{id}/hosts?status=311"), None).await;
    assert_eq!((&rows["hosts"][0]["name"], rows["hosts"].as_array().unwrap().len()), (&json!("web-2"), 1), "{rows}");

    // The corrected list counts at once, also for a retry.
    assert_eq!(ask(&server, "PUT", "hosts", Some(hosts(json!(["db", "app"])))).await.0, 200);
    assert_eq!(ask(&server, "POST", &format!("jobs/{id}/operate"), Some(json!({"operation": "retry-failed"}))).await.0, 200);
    until(async || ask(&server, "GET", &format!("jobs/{id}/hosts?status=311"), None).await.1["hosts"] == json!([])).await;
}
