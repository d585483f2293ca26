//! The facts of a queue task.
//!
//! Several facts are from one event, such as a result and an end, so events are numbered by their first use. A message is mostly received
//! as it was sent, so its arguments are written once.

use monitor_state::{Message, TaskFacts, Told};
use monitor_store::packed::compact::{Malformed, bytes, number, signed};
use serde_json::Value;

use super::{Reading, Writer, flag};

const WAITING: u64 = 1;
const SENT: u64 = 1 << 1;
const RECEIVED: u64 = 1 << 2;
const STARTED: u64 = 1 << 3;
const RUNNING: u64 = 1 << 4;
const REQUEUED: u64 = 1 << 5;
const RETRIED: u64 = 1 << 6;
const RESULT: u64 = 1 << 7;
const TRACEBACK: u64 = 1 << 8;

/// Flags for the parts of a message. Those that most messages have come first, so that the flags fit into one byte.
mod message {
    pub(super) const ARGS: u64 = 1;
    pub(super) const KWARGS: u64 = 1 << 1;
    pub(super) const ARGS_AS_SENT: u64 = 1 << 2;
    pub(super) const KWARGS_AS_SENT: u64 = 1 << 3;
    pub(super) const QUEUE: u64 = 1 << 4;
    pub(super) const BATCH: u64 = 1 << 5;
    pub(super) const ROWS_PARENT: u64 = 1 << 6;
    pub(super) const OTHER_PARENT: u64 = 1 << 7;
    pub(super) const EXCHANGE: u64 = 1 << 8;
    pub(super) const ROUTING_KEY: u64 = 1 << 9;
    pub(super) const ETA: u64 = 1 << 10;
    pub(super) const EXPIRES: u64 = 1 << 11;
}

impl<'a> Writer<'a> {
    pub(super) fn task(&mut self, of: &'a TaskFacts) {
        let TaskFacts { waiting, sent, received, started, running, requeued, retried, result, traceback } = of;
        let queued = flag(waiting.as_ref(), WAITING) | flag(sent.as_ref(), SENT) | flag(received.as_ref(), RECEIVED);
        let run = flag(started.as_ref(), STARTED) | flag(running.as_ref(), RUNNING) | flag(requeued.as_ref(), REQUEUED);
        let over = flag(retried.as_ref(), RETRIED) | flag(result.as_ref(), RESULT) | flag(traceback.as_ref(), TRACEBACK);
        number(&mut self.to, queued | run | over);
        waiting.iter().chain(started).chain(requeued).for_each(|told| self.heard(told));
        if let Some(told) = sent {
            self.heard(told);
            self.message(&told.what, None);
        }
        if let Some(told) = received {
            self.heard(told);
            self.message(&told.what, sent.as_ref().map(|told| &told.what));
        }
        if let Some(told) = running {
            self.heard(told);
            // 0 for an unknown pid.
            number(&mut self.to, told.what.map_or(0, |pid| u64::from(pid) + 1));
        }
        if let Some(told) = retried {
            self.heard(told);
            self.to.push(told.what.is_some().into());
            told.what.iter().for_each(|eta_us| self.time(*eta_us));
        }
        if let Some(told) = result {
            self.heard(told);
            self.json(&told.what);
        }
        if let Some(told) = traceback {
            self.heard(told);
            bytes(&mut self.to, told.what.as_bytes());
        }
    }

    /// Writes the number of an event that an earlier fact is from, or 0 and another event.
    fn heard<T>(&mut self, told: &Told<T>) {
        let heard = (told.attempt, told.stamp, told.worker);
        if let Some(place) = self.events.iter().position(|known| *known == heard) {
            number(&mut self.to, place as u64 + 1);
            return;
        }
        self.to.push(0);
        self.told(told);
    }

