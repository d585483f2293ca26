//! Suppression of `tracing` events on the threads that send recorded events. Their HTTP client emits events through `tracing` and `log`, as
//! the HTTP client of the program does, and these events must not appear in the program's output.

use std::cell::RefCell;

use once_cell::race::OnceBox;
use tracing::dispatcher::{DefaultGuard, get_default, set_default};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{Interest, Subscriber};
use tracing::{Dispatch, Event, Metadata};

thread_local! {
    static SILENCE: RefCell<Option<DefaultGuard>> = const { RefCell::new(None) };
}

/// Discards the `tracing` events of this thread from this point on, except those within [`lifted`].
pub(crate) fn begin() {
    static SILENT: OnceBox<Dispatch> = OnceBox::new();
    let silent = SILENT.get_or_init(|| Box::new(Dispatch::new(Silent)));
    let _ = SILENCE.try_with(|silence| silence.replace(Some(set_default(silent))));
}

/// Returns true on a thread whose events are discarded.
#[cfg(feature = "log")]
pub(crate) fn is_on() -> bool {
    SILENCE.try_with(|silence| silence.borrow().is_some()).unwrap_or(false)
}

/// Runs `work` with events going to the program's subscriber.
pub(crate) fn lifted<T>(work: impl FnOnce() -> T) -> T {
    struct Lifted;

    impl Drop for Lifted {
        fn drop(&mut self) {
            begin();
        }
    }

    let silence = SILENCE.try_with(RefCell::take).ok().flatten();
    let _lifted = silence.is_some().then(|| Lifted);
    drop(silence);
    work()
}

/// A subscriber that discards all events.
struct Silent;

impl Subscriber for Silent {
    /// Asks the program's subscriber for its interest. The callsites of hyper are shared with the program's own requests, and the interest
    /// is cached for all threads. [`Dispatch::none`] would turn off a callsite that is first used here.
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        lifted(|| get_default(|program| program.register_callsite(metadata)))
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::OFF)
    }

    fn enabled(&self, _: &Metadata<'_>) -> bool {
        false
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
