//! Chooses between the agent of this machine, through the database in its folder, and a server.

use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{ArgMatches, FromArgMatches};

use super::Wrong;
use crate::client::Connection;

/// The agent or server that a command uses.
#[derive(Debug)]
pub(super) struct Whom {
    pub(super) connection: Connection,
    server: Named,
    data: Named,
    folder: Option<PathBuf>,
}

/// The way in which an option was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    Typed,
    ByVariable,
    Not,
}

/// The chosen agent or server.
#[derive(Debug)]
pub(super) enum Meant {
    /// The agent with this folder.
    #[cfg(target_os = "linux")]
    Agent(PathBuf),
    /// The server of the connection.
    Server,
}

impl Whom {
    /// Chooses between agent and server. Options take precedence over variables, and an agent's folder over a server's address. If neither
    /// is set, uses the agent in the default folder if it runs, and else the server.
    pub(super) fn meant(&self) -> anyhow::Result<Meant> {
        if (self.server, self.data) == (Named::Typed, Named::Typed) {
            return Err(Wrong("--server means a server, and --data the agent of this machine: name one of both".to_owned()).into());
        }
        let is_agent = match (self.data, self.server) {
            (Named::Typed, _) => true,
            (_, Named::Typed) => false,
            (Named::ByVariable, _) => true,
            (_, Named::ByVariable) => false,
            (Named::Not, Named::Not) => works_here(),
        };
        if is_agent { self.agent() } else { Ok(Meant::Server) }
    }

    #[cfg(target_os = "linux")]
    fn agent(&self) -> anyhow::Result<Meant> {
        Ok(Meant::Agent(crate::commands::agent::data(self.folder.clone())?))
    }

    #[cfg(not(target_os = "linux"))]
    fn agent(&self) -> anyhow::Result<Meant> {
        let folder = self.folder.as_deref().unwrap_or(std::path::Path::new(""));
        Err(Wrong(format!("--data {}: there are agents on Linux only", folder.display())).into())
    }
}

/// Returns true if an agent runs in the default folder.
fn works_here() -> bool {
    #[cfg(target_os = "linux")]
    return monitor_agent::default_data().is_some_and(|data| monitor_agent::is_running(&data));
    #[cfg(not(target_os = "linux"))]
    false
}

impl clap::Args for Whom {
    fn augment_args(command: clap::Command) -> clap::Command {
        let help = "Folder of an agent of this machine to use instead of a server [default: monitor/agent in the user's state folder, \
                    if an agent runs there and no server is given]";
        let data = clap::Arg::new("data").long("data").value_name("DIR").env("MONITOR_AGENT_DATA").help(help);
        Connection::augment_args(command).arg(data.value_parser(clap::value_parser!(PathBuf)))
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Whom {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let named = |id: &str| match matches.value_source(id) {
            Some(ValueSource::CommandLine) => Named::Typed,
            Some(ValueSource::EnvVariable) => Named::ByVariable,
            _ => Named::Not,
        };
        let folder = matches.get_one::<PathBuf>("data").cloned();
        let connection = Connection::from_arg_matches(matches)?;
        Ok(Self { connection, server: named("server"), data: named("data"), folder })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