    fn message(&mut self, of: &'a Message, sent: Option<&Message>) {
        let flag = |is_there: bool, flag: u64| if is_there { flag } else { 0 };
        let is_sent = |part: fn(&Message) -> &Option<Value>| part(of).is_some() && sent.is_some_and(|sent| part(sent) == part(of));
        let (has_args, has_kwargs) = (is_sent(|message| &message.args), is_sent(|message| &message.kwargs));
        let parent = match of.parent_id {
            None => 0,
            parent if parent == self.seeds.parent => message::ROWS_PARENT,
            Some(_) => message::OTHER_PARENT,
        };
        let arguments = flag(has_args, message::ARGS_AS_SENT)
            | flag(of.args.is_some() && !has_args, message::ARGS)
            | flag(has_kwargs, message::KWARGS_AS_SENT)
            | flag(of.kwargs.is_some() && !has_kwargs, message::KWARGS);
        let route = flag(of.queue.is_some(), message::QUEUE)
            | flag(of.exchange.is_some(), message::EXCHANGE)
            | flag(of.routing_key.is_some(), message::ROUTING_KEY);
        let times = flag(of.eta_us.is_some(), message::ETA) | flag(of.expires_us.is_some(), message::EXPIRES);
        number(&mut self.to, parent | arguments | route | times | flag(of.batch.is_some(), message::BATCH));
        self.text(&of.name);
        of.batch.iter().chain(&of.queue).chain(&of.exchange).chain(&of.routing_key).for_each(|text| self.text(text));
        if let (message::OTHER_PARENT, Some(parent_id)) = (parent, of.parent_id) {
            self.to.extend_from_slice(&parent_id.get().to_le_bytes());
        }
        of.eta_us.iter().chain(&of.expires_us).for_each(|time_us| self.time(*time_us));
        of.args.iter().filter(|_| !has_args).for_each(|args| self.json(args));
        of.kwargs.iter().filter(|_| !has_kwargs).for_each(|kwargs| self.json(kwargs));
    }

    fn time(&mut self, time_us: u64) {
        signed(&mut self.to, time_us.wrapping_sub(self.seeds.at_us) as i64);
    }
}

