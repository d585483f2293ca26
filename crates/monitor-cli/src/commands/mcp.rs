//! `monitor mcp`

use anyhow::Context as _;
use clap::ValueEnum;
use monitor_api::{Call, Client, Error, Method};
use monitor_mcp::{Allow, Ask, Assistant, Failure, Request};
use serde_json::Value;

use crate::client::Connection;
use crate::exit;

const EXAMPLES: &str = "\
Examples:
  claude mcp add monitor -- monitor mcp
  monitor mcp --server https://monitor.example.com --token-file ~/.monitor-token
  monitor mcp --allow operate           # with tools that run, pause, cancel, acknowledge and retry";

/// Serve tools for coding assistants (Model Context Protocol) over stdio
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::HELP))]
pub(crate) struct Args {
    /// Tools that exist: `read`, those that change nothing, or `operate`, all. Those that change something need a token with the scope
    /// `operate`
    #[arg(long, value_enum, default_value_t = Allowed::Read)]
    allow: Allowed,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Allowed {
    Read,
    Operate,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let allow = match args.allow {
        Allowed::Read => Allow::Read,
        Allowed::Operate => Allow::Operate,
    };
    let page = args.connection.server().as_str();
    let assistant = Assistant::new(Http(args.connection.client()?.clone()), allow, page);
    args.connection.wait(async { Ok(monitor_mcp::serve(assistant).await) })?.context("the client does not speak the Model Context Protocol")
}

/// Sends requests to the server of the command line.
#[derive(Debug, Clone)]
struct Http(Client);

impl Ask for Http {
    async fn ask(&self, request: Request) -> Result<Value, Failure> {
        let path: Vec<_> = ["api", "v1"].into_iter().chain(request.path.iter().map(String::as_str)).collect();
        let method = if request.is_change { Method::POST } else { Method::GET };
        let call: Call<Value> = self.0.call(method, &path).user_agent(&request.user_agent());
        let call = request.query.iter().fold(call, |call, (name, value)| call.parameter(name, value));
        let call = match &request.body {
            Some(body) => call.json_body(body.to_string()),
            None => call,
        };
        call.send().await.map_err(|error| failure(&error))
    }
}

fn failure(error: &Error) -> Failure {
    let hint = error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
    Failure { status: error.status(), detail: format!("{}{hint}", error.causes()) }
}
