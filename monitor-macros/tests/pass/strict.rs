//! A crate with all lints forbidden or denied.

#![forbid(unsafe_code)]
#![deny(warnings, missing_docs, clippy::all, clippy::pedantic)]
#![deny(unused, nonstandard_style, future_incompatible, rust_2018_idioms, unused_qualifications, unreachable_pub)]
#![deny(unused_lifetimes, single_use_lifetimes, unused_results, let_underscore_drop, variant_size_differences)]
#![deny(elided_lifetimes_in_paths, explicit_outlives_requirements, missing_debug_implementations, trivial_casts)]

use std::future::Future;
use std::pin::Pin;

use monitor_client::{cross_process, cross_thread, normal_task, root_task};

/// Documented.
///
/// # Errors
/// When it is no number.
#[root_task("root", "batch")]
pub fn root(batch: &str) -> Result<usize, std::num::ParseIntError> {
    batch.parse()
}

/// Documented.
#[normal_task]
pub fn unit() {}

/// Documented.
///
/// # Errors
/// When it is no number.
#[normal_task(args(*), fields(len = text.len()), ret, err = Debug, mask(secret), timeout = "30s", name = "tell {text}")]
pub fn tells(text: &str, (left, _): (u8, u8), _unused: u8, secret: &str) -> Result<usize, std::num::ParseIntError> {
    text.parse::<usize>().map(|number| number + usize::from(left) + secret.len())
}

/// Documented.
#[normal_task(args(text), ret)]
pub async fn tells_later(text: String) -> String {
    text
}

/// Documented.
#[normal_task]
pub fn ignores(_number: u8, _: u8) {}

/// Documented.
#[derive(Debug, Clone, Copy)]
pub struct Store(u8);

impl Store {
    /// Documented.
    #[normal_task]
    pub async fn later(&self, _number: u8) {
        let _ = std::future::ready(self.0).await;
    }

    /// Documented.
    #[cross_thread]
    pub async fn captured(self, _number: u8) {
        let _ = std::future::ready(self.0).await;
    }
}

/// Documented.
#[normal_task]
pub async fn asynchronous(text: &str) -> usize {
    std::future::ready(text.len()).await
}

/// Documented.
///
/// # Errors
/// When it is zero.
#[cross_thread]
pub async fn captured(text: &str, (left, _): (u8, u8)) -> Result<&str, String> {
    std::future::ready(()).await;
    if left > 0 { Ok(text) } else { Err("zero".to_owned()) }
}

/// Documented.
#[cross_thread]
pub fn threaded<T: Clone>(value: &T) -> T {
    value.clone()
}

/// Documented.
#[cross_process("judge")]
pub fn crossing(root_id: &str, parent_id: &str) {}

/// Documented.
#[must_use]
#[normal_task]
pub fn boxed(text: &str) -> Pin<Box<dyn Future<Output = usize> + Send + '_>> {
    Box::pin(async move { text.len() })
}

/// Documented.
#[normal_task]
pub fn future(n: u8) -> impl Future<Output = u8> + Send {
    std::future::ready(n)
}

/// Documented.
#[normal_task]
#[track_caller]
#[must_use]
pub fn tracked() -> u32 {
    std::panic::Location::caller().line()
}

fn main() {
    assert!(root("x").is_err());
    unit();
    let _ = tells("7", (1, 2), 3, "secret");
    drop(tells_later(String::new()));
    ignores(1, 2);
    let store = Store(1);
    drop(store.later(1));
    drop(store.captured(1));
    drop(asynchronous("x"));
    drop(captured("x", (1, 2)));
    assert_eq!(threaded(&1), 1);
    crossing("", "");
    drop(boxed("x"));
    drop(future(1));
    assert_eq!(tracked(), line!());
}
