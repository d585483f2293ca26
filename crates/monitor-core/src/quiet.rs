//! Calls that are told only if they fail: those below something that is told, where the [`levels`](crate::levels) ask for roots alone.
//!
//! Nothing is current but what was before, so that whatever such a call begins hangs below the next call up that is told. What
//! it says of itself is kept from that one ([`current::quiet`]).

use crate::context::{Attached, Attachment};
use crate::current::{self, QuietMark};
use crate::live::{Draft, Live};
use crate::record::{Failure, Origin, Site, StartExtra};
use crate::{clock, inside, panic, verdict};

/// A sync call, until it ends. On its own thread.
#[derive(Debug)]
pub(crate) struct Quiet(Box<Begun>);

#[derive(Debug)]
struct Begun {
    site: &'static Site,
    /// In ticks.
    at: u64,
    was_panicking: bool,
    /// What was innermost before.
    outer: QuietMark,
}

impl Quiet {
    /// Begins a call below what is current.
    pub(crate) fn begin(site: &'static Site) -> Self {
        let _inside = inside::enter();
        let (was_panicking, outer) = (std::thread::panicking(), current::begin_quiet());
        Self(Box::new(Begun { site, at: clock::now(), was_panicking, outer }))
    }

    /// Ends it: its start is told with its end if it has failed.
    pub(crate) fn end(self, failure: Option<Failure>) {
        let said = current::end_quiet(self.0.outer).and_then(|key| verdict::take(key.get()));
        if let Some(failure) = failure.or(said) {
            self.into_live().end_with(Some(failure));
        } else {
            let _inside = inside::enter();
            drop(self);
        }
    }

    /// Ends it without a word: failed if the thread panics, else as it has said.
    pub(crate) fn close(self) {
        let failure = (std::thread::panicking() && !self.0.was_panicking).then(panic::latest);
        self.end(failure);
    }

    /// Goes on elsewhere.
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
