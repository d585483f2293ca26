//! Events and publications of a run of a batch task.

use monitor_client::batch::{self, BatchError, Severity};

/// Reports its progress, sends a notification, publishes to `prod`, and prints what was rejected.
pub(crate) fn tells_of_a_run() {
    batch::progress(40.0, Some(100.0)).expect("a run");
    let notice = batch::notify("-- no gold").text("--at all\nnone").severity(Severity::Error).key("prices");
    notice.send().expect("a run");
    let folder = std::env::var("MONITOR_PUBLISH_DIR").expect("a run");
    std::fs::write(format!("{folder}/price"), "7").expect("a folder");
    batch::publish(["prod"]).expect("a target");
    let refused = [batch::publish(["-x", "prod"]), batch::publish([""; 0]), batch::progress(f64::NAN, None)];
    for refused in refused {
        println!("{}", refused.expect_err("it is refused").to_string().replace('\n', " "));
    }
    assert!(matches!(batch::notify("a\0b").send(), Err(BatchError::Command { .. })));
}

/// Prints the reason why nothing is sent outside of a run.
pub(crate) fn is_no_run() {
    println!("{}", batch::notify("x").send().expect_err("no run"));
}
