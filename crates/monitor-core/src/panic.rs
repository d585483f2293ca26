//! Messages and places of panics.

use std::any::Any;
use std::cell::RefCell;
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::record::Failure;

thread_local! {
    static LATEST: RefCell<Option<Latest>> = const { RefCell::new(None) };
}

/// The last panic that the hook has seen on this thread.
struct Latest {
    message: String,
    file: String,
    line: u32,
}

/// Installs a panic hook before the program's hook. If the program sets another hook later, panics are recorded without their place.
pub(crate) fn install_hook() {
    // Not a `Once`, because a child that is forked during its initialization would wait forever.
    static IS_INSTALLED: AtomicBool = AtomicBool::new(false);

    // A panicking thread must not set a hook.
    if !std::thread::panicking() && !IS_INSTALLED.swap(true, Ordering::AcqRel) {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if let Some(location) = info.location() {
                let latest = Latest { message: message(info.payload()), file: location.file().to_owned(), line: location.line() };
                // A second panic here would abort the program.
                let _ = LATEST.try_with(|cell| cell.try_borrow_mut().map(|mut cell| *cell = Some(latest)));
            }
            previous(info);
        }));
    }
}

/// Creates the failure for a caught panic.
pub(crate) fn caught(payload: &(dyn Any + Send)) -> Failure {
    let message = message(payload);
    // A panic that was resumed without the hook must not get the place of an older panic.
    let place = with_latest(|latest| (latest.message == message).then(|| (latest.file.clone().into(), latest.line))).flatten();
    Failure { kind: "panic", message, place, ..Failure::default() }
}

/// Creates the failure for the panic that this thread is unwinding from.
pub(crate) fn latest() -> Failure {
    let seen = with_latest(|latest| (latest.message.clone(), Some((latest.file.clone().into(), latest.line))));
    let (message, place) = seen.unwrap_or_else(|| ("panicked".to_owned(), None));
    Failure { kind: "panic", message, place, ..Failure::default() }
}

/// Returns the last panic of this thread, if there was one.
pub(crate) fn seen() -> Option<Failure> {
    with_latest(|_| ()).map(|()| latest())
}

/// Registers the destructor of the thread-local, so that it runs after destructors that are registered later.
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
