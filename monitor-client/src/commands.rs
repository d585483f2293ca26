//! Methods of the program itself, called through the server: `monitor control`, the page, or `POST /api/v1/commands`.
//!
//! Every monitored program answers `ping`, `stats`, `active` and `registered`. With `MONITOR_COMMANDS=all`, or if the value
//! contains the method's name (`MONITOR_COMMANDS=read,cache-clear`), it also executes the methods registered here. With the
//! default and with `off`, it refuses them.
//!
//! ```
//! use monitor_client::commands;
//! use serde_json::json;
//!
//! commands::on("cache-clear", |arguments| match arguments.get("name") {
//!     Some(name) => Ok(json!({ "cleared": name })),
//!     None => Err("the argument `name` is missing".to_owned()),
//! });
//! ```
//!
//! A program that works on tasks of a queue answers requests about them by a [`TaskSource`]: see [`control`](crate::control).

mod source;

use std::sync::Arc;

use monitor_wire::Fields;
use once_cell::race::OnceBox;
use serde_json::Value;

#[cfg(feature = "ship")]
pub(crate) use self::source::source;
pub use self::source::{TaskSource, register_source};
pub use monitor_wire::{
    CallAnswer, Order, PurgeAnswer, QueueCount, QueueLength, QueuePurge, QueuesAnswer, Rate, RetryAnswer, RetryLine, TaskCall,
};

/// Implementation of a method: accepts the arguments, returns the answer or an error message.
pub(crate) type Method = Arc<dyn Fn(Fields) -> Result<Value, String> + Send + Sync>;

/// All methods, as a list that only grows. It has no lock, because another thread could hold a lock at the time of a fork.
static FIRST: OnceBox<Node> = OnceBox::new();

struct Node {
    name: String,
    method: Method,
    next: OnceBox<Node>,
}

/// Registers `method` under `name`, which consists of 1 to 64 letters, digits, `_`, `.` and `-`, and replaces an earlier method of this
/// name. Each call runs on a thread of its own, up to eight at once. A panic in it is an error of the command.
///
/// The server lists methods that are registered in the first two seconds of the program as soon as the program connects,
/// and later methods when it reconnects.
///
/// # Examples
///
/// ```
/// monitor_client::commands::on("pool.size", |arguments| match arguments.get("of") {
///     Some(of) if of == "reader" => Ok(serde_json::json!(4)),
///     _ => Err("no such pool: expected of=reader".to_owned()),
/// });
/// ```
pub fn on<M>(name: &str, method: M)
where
    M: Fn(Fields) -> Result<Value, String> + Send + Sync + 'static,
{
    let mut node = Box::new(Node { name: name.to_owned(), method: Arc::new(method), next: OnceBox::new() });
    let mut place = &FIRST;
    loop {
        match place.get() {
            Some(there) => place = &there.next,
            None => match place.set(node) {
                Ok(()) => return,
                Err(refused) => node = refused,
            },
        }
    }
}

/// Returns true if `name` is a valid name of a method.
#[cfg_attr(not(feature = "ship"), allow(dead_code, reason = "nobody asks a program that doesn't ship"))]
pub(crate) fn is_method(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

#[cfg_attr(not(feature = "ship"), allow(dead_code, reason = "nobody asks a program that doesn't ship"))]
fn all() -> impl Iterator<Item = &'static Node> {
    std::iter::successors(FIRST.get(), |node| node.next.get())
}

/// Returns the last registered method with this name.
#[cfg_attr(not(feature = "ship"), allow(dead_code, reason = "nobody asks a program that doesn't ship"))]
pub(crate) fn find(name: &str) -> Option<Method> {
    all().filter(|node| node.name == name).last().map(|node| node.method.clone())
}

/// The names of all methods.
#[cfg_attr(not(feature = "ship"), allow(dead_code, reason = "nobody asks a program that doesn't ship"))]
pub(crate) fn names() -> std::collections::BTreeSet<&'static str> {
    all().map(|node| node.name.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_several_methods_with_the_same_name_counts() {
        let threads: Vec<_> =
            (0..8).map(|number| std::thread::spawn(move || on(&format!("method-{number}"), move |_| Ok(number.into())))).collect();
        for thread in threads {
            thread.join().unwrap();
        }
        on("method-3", |_| Err("no".to_owned()));
        for number in 0..8 {
            let answer = find(&format!("method-{number}")).unwrap()(Fields::new());
            assert_eq!(answer, if number == 3 { Err("no".to_owned()) } else { Ok(number.into()) });
        }
        assert!(find("method-8").is_none() && names().contains("method-7"));
    }
}
