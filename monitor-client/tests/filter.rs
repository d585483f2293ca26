//! Tests a filter by modules: a call from a function that isn't recorded is placed below the nearest recorded caller.

#![cfg(feature = "record")]

mod support;

use monitor_client::{normal_task, root_task};
use support::{check, run};

mod web {
    use super::{db, normal_task};

    #[normal_task(args(n))]
    pub(super) fn handle(n: u8) {
        db::query(n);
    }

    #[normal_task]
    pub(super) async fn later() -> u8 {
        db::load().await
    }
}

mod db {
    use super::{normal_task, web};

    #[normal_task(args(n), name = "query {n}", ret)]
    pub(super) fn query(n: u8) -> u8 {
        if n > 0 {
            web::handle(n - 1);
        }
        n
    }

    #[normal_task]
    pub(super) async fn load() -> u8 {
        tokio::task::yield_now().await;
        1
    }
}

#[root_task]
fn serve() {
    web::handle(1);
    assert_eq!(run(web::later()), 1);
}

#[test]
fn modules_that_are_switched_off_are_left_out() {
    monitor_core::filter::set(&"info,filter::db=off".parse().expect("a filter"));
    check(
        serve,
        "
        serve root
          handle {args.n: 1}
            handle {args.n: 0}
          later
        ",
    );
    assert_eq!(monitor_client::registered().filter(|function| function.name == "load").count(), 1, "all are listed");
}
