//! The HTTP API and the page. Handlers decode a request, call other modules and encode the response. There is one file per resource.

#![allow(unused_qualifications, reason = "utoipa's macros write full paths")]

mod access;
mod alerts;
mod answers;
mod backup;
mod batch;
mod bk_job;
mod body;
mod cancel;
mod clock;
mod clusters;
mod commands;
mod compress;
mod connections;
mod doctor;
mod encoding;
mod events;
mod export;
mod flower;
mod guard;
mod health;
mod heartbeats;
mod hosts;
mod in_process;
mod jobs;
mod login;
mod logs;
mod mcp;
mod me;
mod metrics;
mod names;
mod openapi;
mod other_wires;
mod otlp;
mod page;
mod params;
mod ping;
mod pins;
mod plain;
mod problem;
mod process;
mod processes;
mod queue;
mod queue_orders;
mod refusals;
mod roots;
mod routes;
mod stats;
mod status;
mod stream;
mod targets;
mod tree;
#[cfg(test)]
mod walk;
mod workers;

use std::ops::Deref;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::MethodFilter;
use axum::{Json, Router};
use http::{HeaderName, HeaderValue, Method, Uri, header};
use monitor_store::{RootKey, Store, StoreError};
use monitor_wire::ProcessId;
use tokio::sync::{Notify, Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_http::trace::TraceLayer;
use utoipa::OpenApi;
use utoipa_axum::routes;

use crate::access::{Access, AccessError, Scope};
use crate::alerts::Alerts;
use crate::clock::Clock;
use crate::commands::Commands;
use crate::config::Config;
use crate::duties::Board;
use crate::ingest::Ingest;
use crate::jobs::Jobs;
use crate::live::Live;
use crate::oidc::Oidc;
use crate::retention::AgeClock;
pub use connections::TlsError;
pub(crate) use connections::{Room, Tls, revoked, serve};
pub(crate) use params::read_queries;
use params::{PathParts, RootName};
use problem::ApiError;
use routes::{ADMIN, AGENT, INGEST, OPERATE, PAGE, PUBLIC, READ, Routes, TRY, change};

/// State shared by all handlers. Each request clones the `Arc`.
#[derive(Clone)]
pub(crate) struct App(Arc<Shared>);

impl Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// Fields of [`App`].
pub(crate) struct Shared {
    config: Arc<Config>,
    store: Arc<dyn Store>,
    ingest: Arc<Ingest>,
    live: Live,
    access: Arc<Access>,
    /// OpenID Connect provider for logins, if configured.
    oidc: Option<Oidc>,
    guard: Arc<guard::Guard>,
    paces: Arc<access::Paces>,
    /// Permits to hash a password, which needs much memory.
    hashing: Arc<Semaphore>,
    bodies: body::Bodies,
    other_wires: other_wires::OtherWires,
    /// Permits to subscribe to the event stream.
    subscribers: Arc<Semaphore>,
    pub(crate) otlp: Arc<crate::otlp::Receiver>,
    /// Numbers the events that the server creates from pings of heartbeats.
    pub(crate) pings: Arc<crate::otlp::Receiver>,
    /// Permits to decode a body, which needs many times the body's size.
    decoding: Arc<Semaphore>,
    /// Permits to query the store, whose results can be large.
    asking: Arc<Semaphore>,
    /// Running requests that change something. They continue when their connection ends.
    pub(crate) changing: TaskTracker,
    /// Permit to copy the database.
    copying: Arc<Semaphore>,
    /// Wakes the duty that deletes dropped runs.
    pub(crate) sweep: Arc<Notify>,
    /// Memory budget of responses that are built completely before they are sent.
    answers: answers::Answers,
    /// Permits to export. Each export blocks a thread.
    exporting: Arc<Semaphore>,
    /// Clock for the ages of runs.
    ages: Arc<AgeClock>,
    /// Commands to workers.
    commands: Arc<Commands>,
    /// Jobs on hosts.
    jobs: Arc<Jobs>,
    /// Decisions about alerts.
    alerts: Arc<Alerts>,
    /// Notifies agents that wait for changes of their batch tasks.
    books: watch::Sender<()>,
    /// State of the background duties.
    board: Board,
    stopping: CancellationToken,
    started_us: u64,
    clock: Clock,
}

/// Parts of the server that [`App::new`] needs.
pub(crate) struct Parts {
    pub(crate) config: Arc<Config>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) ingest: Arc<Ingest>,
    pub(crate) live: Live,
    pub(crate) access: Arc<Access>,
    pub(crate) oidc: Option<Oidc>,
    pub(crate) ages: Arc<AgeClock>,
    pub(crate) commands: Arc<Commands>,
    pub(crate) jobs: Arc<Jobs>,
    pub(crate) alerts: Arc<Alerts>,
    pub(crate) board: Board,
    pub(crate) stopping: CancellationToken,
    pub(crate) clock: Clock,
}

