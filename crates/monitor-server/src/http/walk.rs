//! Test that calls every route as each kind of caller, and checks that access is granted exactly as the route declares.

use expect_test::expect_file;
use reqwest::{Client, RequestBuilder, Response};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::bk_job;
use super::routes::{READ, Rule, Wants};
use crate::access::{Access, NewToken, Role, Scope, Scopes};
use crate::{Config, ServeError, Server};

mod orders;

const LIFETIME: std::time::Duration = std::time::Duration::from_secs(3_600);

/// Caller and its scopes.
struct Caller {
    name: &'static str,
    scopes: &'static [Scope],
    by: By,
}

enum By {
    /// From this machine, without a token or a login.
    Loopback,
    /// From another machine, without a token or a login.
    Stranger,
    Token(String),
    /// Login of the user with this name.
    Login,
}

/// Running server, and the client that calls it.
struct Walked {
    data: TempDir,
    own: String,
    access: Access,
    client: Client,
    stop: oneshot::Sender<()>,
    running: JoinHandle<Result<(), ServeError>>,
}

impl Walked {
    async fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut config = Config::new(data.path());
        config.listen = "127.0.0.1:0".parse().unwrap();
        config.max_requests_per_second = 1_000_000;
        let server = Server::bind(config).await.unwrap();
        let own = format!("http://{}", server.local_addr());
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(server.run(async move { drop(stopped.await) }));
        let access = Access::open(data.path()).unwrap();
        let client = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { data, own, access, client, stop, running }
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.running.await.unwrap().unwrap();
    }
}

fn declared() -> Vec<(String, String, Rule)> {
    let (_, rules, _) = super::routes().into_parts();
    let files: Vec<_> = monitor_web::paths().map(|path| format!("/{path}")).collect();
    let routes = rules.iter().filter(|(_, path, _)| !files.iter().any(|file| file == path));
    routes.map(|(method, path, rule)| (method.to_owned(), path.to_owned(), rule)).collect()
}

#[test]
fn each_route_requires_the_scope_in_the_expected_list() {
    let line = |(method, path, rule): (String, String, Rule)| {
        let wants = match rule.wants {
            Wants::Nothing => "nothing",
            Wants::Page => "page",
            Wants::Scope(scope) => scope.as_str(),
        };
        format!("{method} {path}: {wants}{}\n", rule.audit.map(|word| format!(", recorded as {word:?}")).unwrap_or_default())
    };
    expect_file!["walk.txt"].assert_eq(&declared().into_iter().map(line).collect::<String>());
}

#[test]
fn every_change_is_recorded() {
    for (method, path, rule) in declared() {
        // A tool of `/mcp` sends a separate request, which is recorded.
        let tries = matches!(path.as_str(), "/api/v1/batch-tasks/rehearse" | "/api/v1/alerts/trials" | "/mcp");
        // BlueKing's clients send queries by POST, too.
        let tries = tries || (bk_job::is_path(&path) && rule == READ);
        let changes = !matches!(rule.wants, Wants::Nothing | Wants::Scope(Scope::Ingest | Scope::Agent)) && method != "GET" && !tries;
        assert_eq!(rule.audit.is_some(), changes, "{method} {path}");
    }
}

/// True if the server refused the caller.
fn is_refused(response: &Response) -> bool {
    let to_login = response.headers().get("location").is_some_and(|to| to.to_str().unwrap().starts_with("/login?"));
    let is_forbidden = response.headers().get("x-bkapi-error-code").is_some_and(|code| code == "9900403");
    [401, 403].contains(&response.status().as_u16()) || to_login || is_forbidden
}

/// Sends a request whose path parameters name objects that don't exist.
fn request(client: &Client, own: &str, method: &str, path: &str) -> RequestBuilder {
    let path = path
        .replace("{root}", "999")
        .replace("{id}", "00000000000000c1")
        .replace("{*path}", "999")
        .replace("{name}", "agent")
        .replace("{alert}", "999")
        .replace("{hush}", "999")
        .replace("{rule}", "none")
        .replace("{publication}", "999")
        .replace("{channel}", "none");
    client.request(method.parse().unwrap(), format!("{own}{path}"))
}

