//! The server: opens its address and data folder, serves requests, and stops.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::{BoxFuture, join_all};
use monitor_store::{Queries, Store, StoreError};
use monitor_store_sqlite::space::make_room_to_start;
use monitor_store_sqlite::{Opened, SqliteStore};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use url::Url;

#[cfg(unix)]
use crate::access::open_socket;
use crate::access::{Access, AccessError};
use crate::alerts::{self, Alerts, AlertsFile, Sender};
use crate::all_duties;
use crate::clock::Clock;
use crate::commands::Commands;
use crate::config::Config;
use crate::duties::{Board, Duties, Duty};
use crate::forward::{Target, TargetError};
use crate::http::{self, App, Parts, Room, Tls, TlsError};
use crate::ingest::{self, Ingest};
use crate::jobs::{self, Jobs};
use crate::live::Live;
use crate::oidc::{Oidc, OidcError};
use crate::retention::AgeClock;

/// A server that listens and has its database open. [`run`](Self::run) serves the requests.
pub struct Server {
    listener: TcpListener,
    /// Listener of Flower's address.
    flower: Option<TcpListener>,
    config: Arc<Config>,
    store: Arc<dyn Store>,
    ingest: Ingest,
    live: Live,
    access: Arc<Access>,
    tls: Option<Tls>,
    oidc: Option<Oidc>,
    /// Clock for the ages of runs.
    ages: Arc<AgeClock>,
    commands: Arc<Commands>,
    /// Databases and files of jobs on hosts.
    jobs: jobs::Opened,
    /// Receiver that ended processes are forwarded to, as OTLP spans.
    target: Option<Target>,
    /// Cancelled when the server must stop.
    stopping: CancellationToken,
    clock: Clock,
    /// Notified of each change in the database, so that alerts are evaluated.
    signal: Arc<Notify>,
    /// States of the server's duties.
    board: Board,
}

