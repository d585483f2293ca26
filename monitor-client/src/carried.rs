//! Closures that carry the current process to where they are called.

use monitor_core::Context;

/// Returns a closure that can be called once, on any thread, and belongs to the process that is current now. For the pool or queue of
/// another crate.
///
/// # Examples
///
/// ```
/// use std::sync::mpsc;
/// use monitor_client::in_current;
///
/// let (work, queue) = mpsc::channel::<Box<dyn FnOnce() + Send>>();
/// let worker = std::thread::spawn(move || queue.into_iter().for_each(|work| work()));
/// work.send(Box::new(in_current(|| println!("belongs to the sender")))).unwrap();
/// drop(work);
/// worker.join().unwrap();
/// ```
pub fn in_current<T, F: FnOnce() -> T>(work: F) -> impl FnOnce() -> T + use<T, F> {
    let context = Context::current();
    move || {
        let _current = context.map(Context::enter);
        work()
    }
}

/// Returns a closure that can be called repeatedly, on any thread, and belongs to the process that is current now. For callbacks.
///
/// # Examples
///
/// ```
/// use monitor_client::in_current_each;
///
/// let lengths: Vec<usize> = ["a", "bb"].into_iter().map(in_current_each(|text: &str| text.len())).collect();
/// assert_eq!(lengths, [1, 2]);
/// ```
pub fn in_current_each<A, T, F: Fn(A) -> T>(work: F) -> impl Fn(A) -> T + use<A, T, F> {
    let context = Context::current();
    move |argument| {
        let _current = context.map(Context::enter);
        work(argument)
    }
}
