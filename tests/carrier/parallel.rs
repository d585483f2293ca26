//! Rayon's pool, scoped threads and tokio's tasks.

use monitor_client::rayon::ParallelIteratorExt;
use monitor_client::tokio::JoinSet;
use monitor_client::{in_current, normal_task, root_task};
use rayon::prelude::*;

use crate::handle;

#[root_task("in parallel")]
pub(crate) fn run() {
    // The threads of the pool were started before the tree, so nothing can be inferred from them.
    by_rayon();
    by_threads();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
    runtime.block_on(by_tasks());
}

#[normal_task]
fn by_rayon() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().expect("threads");
    let total = pool.install(in_current(|| {
        let (left, right) = monitor_client::rayon::join(|| handle("left"), || handle("right"));
        let each: usize = (0..4).into_par_iter().in_current().map(|n| handle(&n.to_string()).unwrap_or(0)).sum();
        each + left.unwrap_or(0) + right.unwrap_or(0)
    }));
    assert_eq!(total, 13);
}

#[normal_task]
fn by_threads() {
    monitor_client::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| handle("scoped"));
        }
    });
}

#[normal_task]
async fn by_tasks() {
    let mut tasks = JoinSet::new();
    for _ in 0..2 {
        // The usual form: the task calls the function.
        tasks.spawn(async move { handle("task") });
    }
    tasks.spawn_blocking(|| handle("blocking"));
    assert_eq!(tasks.join_all().await.len(), 3);
}
