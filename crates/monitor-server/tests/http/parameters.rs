use crate::support::{CHILD, PROCESS, ROOT, TestServer, WORKER, read, tree};

#[tokio::test]
async fn errors_of_parameters_contain_the_name_and_the_allowed_values() {
    let server = TestServer::start().await;
    server.send(&tree()).await;
    for (path, parameter, words) in [
        ("/api/v1/roots?nope=1", "nope", "`limit`, `cursor`"),
        ("/api/v1/roots?limit=0", "limit", "1 to 1000"),
        ("/api/v1/roots?limit=1001", "limit", "1 to 1000"),
        ("/api/v1/roots?limit=ten", "limit", "\"ten\""),
        ("/api/v1/roots?limit=1&limit=1", "limit", "twice"),
        ("/api/v1/roots?sort=name", "sort", "`newest`"),
        ("/api/v1/roots?worker=1", "worker", "32 lower-case hex digits"),
        ("/api/v1/roots?started_after=yesterday", "started_after", "microseconds"),
        ("/api/v1/roots?started_before=-1", "started_before", "microseconds"),
        ("/api/v1/roots?cursor=%20%00x", "cursor", "next_cursor"),
        ("/api/v1/roots?q=%ff", "q", "UTF-8"),
        ("/api/v1/roots/1/tree?limit=100001", "limit", "1 to 100000"),
        ("/api/v1/roots/1/tree?state=failed", "state", "`limit`"),
        ("/api/v1/roots/1/tree?cursor=x", "cursor", "next_cursor"),
        ("/api/v1/roots/x/tree", "root", "32 lower-case hex digits"),
        ("/api/v1/roots/-1/tree", "root", "or its number"),
        ("/api/v1/roots/99999999999999999999/tree", "root", "or its number"),
        ("/api/v1/roots/1/processes/1", "id", "16 lower-case hex digits"),
        ("/api/v1/roots/1/processes/0000000000000000", "id", "not all zero"),
        ("/api/v1/roots/1/processes/a3ce929d0e0e4736?x=", "x", "none"),
        ("/api/v1/processes", "root", "started_after"),
        ("/api/v1/processes/1", "id", "16 lower-case hex digits"),
        ("/api/v1/processes/a3ce929d0e0e4736?limit=1", "limit", "none"),
        ("/api/v1/processes?kind=normal", "root", "`normal`"),
        ("/api/v1/processes?kind=cross_thread", "root", "started_after"),
        ("/api/v1/processes?kind=span&state=failed", "root", "started_after"),
        ("/api/v1/processes?kind=root&root=x", "root", "or its number"),
        ("/api/v1/processes?kind=root&cursor=x", "cursor", "next_cursor"),
        ("/api/v1/roots/names?state=failed", "state", "`limit`"),
        ("/api/v1/roots/names?cursor=x", "cursor", "next_cursor"),
        ("/api/v1/stats?by=worker", "by", "`name`"),
        ("/api/v1/stats?sort=newest", "sort", "`p95`"),
        ("/api/v1/stats?from=today", "from", "microseconds"),
        ("/api/v1/stats?from=9&to=9", "to", "not after `from`"),
        ("/api/v1/stats?cursor=x", "cursor", "next_cursor"),
        ("/api/v1/stats?limit=1001", "limit", "1 to 1000"),
        ("/api/v1/stats/series?step=1h", "step", "microseconds"),
        ("/api/v1/stats/series?from=10&to=9", "to", "not after `from`"),
        ("/api/v1/stats/errors?limit=0", "limit", "1 to 1000"),
        ("/api/v1/stats/errors?q=x", "q", "`name`"),
        ("/api/v1/stats/causes?limit=0", "limit", "1 to 1000"),
        ("/api/v1/stats/causes?name=x", "name", "`limit`"),
        ("/api/v1/stats/causes?from=9&to=9", "to", "not after `from`"),
        ("/api/v1/roots?cursor=7", "cursor", "next_cursor"),
        ("/api/v1/roots?offset=-1", "offset", "from 0 to"),
        ("/api/v1/roots?offset=2147483648", "offset", "from 0 to"),
        ("/api/v1/processes/abcde", "id", "six or more"),
        ("/api/v1/processes/ABCDEF", "id", "lower-case"),
        ("/api/v1/queue-tasks?limit=0", "limit", "1 to 1000"),
        ("/api/v1/queue-tasks?offset=-1", "offset", "from 0 to"),
        ("/api/v1/queue-tasks?sort=worker", "sort", "`runtime`"),
        ("/api/v1/queue-tasks?sort=--name", "sort", "`received`"),
        ("/api/v1/queue-tasks?worker=1", "worker", "32 lower-case hex digits"),
        ("/api/v1/queue-tasks?received_after=x", "received_after", "microseconds"),
        ("/api/v1/queue-tasks?started_before=-1", "started_before", "microseconds"),
        ("/api/v1/queue-tasks?cursor=%5B1%5D", "cursor", "next_cursor"),
        ("/api/v1/queue-tasks?cursor=x", "cursor", "next_cursor"),
        ("/api/v1/queue-tasks?q=a%20(b", "q", "column 3: this bracket is not closed"),
        ("/api/v1/queue-tasks?q=nam:x", "q", "column 1: `nam:` is not known"),
        ("/api/v1/queue-tasks?q=%ff", "q", "UTF-8"),
        ("/api/v1/queue-tasks?name=x", "name", "`type`"),
        ("/api/v1/queue-tasks/types?x=1", "x", "none"),
        ("/api/v1/queue-tasks/a/result?timeout=60001", "timeout", "0 to 60000"),
        ("/api/v1/queue-tasks/a/result?timeout=-1", "timeout", "0 to 60000"),
        ("/api/v1/queues?x=1", "x", "`timeout`"),
        ("/api/v1/workers?limit=x", "limit", "1 to 1000"),
        ("/api/v1/workers?cursor=x", "cursor", "next_cursor"),
        ("/api/v1/workers/x", "id", "32 lower-case hex digits"),
        ("/api/v1/workers/%ff", "path", "UTF-8"),
        ("/api/v1/status?x=1", "x", "none"),
        ("/api/v1/stream?after=x", "after", "as_of"),
        ("/api/v1/stream?root=x", "root", "or its number"),
        ("/api/v1/stream?types=task-[", "types", "\"task-[\""),
        (&format!("/api/v1/stream?types={}", "*,".repeat(101)), "types", "at most 100"),
        (&format!("/api/v1/stream?types=*{}", "x".repeat(1_000)), "types", "longer than 1000 bytes"),
        (&format!("/api/v1/stream?kind={}", (0..101).map(|n| n.to_string()).collect::<Vec<_>>().join(",")), "kind", "at most 100"),
        (&format!("/api/v1/stream?task={}", "x".repeat(1_001)), "task", "1000 bytes"),
        ("/api/v1/stream?worker=1", "worker", "like `render@*`"),
        ("/api/v1/stream?worker={a", "worker", "\"{a\""),
        ("/api/v1/stream?subject=roots&kind=task", "subject", "`kind` or `task`"),
        ("/api/v1/stream?subject=roots&task=x", "subject", "`kind` or `task`"),
        ("/api/v1/stream?root=1,,2", "root", "or its number"),
        ("/api/v1/stream?root=1,-2", "root", "or its number"),
        (&format!("/api/v1/stream?root={}", ["1"; 101].join(",")), "root", "at most 100"),
        ("/api/v1/stream?subject=trees", "subject", "`roots`"),
        ("/api/v1/stream?subject=roots,roots", "subject", "`roots`"),
        ("/api/v1/stream?subject=roots&name=x", "subject", "can't be combined"),
        ("/api/v1/stream?subject=roots&process=a3ce929d0e0e4736", "subject", "can't be combined"),
        ("/healthz?x", "x", "none"),
        ("/api/openapi.json?x", "x", "none"),
    ] {
        let (status, problem) = read(server.get(path).send().await.unwrap()).await;
        assert_eq!(status, 400, "{path}: {problem}");
        assert_eq!(problem["parameter"], parameter, "{path}: {problem}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(words), "{path}: {words:?} is not in {detail:?}");
    }
}

#[tokio::test]
async fn a_worker_that_does_not_exist_is_answered_with_the_nearest_one() {
    let server = TestServer::start().await;
    server.send(&tree()).await;
    for (worker, words) in [("biuld-7", "did you mean build-7?"), ("a%5B", "[")] {
        let (status, problem) = read(server.get(&format!("/api/v1/roots?worker={worker}")).send().await.unwrap()).await;
        assert!(status == 400 && problem["parameter"] == "worker", "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(words), "{problem}");
    }
}

#[tokio::test]
async fn missing_resources_return_a_404_with_a_hint() {
    let server = TestServer::start().await;
    server.send(&tree()).await;
    let (other_root, other_process) = (ROOT.replace('9', "8"), PROCESS.replace('9', "8"));
    for (path, words) in [
        ("/api/v1/roots/2/tree".to_owned(), "no run 2"),
        (format!("/api/v1/roots/{other_root}/tree"), "/api/v1/roots"),
        (format!("/api/v1/roots/{other_root}/processes/{PROCESS}"), "no process"),
        (format!("/api/v1/roots/{ROOT}/processes/{other_process}"), "no process"),
        (format!("/api/v1/stream?root={other_root}"), "no run"),
        (format!("/api/v1/workers/{}", WORKER.replace('5', "6")), "no worker"),
        ("/api/v1/nope".to_owned(), "/api/openapi.json"),
        ("/api".to_owned(), "/api/openapi.json"),
        ("/nope.js".to_owned(), "/tasks"),
        ("/..%2f..%2fetc/passwd".to_owned(), "/tasks"),
    ] {
        let (status, problem) = read(server.get(&path).send().await.unwrap()).await;
        assert_eq!(status, 404, "{path}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(words), "{path}: {problem}");
    }
}

#[tokio::test]
async fn an_unsupported_method_returns_the_allowed_methods() {
    let server = TestServer::start().await;
    let token = server.token("operate");
    for (method, path, allowed) in [
        ("DELETE", "/api/v1/roots", "GET,HEAD"),
        ("GET", "/api/v1/events", "POST"),
        ("POST", "/tasks", "GET,HEAD"),
        ("OPTIONS", "/api/v1/events", "POST"),
    ] {
        let request = server.client.request(method.parse().unwrap(), format!("http://{}{path}", server.address));
        let response = request.bearer_auth(&token).send().await.unwrap();
        assert_eq!(response.headers()["allow"], allowed, "{method} {path}");
        assert_eq!(read(response).await.0, 405, "{method} {path}");
    }
}

#[tokio::test]
async fn valid_parameters_are_accepted() {
    let server = TestServer::start().await;
    server.send(&tree()).await;
    for (path, list, expected) in [
        ("/api/v1/roots?state=failed,lost&name=nightly+build&q=TABLE&sort=oldest&limit=1000".to_owned(), "roots", 1),
        ("/api/v1/roots?state=succeeded".to_owned(), "roots", 0),
        ("/api/v1/roots?state=of_another_kind".to_owned(), "roots", 0),
        ("/api/v1/roots?state=&name=&q=&limit=&cursor=".to_owned(), "roots", 1),
        ("/api/v1/roots?worker=build-7".to_owned(), "roots", 1),
        ("/api/v1/roots?worker=nightly@build-7".to_owned(), "roots", 1),
        ("/api/v1/roots?worker=*@build-%3F&state=failed,running".to_owned(), "roots", 1),
        ("/api/v1/roots?worker=&state=failed".to_owned(), "roots", 1),
        (format!("/api/v1/roots?worker={WORKER}&started_after=1763600000123456&started_before=1763600000123457"), "roots", 1),
        ("/api/v1/roots?started_before=1763600000123456".to_owned(), "roots", 0),
        (format!("/api/v1/roots/{ROOT}/tree?limit=100000"), "processes", 2),
        ("/api/v1/roots/1/tree".to_owned(), "processes", 2),
        ("/api/v1/processes?kind=root".to_owned(), "processes", 1),
        (format!("/api/v1/processes?root={ROOT}&state=running"), "processes", 1),
        ("/api/v1/processes?kind=normal&started_after=1".to_owned(), "processes", 1),
        ("/api/v1/roots/names?q=BUILD".to_owned(), "names", 1),
        ("/api/v1/roots/names?q=nothing".to_owned(), "names", 0),
        ("/api/v1/stats?by=name&from=1&to=9000000000000000&q=night&sort=p99&limit=1".to_owned(), "stats", 1),
        ("/api/v1/stats?from=1&to=2".to_owned(), "stats", 0),
        ("/api/v1/stats/series?name=nightly+build&from=1763600000123456&to=9223372036854775807&step=1".to_owned(), "series", 1),
        ("/api/v1/stats/errors?name=nightly+build&limit=1000".to_owned(), "errors", 1),
        ("/api/v1/stats/causes?from=1&limit=1000".to_owned(), "causes", 1),
        ("/api/v1/stats/causes?from=1&to=2".to_owned(), "causes", 0),
        ("/api/v1/roots?offset=0&sort=oldest".to_owned(), "roots", 1),
        ("/api/v1/roots?offset=2147483647".to_owned(), "roots", 0),
        (format!("/api/v1/roots?q={}", &ROOT[..7]), "roots", 1),
        ("/api/v1/roots?q=%3C1%3E".to_owned(), "roots", 1),
        (format!("/api/v1/processes/{}", &CHILD[..6]), "processes", 1),
        ("/api/v1/workers?limit=1".to_owned(), "workers", 1),
    ] {
        let page = server.ask(&path).await;
        assert_eq!(page[list].as_array().unwrap().len(), expected, "{path}: {page}");
        assert!(page["as_of"].as_u64().unwrap() >= 3, "{path}: {page}");
    }
    let by_number = server.ask(&format!("/api/v1/roots/1/processes/{CHILD}")).await;
    assert_eq!(by_number, server.ask(&format!("/api/v1/roots/{ROOT}/processes/{CHILD}")).await);
}
