//! Tests of jobs on hosts over the API, with agents that speak the real protocol and run nothing.

use futures_util::StreamExt as _;
use monitor_jobs::JobRule;
use monitor_server::access::{Holder, NewToken};
use monitor_wire::JobGrant;
use serde_json::{Value, json};

use crate::job_agent::{Agent, ask};
use crate::support::{TestServer, read, until};

fn job(hosts: &[&str]) -> Value {
    json!({"name": "check", "targets": {"hosts": hosts}, "steps": [{"name": "disks", "script": "#!/bin/sh\ndf\n", "timeout": "10m"}]})
}

async fn wait(server: &TestServer, id: &Value) -> Value {
    let (status, job) = ask(server, "GET", &format!("jobs/{id}/wait?timeout_ms=60000"), None).await;
    assert_eq!(status, 200, "{job}");
    job
}

fn detail(problem: &Value) -> &str {
    problem["detail"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn a_job_ends_with_a_status_for_every_target() {
    let server = TestServer::start().await;
    let (one, two) = (Agent::connect(&server, "web-1").await, Agent::connect(&server, "web-2").await);
    let bare = json!({"hosts": [{"name": "web-3", "ip": "10.0.0.3", "tags": {"env": "test"}}]});
    assert_eq!(ask(&server, "PUT", "hosts", Some(bare)).await, (200, json!({"added": ["web-3"], "changed": []})));
    let (status, started) = ask(&server, "POST", "jobs", Some(job(&["web-*", "nowhere"]))).await;
    assert_eq!((status, &started["is_repeated"]), (201, &json!(false)), "{started}");
    let (id, root) = (&started["job_id"], started["root_id"].as_str().unwrap());

    let order = one.order(&server).await;
    assert_eq!((&order["agent"], &order["root_id"], &order["timeout_s"]), (&json!("web-1"), &started["root_id"], &json!(600)));
    let begin = [json!({"event": "accepted"}), json!({"event": "started"})];
    assert_eq!(one.report(&server, &order, &begin).await.0, 204);
    assert_eq!(one.output(&server, &order, 0, b"used 80%\n").await.0, 204);
    let (_, open) = ask(&server, "GET", &format!("jobs/{id}/wait?timeout_ms=1"), None).await;
    assert_eq!(open["status"], 2, "{open}");
    let (_, hosts) = ask(&server, "GET", &format!("jobs/{id}/hosts?status=7"), None).await;
    assert_eq!((&hosts["hosts"][0]["name"], &hosts["hosts"][0]["output_bytes"]), (&json!("web-1"), &json!(9)), "{hosts}");
    assert_eq!(one.report(&server, &order, &[json!({"event": "ended", "status": 9, "output_bytes": 9})]).await.0, 204);
    let other = two.order(&server).await;
    let ended = json!({"event": "ended", "status": 104, "exit_code": 3, "tag": "full", "output_bytes": 8});
    assert_eq!(two.output(&server, &other, 0, b"used 99%\n").await.0, 204);
    assert_eq!(two.report(&server, &other, &[begin[0].clone(), begin[1].clone(), ended]).await.0, 204);

    let ended = wait(&server, id).await;
    assert_eq!((&ended["status"], &ended["steps"][0]["counts"]), (&json!(4), &json!({"2": 1, "9": 1, "18": 1, "104": 1})), "{ended}");
    let output = server.get(&format!("/api/v1/jobs/{id}/hosts/web-2/output?offset=5&limit=3")).send().await.unwrap();
    assert_eq!(
        (&output.headers()["monitor-output-bytes"], &output.headers()["x-content-type-options"]),
        (&"9".parse().unwrap(), &"nosniff".parse().unwrap())
    );
    assert_eq!(output.bytes().await.unwrap(), b"99%"[..]);
    let (_, result) = ask(&server, "GET", &format!("jobs/{id}/result"), None).await;
    assert_eq!((&result["tags"], &result["shapes"][0]["hosts"]), (&json!({"full": 1}), &json!([1, 2])), "{result}");
    let (_, list) = ask(&server, "GET", "jobs?state=ended&host=web-1&name=hec", None).await;
    assert_eq!((&list["jobs"][0], &list["next"]), (&ended, &Value::Null));
    assert_eq!(ask(&server, "GET", "jobs?state=open", None).await.1["jobs"], json!([]));

    let path = format!("/api/v1/roots/{root}/tree");
    until(async || server.get(&path).send().await.unwrap().json::<Value>().await.unwrap()["processes"][0]["state"] == "failed").await;
    let tree = server.ask(&path).await;
    let told = |process: &Value| format!("{} {} {}", process["kind"], process["name"], process["state"]).replace('"', "");
    let mut processes: Vec<_> = tree["processes"].as_array().unwrap().iter().map(told).collect();
    processes.sort();
    let expected =
        ["host nowhere failed", "host web-1 succeeded", "host web-2 failed", "host web-3 failed", "job check failed", "step disks failed"];
    assert_eq!(processes, expected, "{tree}");
    let message = &tree["processes"][0]["error"]["message"];
    assert!(message.as_str().unwrap().starts_with("disks: failed on 3 of 4 hosts"), "{message}");
}

#[tokio::test]
async fn a_server_that_is_restarted_continues_its_jobs_and_counts_each_event_once() {
    let server = TestServer::start().await;
    let (one, two) = (Agent::connect(&server, "web-1").await, Agent::connect(&server, "web-2").await);
    let (_, started) = ask(&server, "POST", "jobs", Some(job(&["web-1", "web-2"]))).await;
    let order = one.order(&server).await;
    assert_eq!(one.report(&server, &order, &[json!({"event": "accepted"}), json!({"event": "started"})]).await.0, 204);
    let offered = two.order(&server).await;
    let keys = ask(&server, "GET", "jobs/key", None).await;

    let server = TestServer::on(server.stop().await, |_| {}).await;
    assert_eq!(ask(&server, "GET", "jobs/key", None).await, keys, "the key is kept");
    assert_eq!(one.report(&server, &order, &[json!({"event": "ended", "status": 9})]).await.0, 204);
    let again = two.order(&server).await;
    assert_eq!(again["key"], offered["key"], "an order that was not accepted is offered again");
    let ended = [json!({"event": "accepted"}), json!({"event": "started"}), json!({"event": "ended", "status": 9})];
    assert_eq!(two.report(&server, &again, &ended).await.0, 204);
    assert_eq!(two.report(&server, &again, &ended).await.0, 204, "reports may be repeated");
    assert_eq!(wait(&server, &started["job_id"]).await["status"], 3);
    let path = format!("/api/v1/roots/{}/tree", started["root_id"].as_str().unwrap());
    until(async || server.ask(&path).await["processes"][0]["state"] == "succeeded").await;
    let tree = server.ask(&path).await;
    let states: Vec<_> = tree["processes"].as_array().unwrap().iter().map(|process| (&process["state"], &process["attempt"])).collect();
    assert_eq!(states, vec![(&json!("succeeded"), &json!(1)); 4], "{tree}");
}

#[tokio::test]
async fn requests_with_one_id_start_one_job_even_at_the_same_time() {
    let server = TestServer::start().await;
    Agent::connect(&server, "web-1").await;
    let mut request = job(&["web-1"]);
    request["request_id"] = json!("deploy-7");
    let requests = (0..20).map(|_| ask(&server, "POST", "jobs", Some(request.clone())));
    let answers = futures_util::future::join_all(requests).await;
    let mut statuses: Vec<_> = answers.iter().map(|(status, _)| *status).collect();
    statuses.sort_unstable();
    assert_eq!((statuses[..19].to_vec(), statuses[19]), (vec![200; 19], 201));
    assert!(answers.iter().all(|(_, started)| started["job_id"] == answers[0].1["job_id"]), "{answers:?}");
    assert_eq!(ask(&server, "GET", "jobs", None).await.1["jobs"].as_array().unwrap().len(), 1);
    // The target matches no host any more.
    request["targets"] = json!({"hosts": ["web-*"]});
    let host = ask(&server, "GET", "hosts", None).await.1["hosts"][0]["id"].clone();
    assert_eq!(ask(&server, "DELETE", &format!("hosts/{host}"), None).await.0, 204);
    let (status, started) = ask(&server, "POST", "jobs", Some(request.clone())).await;
    assert_eq!((status, &started["job_id"]), (200, &answers[0].1["job_id"]), "{started}");
    request["request_id"] = json!("deploy-8");
    assert_eq!(ask(&server, "POST", "jobs", Some(request)).await.0, 400);
}

#[tokio::test]
async fn an_answer_has_only_so_many_bytes_of_orders() {
    let server = TestServer::start().await;
    let agent = Agent::connect(&server, "web-1").await;
    let mut request = job(&["web-1"]);
    request["steps"][0]["script"] = json!(format!("#!/bin/sh\n{}\n", "#".repeat(4 << 20)));
    for _ in 0..4 {
        assert_eq!(ask(&server, "POST", "jobs", Some(request.clone())).await.0, 201);
    }
    until(async || {
        let jobs = ask(&server, "GET", "jobs", None).await.1;
        jobs["jobs"].as_array().unwrap().iter().filter(|job| job["status"] == 2).count() == 4
    })
    .await;
    let mut keys = std::collections::BTreeSet::new();
    // The rest is ready at once, so that no order expires before it is sent.
    for _ in 0..2 {
        let answer = agent.orders(&server, 0).await;
        let orders = answer["orders"].as_array().unwrap();
        assert_eq!(orders.len(), 2);
        for order in orders {
            let order: Value = serde_json::from_str(order["order"].as_str().unwrap()).unwrap();
            keys.insert(order["key"].to_string());
        }
    }
    assert_eq!(keys.len(), 4, "{keys:?}");
}

#[tokio::test]
async fn the_mistakes_of_a_request_are_named_by_their_paths() {
    let server = TestServer::start().await;
    Agent::connect(&server, "web-1").await;
    let with = |key: &str, value: Value| {
        let mut request = job(&["web-1"]);
        request[key] = value;
        request
    };
    let many: Vec<_> = (0..5_001).map(|number| format!("db-{number}")).collect();
    for (request, words) in [
        (json!({}), "steps"),
        (json!([]), "should be an object"),
        (with("targets", json!({})), "targets"),
        (with("targets", json!({"hosts": ["db-*"]})), "targets.hosts[0]"),
        (with("targets", json!({"ips": [{"ip": "10.0.0"}]})), "targets.ips[0]"),
        (with("steps", json!([])), "steps"),
        (with("steps", json!([{"script": ""}])), "steps[0]"),
        (with("steps", json!([{"script": "x", "timeout": "soon"}])), "steps[0].timeout"),
        (with("steps", json!([{"script": "x", "shell": "zsh"}])), "steps[0].shell"),
        (with("rolling", json!({"expression": "0"})), "rolling"),
        (with("callback_url", json!("https://example.com/")), "callback_url"),
        (json!({"targets": {"hosts": many}, "steps": vec![json!({"script": "x"}); 100]}), "steps: 100 steps on 5001 hosts"),
        (
            json!({
                "targets": {"hosts": many},
                "steps": [{"script": "x"}],
                "then": {"failed": {"job": {"steps": vec![json!({"script": "df"}); 100]}}},
            }),
            "then.failed.job.steps: 100 steps on 5001 hosts",
        ),
    ] {
        let (status, problem) = ask(&server, "POST", "jobs", Some(request)).await;
        assert!(status == 400 && detail(&problem).contains(words), "{words}: {status} {problem}");
    }
    assert_eq!(ask(&server, "GET", "jobs", None).await.1["jobs"], json!([]), "nothing was started");
    for (path, status) in
        [("jobs/7", 404), ("jobs/x", 400), ("jobs/7/wait", 404), ("jobs/7/hosts", 404), ("jobs/7/result", 404), ("jobs?host=none", 400)]
    {
        assert_eq!(ask(&server, "GET", path, None).await.0, status, "{path}");
    }
    assert_eq!(ask(&server, "POST", "jobs/7/operate", Some(json!({"operation": "stop"}))).await.0, 404);
    assert_eq!(ask(&server, "POST", "jobs/7/operate", Some(json!({"operation": "halt"}))).await.0, 400);
}

#[tokio::test]
async fn an_agent_reports_only_for_its_own_host() {
    let server = TestServer::start().await;
    let (one, two) = (Agent::connect(&server, "web-1").await, Agent::connect(&server, "web-2").await);
    let (_, started) = ask(&server, "POST", "jobs", Some(job(&["web-1"]))).await;
    let order = one.order(&server).await;
    let ended = [json!({"event": "ended", "status": 9})];
    let (status, problem) = two.report(&server, &order, &ended).await;
    assert!(status == 403 && detail(&problem).contains("web-2"), "{problem}");
    assert_eq!(two.output(&server, &order, 0, b"lies").await.0, 409, "the agent sends it no more");
    let mut later = order.clone();
    later["key"]["attempt"] = json!(2);
    assert_eq!(one.report(&server, &later, &ended).await.0, 403, "no second attempt was ordered");
    let under_other_name = Agent { name: "web-1", token: two.token.clone() };
    assert_eq!(under_other_name.report(&server, &order, &ended).await.0, 403);
    assert_eq!(under_other_name.call(&server, "GET", "web-1/job-orders", None).await.0, 403);
    assert_eq!(one.output(&server, &order, 0, b"one").await.0, 204);
    let (status, problem) = one.output(&server, &order, 7, b"three").await;
    assert!(status == 409 && detail(&problem).contains("3 bytes"), "{problem}");
    let (_, hosts) = ask(&server, "GET", &format!("jobs/{}/hosts", started["job_id"]), None).await;
    assert_eq!(hosts["hosts"][0]["status"], 5, "what others reported changes nothing: {hosts}");
    let report = |key: &Value| json!({"number": 1, "key": key, "at_us": 1, "event": "accepted"});
    let mixed = json!({"reports": [report(&later["key"]), report(&order["key"])]});
    assert_eq!(one.call(&server, "POST", "web-1/job-reports", Some(mixed.to_string().into())).await.0, 204, "the second one is its own");
    let (_, hosts) = ask(&server, "GET", &format!("jobs/{}/hosts", started["job_id"]), None).await;
    assert_eq!((&hosts["hosts"][0]["attempt"], one.orders(&server, 0).await), (&json!(1), json!({"orders": [], "stops": []})), "{hosts}");
    let many = json!({"reports": [report(&json!({"job": 99, "step": 1, "host": 1, "attempt": 1}))]});
    assert_eq!(one.call(&server, "POST", "web-1/job-reports", Some(many.to_string().into())).await.0, 204, "of a job that was removed");
}

#[tokio::test]
async fn a_preview_starts_nothing_and_names_the_hosts_that_cannot_run() {
    let server = TestServer::start().await;
    Agent::connect(&server, "web-1").await;
    ask(&server, "PUT", "hosts", Some(json!({"hosts": [{"name": "web-2"}]}))).await;
    let (status, preview) = ask(&server, "POST", "jobs?preview=true", Some(job(&["web-*", "web-9"]))).await;
    let names = |key: &str| preview[key].as_array().unwrap().iter().map(|host| host["name"].clone()).collect::<Vec<_>>();
    assert_eq!((status, names("able"), names("unable")), (200, vec![json!("web-1")], vec![json!("web-2"), json!("web-9")]), "{preview}");
    assert!(preview["unable"].as_array().unwrap().iter().all(|host| host["reason"].is_string()), "{preview}");
    assert_eq!(ask(&server, "GET", "jobs", None).await.1["jobs"], json!([]));
}

#[tokio::test]
async fn a_job_is_stopped_and_its_failed_hosts_are_retried() {
    let server = TestServer::start().await;
    let one = Agent::connect(&server, "web-1").await;
    let (_, started) = ask(&server, "POST", "jobs", Some(job(&["web-1"]))).await;
    let id = &started["job_id"];
    let order = one.order(&server).await;
    assert_eq!(one.report(&server, &order, &[json!({"event": "accepted"}), json!({"event": "started"})]).await.0, 204);
    let operate = async |operation: &str| ask(&server, "POST", &format!("jobs/{id}/operate"), Some(json!({"operation": operation}))).await;
    assert_eq!(operate("confirm").await.0, 409);
    assert_eq!(operate("stop").await.0, 200);
    assert_eq!(one.orders(&server, 60_000).await["stops"], json!([order["key"]]));
    assert_eq!(one.report(&server, &order, &[json!({"event": "ended", "status": 403})]).await.0, 204);
    assert_eq!(wait(&server, id).await["status"], 11);
    let (status, job) = operate("retry-all").await;
    assert_eq!((status, &job["steps"][0]["attempt"]), (200, &json!(2)), "{job}");
    one.run(&server, 9).await;
    assert_eq!(wait(&server, id).await["status"], 3);
    let path = format!("/api/v1/roots/{}/tree", started["root_id"].as_str().unwrap());
    until(async || server.ask(&path).await["processes"][0]["state"] == "succeeded").await;
    assert!(server.ask(&path).await["processes"].as_array().unwrap().iter().all(|process| process["attempt"] == 2));
    let (_, audit) = ask(&server, "GET", "audit", None).await;
    let actions = audit["entries"].to_string();
    assert!(actions.contains("start a job") && actions.contains("operate a job") && actions.contains("retry-all"), "{actions}");
}

#[tokio::test]
async fn rules_refuse_a_job_let_a_user_confirm_it_or_warn() {
    let server = TestServer::with(|config| {
        let rules = [("shutdown", "refuse", Some("ask the owner")), ("rm -rf", "confirm", None), ("^sudo", "warn", None)];
        config.job_rule = rules.map(|(pattern, action, message)| JobRule::new(pattern, action, message.map(str::to_owned)).unwrap()).into();
    })
    .await;
    let one = Agent::connect(&server, "web-1").await;
    let of =
        |script: &str| json!({"name": "clean", "targets": {"hosts": ["web-1", "web-9"]}, "steps": [{"script": script}, {"script": "df"}]});
    for path in ["jobs", "jobs?preview=true"] {
        let (status, problem) = ask(&server, "POST", path, Some(of("sudo shutdown now"))).await;
        assert_eq!(status, 403, "{path}: {problem}");
        assert_eq!(detail(&problem), "steps[0].script matches the rule `shutdown` (ask the owner): the server refuses this job");
    }
    let (_, preview) = ask(&server, "POST", "jobs?preview=true", Some(of("sudo true"))).await;
    assert_eq!(preview["warnings"], json!(["steps[0].script matches the rule `^sudo`: check this job"]), "{preview}");
    let expected = json!(["steps[0].script matches the rule `rm -rf`: a user must confirm this job before it begins"]);

    // One is confirmed, the other is refused by the user.
    let (_, confirmed) = ask(&server, "POST", "jobs", Some(of("rm -rf /tmp/a"))).await;
    let (_, refused) = ask(&server, "POST", "jobs", Some(of("rm -rf /tmp/b"))).await;
    assert_eq!((&confirmed["warnings"], &refused["warnings"]), (&expected, &expected));
    for started in [&confirmed, &refused] {
        let path = format!("jobs/{}", started["job_id"]);
        until(async || ask(&server, "GET", &path, None).await.1["status"] == 7).await;
    }
    let server = TestServer::on(server.stop().await, |_| {}).await;
    assert_eq!(one.orders(&server, 0).await["orders"], json!([]), "nothing begins, also after a restart");
    let operate = async |started: &Value, operation: &str| {
        ask(&server, "POST", &format!("jobs/{}/operate", started["job_id"]), Some(json!({"operation": operation}))).await
    };
    assert_eq!(operate(&refused, "refuse").await.0, 200);
    assert_eq!(wait(&server, &refused["job_id"]).await["status"], 13);
    let (_, hosts) = ask(&server, "GET", &format!("jobs/{}/hosts?step={}", refused["job_id"], refused["steps"][0]["step_id"]), None).await;
    assert!(hosts["hosts"].as_array().unwrap().iter().all(|host| host["status"] == 13), "{hosts}");
    assert_eq!(operate(&refused, "retry-all").await.0, 409);
    assert_eq!(operate(&confirmed, "skip").await.0, 409);
    let (status, job) = operate(&confirmed, "confirm").await;
    assert_eq!((status, &job["warnings"]), (200, &expected), "{job}");
    one.run(&server, 9).await;
    let path = format!("jobs/{}/hosts?step={}", confirmed["job_id"], confirmed["steps"][0]["step_id"]);
    until(async || ask(&server, "GET", &path, None).await.1["hosts"][0]["status"] == 9).await;
    let (_, hosts) = ask(&server, "GET", &path, None).await;
    assert_eq!(hosts["hosts"][1]["status"], 2, "a target that is no host is found after the confirmation: {hosts}");
    let (_, audit) = ask(&server, "GET", "audit", None).await;
    assert!(audit["entries"].to_string().contains("started; steps[0].script matches the rule `rm -rf`"), "{audit}");
}

#[tokio::test]
async fn a_host_that_returns_after_the_end_of_a_stopped_job_receives_the_stop() {
    let server = TestServer::start().await;
    let one = Agent::connect(&server, "web-1").await;
    let (_, started) = ask(&server, "POST", "jobs", Some(job(&["web-1"]))).await;
    let id = &started["job_id"];
    let order = one.order(&server).await;
    assert_eq!(one.report(&server, &order, &[json!({"event": "accepted"}), json!({"event": "started"})]).await.0, 204);
    assert_eq!(ask(&server, "POST", &format!("jobs/{id}/operate"), Some(json!({"operation": "stop"}))).await.0, 200);
    // The agent is silent for longer than two heartbeats.
    assert_eq!(wait(&server, id).await["status"], 11);
    let (_, hosts) = ask(&server, "GET", &format!("jobs/{id}/hosts"), None).await;
    assert_eq!(hosts["hosts"][0]["status"], 310, "{hosts}");
    let server = TestServer::on(server.stop().await, |_| {}).await;
    assert_eq!(one.orders(&server, 60_000).await["stops"], json!([order["key"]]), "also after a restart of the server");
    assert_eq!(one.report(&server, &order, &[json!({"event": "ended", "status": 403})]).await.0, 204);
    let (_, hosts) = ask(&server, "GET", &format!("jobs/{id}/hosts"), None).await;
    assert_eq!(hosts["hosts"][0]["status"], 403, "{hosts}");
}

#[tokio::test]
async fn a_job_needs_a_grant_for_all_its_hosts_and_its_account_on_this_machine_too() {
    let server = TestServer::start().await;
    for name in ["web-1", "web-2"] {
        Agent::connect(&server, name).await;
    }
    let tagged = async |one: &str, other: &str| {
        let hosts = json!([{"name": "web-1", "tags": {"env": one}}, {"name": "web-2", "tags": {"env": other}}]);
        assert_eq!(ask(&server, "PUT", "hosts", Some(json!({"hosts": hosts}))).await.0, 200);
    };
    tagged("test", "prod").await;
    let send = async |token: Option<&str>, path: &str, body: &Value| {
        let request = server.client.post(format!("http://{}/api/v1/{path}", server.address)).json(body);
        read(token.iter().fold(request, reqwest::RequestBuilder::bearer_auth).send().await.unwrap()).await
    };
    let of = |hosts: &[&str], more: Value| {
        let mut job = job(hosts);
        job.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        job
    };
    // A job of an admin on the host that no grant covers.
    let others = of(&["web-2"], json!({"request_id": "others", "account": "app"}));
    assert_eq!(ask(&server, "POST", "jobs", Some(others.clone())).await.0, 201);

    let grant = JobGrant { on: "env=test".to_owned(), accounts: vec!["app".to_owned()] };
    let new = NewToken { name: "deploy".to_owned(), scopes: "operate".parse().unwrap(), lifetime: None, jobs: Some(grant.clone()) };
    let token = server.access().create_token(&new).unwrap();
    let (without, reader) = (server.token("operate"), server.token("read"));
    let stop = json!({"operation": "stop"});
    for (token, status, why) in [(None, 401, ""), (Some(&reader), 403, "operate"), (Some(&without), 403, "a-operate has no grant")] {
        for (path, body) in [("jobs", &others), ("jobs?preview=true", &others), ("jobs/1/operate", &stop)] {
            let (found, problem) = send(token.map(String::as_str), path, body).await;
            assert!(found == status && detail(&problem).contains(why), "{path}: {problem}");
        }
    }

    let me = server.get("/api/v1/me").bearer_auth(&token);
    assert_eq!(read(me.send().await.unwrap()).await.1["jobs"], json!(grant));
    let own = of(&["web-1"], json!({"request_id": "own", "account": "app"}));
    for (body, expected) in [
        (&others, "these are others: web-2"),
        (&of(&["web-*"], json!({"account": "app"})), "these are others: web-2"),
        (&of(&["web-1", "web-9"], json!({"account": "app"})), "these are others: web-9"),
        (&of(&["web-1"], json!({})), "name the account"),
        (&of(&["web-1"], json!({"account": "root"})), "not as root"),
    ] {
        for path in ["jobs", "jobs?preview=true"] {
            let (status, problem) = send(Some(&token), path, body).await;
            assert!(status == 403 && detail(&problem).contains(expected), "{path} {body}: {problem}");
        }
    }
    // The request of another caller is not repeated for one who may not run it.
    let (status, problem) = send(Some(&token), "jobs", &of(&["web-1"], json!({"request_id": "others", "account": "app"}))).await;
    assert!(status == 403 && detail(&problem).contains("these are others: web-2"), "{problem}");
    assert_eq!(send(Some(&token), "jobs/1/operate", &stop).await.0, 403);
    assert_eq!(ask(&server, "GET", "jobs", None).await.1["jobs"].as_array().unwrap().len(), 1, "nothing was started");

    assert_eq!(send(Some(&token), "jobs?preview=true", &own).await.0, 200);
    let (status, started) = send(Some(&token), "jobs", &own).await;
    assert_eq!((status, &started["job_id"]), (201, &json!(2)), "{started}");
    assert_eq!(send(Some(&token), "jobs", &own).await.0, 200);
    assert_eq!(ask(&server, "GET", "jobs/2", None).await.1["by"], "deploy");
    // The tags and the grant count at the time of each request.
    tagged("prod", "prod").await;
    assert_eq!(send(Some(&token), "jobs", &own).await.0, 403);
    assert_eq!(send(Some(&token), "jobs/2/operate", &stop).await.0, 403);
    tagged("test", "prod").await;
    server.access().set_job_grant(Holder::Token, "deploy", None).unwrap();
    assert_eq!(send(Some(&token), "jobs/2/operate", &stop).await.0, 403);
    let all = JobGrant { on: "*".to_owned(), accounts: vec!["app".to_owned()] };
    server.access().set_job_grant(Holder::Token, "deploy", Some(&all)).unwrap();
    assert_eq!(send(Some(&token), "jobs/1/operate", &stop).await.0, 200);
    let (_, audit) = ask(&server, "GET", "audit", None).await;
    let of_deploy = |outcome: &str| {
        audit["entries"].as_array().unwrap().iter().filter(|entry| entry["who"] == "deploy" && entry["outcome"] == outcome).count()
    };
    assert!(of_deploy("403") > 10 && of_deploy("started") == 1, "{audit}");
}

#[tokio::test]
async fn hosts_are_added_changed_and_removed_and_the_key_is_replaced() {
    let server = TestServer::start().await;
    let one = Agent::connect(&server, "web-1").await;
    let put = json!({"hosts": [{"name": "web-1", "ip": "10.0.0.1", "groups": ["front"]}, {"name": "db-1", "ipv6": "fd00::1"}]});
    assert_eq!(ask(&server, "PUT", "hosts", Some(put)).await.1, json!({"added": ["db-1"], "changed": ["web-1"]}));
    let (_, hosts) = ask(&server, "GET", "hosts", None).await;
    let told: Vec<_> = hosts["hosts"].as_array().unwrap().iter().map(|host| (&host["name"], &host["is_online"])).collect();
    assert_eq!(told, [(&json!("db-1"), &json!(false)), (&json!("web-1"), &json!(true))]);
    let wrong = json!({"hosts": [{"name": "a b"}, {"name": "c", "ip": "10"}, {"name": "c", "tags": {"a,b": ""}}]});
    let (status, problem) = ask(&server, "PUT", "hosts", Some(wrong)).await;
    let lines: Vec<_> = detail(&problem).lines().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!((status, lines), (400, vec!["hosts.0.name", "hosts.1.ip", "hosts.2.tags", "hosts.2.name"]), "{problem}");
    let id = &hosts["hosts"][0]["id"];
    assert_eq!(ask(&server, "DELETE", &format!("hosts/{id}"), None).await.0, 204);
    assert_eq!(ask(&server, "DELETE", &format!("hosts/{id}"), None).await.0, 404);
    assert_eq!(ask(&server, "DELETE", &format!("hosts/{}", hosts["hosts"][1]["id"]), None).await.0, 204);
    one.orders(&server, 0).await;
    assert_eq!(ask(&server, "GET", "hosts", None).await.1["hosts"][0]["name"], "web-1", "an agent that connects is a host again");

    let (_, before) = ask(&server, "GET", "jobs/key", None).await;
    let (_, after) = ask(&server, "POST", "jobs/key", None).await;
    assert_eq!(after["keys"][1], before["keys"][0], "the former key is still valid");
    ask(&server, "POST", "jobs", Some(job(&["web-1"]))).await;
    one.run(&server, 9).await;
    let kept = std::fs::read_to_string(server.data().join("job-keys")).unwrap();
    assert_eq!(kept.lines().map(str::to_owned).collect::<Vec<_>>(), serde_json::from_value::<Vec<String>>(after["keys"].clone()).unwrap());
}

#[tokio::test]
async fn reports_and_output_of_another_job_of_the_same_number_are_ignored() {
    let server = TestServer::start().await;
    let one = Agent::connect(&server, "web-1").await;
    let (_, started) = ask(&server, "POST", "jobs", Some(job(&["web-1"]))).await;
    let order = one.order(&server).await;
    let ended = |root: &Value| json!({"event": "ended", "status": 9, "output_bytes": 4, "root_id": root});
    assert_eq!(one.report(&server, &order, &[ended(&json!("0123456789abcdef0123456789abcdef"))]).await.0, 204);
    let mut former = order.clone();
    former["root_id"] = json!("0123456789abcdef0123456789abcdef");
    assert_eq!(one.output(&server, &former, 0, b"former\n").await.0, 204);
    let path = format!("jobs/{}/hosts", started["job_id"]);
    assert_eq!(ask(&server, "GET", &path, None).await.1["hosts"][0]["status"], 5);
    assert_eq!(one.output(&server, &order, 0, b"new\n").await.0, 204);
    let output = server.get(&format!("/api/v1/jobs/{}/hosts/web-1/output", started["job_id"])).send().await.unwrap();
    assert_eq!(output.bytes().await.unwrap(), b"new\n"[..]);
    assert_eq!(one.report(&server, &order, &[ended(&started["root_id"])]).await.0, 204);
    assert_eq!(ask(&server, "GET", &path, None).await.1["hosts"][0]["status"], 9);
    // After the end, the output stays as it is.
    for (offset, bytes) in [(0, &b"new\n"[..]), (0, b"old\n"), (4, b"more\n")] {
        assert_eq!(one.output(&server, &order, offset, bytes).await.0, 204);
    }
    let output = server.get(&format!("/api/v1/jobs/{}/hosts/web-1/output", started["job_id"])).send().await.unwrap();
    assert_eq!(output.bytes().await.unwrap(), b"new\n"[..]);
}

#[tokio::test]
async fn a_job_and_its_output_are_followed_until_their_end() {
    let server = TestServer::start().await;
    let one = Agent::connect(&server, "web-1").await;
    let (_, started) = ask(&server, "POST", "jobs", Some(job(&["web-1"]))).await;
    let id = &started["job_id"];
    let events = server.get(&format!("/api/v1/jobs/{id}/wait")).header("accept", "text/event-stream").send().await.unwrap();
    assert_eq!(events.headers()["content-type"], "text/event-stream");
    let output = server.get(&format!("/api/v1/jobs/{id}/hosts/web-1/output?follow=true&offset=4")).send().await.unwrap();
    assert_eq!(output.status(), 200);
    let order = one.order(&server).await;
    assert_eq!(one.report(&server, &order, &[json!({"event": "accepted"}), json!({"event": "started"})]).await.0, 204);
    assert_eq!(one.output(&server, &order, 0, b"one\ntwo\n").await.0, 204);
    let mut parts = output.bytes_stream();
    let first = parts.next().await.unwrap().unwrap();
    assert_eq!(&first[..], b"two\n", "it arrives while the script runs");
    assert_eq!(one.output(&server, &order, 8, b"three\n").await.0, 204);
    let end = [json!({"event": "accepted"}), json!({"event": "started"}), json!({"event": "ended", "status": 9, "output_bytes": 14})];
    assert_eq!(one.report(&server, &order, &end).await.0, 204);
    let rest: Vec<u8> = parts.map(|part| part.unwrap().to_vec()).concat().await;
    assert_eq!(rest, b"three\n");
    let text = events.text().await.unwrap();
    let data: Vec<Value> =
        text.lines().filter_map(|line| line.strip_prefix("data: ")).map(|data| serde_json::from_str(data).unwrap()).collect();
    assert!(data.len() > 1 && data.iter().rev().skip(1).all(|job| job["status"] != 3), "{text}");
    assert_eq!(data.last().unwrap(), &ask(&server, "GET", &format!("jobs/{id}"), None).await.1);

    // After the end, both answer at once.
    for (path, part) in [("wait?polls=2&interval=1s", "\"status\":3"), ("hosts/web-1/output?follow=true", "one\ntwo\nthree\n")] {
        let text = server.get(&format!("/api/v1/jobs/{id}/{path}")).send().await.unwrap().text().await.unwrap();
        assert!(text.contains(part), "{path}: {text}");
    }
    for (path, part) in [
        ("wait?polls=31", "`polls`"),
        ("wait?polls=-1", "polls"),
        ("wait?interval=soon", "`interval`"),
        ("wait?interval=0s", "`interval`"),
        ("wait?timeout_ms=1&polls=1", "`timeout_ms`"),
        ("wait?timeout_ms=600001", "`timeout_ms`"),
        ("hosts/web-1/output?follow=maybe", "follow"),
    ] {
        let (status, problem) = ask(&server, "GET", &format!("jobs/{id}/{path}"), None).await;
        assert!(status == 400 && detail(&problem).contains(part), "{path}: {problem}");
    }
}

#[tokio::test]
async fn the_request_of_a_job_is_shown_without_its_sensitive_parts() {
    let server = TestServer::start().await;
    Agent::connect(&server, "web-1").await;
    let plain = json!({"script": "df", "args": ["/"], "env": {"A": "1"}});
    let sensitive = json!({"script": "login", "args": ["hunter2"], "env": {"KEY": "hunter2"}, "is_param_sensitive": true});
    let next = json!({"name": "undo", "steps": [sensitive]});
    let request = json!({
        "name": "check", "request_id": "r", "targets": {"hosts": ["web-1"]}, "steps": [plain, sensitive], "rolling": {"expression": "1"},
        "then": {"failed": {"job": next}},
    });
    assert_eq!(ask(&server, "POST", "jobs", Some(request)).await.0, 201);
    let (status, shown) = ask(&server, "GET", "jobs/1/request", None).await;
    assert_eq!(status, 200, "{shown}");
    assert_eq!((&shown["steps"][0]["args"], &shown["steps"][0]["env"]["A"]), (&json!(["/"]), &json!("1")), "{shown}");
    assert_eq!((&shown["steps"][1]["script"], &shown["then"]["failed"]["job"]["steps"][0]["script"]), (&json!("login"), &json!("login")));
    assert!(!shown.to_string().contains("hunter2") && shown["request_id"].is_null(), "{shown}");
    assert_eq!(read(server.get("/api/v1/jobs/1/request").send().await.unwrap()).await.0, 401, "readers of this machine don't see scripts");
    // It starts another job.
    let (status, again) = ask(&server, "POST", "jobs", Some(shown)).await;
    assert_eq!((status, &again["job_id"]), (201, &json!(2)), "{again}");
    assert_eq!(ask(&server, "GET", "jobs/9/request", None).await.0, 404);
}
