use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{TestServer, monitor};

fn run(server: &TestServer, args: &[&str], stdin: &str) -> (i32, String, String) {
    let mut command = monitor(args);
    let output = command.args(["--data", server.data.path().to_str().unwrap()]).write_stdin(stdin).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn tokens_are_created_listed_and_revoked_while_a_server_runs() {
    let server = TestServer::start();
    let (_, token, said) = run(&server, &["token", "create", "build-7", "--scope", "ingest,read", "--expires", "90d"], "");
    let token = token.trim();
    assert_eq!(said, format!("monitor: done in {}\n", server.data.path().display()), "which server's it is");
    for (name, remedy) in [("data folder", "can't be a name"), ("browser-1", "`monitor open`")] {
        let (code, _, message) = run(&server, &["token", "create", name, "--scope", "read"], "");
        assert!(code == 1 && message.contains(remedy), "{message}");
    }
    // An agent on the server's machine that runs as a separate service (docs/guides/server.md).
    assert_eq!(run(&server, &["token", "create", "local", "--scope", "agent"], "").0, 0);
    assert!(token.starts_with("pm_"), "{token}");
    let (code, _, message) = run(&server, &["token", "create", "build-7", "--scope", "read"], "");
    assert!(code == 1 && message.contains("build-7") && !message.contains("pm_"), "{message}");
    let (_, list, _) = run(&server, &["token", "list", "--json"], "");
    let list: Value = serde_json::from_str(&list).unwrap();
    let made = list.as_array().unwrap().iter().find(|token| token["name"] == "build-7").unwrap();
    assert!(made["scopes"] == serde_json::json!(["ingest", "read"]) && made["expires_us"].is_u64(), "{made}");
    let text = run(&server, &["token", "list"], "").1;
    assert!(text.contains("build-7") && !text.contains(token), "{text}");
    // The environment variable takes precedence over the token in the data folder.
    let status = |token: &str| monitor(&["status", "--server", &server.url]).env("MONITOR_TOKEN", token).output().unwrap();
    assert!(status(token).status.success());
    let file = server.data.path().join("a-token");
    std::fs::write(&file, token).unwrap();
    let in_file = |path: &Path, more: &[&str]| {
        let mut command = monitor(&[&["status", "--server", &server.url], more].concat());
        command.env_remove("MONITOR_TOKEN").env("MONITOR_TOKEN_FILE", path).output().unwrap()
    };
    assert!(in_file(&file, &[]).status.success() && in_file(&file, &["--token", token]).status.success());
    let refused = in_file(&server.data.path().join("no-file"), &[]);
    let message = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.status.code() == Some(2) && message.contains("MONITOR_TOKEN_FILE: ") && message.contains("no-file"), "{message}");
    assert_eq!(run(&server, &["token", "revoke", "build-7"], "").0, 0);
    std::fs::write(&file, "pm_unknown").unwrap();
    assert_eq!(in_file(&file, &[]).status.code(), Some(1));
    let refused = status(token);
    let message = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.status.code() == Some(1) && message.contains("monitor token create"), "{message}");
    let (code, _, message) = run(&server, &["token", "revoke", "build-7"], "");
    assert!(code == 4 && message.contains("monitor token list"), "{message}");
    let (code, _, message) = run(&server, &["token", "create", "a", "--scope", "write"], "");
    assert!(code == 2 && message.contains("`ingest`, `agent`, `read`, `operate` and `admin`"), "{message}");
}

