//! Calls that are reported only if they fail: calls below a reported process while the [`levels`](crate::levels) request roots only.
//!
//! Such a call does not become current, so that processes that it begins are attached to the nearest reported ancestor. Its updates are not
//! applied to that ancestor ([`current::quiet`]).

use crate::context::{Attached, Attachment};
use crate::current::{self, QuietMark};
use crate::live::{Draft, Live};
use crate::record::{Failure, Origin, Site, StartExtra};
use crate::{clock, inside, panic, verdict};

/// A sync call on its own thread, until it ends.
#[derive(Debug)]
pub(crate) struct Quiet(Box<Begun>);

#[derive(Debug)]
struct Begun {
    site: &'static Site,
    /// Start in ticks.
    at: u64,
    was_panicking: bool,
    /// The innermost call before.
    outer: QuietMark,
}

impl Quiet {
    /// Begins a call below the current process.
    pub(crate) fn begin(site: &'static Site) -> Self {
        let _inside = inside::enter();
        let (was_panicking, outer) = (std::thread::panicking(), current::begin_quiet());
        Self(Box::new(Begun { site, at: clock::now(), was_panicking, outer }))
    }

    /// Ends the call. If it has failed, its start and end are recorded.
    pub(crate) fn end(self, failure: Option<Failure>) {
        let said = current::end_quiet(self.0.outer).and_then(|key| verdict::take(key.get()));
        if let Some(failure) = failure.or(said) {
            self.into_live().end_with(Some(failure));
        } else {
            let _inside = inside::enter();
            drop(self);
        }
    }

    /// Ends the call as failed if the thread has begun to panic, and otherwise with the failure that it has recorded.
    pub(crate) fn close(self) {
        let failure = (std::thread::panicking() && !self.0.was_panicking).then(panic::latest);
        self.end(failure);
    }

    /// Continues the call outside of this thread.
    pub(crate) fn go_on(self) -> Live {
        current::end_quiet(self.0.outer);
        self.into_live()
    }

    fn into_live(self) -> Live {
        let _inside = inside::enter();
        let attached = Attached { parent: current::local(), attachment: Attachment::Explicit, entry: false };
        let draft = Draft::new(Origin::Site(self.0.site), attached, StartExtra::default(), None);
        Live::quiet(Draft { is_quiet: true, ..draft }, self.0.at, self.0.was_panicking)
    }
}
