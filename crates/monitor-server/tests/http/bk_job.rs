//! Tests of the calls of `BlueKing` JOB: in their documented form, with hostile parameters, and by a client that was written for it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use monitor_jobs::JobRule;
use monitor_server::access::{Holder, NewToken};
use monitor_wire::JobGrant;
use serde_json::{Value, json};

use crate::job_agent::{Agent, ask};
use crate::support::{TestServer, until};

const OLD: &str = "/api/c/compapi/v2/jobv3";
const NEW: &str = "/api/bk-job/prod/api/v3";
const SYSTEM: &str = "/api/bk-job/prod/api/v3/system";
const HEADER: &str = "x-bkapi-authorization";

/// Sends a call with a token in the header of `BlueKing`'s clients, by GET if there is no body. Returns the status and the answer.
async fn call(server: &TestServer, path: &str, token: Option<&str>, body: Option<Value>) -> (u16, Value) {
    let url = format!("http://{}{path}", server.address);
    let request = body.map_or_else(|| server.client.get(&url), |body| server.client.post(&url).json(&body));
    let app = |token: &&str| json!({"bk_app_code": "log", "bk_app_secret": token, "bk_username": "zhang"}).to_string();
    let request = token.iter().fold(request, |request, token| request.header(HEADER, app(token)));
    told(request).await
}

/// Sends a request. The answer must have the form of all answers.
async fn told(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let (status, type_) = (response.status().as_u16(), response.headers()["content-type"].clone());
    let answer: Value = response.json().await.unwrap();
    assert_eq!(type_, "application/json", "{answer}");
    assert_eq!(answer["result"], answer["code"] == 0, "{answer}");
    assert!(answer["message"].is_string() && answer["job_request_id"].as_str().is_some_and(|id| id.len() == 32), "{answer}");
    assert_eq!(answer.as_object().unwrap().len(), 5, "{answer}");
    (status, answer)
}

/// Calls as an admin, by POST. The status must be 200.
async fn post(server: &TestServer, name: &str, body: Value) -> Value {
    let (status, answer) = call(server, &format!("{OLD}/{name}/"), Some(&server.local_token()), Some(body)).await;
    assert_eq!(status, 200, "{name}: {answer}");
    answer
}