#[test]
fn grants_for_jobs_are_given_shown_changed_and_removed() {
    let server = TestServer::start();
    let (code, token, _) =
        run(&server, &["token", "create", "deploy", "--scope", "operate", "--jobs-on", "env=test,!canary", "--accounts", "app,www"], "");
    assert_eq!(code, 0);
    assert_eq!(run(&server, &["user", "add", "ada", "--role", "operator"], "correct horse\n").0, 0);
    assert_eq!(run(&server, &["user", "grant", "ada", "--jobs-on", "*"], "").0, 0);
    let listed = |of: &str| run(&server, &[of, "list"], "").1;
    let json = |of: &str, name: &str| {
        let list: Value = serde_json::from_str(&run(&server, &[of, "list", "--json"], "").1).unwrap();
        list.as_array().unwrap().iter().find(|one| one["name"] == name).unwrap()["jobs"].clone()
    };
    assert!(listed("token").contains("--jobs-on env=test,!canary --accounts app,www"), "{}", listed("token"));
    assert!(listed("user").contains("--jobs-on *"), "{}", listed("user"));
    assert_eq!(json("token", "deploy"), serde_json::json!({"on": "env=test,!canary", "accounts": ["app", "www"]}));
    // The grant is used: without hosts of this kind, the job is refused.
    let script = server.data.path().join("check.sh");
    std::fs::write(&script, "#!/bin/sh\ntrue\n").unwrap();
    let started = |token: &str| {
        let args = ["job", "run", "--server", &server.url, "--host", "web-1", "--account", "app", script.to_str().unwrap()];
        let output = monitor(&args).env("MONITOR_TOKEN", token).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, message) = started(token.trim());
    assert!(code == 1 && message.contains("deploy may run jobs on hosts with the tags `env=test,!canary` only"), "{message}");
    for (args, expected) in [
        (&["token", "create", "boss", "--scope", "admin", "--jobs-on", "env"][..], (1, "needs no grant")),
        (&["token", "create", "reader", "--scope", "read", "--jobs-on", "env"], (1, "without the scope `operate`")),
        (&["token", "grant", "deploy", "--jobs-on", "!canary"], (1, "a new host without tags satisfies these conditions")),
        (&["token", "grant", "deploy", "--jobs-on", ","], (1, "not a condition on a tag")),
        (&["token", "grant", "nobody", "--none"], (4, "`monitor token list`")),
        (&["user", "remove", "nobody"], (4, "`monitor user list`")),
        (&["user", "grant", "ada"], (2, "--none")),
        (&["user", "grant", "ada", "--accounts", "app"], (2, "--jobs-on")),
        (&["user", "grant", "ada", "--jobs-on", "env", "--none"], (2, "--none")),
    ] {
        let (code, _, message) = run(&server, args, "");
        assert!(code == expected.0 && message.contains(expected.1), "{args:?}: {code} {message}");
    }
    assert!(!listed("token").contains("boss") && !listed("token").contains("reader"), "{}", listed("token"));
    assert_eq!(run(&server, &["token", "grant", "deploy", "--none"], "").0, 0);
    assert_eq!(json("token", "deploy"), Value::Null);
    let (code, message) = started(token.trim());
    assert!(code == 1 && message.contains("monitor token grant"), "{message}");
    let audit = monitor(&["audit", "--server", &server.url]).env("MONITOR_DATA", server.data.path()).output().unwrap();
    let audit = String::from_utf8(audit.stdout).unwrap();
    for deed in [
        "token create deploy --scope operate --jobs-on env=test,!canary --accounts app,www",
        "user grant ada --jobs-on *",
        "token grant deploy --none",
    ] {
        assert!(audit.contains(deed), "{deed}: {audit}");
    }
}

