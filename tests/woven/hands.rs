//! Work that is handed to threads and tasks: each call of `work` and `step` belongs to the function that handed it on.

use rayon::prelude::*;

fn main() {
    by_threads();
    by_scope();
    println!("{}", by_rayon());
    println!("{}", by_crossbeam());
    println!("{}", by_tasks());
}

fn by_threads() {
    std::thread::spawn(|| work(1)).join().unwrap();
    let text = "two".to_owned();
    let named = std::thread::Builder::new().name("named".to_owned());
    named.spawn(move || println!("{} {}", text, work(2))).unwrap().join().unwrap();
}

fn by_scope() {
    let numbers = [3, 4];
    Own::spawn(|| work(numbers[1]));
    std::thread::scope(|scope| {
        for number in &numbers {
            scope.spawn(move || work(*number));
        }
        scope.spawn(|| work(numbers[0]));
    });
}

fn by_rayon() -> u64 {
    let process = |number: u64| work(number);
    let sum: u64 = (5..8).into_par_iter().map(process).sum();
    let (eight, nine) = rayon::join(|| work(8), || work(9));
    let mut ten = 0;
    rayon::scope(|scope| scope.spawn(|_| ten = work(10)));
    sum + eight + nine + ten
}

fn by_crossbeam() -> u64 {
    let numbers = [14, 15];
    let sum = crossbeam_utils::thread::scope(|scope| {
        let one = scope.spawn(|_| work(numbers[0]));
        let two = scope.spawn(|scope| scope.spawn(|_| work(numbers[1])).join().unwrap());
        one.join().unwrap() + two.join().unwrap()
    });
    sum.unwrap()
}

fn by_tasks() -> u64 {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let first = tokio::spawn(step(11)).await.unwrap();
        let second = tokio::spawn(async { step(12).await }).await.unwrap();
        first + second + tokio::task::spawn_blocking(|| work(13)).await.unwrap()
    })
}

struct Own;

impl Own {
    /// Calls its argument more than once, unlike the libraries' functions of this name.
    fn spawn(work: impl Fn() -> u64) -> u64 {
        work() + work()
    }
}

fn work(number: u64) -> u64 {
    number.pow(1)
}

async fn step(number: u64) -> u64 {
    tokio::task::yield_now().await;
    number
}
