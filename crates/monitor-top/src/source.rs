//! The data source: a server or a replayed file.

use std::pin::Pin;

use monitor_api::{Client, Error};
use monitor_wire::Process;

use crate::app::{Deed, Outcome};
use crate::data::{self, Change, Facts, Live, Question};
use crate::replay::Player;

type Answer<T> = Pin<Box<dyn Future<Output = Result<T, Error>>>>;

pub(crate) enum Source {
    Live(Client, Box<Live>),
    Replay(Player),
}

impl Source {
    pub(crate) fn live(client: Client) -> Self {
        Self::Live(client.clone(), Live::new(client).into())
    }

    /// Returns the current time, or the time in the file.
    pub(crate) fn now_us(&self) -> u64 {
        match self {
            Self::Live(..) => monitor_text::now_us(),
            Self::Replay(player) => player.now_us(),
        }
    }

    /// Waits for the next change. Cancel-safe.
    pub(crate) async fn changed(&mut self) -> Change {
        match self {
            Self::Live(_, live) => live.changed().await,
            Self::Replay(player) => player.changed().await,
        }
    }

    pub(crate) fn ask(&self, question: Question) -> Answer<Facts> {
        match self {
            Self::Live(client, _) => Box::pin(data::ask(client.clone(), question, self.now_us())),
            Self::Replay(player) => {
                let facts = player.ask(&question);
                Box::pin(async { Ok(facts) })
            }
        }
    }

    /// Finds processes by a prefix of their id. `None` for a file.
    pub(crate) fn find(&self, id: String) -> Option<Answer<Vec<Process>>> {
        let Self::Live(client, _) = self else { return None };
        Some(Box::pin(data::find(client.clone(), id)))
    }

    /// Performs a change or its dry run. `None` for a file.
    pub(crate) fn change(&self, deed: Deed, is_dry_run: bool) -> Option<Answer<Outcome>> {
        let Self::Live(client, _) = self else { return None };
        Some(Box::pin(data::change(client.clone(), deed, is_dry_run)))
    }
}
