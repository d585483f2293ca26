//! Methods of the program's own, which are called over the server: `monitor control`, the page, or `POST /api/v1/commands`.
//!
//! Every monitored program answers `ping`, `stats`, `active` and `registered`. With `MONITOR_COMMANDS=all`, or with the method's name in it
//! (`MONITOR_COMMANDS=read,cache-clear`), it does what it registers here as well; by default, and with `off`, it refuses that.
//!
//! ```
//! use monitor_client::commands;
//! use serde_json::json;
//!
//! commands::on("cache-clear", |arguments| match arguments.get("name") {
//!     Some(name) => Ok(json!({ "cleared": name })),
//!     None => Err("which one? give a `name`".to_owned()),
//! });
//! ```
//!
//! A program that works on tasks of a queue answers for them by a [`TaskSource`]: see [`control`](crate::control).

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

/// What a method does with its arguments: its answer, or why there is none.
pub(crate) type Method = Arc<dyn Fn(Fields) -> Result<Value, String> + Send + Sync>;

/// All methods, a list that only grows. There is no lock that a thread may hold while another one forks.
static FIRST: OnceBox<Node> = OnceBox::new();

struct Node {
    name: String,
    method: Method,
    next: OnceBox<Node>,
}

/// Has the program do `method` when it is asked for `name`, which has 1 to 64 letters, digits and `_`, `.`, `-`; instead of the one
/// that it had by this name. It is called on a thread of its own, up to eight at once, and a panic in it is an error of the command.
///
/// Best before the program has lived for two seconds: then whoever looks at it is shown the name.
///
/// ```
/// monitor_client::commands::on("pool.size", |arguments| match arguments.get("of") {
///     Some(of) if of == "reader" => Ok(serde_json::json!(4)),
///     _ => Err("of which pool? Say of=reader".to_owned()),
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

/// Returns true for a name that a method can be called by.
#[cfg_attr(not(feature = "ship"), allow(dead_code, reason = "nobody asks a program that doesn't ship"))]
pub(crate) fn is_method(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

#[cfg_attr(not(feature = "ship"), allow(dead_code, reason = "nobody asks a program that doesn't ship"))]
fn all() -> impl Iterator<Item = &'static Node> {
    std::iter::successors(FIRST.get(), |node| node.next.get())
}

/// The method of this name that was registered last.
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
    fn of_methods_of_one_name_the_last_one_counts_however_many_are_registered_at_once() {
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
