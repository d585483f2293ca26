//! Requests to the agent's main loop: from programs of its machine through the database, and from the server through the link.
//!
//! The main loop handles one request at a time. It writes the result to the database before it replies, so that an accepted request survives a crash.

use jiff::Timestamp;
use monitor_tasks::{Action, Paused, RunId, ledger, plan};
use monitor_wire::AgentOrder;

use super::Agent;
use crate::data;
use crate::messages::{PendingRequest, To};
use crate::request::{Answer, Request};

impl Agent {
    /// Reads new requests from the database.
    pub(super) fn collect_requests(&mut self) {
        let version = self.database.others_version();
        let Some(version) = self.is_done(version) else { return };
        if self.others == Some(version) {
            return;
        }
        let requests = self.database.requests();
        let Some(requests) = self.is_done(requests) else { return };
        for (number, until, by, request) in requests {
            if self.requests.iter().any(|asked| matches!(asked.to, To::Row(known) if known == number)) {
                continue;
            }
            let request = serde_json::from_str(&request).map_err(|error| format!("this agent doesn't know what is asked: {error}"));
            self.requests.push_back(PendingRequest { by, until, request, answer: None, to: To::Row(number) });
        }
        self.others = Some(version);
    }

    /// Handles the waiting requests. The result of each is stored in the database before the answer is sent.
    pub(super) fn answer_requests(&mut self) {
        if self.waits_until.is_some() {
            // The agent has not read its task files yet.
            return;
        }
        while let Some(mut asked) = self.requests.pop_front() {
            let answer = match (asked.answer.take(), asked.request.clone()) {
                (Some(done), _) => done,
                (None, Err(why)) => refused(why),
                (None, Ok(_)) if asked.until < Timestamp::now() => refused("nobody was there to do it in time".to_owned()),
                (None, Ok(request)) => self.answer(&asked.by, request),
            };
            let is_pause = matches!(asked.request, Ok(Request::Order(AgentOrder::Pause { .. } | AgentOrder::Resume { .. })));
            let is_whole =
                matches!(asked.request, Ok(Request::Order(AgentOrder::Pause { task: None, .. } | AgentOrder::Resume { task: None })));
            let (ledger, dirty, book, teller, mistakes) = (&self.ledger, &self.dirty, &self.book, &self.teller, &self.mistakes);
            let written = self.database.write(|transaction| {
                data::write_ledger(transaction, ledger, dirty.iter().map(String::as_str))?;
                for (name, task) in &book.tasks {
                    if is_pause && dirty.contains(name) {
                        data::write_paused(transaction, name, task.paused)?;
                        teller.task(transaction, (&task.definition, task.version), task.paused, &asked.by, Timestamp::now())?;
                    }
                }
                if is_whole {
                    // `pause` has decided all times that were due until now.
                    teller.decided(transaction, Timestamp::now(), book.paused, mistakes)?;
                }
                data::set(transaction, "paused", &serde_json::to_string(&book.paused).unwrap_or_default())?;
                if let To::Row(number) = asked.to {
                    data::write_answer(transaction, number, &answer)?;
                }
                Ok(())
            });
            if self.is_done(written).is_none() {
                asked.answer = Some(answer);
                self.requests.push_front(asked);
                return;
            }
            self.reporter.wake();
            if is_pause {
                // The next iteration reports it to the server.
                self.told_decided = None;
            }
            if let To::Channel(to) = asked.to {
                // The receiver may have stopped waiting.
                let _ = to.send(answer);
            }
        }
    }

    fn answer(&mut self, by: &str, request: Request) -> Answer {
        let order = match request {
            Request::Order(order) => order,
            Request::Stop => {
                tracing::info!(by, "the agent stops on request");
                self.is_stopping = true;
                return Answer::Done { runs: Vec::new() };
            }
        };
        match order {
            AgentOrder::Ping => Answer::Done { runs: Vec::new() },
            AgentOrder::Run { task, args } => self.ask_for_run(by, task, args),
            AgentOrder::Rerun { run, as_it_was } => match self.database.past_run(&run) {
                Ok(Some((of, version, cause))) => {
                    let args = cause.args().to_vec();
                    if as_it_was { self.repeat(by, &of, version, args) } else { self.ask_for_run(by, of.task, args) }
                }
                Ok(None) => refused(format!("this agent knows no run {run:?}")),
                Err(error) => refused(error.to_string()),
            },
            AgentOrder::Pause { task, until } => match until.map(|until| until.parse()).transpose() {
                Ok(until) => self.pause(by, task, Some(Paused { from: Timestamp::now(), until })),
                Err(error) => refused(format!("the end of the pause can't be read: {error}")),
            },
            AgentOrder::Resume { task } => self.pause(by, task, None),
            AgentOrder::Kill { what, now } => self.kill(by, &what, now),
            other => refused(format!("{} is no request to the agent's main loop", other.name())),
        }
    }

