//! Reads from the server what a summary is made of.

use monitor_api::Error;
use monitor_wire::{Process, Root, State};

use super::Run;
use crate::client::Connection;

/// The largest page that the API returns.
const PAGE: usize = 100_000;

/// A run with all its processes.
pub(crate) struct Fetched {
    pub(crate) root: Root,
    pub(crate) processes: Vec<Process>,
}

impl Fetched {
    /// Reads a run.
    pub(crate) fn read(connection: &Connection, root: &str) -> Result<Self, Error> {
        let mut pages = connection.client()?.tree(root).limit(PAGE).pages();
        let mut fetched: Option<Self> = None;
        while let Some(page) = connection.wait(pages.next())? {
            match &mut fetched {
                Some(fetched) => fetched.processes.extend(page.processes),
                None => fetched = Some(Self { root: page.root, processes: page.processes }),
            }
        }
        match fetched {
            Some(fetched) => Ok(fetched),
            None => Ok(Self { root: connection.ask(connection.client()?.root(root))?, processes: Vec::new() }),
        }
    }

    /// Reads the newest succeeded run of the same name with an earlier start.
    pub(crate) fn last_good(&self, connection: &Connection) -> Result<Option<Self>, Error> {
        let Some(started_us) = self.root.started_us else { return Ok(None) };
        let before = connection.client()?.roots().name(&self.root.name).states([State::SUCCEEDED.as_str()]);
        let page = connection.ask(before.started_before_us(started_us).limit(1))?;
        page.roots.first().map(|root| Self::read(connection, &root.root_id.to_string())).transpose()
    }

    pub(crate) fn run(&self) -> Run<'_> {
        Run { root: &self.root, processes: &self.processes }
    }
}
