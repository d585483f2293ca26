//! A real nginx and a real Caddy in front of the server, with the settings of `docs/guides/tls-and-proxies.md`: `cargo xtask soak proxies`.
#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use monitor_tests::{PATIENCE, command, wait_for};
use reqwest::blocking::{Client, ClientBuilder};
use serde_json::json;

struct Kept(Child);

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The code block of the page in this language.
fn snippet(language: &str) -> String {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/guides/tls-and-proxies.md")).expect("the page");
    let (_, rest) = page.split_once(&format!("```{language}\n")).expect("a block");
    rest.split_once("```").expect("its end").0.to_owned()
}

/// Replaces a text that must exist.
fn replace(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "no {from:?} in {text}");
    text.replace(from, to)
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port()
}

/// `monitor server` with the settings of the page, and its address.
fn server(folder: &Path, public: &str) -> (Kept, String) {
    let settings = include_str!("../docs/guides/tls-and-proxies.md").split_once("# server.toml\n").expect("the settings").1;
    let settings = settings.split_once("```").expect("their end").0;
    let settings = replace(settings, "127.0.0.1:60010", "127.0.0.1:0");
    let settings = replace(&settings, "https://monitor.example", public);
    std::fs::write(folder.join("server.toml"), settings).expect("written");
    let data = folder.join("data");
    let user = |args: &[&str], stdin: &str| {
        let mut add = command("monitor");
        let mut child = add.args(args).arg("--data").arg(&data).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("monitor");
        child.stdin.take().expect("piped").write_all(stdin.as_bytes()).expect("read");
        String::from_utf8(child.wait_with_output().expect("it ends").stdout).expect("UTF-8")
    };
    user(&["user", "add", "ada", "--role", "admin"], "correct horse\n");
    let token = user(&["token", "create", "all", "--scope", "admin"], "");
    let mut server = command("monitor");
    server.arg("server").arg("--config").arg(folder.join("server.toml")).arg("--data").arg(&data).env("MONITOR_SPOOL_DIR", "off");
    let mut child = server.stdout(Stdio::piped()).spawn().expect("a server");
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut String::new()).expect("it listens");
    std::fs::write(folder.join("token"), token.trim()).expect("written");
    let local = std::fs::read_to_string(data.join("local.token")).expect("where it listens");
    let address = local.lines().next().expect("an address").trim_start_matches("http://").trim_end_matches('/').to_owned();
    (Kept(child), address)
}

/// Creates files with a certificate for the proxy and its key.
fn certificate(folder: &Path) -> (PathBuf, PathBuf) {
    let own = rcgen::generate_simple_self_signed(vec!["monitor.example".to_owned()]).expect("a certificate");
    let (cert, key) = (folder.join("monitor.pem"), folder.join("monitor.key"));
    std::fs::write(&cert, own.cert.pem()).expect("written");
    std::fs::write(&key, own.signing_key.serialize_pem()).expect("written");
    (cert, key)
}

fn start(mut proxy: Command, port: u16) -> Kept {
    let child = Kept(proxy.spawn().unwrap_or_else(|error| panic!("{proxy:?}: {error}; Debian's packages are nginx-light and caddy")));
    wait_for("the proxy to listen", || TcpStream::connect(("127.0.0.1", port)).ok());
    child
}

fn nginx(folder: &Path, port: u16, server: &str) -> Kept {
    let (cert, key) = certificate(folder);
    let site = replace(&snippet("nginx"), "listen 443 ssl;", &format!("listen 127.0.0.1:{port} ssl;"));
    let site = replace(&site, "/etc/nginx/monitor.pem", &cert.display().to_string());
    let site = replace(&site, "/etc/nginx/monitor.key", &key.display().to_string());
    let site = replace(&site, "127.0.0.1:60010", server);
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0);
    // A single process, so that a kill of this process ends nginx.
    let user = if is_root { "user root;" } else { "" };
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|of| format!("{of}_temp_path {of};")).concat();
    let all = format!(
        "{user} daemon off; master_process off; pid nginx.pid; error_log stderr; events {{}} http {{ access_log off; {temporary} {site} }}"
    );
    std::fs::write(folder.join("nginx.conf"), all).expect("written");
    let mut nginx = Command::new("nginx");
    nginx.arg("-p").arg(folder).arg("-c").arg(folder.join("nginx.conf"));
    start(nginx, port)
}

fn caddy(folder: &Path, port: u16, server: &str) -> Kept {
    let (cert, key) = certificate(folder);
    // In production, Caddy gets the certificate from an authority and also listens on port 80.
    let head = format!("https://monitor.example:{port} {{\n    bind 127.0.0.1\n    tls {} {}\n", cert.display(), key.display());
    let site = replace(&snippet("caddy"), "monitor.example {\n", &head);
    let site = replace(&site, "127.0.0.1:60010", server);
    std::fs::write(folder.join("Caddyfile"), format!("{{\n    admin off\n    auto_https disable_redirects\n}}\n{site}")).expect("written");
    let mut caddy = Command::new("caddy");
    caddy.args(["run", "--adapter", "caddyfile", "--config"]).arg(folder.join("Caddyfile"));
    caddy.env("XDG_DATA_HOME", folder).env("XDG_CONFIG_HOME", folder);
    start(caddy, port)
}