impl App {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { config, store, ingest, live, access, oidc, ages, commands, jobs, alerts, board, stopping, clock } = parts;
        let guard = Arc::new(guard::Guard::new(config.listen, config.public_url.clone(), config.tls_cert.is_some()));
        let paces = Arc::new(access::Paces::new(config.max_requests_per_second));
        let otlp = Arc::new(crate::otlp::Receiver::new(crate::otlp::Receiver::PROGRAM, clock.clone()));
        let pings = Arc::new(crate::otlp::Receiver::new(ping::PROGRAM, clock.clone()));
        let bodies = body::Bodies::new(config.max_pending_bytes);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let decoding = Arc::new(Semaphore::new(2 * cores));
        let asking = Arc::new(Semaphore::new(4 * cores));
        let subscribers = Arc::new(Semaphore::new(config.max_subscribers.min(Semaphore::MAX_PERMITS)));
        let hashing = Arc::new(Semaphore::new(cores));
        let (sweep, copying) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(1)));
        let answers = answers::Answers::new(config.max_answer_bytes);
        let exporting = Arc::new(Semaphore::new(2 * cores));
        Self(Arc::new(Shared {
            config,
            store,
            ingest,
            live,
            access,
            oidc,
            guard,
            paces,
            hashing,
            bodies,
            subscribers,
            otlp,
            pings,
            decoding,
            other_wires: other_wires::OtherWires::default(),
            asking,
            changing: TaskTracker::new(),
            copying,
            sweep,
            answers,
            exporting,
            ages,
            commands,
            jobs,
            alerts,
            books: watch::Sender::new(()),
            board,
            stopping,
            started_us: clock.wall_us(),
            clock,
        }))
    }

    /// Queries the store on a thread that may block.
    async fn ask<T: Send + 'static>(&self, ask: impl FnOnce(&dyn Store) -> Result<T, StoreError> + Send + 'static) -> Result<T, ApiError> {
        let store = self.store.clone();
        let turn = self.asking.clone().acquire_owned().await;
        let answered = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            ask(&*store)
        });
        Ok(answered.await??)
    }

    /// Queries the store about the run that the path names.
    async fn ask_root<T: Send + 'static>(
        &self,
        path: &PathParts,
        ask: impl FnOnce(&dyn Store, RootKey) -> Result<Option<T>, StoreError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let RootName(root) = path.read("root")?;
        match self.ask(move |store| ask(store, root)).await? {
            Some(found) => Ok(found),
            None => Err(self.no_root(root, path.text("root")).await),
        }
    }

    /// Queries the store about the process that the path names.
    async fn ask_process<T: Send + 'static>(
        &self,
        path: &PathParts,
        ask: impl FnOnce(&dyn Store, RootKey, ProcessId) -> Result<Option<T>, StoreError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let (RootName(root), id) = (path.read("root")?, path.read("id")?);
        match self.ask(move |store| ask(store, root, id)).await? {
            Some(found) => Ok(found),
            None => Err(self.no_process(root, path.text("root"), id).await),
        }
    }

    /// Returns the error for a run that was not found: deleted by retention, or unknown.
    async fn no_root(&self, key: RootKey, asked: &str) -> ApiError {
        let root = asked.to_owned();
        match self.is_dropped(key).await {
            Ok(true) => ApiError::Gone { root },
            Ok(false) => ApiError::NoRoot { root },
            Err(error) => error,
        }
    }

    /// Returns the error for a process that was not found.
    async fn no_process(&self, key: RootKey, asked: &str, id: ProcessId) -> ApiError {
        let root = asked.to_owned();
        match self.is_dropped(key).await {
            Ok(true) => ApiError::Gone { root },
            Ok(false) => ApiError::NoProcess { root, id },
            Err(error) => error,
        }
    }

    /// Returns true if a run is known to have been deleted. Only numbers can be checked: they are assigned in ascending order, while an
    /// unknown id may never have existed.
    async fn is_dropped(&self, key: RootKey) -> Result<bool, ApiError> {
        match key {
            RootKey::Id(_) => Ok(false),
            RootKey::Number(number) => self.ask(move |store| store.is_dropped(number)).await,
        }
    }

    /// Queries tokens, users and the audit log on a thread that may block.
    async fn ask_access<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Access) -> Result<T, AccessError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let access = self.access.clone();
        Ok(tokio::task::spawn_blocking(move || ask(&access)).await??)
    }
}

