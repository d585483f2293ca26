//! What a panic says, and where it came from.

use std::any::Any;
use std::cell::RefCell;
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::record::Failure;

thread_local! {
    static LATEST: RefCell<Option<Latest>> = const { RefCell::new(None) };
}

/// What the hook saw last on this thread.
struct Latest {
    message: String,
    file: String,
    line: u32,
}

/// Puts ours before the program's hook; one that the program sets later takes its place, and panics have no place then.
pub(crate) fn install_hook() {
    // No `Once`: a child that is forked meanwhile would wait for it for ever.
    static IS_INSTALLED: AtomicBool = AtomicBool::new(false);

    // A thread that is panicking may not set a hook.
    if !std::thread::panicking() && !IS_INSTALLED.swap(true, Ordering::AcqRel) {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if let Some(location) = info.location() {
                let latest = Latest { message: message(info.payload()), file: location.file().to_owned(), line: location.line() };
                // A second panic in here would end the program.
                let _ = LATEST.try_with(|cell| cell.try_borrow_mut().map(|mut cell| *cell = Some(latest)));
            }
            previous(info);
        }));
    }
}

/// The failure of a panic that was caught.
pub(crate) fn caught(payload: &(dyn Any + Send)) -> Failure {
    let message = message(payload);
    // One that was re-raised without the hook must not get the place of an older one.
    let place = with_latest(|latest| (latest.message == message).then(|| (latest.file.clone().into(), latest.line))).flatten();
    Failure { kind: "panic", message, place, ..Failure::default() }
}

/// The failure of the panic that this thread is unwinding from.
pub(crate) fn latest() -> Failure {
    let seen = with_latest(|latest| (latest.message.clone(), Some((latest.file.clone().into(), latest.line))));
    let (message, place) = seen.unwrap_or_else(|| ("panicked".to_owned(), None));
    Failure { kind: "panic", message, place, ..Failure::default() }
}

/// The last panic that this thread has seen, if any.
pub(crate) fn seen() -> Option<Failure> {
    with_latest(|_| ()).map(|()| latest())
}

/// Registers what the thread remembers of panics, so that it is there as long as what is registered later.
pub(crate) fn prepare() {
    let _ = LATEST.try_with(|_| ());
}

fn with_latest<R>(look: impl FnOnce(&Latest) -> R) -> Option<R> {
    LATEST.try_with(|latest| latest.try_borrow().ok()?.as_ref().map(look)).ok().flatten()
}

fn message(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "panicked with a value that is no text".to_owned()
    }
}
