use crate::support::{TestServer, read};

#[tokio::test]
async fn the_page_is_one_document_at_tasks_and_below() {
    let server = TestServer::start().await;
    let response = server.get("/").send().await.unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()["location"]), (303, &"/tasks".parse().unwrap()));
    let index = monitor_web::index();
    for path in ["/tasks", "/tasks/", "/tasks/2106", "/tasks/2106/a3ce929d0e0e4736?q=%ff", "/tasks/..%2f%00"] {
        let response = server.get(path).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8", "{path}");
        assert_eq!(response.headers()["cache-control"], "no-cache", "{path}");
        assert_eq!(response.headers()["etag"], index.etag(None), "{path}");
        assert_eq!(response.bytes().await.unwrap(), *index.bytes, "{path}");
    }
}

#[tokio::test]
async fn files_of_the_page_are_cached_permanently_and_the_page_is_revalidated() {
    let server = TestServer::start().await;
    let html = String::from_utf8(monitor_web::index().bytes.into_owned()).unwrap();
    // Without Node, the page consists only of a notice.
    let files: Vec<_> = html.split('"').filter(|part| part.starts_with("/assets/")).collect();
    assert_eq!(files.is_empty(), monitor_web::missing().is_some());
    for path in files.into_iter().chain(["/tasks"]) {
        let response = server.get(path).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        let caching = if path == "/tasks" { "no-cache" } else { "public, max-age=31536000, immutable" };
        assert_eq!(response.headers()["cache-control"], caching, "{path}");
        let etag = response.headers()["etag"].to_str().unwrap().to_owned();
        for (tags, status) in
            [(etag.clone(), 304), (format!("\"other\", W/{etag}"), 304), ("*".to_owned(), 304), ("\"other\"".to_owned(), 200)]
        {
            let response = server.get(path).header("if-none-match", &tags).send().await.unwrap();
            assert_eq!(response.status(), status, "{path} {tags}");
            assert_eq!(response.headers()["etag"], etag.as_str(), "{path} {tags}");
            assert_eq!(response.bytes().await.unwrap().is_empty(), status == 304, "{path} {tags}");
        }
        let head = server.client.head(format!("http://{}{path}", server.address)).send().await.unwrap();
        assert_eq!(head.status(), 200, "{path}");
    }
}

#[tokio::test]
async fn health_is_served_at_the_top_level() {
    let server = TestServer::start().await;
    let (status, health) = read(server.get("/healthz").send().await.unwrap()).await;
    assert_eq!((status, &health["status"]), (200, &"ok".into()));
}
