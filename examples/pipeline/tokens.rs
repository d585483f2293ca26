//! The second process: an HTTP service that counts the tokens of a text. Requests are JSON with the ids of root and parent.

use std::io::{Read, Write};
use std::process::Stdio;

use anyhow::{Context, bail};
use axum::extract::DefaultBodyLimit;
use axum::routing::post;
use axum::{Json, Router};
use monitor_client::{Propagation, cross_process, normal_task};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

const LARGEST_MESSAGE: usize = 128 * 1024 * 1024;

/// Request to the service.
#[derive(Serialize, Deserialize)]
struct Question {
    path: String,
    text: String,
    #[serde(flatten)]
    from: Propagation,
}

/// Response of the service.
#[derive(Serialize, Deserialize)]
struct Answer {
    tokens: u64,
}

/// The pipeline's connection to the service.
pub(crate) struct TokenService {
    child: Child,
    client: TokenClient,
}

/// Asks the service.
#[derive(Clone)]
pub(crate) struct TokenClient {
    http: reqwest::Client,
    url: String,
}

impl TokenService {
    /// Starts this program a second time, as the service, and waits until it listens.
    #[normal_task("start token service")]
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("serve-tokens").stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().context("can't start the token service")?;
        let mut address = String::new();
        let stdout = child.stdout.take().context("the token service has no stdout")?;
        BufReader::new(stdout).read_line(&mut address).await?;
        if address.trim().is_empty() {
            bail!("the token service ended before it listened");
        }
        // It is on this machine: no proxy.
        let http = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self { child, client: TokenClient { http, url: format!("http://{}/count", address.trim()) } })
    }

    pub(crate) fn client(&self) -> TokenClient {
        self.client.clone()
    }

    /// Closes its stdin, which ends it.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        drop(self.child.stdin.take());
        let status = self.child.wait().await?;
        if !status.success() {
            bail!("the token service ended with {status}");
        }
        Ok(())
    }
}

impl TokenClient {
    pub(crate) async fn count(&self, path: String, text: String) -> anyhow::Result<u64> {
        let question = Question { path, text, from: Propagation::current() };
        let answer = self.http.post(&self.url).json(&question).send().await.context("the token service can't be reached")?;
        let answer: Answer = answer.error_for_status()?.json().await.context("the token service answered strangely")?;
        Ok(answer.tokens)
    }
}

/// The service's own `main`.
pub(crate) async fn serve() -> anyhow::Result<()> {
    let app = Router::new().route("/count", post(answer)).layer(DefaultBodyLimit::max(LARGEST_MESSAGE));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    {
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "{}", listener.local_addr()?)?;
        stdout.flush()?;
    }
    let stdin_closed = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    axum::serve(listener, app)
        .with_graceful_shutdown(async {
            let _ = stdin_closed.await;
        })
        .await?;
    Ok(())
}

async fn answer(Json(question): Json<Question>) -> Json<Answer> {
    let Propagation { root_id, parent_id } = question.from;
    Json(Answer { tokens: count_tokens(&question.text, root_id, parent_id) })
}

/// Words, numbers, and every other character that is no space.
#[cross_process("count tokens")]
fn count_tokens(text: &str, root_id: Option<String>, parent_id: Option<String>) -> u64 {
    let mut tokens = 0;
    let mut in_word = false;
    for character in text.chars() {
        let belongs = character.is_alphanumeric() || character == '_';
        if (belongs && !in_word) || !(belongs || character.is_whitespace()) {
            tokens += 1;
        }
        in_word = belongs;
    }
    tokens
}
