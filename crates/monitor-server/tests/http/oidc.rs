//! Tests of logins through npm's `oidc-provider` (`tests/oidc`) over real sockets.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use monitor_server::access::Role;
use monitor_server::{Config, Server};
use reqwest::{Client, Response, Url};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::support::{TestServer, config, read, until};

const SECRET: &str = "a secret of the tests";

struct Provider {
    issuer: String,
    client: Client,
    // The process ends when its stdin is closed.
    _child: Child,
}

impl Provider {
    async fn start(port: u16) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/oidc");
        let is_installed = folder.join("node_modules").is_dir();
        assert!(is_installed, "the provider's packages are not installed: `npm ci` in tests/oidc, or `cargo xtask test`");
        let mut command = Command::new("node");
        command.arg(folder.join("provider.mjs")).arg(port.to_string()).kill_on_drop(true);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("node");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let issuer = loop {
            let line = lines.next_line().await.unwrap().expect("a provider that begins");
            if line.starts_with("http") {
                break line;
            }
        };
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { issuer, client: Client::builder().no_proxy().build().unwrap(), _child: child }
    }

    /// Changes the provider's behavior.
    async fn tell(&self, what: Value) {
        let told = self.client.post(format!("{}/test", self.issuer)).body(what.to_string()).send().await.unwrap();
        assert_eq!(told.status(), 200);
    }

    /// Starts a server with logins through this provider.
    async fn server(&self, change: impl FnOnce(&mut Config)) -> TestServer {
        let data = tempfile::tempdir().unwrap();
        let secret = secret_file(data.path(), SECRET);
        TestServer::on(data, |config| {
            by_provider(config, &self.issuer, secret);
            change(config);
        })
        .await
    }
}

fn secret_file(folder: &Path, secret: &str) -> PathBuf {
    let path = folder.join("secret");
    std::fs::File::create(&path).unwrap().write_all(format!("{secret}\n").as_bytes()).unwrap();
    path
}

fn by_provider(config: &mut Config, issuer: &str, secret: PathBuf) {
    config.oidc_issuer = Some(issuer.to_owned());
    config.oidc_client_id = Some("monitor".to_owned());
    config.oidc_client_secret_file = Some(secret);
    config.oidc_roles = monitor_server::RolesOfGroups::read("makers=operator,ops people=admin,guests=viewer").unwrap();
}

/// Browser with cookies by host and port, without scripts.
struct Browser {
    client: Client,
    cookies: BTreeMap<(String, String), String>,
}

impl Browser {
    fn new() -> Self {
        let client = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { client, cookies: BTreeMap::new() }
    }

