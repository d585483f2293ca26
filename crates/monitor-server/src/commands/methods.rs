//! Methods that workers can be sent, and the workers that currently support them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use monitor_tasks::reading::did_you_mean;
use monitor_wire::{CHANGING_METHODS, CommandLine, CommandMethod, CommandMethods, READING_METHODS};

use super::channels::Channel;
use super::names::names;
use super::{CommandError, Commands, is_reading};

/// Maximum number of workers named for each method.
const MOST_NAMED: usize = 100;

impl Commands {
    /// Returns all methods that are known or that a worker supports, with the workers whose channels are open. For agents, only `ping` is
    /// listed.
    pub(crate) async fn methods(self: &Arc<Self>) -> Result<CommandMethods, CommandError> {
        let online: Vec<_> = self.known(Vec::new()).await?.into_iter().filter(|known| known.is_online).collect();
        let names: HashMap<_, _> =
            online.iter().zip(names(&online)).map(|(known, name)| (known.id, (name, known.identity.is_agent()))).collect();
        let known = READING_METHODS.into_iter().chain(CHANGING_METHODS).map(|method| (method.to_owned(), Vec::new()));
        let mut methods: BTreeMap<String, Vec<String>> = known.collect();
        for (worker, channel) in &self.hub().channels {
            let Some((name, is_agent)) = names.get(worker) else { continue };
            // Clients may send agents no other method: the routes for agents have their own scopes.
            let may_be_sent = |method: &&str| !is_agent || *method == "ping";
            for method in channel.names().filter(may_be_sent) {
                methods.entry(method.to_owned()).or_default().push(name.clone());
            }
        }
        let method = |(method, mut workers): (String, Vec<String>)| {
            workers.sort_unstable();
            let count = workers.len() as u64;
            workers.truncate(MOST_NAMED);
            CommandMethod { scope: if is_reading(&method) { "read" } else { "operate" }.to_owned(), method, count, workers }
        };
        let (reading, changing): (Vec<_>, Vec<_>) = methods.into_iter().map(method).partition(|method| method.scope == "read");
        Ok(CommandMethods { methods: reading.into_iter().chain(changing).collect() })
    }

    /// Returns an error for an unknown method if all targets have listed the methods they support.
    pub(super) fn check_method(&self, method: &str, lines: &[CommandLine]) -> Result<(), CommandError> {
        let known = READING_METHODS.into_iter().chain(CHANGING_METHODS);
        let hub = self.hub();
        let all = known.chain(hub.channels.values().flat_map(Channel::names));
        let may_know = |line: &CommandLine| {
            let channel = line.worker_id.and_then(|worker| hub.channels.get(&worker));
            !line.status.is_final() && channel.is_none()
        };
        let is_passed_on = |line: &CommandLine| {
            let channel = line.worker_id.and_then(|worker| hub.channels.get(&worker));
            channel.is_some_and(|channel| channel.does(method))
        };
        if all.clone().any(|other| other == method) || lines.iter().any(may_know) || lines.iter().any(is_passed_on) {
            return Ok(());
        }
        let near = did_you_mean(method, all);
        let detail =
            format!("`method`: nobody who would be asked knows {method:?}{near} (`GET /api/v1/commands/methods` lists what there is)");
        Err(CommandError::Parameter { name: "method".to_owned(), detail })
    }
}
