//! Tests the proxies of the environment: they are used for other hosts, and never for this machine.

use std::process::Command;

use monitor_api::Client;

use crate::support::{Raw, answer};

const IS_CHILD: &str = "API_TEST_IS_CHILD";

/// Code of the child process, which has a proxy in its environment: sends a request.
#[test]
fn child() {
    if std::env::var_os(IS_CHILD).is_none() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _ = runtime.block_on(async { Client::from_env().unwrap().status().await });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_only_resembles_loopback_is_reached_through_the_proxy() {
    for (host, is_here) in [("127.0.0.1", true), ("localhost", true), ("127.evil.example", false), ("localhost.evil.example", false)] {
        let (server, proxy) = (Raw::start([answer("404 Not Found", "")]).await, Raw::start([answer("404 Not Found", "")]).await);
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "proxies::child"]).env(IS_CHILD, "1").env("http_proxy", format!("http://{}", proxy.address));
        child.env_remove("no_proxy").env_remove("NO_PROXY").env_remove("MONITOR_TOKEN");
        child.env("MONITOR_SERVER_URL", format!("http://{host}:{}", server.address.port()));
        let output = tokio::task::spawn_blocking(move || child.output().unwrap()).await.unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!((server.requests().len(), proxy.requests().len()), (usize::from(is_here), usize::from(!is_here)), "{host}");
        assert!(is_here || proxy.requests()[0].starts_with(&format!("GET http://{host}:")), "{:?}", proxy.requests());
    }
}
