use std::time::Duration;

use monitor_server::access::NewToken;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{TestServer, read, tree, until};

/// Adds a header as if the request came from another host through a proxy.
fn foreign(request: RequestBuilder) -> RequestBuilder {
    request.header("x-forwarded-for", "192.0.2.7")
}

async fn status(request: RequestBuilder) -> (u16, String) {
    let (status, body) = read(request.send().await.unwrap()).await;
    (status, body["detail"].as_str().unwrap_or_default().to_owned())
}

fn request(server: &TestServer, method: Method, path: &str) -> RequestBuilder {
    server.client.request(method, format!("http://{}{path}", server.address))
}

#[tokio::test]
async fn each_scope_permits_only_its_own_requests() {
    let server = TestServer::start().await;
    let tokens = ["ingest", "read", "operate", "admin"].map(|scope| (scope, server.token(scope)));
    let ingest = || server.post(tree().to_string());
    let roots = || server.get("/api/v1/roots");
    // The run does not exist, so a caller with the right gets a 404.
    let change = || request(&server, Method::DELETE, "/api/v1/roots/999");
    let audit = || server.get("/api/v1/audit");
    let list = || server.get("/api/v1/tokens");
    for (scope, token) in &tokens {
        for (what, request, allowed) in [
            ("ingest", ingest(), ["ingest", "admin"].as_slice()),
            ("roots", roots(), &["read", "operate", "admin"]),
            ("change", change(), &["operate", "admin"]),
            ("audit", audit(), &["admin"]),
            ("tokens", list(), &["admin"]),
        ] {
            let (status, detail) = status(foreign(request).bearer_auth(token)).await;
            assert_eq!(status == 403, !allowed.contains(scope), "{scope} {what}: {status} {detail}");
            assert!(status != 401, "{scope} {what}");
            assert!(status != 403 || detail.contains(&format!("a-{scope} may not")), "{detail}");
        }
    }
    for (request, words) in [
        (ingest(), "monitor token create NAME --scope ingest"),
        (roots(), "/login"),
        (change(), "--scope operate"),
        (audit(), "token or a login"),
    ] {
        let response = foreign(request).send().await.unwrap();
        assert!(response.headers()["www-authenticate"].to_str().unwrap().starts_with("Bearer "));
        let (status, body) = read(response).await;
        assert!(status == 401 && body["detail"].as_str().unwrap().contains(words), "{body}");
    }
}

#[tokio::test]
async fn this_machine_records_and_reads_without_a_token_but_changes_nothing() {
    let server = TestServer::start().await;
    server.send(&tree()).await;
    let me = server.ask("/api/v1/me").await;
    assert_eq!(me, json!({"user": null, "role": "viewer", "how": "loopback", "scopes": ["ingest", "read"]}));
    for path in ["/api/v1/roots/1", "/api/v1/whatever", "/whatever"] {
        let (found, detail) = status(request(&server, Method::DELETE, path)).await;
        assert!(found == 401 && detail.contains("on this machine too"), "{path}: {detail}");
    }
    for header in ["x-forwarded-for", "forwarded", "x-real-ip", "x-forwarded-host"] {
        assert_eq!(status(server.get("/api/v1/roots").header(header, "127.0.0.1")).await.0, 401, "{header}");
    }
    let public = TestServer::with(|config| {
        config.public_url = Some("https://monitor.example.com".parse().unwrap());
        config.insecure = true;
    })
    .await;
    assert_eq!(public.ask("/api/v1/me").await["how"], "insecure");
    assert_eq!(status(request(&public, Method::DELETE, "/api/v1/roots/1")).await.0, 401, "to let everybody in is not to let them change");
}