/// An HTTP client with this source address that knows the proxy by its name.
fn client(folder: &Path, port: u16, from: &str) -> Client {
    let pem = std::fs::read(folder.join("monitor.pem")).expect("a certificate");
    let client = ClientBuilder::new().no_proxy().tls_certs_only([reqwest::Certificate::from_pem(&pem).expect("a certificate")]);
    let client = client.resolve("monitor.example", SocketAddr::from(([127, 0, 0, 1], port))).timeout(PATIENCE);
    let client = client.local_address(from.parse::<IpAddr>().expect("an address")).redirect(reqwest::redirect::Policy::none());
    client.build().expect("a client")
}

#[test]
fn behind_nginx_clients_are_distinguished_and_forged_headers_are_ignored() {
    check(nginx);
}

#[test]
fn behind_caddy_clients_are_distinguished_and_forged_headers_are_ignored() {
    check(caddy);
}

/// Through a proxy: logs in with wrong and right passwords, reads the stream while events are sent, and opens a WebSocket.
fn check(proxy: fn(&Path, u16, &str) -> Kept) {
    let folder = tempfile::tempdir().expect("a folder");
    let (folder, port) = (folder.path(), free_port());
    let public = format!("https://monitor.example:{port}");
    let (_server, address) = server(folder, &public);
    let _proxy = proxy(folder, port, &address);
    let token = std::fs::read_to_string(folder.join("token")).expect("a token");

    let (stranger, owner) = (client(folder, port, "127.0.0.2"), client(folder, port, "127.0.0.3"));
    let login = |client: &Client, number: usize, user: &str, password: &str| {
        let form = format!("user={user}&password={password}");
        let request = client.post(format!("{public}/login")).header("x-forwarded-for", format!("198.51.100.{number}"));
        request.header("content-type", "application/x-www-form-urlencoded").body(form).send().expect("an answer")
    };
    // Each attempt has another account, so that only the address is limited: ten attempts, and one more every six seconds.
    let begun = Instant::now();
    let statuses: Vec<_> = (0..40).map(|number| login(&stranger, number, &format!("user-{number}"), "wrong").status().as_u16()).collect();
    let may_pass = 10 + begun.elapsed().as_secs() as usize / 6;
    let passed = statuses.iter().filter(|status| **status == 401).count();
    assert!(statuses.iter().all(|status| [401, 429].contains(status)), "{statuses:?}");
    assert!((10..=may_pass).contains(&passed) && statuses[..10] == [401; 10], "{may_pass} may pass: {statuses:?}");
    let answer = login(&owner, 1, "ada", "correct+horse");
    assert_eq!(answer.status(), 303, "another client is not slowed by that");
    assert!(answer.headers()["set-cookie"].to_str().expect("text").starts_with("__Host-monitor_session="));
    let audit = owner.get(format!("{public}/api/v1/audit")).bearer_auth(&token).send().expect("an answer");
    let audit: serde_json::Value = audit.json().expect("JSON");
    assert_eq!((&audit["entries"][0]["address"], &audit["entries"][1]["address"]), (&json!("127.0.0.3"), &json!("127.0.0.2")));

    // The proxy forwards events immediately.
    let mut stream = owner.get(format!("{public}/api/v1/stream")).bearer_auth(&token).send().expect("an answer");
    let event = json!({"type": "process-started", "root_id": format!("{:032x}", 7), "id": format!("{:016x}", 7), "kind": "root",
                       "name": "through it", "time_us": 1});
    let batch = json!({"version": 1, "worker": {"id": format!("{:032x}", 9), "hostname": "h", "pid": 1, "program": "p"},
                       "sequence": 1, "sent_us": 1, "events": [event]});
    let posted = owner.post(format!("{public}/api/v1/events")).bearer_auth(&token).json(&batch).send().expect("an answer");
    assert_eq!(posted.status(), 200);
    let (mut told, mut piece) = (String::new(), [0; 1 << 12]);
    while !told.contains("through it") {
        let read = stream.read(&mut piece).expect("the stream goes on");
        assert!(read > 0, "{told}");
        told.push_str(&String::from_utf8_lossy(&piece[..read]));
    }
    // The proxy also forwards WebSockets. The test reads their greeting.
    let upgrade = owner.get(format!("{public}/api/v1/stream")).bearer_auth(&token).header("connection", "upgrade");
    let upgrade = upgrade.header("upgrade", "websocket").header("sec-websocket-version", "13");
    let upgraded = upgrade.header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==").timeout(Duration::from_secs(20)).send();
    assert_eq!(upgraded.expect("an answer").status(), 101);
}