/// Returns all routes, each with the scope it requires.
fn routes() -> Routes {
    const LISTS: [fn(Routes) -> Routes; 11] = [
        events_of_programs,
        trees,
        queues,
        workers,
        batch_tasks,
        jobs_on_hosts,
        bk_job::routes,
        heartbeats_and_alerts,
        figures,
        about,
        pages,
    ];
    let routes = LISTS.into_iter().fold(Routes::new(openapi::Api::openapi()), |routes, add| add(routes));
    // The page's files contain no data, so they need no scope.
    monitor_web::paths().fold(routes, |routes, path| routes.hidden(PUBLIC, MethodFilter::GET, &format!("/{path}"), page::get_asset))
}

fn events_of_programs(routes: Routes) -> Routes {
    routes.add(INGEST, routes!(events::post_events)).add(INGEST, routes!(otlp::post_traces)).add(INGEST, routes!(otlp::post_logs))
}

fn trees(routes: Routes) -> Routes {
    routes
        .add(READ, routes!(roots::get_roots))
        .add(READ, routes!(names::get_names))
        .add(READ, routes!(roots::get_root))
        .add(change(Scope::Operate, "delete a run"), routes!(pins::delete_root))
        .add(change(Scope::Operate, "confirm the clock"), routes!(clock::post_confirm))
        .add(change(Scope::Operate, "pin a run"), routes!(pins::post_pin))
        .add(change(Scope::Operate, "unpin a run"), routes!(pins::delete_pin))
        .add(READ, routes!(tree::get_tree))
        .add(READ, routes!(export::get_export))
        .add(READ, routes!(process::get_process))
        .add(READ, routes!(processes::get_processes))
        .add(READ, routes!(processes::get_processes_of_id))
        .add(READ, routes!(doctor::get_doctor))
        .add(READ, routes!(logs::get_root_logs))
        .add(READ, routes!(logs::get_process_logs))
}

fn queues(routes: Routes) -> Routes {
    routes
        .add(READ, routes!(queue::get_queue_tasks))
        .add(change(Scope::Operate, "start a task of a queue"), routes!(queue_orders::post_call))
        .add(change(Scope::Operate, "revoke tasks of queues"), routes!(queue_orders::post_revoke))
        .add(change(Scope::Operate, "run tasks of queues again"), routes!(queue_orders::post_retry))
        .add(READ, routes!(queue::get_queue_types))
        .add(READ, routes!(queue::get_queue_task))
        .add(READ, routes!(queue::get_queue_result))
        .add(READ, routes!(queue::get_queues))
}

