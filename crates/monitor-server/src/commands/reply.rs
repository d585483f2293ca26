//! Replies of workers.

use std::sync::Arc;

use monitor_wire::{CommandId, CommandLine, CommandReply, CommandStatus};

use super::figures::Reply;
use super::ledger::{KeyHash, Step};
use super::{CommandError, Commands};

/// Maximum length of an error that is kept, in characters.
const LONGEST_ERROR: usize = 4_000;
/// Maximum size of a reply to a durable command, in bytes.
const LONGEST_DURABLE: usize = 64 << 10;

impl Commands {
    /// Accepts the reply of a worker or returns the reason for refusing it. Every reply is counted.
    pub(crate) async fn reply(self: &Arc<Self>, id: CommandId, key: KeyHash, reply: CommandReply) -> Result<(), CommandError> {
        let result = self.take_reply(id, key, reply).await;
        self.figures.count(match &result {
            Ok(()) => Reply::Taken,
            Err(CommandError::Late(_)) => Reply::Late,
            Err(CommandError::TakenByOther(_) | CommandError::NotTaken(_) | CommandError::Answered(_)) => Reply::Double,
            Err(_) => Reply::Garbage,
        });
        result
    }

    async fn take_reply(self: &Arc<Self>, id: CommandId, key: KeyHash, reply: CommandReply) -> Result<(), CommandError> {
        let CommandReply { worker_id: worker, status, value, error } = reply;
        let known = [CommandStatus::OK, CommandStatus::ERROR, CommandStatus::REFUSED, CommandStatus::UNSUPPORTED, CommandStatus::TAKEN];
        if !known.contains(&status) {
            let detail = "`status`: expected `ok`, `error`, `refused`, `unsupported`, or `taken`".to_owned();
            return Err(CommandError::Parameter { name: "status".to_owned(), detail });
        }
        let open = self.hub().channels.get(&worker).map(|channel| channel.key);
        let bound = match open {
            Some(bound) => Some(bound),
            None => self.book(move |ledger| ledger.key(worker)).await?,
        };
        if bound != Some(key) {
            return Err(CommandError::WrongKey(worker));
        }
        let error = error.map(|error| error.chars().take(LONGEST_ERROR).collect::<String>());
        let bytes = value.as_ref().map_or(0, |value| serde_json::to_vec(value).map_or(0, |json| json.len()));
        let mut answer =
            CommandLine { worker_id: Some(worker), name: String::new(), status, value, error, elapsed_ns: None, last_seen_us: None };
        if let Some(asked) = self.hub().asked.get_mut(&id) {
            let (line, _) = asked.line(worker).ok_or(CommandError::NotAsked { id, worker })?;
            if answer.status == CommandStatus::TAKEN {
                let detail = "`status`: only durable commands are taken first".to_owned();
                return Err(CommandError::Parameter { name: "status".to_owned(), detail });
            }
            if line.status.is_final() {
                let is_given_up = line.status == CommandStatus::UNANSWERED || line.status == CommandStatus::GONE;
                return Err(if is_given_up { CommandError::Late(id) } else { CommandError::Answered(id) });
            }
            // Only accepted replies count.
            if !asked.has_room(bytes) {
                answer.value = None;
                answer.status = CommandStatus::ERROR;
                answer.error = Some("the answers of all workers together are too large: ask fewer at once".to_owned());
            }
            let (line, sent) = asked.line(worker).ok_or(CommandError::NotAsked { id, worker })?;
            answer.name = std::mem::take(&mut line.name);
            answer.elapsed_ns = sent.map(|sent| sent.elapsed().as_nanos() as u64);
            *line = answer;
            asked.settled_one();
            return Ok(());
        }
        if bytes > LONGEST_DURABLE {
            answer.value = None;
            answer.status = CommandStatus::ERROR;
            answer.error = Some(format!("the answer has {bytes} bytes, and that to a durable command {LONGEST_DURABLE} at most"));
        }
        self.step(id, answer).await
    }

    /// Records a step of a durable command.
    async fn step(self: &Arc<Self>, id: CommandId, answer: CommandLine) -> Result<(), CommandError> {
        let until_us = self.hub().orders.get(&id).map(|order| order.until_us);
        let Some(until_us) = until_us else {
            let worker = answer.worker_id.expect("a reply names its worker");
            let (is_there, has_answered) = self.book(move |ledger| Ok((ledger.is_there(id)?, ledger.has_answered(id, worker)?))).await?;
            return Err(match (is_there, has_answered) {
                (_, true) => CommandError::Answered(id),
                (true, false) => CommandError::Late(id),
                (false, false) => CommandError::UnknownCommand(id),
            });
        };
        let now_us = self.clock.wall_us();
        if now_us >= until_us {
            return Err(CommandError::Late(id));
        }
        let worker = answer.worker_id.expect("a reply names its worker");
        let plain = self.identity(worker).await?.map(|identity| identity.plain.clone()).unwrap_or_default();
        let (is_taken, name) = (answer.status == CommandStatus::TAKEN, plain.clone());
        let step =
            self.book(
                move |ledger| {
                    if is_taken { ledger.take(id, worker, &name, now_us) } else { ledger.answer(id, worker, &name, &answer, now_us) }
                },
            );
        match step.await? {
            Step::Written(is_done) => {
                let mut hub = self.hub();
                if let Some(order) = hub.orders.get_mut(&id)
                    && let Some(at) = order.waiting.iter().position(|line| line.is_for(worker, &plain))
                {
                    if is_taken {
                        order.waiting[at].is_taken = true;
                    } else {
                        order.waiting.remove(at);
                    }
                }
                if is_done {
                    hub.end(id);
                }
                hub.open_lines = hub.open_lines.saturating_sub(usize::from(!is_taken));
                Ok(())
            }
            Step::Repeated => Ok(()),
            Step::Taken => Err(CommandError::TakenByOther(id)),
            Step::NotTaken => Err(CommandError::NotTaken(id)),
            Step::Over => Err(CommandError::Answered(id)),
            Step::NotMeant => Err(CommandError::NotAsked { id, worker }),
        }
    }
}