/// Error of a server that can't start, or stops unexpectedly.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// Other machines could reach the server, and it has no tokens or users.
    #[error(
        "refused to listen on {address}{}: others than this machine reach it, and there are no tokens or users in {folder} yet. Make one \
         with `monitor token create NAME --scope ingest,read --data {folder}` or `monitor user add NAME --role admin --data {folder}`, listen on 127.0.0.1, or pass --insecure \
         if every client on the network may record and read", public(public_url.as_ref()), folder = folder.display()
    )]
    NotLoopback {
        /// The address.
        address: SocketAddr,
        /// Public address of the server, if it is set.
        public_url: Option<Url>,
        /// Data folder, which would contain the tokens and users.
        folder: PathBuf,
    },
    /// Another program uses the port.
    #[error(
        "{address} is in use by another program, maybe by another server: stop that program, or choose another address with --{setting}"
    )]
    PortInUse {
        /// The address.
        address: SocketAddr,
        /// The setting that contains the address.
        setting: &'static str,
    },
    /// The address can't be listened on.
    #[error("could not listen on {address}: choose another address with --{setting}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The setting that contains the address.
        setting: &'static str,
        /// Cause of the error.
        source: io::Error,
    },
    /// The API of Flower would mix several clusters.
    #[error(
        "the API of Flower shows one cluster of Celery, and `celery` has {count}: leave out --flower-listen, or start a server for each cluster"
    )]
    FlowerClusters {
        /// Number of clusters.
        count: usize,
    },
    /// The database can't be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The TLS certificate or key can't be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The database of tokens and users can't be used.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The OpenID Connect settings can't be used.
    #[error(transparent)]
    Oidc(#[from] OidcError),
    /// Ended processes can't be forwarded.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// A task of the server panicked or was cancelled.
    #[error("a task of the server broke off")]
    Broken(#[from] tokio::task::JoinError),
}

impl Server {
    /// Binds the address and opens the database.
    ///
    /// # Errors
    /// Returns an error if the address is refused or in use, or the database can't be used.
    pub async fn bind(mut config: Config) -> Result<Self, ServeError> {
        let clock = Clock::system();
        if config.flower_listen.is_some() && config.celery.len() > 1 {
            return Err(ServeError::FlowerClusters { count: config.celery.len() });
        }
        let (folder, times) = (config.data.clone(), clock.clone());
        let opened = tokio::task::spawn_blocking(move || {
            make_room_to_start(&folder);
            Access::open_by(&folder, times)
        });
        let access = Arc::new(opened.await??);
        if config.is_open() && !config.insecure && config.oidc_issuer.is_none() && !access.has_any()? {
            let address = config.open_address().unwrap_or(config.listen);
            return Err(ServeError::NotLoopback { address, public_url: config.public_url, folder: config.data });
        }
        if config.is_open() && config.listen.ip().to_canonical().is_loopback() && config.trusted_proxies.is_empty() {
            tracing::warn!(
                "behind a proxy all clients are counted as one: name the proxy with `--trusted-proxies 127.0.0.1` once it sets `X-Forwarded-For` itself"
            );
        }
        let tls = Tls::open(config.tls_cert.as_deref(), config.tls_key.as_deref())?;
        let listener = listen(&mut config.listen, "listen").await?;
        let flower = match &mut config.flower_listen {
            Some(address) => Some(listen(address, "flower-listen").await?),
            None => None,
        };
        let oidc = Oidc::of(&config, &public_url(&config, tls.is_some()), clock.clone())?;
        let settings = config.clone();
        let target = tokio::task::spawn_blocking(move || Target::of(&settings)).await??;

        let (data, logs_kept, most) = (config.data.clone(), config.logs_kept, config.max_processes_per_root as u64);
        let (least_free, keeps_copy, keep_events) = (config.min_free_bytes, config.migration_copy, config.keeps_events());
        let times = clock.clone();
        let most_depth = u32::try_from(config.max_depth).unwrap_or(u32::MAX);
        let (store, ages, as_of) = tokio::task::spawn_blocking(move || -> Result<_, StoreError> {
            let store = SqliteStore::open_with(&data, keeps_copy)?.keep_free(least_free);
            let (Opened { schema, migrated_from }, holds) = (store.opened(), store.status()?);
            let (trees, processes) = (holds.roots.total(), holds.processes.total());
            tracing::info!(schema, migrated_from, trees, processes, "opened the database");
            let store: Arc<dyn Store> =
                Arc::new(store.keep_events(keep_events).keep_logs(logs_kept).keep_processes(most).keep_depth(most_depth));
            let as_of = store.workers(1, None)?.as_of;
            let ages = AgeClock::open(&data, store.newest_us()?, times);
            Ok((store, Arc::new(ages), as_of))
        })
        .await??;
        if let Err(error) = access.write_local(&url_of(config.listen, tls.is_some())) {
            // Start anyway: on a full disk, the server must be reachable so that data can be deleted.
            let error = monitor_http::with_causes(&error);
            tracing::warn!(%error, "commands on this machine don't find this server's token: those that change something want another one");
        }
        let stopping = CancellationToken::new();
        let connections = config.max_connections.min(config.max_connections_per_client);
        let (folder, of_store, times, until) = (config.data.clone(), store.clone(), clock.clone(), stopping.clone());
        let max_channels = config.max_channels.min(connections / 2);
        let allowed = config.commands.clone();
        let opened = tokio::task::spawn_blocking(move || Commands::open(&folder, of_store, times, until, max_channels, allowed));
        let commands = Arc::new(opened.await??);
        let (of_jobs, trees, times) = (config.jobs(), store.clone(), clock.clone());
        let jobs = tokio::task::spawn_blocking(move || jobs::Opened::open(of_jobs, trees, &times)).await??;
        // On a full disk, return the part of the reserve that the start did not need, before other programs use the space.
        let of_store = store.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || of_store.look(true)).await? {
            tracing::debug!(%error, "the database is not well at the start");
        }
        let live = Live::new(as_of, config.stream_buffer_bytes, config.max_subscribers).with_past(store.clone());
        let published = live.clone();
        let signal = Arc::new(Notify::new());
        let signalled = signal.clone();
        let settings = ingest::Settings { queue_bytes: config.max_queue_bytes, limits: config.limits(), clock: clock.clone() };
        let ingest = Ingest::start_with(
            store.clone(),
            move |changes| {
                published.publish(changes);
                signalled.notify_one();
            },
            settings,
        );
        Ok(Self {
            listener,
            flower,
            config: Arc::new(config),
            store,
            ingest,
            live,
            access,
            tls,
            oidc,
            ages,
            commands,
            jobs,
            target,
            stopping,
            clock,
            signal,
            board: Board::default(),
        })
    }

    /// Adds a duty that the caller performs. It is shown together with the server's own duties.
    pub fn duty(&self, name: &'static str) -> Arc<Duty> {
        let duty = Arc::new(Duty::new(name, self.clock.clone()));
        self.board.put(duty.clone());
        duty
    }

    /// Returns the address that the server listens on. If port 0 was requested, contains the actual port.
    pub fn local_addr(&self) -> SocketAddr {
        self.config.listen
    }

    /// Returns the address of the HTTP API of Flower, if it has one.
    pub fn flower_addr(&self) -> Option<SocketAddr> {
        self.config.flower_listen
    }

    /// Returns the URL of the page.
    pub fn page_url(&self) -> String {
        match &self.config.public_url {
            Some(url) => format!("{}/tasks", url.as_str().trim_end_matches('/')),
            None => format!("{}tasks", url_of(self.config.listen, self.tls.is_some())),
        }
    }

    /// Serves until `shutdown` completes. Then it ends streams, answers the requests that have arrived, and stores the events that were sent.
    ///
    /// # Errors
    /// Returns an error if a task of the server panics.
    pub fn run<'a>(self, shutdown: impl Future<Output = ()> + Send + 'a) -> BoxFuture<'a, Result<(), ServeError>> {
        // Not generic, so that the whole server is compiled once, in this crate, and not in every caller.
        fn boxed(server: Server, shutdown: BoxFuture<'_, ()>) -> BoxFuture<'_, Result<(), ServeError>> {
            Box::pin(server.serve_until(shutdown))
        }
        boxed(self, Box::pin(shutdown))
    }

    async fn serve_until(self, shutdown: BoxFuture<'_, ()>) -> Result<(), ServeError> {
        let page_url = self.page_url();
        let public_url = public_url(&self.config, self.tls.is_some());
        let Self {
            listener,
            flower,
            config,
            store,
            ingest,
            live,
            access,
            tls,
            oidc,
            ages,
            commands,
            jobs,
            target,
            stopping,
            clock,
            signal,
            board,
        } = self;
        let ingest = Arc::new(ingest);
        let jobs = Arc::new(Jobs::new(jobs, ingest.clone(), clock.clone(), stopping.clone()));
        let alerts = Arc::new(Alerts::new(alerts::Parts {
            store: store.clone(),
            ingest: ingest.clone(),
            clock: clock.clone(),
            page_url,
            commands: commands.clone(),
            sender: Sender::new(clock.clone(), jiff::tz::TimeZone::system(), Some(public_url)).with_agents(commands.clone()),
            file: AlertsFile::new(config.alerts_path(), config.alerts_copy()),
            signal,
            stopping: stopping.clone(),
        }));
        let app = App::new(Parts {
            config: config.clone(),
            store: store.clone(),
            ingest: ingest.clone(),
            live,
            access: access.clone(),
            oidc,
            ages: ages.clone(),
            commands: commands.clone(),
            jobs: jobs.clone(),
            alerts: alerts.clone(),
            board: board.clone(),
            stopping: stopping.clone(),
            clock: clock.clone(),
        });
        #[cfg(unix)]
        let (of_links, is_tls) = (access.clone(), tls.is_some());
        let room = Arc::new(Room::new(config.max_connections, config.max_connections_per_client));
        let mut duties = Duties::new(board, clock.clone(), stopping.clone());
        let parts = all_duties::Parts {
            config: config.clone(),
            store,
            ingest: ingest.clone(),
            access,
            ages,
            room: room.clone(),
            tls: tls.clone(),
            alerts: alerts.clone(),
            commands,
            jobs,
            target,
            wake: app.sweep.clone(),
            clock,
            stopping: stopping.clone(),
        };
        all_duties::begin(&mut duties, &Arc::new(parts));
        let (changing, senders) = (app.changing.clone(), [app.otlp.clone(), app.pings.clone()]);
        // The first request must already see the channels in `alerts.toml`.
        alerts.first_read().await;
        let opening = async {
            #[cfg(unix)]
            if let Some(path) = &config.open_socket {
                open_socket::run(path, of_links, url_of(config.listen, is_tls), stopping.clone()).await;
            }
        };
        let http::Routers { own, flower: of_flower } = http::routers(app);
        let addresses = [Some((listener, own)), flower.zip(of_flower)].into_iter().flatten();
        let serve = |(listener, router)| http::serve(listener, router, &config, room.clone(), tls.clone(), stopping.clone());
        let serve = join_all(addresses.map(serve));
        let stop = async {
            shutdown.await;
            tracing::info!("stopping");
            stopping.cancel();
        };
        tokio::join!(serve, stop, duties.ended(), opening);
        changing.close();
        if tokio::time::timeout(config.stop_timeout, changing.wait()).await.is_err() {
            tracing::warn!("changes in progress took longer than `stop-timeout`");
        }
        for sender in senders {
            sender.leave(&ingest).await;
        }
        drop(alerts);
        tokio::task::spawn_blocking(move || drop(ingest)).await?;
        Ok(())
    }
}