impl Reading<'_> {
    pub(super) fn task(&mut self) -> Result<TaskFacts, Malformed> {
        let parts = self.from.number()?;
        let mut task = TaskFacts::default();
        for (part, fact) in [(WAITING, &mut task.waiting), (STARTED, &mut task.started), (REQUEUED, &mut task.requeued)] {
            if parts & part != 0 {
                *fact = Some(self.heard()?);
            }
        }
        if parts & SENT != 0 {
            task.sent = Some(self.heard()?.map(self.message(None)?));
        }
        if parts & RECEIVED != 0 {
            task.received = Some(self.heard()?.map(self.message(task.sent.as_ref().map(|told| &told.what))?));
        }
        if parts & RUNNING != 0 {
            let (told, pid) = (self.heard()?, self.from.number()?);
            let pid = pid.checked_sub(1).map(u32::try_from).transpose().map_err(|_| Malformed("a pid is too large"))?;
            task.running = Some(told.map(pid));
        }
        if parts & RETRIED != 0 {
            let (told, has_eta) = (self.heard()?, self.from.byte()? != 0);
            task.retried = Some(told.map(if has_eta { Some(self.time()?) } else { None }));
        }
        if parts & RESULT != 0 {
            task.result = Some(self.heard()?.map(self.from.json()?));
        }
        if parts & TRACEBACK != 0 {
            task.traceback = Some(self.heard()?.map(self.from.text()?.to_owned()));
        }
        Ok(task)
    }

    fn heard(&mut self) -> Result<Told<()>, Malformed> {
        let Some(place) = self.from.number()?.checked_sub(1) else { return self.told(|_| Ok(())) };
        let known = usize::try_from(place).ok().and_then(|place| self.events.get(place));
        let (attempt, stamp, worker) = *known.ok_or(Malformed("it names an event that isn't there"))?;
        Ok(Told { attempt, stamp, worker, what: () })
    }

    fn message(&mut self, sent: Option<&Message>) -> Result<Message, Malformed> {
        let parts = self.from.number()?;
        let name = self.text()?;
        let mut text = |part: u64| if parts & part == 0 { Ok(None) } else { self.text().map(Some) };
        let (batch, queue) = (text(message::BATCH)?, text(message::QUEUE)?);
        let (exchange, routing_key) = (text(message::EXCHANGE)?, text(message::ROUTING_KEY)?);
        let parent_id = if parts & message::ROWS_PARENT != 0 {
            self.seeds.parent
        } else if parts & message::OTHER_PARENT != 0 {
            Some(self.from.process()?)
        } else {
            None
        };
        let mut time = |part: u64| if parts & part == 0 { Ok(None) } else { self.time().map(Some) };
        let (eta_us, expires_us) = (time(message::ETA)?, time(message::EXPIRES)?);
        let mut value = |here: u64, as_sent: u64, sent: Option<&Value>| {
            if parts & here != 0 { self.from.json().map(Some) } else { Ok(sent.filter(|_| parts & as_sent != 0).cloned()) }
        };
        let args = value(message::ARGS, message::ARGS_AS_SENT, sent.and_then(|sent| sent.args.as_ref()))?;
        let kwargs = value(message::KWARGS, message::KWARGS_AS_SENT, sent.and_then(|sent| sent.kwargs.as_ref()))?;
        Ok(Message { name, batch, parent_id, args, kwargs, eta_us, expires_us, queue, exchange, routing_key })
    }

    fn time(&mut self) -> Result<u64, Malformed> {
        Ok(self.seeds.at_us.wrapping_add(self.from.signed()?))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use monitor_state::{ProcessEvent, ProcessFacts};
    use monitor_store::support::{process, root, worker};

    use super::super::{Seeds, read, write};

    /// Facts that schema 26 has in place of [`of_a_retried_task`]: there, the facts of a task were JSON.
    const FORMER: &str = "\
        02b21028b52ffd603207c50f00b6dd59306047db1c300cc3300cc3305cd1b222e2d576577fd7982eda16b2c5fe83000ce336defeed3756da283d0f02\
        f1a9e2473f5500480047001305bf674af276d9918c912fa37d524c4f8fbedad568b44f079b91fda0f19bb453c8d494f2ab010dd662c5b31ec5b37009\
        a2997380e0e45110cbb316885e5c829726295030180a02181c0c0700080aec1080c1c11010cfd9d3b7ddc1174529fbdbde53742815bf1332ae2784a5\
        7ea5301cec6f95240ab6537e446a6269874c4ce777b5bba692e97cd5be5eb5cb7e92e4fe3a1c772d3d7ebe556997dd0491e8fb03bb1878fb84247f3f\
        653b19dffe702837df3b8e12c3576b2dc5a2b02783e0a38f23afdaa3c9f45b6bad77fd246df9761827b79418426fb68b0e431f427feba7189bb777b5\
        d60457180e37edb0a4df7a0723b0ab71459260123513c614c6606c25960521256b5d6c2d16bc765a7e6b4de88881e0a35494dfbfbd21c80f07a1bf4f\
        902db5f3f6a69a52f03d60dadfd72a3b20f0c211a9ea9c05cac9b6a7289b02ac284290878f989a5eb0d9c4d18c79a5f3106d21604ecc8644f4c92c0f\
        f11dc0e1857ab2710ae81b9310ba501102e369313444213e1a269687ee6c8da022c0e2d844c42475eb2d6b8c46c437c4488b4e0f0d9b81477a8d82e7\
        8520a5e8881b6549432b6d799e154b71de72323d83046f66db8f1034a25a8c01e53e5dd802";

    fn seeds() -> Seeds {
        Seeds::new(5, Some(process(1)), vec![worker('A')], None, [Some(Arc::from("load")), None])
    }

    /// Facts of a task that is sent, received and started, and then retried with success.
    fn of_a_retried_task() -> ProcessFacts {
        of_events(5)
    }

    /// Facts of the first events of that task.
    fn of_events(count: usize) -> ProcessFacts {
        let at = |what: &str, time: u64, more: &str| -> monitor_wire::Event {
            let (root, id) = (root(1), process(1));
            let native = "0b7a3d7e-61f7-4f0a-9c2e-0d6f5f1f5a11";
            let json = format!(r#"{{"type":"{what}","root_id":"{root}","id":"{id}","time_us":{time},"native_id":"{native}"{more}}}"#);
            serde_json::from_str(&json).unwrap()
        };
        let message = r#","name":"load","args":"(7,)","kwargs":"{}","eta_us":9,"batch":"orders""#;
        let route = r#","queue":"celery","exchange":"","routing_key":"celery""#;
        let events = [
            at("task-sent", 5, &format!("{message}{route}")),
            at("task-received", 6, message),
            at("task-started", 7, r#","pid":12"#),
            at("task-retried", 8, r#","exception":"boom","traceback":"Traceback","eta_us":20"#),
            at("task-succeeded", 30, r#","attempt":2,"result":"[1, 2]","runtime_ns":900"#),
        ];
        let mut facts = ProcessFacts::default();
        for (number, event) in (1..).zip(&events).take(count) {
            facts.apply(number, worker(if number < 3 { 'A' } else { 'B' }), &ProcessEvent::of(event).unwrap());
        }
        facts
    }

    #[test]
    fn facts_of_former_builds_are_read() {
        let former = |at: usize| u8::from_str_radix(&FORMER[at..at + 2], 16).unwrap();
        let former: Vec<u8> = (0..FORMER.len()).step_by(2).map(former).collect();
        assert_eq!(read(&former, &seeds()).unwrap(), of_a_retried_task());
    }

    #[test]
    fn a_task_takes_little_room() {
        let facts = of_events(3);
        let written = write(&facts, &seeds());
        assert_eq!(read(&written, &seeds()).unwrap(), facts);
        let words = "(7,){}loadorderscelery".len() + 16;
        assert!(written.len() < words + 80, "{} bytes, {words} of them texts", written.len());
    }
}