#[tokio::test]
async fn behind_a_proxy_no_client_counts_as_local() {
    let data = tempfile::tempdir().unwrap();
    let access = monitor_server::access::Access::open(data.path()).unwrap();
    let new = NewToken { name: "a".to_owned(), scopes: "read".parse().unwrap(), lifetime: None, jobs: None };
    let token = access.create_token(&new).unwrap();
    let server = TestServer::on(data, |config| config.public_url = Some("https://monitor.example.com".parse().unwrap())).await;
    assert_eq!(status(server.get("/api/v1/roots")).await.0, 401);
    assert_eq!(status(server.get("/api/v1/roots").bearer_auth(&token)).await.0, 200);
    assert_eq!(status(server.get("/healthz")).await.0, 200);
    // The page's files contain no data, so they need no login. Its documents redirect to the login.
    for path in ["/tasks", "/", "/tasks/7?tab=1"] {
        let response = server.get(path).send().await.unwrap();
        assert_eq!(response.status(), 303, "{path}");
        let next = response.headers()["location"].to_str().unwrap();
        assert!(next.starts_with("/login?next=%2F"), "{next}");
    }
}

#[tokio::test]
async fn a_revoked_or_wrong_token_is_refused_at_once_and_failures_are_slowed() {
    let server = TestServer::start().await;
    let (token, kept) = (server.token("read"), server.token("ingest"));
    assert_eq!(status(server.get("/api/v1/roots").bearer_auth(&token)).await.0, 200);
    server.access().revoke_token("a-read").unwrap();
    let mut answers = Vec::new();
    for wrong in std::iter::repeat_n(token.as_str(), 12) {
        let response = server.get("/api/v1/roots").bearer_auth(wrong).send().await.unwrap();
        let retry_after = response.headers().get("retry-after").map(|value| value.to_str().unwrap().parse::<u64>().unwrap());
        let (status, body) = read(response).await;
        assert_eq!(retry_after.is_some_and(|seconds| seconds > 0), status == 429, "{body}");
        answers.push(status);
    }
    assert_eq!(answers, [vec![401; 10], vec![429; 2]].concat());
    assert_eq!(status(server.post(tree().to_string()).bearer_auth(&kept)).await.0, 200, "one that is right passes all the same");
    for wrong in ["Basic YTpi", "Bearer", "pm_x"] {
        let (status, detail) = status(server.get("/healthz").header("authorization", wrong)).await;
        assert!(status == 401 && detail.contains("Bearer TOKEN"), "{wrong}: {detail}");
    }
}

fn login(server: &TestServer, password: &str, next: &str) -> RequestBuilder {
    let request = server.client.post(format!("http://{}/login", server.address));
    request.header("content-type", "application/x-www-form-urlencoded").body(format!("user=ada&password={password}&next={next}"))
}

