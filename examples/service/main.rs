//! A client and two services in three processes: the whole work for a request is one tree, across processes and machines.
//!
//! ```text
//! MONITOR_ENABLED=1 cargo run -p monitor-examples --bin service
//! ```

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail, ensure};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use monitor_client::reqwest_middleware::Middleware;
use monitor_client::tower::ServerLayer;
use monitor_client::{normal_task, root_task};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use tokio::io::AsyncReadExt;

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match &args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => customer(),
        ["stock"] => serve(stock()),
        ["shop", stock] => serve(shop(stock)),
        other => bail!("{other:?} is not known: service takes no arguments"),
    }
}

/// Returns a client that records every request as a process, and sends its ids to the other side.
fn client() -> ClientWithMiddleware {
    ClientBuilder::new(reqwest::Client::new()).with(Middleware).build()
}

/// The shop sells articles from the stock. `ServerLayer` is sufficient to record its requests.
fn shop(stock: &str) -> Router {
    Router::new().route("/orders/{item}", get(order)).layer(ServerLayer::new()).with_state((client(), stock.to_owned()))
}

async fn order(State((client, stock)): State<(ClientWithMiddleware, String)>, Path(item): Path<String>) -> (StatusCode, String) {
    match find_price(&client, &format!("http://{stock}/items/{item}")).await {
        Ok(price) => (StatusCode::OK, price),
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()),
    }
}

#[normal_task("find the price")]
async fn find_price(client: &ClientWithMiddleware, url: &str) -> anyhow::Result<String> {
    let answer = client.get(url).send().await?;
    ensure!(answer.status().is_success(), "the stock answered {}", answer.status());
    Ok(answer.text().await?)
}

fn stock() -> Router {
    Router::new().route("/items/{item}", get(item)).layer(ServerLayer::new())
}

async fn item(Path(item): Path<String>) -> Result<String, StatusCode> {
    // A request may be handed to other tasks: they belong to it as well.
    let counted = monitor_client::tokio::spawn_blocking(move || count(&item)).await;
    counted.ok().flatten().map(|count| format!("{count} left")).ok_or(StatusCode::NOT_FOUND)
}

#[normal_task("count what is left")]
fn count(item: &str) -> Option<usize> {
    (item != "unicorn").then_some(item.len())
}

#[root_task("go shopping")]
fn customer() -> anyhow::Result<()> {
    let (mut stock, at) = start(&["stock"])?;
    let (mut shop, at) = start(&["shop", &at])?;
    runtime()?.block_on(async {
        let client = client();
        for item in ["apple", "unicorn"] {
            let answer = client.get(format!("http://{at}/orders/{item}")).send().await?;
            println!("{item}: {}, {}", answer.status(), answer.text().await?);
        }
        anyhow::Ok(())
    })?;
    for service in [&mut shop, &mut stock] {
        // At the end of its input it ends.
        drop(service.stdin.take());
        ensure!(service.wait()?.success(), "a service failed");
    }
    Ok(())
}

/// Starts a service; returns the child process and its address.
fn start(args: &[&str]) -> anyhow::Result<(Child, String)> {
    let mut service = Command::new(std::env::current_exe()?).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut address = String::new();
    BufReader::new(service.stdout.take().context("a service has no stdout")?).read_line(&mut address)?;
    Ok((service, address.trim().to_owned()))
}

fn serve(app: Router) -> anyhow::Result<()> {
    runtime()?.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        let end = async {
            let _ = tokio::io::stdin().read(&mut [0]).await;
        };
        Ok(axum::serve(listener, app).with_graceful_shutdown(end).await?)
    })
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
}
