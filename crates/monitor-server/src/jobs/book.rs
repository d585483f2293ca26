//! Jobs in memory, and the messages that wait for each agent.
//!
//! The engine plans jobs from here, and requests of agents take their messages from here. A change is stored first and applied here afterwards. A job
//! that has ended stays in memory until no agent has to stop one of its scripts. The book also contains the time of the last contact with each agent,
//! and the accounts of hosts.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use monitor_jobs::{Contact, Contacts, Directive, JobState, Target, Transition, apply};
use monitor_store::HostRow;
use monitor_wire::{HostStatus, JobRequest, JobRunKey};
use tokio::sync::watch;

/// Open jobs, the agents, and the messages for them.
#[derive(Default)]
pub(super) struct Book {
    /// True once the open jobs were read from the store.
    pub(super) is_loaded: bool,
    jobs: HashMap<u64, Open>,
    agents: HashMap<String, Agent>,
    /// Names of agents that the store knows as hosts with an agent.
    hosts: HashSet<String>,
    /// Accounts of the hosts whose settings list any, by the number of the host.
    accounts: HashMap<u64, Vec<String>>,
}

/// A job in memory. It may have ended.
struct Open {
    state: JobState,
    /// Time of the next plan. 0 is at once.
    due_us: Option<u64>,
    /// Messages for agents, with the positions of their hosts.
    messages: BTreeMap<JobRunKey, (Message, usize)>,
}

/// A message to an agent about a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Message {
    Run,
    Stop,
}

/// An agent that has connected, or that has messages.
#[derive(Default)]
struct Agent {
    /// True if the agent has ever connected.
    is_known: bool,
    /// Time of the last contact since the start of the server.
    last_us: Option<u64>,
    /// Messages, with the time at which each was sent last.
    messages: BTreeMap<JobRunKey, (Message, Option<Duration>)>,
    changed: watch::Sender<()>,
}

/// Messages for an agent.
pub(super) struct Mail {
    pub(super) messages: Vec<(JobRunKey, Message)>,
    /// Time at which the next message is repeated.
    pub(super) repeat: Option<Duration>,
    pub(super) changed: watch::Receiver<()>,
}

impl Book {
    /// Adds an open job. The next pass plans it.
    pub(super) fn open(&mut self, state: JobState) {
        // Hosts without an agent ended when the step began. So each other host has one, even if it has not connected since the start of the server.
        let begun = state.steps.iter().filter(|step| step.batches > 0);
        for (target, run) in begun.flat_map(|step| state.targets.iter().zip(&step.hosts)) {
            if ![HostStatus::NO_AGENT, HostStatus::NO_SUCH_HOST].contains(&run.status) {
                self.agents.entry(target.name.clone()).or_default().is_known = true;
            }
        }
        self.jobs.entry(state.id).or_insert(Open { state, due_us: Some(0), messages: BTreeMap::new() });
    }

    /// Notes that an agent has connected, now or earlier.
    pub(super) fn know(&mut self, agent: String) {
        self.agents.entry(agent).or_default().is_known = true;
    }

    pub(super) fn job(&self, id: u64) -> Option<&JobState> {
        self.jobs.get(&id).map(|open| &open.state)
    }

    /// Returns true if a job is open. `None` if it is not in memory.
    pub(super) fn is_open(&self, id: u64) -> Option<bool> {
        self.job(id).map(|job| !job.status.is_finished())
    }

    /// Applies changes that were stored. The next pass plans the job.
    pub(super) fn apply(&mut self, id: u64, changes: &[Transition]) {
        if let Some(open) = self.jobs.get_mut(&id) {
            for change in changes {
                apply(&mut open.state, change);
            }
            open.due_us = Some(0);
        }
    }

    /// Removes a job from memory, with its messages.
    pub(super) fn close(&mut self, id: u64) {
        self.send(id, &[], None);
        self.jobs.remove(&id);
    }

    /// Returns the numbers of the jobs that have ended, except those with messages for hosts: a host that was away when the job was stopped
    /// must end its script when it returns.
    pub(super) fn ended(&self) -> Vec<u64> {
        let is_over = |open: &Open| open.state.status.is_finished() && open.messages.is_empty();
        self.jobs.iter().filter(|(_, open)| is_over(open)).map(|(id, _)| *id).collect()
    }

    /// Returns the numbers of the jobs whose time to plan has come, ascending.
    pub(super) fn due(&self, now_us: u64) -> Vec<u64> {
        let mut due: Vec<_> =
            self.jobs.iter().filter(|(_, open)| open.due_us.is_some_and(|due| due <= now_us)).map(|(id, _)| *id).collect();
        due.sort_unstable();
        due
    }

    /// Returns the time of the next plan.
    pub(super) fn next_us(&self) -> Option<u64> {
        self.jobs.values().filter_map(|open| open.due_us).min()
    }