    fn ask_for_run(&mut self, by: &str, task: String, args: Vec<String>) -> Answer {
        match self.ledger.ask(&self.book, &task, Timestamp::now(), by, args) {
            Some(run) => {
                tracing::info!(%run, by, "a run is asked for");
                self.dirty.insert(task);
                self.expected(&run)
            }
            None => no_task(&task),
        }
    }

    /// Answers a request for a run with the next decision, which is made from the same state.
    fn expected(&self, run: &RunId) -> Answer {
        // A copy of the clock, because reading the clock itself could hide a clock jump from the next decision.
        let plan = plan(&self.clock.clone().now(), &self.book, &self.ledger);
        match plan.actions.iter().filter_map(Action::given_up).find(|(id, ..)| *id == run) {
            Some((.., why)) => refused(format!("{run} was not started: {why}")),
            None => Answer::Done { runs: vec![run.to_string()] },
        }
    }

    /// Requests another run for a run's due time and with its version of the task.
    fn repeat(&mut self, by: &str, of: &RunId, version: u64, args: Vec<String>) -> Answer {
        let known = self.definition(of, version).and_then(|definition| Ok((definition.is_some(), self.database.last_part(of)?)));
        let last = match known {
            Ok((true, last)) => last,
            Ok((false, _)) => return refused(format!("version {version} of {:?} is not known any more", of.task)),
            Err(error) => return refused(error.to_string()),
        };
        match self.ledger.repeat(&self.book, of, version, last, (by, args)) {
            Some(run) => {
                tracing::info!(%run, %of, by, "a run will be repeated on request");
                self.dirty.insert(of.task.clone());
                self.expected(&run)
            }
            None => no_task(&of.task),
        }
    }

    fn kill(&self, by: &str, what: &str, now: bool) -> Answer {
        let is_meant = |run: &&ledger::Run| run.is_open() && (run.id.task == what || run.id.to_string() == what);
        let runs: Vec<RunId> = self.ledger.runs().filter(is_meant).map(|run| run.id.clone()).collect();
        if runs.is_empty() {
            return match self.database.outcome(what) {
                Ok(Some(outcome)) => refused(format!("the run {what} is over: {outcome}")),
                _ => refused(format!("no run of {what:?} runs")),
            };
        }
        for run in &runs {
            tracing::warn!(%run, by, "ends a run on request");
            self.runner.kill(run, now, false);
        }
        Answer::Done { runs: runs.iter().map(ToString::to_string).collect() }
    }

    /// Pauses a task or the agent, or ends its pause. Times that were due until now are decided first, under the old state.
    fn pause(&mut self, by: &str, task: Option<String>, paused: Option<Paused>) -> Answer {
        if let Some(name) = task.as_ref().filter(|name| self.of_server.contains(*name)) {
            return refused(format!("the server keeps the task {name:?}: pause or resume it there"));
        }
        if let Some(Paused { from, until: Some(until) }) = paused.filter(|paused| paused.until.is_some_and(|until| until <= paused.from)) {
            return refused(format!("a pause until {until} is over at {from} already: name a time to come"));
        }
        let now = self.clock.now();
        self.decide(&now);
        let place = match &task {
            None => &mut self.book.paused,
            Some(name) => match self.book.tasks.get_mut(name) {
                Some(task) => &mut task.paused,
                None => return no_task(name),
            },
        };
        *place = paused;
        let until = paused.and_then(|paused| paused.until).map(|until| until.to_string());
        tracing::info!(task, by, until, "{}", if paused.is_some() { "paused" } else { "resumed" });
        self.dirty.extend(task);
        Answer::Done { runs: Vec::new() }
    }
}

fn refused(why: String) -> Answer {
    Answer::Refused { why }
}

fn no_task(name: &str) -> Answer {
    refused(format!("there is no task {name:?}"))
}
