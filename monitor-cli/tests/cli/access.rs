use serde_json::Value;

use crate::support::{TestServer, monitor};

fn run(server: &TestServer, args: &[&str], stdin: &str) -> (i32, String, String) {
    let mut command = monitor(args);
    let output = command.args(["--data", server.data.path().to_str().unwrap()]).write_stdin(stdin).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn tokens_are_made_listed_and_revoked_beside_a_running_server() {
    let server = TestServer::start();
    let (_, token, _) = run(&server, &["token", "create", "build-7", "--scope", "ingest,read", "--expires", "90d"], "");
    let token = token.trim();
    assert!(token.starts_with("pm_"), "{token}");
    let (code, _, message) = run(&server, &["token", "create", "build-7", "--scope", "read"], "");
    assert!(code == 1 && message.contains("build-7") && !message.contains("pm_"), "{message}");
    let (_, list, _) = run(&server, &["token", "list", "--json"], "");
    let list: Value = serde_json::from_str(&list).unwrap();
    let made = list.as_array().unwrap().iter().find(|token| token["name"] == "build-7").unwrap();
    assert!(made["scopes"] == serde_json::json!(["ingest", "read"]) && made["expires_us"].is_u64(), "{made}");
    let text = run(&server, &["token", "list"], "").1;
    assert!(text.contains("build-7") && !text.contains(token), "{text}");
    // The flag is stronger than the token that lies in the data folder.
    let status = |token: &str| monitor(&["status", "--server", &server.url]).env("MONITOR_TOKEN", token).output().unwrap();
    assert!(status(token).status.success());
    assert_eq!(run(&server, &["token", "revoke", "build-7"], "").0, 0);
    let refused = status(token);
    let message = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.status.code() == Some(1) && message.contains("monitor token create"), "{message}");
    let (code, _, message) = run(&server, &["token", "revoke", "build-7"], "");
    assert!(code == 1 && message.contains("monitor token list"), "{message}");
    let (code, _, message) = run(&server, &["token", "create", "a", "--scope", "write"], "");
    assert!(code == 2 && message.contains("`ingest`, `read`, `operate` and `admin`"), "{message}");
}

#[test]
fn users_are_added_by_a_password_that_is_no_argument() {
    let server = TestServer::start();
    assert_eq!(run(&server, &["user", "add", "ada", "--role", "operator"], "correct horse\n").0, 0);
    let (code, _, message) = run(&server, &["user", "add", "bob"], "short\n");
    assert!(code == 1 && message.contains("from 8 to"), "{message}");
    assert!(run(&server, &["user", "list"], "").1.starts_with("ada "));
    assert_eq!(run(&server, &["user", "password", "ada"], "another horse").0, 0);
    assert_eq!(run(&server, &["user", "remove", "ada"], "").0, 0);
    assert_eq!(run(&server, &["user", "remove", "ada"], "").0, 1);
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
    // Another server's port may be another user's: it doesn't get the token.
    let other = TestServer::start();
    assert!(!audit(data, &other.url).status.success());
}

#[test]
fn in_the_open_it_wants_tokens_or_users_first() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let refused = monitor(&["server", "--listen", "0.0.0.0:0", "--data", data]).output().unwrap();
    let message = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.status.code() == Some(1) && message.contains("monitor token create") && message.contains("--insecure"), "{message}");
    assert!(monitor(&["token", "create", "a", "--scope", "read", "--data", data]).output().unwrap().status.success());
    let server = TestServer::with(&["--listen", "0.0.0.0:0"], folder);
    // On its own machine it is still this machine.
    let port = server.url.rsplit(':').next().unwrap();
    monitor(&["status", "--server", &format!("http://127.0.0.1:{port}")]).assert().success();
}