fn asked(request: RequestBuilder, access: &Access, caller: &Caller, origin: Option<&str>) -> RequestBuilder {
    let request = origin.into_iter().fold(request, |request, origin| request.header("origin", origin));
    match &caller.by {
        By::Loopback => request,
        By::Stranger => request.header("x-forwarded-for", "192.0.2.7"),
        By::Token(token) => request.header("x-forwarded-for", "192.0.2.7").bearer_auth(token),
        By::Login => {
            let session = access.begin_session(caller.name, LIFETIME).unwrap();
            request.header("x-forwarded-for", "192.0.2.7").header("cookie", format!("monitor_session={session}"))
        }
    }
}

/// Returns one caller of each kind.
fn callers(access: &Access) -> Vec<Caller> {
    let mut callers = vec![
        Caller { name: "loopback", scopes: &[Scope::Ingest, Scope::Read], by: By::Loopback },
        Caller { name: "stranger", scopes: &[], by: By::Stranger },
    ];
    for (name, scopes) in [
        ("ingest", [Scope::Ingest].as_slice()),
        ("read", &[Scope::Read]),
        ("operate", &[Scope::Read, Scope::Operate]),
        ("agent", &[Scope::Ingest, Scope::Agent]),
        ("admin", &[Scope::Ingest, Scope::Agent, Scope::Read, Scope::Operate, Scope::Admin]),
    ] {
        let new = NewToken { name: name.to_owned(), scopes: name.parse::<Scopes>().unwrap(), lifetime: None, jobs: None };
        callers.push(Caller { name, scopes, by: By::Token(access.create_token(&new).unwrap()) });
    }
    for (name, role, scopes) in [
        ("a-viewer", Role::Viewer, [Scope::Read].as_slice()),
        ("an-operator", Role::Operator, &[Scope::Read, Scope::Operate]),
        ("an-admin", Role::Admin, &[Scope::Ingest, Scope::Agent, Scope::Read, Scope::Operate, Scope::Admin]),
    ] {
        access.add_user(name, role, "correct horse").unwrap();
        callers.push(Caller { name, scopes, by: By::Login });
    }
    callers
}

#[tokio::test]
async fn each_route_admits_only_callers_with_its_scope() {
    let walked = Walked::start().await;
    let Walked { own, client, access, .. } = &walked;
    let callers = callers(access);
    let routes = declared();
    let nowhere = [
        ("GET", "/api/v1/nothing", Scope::Read),
        ("GET", "/nothing", Scope::Read),
        ("OPTIONS", "/api/v1/roots", Scope::Read),
        ("DELETE", "/nothing", Scope::Operate),
        ("BREW", "/api/v1/roots", Scope::Operate),
        ("PUT", "/api/v1/events", Scope::Operate),
    ];
    let undeclared = nowhere.map(|(method, path, scope)| (method.to_owned(), path.to_owned(), Wants::Scope(scope)));
    let all: Vec<_> = routes.into_iter().map(|(method, path, rule)| (method, path, rule.wants)).chain(undeclared).collect();
    for (method, path, wants) in &all {
        let is_change = !["GET", "OPTIONS"].contains(&method.as_str());
        for caller in &callers {
            let may = match wants {
                Wants::Nothing => true,
                Wants::Page => caller.scopes.contains(&Scope::Read),
                Wants::Scope(scope) => caller.scopes.contains(scope),
            };
            let (name, is_login) = (caller.name, matches!(caller.by, By::Login));
            let send = async |origin| asked(request(client, own, method, path), access, caller, origin).send().await.unwrap();
            let response = send(Some(own)).await;
            // `/me` answers an unknown caller with 401, the status of a refusal.
            let may = may && !(path == "/api/v1/me" && name == "stranger");
            assert_eq!(is_refused(&response), !may, "{method} {path} {name}: {}", response.status());
            let elsewhere = send(Some("https://evil.example")).await;
            assert_eq!(elsewhere.status(), 403, "{method} {path} {name}: a page of another site");
            // A page on another port of this host also gets the cookie. It may read, as any program on this machine may, but not change
            // anything.
            let neighbour = send(Some("http://127.0.0.1:1")).await;
            assert_eq!(is_refused(&neighbour), !may || (is_login && is_change), "{method} {path} {name}: another port's page");
        }
    }
    walked.stop().await;
}