    async fn get(&mut self, url: &str) -> Response {
        let origin = url.parse::<Url>().unwrap().origin().ascii_serialization();
        let own = self.cookies.iter().filter(|((of, _), _)| *of == origin);
        let sent = own.map(|((_, name), value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
        let response = self.client.get(url).header("cookie", sent).send().await.unwrap();
        for cookie in cookies(&response) {
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            let key = (origin.clone(), name.to_owned());
            match value {
                "" => self.cookies.remove(&key),
                value => self.cookies.insert(key, value.to_owned()),
            };
        }
        response
    }

    /// Goes from the login page to the provider, logs in with this account, and returns the URL of the callback without calling it.
    async fn visit_provider(&mut self, server: &TestServer, account: &str, next: &str) -> String {
        let begun = self.get(&format!("http://{}/login/oidc?next={next}", server.address)).await;
        assert_eq!(begun.status(), 303, "{}", begun.text().await.unwrap());
        let mut at = location(&begun);
        for _ in 0..10 {
            if at.contains("/login/oidc/callback?") {
                return at;
            }
            let there = self.get(&at).await;
            assert_eq!(there.status(), 303, "{at}: {}", there.text().await.unwrap());
            at = location(&there);
            if at.contains("/interaction/") {
                at = format!("{at}?account={account}");
            }
        }
        panic!("the provider leads in circles: {at}")
    }

    async fn log_in(&mut self, server: &TestServer, account: &str) -> Response {
        let callback = self.visit_provider(server, account, "/tasks/7").await;
        self.get(&callback).await
    }

    async fn me(&mut self, server: &TestServer) -> Value {
        let answer = self.get(&format!("http://{}/api/v1/me", server.address)).await;
        answer.json().await.unwrap()
    }
}

fn cookies(response: &Response) -> Vec<String> {
    response.headers().get_all("set-cookie").iter().map(|cookie| cookie.to_str().unwrap().to_owned()).collect()
}

/// Returns the absolute URL that a response redirects to.
fn location(response: &Response) -> String {
    response.url().join(response.headers()["location"].to_str().unwrap()).unwrap().into()
}

/// Asserts that the login was refused with this reason.
async fn refused(response: Response, status: u16, words: &str) {
    let (found, set) = (response.status().as_u16(), cookies(&response));
    let page = response.text().await.unwrap();
    assert!(found == status && page.contains(words) && page.contains("role=\"alert\""), "{found}, {words:?} is not in {page}");
    assert!(!set.iter().any(|cookie| cookie.contains("monitor_session")), "{set:?}");
}

#[tokio::test]
async fn users_of_the_provider_log_in_with_the_role_of_their_groups() {
    let provider = Provider::start(0).await;
    let server = provider.server(|config| config.loopback = monitor_server::Loopback::Token).await;
    server.access().add_user("bob", Role::Admin, "correct horse").unwrap();
    let page = server.get("/login?next=%2Ftasks%2F7").send().await.unwrap().text().await.unwrap();
    assert!(page.contains("href=\"/login/oidc?next=%2Ftasks%2F7&amp;lang=en\">Log in with 127.0.0.1<"), "{page}");
    assert!(page.contains("name=\"password\""), "users with passwords are there beside it");

    let mut ada = Browser::new();
    let begun = ada.get(&format!("http://{}/login/oidc?next=/tasks/7", server.address)).await;
    let flow = cookies(&begun).remove(0);
    assert!(flow.starts_with("monitor_oidc=") && flow.ends_with("; Path=/; HttpOnly; SameSite=Lax; Max-Age=600"), "{flow}");
    let asked: BTreeMap<String, String> =
        begun.headers()["location"].to_str().unwrap().parse::<Url>().unwrap().query_pairs().into_owned().collect();
    let of = |name: &str| asked[name].as_str();
    assert_eq!((of("response_type"), of("client_id"), of("code_challenge_method")), ("code", "monitor", "S256"));
    assert_eq!((of("scope"), of("code_challenge").len()), ("openid profile email", 43));
    assert_eq!(of("redirect_uri"), format!("http://{}/login/oidc/callback", server.address));
    assert!(of("state").len() == 64 && of("nonce").len() == 64 && of("state") != of("nonce"));

    let entered = ada.log_in(&server, "ada").await;
    assert_eq!(entered.status(), 200);
    assert!(entered.headers()["content-security-policy"].to_str().unwrap().contains("default-src 'none'"));
    let set = cookies(&entered);
    assert!(set[0].starts_with("monitor_session=") && set[0].ends_with("; Path=/; HttpOnly; SameSite=Strict; Max-Age=604800"), "{set:?}");
    assert!(set[1].starts_with("monitor_oidc=; ") && set[1].ends_with("Max-Age=0"), "{set:?}");
    let page = entered.text().await.unwrap();
    assert!(page.contains("<meta http-equiv=\"refresh\" content=\"0; url=/tasks/7\">") && !page.contains("<script"), "{page}");
    let me = ada.me(&server).await;
    assert_eq!((&me["user"], &me["role"], &me["how"]), (&json!("ada"), &json!("admin"), &json!("session")), "the highest of two roles");

    // A user with the same name and a password is a different user.
    let mut bob = Browser::new();
    assert_eq!(bob.log_in(&server, "bob").await.status(), 200);
    let me = bob.me(&server).await;
    assert!(me["role"] == "viewer" && me["user"].as_str().unwrap().starts_with("bob-"), "{me}");
    // Groups that the ID token lacks are requested from the provider.
    provider.tell(json!({"userinfo": true})).await;
    let mut again = Browser::new();
    assert_eq!(again.log_in(&server, "ada").await.status(), 200);
    assert_eq!(again.me(&server).await["role"], "admin");
    provider.tell(json!({"userinfo": false})).await;

    refused(Browser::new().log_in(&server, "eve").await, 403, "none of your groups has access").await;
    refused(Browser::new().log_in(&server, "nobody").await, 403, "The login provider has denied access").await;
    let token = server.token("admin");
    let (_, page) = read(server.get("/api/v1/audit").bearer_auth(token).send().await.unwrap()).await;
    let told: Vec<_> =
        page["entries"].as_array().unwrap().iter().map(|entry| [&entry["who"], &entry["outcome"]].map(|of| of.as_str().unwrap())).collect();
    assert_eq!(told[0], ["unknown", "The login provider has denied access (access_denied: not today)"]);
    assert!(told[1][0] == "eve" && told[1][1].contains("groups") && told[2] == ["ada", "done"] && told[4] == ["ada", "done"], "{told:?}");
    assert!(
        page["entries"]
            .as_array()
            .unwrap()
            .iter()
            .all(|entry| entry["action"] == "login by OpenID Connect" && entry["address"] == "127.0.0.1")
    );
}

#[tokio::test]
async fn all_sessions_of_a_user_have_the_role_of_the_last_login() {
    let provider = Provider::start(0).await;
    let server = provider.server(|config| config.loopback = monitor_server::Loopback::Token).await;
    let mut first = Browser::new();
    assert_eq!(first.log_in(&server, "ada").await.status(), 200);
    provider.tell(json!({"claims": {"groups": "guests", "preferred_username": "lovelace"}})).await;
    let mut second = Browser::new();
    assert_eq!(second.log_in(&server, "ada").await.status(), 200);
    for browser in [&mut first, &mut second] {
        let me = browser.me(&server).await;
        assert_eq!((&me["user"], &me["role"]), (&json!("ada"), &json!("viewer")));
    }
    provider.tell(json!({"claims": {"groups": []}})).await;
    refused(Browser::new().log_in(&server, "ada").await, 403, "none of your groups").await;
    for browser in [&mut first, &mut second] {
        assert_eq!(browser.me(&server).await["status"], 401, "whoever may no longer come in is logged out");
    }
    // Removing the user ends the session. The user can log in again if the provider allows it.
    provider.tell(json!({"claims": {}})).await;
    assert_eq!(second.log_in(&server, "ada").await.status(), 200);
    server.access().remove_user("ada").unwrap();
    assert_eq!(second.me(&server).await["status"], 401);
}

#[tokio::test]
async fn a_callback_is_accepted_once_and_only_from_the_browser_that_began() {
    let provider = Provider::start(0).await;
    let server = provider.server(|_| {}).await;
    let mut ada = Browser::new();
    let callback = ada.visit_provider(&server, "ada", "//evil.example").await;
    let begun = ada.cookies.clone();
    refused(Browser::new().get(&callback).await, 400, "started in another browser").await;
    let mut other = Browser::new();
    let theirs = other.visit_provider(&server, "bob", "/").await;
    refused(other.get(&callback).await, 400, "started in another browser").await;

    // A code of another user, with the attacker's own state: the provider refuses it, because the verifier differs.
    let part = |url: &str, name: &str| url.parse::<Url>().unwrap().query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned();
    let mut eve = Browser::new();
    let own = eve.visit_provider(&server, "eve", "/").await;
    let stolen = own.replace(&part(&own, "code"), &part(&theirs, "code"));
    refused(eve.get(&stolen).await, 401, "The login provider has issued no token").await;

    // The browser can change the cookie of a pending login, so its target is checked again.
    let mut forger = Browser::new();
    forger.visit_provider(&server, "ada", "/").await;
    let key = (format!("http://{}", server.address), "monitor_oidc".to_owned());
    let content = BASE64_URL_SAFE_NO_PAD.decode(&forger.cookies[&key]).unwrap();
    let mut content: Value = serde_json::from_slice(&content).unwrap();
    for next in
        ["//evil.example", "https://evil.example", "/\\evil.example", "/\t/evil.example", "\u{0}/evil.example", "javascript:evil.example"]
    {
        content["next"] = next.into();
        let cookie = BASE64_URL_SAFE_NO_PAD.encode(content.to_string());
        let state = Sha256::digest(format!("state of {cookie}")).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
        forger.cookies.insert(key.clone(), cookie);
        let callback = format!("http://{}/login/oidc/callback?state={state}&error=access_denied", server.address);
        let page = forger.get(&callback).await.text().await.unwrap();
        assert!(page.contains("name=\"next\" value=\"/tasks\"") && !page.contains("evil"), "{next:?}: {page}");
    }

    // The texts in the query may be forged by the browser. They must not create a second line in the log.
    let mut odd = Browser::new();
    let own = odd.visit_provider(&server, "ada", "/").await;
    let told = own.replace("code=", "error=a%0Ab%1b&was=");
    refused(odd.get(&told).await, 403, "The login provider has denied access").await;
    let (_, page) = read(server.get("/api/v1/audit?limit=1").bearer_auth(server.token("admin")).send().await.unwrap()).await;
    assert_eq!(page["entries"][0]["outcome"], "The login provider has denied access (a b )");

    let entered = ada.get(&callback).await;
    assert_eq!(entered.status(), 200);
    assert!(entered.text().await.unwrap().contains("url=/tasks\""), "nobody is led elsewhere");
    refused(ada.get(&callback).await, 400, "started in another browser").await;
    // The cookie has been removed, and a browser that kept it gets an error too.
    ada.cookies = begun;
    refused(ada.get(&callback).await, 400, "This login has already been used").await;
    for odd in ["", "?state=", "?code=x&state=y", "?error=server_error", "?state=a&state=b", "?code=%FF%", "?&&=&"] {
        let asked = Browser::new().get(&format!("http://{}/login/oidc/callback{odd}", server.address)).await;
        refused(asked, 400, "started in another browser").await;
    }
    let twice = format!("http://{}/login/oidc?lang=en&lang=zh", server.address);
    refused(Browser::new().get(&twice).await, 400, "The address of this page is malformed").await;
}

#[tokio::test]
async fn a_token_of_another_login_is_refused() {
    let provider = Provider::start(0).await;
    let server = provider.server(|_| {}).await;
    for (change, words) in [
        (json!({"claims": {"aud": "another"}}), "was not issued for this server"),
        (json!({"claims": {"aud": ["monitor", "another"]}}), "was not issued for this server"),
        (json!({"claims": {"exp": 1_700_000_000}}), "has expired"),
        (json!({"claims": {"nonce": "another"}}), "belongs to another login"),
        (json!({"claims": {"iss": "http://127.0.0.1:1"}}), "can&#39;t be trusted"),
        (json!({"claims": {"iat": "soon"}}), "can&#39;t be trusted"),
        (json!({"claims": {"sub": ""}}), "can&#39;t be trusted"),
        (json!({"claims": {}, "foreign": true}), "is not signed with one of its published keys"),
    ] {
        provider.tell(change.clone()).await;
        let callback = Browser::new().log_in(&server, "ada").await;
        let (status, page) = (callback.status(), callback.text().await.unwrap());
        assert!(status == 401 && page.contains(words), "{change}: {status} {page}");
    }
    assert!(server.access().users().unwrap().is_empty());
    provider.tell(json!({"foreign": false})).await;
    assert_eq!(Browser::new().log_in(&server, "ada").await.status(), 200);
}

#[tokio::test]
async fn logins_of_users_without_a_role_do_not_block_other_users() {
    let provider = Provider::start(0).await;
    let server = provider.server(|_| {}).await;
    for _ in 0..12 {
        refused(Browser::new().log_in(&server, "eve").await, 403, "none of your groups has access").await;
    }
    assert_eq!(Browser::new().log_in(&server, "ada").await.status(), 200);
}

#[tokio::test]
async fn keys_of_the_provider_are_fetched_again_after_a_rotation() {
    let provider = Provider::start(0).await;
    let server = provider.server(|_| {}).await;
    assert_eq!(Browser::new().log_in(&server, "ada").await.status(), 200);
    for _ in 0..2 {
        provider.tell(json!({"rotate": true})).await;
        assert_eq!(Browser::new().log_in(&server, "ada").await.status(), 200);
    }
}

#[tokio::test]
async fn an_unreachable_provider_is_reported_and_other_logins_still_work() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let data = tempfile::tempdir().unwrap();
    let secret = secret_file(data.path(), SECRET);
    let issuer = format!("http://127.0.0.1:{port}");
    let server = TestServer::on(data, |config| by_provider(config, &issuer, secret)).await;
    server.access().add_user("bob", Role::Admin, "correct horse").unwrap();
    let begin = || server.get("/login/oidc?lang=en").header("accept-language", "zh").send();
    refused(begin().await.unwrap(), 503, "The login provider is unreachable").await;
    refused(server.get("/login/oidc?lang=zh").send().await.unwrap(), 503, "无法连接登录提供方").await;
    assert_eq!(server.get("/healthz").send().await.unwrap().status(), 200);

    let provider = Provider::start(port).await;
    until(async || begin().await.unwrap().status() == 303).await;
    let mut ada = Browser::new();
    let callback = ada.visit_provider(&server, "ada", "/").await;
    drop(provider);
    until(async || server.client.get(format!("{issuer}/jwks")).send().await.is_err()).await;
    refused(ada.get(&callback).await, 503, "The login provider is unreachable").await;
}

#[tokio::test]
async fn the_client_s_secret_is_read_at_every_login() {
    let provider = Provider::start(0).await;
    let server = provider.server(|_| {}).await;
    secret_file(server.folder(), "another secret");
    refused(Browser::new().log_in(&server, "ada").await, 401, "The login provider has issued no token").await;
    secret_file(server.folder(), "");
    refused(Browser::new().log_in(&server, "ada").await, 500, "can&#39;t read its client secret").await;
    std::fs::remove_file(server.folder().join("secret")).unwrap();
    refused(Browser::new().log_in(&server, "ada").await, 500, "can&#39;t read its client secret").await;
    secret_file(server.folder(), SECRET);
    assert_eq!(Browser::new().log_in(&server, "ada").await.status(), 200);
    let kept = std::fs::read(server.folder().join("access.db")).unwrap();
    assert!(!kept.windows(SECRET.len()).any(|bytes| bytes == SECRET.as_bytes()));
}

#[tokio::test]
async fn a_login_begins_where_it_ends_and_by_https_its_cookie_is_secure() {
    let provider = Provider::start(0).await;
    let server = provider.server(|_| {}).await;
    let by_name =
        server.get("/login/oidc?next=/tasks/7").header("host", format!("localhost:{}", server.address.port())).send().await.unwrap();
    assert_eq!(by_name.headers()["location"], format!("http://{}/login/oidc?next=/tasks/7", server.address));
    assert!(cookies(&by_name).is_empty());
    let public = provider.server(|config| config.public_url = Some("https://monitor.example.com".parse().unwrap())).await;
    let begun = public.get("/login/oidc").send().await.unwrap();
    let (to, flow) = (location(&begun), cookies(&begun).remove(0));
    assert!(to.contains("redirect_uri=https%3A%2F%2Fmonitor.example.com%2Flogin%2Foidc%2Fcallback"), "{to}");
    assert!(flow.starts_with("__Host-monitor_oidc=") && flow.ends_with("; SameSite=Lax; Max-Age=600; Secure"), "{flow}");
}

#[tokio::test]
async fn without_a_provider_its_routes_do_not_exist() {
    let server = TestServer::start().await;
    assert!(!server.get("/login").send().await.unwrap().text().await.unwrap().contains("oidc"));
    for path in ["/login/oidc", "/login/oidc/callback?code=x&state=y"] {
        assert_eq!(read(server.get(path).send().await.unwrap()).await.0, 404, "{path}");
    }
}

#[tokio::test]
async fn settings_that_permit_no_login_are_refused_at_the_start() {
    let issuer = "https://login.example.com";
    let with = |change: fn(&mut Config)| async move {
        let data = tempfile::tempdir().unwrap();
        let mut config = config(&data);
        by_provider(&mut config, issuer, data.path().join("secret"));
        change(&mut config);
        Server::bind(config).await.map(|_| ()).map_err(|error| error.to_string())
    };
    for (change, words) in [
        ((|config| config.oidc_client_id = None) as fn(&mut Config), "oidc-client-id is not"),
        (|config| config.oidc_roles = monitor_server::RolesOfGroups::default(), "oidc-roles is not"),
        (|config| config.oidc_issuer = None, "oidc-client-id is set and oidc-issuer is not"),
        (|config| config.public_url = Some("http://monitor.example.com".parse().unwrap()), "plain http is for loopback alone"),
        (|config| config.listen = "0.0.0.0:0".parse().unwrap(), "set `public-url`"),
    ] {
        let error = with(change).await.unwrap_err();
        assert!(error.contains(words), "{words:?} is not in {error}");
    }
    // Users may log in, so the server may listen publicly. The provider and the file need not exist at the start.
    with(|config| config.public_url = Some("https://monitor.example.com".parse().unwrap())).await.unwrap();
}
