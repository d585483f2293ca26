//! Name of the current thread.

use std::cell::OnceCell;
use std::sync::Arc;

thread_local! {
    static NAME: OnceCell<Arc<str>> = const { OnceCell::new() };
}

/// Returns the name of the current thread, or its number if it has no name.
pub(crate) fn name() -> Arc<str> {
    NAME.try_with(|name| Arc::clone(name.get_or_init(read))).unwrap_or_else(|_| Arc::from("ending"))
}

fn read() -> Arc<str> {
    let thread = std::thread::current();
    match thread.name() {
        Some(name) => Arc::from(name),
        // The number is only available as `ThreadId(7)` in stable Rust.
        None => format!("{:?}", thread.id()).chars().filter(char::is_ascii_digit).collect::<String>().into(),
    }
}

#[cfg(test)]
mod tests {
    use std::thread::{Builder, spawn};

    use super::*;

    #[test]
    fn a_thread_has_its_name_or_its_number() {
        let named = Builder::new().name("reader 1".to_owned()).spawn(name).expect("a thread").join().expect("a name");
        assert_eq!(&*named, "reader 1");
        let unnamed = spawn(name).join().expect("a number");
        assert!(unnamed.parse::<u64>().is_ok(), "{unnamed}");
    }
}
