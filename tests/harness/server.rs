//! `monitor server` as a child process.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{SmallDisk, command, terminate, wait_for};

/// A server with a separate data folder. It ends with the test.
#[derive(Debug)]
pub struct Server {
    child: Child,
    url: String,
    data: PathBuf,
    spool: PathBuf,
    env: Vec<(&'static str, OsString)>,
    /// The disk of its data folder, if it has a separate disk.
    disk: Option<SmallDisk>,
    log: PathBuf,
    _folder: Option<TempDir>,
    http: reqwest::blocking::Client,
}

impl Server {
    /// Starts a server with a new folder and a free port.
    pub fn start() -> Self {
        Self::start_with(Vec::new())
    }

    /// Starts a server with HTTPS, by the PEM files of a certificate and its key.
    pub fn start_with_tls(certificate: &Path, key: &Path) -> Self {
        Self::start_with_tls_and(certificate, key, Vec::new())
    }

    /// Like [`start_with_tls`](Self::start_with_tls), with further environment variables. The certificate may be for another name.
    pub fn start_with_tls_and(certificate: &Path, key: &Path, mut env: Vec<(&'static str, OsString)>) -> Self {
        let pem = std::fs::read(certificate).expect("a certificate");
        let trusted = reqwest::Certificate::from_pem(&pem).expect("a certificate");
        let http = reqwest::blocking::Client::builder().tls_certs_only([trusted]).tls_danger_accept_invalid_hostnames(true);
        env.extend([("MONITOR_TLS_CERT", certificate.into()), ("MONITOR_TLS_KEY", key.into())]);
        Self::start_by(http, env)
    }

    /// Starts a server with further environment variables.
    pub fn start_with(env: Vec<(&'static str, OsString)>) -> Self {
        Self::start_by(reqwest::blocking::Client::builder(), env)
    }

    fn start_by(http: reqwest::blocking::ClientBuilder, env: Vec<(&'static str, OsString)>) -> Self {
        Self::start_on(None, http, env)
    }

    /// Starts a server in this data folder. The folder stays.
    pub fn start_in(data: PathBuf) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self::start_of(folder, data, None, reqwest::blocking::Client::builder(), Vec::new())
    }

    /// Starts a server whose data folder is on a separate disk.
    pub fn start_on_disk(disk: SmallDisk, env: Vec<(&'static str, OsString)>) -> Self {
        Self::start_on(Some(disk), reqwest::blocking::Client::builder(), env)
    }

    fn start_on(disk: Option<SmallDisk>, http: reqwest::blocking::ClientBuilder, env: Vec<(&'static str, OsString)>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let data = disk.as_ref().map_or(folder.path(), SmallDisk::path).join("data");
        Self::start_of(folder, data, disk, http, env)
    }

    /// Starts a server. `folder` has its log and the spool of its programs.
    fn start_of(
        folder: TempDir,
        data: PathBuf,
        disk: Option<SmallDisk>,
        http: reqwest::blocking::ClientBuilder,
        env: Vec<(&'static str, OsString)>,
    ) -> Self {
        let (spool, log) = (folder.path().join("spool"), folder.path().join("log"));
        let (child, url) = spawn(&data, "127.0.0.1:0", &env, disk.as_ref(), &log).expect("the server starts");
        let http = http.no_proxy().timeout(None).build().expect("an HTTP client");
        Self { child, url, data, spool, env, disk, log, _folder: Some(folder), http }
    }

    /// Everything that this server and earlier servers in the same folder wrote to stderr.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).expect("the log")
    }

    /// The separate disk of its data folder. Panics if there is none.
    pub fn disk(&self) -> &SmallDisk {
        self.disk.as_ref().expect("started on one")
    }

    /// Starts a server whose programs keep their records only in memory.
    pub fn start_without_spool() -> Self {
        let mut server = Self::start();
        server.spool = PathBuf::from("off");
        server
    }

    /// Address, such as `http://127.0.0.1:40123`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Maximum resident memory so far, in bytes.
    #[cfg(target_os = "linux")]
    pub fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("the server runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux tells it");
        1024 * line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number")
    }

    /// Current private memory, in bytes.
    #[cfg(target_os = "linux")]
    pub fn memory(&self) -> u64 {
        let smaps = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", self.child.id())).expect("the server runs");
        let line = smaps.lines().find_map(|line| line.strip_prefix("Anonymous:")).expect("Linux tells it");
        1024 * line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number")
    }

    /// The data folder.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Folder for unsent records of the programs.
    pub fn spool(&self) -> &Path {
        &self.spool
    }

    /// Sends SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().expect("the server runs");
        self.child.wait().expect("the server ends");
    }

    /// Sends SIGTERM and waits until the server has ended successfully.
    ///
    /// # Panics
    /// If it ends in another way.
    pub fn stop(&mut self) {
        terminate(&mut self.child);
    }

    /// Sets the environment variables for further starts.
    pub fn set_env(&mut self, env: Vec<(&'static str, OsString)>) {
        self.env = env;
    }

    /// Starts the server again in the same folder and on the same port.
    pub fn start_again(&mut self) {
        let address = self.url.trim_start_matches("http://").to_owned();
        // Connections of the killed server may still occupy the port.
        let (child, url) =
            wait_for("the server to start again", || spawn(&self.data, &address, &self.env, self.disk.as_ref(), &self.log).ok());
        assert_eq!(url, self.url);
        self.child = child;
    }

    /// Starts the server again in the same folder and on a free port.
    pub fn move_to_another_port(&mut self) {
        let started = spawn(&self.data, "127.0.0.1:0", &self.env, self.disk.as_ref(), &self.log).expect("the server starts");
        (self.child, self.url) = started;
    }

    /// Starts the server again, which must fail. Returns the content of stderr.
    ///
    /// # Panics
    /// If it starts.
    pub fn fail_to_start(&mut self) -> String {
        let before = self.log().len();
        let address = self.url.trim_start_matches("http://").to_owned();
        assert!(spawn(&self.data, &address, &self.env, self.disk.as_ref(), &self.log).is_err(), "it must not start");
        self.log()[before..].to_owned()
    }

    /// The token in the data folder.
    pub fn token(&self) -> String {
        let data = self.disk.as_ref().map_or(self.data.clone(), |disk| disk.outside(&self.data));
        let file = std::fs::read_to_string(data.join("local.token")).expect("the server writes it");
        file.lines().nth(1).expect("a token").to_owned()
    }

    /// Sends any request with the token of the data folder. Returns status and body.
    pub fn ask(&self, method: &str, path: &str) -> (u16, String) {
        let token = self.token();
        let request = self.http.request(method.parse().expect("a method"), format!("{}{path}", self.url)).bearer_auth(token);
        let response = request.send().expect("the server answers");
        (response.status().as_u16(), response.text().expect("text"))
    }

    /// Sends any request below `/api/v1` with the token of the data folder. Returns status and JSON. A change applies to any version.
    pub fn order(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let request = self.http.request(method.parse().expect("a method"), format!("{}/api/v1{path}", self.url)).bearer_auth(self.token());
        let request = if method == "PUT" { request.header("if-match", "*") } else { request };
        let request = if body.is_null() { request } else { request.json(body) };
        let response = request.send().expect("the server answers");
        (response.status().as_u16(), response.json().unwrap_or_default())
    }

    /// Calls a tool at `/mcp` as the client `assistant/1`, with the token of the data folder. Returns true if it succeeded, and its JSON.
    ///
    /// # Panics
    /// If there is no answer of a tool.
    pub fn tool(&self, name: &str, arguments: &Value) -> (bool, Value) {
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": arguments}});
        let post = self.http.post(format!("{}/mcp", self.url)).bearer_auth(self.token()).header("user-agent", "assistant/1");
        let response = post.header("accept", "application/json, text/event-stream").json(&request).send().expect("the server answers");
        let answer: Value = response.json().expect("the answer is JSON");
        let text = answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{name} {arguments}: {answer}"));
        (answer["result"]["isError"] != true, serde_json::from_str(text).expect("the text is JSON"))
    }

    /// The answer to a GET request below `/api/v1`.
    pub fn get(&self, path: &str) -> Value {
        let send = || self.http.get(format!("{}/api/v1{path}", self.url)).send();
        // If a test moves the clock, the server closes idle connections, perhaps while one is used again.
        let response = send().or_else(|_| send()).expect("the server answers");
        let status = response.status();
        let text = response.text().expect("the answer is text");
        assert!(status.is_success(), "{path}: {status}: {text}");
        serde_json::from_str(&text).expect("the answer is JSON")
    }

    /// Posts a batch. Returns status and body.
    pub fn post(&self, batch: &Value) -> (u16, Value) {
        let response = self.http.post(format!("{}/api/v1/events", self.url)).json(batch).send().expect("the server answers");
        (response.status().as_u16(), response.json().expect("the answer is JSON"))
    }

    /// All roots, newest first.
    pub fn roots(&self) -> Vec<Value> {
        self.get("/roots?limit=1000")["roots"].as_array().expect("a list").clone()
    }

    /// All processes of a tree, in pre-order.
    pub fn tree(&self, root: &Value) -> Vec<Value> {
        let id = root["root_id"].as_str().expect("a root has an id");
        let (mut processes, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = self.get(&format!("/roots/{id}/tree?limit=100000{cursor}"));
            processes.extend(page["processes"].as_array().expect("a list").iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return processes,
            }
        }
    }

    /// The only root, as soon as nothing in its tree runs any more.
    pub fn finished_root(&self) -> Value {
        wait_for("the tree to be finished", || {
            let roots = self.roots();
            let [root] = &roots[..] else { return None };
            let counts = &root["counts"];
            (counts["running"] == 0 && counts["pending"] == 0 && root["state"] != "running").then(|| root.clone())
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Printed if the test fails.
        if let Ok(log) = std::fs::read_to_string(&self.log) {
            eprint!("{log}");
        }
    }
}

/// Starts a server. Returns it with its address as soon as it listens, or the error if it ends.
fn spawn(data: &Path, listen: &str, env: &[(&str, OsString)], disk: Option<&SmallDisk>, log: &Path) -> Result<(Child, String), String> {
    let mut server = disk.map_or_else(|| command("monitor"), |disk| disk.command("monitor"));
    let log = std::fs::OpenOptions::new().create(true).append(true).open(log).map_err(|error| error.to_string())?;
    server.args(["server", "--listen", listen, "--data"]).arg(data).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
    // Spools of other programs of this user are not part of the test.
    server.env("MONITOR_SPOOL_DIR", "off").envs(env.iter().map(|(key, value)| (key, value)));
    let mut child = server.spawn().map_err(|error| error.to_string())?;
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let url = lines.by_ref().map_while(Result::ok).find_map(|line| {
        line.split_whitespace().find_map(|word| word.strip_suffix("/tasks").filter(|url| url.starts_with("http")).map(str::to_owned))
    });
    // Read all further output, so that the pipe does not fill up.
    std::thread::spawn(move || lines.for_each(drop));
    match url {
        Some(url) => Ok((child, url)),
        None => Err(format!("{:?}", child.wait())),
    }
}