#[tokio::test]
async fn a_login_is_a_cookie_that_acts_only_for_this_server_s_page() {
    let server = TestServer::start().await;
    let access = server.access();
    access.add_user("ada", monitor_server::access::Role::Operator, "correct horse").unwrap();
    let wrong = foreign(login(&server, "wrong", "/tasks/7")).send().await.unwrap();
    assert_eq!(wrong.status(), 401);
    assert!(wrong.headers().get("set-cookie").is_none());
    let page = wrong.text().await.unwrap();
    assert!(page.contains("role=\"alert\"") && page.contains("value=\"ada\"") && page.contains("value=\"/tasks/7\""), "{page}");

    let right = foreign(login(&server, "correct+horse", "/tasks/7")).send().await.unwrap();
    assert_eq!((right.status().as_u16(), right.headers()["location"].to_str().unwrap()), (303, "/tasks/7"));
    let cookie = right.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.contains("; HttpOnly; SameSite=Strict; ") && !cookie.contains("Secure"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let with = |request: RequestBuilder| foreign(request).header("cookie", format!("other=1; {cookie}"));
    let (_, me) = read(with(server.get("/api/v1/me")).send().await.unwrap()).await;
    assert_eq!(me, json!({"user": "ada", "role": "operator", "how": "session", "scopes": ["operate"]}));
    assert_eq!(with(server.get("/tasks")).send().await.unwrap().status(), 200);
    let (found, detail) = status(with(server.get("/api/v1/audit"))).await;
    assert!(found == 403 && detail.contains("`admin`"), "{detail}");

    let own = format!("http://{}", server.address);
    let port = "http://127.0.0.1:1".to_owned();
    for (origin, expected) in [(None, 403), (Some(port), 403), (Some(own.clone()), 404)] {
        let mut request = with(request(&server, Method::DELETE, "/api/v1/nothing"));
        if let Some(origin) = &origin {
            request = request.header("origin", origin);
        }
        assert_eq!(status(request).await.0, expected, "{origin:?}");
    }

    let out = with(server.client.post(format!("{own}/logout"))).header("origin", &own).send().await.unwrap();
    assert!(out.status() == 303 && out.headers()["set-cookie"].to_str().unwrap().contains("Max-Age=0"));
    assert_eq!(status(with(server.get("/api/v1/roots"))).await.0, 401, "the session has ended, not only the cookie");
}

#[tokio::test]
async fn wrong_passwords_are_slowed() {
    let server = TestServer::start().await;
    server.access().add_user("ada", monitor_server::access::Role::Admin, "correct horse").unwrap();
    for expected in [[401; 10].as_slice(), &[429]].concat() {
        assert_eq!(login(&server, "wrong", "").send().await.unwrap().status(), expected);
    }
    let right = login(&server, "correct+horse", "").send().await.unwrap();
    assert_eq!(right.status(), 429, "also the right one is not looked at");
    assert!(right.headers().contains_key("retry-after"));
}

#[tokio::test]
async fn concurrent_wrong_passwords_are_slowed_too() {
    let server = TestServer::start().await;
    server.access().add_user("ada", monitor_server::access::Role::Admin, "correct horse").unwrap();
    // Successful logins do not count.
    for _ in 0..12 {
        assert_eq!(login(&server, "correct+horse", "").send().await.unwrap().status(), 303);
    }
    let tries: Vec<_> = (0..50).map(|_| tokio::spawn(login(&server, "wrong", "").send())).collect();
    let mut looked_at = 0;
    for answer in tries {
        let status = answer.await.unwrap().unwrap().status();
        assert!(status == 401 || status == 429, "{status}");
        looked_at += usize::from(status == 401);
    }
    assert_eq!(looked_at, 10);
}

#[tokio::test]
async fn behind_a_proxy_each_client_has_its_own_rate_limit() {
    let server = TestServer::with(|config| {
        config.public_url = Some("https://monitor.example.com".parse().unwrap());
        config.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
        config.insecure = true;
        config.max_connections_per_client = 1;
    })
    .await;
    let wrong =
        async |forwarded: &str| status(server.get("/api/v1/roots").bearer_auth("pm_x").header("x-forwarded-for", forwarded)).await.0;
    for _ in 0..10 {
        assert_eq!(wrong("192.0.2.1").await, 401);
    }
    assert_eq!(wrong("192.0.2.1").await, 429);
    assert_eq!(wrong("203.0.113.9, 192.0.2.1").await, 429, "what a client says of itself stands first");
    assert_eq!(wrong("192.0.2.1, 192.0.2.2").await, 401);
    assert_eq!(wrong("[2001:db8::1]:4711").await, 401);
    // Connections from a proxy don't count as connections of the same client: these two are busy at the same time.
    let server = &server;
    let slow = async || {
        let mut socket = tokio::net::TcpStream::connect(server.address).await.unwrap();
        let head = format!("POST /login HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: 5\r\n\r\nuser", server.address);
        socket.write_all(head.as_bytes()).await.unwrap();
        socket
    };
    for mut socket in [slow().await, slow().await] {
        socket.write_all(b"=").await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 4"), "{answer:?}");
    }
    // Without a trusted proxy, the header is ignored, because any client can send it.
    let server = TestServer::start().await;
    for n in 0..10 {
        let request = server.get("/api/v1/roots").bearer_auth("pm_x").header("x-forwarded-for", format!("192.0.2.{n}"));
        assert_eq!(status(request).await.0, 401);
    }
    assert_eq!(status(server.get("/api/v1/roots").bearer_auth("pm_x").header("x-forwarded-for", "192.0.2.77")).await.0, 429);
}

/// Logs in as the client that the proxy reports. Returns the status and the cookies of the response.
async fn login_by(server: &TestServer, forwarded: &str, user: &str, password: &str, cookies: &str) -> (u16, Vec<String>) {
    let form = format!("user={user}&password={password}");
    let request = server.client.post(format!("http://{}/login", server.address)).header("x-forwarded-for", forwarded);
    let request = request.header("content-type", "application/x-www-form-urlencoded").header("cookie", cookies).body(form);
    let answer = request.send().await.unwrap();
    let cookies = answer.headers().get_all("set-cookie").iter().map(|cookie| cookie.to_str().unwrap().to_owned()).collect();
    (answer.status().as_u16(), cookies)
}

#[tokio::test]
async fn passwords_are_not_guessed_by_naming_other_addresses_and_their_owner_is_not_locked_out() {
    // A proxy that passes on forged headers of its clients: not trusted in the first case, and trusted by mistake in the second.
    for trusted in ["", "127.0.0.1/32"] {
        let server = TestServer::with(|config| {
            config.public_url = Some("https://monitor.example.com".parse().unwrap());
            config.insecure = true;
            config.trusted_proxies = trusted.parse().into_iter().collect();
        })
        .await;
        let access = server.access();
        for user in ["ada", "bob"] {
            access.add_user(user, monitor_server::access::Role::Admin, "correct horse").unwrap();
        }
        let (status, cookies) = login_by(&server, "192.0.2.1", "ada", "correct+horse", "").await;
        assert_eq!((status, cookies.len()), (303, 2), "{cookies:?}");
        let device = cookies.iter().find(|cookie| cookie.starts_with("__Host-monitor_device=")).unwrap();
        assert!(device.contains("; HttpOnly; SameSite=Strict; ") && device.ends_with("; Secure"), "{device}");
        let device = device.split(';').next().unwrap();
        let mut statuses = Vec::new();
        for n in 0..40 {
            statuses.push(login_by(&server, &format!("198.51.100.{n}"), "ada", "wrong", "").await.0);
        }
        assert_eq!(statuses, [vec![401; 10], vec![429; 30]].concat(), "trusted: {trusted:?}");
        assert_eq!(login_by(&server, "198.51.100.99", "ada", "correct+horse", "").await.0, 429, "whoever never was here waits");
        assert_eq!(login_by(&server, "192.0.2.1", "ada", "correct+horse", device).await.0, 303, "its owner does not");
        // Another user's browser has no advantage, and ada's own browser has a limit of its own.
        let other = login_by(&server, "192.0.2.2", "bob", "correct+horse", device).await;
        assert_eq!(other.0 == 303, !trusted.is_empty(), "by a proxy that is not trusted all are one client");
        for expected in [[401; 10].as_slice(), &[429]].concat() {
            assert_eq!(login_by(&server, "192.0.2.1", "ada", "wrong", device).await.0, expected);
        }
        // Names without an account are limited in the same way, so that the limit does not show which accounts exist.
        if !trusted.is_empty() {
            for (n, expected) in [[401; 10].as_slice(), &[429]].concat().into_iter().enumerate() {
                assert_eq!(login_by(&server, &format!("198.51.101.{n}"), "eve", "wrong", "").await.0, expected);
            }
        }
    }
}

#[tokio::test]
async fn the_client_is_the_rightmost_address_that_is_no_trusted_proxy() {
    let server = TestServer::with(|config| {
        config.trusted_proxies = ["127.0.0.0/8", "10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap()).to_vec();
    })
    .await;
    let admin = server.token("admin");
    let cases = [
        ("192.0.2.7", "192.0.2.7"),
        ("203.0.113.9, 192.0.2.7", "192.0.2.7"),
        ("203.0.113.9,192.0.2.7 , 10.1.2.3", "192.0.2.7"),
        ("203.0.113.9, fd00::1, 10.1.2.3", "203.0.113.9"),
        ("10.9.9.9, 10.1.2.3", "10.9.9.9"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("192.0.2.7:4711, [fd00::2]:80", "192.0.2.7"),
        ("203.0.113.9, unknown, 10.1.2.3", "10.1.2.3"),
        ("203.0.113.9, ", "127.0.0.1"),
        ("", "127.0.0.1"),
        ("192.0.2.7, \u{7f}x", "127.0.0.1"),
    ];
    for (n, (forwarded, expected)) in cases.into_iter().enumerate() {
        let Ok(_) = reqwest::header::HeaderValue::from_str(forwarded) else { continue };
        assert_eq!(login_by(&server, forwarded, &format!("nobody-{n}"), "wrong", "").await.0, 401, "{forwarded}");
        let (_, page) = read(server.get("/api/v1/audit?limit=1").bearer_auth(&admin).send().await.unwrap()).await;
        assert_eq!(page["entries"][0]["address"], expected, "{forwarded}");
    }
    // The header can be split. Each part continues the previous one.
    let form = "user=nobody&password=wrong";
    let request = server.client.post(format!("http://{}/login", server.address)).header("x-forwarded-for", "203.0.113.9, 192.0.2.8");
    let request = request.header("x-forwarded-for", "10.1.2.3").header("content-type", "application/x-www-form-urlencoded").body(form);
    assert_eq!(request.send().await.unwrap().status(), 401);
    let (_, page) = read(server.get("/api/v1/audit?limit=1").bearer_auth(&admin).send().await.unwrap()).await;
    assert_eq!(page["entries"][0]["address"], "192.0.2.8");
}

#[tokio::test]
async fn loopback_clients_can_be_required_to_log_in_by_token_or_single_use_link() {
    let server = TestServer::with(|config| config.loopback = monitor_server::Loopback::Token).await;
    let (ingest, reading) = (server.token("ingest"), server.token("read"));
    assert_eq!(status(server.post(tree().to_string())).await.0, 401);
    assert_eq!(status(server.post(tree().to_string()).bearer_auth(&ingest)).await.0, 200);
    for path in ["/api/v1/roots", "/api/v1/stream", "/metrics"] {
        assert_eq!(status(server.get(path)).await.0, 401, "{path}");
    }
    assert_eq!(status(server.get("/api/v1/roots").bearer_auth(&reading)).await.0, 200);
    assert_eq!(status(server.get("/healthz")).await.0, 200);
    assert_eq!(server.get("/tasks").send().await.unwrap().status(), 303);

    let link = server.access().create_link(monitor_server::access::Role::Operator).unwrap();
    let path = format!("/login?link={link}&next=/tasks/1");
    // A HEAD request does not use up the link.
    assert!(server.client.head(format!("http://{}{path}", server.address)).send().await.unwrap().headers().get("set-cookie").is_none());
    let taken = server.get(&path).send().await.unwrap();
    assert_eq!((taken.status().as_u16(), &taken.headers()["location"]), (303, &"/tasks/1".parse().unwrap()));
    let cookie = taken.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    for used in [path, "/login?link=x".to_owned(), format!("/login?link={}", "0".repeat(64))] {
        let again = server.get(&used).send().await.unwrap();
        assert!(again.status() == 401 && again.headers().get("set-cookie").is_none(), "{used}");
        assert!(again.text().await.unwrap().contains("monitor open"));
    }
    let (_, me) = read(server.get("/api/v1/me").header("cookie", &cookie).send().await.unwrap()).await;
    assert_eq!((&me["how"], &me["role"]), (&json!("session"), &json!("operator")));
    // The cookie works like any other: it is accepted only from this server's page, and ends when its token is revoked.
    let delete = || request(&server, Method::DELETE, "/api/v1/roots/999").header("cookie", &cookie);
    assert_eq!(status(delete()).await.0, 403);
    assert_eq!(status(delete().header("origin", format!("http://{}", server.address))).await.0, 404);
    let mut stream = crate::stream::Reader::open(server.get("/api/v1/stream").header("cookie", &cookie)).await;
    server.access().revoke_token(me["user"].as_str().unwrap()).unwrap();
    stream.end().await;
    assert_eq!(status(server.get("/api/v1/roots").header("cookie", &cookie)).await.0, 401);
}

#[tokio::test]
async fn the_login_page_has_no_script_and_exists_in_both_languages() {
    let server = TestServer::start().await;
    let response = server.get("/login?next=%2F%22%3E%3Cscript%3E").header("accept-language", "zh-CN,en;q=0.5").send().await.unwrap();
    let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    let page = response.text().await.unwrap();
    assert!(page.contains("登录") && page.contains("lang=\"zh\"") && !page.contains("<script"), "{page}");
    let page = server.get("/login").send().await.unwrap().text().await.unwrap();
    assert!(page.contains("Log in") && page.contains("/login.css"));
    for address in ["/login?lang=zh&lang=zh", "/login?next=/tasks&next=/", "/login?link=a&link=b"] {
        let response = server.get(address).header("accept-language", "zh").send().await.unwrap();
        let (status, page) = (response.status(), response.text().await.unwrap());
        assert!(status == 400 && page.contains("此页面的地址格式不正确") && page.contains("name=\"password\""), "{address}: {page}");
    }
    assert!(server.get("/login.css").send().await.unwrap().text().await.unwrap().contains("main"));
    let over_tls = TestServer::with(|config| {
        config.public_url = Some("https://monitor.example.com".parse().unwrap());
        config.insecure = true;
    })
    .await;
    over_tls.access().add_user("ada", monitor_server::access::Role::Viewer, "correct horse").unwrap();
    let right = login(&over_tls, "correct+horse", "//evil.example").send().await.unwrap();
    let cookie = right.headers()["set-cookie"].to_str().unwrap();
    assert!(cookie.starts_with("__Host-") && cookie.ends_with("; Secure"), "{cookie}");
    assert_eq!(right.headers()["location"], "/tasks");
}

#[tokio::test]
async fn over_https_only_the_cookie_that_a_neighbour_can_not_set_counts() {
    let server = TestServer::with(|config| {
        config.public_url = Some("https://monitor.example.com".parse().unwrap());
        config.insecure = true;
    })
    .await;
    for user in ["ada", "eve"] {
        server.access().add_user(user, monitor_server::access::Role::Admin, "correct horse").unwrap();
    }
    let mut sessions = Vec::new();
    for user in ["ada", "eve"] {
        let (_, cookies) = login_by(&server, "192.0.2.1", user, "correct+horse", "").await;
        let session = cookies.iter().find_map(|cookie| cookie.strip_prefix("__Host-monitor_session=")).unwrap();
        sessions.push(session.split(';').next().unwrap().to_owned());
    }
    let [ada, eve] = &sessions[..] else { panic!("{sessions:?}") };
    let who = async |cookie: String| {
        let (status, me) = read(server.get("/api/v1/me").header("cookie", cookie).send().await.unwrap()).await;
        assert_eq!(status, 200);
        me["user"].clone()
    };
    assert_eq!(who(format!("monitor_session={eve}; __Host-monitor_session={ada}")).await, "ada");
    assert_eq!(who(format!("monitor_session={eve}")).await, Value::Null);
    // Without https, browsers reject the prefix in a cookie's name, so only the name without it counts.
    let plain = TestServer::start().await;
    plain.access().add_user("ada", monitor_server::access::Role::Viewer, "correct horse").unwrap();
    let (_, cookies) = login_by(&plain, "192.0.2.1", "ada", "correct+horse", "").await;
    assert!(cookies.iter().any(|cookie| cookie.starts_with("monitor_session=")), "{cookies:?}");
}

#[tokio::test]
async fn browsers_are_bound_to_https_only_where_that_is_set() {
    for (hsts, url, expected) in [
        (false, Some("https://monitor.example.com"), None),
        (true, Some("https://monitor.example.com"), Some("max-age=31536000")),
        (true, None, None),
    ] {
        let server = TestServer::with(|config| {
            config.hsts = hsts;
            config.public_url = url.map(|url| url.parse().unwrap());
            config.insecure = true;
        })
        .await;
        let answer = server.get("/healthz").send().await.unwrap();
        let header = answer.headers().get("strict-transport-security").map(|value| value.to_str().unwrap());
        assert_eq!(header, expected, "{hsts} {url:?}");
    }
}

#[tokio::test]
async fn changes_are_audited_with_the_name_of_the_caller() {
    let server = TestServer::start().await;
    let (admin, operate) = (server.token("admin"), server.token("operate"));
    server.access().add_user("ada", monitor_server::access::Role::Viewer, "correct horse").unwrap();
    let delete = || request(&server, Method::DELETE, "/api/v1/nothing/7?x=1");
    assert_eq!(status(delete().bearer_auth(&operate)).await.0, 404);
    login(&server, "correct+horse", "").send().await.unwrap();
    login(&server, "wrong", "").send().await.unwrap();
    server.send(&tree()).await;
    let (_, page) = read(server.get("/api/v1/audit?limit=2").bearer_auth(&admin).send().await.unwrap()).await;
    let cursor = page["next_cursor"].as_str().unwrap();
    let (_, last) = read(server.get(&format!("/api/v1/audit?cursor={cursor}")).bearer_auth(&admin).send().await.unwrap()).await;
    let entries = [&page["entries"], &last["entries"]].map(|entries| entries.as_array().unwrap().clone()).concat();
    let told: Vec<_> = entries.iter().map(|entry| ["who", "how", "action", "outcome"].map(|key| entry[key].as_str().unwrap())).collect();
    assert_eq!(
        told,
        [
            ["ada", "session", "login", "wrong name or password"],
            ["ada", "session", "login", "done"],
            ["a-operate", "token", "DELETE /api/v1/nothing/7", "404"],
        ]
    );
    assert!(entries.iter().all(|entry| entry["address"] == "127.0.0.1"), "{entries:?}");
    let (found, _) = status(server.get("/api/v1/audit?cursor=x").bearer_auth(&admin)).await;
    assert_eq!((found, last["next_cursor"].clone()), (400, Value::Null));
}

#[tokio::test]
async fn tokens_are_listed_with_scopes_and_expiry_but_without_their_secrets() {
    let server = TestServer::start().await;
    let (admin, ingest) = (server.token("admin"), server.token("ingest"));
    let brief =
        NewToken { name: "brief".to_owned(), scopes: "read".parse().unwrap(), lifetime: Some(Duration::from_secs(3600)), jobs: None };
    server.access().create_token(&brief).unwrap();
    server.get("/api/v1/tokens").bearer_auth(&admin).send().await.unwrap();
    // The use of a token is recorded asynchronously.
    until(async || server.access().tokens().unwrap()[0].used_us.is_some()).await;
    let (_, page) = read(server.get("/api/v1/tokens").bearer_auth(&admin).send().await.unwrap()).await;
    let tokens = page["tokens"].as_array().unwrap();
    let told: Vec<_> = tokens.iter().map(|token| (token["name"].as_str().unwrap(), token["scopes"].clone())).collect();
    assert_eq!(
        told,
        [("a-admin", json!(["admin"])), ("a-ingest", json!(["ingest"])), ("brief", json!(["read"])), ("data folder", json!(["admin"]))]
    );
    let lifetime = tokens[2]["expires_us"].as_u64().unwrap() - tokens[2]["created_us"].as_u64().unwrap();
    assert_eq!((lifetime, &tokens[1]["expires_us"], &tokens[1]["used_us"]), (3_600_000_000, &Value::Null, &Value::Null));
    assert!(tokens[0]["used_us"].is_u64(), "the one that asks is in use: {page}");
    let secret = ingest.rsplit('_').next().unwrap();
    assert!(!page.to_string().contains(secret), "{page}");
}

#[tokio::test]
async fn requests_of_a_client_are_rate_limited() {
    let server = TestServer::with(|config| config.max_requests_per_second = 5).await;
    let mut answers = Vec::new();
    while !answers.contains(&429) {
        let response = server.get("/healthz").send().await.unwrap();
        assert_eq!(
            response.headers().get("retry-after").map(|value| value.to_str().unwrap() == "1"),
            (response.status() == 429).then_some(true)
        );
        answers.push(response.status().as_u16());
    }
    assert!(answers.len() > 5, "a burst of a second's worth passes: {answers:?}");
}
