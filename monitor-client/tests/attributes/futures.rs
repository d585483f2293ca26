//! Tests the parents and outcomes of futures, on whichever thread they are polled.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use monitor_client::{InCurrent, Process, cross_thread, normal_task, root_task, spawn_task};
use tokio::task::yield_now;

use crate::support::{check, check_sorted, record, run};

#[normal_task]
async fn leaf() {
    yield_now().await;
}

#[normal_task]
fn sync_leaf() {}

#[test]
fn the_context_is_there_after_each_await_and_gone_between_polls() {
    #[normal_task]
    async fn top() {
        sync_leaf();
        yield_now().await;
        sync_leaf();
        leaf().await;
        sync_leaf();
    }
    check(
        || {
            run(async {
                let mut top = pin!(top());
                poll_fn(|cx| {
                    let polled = top.as_mut().poll(cx);
                    assert_eq!(monitor_client::Context::current(), None);
                    polled
                })
                .await;
            });
        },
        "
        top
          sync_leaf
          sync_leaf
          leaf
          sync_leaf
        ",
    );
}

#[test]
fn joined_and_selected_futures_keep_their_own_children() {
    #[normal_task]
    async fn left() {
        for _ in 0..3 {
            leaf().await;
        }
    }
    #[normal_task]
    async fn right() {
        yield_now().await;
        sync_leaf();
        yield_now().await;
        leaf().await;
    }
    #[normal_task]
    async fn endless() {
        sync_leaf();
        std::future::pending::<()>().await;
    }
    #[root_task]
    async fn top() {
        tokio::join!(left(), right());
        tokio::select! {
            biased;
            () = endless() => {}
            () = right() => {}
        }
        futures_util::join!(right(), leaf());
        sync_leaf();
    }
    check(
        || run(top()),
        "
        top root
          left
            leaf
            leaf
            leaf
          right
            sync_leaf
            leaf
          endless cancelled
            sync_leaf
          right
            sync_leaf
            leaf
          right
            sync_leaf
            leaf
          leaf
          sync_leaf
        ",
    );
}

#[test]
fn tasks_that_move_between_threads_keep_their_parents() {
    #[normal_task]
    async fn worker(number: usize) {
        for _ in 0..20 {
            step(number).await;
        }
    }
    #[normal_task]
    async fn step(number: usize) {
        yield_now().await;
        let _ = number;
        sync_leaf();
    }
    #[root_task]
    async fn top() {
        let tasks: Vec<_> = (0..16).map(|number| spawn_task(worker(number))).collect();
        for task in tasks {
            task.await.expect("no panic");
        }
    }
    let trees = record(|| {
        tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().expect("a runtime").block_on(async {
            tokio::spawn(top()).await.expect("no panic");
        });
    });
    let worker = format!("  worker\n{}", "    step\n      sync_leaf\n".repeat(20));
    assert_eq!(trees.to_string(), format!("top root\n{}", worker.repeat(16)).trim_end());
}

/// A minimal executor: threads that poll woken futures, without a runtime.
#[test]
fn futures_keep_their_parents_on_an_unknown_executor() {
    use std::sync::{Mutex, mpsc};
    use std::task::Wake;

    struct Task {
        future: Mutex<Pin<Box<dyn Future<Output = ()> + Send>>>,
        ready: mpsc::Sender<Arc<Task>>,
    }

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            // A wake after the end of the executor has no effect.
            let _ = self.ready.send(self.clone());
        }
    }

    #[normal_task]
    async fn works() {
        for _ in 0..3 {
            leaf().await;
        }
    }

    check_sorted(
        || {
            let (ready, queue) = mpsc::channel::<Arc<Task>>();
            let spawn = |future: Pin<Box<dyn Future<Output = ()> + Send>>| {
                let task = Arc::new(Task { future: Mutex::new(future), ready: ready.clone() });
                ready.send(task).unwrap();
            };
            for name in ["first", "second"] {
                let process = Process::builder(name).root().enter();
                spawn(Box::pin(works().in_current()));
                process.succeed();
            }
            drop(ready);
            let queue = Mutex::new(queue);
            std::thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| {
                        loop {
                            // The lock is held while nothing is ready; the last task drops the last sender.
                            let Ok(task) = queue.lock().unwrap().recv() else { break };
                            let waker = Waker::from(task.clone());
                            let _ = task.future.lock().unwrap().as_mut().poll(&mut Context::from_waker(&waker));
                        }
                    });
                }
            });
        },
        "
        first
          works
            leaf
            leaf
            leaf
        second
          works
            leaf
            leaf
            leaf
        ",
    );
}

#[test]
fn a_future_polled_by_hand_on_two_threads_is_one_process() {
    #[normal_task]
    async fn travels() -> u8 {
        sync_leaf();
        yield_now().await;
        sync_leaf();
        7
    }
    check(
        || {
            let mut future = Box::pin(travels());
            let first = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(first.is_pending());
            let second = std::thread::spawn(move || future.as_mut().poll(&mut Context::from_waker(Waker::noop())));
            assert_eq!(second.join().expect("no panic"), Poll::Ready(7));
        },
        "
        travels
          sync_leaf
          sync_leaf
        ",
    );
}