/// Adds hosts with addresses, whose agents connect.
async fn hosts<const N: usize>(server: &TestServer, hosts: [(&'static str, &str); N]) -> Vec<Agent> {
    let list: Vec<_> = hosts.iter().map(|(name, ip)| json!({"name": name, "ip": ip})).collect();
    assert_eq!(ask(server, "PUT", "hosts", Some(json!({"hosts": list}))).await.0, 200);
    let mut agents = Vec::new();
    for (name, _) in hosts {
        agents.push(Agent::connect(server, name).await);
    }
    agents
}

fn ips(ips: &[&str]) -> Value {
    ips.iter().map(|ip| json!({"bk_cloud_id": 0, "ip": ip})).collect()
}

fn script(target_server: Value) -> Value {
    let mut request = json!({
        "bk_scope_type": "biz", "bk_scope_id": "2", "script_content": STANDARD.encode("#!/bin/sh\ndf\n"), "script_language": 1,
        "account_alias": "app", "task_name": "disk check",
    });
    request["target_server"] = target_server;
    request
}

/// Accepts the next order of an agent, sends its output, and ends it.
async fn work(server: &TestServer, agent: &Agent, output: &'static str, ended: Value) -> Value {
    let order = agent.order(server).await;
    assert_eq!(agent.report(server, &order, &[json!({"event": "accepted"}), json!({"event": "started"})]).await.0, 204);
    assert_eq!(agent.output(server, &order, 0, output.as_bytes()).await.0, 204);
    assert_eq!(agent.report(server, &order, &[ended]).await.0, 204);
    order
}

fn ended(status: u16, exit_code: i32) -> Value {
    json!({"event": "ended", "status": status, "exit_code": exit_code})
}

/// Waits until a job has the status.
async fn has_status(server: &TestServer, job: &Value, status: u16) {
    until(async || ask(server, "GET", &format!("jobs/{job}"), None).await.1["status"] == status).await;
}

#[tokio::test]
async fn each_call_answers_in_its_documented_form() {
    let server = TestServer::start().await;
    let agents = hosts(&server, [("web-1", "10.0.0.1"), ("web-2", "10.0.0.2")]).await;
    let mut request = script(json!({"ip_list": ips(&["10.0.0.1", "10.0.0.9"])}));
    for (name, value) in [
        ("script_param", json!(STANDARD.encode(r#"-a 'b c' "d\"e""#))),
        ("script_language", json!("4")),
        ("timeout", json!("1000")),
        ("is_param_sensitive", json!("True")),
        ("start_task", json!(true)),
        ("bk_callback_url", json!("")),
        ("rolling_config", json!({"expression": "10", "mode": 2})),
        ("what_comes_later", json!([{}])),
    ] {
        request[name] = value;
    }
    let answer = post(&server, "fast_execute_script", request).await;
    let (job, step) = (answer["data"]["job_instance_id"].clone(), answer["data"]["step_instance_id"].clone());
    assert!(job.is_u64() && step.is_u64(), "{answer}");
    assert_eq!(answer["data"], json!({"job_instance_id": job, "job_instance_name": "disk check", "step_instance_id": step}));
    assert_eq!(answer["message"], "success");
    let order = work(&server, &agents[0], "{\"status\": true}\n", ended(9, 0)).await;
    let expected = json!(["-a", "b c", "d\"e"]);
    assert_eq!((&order["args"], &order["language"], &order["timeout_s"]), (&expected, &json!("python"), &json!(1_000)), "{order}");
    assert_eq!((&order["account"], &order["is_param_sensitive"], &order["name"]), (&json!("app"), &json!(true), &json!("disk check")));
    assert_eq!(order["script"], "#!/bin/sh\ndf\n");
    has_status(&server, &job, 6).await;

    let query = format!("bk_biz_id=2&job_instance_id={job}&return_ip_result=True&bk_app_secret=none");
    let by_get = [OLD, NEW, SYSTEM].iter().flat_map(|prefix| ["", "/"].map(|end| format!("{prefix}/get_job_instance_status{end}?{query}")));
    let mut shown = Vec::new();
    for path in by_get {
        let (status, answer) = call(&server, &path, None, None).await;
        assert_eq!(status, 200, "{path}: {answer}");
        shown.push(answer["data"].clone());
    }
    let body = json!({"bk_scope_type": "biz", "bk_scope_id": 2, "job_instance_id": job.to_string(), "return_ip_result": true});
    shown.push(post(&server, "get_job_instance_status", body).await["data"].clone());
    assert!(shown.windows(2).all(|pair| pair[0] == pair[1]), "{shown:?}");
    let shown = &shown[0];
    let times = |of: &Value| ["create_time", "start_time", "end_time", "total_time"].map(|name| of[name].clone());
    let [instance, step_shown] = [&shown["job_instance"], &shown["step_instance_list"][0]].map(times);
    let [created, started, ended_at, total] = instance.map(|time| time.as_u64().unwrap());
    assert!(created > 1_700_000_000_000 && created < 100_000_000_000_000, "milliseconds: {created}");
    assert!(created <= started && started <= ended_at && total <= ended_at - started + 1, "{shown}");
    let [one, missing] = [0, 1].map(|place| &shown["step_instance_list"][0]["step_ip_result_list"][place]);
    let expected = json!({
        "finished": true, "is_finished": true,
        "job_instance": {
            "job_instance_id": job, "name": "disk check", "bk_scope_type": "biz", "bk_scope_id": "2", "status": 6,
            "create_time": created, "start_time": started, "end_time": ended_at, "total_time": total,
        },
        "step_instance_list": [{
            "step_instance_id": step, "name": "disk check", "type": 1, "status": 6, "execute_count": 0,
            "create_time": step_shown[0], "start_time": step_shown[1], "end_time": step_shown[2], "total_time": step_shown[3],
            "step_ip_result_list": [
                {
                    "bk_host_id": 1, "bk_cloud_id": 0, "ip": "10.0.0.1", "status": 9, "tag": "", "exit_code": 0, "error_code": 0,
                    "start_time": one["start_time"], "end_time": one["end_time"], "total_time": one["total_time"],
                },
                {
                    "bk_host_id": null, "bk_cloud_id": 0, "ip": "10.0.0.9", "status": 2, "tag": "", "exit_code": null, "error_code": 2,
                    "start_time": null, "end_time": missing["end_time"], "total_time": null,
                },
            ],
        }],
    });
    assert_eq!(*shown, expected);
    let without = post(&server, "get_job_instance_status", json!({"job_instance_id": job, "return_ip_result": "False"})).await;
    assert_eq!(without["data"]["step_instance_list"][0]["step_ip_result_list"], json!([]));

    let log = |ip: &str, host: Value, content: &str| json!({"bk_host_id": host, "bk_cloud_id": 0, "ip": ip, "log_content": content});
    let (own, other) = (log("10.0.0.1", json!(1), "{\"status\": true}\n"), log("10.0.0.9", Value::Null, ""));
    let stranger = log("10.9.9.9", Value::Null, "");
    let of = |list: Value| json!({"job_instance_id": job, "step_instance_id": step, "ip_list": list});
    let answer = post(&server, "batch_get_job_instance_ip_log", of(ips(&["10.9.9.9", "10.0.0.1", "10.0.0.9"]))).await;
    assert_eq!(answer["data"], json!({"log_type": 1, "script_task_logs": [stranger, own, other]}));
    let list = url_encoded(&ips(&["10.0.0.1"]).to_string());
    let path = format!("{NEW}/batch_get_job_instance_ip_log?job_instance_id={job}&step_instance_id={step}&ip_list={list}");
    assert_eq!(call(&server, &path, None, None).await.1["data"]["script_task_logs"], json!([own]));
    let by_number = json!({"job_instance_id": job, "step_instance_id": step, "host_id_list": [1, "77"]});
    let answer = post(&server, "batch_get_job_instance_ip_log", by_number).await;
    assert_eq!(answer["data"]["script_task_logs"], json!([own, log("", json!(77), "")]));
    let path = format!("{SYSTEM}/get_job_instance_ip_log/?job_instance_id={job}&step_instance_id={step}&bk_cloud_id=0&ip=10.0.0.1");
    let mut single = own.clone();
    single["log_type"] = json!(1);
    assert_eq!(call(&server, &path, None, None).await.1["data"], single);
    let answer = post(&server, "get_job_instance_ip_log", json!({"job_instance_id": job, "step_instance_id": step, "bk_host_id": 1})).await;
    assert_eq!(answer["data"], single);
}

fn url_encoded(text: &str) -> String {
    reqwest::Url::parse_with_params("http://localhost/", [("a", text)]).unwrap().query().unwrap()[2..].to_owned()
}

#[tokio::test]
async fn illegal_parameters_are_refused_with_their_codes_and_start_nothing() {
    let server = TestServer::start().await;
    hosts(&server, [("web-1", "10.0.0.1"), ("7", "10.0.0.7")]).await;
    let with = |name: &str, value: Value| {
        let mut request = script(json!({"host_id_list": [1]}));
        request[name] = value;
        request
    };
    let many: Vec<u32> = (1..=100_001).collect();
    let hostile = json!({"ip_list": [{"ip": "10.0.0.1; rm -rf /"}]});
    for (request, code, words) in [
        (json!({}), 1_241_004, "target_server"),
        (with("script_content", Value::Null), 1_241_004, "script_content"),
        (with("script_content", json!("%%%")), 1_241_005, "script_content: it is not base64"),
        (with("script_content", json!("ZGY")), 1_241_005, "script_content: it is not base64"),
        (with("script_param", json!(["hunter2"])), 1_241_005, "script_param: a list is not a text"),
        (with("script_content", json!(STANDARD.encode([0xff]))), 1_241_005, "not UTF-8"),
        (with("script_content", json!(STANDARD.encode("a\0b"))), 1_241_005, "script_content"),
        (with("script_content", json!({})), 1_241_005, "script_content"),
        (with("script_param", json!(STANDARD.encode("'a b"))), 1_241_005, "quotation mark"),
        (with("script_param", json!(STANDARD.encode("a\0b"))), 1_241_005, "script_param"),
        (with("script_language", json!(6)), 1_241_005, "script_language"),
        (with("timeout", json!(0)), 1_241_005, "timeout"),
        (with("timeout", json!(86_401)), 1_241_005, "timeout"),
        (with("timeout", json!(-1)), 1_241_005, "timeout"),
        (with("task_name", json!("a\nb")), 1_241_005, "task_name"),
        (with("task_name", json!("x".repeat(300))), 1_241_005, "task_name"),
        (with("is_param_sensitive", json!("maybe")), 1_241_005, "is_param_sensitive"),
        (with("start_task", json!("False")), 1_241_005, "start_task"),
        (with("callback_url", json!("ftp://example.com")), 1_241_005, "callback_url"),
        (with("account_alias", json!("a\u{7}")), 1_244_003, "account_alias"),
        (with("rolling_config", json!({"expression": "0"})), 1_244_026, "rolling_config.expression"),
        (with("rolling_config", json!({"expression": "1", "mode": 4})), 1_244_026, "rolling_config.mode"),
        (with("rolling_config", json!({"mode": 1})), 1_244_026, "rolling_config.expression"),
        (with("target_server", json!({})), 1_244_001, "no host is selected"),
        (with("target_server", json!({"host_id_list": [], "ip_list": null})), 1_244_001, "no host is selected"),
        (with("target_server", json!({"host_id_list": ["web-1"]})), 1_241_005, "target_server.host_id_list[0]"),
        (with("target_server", json!({"host_id_list": [7]})), 1_244_001, "only one of that name"),
        (with("target_server", json!({"ip_list": [{}]})), 1_241_004, "target_server.ip_list[0].ip"),
        (with("target_server", hostile), 1_244_001, "target_server.ip_list[0]"),
        (with("target_server", json!({"host_id_list": many})), 1_244_022, "100001 hosts"),
        (with("target_server", json!({"host_id_list": [1], "dynamic_group_list": [{}]})), 1_241_004, "dynamic_group_list[0].id"),
        (with("target_server", json!({"dynamic_group_list": ["g"]})), 1_241_005, "dynamic_group_list"),
        (with("target_server", json!({"dynamic_group_list": [{"id": ""}]})), 1_241_004, "dynamic_group_list[0].id"),
        (with("target_server", json!({"topo_node_list": [{"id": 1, "node_type": "module"}]})), 1_241_005, "topo_node_list"),
        (with("target_server", json!("web-1")), 1_241_005, "target_server"),
    ] {
        let answer = post(&server, "fast_execute_script", request).await;
        let message = answer["message"].as_str().unwrap();
        assert!(answer["code"] == code && message.contains(words) && answer["data"].is_null(), "{code} {words}: {answer}");
    }
    let mut by_id = script(json!({"host_id_list": [1]}));
    by_id.as_object_mut().unwrap().remove("account_alias");
    by_id["account_id"] = json!(3);
    assert_eq!(post(&server, "fast_execute_script", by_id).await["code"], 1_244_003);
    let stored = json!({"script_id": "x", "target_server": {"host_id_list": [1]}});
    assert_eq!(post(&server, "fast_execute_script", stored).await["code"], 1_241_005);
    for (body, words) in [("{", "not JSON"), ("[]", "not an object"), (&" ".repeat((8 << 20) + 1), "larger than")] {
        let request = server.client.post(format!("http://{}{NEW}/fast_execute_script", server.address)).bearer_auth(server.local_token());
        let (status, answer) = told(request.body(body.to_owned())).await;
        assert!(status == 200 && answer["code"] == 1_240_003 && answer["message"].as_str().unwrap().contains(words), "{answer}");
    }
    assert_eq!(ask(&server, "GET", "jobs", None).await.1["jobs"], json!([]), "nothing was started");

    let both = json!({"host_id_list": [1], "ip_list": ips(&["10.0.0.7"])});
    let answer = post(&server, "fast_execute_script", script(both)).await;
    let (_, targets) = ask(&server, "GET", &format!("jobs/{}/hosts", answer["data"]["job_instance_id"]), None).await;
    let names: Vec<_> = targets["hosts"].as_array().unwrap().iter().map(|host| &host["name"]).collect();
    assert_eq!(names.len(), 1, "numbers of hosts take precedence: {targets}");

    // Dynamic groups are saved targets.
    assert_eq!(ask(&server, "PUT", "targets/all", Some(json!({"hosts": ["*"]}))).await.0, 200);
    let groups = json!({"host_id_list": [1], "dynamic_group_list": [{"id": "all"}]});
    let answer = post(&server, "fast_execute_script", script(groups)).await;
    let (_, targets) = ask(&server, "GET", &format!("jobs/{}/hosts", answer["data"]["job_instance_id"]), None).await;
    let (_, hosts) = ask(&server, "GET", "hosts", None).await;
    assert_eq!(targets["hosts"].as_array().unwrap().len(), hosts["hosts"].as_array().unwrap().len(), "{targets}");
    assert_eq!(ask(&server, "PUT", "targets/none", Some(json!({"hosts": ["x-*"]}))).await.0, 200);
    let answer = post(&server, "fast_execute_script", script(json!({"dynamic_group_list": [{"id": "none"}]}))).await;
    assert!(answer["code"] == 1_244_001 && answer["message"].as_str().unwrap().contains("dynamic_group_list[0]"), "{answer}");
}

#[tokio::test]
async fn jobs_steps_and_calls_that_do_not_exist_have_their_own_codes() {
    let server = TestServer::start().await;
    hosts(&server, [("web-1", "10.0.0.1")]).await;
    let started = post(&server, "fast_execute_script", script(json!({"host_id_list": [1]}))).await;
    let job = &started["data"]["job_instance_id"];
    for (name, body, code) in [
        ("get_job_instance_status", json!({}), 1_241_004),
        ("get_job_instance_status", json!({"job_instance_id": "x"}), 1_241_005),
        ("get_job_instance_status", json!({"job_instance_id": -1}), 1_241_005),
        ("get_job_instance_status", json!({"job_instance_id": 0}), 1_244_006),
        ("get_job_instance_status", json!({"job_instance_id": u64::MAX}), 1_244_006),
        ("batch_get_job_instance_ip_log", json!({"job_instance_id": job}), 1_241_004),
        ("batch_get_job_instance_ip_log", json!({"job_instance_id": job, "step_instance_id": 0}), 1_244_007),
        ("batch_get_job_instance_ip_log", json!({"job_instance_id": job, "step_instance_id": 1}), 1_241_004),
        ("get_job_instance_ip_log", json!({"job_instance_id": 0, "step_instance_id": 1, "bk_host_id": 1}), 1_244_006),
        ("get_job_instance_ip_log", json!({"job_instance_id": job, "step_instance_id": 1}), 1_241_004),
        ("operate_job_instance", json!({"job_instance_id": 0, "operation_code": 1}), 1_244_006),
        ("operate_job_instance", json!({"job_instance_id": job, "operation_code": 2}), 1_241_005),
        ("operate_step_instance", json!({"job_instance_id": job, "step_instance_id": 99, "operation_code": 2}), 1_244_007),
        ("operate_step_instance", json!({"job_instance_id": job, "step_instance_id": 1, "operation_code": 4}), 1_241_005),
        ("operate_step_instance", json!({"job_instance_id": job, "step_instance_id": 1, "operation_code": 10}), 1_240_003),
        ("execute_job_plan", json!({}), 1_241_003),
        ("a/b", json!({}), 1_241_003),
    ] {
        let answer = post(&server, name, body.clone()).await;
        assert!(answer["code"] == code && answer["data"].is_null(), "{name} {body}: {answer}");
        assert!(answer["message"].as_str().unwrap().len() > 10, "{answer}");
    }
    for (path, code) in [
        (format!("{OLD}/push_config_file"), 1_241_003),
        (format!("{SYSTEM}/get_job_list/"), 1_241_003),
        (format!("{OLD}/fast_execute_script/"), 1_240_003),
    ] {
        let (status, answer) = call(&server, &path, None, None).await;
        assert_eq!((status, &answer["code"]), (200, &json!(code)), "{path}: {answer}");
    }
}

#[tokio::test]
async fn a_rule_for_dangerous_commands_refuses_a_script() {
    let server = TestServer::with(|config| config.job_rule = vec![JobRule::new("rm -rf", "refuse", None).unwrap()]).await;
    hosts(&server, [("web-1", "10.0.0.1")]).await;
    let mut request = script(json!({"host_id_list": [1]}));
    request["script_content"] = json!(STANDARD.encode("rm -rf /"));
    let (status, answer) = call(&server, &format!("{OLD}/fast_execute_script/"), Some(&server.local_token()), Some(request)).await;
    assert_eq!((status, &answer["code"], &answer["data"]), (200, &json!(1_244_019), &Value::Null), "{answer}");
    assert_eq!(answer["message"], "script_content matches the rule `rm -rf`: the server refuses this job");
}

#[tokio::test]
async fn tokens_are_read_where_clients_send_them_and_user_names_grant_nothing() {
    let server = TestServer::start().await;
    hosts(&server, [("web-1", "10.0.0.1")]).await;
    let (path, request) = (format!("{OLD}/fast_execute_script/"), script(json!({"host_id_list": [1]})));
    let url = format!("http://{}{path}", server.address);
    let new = NewToken { name: "log-platform".to_owned(), scopes: "admin".parse().unwrap(), lifetime: None, jobs: None };
    let token = server.access().create_token(&new).unwrap();
    let mut in_body = request.clone();
    (in_body["bk_app_secret"], in_body["bk_username"]) = (json!(token), json!("li \"the\" admin"));
    for sent in [
        server.client.post(&url).json(&request).bearer_auth(&token),
        server.client.post(&url).json(&request).header(HEADER, json!({"bk_app_secret": token, "bk_username": "zhang"}).to_string()),
        server.client.post(&url).json(&in_body),
        server.client.post(&url).json(&in_body).header(HEADER, json!({"bk_username": "wang"}).to_string()),
    ] {
        let (status, answer) = told(sent).await;
        assert_eq!((status, &answer["code"]), (200, &json!(0)), "{answer}");
        let (_, job) = ask(&server, "GET", &format!("jobs/{}", answer["data"]["job_instance_id"]), None).await;
        assert_eq!(job["by"], "log-platform", "the token starts the job, not the user name");
    }
    let (_, audit) = ask(&server, "GET", "audit", None).await;
    let entries = audit["entries"].to_string();
    for words in ["start a job by bk-job", "zhang", "wang", "admin", "without a user name", "started job 1"] {
        assert!(entries.contains(words), "{words}: {entries}");
    }
    assert!(!entries.contains(&token), "{entries}");

    let mut as_admin = request.clone();
    as_admin["bk_username"] = json!("admin");
    for (token, status, code) in [
        (Some("no token of this server"), 401, 1_238_001),
        (Some(""), 401, 1_238_001),
        (Some("line\u{a0}break"), 401, 1_238_001),
        (None, 401, 1_238_001),
        (Some(server.token("read").as_str()), 200, 9_900_403),
    ] {
        for name in ["fast_execute_script/", "operate_job_instance", "operate_step_instance/"] {
            let (found, answer) = call(&server, &format!("{OLD}/{name}"), token, Some(as_admin.clone())).await;
            assert_eq!((found, &answer["code"], &answer["data"]), (status, &json!(code), &Value::Null), "{token:?} {name}: {answer}");
        }
    }
    let without_grant = call(&server, &path, Some(&server.token("operate")), Some(as_admin.clone())).await.1;
    assert_eq!(without_grant["code"], 9_900_403, "{without_grant}");
    let granted = |on: &str| Some(JobGrant { on: on.to_owned(), accounts: vec!["app".to_owned()] });
    let new = NewToken { name: "deploy".to_owned(), scopes: "operate".parse().unwrap(), lifetime: None, jobs: granted("env") };
    let deploy = server.access().create_token(&new).unwrap();
    let (stop, ignore) =
        (json!({"job_instance_id": 1, "operation_code": 1}), json!({"job_instance_id": 1, "step_instance_id": 1, "operation_code": 3}));
    let calls = [("fast_execute_script/", &request), ("operate_job_instance", &stop), ("operate_step_instance/", &ignore)];
    for (name, body) in calls {
        let (status, answer) = call(&server, &format!("{OLD}/{name}"), Some(&deploy), Some(body.clone())).await;
        assert_eq!((status, &answer["code"]), (200, &json!(9_900_403)), "{name}: {answer}");
        assert!(answer["message"].as_str().unwrap().contains("these are others: web-1"), "{answer}");
    }
    let (status, answer) = told(server.client.post(&url).json(&request).header(HEADER, "{secret}")).await;
    assert!(status == 401 && answer["message"].as_str().unwrap().contains("X-Bkapi-Authorization"), "{answer}");
    assert_eq!(ask(&server, "GET", "jobs", None).await.1["jobs"].as_array().unwrap().len(), 4, "no other job was started");

    server.access().set_job_grant(Holder::Token, "deploy", granted("*").as_ref()).unwrap();
    for (name, body) in [calls[0], calls[1]] {
        let (_, answer) = call(&server, &format!("{OLD}/{name}"), Some(&deploy), Some(body.clone())).await;
        assert_eq!(answer["code"], 0, "{name}: {answer}");
    }

    let status = format!("{NEW}/get_job_instance_status/");
    let body = || Some(json!({"job_instance_id": 1}));
    assert_eq!(call(&server, &status, None, body()).await.1["code"], 0, "this machine may read");
    let ingest = NewToken { name: "sender".to_owned(), scopes: "ingest".parse().unwrap(), lifetime: None, jobs: None };
    let ingest = server.access().create_token(&ingest).unwrap();
    assert_eq!(call(&server, &status, Some(&ingest), body()).await.1["code"], 9_900_403);
    let forwarded = server.client.post(format!("http://{}{status}", server.address)).header("x-forwarded-for", "192.0.2.7").json(&body());
    assert_eq!(told(forwarded).await.0, 401);
}

#[tokio::test]
async fn too_many_requests_keep_their_status() {
    let server = TestServer::with(|config| config.max_requests_per_second = 1).await;
    until(async || {
        let (status, answer) = call(&server, &format!("{OLD}/get_job_instance_status/?job_instance_id=1"), None, None).await;
        assert_eq!(answer["code"], if status == 429 { 1_244_022 } else { 1_244_006 }, "{answer}");
        status == 429
    })
    .await;
}

#[tokio::test]
async fn a_job_is_stopped_retried_and_continued() {
    let server = TestServer::start().await;
    let agents = hosts(&server, [("web-1", "10.0.0.1"), ("web-2", "10.0.0.2")]).await;
    let mut request = script(json!({"host_id_list": [1, 2]}));
    request["rolling_config"] = json!({"expression": "1", "mode": "3"});
    let started = post(&server, "fast_execute_script", request).await;
    let (job, step) = (&started["data"]["job_instance_id"], &started["data"]["step_instance_id"]);
    let operate = async |operation: u8| {
        let body = json!({"bk_biz_id": 2, "job_instance_id": job, "step_instance_id": step, "operation_code": operation});
        post(&server, "operate_step_instance", body).await
    };
    let both = json!({"job_instance_id": job, "step_instance_id": step});
    assert_eq!(operate(13).await["code"], 1_240_003, "it does not wait for a user");
    work(&server, &agents[0], "", ended(104, 1)).await;
    until(async || [7, 15].contains(&ask(&server, "GET", &format!("jobs/{job}"), None).await.1["status"].as_u64().unwrap())).await;
    assert_eq!(operate(13).await["data"], both);
    work(&server, &agents[1], "", ended(9, 0)).await;
    has_status(&server, job, 4).await;
    assert_eq!(operate(2).await["data"], both);
    let order = agents[0].order(&server).await;
    assert_eq!(order["key"]["attempt"], 2);
    let stopped = post(&server, "operate_job_instance", json!({"job_instance_id": job, "operation_code": "1"})).await;
    assert_eq!(stopped["data"], json!({"job_instance_id": job}));
    assert_eq!(agents[0].report(&server, &order, &[ended(403, 0)]).await.0, 204);
    has_status(&server, job, 11).await;
    let again = post(&server, "operate_job_instance", json!({"job_instance_id": job, "operation_code": 1})).await;
    assert!(again["code"] == 1_240_003 && again["message"].as_str().unwrap().contains("can't be stopped"), "{again}");
    assert_eq!(operate(12).await["data"], both);
    has_status(&server, job, 6).await;
    let status = post(&server, "get_job_instance_status", json!({"job_instance_id": job, "return_ip_result": 1})).await;
    let step = &status["data"]["step_instance_list"][0];
    assert_eq!((&step["execute_count"], &step["step_ip_result_list"][1]["status"]), (&json!(1), &json!(3)), "{status}");
}

#[tokio::test]
async fn logs_are_sent_for_up_to_500_hosts() {
    let server = TestServer::start().await;
    hosts(&server, [("web-1", "10.0.0.1")]).await;
    let addresses: Vec<String> = (0..501).map(|host| format!("10.1.{}.{}", host / 250, host % 250)).collect();
    let of = |count: usize| ips(&addresses[..count].iter().map(String::as_str).collect::<Vec<_>>());
    let started = post(&server, "fast_execute_script", script(json!({"ip_list": of(501)}))).await;
    let (job, step) = (&started["data"]["job_instance_id"], &started["data"]["step_instance_id"]);
    has_status(&server, job, 4).await;
    let status = post(&server, "get_job_instance_status", json!({"job_instance_id": job, "return_ip_result": true})).await;
    assert_eq!(status["data"]["step_instance_list"][0]["step_ip_result_list"].as_array().unwrap().len(), 501);
    let logs = async |count| {
        let body = json!({"job_instance_id": job, "step_instance_id": step, "ip_list": of(count)});
        post(&server, "batch_get_job_instance_ip_log", body).await
    };
    let answer = logs(500).await;
    let found: Vec<_> = answer["data"]["script_task_logs"].as_array().unwrap().iter().map(|log| log["ip"].as_str().unwrap()).collect();
    assert_eq!(found, addresses[..500]);
    let answer = logs(501).await;
    assert!(answer["code"] == 1_244_022 && answer["message"].as_str().unwrap().contains("501"), "{answer}");
}

/// Findings of the client for one check.
#[derive(Debug, Default, PartialEq)]
struct Findings {
    /// Hosts that have succeeded.
    good: Vec<String>,
    /// Hosts that have failed, with their statuses.
    bad: Vec<(String, u64)>,
    /// Lines of output by host.
    lines: Vec<(String, Value)>,
    /// Hosts without a log.
    without_log: Vec<String>,
    errors: Vec<String>,
}

/// Runs a check as a known client of `BlueKing` JOB does: it starts a script, polls until the end, and reads the logs. It does not check
/// that a list is one.
async fn check(server: &TestServer, secret: &str, list: &[&str]) -> Findings {
    let mut findings = Findings::default();
    let started = call(server, &format!("{OLD}/fast_execute_script/"), Some(secret), Some(script(json!({"ip_list": ips(list)})))).await.1;
    if started["result"] != true {
        findings.errors.push(started["code"].to_string());
    }
    // After a refusal, it polls the job 0.
    let number = |name: &str| started["data"][name].as_u64().unwrap_or(0);
    let (job, step) = (number("job_instance_id"), number("step_instance_id"));
    let path = format!("{OLD}/get_job_instance_status/?bk_biz_id=2&job_instance_id={job}&return_ip_result=True");
    let mut status = Value::Null;
    until(async || {
        status = call(server, &path, Some(secret), None).await.1;
        status["result"] != true || status["data"]["is_finished"] == true
    })
    .await;
    if status["result"] != true {
        findings.errors.push(status["code"].to_string());
        return findings;
    }
    let steps = status["data"]["step_instance_list"].as_array().expect("a list");
    let found = steps.iter().find(|found| found["step_instance_id"] == step).expect("its step");
    let key = |host: &Value| format!("{}:{}", host["bk_cloud_id"], host["ip"].as_str().unwrap());
    for host in found["step_ip_result_list"].as_array().expect("a list") {
        match host["status"].as_u64().unwrap() {
            9 => findings.good.push(key(host)),
            other => findings.bad.push((key(host), other)),
        }
    }
    let body = json!({"bk_biz_id": 2, "job_instance_id": job, "step_instance_id": step, "ip_list": ips(list)});
    let logs = call(server, &format!("{OLD}/batch_get_job_instance_ip_log/"), Some(secret), Some(body)).await.1;
    let logs = logs["data"]["script_task_logs"].as_array().expect("a list");
    for ip in list.iter().map(|ip| format!("0:{ip}")) {
        let Some(log) = logs.iter().find(|log| key(log) == ip) else {
            findings.without_log.push(ip);
            continue;
        };
        let lines = log["log_content"].as_str().unwrap().lines().filter(|line| !line.trim().is_empty());
        findings.lines.extend(lines.map(|line| (ip.clone(), serde_json::from_str(line).expect("a line of JSON"))));
    }
    findings
}

const GOOD: &str = "{\"status\": true, \"data\": []}\n\n";

#[tokio::test]
async fn a_known_client_reads_the_outcome_of_every_host() {
    let server = TestServer::start().await;
    let agents = hosts(&server, [("web-1", "10.0.0.1"), ("web-2", "10.0.0.2")]).await;
    let secret = server.local_token();
    let line = |ip: &str| (format!("0:{ip}"), json!({"status": true, "data": []}));
    let (both, named) = (["10.0.0.1", "10.0.0.2"], |ip: &str| format!("0:{ip}"));

    let all_good = tokio::join!(
        check(&server, &secret, &both),
        work(&server, &agents[0], GOOD, ended(9, 0)),
        work(&server, &agents[1], GOOD, ended(9, 0))
    );
    let expected = Findings { good: both.map(named).to_vec(), lines: both.map(line).to_vec(), ..Findings::default() };
    assert_eq!(all_good.0, expected);

    let with_exit_code = tokio::join!(
        check(&server, &secret, &both),
        work(&server, &agents[0], GOOD, ended(9, 0)),
        work(&server, &agents[1], "", ended(104, 3))
    );
    let expected = Findings {
        good: vec![named("10.0.0.1")],
        bad: vec![(named("10.0.0.2"), 104)],
        lines: vec![line("10.0.0.1")],
        ..Findings::default()
    };
    assert_eq!(with_exit_code.0, expected);

    let missing = ["10.0.0.1", "10.0.0.77"];
    let with_missing = tokio::join!(check(&server, &secret, &missing), work(&server, &agents[0], GOOD, ended(9, 0)));
    let expected = Findings {
        good: vec![named("10.0.0.1")],
        bad: vec![(named("10.0.0.77"), 2)],
        lines: vec![line("10.0.0.1")],
        ..Findings::default()
    };
    assert_eq!(with_missing.0, expected);

    let refused = check(&server, &secret, &[]).await;
    assert_eq!(refused.errors, ["1244001", "1244006"], "after the refusal, it polls the job 0");
    let unknown = check(&server, "wrong", &both).await;
    assert_eq!(unknown.errors, ["1238001", "1238001"]);
}

#[tokio::test]
async fn a_known_client_reads_310_for_a_host_whose_agent_is_silent() {
    let server = TestServer::start().await;
    let agents = hosts(&server, [("web-1", "10.0.0.1"), ("web-2", "10.0.0.2")]).await;
    let secret = server.local_token();
    let silent = async {
        let order = agents[1].order(&server).await;
        assert_eq!(agents[1].report(&server, &order, &[json!({"event": "accepted"})]).await.0, 204);
    };
    let both = ["10.0.0.1", "10.0.0.2"];
    let (findings, _, ()) = tokio::join!(check(&server, &secret, &both), work(&server, &agents[0], GOOD, ended(9, 0)), silent);
    assert_eq!((findings.good, findings.bad), (vec!["0:10.0.0.1".to_owned()], vec![("0:10.0.0.2".to_owned(), 310)]));
    assert!(findings.without_log.is_empty() && findings.errors.is_empty() && findings.lines.len() == 1, "{:?}", findings.lines);
}