    /// Replaces the messages of a job and the time of its next plan.
    pub(super) fn send(&mut self, id: u64, directives: &[Directive], due_us: Option<u64>) {
        let Some(open) = self.jobs.get_mut(&id) else { return };
        open.due_us = due_us;
        let places: HashMap<u64, usize> =
            open.state.targets.iter().enumerate().filter_map(|(place, target)| Some((target.host_id?, place))).collect();
        let message = |directive: &Directive| {
            let (key, message) = match directive {
                Directive::Run(key) => (*key, Message::Run),
                Directive::Stop(key) => (*key, Message::Stop),
            };
            Some((key, (message, *places.get(&key.host)?)))
        };
        let new: BTreeMap<_, _> = directives.iter().filter_map(message).collect();
        for (key, (message, place)) in &open.messages {
            if new.get(key).is_none_or(|(new, _)| new != message)
                && let Some(agent) = self.agents.get_mut(&open.state.targets[*place].name)
            {
                agent.messages.remove(key);
            }
        }
        for (key, (message, place)) in &new {
            if open.messages.get(key).is_none_or(|(old, _)| old != message) {
                let agent = self.agents.entry(open.state.targets[*place].name.clone()).or_default();
                agent.messages.insert(*key, (*message, None));
                agent.changed.send_replace(());
            }
        }
        open.messages = new;
    }

    /// Returns the contacts with the agents of hosts. For a known agent that has not connected since the start of the
    /// server, the last contact is that start.
    pub(super) fn contacts(&self, targets: &[Target], request: &JobRequest, started_us: u64) -> Contacts {
        let contact = |target: &Target| {
            let agent = self.agents.get(&target.name).filter(|agent| agent.is_known)?;
            let id = target.host_id?;
            let listed = request.account.as_ref().zip(self.accounts.get(&id));
            let lacks_account = listed.is_some_and(|(account, listed)| !listed.contains(account));
            Some((id, Contact { has_agent: true, lacks_account, last_us: agent.last_us.unwrap_or(0).max(started_us) }))
        };
        targets.iter().filter_map(contact).collect()
    }

    /// Returns true if an agent has ever connected.
    pub(super) fn is_known(&self, agent: &str) -> bool {
        self.agents.get(agent).is_some_and(|agent| agent.is_known)
    }

    pub(super) fn last_contact(&self, agent: &str) -> Option<u64> {
        self.agents.get(agent)?.last_us
    }

    /// Notes contact with an agent. Jobs are planned again if the agent had been silent.
    pub(super) fn meet(&mut self, agent: &str, now_us: u64) {
        let met = self.agents.entry(agent.to_owned()).or_default();
        let was_silent = met.last_us.is_none_or(|last| now_us.saturating_sub(last) > monitor_jobs::CONTACT_US);
        (met.is_known, met.last_us) = (true, Some(now_us));
        if was_silent {
            for open in self.jobs.values_mut() {
                open.due_us = Some(0);
            }
        }
    }

    /// Returns true if the store knows the agent as a host with an agent.
    pub(super) fn is_host(&self, agent: &str) -> bool {
        self.hosts.contains(agent)
    }

    pub(super) fn add_host(&mut self, agent: String) {
        self.hosts.insert(agent);
    }

    pub(super) fn forget_hosts(&mut self) {
        self.hosts.clear();
    }

    /// Takes the accounts that the settings of the hosts list.
    pub(super) fn take_accounts(&mut self, hosts: &[HostRow]) {
        let listed = hosts.iter().filter(|host| !host.definition.accounts.is_empty());
        self.accounts = listed.map(|host| (host.id, host.definition.accounts.clone())).collect();
    }

    /// Returns up to `most` messages for an agent, none that was sent less than `pause` ago. Notes them as sent.
    pub(super) fn mail(&mut self, agent: &str, most: usize, now: Duration, pause: Duration) -> Mail {
        let agent = self.agents.entry(agent.to_owned()).or_default();
        let is_due = |sent: &Option<Duration>| sent.is_none_or(|sent| sent + pause <= now);
        let mut due: Vec<_> = agent.messages.iter_mut().filter(|(_, (_, sent))| is_due(sent)).collect();
        // Messages that were never sent come first. Otherwise, large ones that are repeated could delay them for ever.
        due.sort_by_key(|(_, (_, sent))| *sent);
        let mut messages = Vec::new();
        for (key, (message, sent)) in due.into_iter().take(most) {
            *sent = Some(now);
            messages.push((*key, *message));
        }
        let repeat = agent.messages.values().filter_map(|(_, sent)| *sent).min().map(|sent| sent + pause);
        Mail { messages, repeat, changed: agent.changed.subscribe() }
    }

    /// Notes that messages were not sent after all. The next request of the agent gets them.
    pub(super) fn put_back(&mut self, agent: &str, keys: &[JobRunKey]) {
        let Some(agent) = self.agents.get_mut(agent) else { return };
        for key in keys {
            if let Some((_, sent)) = agent.messages.get_mut(key) {
                *sent = None;
            }
        }
    }
}