fn workers(routes: Routes) -> Routes {
    routes
        .add(READ, routes!(workers::get_workers))
        .add(READ, routes!(workers::get_worker))
        .add(READ, routes!(commands::get_channel))
        .add(INGEST, routes!(commands::get_orders))
        .add(INGEST, routes!(commands::post_reply))
        // Methods that change something require `operate`. The handler checks that once it has read the method.
        .add(change(Scope::Read, "a command"), routes!(commands::post_command))
        .add(change(Scope::Operate, "cancel"), routes!(cancel::post_cancel))
        .add(READ, routes!(commands::get_commands))
        .add(READ, routes!(commands::get_methods))
        .add(READ, routes!(commands::get_command))
}

fn batch_tasks(routes: Routes) -> Routes {
    routes
        .add(READ, routes!(batch::tasks::get_tasks))
        .add(change(Scope::Admin, "add a batch task"), routes!(batch::tasks::post_task))
        .add(change(Scope::Admin, "apply batch tasks"), routes!(batch::apply::post_apply))
        .add(TRY, routes!(batch::rehearse::post_rehearse))
        .add(READ, routes!(batch::rules::get_next))
        .add(READ, routes!(batch::runs::get_runs))
        .add(READ, routes!(batch::day::get_day))
        .add(READ, routes!(batch::tasks::get_task))
        .add(change(Scope::Admin, "change a batch task"), routes!(batch::tasks::put_task))
        .add(change(Scope::Admin, "delete a batch task"), routes!(batch::tasks::delete_task))
        .add(change(Scope::Operate, "pause a batch task"), routes!(batch::pause::post_pause))
        .add(change(Scope::Operate, "resume a batch task"), routes!(batch::pause::post_resume))
        .add(change(Scope::Operate, "run a batch task"), routes!(batch::orders::post_run))
        .add(change(Scope::Operate, "end runs of a batch task"), routes!(batch::orders::post_kill))
        .add(change(Scope::Operate, "end a run of a batch task"), routes!(batch::orders::post_end))
        .add(change(Scope::Operate, "run a batch task again"), routes!(batch::orders::post_rerun))
        .add(READ, routes!(batch::log::get_log))
        .add(READ, routes!(batch::tasks::get_versions))
        .add(READ, routes!(batch::publications::get_publications))
        .add(READ, routes!(batch::publications::get_publication))
        .add(READ, routes!(batch::publications::get_file))
        .add(READ, routes!(batch::publications::get_comparison))
        .add(change(Scope::Operate, "restore a publication of a batch task"), routes!(batch::publications::post_restore))
        .add(READ, routes!(batch::explain::get_explain))
        .add(AGENT, routes!(batch::book::get_book))
        .add(READ, routes!(batch::pause::get_agents))
        .add(change(Scope::Operate, "pause an agent"), routes!(batch::pause::post_agent_pause))
        .add(change(Scope::Operate, "resume an agent"), routes!(batch::pause::post_agent_resume))
}

fn jobs_on_hosts(routes: Routes) -> Routes {
    routes
        .add(READ, routes!(hosts::get_hosts))
        .add(change(Scope::Admin, "add or change hosts"), routes!(hosts::put_hosts))
        .add(change(Scope::Admin, "remove a host"), routes!(hosts::delete_host))
        .add(READ, routes!(targets::get_targets))
        .add(change(Scope::Admin, "save targets"), routes!(targets::put_targets))
        .add(change(Scope::Admin, "remove saved targets"), routes!(targets::delete_targets))
        .add(READ, routes!(jobs::list::get_jobs))
        .add(change(Scope::Operate, "start a job"), routes!(jobs::change::post_job))
        // The public keys are no secret, and an agent needs them before it has a token.
        .add(PUBLIC, routes!(jobs::key::get_key))
        .add(change(Scope::Admin, "replace the key of jobs"), routes!(jobs::key::post_key))
        .add(READ, routes!(jobs::list::get_job))
        .add(OPERATE, routes!(jobs::list::get_request))
        .add(READ, routes!(jobs::list::get_job_hosts))
        .add(READ, routes!(jobs::output::get_output))
        .add(READ, routes!(jobs::result::get_result))
        .add(READ, routes!(jobs::callbacks::get_callbacks))
        .add(READ, routes!(jobs::list::get_wait))
        .add(change(Scope::Operate, "operate a job"), routes!(jobs::change::post_operate))
        .add(AGENT, routes!(jobs::agents::get_job_orders))
        .add(AGENT, routes!(jobs::agents::post_reports))
        .add(AGENT, routes!(jobs::agents::post_output))
}

