use crate::support::{TestServer, read};

#[tokio::test]
async fn requests_with_foreign_hosts_or_origins_are_refused_everywhere() {
    let server = TestServer::start().await;
    for path in ["/", "/tasks", "/api/v1/roots", "/api/v1/events", "/api/v1/stream", "/healthz", "/api/openapi.json", "/nope"] {
        for (header, value, status, words) in [
            ("host", "evil.example", 421, "--public-url"),
            ("host", "evil.example:60010", 421, "evil.example:60010"),
            ("origin", "http://evil.example", 403, "--public-url http://evil.example"),
            ("origin", "null", 403, "null"),
        ] {
            let (found, problem) = read(server.get(path).header(header, value).send().await.unwrap()).await;
            assert_eq!(found, status, "{path} {header}: {value}: {problem}");
            assert!(problem["detail"].as_str().unwrap().contains(words), "{problem}");
        }
    }
    for (header, value) in [("host", "localhost"), ("host", "[::1]:1"), ("host", "127.1.2.3"), ("origin", "http://localhost:5173")] {
        let response = server.get("/healthz").header(header, value).send().await.unwrap();
        assert_eq!(response.status(), 200, "{header}: {value}");
    }
}

#[tokio::test]
async fn requests_with_the_host_of_the_public_url_are_answered() {
    let server = TestServer::with(|config| {
        config.public_url = Some("https://monitor.example.com".parse().unwrap());
        config.insecure = true;
    })
    .await;
    for (host, origin, status) in [
        ("monitor.example.com", "https://monitor.example.com", 200),
        ("localhost", "https://monitor.example.com", 200),
        ("monitor.example.com", "http://monitor.example.com", 403),
        ("monitor.example.org", "https://monitor.example.com", 421),
    ] {
        let response = server.get("/healthz").header("host", host).header("origin", origin).send().await.unwrap();
        assert_eq!(response.status(), status, "{host} {origin}");
    }
}

#[tokio::test]
async fn requests_with_missing_or_conflicting_hosts_are_refused() {
    let server = TestServer::start().await;
    for (request, status) in [
        ("GET /healthz HTTP/1.0\r\n\r\n", 421),
        ("GET /healthz HTTP/1.1\r\nconnection: close\r\n\r\n", 421),
        ("GET /healthz HTTP/1.1\r\nhost: localhost\r\nhost: evil.example\r\nconnection: close\r\n\r\n", 421),
        ("GET http://evil.example/healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n", 421),
        ("GET http://localhost/healthz HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n", 421),
        ("GET http://localhost/healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n", 200),
        (
            "GET /healthz HTTP/1.1\r\nhost: localhost\r\norigin: http://localhost\r\norigin: http://evil.example\r\nconnection: close\r\n\r\n",
            403,
        ),
    ] {
        let answer = server.raw(request).await;
        assert!(answer.split(' ').nth(1).is_some_and(|found| found == status.to_string()), "{request}: {answer}");
    }
}

#[tokio::test]
async fn every_answer_carries_what_browsers_need_to_keep_others_out() {
    let server = TestServer::start().await;
    for path in ["/", "/tasks", "/api/v1/roots", "/api/v1/nope", "/healthz"] {
        let headers = server.get(path).send().await.unwrap().headers().clone();
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["referrer-policy"], "same-origin", "{path}");
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'self'; ") && policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        assert!(!policy.contains("script-src"), "{path}: scripts are files: {policy}");
        assert!(!headers.contains_key("access-control-allow-origin"), "{path}");
    }
}