/// Listens on an address, and replaces port 0 with the actual port. `setting` is the setting that contains the address.
async fn listen(address: &mut SocketAddr, setting: &'static str) -> Result<TcpListener, ServeError> {
    let failed = |source| ServeError::Listen { address: *address, setting, source };
    let listener = TcpListener::bind(*address).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => ServeError::PortInUse { address: *address, setting },
        _ => failed(source),
    })?;
    *address = listener.local_addr().map_err(failed)?;
    Ok(listener)
}

/// Returns the public URL of the server.
fn public_url(config: &Config, is_tls: bool) -> Url {
    config.public_url.clone().unwrap_or_else(|| url_of(config.listen, is_tls))
}

/// Returns the URL of the server on its own machine.
fn url_of(listen: SocketAddr, is_tls: bool) -> Url {
    format!("http{}://{}/", if is_tls { "s" } else { "" }, reachable(listen)).parse().expect("an address makes a URL")
}

fn public(url: Option<&Url>) -> String {
    url.map(|url| format!(" as {url}")).unwrap_or_default()
}

/// Replaces an unspecified address with loopback: a server that listens on all addresses is reached there from its own machine.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::sync::oneshot;

    use super::*;
    use monitor_store::RootKey;
    use monitor_store::support::script::parse;
    use monitor_store_sqlite::MAX_READERS;

    const BATCH: &str = r#"{"version": 1, "worker": {"id": "00000000000000000000000000000007", "hostname": "h", "pid": 1, "program": "p"},
        "sequence": 1, "sent_us": 0, "events": [{"type": "process-started", "root_id": "00000000000000000000000000000007",
        "id": "0000000000000001", "kind": "root", "name": "step", "time_us": 1763600000000000}]}"#;

    async fn ask(address: SocketAddr, path: &str) -> TcpStream {
        say(address, &format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")).await
    }

    async fn post(address: SocketAddr) -> TcpStream {
        let head = "content-type: application/json\r\nconnection: close\r\ncontent-length";
        say(address, &format!("POST /api/v1/events HTTP/1.1\r\nhost: {address}\r\n{head}: {}\r\n\r\n{BATCH}", BATCH.len())).await
    }

    async fn say(address: SocketAddr, request: &str) -> TcpStream {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        socket
    }

    async fn status(mut socket: TcpStream) -> String {
        let mut answer = [0; "HTTP/1.1 200".len()];
        let answered = tokio::time::timeout(Duration::from_secs(60), socket.read_exact(&mut answer)).await;
        answered.expect("an answer").unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn health_checks_and_batches_succeed_while_searches_occupy_all_readers() {
        const SEARCHES: usize = 32;
        let folder = tempfile::tempdir().unwrap();
        let listen = "127.0.0.1:0".parse().unwrap();
        let server = Server::bind(Config {
            listen,
            max_requests_per_second: 1_000_000,
            max_connections_per_client: 1_000,
            ..Config::new(folder.path())
        })
        .await
        .unwrap();
        let (address, store) = (server.local_addr(), server.store.clone());
        let batches: Vec<_> = parse("started 1").into_iter().map(|batch| Arc::new(batch.into())).collect();
        store.append(&batches, 0).unwrap();
        // Block each reader in the middle of a query.
        let (begun, mut all_begun) = tokio::sync::mpsc::unbounded_channel();
        let hold = || {
            let (gate, closed) = mpsc::channel::<()>();
            let (store, begun) = (store.clone(), begun.clone());
            let wait = move || {
                begun.send(()).unwrap();
                let _ = closed.recv();
            };
            std::thread::spawn(move || store.read_tree(RootKey::Number(1), 1, None, &mut |_, _| wait()).unwrap());
            gate
        };
        let gates: Vec<_> = (0..MAX_READERS).map(|_| hold()).collect();
        for _ in 0..MAX_READERS {
            all_begun.recv().await.unwrap();
        }
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(server.run(async move { drop(stopped.await) }));
        // The watchdog check waits for a reader. If that takes longer than `WatchdogSec=`, systemd restarts the server.
        let (told, queries) = (Ingest::start(store.clone(), |_| ()), store.clone());
        let works = tokio::spawn(async move { crate::watchdog::works(&told, &(queries as Arc<dyn Queries>)).await });
        let mut searches = Vec::new();
        for _ in 0..SEARCHES {
            searches.push(ask(address, "/api/v1/processes?root=1&q=step").await);
        }
        for _ in 0..SEARCHES {
            assert_eq!(status(ask(address, "/healthz").await).await, "HTTP/1.1 200");
        }
        assert_eq!(status(post(address).await).await, "HTTP/1.1 200");
        for search in &searches {
            let answered = search.try_read(&mut [0]);
            assert!(answered.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock), "{answered:?}");
        }
        assert!(!works.is_finished(), "a server whose readers are stuck doesn't work");
        drop(gates);
        assert!(works.await.unwrap());
        for search in searches {
            assert_eq!(status(search).await, "HTTP/1.1 200");
        }
        stop.send(()).unwrap();
        running.await.unwrap().unwrap();
    }
}