#[test]
fn a_stream_ends_when_another_process_revokes_its_token_or_removes_its_user() {
    let server = TestServer::start();
    let address = server.url.strip_prefix("http://").unwrap();
    let answer = |request: String| {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        socket.write_all(request.as_bytes()).unwrap();
        let (mut reader, mut head) = (BufReader::new(socket), String::new());
        while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap() > 0 {}
        (reader, head)
    };
    let stream = |header: &str| answer(format!("GET /api/v1/stream HTTP/1.1\r\nhost: {address}\r\n{header}\r\n\r\n"));
    let (_, token, _) = run(&server, &["token", "create", "dashboard", "--scope", "read"], "");
    run(&server, &["user", "add", "ada"], "correct horse\n");
    let form = "user=ada&password=correct+horse";
    let kind = "content-type: application/x-www-form-urlencoded";
    let (_, head) = answer(format!("POST /login HTTP/1.1\r\nhost: {address}\r\n{kind}\r\ncontent-length: {}\r\n\r\n{form}", form.len()));
    let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: ")?.split(';').next()).unwrap();
    for (header, end) in [
        (format!("authorization: Bearer {}", token.trim()), ["token", "revoke", "dashboard"]),
        (format!("cookie: {cookie}"), ["user", "remove", "ada"]),
    ] {
        let (mut reader, head) = stream(&header);
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert_eq!(run(&server, &end, "").0, 0);
        // The stream must be closed or reset, and not only silent.
        if let Err(error) = reader.read_to_end(&mut Vec::new()) {
            assert!(!matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{end:?}: the stream goes on");
        }
    }
}

/// Returns the response's status line and headers.
fn head(address: &str, request: &str) -> String {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(socket, "{request}\r\nhost: {address}\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer.split("\r\n\r\n").next().unwrap().to_owned()
}

#[test]
fn a_server_that_requires_tokens_accepts_users_of_its_data_folder() {
    let server = TestServer::with(&["--listen", "127.0.0.1:0", "--loopback", "token"], tempfile::tempdir().unwrap());
    let address = server.url.strip_prefix("http://").unwrap();
    assert!(head(address, "GET /api/v1/roots HTTP/1.1").starts_with("HTTP/1.1 401"));
    let elsewhere = tempfile::tempdir().unwrap();
    let status = |data: &Path| monitor(&["status", "--server", &server.url]).env("MONITOR_DATA", data).output().unwrap();
    assert!(status(server.data.path()).status.success(), "the command line has the folder's token");
    let refused = String::from_utf8(status(elsewhere.path()).stderr).unwrap();
    assert!(refused.contains("takes a token or a login"), "{refused}");

    let (code, link, said) = run(&server, &["open"], "");
    assert!(code == 0 && said.contains("once"), "{said}");
    let path = link.trim().strip_prefix(&server.url).unwrap();
    assert!(path.starts_with("/login?link="), "{link}");
    let first = head(address, &format!("GET {path} HTTP/1.1"));
    let cookie = first.lines().find_map(|line| line.strip_prefix("set-cookie: ")?.split(';').next()).unwrap();
    assert!(first.starts_with("HTTP/1.1 303"), "{first}");
    assert!(head(address, &format!("GET {path} HTTP/1.1")).starts_with("HTTP/1.1 401"), "only once");
    let roots = format!("GET /api/v1/roots HTTP/1.1\r\ncookie: {cookie}");
    assert!(head(address, &roots).starts_with("HTTP/1.1 200"));
    let list: Value = serde_json::from_str(&run(&server, &["token", "list", "--json"], "").1).unwrap();
    let browser = list.as_array().unwrap().iter().find_map(|token| token["name"].as_str()?.strip_prefix("browser-")).unwrap();
    assert_eq!(run(&server, &["token", "revoke", &format!("browser-{browser}")], "").0, 0);
    assert!(head(address, &roots).starts_with("HTTP/1.1 401"));

    let (_, elsewhere, _) = run(&server, &["open", "--role", "viewer", "--server", "https://monitor.example.com"], "");
    assert!(elsewhere.starts_with("https://monitor.example.com/login?link="), "{elsewhere}");
    let none = tempfile::tempdir().unwrap();
    let refused = monitor(&["open", "--data", none.path().to_str().unwrap()]).output().unwrap();
    let message = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.status.code() == Some(1) && message.contains("monitor server"), "{message}");
    let refused = monitor(&["server", "--loopback", "closed"]).output().unwrap();
    assert!(String::from_utf8(refused.stderr).unwrap().contains("expected open or token"));
}

#[test]
fn users_are_added_with_a_password_from_standard_input() {
    let server = TestServer::start();
    assert_eq!(run(&server, &["user", "add", "ada", "--role", "operator"], "correct horse\n").0, 0);
    let (code, _, message) = run(&server, &["user", "add", "bob"], "short\n");
    assert!(code == 1 && message.contains("from 8 to"), "{message}");
    assert!(run(&server, &["user", "list"], "").1.starts_with("ada "));
    assert_eq!(run(&server, &["user", "password", "ada"], "another horse").0, 0);
    assert_eq!(run(&server, &["user", "remove", "ada"], "").0, 0);
    assert_eq!(run(&server, &["user", "remove", "ada"], "").0, 4);
    assert_eq!(run(&server, &["user", "list", "--json"], "").1, "[]\n");
}

#[test]
fn the_command_line_finds_its_token_in_the_data_folder_of_a_server_on_its_machine() {
    let server = TestServer::start();
    run(&server, &["token", "create", "build-7", "--scope", "ingest"], "");
    let audit = |data: &str, url: &str| monitor(&["audit", "--server", url, "--json"]).env("MONITOR_DATA", data).output().unwrap();
    let data = server.data.path().to_str().unwrap();
    let found = audit(data, &server.url);
    let page: Value = serde_json::from_slice(&found.stdout).unwrap();
    assert_eq!(page["entries"][0]["action"], "token create build-7 --scope ingest");
    assert_eq!(page["entries"][0]["how"], "folder");
    let elsewhere = tempfile::tempdir().unwrap();
    let refused = audit(elsewhere.path().to_str().unwrap(), &server.url);
    assert!(!refused.status.success() && String::from_utf8(refused.stderr).unwrap().contains("token or a login"));
    // Another server's port may belong to another user, so it does not receive the token.
    let other = TestServer::start();
    assert!(!audit(data, &other.url).status.success());
}

#[test]
fn a_token_is_read_from_a_file_and_causes_a_warning_on_the_command_line() {
    let server = TestServer::start();
    let token = run(&server, &["token", "create", "ops", "--scope", "admin"], "").1.trim().to_owned();
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let audit = |args: &[&str]| {
        let mut command = monitor(&["audit", "--server", &server.url]);
        let output = command.args(args).env("MONITOR_DATA", elsewhere.path()).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let file = |name: &str, text: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let good = file("good", format!("{token}\n").as_bytes());
    assert_eq!(audit(&["--token-file", &good]), (0, String::new()));
    let (code, said) = audit(&["--token", &token]);
    assert!(code == 0 && said.contains("--token-file") && said.lines().count() == 1, "{said}");
    for (args, words) in [
        (["--token-file", "/no/such/file"], "No such file"),
        (["--token-file", &file("empty", b"\n")], "holds no token"),
        (["--token-file", "/dev/null"], "holds no token"),
        (["--token-file", &file("binary", b"\xff\xfe\n")], "UTF-8"),
    ] {
        let (code, said) = audit(&args);
        assert!(code == 2 && said.contains(words) && said.contains("--token-file"), "{args:?}: {said}");
    }
    let (code, said) = audit(&["--token-file", &good, "--token", &token]);
    assert!(code == 2 && said.contains("cannot be used with"), "{said}");
    let (code, said) = audit(&["--token-file", &file("wrong", b"pm_wrong")]);
    assert!(code == 1 && !said.contains("pm_wrong"), "{said}");
    // Every command that accepts a token has both options.
    for command in ["status", "roots", "tree", "logs", "export", "import", "pin", "unpin", "delete", "backup", "audit"] {
        let help = String::from_utf8(monitor(&[command, "--help"]).output().unwrap().stdout).unwrap();
        assert!(help.contains("--token ") && help.contains("--token-file "), "{command}: {help}");
    }
}

/// The user name comes from the operating system, and not from the environment.
#[test]
fn the_audit_log_contains_the_user_name_of_the_operating_system() {
    let server = TestServer::start();
    let data = server.data.path().to_str().unwrap();
    let create = ["token", "create", "a", "--scope", "read", "--data", data];
    assert!(monitor(&create).env("USER", "mallory").env("LOGNAME", "mallory").output().unwrap().status.success());
    let whoami = std::process::Command::new("id").arg("-run").output().unwrap();
    let page: Value =
        serde_json::from_slice(&monitor(&["audit", "--server", &server.url, "--json"]).env("MONITOR_DATA", data).output().unwrap().stdout)
            .unwrap();
    assert_eq!(page["entries"][0]["who"], String::from_utf8(whoami.stdout).unwrap().trim());
}

/// Returns the request that `monitor audit` sends to a foreign program at this address.
fn asked_of_another(listener: TcpListener, data: &Path) -> String {
    let url = format!("http://{}", listener.local_addr().unwrap());
    let other = std::thread::spawn(move || {
        let mut head = String::new();
        let mut socket = BufReader::new(listener.accept().unwrap().0);
        while !head.ends_with("\r\n\r\n") && socket.read_line(&mut head).unwrap() > 0 {}
        socket.get_mut().write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
        head.to_lowercase()
    });
    monitor(&["audit", "--server", &url]).env("MONITOR_DATA", data).assert().failure();
    other.join().unwrap()
}

#[test]
fn the_token_of_the_data_folder_is_sent_to_no_other_program() {
    let server = TestServer::start();
    let port = server.url.rsplit(':').next().unwrap();
    // Another address of this machine with the same port.
    let head = asked_of_another(TcpListener::bind(format!("127.0.0.2:{port}")).unwrap(), server.data.path());
    assert!(head.starts_with("get /api/v1/audit") && !head.contains("authorization"), "{head}");
    // Via a host name, the server itself is queried, whatever address the name resolves to.
    let by_name =
        monitor(&["audit", "--server", &format!("http://localhost:{port}")]).env("MONITOR_DATA", server.data.path()).output().unwrap();
    assert!(by_name.status.success(), "{by_name:?}");

    // The server has ended, and a foreign program uses its address while another process (`monitor restore`, or a starting server) has
    // locked the folder.
    let address = server.url.strip_prefix("http://").unwrap().to_owned();
    let data = server.stop();
    let lock = std::fs::File::options().write(true).open(data.path().join("server.lock")).unwrap();
    lock.try_lock().unwrap();
    lock.set_len(0).unwrap();
    let head = asked_of_another(TcpListener::bind(address).unwrap(), data.path());
    assert!(head.starts_with("get /api/v1/audit") && !head.contains("authorization"), "{head}");
}

#[test]
fn a_server_with_tls_is_addressed_by_the_name_in_its_certificate() {
    let (folder, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&cert, own.cert.pem()).unwrap();
    std::fs::write(&key, own.signing_key.serialize_pem()).unwrap();
    let (cert, key) = (cert.to_str().unwrap(), key.to_str().unwrap());
    let server = TestServer::with(&["--listen", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key], data);
    let port = server.url.rsplit(':').next().unwrap();
    let audit = |url: &str| {
        let mut command = monitor(&["audit", "--server", url, "--json"]);
        command.env("SSL_CERT_FILE", cert).env("MONITOR_DATA", server.data.path()).output().unwrap()
    };
    let found = audit(&format!("https://localhost:{port}"));
    assert!(found.status.success(), "it finds its token: {}", String::from_utf8_lossy(&found.stderr));
    // The certificate is issued for another name; and without TLS nothing is sent.
    for url in [format!("https://127.0.0.1:{port}"), format!("http://localhost:{port}")] {
        let refused = audit(&url);
        assert!(!refused.status.success(), "{url}");
    }
}

#[test]
fn a_changed_certificate_is_loaded_without_a_restart() {
    let (folder, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let [cert, key, trusted, old] = ["cert.pem", "key.pem", "trusted.pem", "old.pem"].map(|name| folder.path().join(name));
    let write = || {
        let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(&key, own.signing_key.serialize_pem()).unwrap();
        std::fs::write(&cert, own.cert.pem()).unwrap();
        std::fs::write(&trusted, own.cert.pem()).unwrap();
    };
    write();
    let args =
        ["--listen", "127.0.0.1:0", "--tls-interval", "50ms", "--tls-cert", cert.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
    let server = TestServer::with(&args, data);
    let url = format!("https://localhost:{}", server.url.rsplit(':').next().unwrap());
    let is_trusted = |by: &Path| monitor(&["status", "--server", &url]).env("SSL_CERT_FILE", by).output().unwrap().status.success();
    assert!(is_trusted(&trusted));
    std::fs::copy(&trusted, &old).unwrap();
    write();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_trusted(&trusted) {
        assert!(Instant::now() < deadline, "the new certificate is not taken");
    }
    assert!(!is_trusted(&old));
}

#[test]
fn a_public_address_requires_tokens_or_users() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let refused = monitor(&["server", "--listen", "0.0.0.0:0", "--data", data]).output().unwrap();
    let message = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.status.code() == Some(1) && message.contains("--insecure"), "{message}");
    assert!(message.contains("monitor token create NAME") && message.contains(&format!("--data {data}`")), "{message}");
    assert!(monitor(&["token", "create", "a", "--scope", "read", "--data", data]).output().unwrap().status.success());
    let server = TestServer::with(&["--listen", "0.0.0.0:0"], folder);
    // On the server's own machine, requests are still local.
    let port = server.url.rsplit(':').next().unwrap();
    monitor(&["status", "--server", &format!("http://127.0.0.1:{port}")]).assert().success();
}