fn heartbeats_and_alerts(routes: Routes) -> Routes {
    routes
        .add(READ, routes!(heartbeats::get_heartbeats))
        .add(change(Scope::Admin, "add a heartbeat"), routes!(heartbeats::post_heartbeat))
        .add(change(Scope::Admin, "change a heartbeat"), routes!(heartbeats::put_heartbeat))
        .add(change(Scope::Admin, "delete a heartbeat"), routes!(heartbeats::delete_heartbeat))
        .add(change(Scope::Admin, "roll the key of a heartbeat"), routes!(heartbeats::post_roll))
        .add(READ, routes!(alerts::list::get_alerts))
        .add(READ, routes!(alerts::list::get_alert_explanation))
        .add(READ, routes!(alerts::rules::get_rules))
        .add(READ, routes!(alerts::trials::get_try))
        .add(READ, routes!(alerts::trials::get_trials, alerts::trials::post_trials))
        .add(change(Scope::Admin, "change an alert rule"), routes!(alerts::rules::put_rule))
        .add(change(Scope::Admin, "delete an alert rule"), routes!(alerts::rules::delete_rule))
        .add(change(Scope::Admin, "test a channel of alerts"), routes!(alerts::channels::post_test))
        .add(change(Scope::Admin, "preview a channel of alerts"), routes!(alerts::channels::post_preview))
        .add(READ, routes!(alerts::hushes::get_hushes))
        .add(change(Scope::Operate, "hush alerts"), routes!(alerts::hushes::post_hush))
        .add(change(Scope::Operate, "end a hush"), routes!(alerts::hushes::delete_hush))
        .add(READ, routes!(alerts::list::get_alert))
        .add(change(Scope::Operate, "acknowledge an alert"), routes!(alerts::act::post_ack))
        .add(change(Scope::Operate, "resolve an alert"), routes!(alerts::act::post_resolve))
}

fn figures(routes: Routes) -> Routes {
    routes
        .add(READ, routes!(stats::get_stats))
        .add(READ, routes!(stats::get_series))
        .add(READ, routes!(stats::get_errors))
        .add(READ, routes!(stats::get_causes))
        .add(READ, routes!(status::get_status))
        .add(READ, routes!(metrics::get_metrics))
        .add(READ, routes!(stream::get_stream))
}

fn about(routes: Routes) -> Routes {
    routes
        .add(change(Scope::Admin, "copy the database"), routes!(backup::post_backup))
        // A caller without a login learns from this route how to log in.
        .add(PUBLIC, routes!(me::get_me))
        .add(ADMIN, routes!(me::get_audit))
        .add(ADMIN, routes!(me::get_tokens))
        .add(PUBLIC, routes!(health::get_health))
        .add(PUBLIC, routes!(health::get_ready))
        .add(READ, routes!(openapi::get_openapi))
}

fn pages(routes: Routes) -> Routes {
    const GET: MethodFilter = MethodFilter::GET;
    const POST: MethodFilter = MethodFilter::POST;
    routes
        // The handler accepts no metrics and responds with an error that explains it.
        .hidden(INGEST, POST, "/v1/metrics", otlp::post_metrics)
        .hidden(PUBLIC, GET, "/login", login::get_login)
        // The handler writes the audit entry, because it knows the user.
        .hidden(PUBLIC, POST, "/login", login::post_login)
        .hidden(PUBLIC, GET, "/login/oidc", login::oidc::get_begin)
        .hidden(PUBLIC, GET, "/login/oidc/callback", login::oidc::get_callback)
        .hidden(PUBLIC, GET, "/login.css", login::get_style)
        .hidden(PUBLIC, POST, "/logout", login::post_logout)
        // The key in the path is the only credential for a ping.
        .hidden(PUBLIC, GET, "/ping/{key}", ping::ping)
        .hidden(PUBLIC, POST, "/ping/{key}", ping::ping)
        .hidden(PUBLIC, GET, "/ping/{key}/{what}", ping::ping)
        .hidden(PUBLIC, POST, "/ping/{key}/{what}", ping::ping)
        // Each query or change by a tool is a separate request with the caller's rights.
        .hidden(READ, GET, mcp::PATH, mcp::answer)
        .hidden(READ, POST, mcp::PATH, mcp::answer)
        .hidden(PAGE, GET, "/", page::get_home)
        .hidden(PAGE, GET, "/tasks", page::get_index)
        .hidden(PAGE, GET, "/tasks/", page::get_index)
        .hidden(PAGE, GET, "/tasks/{*path}", page::get_index)
}

