//! Tests of the reactions to a failed job: retries and another job.

use monitor_jobs::JobRule;
use monitor_server::access::NewToken;
use monitor_wire::JobGrant;
use serde_json::{Value, json};

use crate::job_agent::{Agent, ask};
use crate::support::{TestServer, read, until};

fn job(then: &Value) -> Value {
    json!({"name": "deploy", "targets": {"hosts": ["web-1", "web-2"]}, "steps": [{"name": "copy", "script": "cp a b"}], "then": then})
}

/// Waits for a job with this status, and returns it.
async fn ended(server: &TestServer, id: u64, status: u64) -> Value {
    until(async || ask(server, "GET", &format!("jobs/{id}"), None).await.1["status"] == status).await;
    ask(server, "GET", &format!("jobs/{id}"), None).await.1
}

/// Takes an order, and reports its end.
async fn end(server: &TestServer, agent: &Agent, status: u16) -> Value {
    let order = agent.order(server).await;
    let events = [json!({"event": "accepted"}), json!({"event": "started"}), json!({"event": "ended", "status": status})];
    assert_eq!(agent.report(server, &order, &events).await.0, 204);
    order
}

#[tokio::test]
async fn failed_hosts_are_retried_and_then_one_job_follows_on_them() {
    let server = TestServer::start().await;
    let (one, two) = (Agent::connect(&server, "web-1").await, Agent::connect(&server, "web-2").await);
    let repair = json!({"name": "repair", "steps": [{"script": "restore"}]});
    let then = json!({"failed": {"retry": {"times": 1, "backoff": "0s"}, "job": repair}});
    let (status, started) = ask(&server, "POST", "jobs", Some(job(&then))).await;
    assert_eq!((status, &started["job_id"]), (201, &json!(1)), "{started}");
    end(&server, &one, 9).await;
    assert_eq!(end(&server, &two, 104).await["key"]["attempt"], 1);
    let again = end(&server, &two, 104).await;
    assert_eq!((&again["name"], &again["key"]["attempt"]), (&json!("deploy"), &json!(2)));

    let order = end(&server, &two, 9).await;
    assert_eq!((&order["name"], &order["key"]["job"]), (&json!("repair"), &json!(2)), "{order}");
    let (failed, next) = (ended(&server, 1, 4).await, ended(&server, 2, 3).await);
    assert_eq!((&failed["followed_by"], &failed["steps"][0]["attempt"]), (&json!(2), &json!(2)), "{failed}");
    assert_eq!((&next["follows"], &next["name"], &next["by"]), (&json!(1), &json!("repair"), &failed["by"]), "{next}");
    let (_, hosts) = ask(&server, "GET", "jobs/2/hosts", None).await;
    assert_eq!((hosts["hosts"].as_array().unwrap().len(), &hosts["hosts"][0]["name"]), (1, &json!("web-2")), "{hosts}");
    let tree = format!("roots/{}/tree", next["root_id"].as_str().unwrap());
    until(async || !ask(&server, "GET", &tree, None).await.1["processes"][0]["links"].is_null()).await;
    let link = ask(&server, "GET", &tree, None).await.1["processes"][0]["links"][0].clone();
    assert_eq!((&link["root_id"], &link["relation"]), (&failed["root_id"], &json!("triggered_by")), "{link}");

    // A restart and a second failure start nothing more.
    let server = TestServer::on(server.stop().await, |_| {}).await;
    let (status, retried) = ask(&server, "POST", "jobs/1/operate", Some(json!({"operation": "retry-failed"}))).await;
    assert_eq!((status, &retried["status"]), (200, &json!(2)), "{retried}");
    assert_eq!(end(&server, &two, 104).await["key"]["attempt"], 3);
    ended(&server, 1, 4).await;
    assert_eq!(ask(&server, "GET", "jobs", None).await.1["jobs"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn the_job_that_follows_needs_the_same_rights_and_is_judged_when_it_starts() {
    let server = TestServer::start().await;
    Agent::connect(&server, "web-1").await;
    let two = Agent::connect(&server, "web-2").await;
    let put = json!({"hosts": [{"name": "web-1", "tags": {"env": "test"}}, {"name": "web-2", "tags": {"env": "test"}}, {"name": "lb-1"}]});
    assert_eq!(ask(&server, "PUT", "hosts", Some(put)).await.0, 200);
    let grant = JobGrant { on: "env=test".to_owned(), accounts: Vec::new() };
    let new = NewToken { name: "deploy".to_owned(), scopes: "operate".parse().unwrap(), lifetime: None, jobs: Some(grant) };
    let token = server.access().create_token(&new).unwrap();
    let start = async |next: Value| {
        let url = format!("http://{}/api/v1/jobs", server.address);
        let body = job(&json!({"failed": {"job": next}}));
        read(server.client.post(url).bearer_auth(&token).json(&body).send().await.unwrap()).await
    };
    let steps = json!([{"script": "restore"}]);
    for (next, status, part) in [
        (json!({"steps": steps, "targets": {"hosts": ["lb-1"]}}), 403, "lb-1"),
        (json!({"steps": steps, "account": "root"}), 403, "root"),
        (json!({"steps": steps, "targets": {"hosts": ["x-*"]}}), 400, "then.failed.job.targets.hosts[0]"),
        // No group has this name, but a host has it.
        (json!({"steps": steps, "targets": {"groups": ["web-1"]}}), 400, "then.failed.job.targets: `web-1` is unknown"),
        (json!({"steps": steps, "callback_url": "https://example.com/"}), 400, "then.failed.job.callback_url"),
        (json!({"steps": steps, "then": {}}), 400, "then.failed.job.then"),
        (json!({"steps": []}), 400, "then.failed.job.steps"),
        (json!({"steps": steps, "often": true}), 400, "often"),
    ] {
        let (found, problem) = start(next.clone()).await;
        assert!(found == status && problem["detail"].as_str().unwrap().contains(part), "{next}: {problem}");
    }
    assert_eq!(start(json!({"steps": steps})).await.0, 201);
    assert_eq!(end(&server, &two, 104).await["key"]["job"], 1);

    // The rules of the server change before the first job has failed.
    let rule = JobRule::new("restore", "refuse", Some("ask ada".to_owned())).unwrap();
    let server = TestServer::on(server.stop().await, |config| config.job_rule = vec![rule.clone()]).await;
    let (status, problem) = ask(&server, "POST", "jobs", Some(job(&json!({"failed": {"job": {"steps": steps}}})))).await;
    assert!(status == 403 && problem["detail"].as_str().unwrap().contains("then.failed.job.steps[0].script"), "{problem}");
    // The first host never answers, so the job fails.
    until(async || ask(&server, "GET", "jobs/1", None).await.1["warnings"][0].is_string()).await;
    let failed = ended(&server, 1, 4).await;
    let warning = failed["warnings"][0].as_str().unwrap();
    assert!(warning.starts_with("No job follows: ") && warning.contains("ask ada"), "{failed}");
    assert_eq!(failed["followed_by"], Value::Null);
    assert_eq!(ask(&server, "GET", "jobs", None).await.1["jobs"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_number_of_a_removed_host_is_never_taken_for_the_name_of_another() {
    let server = TestServer::start().await;
    let one = Agent::connect(&server, "web-1").await;
    Agent::connect(&server, "web-2").await;
    let repair = json!({"name": "repair", "targets": {"hosts": ["web-*"]}, "steps": [{"script": "restore"}]});
    let first = json!({"targets": {"hosts": ["web-1"]}, "steps": [{"script": "cp a b"}], "then": {"failed": {"job": repair}}});
    assert_eq!(ask(&server, "POST", "jobs", Some(first)).await.0, 201);
    assert_eq!(ask(&server, "DELETE", "hosts/2", None).await.0, 204);
    // The name of this host is the number of the removed one.
    let other = Agent::connect(&server, "2").await;
    end(&server, &one, 104).await;
    assert_eq!(end(&server, &one, 9).await["name"], "repair");
    ended(&server, 2, 4).await;
    let (_, hosts) = ask(&server, "GET", "jobs/2/hosts", None).await;
    let found: Vec<_> = hosts["hosts"].as_array().unwrap().iter().map(|host| (&host["host_id"], &host["status"])).collect();
    assert_eq!(found, [(&json!(1), &json!(9)), (&Value::Null, &json!(2))], "{hosts}");
    assert_eq!(other.orders(&server, 0).await["orders"], json!([]));
}