#[test]
fn async_recursion_is_a_path() {
    #[normal_task]
    async fn down(n: u8) -> u8 {
        if n == 0 { 0 } else { Box::pin(down(n - 1)).await + 1 }
    }
    check(
        || assert_eq!(run(down(2)), 2),
        "
        down
          down
            down
        ",
    );
}

#[test]
fn an_async_function_starts_at_its_first_poll_below_the_current_process() {
    check(
        || {
            let (unpolled, polled) = (leaf(), leaf());
            drop(unpolled);
            let top = Process::builder("top").enter();
            run(polled);
            drop(top);
        },
        "
        top
          leaf
        ",
    );
}

#[test]
fn a_cross_thread_async_function_captures_its_caller() {
    #[cross_thread]
    async fn part(text: &'static str, (number, _): (u8, u8)) -> Result<usize, String> {
        yield_now().await;
        sync_leaf();
        if number > 0 { Ok(text.len()) } else { Err("zero".to_owned()) }
    }
    check_sorted(
        || {
            let futures = Process::builder("top").run(|_| {
                drop(part("never polled", (1, 1)));
                Ok::<_, String>([part("a", (1, 1)), part("b", (0, 0))])
            });
            run(async {
                for future in futures.expect("no error") {
                    let _ = tokio::spawn(future).await.expect("no panic");
                }
            });
        },
        "
        top
          part cross_thread
            sync_leaf
          part cross_thread error: zero
            sync_leaf
        ",
    );
}

#[test]
fn a_function_that_returns_a_future_ends_with_it() {
    #[normal_task]
    fn plain(fails: bool) -> impl Future<Output = Result<u8, String>> + Send {
        async move {
            yield_now().await;
            sync_leaf();
            if fails { Err("plain".into()) } else { Ok(1) }
        }
    }
    type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
    #[normal_task]
    fn boxed(text: &str) -> Boxed<'_, Result<usize, String>> {
        if text.is_empty() {
            return Box::pin(std::future::ready(Err("empty".to_owned())));
        }
        Box::pin(async move {
            leaf().await;
            Ok(text.len())
        })
    }
    #[normal_task]
    fn local(shared: std::rc::Rc<u8>) -> Pin<Box<dyn Future<Output = u8>>> {
        Box::pin(async move {
            yield_now().await;
            *shared
        })
    }
    check(
        || {
            let (first, second) = Process::builder("caller").run(|_| Ok::<_, String>((plain(true), boxed("x")))).expect("no error");
            run(async move {
                assert!(first.await.is_err());
                assert!(second.await.is_ok());
                assert!(plain(false).await.is_ok());
                assert!(boxed("").await.is_err());
                assert_eq!(local(std::rc::Rc::new(7)).await, 7);
            });
        },
        "
        caller
          boxed
            leaf
          plain error: plain
            sync_leaf
        plain
          sync_leaf
        boxed error: empty
        local
        ",
    );
}

#[test]
fn async_trait_methods_are_processes() {
    #[async_trait]
    trait Fetch {
        async fn fetch(&self, from: &str) -> Result<usize, String>;
        #[normal_task]
        async fn twice(&self) -> Result<usize, String> {
            Ok(self.fetch("a").await? + self.fetch("").await?)
        }
    }
    struct Memory;
    #[async_trait]
    impl Fetch for Memory {
        #[normal_task]
        #[doc = "Another attribute, below."]
        async fn fetch(&self, from: &str) -> Result<usize, String> {
            leaf().await;
            if from.is_empty() { Err("from where?".to_owned()) } else { Ok(from.len()) }
        }
    }
    check(
        || {
            let fetch: Arc<dyn Fetch + Send + Sync> = Arc::new(Memory);
            assert!(run(fetch.twice()).is_err());
        },
        "
        twice error: from where?
          fetch
            leaf
          fetch error: from where?
            leaf
        ",
    );
}

#[test]
fn a_context_is_carried_to_where_a_future_is_polled() {
    check(
        || {
            let future = Process::builder("top").run(|_| Ok::<_, String>(leaf().in_current())).expect("no error");
            run(async { tokio::spawn(future).await.expect("no panic") });
        },
        "
        top
          leaf
        ",
    );
}

#[test]
fn monitored_futures_are_send_whenever_the_plain_futures_are() {
    fn send<T: Send>(value: T) -> T {
        value
    }
    #[cross_thread]
    async fn captured(text: &str) -> usize {
        yield_now().await;
        text.len()
    }
    #[normal_task]
    async fn fails() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        yield_now().await;
        Err("fails")?
    }
    let trees = record(|| {
        run(async {
            send(leaf()).await;
            send(captured("x")).await;
            let _ = send(fails()).await;
            send(leaf().in_current()).await;
            send(Process::builder("by hand").instrument(async { Ok::<_, String>(()) })).await.expect("no error");
        });
        drop(send(Process::builder("sent").begin()));
    });
    assert_eq!(trees.processes.len(), 6);
}

#[test]
fn a_returned_closure_may_be_called_after_its_function_ended() {
    #[normal_task]
    async fn closure() -> Result<impl Fn(&str) -> usize, String> {
        yield_now().await;
        Ok(|text: &str| text.len())
    }
    check(|| assert_eq!(run(closure()).expect("no error")("four"), 4), "closure");
}
