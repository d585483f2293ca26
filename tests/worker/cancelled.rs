//! A tree that a user cancels: tasks, threads, programs and commands.

use std::process::Command;
use std::time::Duration;

use monitor_client::{CommandExt as _, cancel, cross_thread, root_task, spawn_task, spawn_thread};

/// Two tasks, a thread, a program and a command that all wait for cancellation. `monitor` runs the command, which ignores SIGTERM.
#[root_task]
pub(crate) fn cancellable(monitor: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    monitor_client::tokio::show_runtime(runtime.handle());
    let tasks = runtime.block_on(async { [spawn_task(sleeps()), spawn_task(sleeps())] });
    let thread = spawn_thread(asks);
    let mut program = Command::new(std::env::current_exe().expect("a path"));
    let mut program = program.arg("asks-elsewhere").with_current_process().spawn().expect("it starts");
    let mut command = Command::new(monitor);
    command.args(["run", "--grace", "200ms", "--name", "stubborn", "--", "sh", "-c", "trap '' TERM; while :; do sleep 1; done"]);
    let mut command = command.with_current_process().spawn().expect("it starts");
    crate::say("begun");
    for task in tasks {
        let ended = runtime.block_on(task);
        assert!(ended.is_err_and(|error| error.is_cancelled()), "it is aborted");
    }
    assert!(thread.join().expect("no panic").is_err());
    let _ = (program.wait(), command.wait());
}

/// Waits forever at an await.
#[cross_thread]
async fn sleeps() {
    naps().await;
}

#[cross_thread]
async fn naps() {
    std::future::pending::<()>().await;
}

/// Checks regularly whether it was cancelled.
#[cross_thread]
pub(crate) fn asks() -> Result<(), &'static str> {
    while !cancel::requested() {
        std::thread::sleep(Duration::from_millis(10));
    }
    Err("cancelled")
}

#[cross_thread]
pub(crate) fn asks_elsewhere() {
    let _ = spawn_thread(asks).join();
}

/// Waits for a line and ignores cancellation, beside a thread that checks for it.
#[root_task]
pub(crate) fn deaf() {
    let thread = spawn_thread(asks);
    crate::waits();
    let _ = thread.join();
}