/// Routers of the server's addresses.
pub(crate) struct Routers {
    /// The API and the page.
    pub(crate) own: Router,
    /// The API of Flower, if it has an address.
    pub(crate) flower: Option<Router>,
}

/// Returns the routers with the routes and all layers that every request passes.
pub(crate) fn routers(app: App) -> Routers {
    let (routes, rules, description) = routes().into_parts();
    let described = openapi::Text::of(&openapi::whole(&description, &rules));
    let gate = access::Gate { app: app.clone(), rules: Arc::new(rules) };
    let all = routes
        .layer(axum::Extension(described))
        .fallback(no_path)
        .method_not_allowed_fallback(no_method)
        .layer(middleware::from_fn_with_state(gate, access::check))
        .layer(middleware::from_fn_with_state(app.clone(), bk_job::translate))
        .layer(middleware::from_fn_with_state(app.clone(), guard::check));
    let api = in_process::Api::new(all.clone(), &app);
    let flower = app.config.flower_listen.map(|address| {
        let guard = guard::Guard::new(address, app.config.public_url.clone(), app.config.tls_cert.is_some());
        flower::router(app.clone(), api.clone(), guard)
    });
    let own = all
        .layer(axum::Extension(api))
        .layer(middleware::map_response(compress::fuse))
        .layer(compress::layer())
        .layer(middleware::from_fn(compress::choose))
        .layer(middleware::from_fn_with_state(app.clone(), secure))
        // Errors are logged with their causes where the response is made. A 503 of a busy server is not an error.
        .layer(TraceLayer::new_for_http().make_span_with(span).on_failure(()))
        .with_state(app);
    Routers { own, flower }
}

/// Returns the tracing span of a request.
fn span(request: &Request) -> tracing::Span {
    let (uri, shown) = (request.uri(), ping::shown_path(request.uri()));
    // Query strings of logins contain links and codes, which are secrets. Older clients of BlueKing JOB put tokens there. Paths of pings
    // contain keys.
    let is_secret = shown != uri.path() || shown.starts_with("/login") || bk_job::is_path(shown);
    let query = uri.query().filter(|_| !is_secret).map(|query| format!("?{query}")).unwrap_or_default();
    tracing::debug_span!("request", method = %request.method(), uri = format!("{shown}{query}"), version = ?request.version())
}

async fn no_path(uri: Uri) -> ApiError {
    ApiError::NoPath { path: ping::shown_path(&uri).to_owned() }
}

async fn no_method(method: Method, uri: Uri) -> ApiError {
    ApiError::Method { method: method.to_string(), path: ping::shown_path(&uri).to_owned() }
}

/// Adds headers that prevent other sites from framing, sniffing or embedding responses.
async fn secure(State(app): State<App>, request: Request, next: Next) -> Response {
    // `style-src` needs `unsafe-inline`: scripts create elements with inline styles, and a nonce is impossible because the page is a static
    // file.
    const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; \
                          base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
    let is_strict = app.config.hsts && access::is_https(&app, access::peer(&request));
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    if is_strict {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // With `no-referrer`, a browser would send the login form with `Origin: null`, which the server refuses.
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(POLICY));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

type Answer<T> = Result<Json<T>, ApiError>;
