//! Orders for workers of queues, read from a method and its arguments, and the errors in them. The server checks orders with this code before it sends
//! them, and programs read orders with it.

use std::fmt;
use std::time::Duration;

use serde_json::Value;

use crate::event::{Fields, MAX_TIME_US};
use crate::method::Names;
use crate::program_order::ProgramOrder;
use crate::queue_order::{QueuePurge, TaskCall};

/// Largest number of ids in one order.
pub const MOST_IDS: usize = 1_000;
/// Longest id, name or queue, in bytes.
const LONGEST_NAME: usize = 512;
/// Largest size of a pool, and largest change of its size.
const LARGEST_POOL: u64 = 10_000;
const LONGEST_MS: u64 = 30 * 24 * 3_600 * 1_000;

/// An order for a worker of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Order {
    /// `scheduled`: list tasks that wait for their time.
    Scheduled,
    /// `reserved`: list tasks that the worker has taken but not started.
    Reserved,
    /// `revoked`: list the ids of revoked tasks.
    Revoked,
    /// `active-queues`: list the queues that the worker takes tasks from.
    ActiveQueues,
    /// `queues`: list the known queues with the number of waiting tasks. The answer is a [`QueuesAnswer`](crate::QueuesAnswer).
    Queues,
    /// `query`: show the state of these tasks.
    Query {
        /// Ids of tasks in their queue.
        ids: Vec<String>,
    },
    /// `rate-limit`: start tasks of a name no more often than this.
    RateLimit {
        /// Name of the tasks.
        name: String,
        /// The limit. `None` removes it.
        rate: Option<Rate>,
        /// Time after which the order is undone. `None` means never.
        hold: Option<Duration>,
    },
    /// `time-limit`: end tasks of a name that take longer.
    TimeLimit {
        /// Name of the tasks.
        name: String,
        /// Time after which a task can read that it is late.
        soft: Option<Duration>,
        /// Time after which a task is ended.
        hard: Option<Duration>,
        /// Time after which the order is undone. `None` means never.
        hold: Option<Duration>,
    },
    /// `revoke`: do not run these tasks.
    Revoke {
        /// Ids of tasks in their queue.
        ids: Vec<String>,
        /// True to end running tasks as well.
        terminate: bool,
    },
    /// `pause`: start no tasks.
    Pause {
        /// Length of the pause. `None` means until `resume`.
        hold: Option<Duration>,
    },
    /// `resume`: end a pause.
    Resume,
    /// `pool-grow`: work on more tasks at once.
    PoolGrow {
        /// Number of additional tasks.
        by: usize,
    },
    /// `pool-shrink`: work on fewer tasks at once.
    PoolShrink {
        /// Number of tasks to remove.
        by: usize,
    },
    /// `autoscale`: work on as many tasks at once as there are, within these limits.
    Autoscale {
        /// Lower limit.
        min: usize,
        /// Upper limit.
        max: usize,
        /// Time after which the order is undone. `None` means never.
        hold: Option<Duration>,
    },
    /// `add-consumer`: take tasks from a queue.
    AddConsumer {
        /// Its name.
        queue: String,
    },
    /// `cancel-consumer`: take no more tasks from a queue.
    CancelConsumer {
        /// Its name.
        queue: String,
    },
    /// `call`: start a task by its name. The answer is a [`CallAnswer`](crate::CallAnswer).
    Call(TaskCall),
    /// `purge`: delete the waiting tasks of queues. The answer is a [`PurgeAnswer`](crate::PurgeAnswer).
    Purge(QueuePurge),
    /// `retry`: run tasks again that have ended. The answer is a [`RetryAnswer`](crate::RetryAnswer).
    Retry {
        /// Ids of tasks in their queue.
        ids: Vec<String>,
    },
    /// `shutdown`: start no tasks and exit.
    Shutdown {
        /// True to end running tasks as well.
        now: bool,
    },
    /// `restart`: restart the program.
    Restart,
    /// `pool-restart`: restart the pool. The program continues.
    PoolRestart,
}

/// Error in an order's arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderError {
    /// The argument.
    pub argument: String,
    /// The error and the expected value.
    pub detail: String,
}

impl fmt::Display for OrderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.argument, self.detail)
    }
}

impl std::error::Error for OrderError {}

/// Limit on the number of tasks that start per second, minute or hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    count: u32,
    unit: char,
}

impl Rate {
    /// Reads `10/s`, `10/m`, `10/h`, or `10`, which is per second; none for `0`.
    ///
    /// # Errors
    /// If it is anything else.
    pub fn read(text: &str) -> Result<Option<Self>, String> {
        let wrong =
            || format!("{:?} is no rate: expected one like 10/s, 10/m or 10/h, or 0 for none", text.chars().take(40).collect::<String>());
        let (count, unit) = text.split_once('/').unwrap_or((text, "s"));
        let unit = match unit {
            "s" => 's',
            "m" => 'm',
            "h" => 'h',
            _ => return Err(wrong()),
        };
        let count: u32 =
            if count.bytes().all(|byte| byte.is_ascii_digit()) { count.parse().map_err(|_| wrong())? } else { return Err(wrong()) };
        Ok((count > 0).then_some(Self { count, unit }))
    }

    /// Returns the time between two starts.
    #[must_use]
    pub fn interval(self) -> Duration {
        let unit = match self.unit {
            's' => 1,
            'm' => 60,
            _ => 3_600,
        };
        Duration::from_secs(unit) / self.count
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, self.unit)
    }
}

impl Order {
    /// Methods that a worker of a queue may know.
    pub const METHODS: [&str; Names::Queue.count()] = Names::Queue.select();

    /// Reads a method with its arguments; none if it is not one of [`Order::METHODS`].
    ///
    /// # Errors
    /// If an argument is missing, unknown, or out of bounds.
    pub fn read(method: &str, arguments: &Fields) -> Result<Option<Self>, OrderError> {
        let mut arguments = Arguments::new(arguments);
        let read = &mut arguments;
        let order = match method {
            "scheduled" => Self::Scheduled,
            "reserved" => Self::Reserved,
            "revoked" => Self::Revoked,
            "active-queues" => Self::ActiveQueues,
            "queues" => Self::Queues,
            "query" => Self::Query { ids: read.ids()? },
            "rate-limit" => Self::RateLimit { name: read.name("name")?, rate: read.rate()?, hold: read.duration("for_ms")? },
            "time-limit" => {
                let (name, soft, hard) = (read.name("name")?, read.duration("soft_ms")?, read.duration("hard_ms")?);
                if soft.zip(hard).is_some_and(|(soft, hard)| soft > hard) {
                    return Err(wrong("soft_ms", "the soft limit comes before the hard one"));
                }
                Self::TimeLimit { name, soft, hard, hold: read.duration("for_ms")? }
            }
            "revoke" => Self::Revoke { ids: read.ids()?, terminate: read.switch("terminate")? },
            "pause" => Self::Pause { hold: read.duration("for_ms")? },
            "resume" => Self::Resume,
            "pool-grow" => Self::PoolGrow { by: read.count("n", 1)? },
            "pool-shrink" => Self::PoolShrink { by: read.count("n", 1)? },
            "autoscale" => {
                let (min, max) = (read.count("min", 0)?, read.count("max", 1)?);
                if min > max {
                    return Err(wrong("min", "it is no greater than `max`"));
                }
                Self::Autoscale { min, max, hold: read.duration("for_ms")? }
            }
            "add-consumer" => Self::AddConsumer { queue: read.name("queue")? },
            "cancel-consumer" => Self::CancelConsumer { queue: read.name("queue")? },
            "call" => Self::Call(read.call()?),
            "purge" => Self::Purge(QueuePurge {
                queues: read.names("queues")?,
                exclude: read.names("exclude")?,
                count_only: read.switch("count_only")?,
            }),
            "retry" => Self::Retry { ids: read.ids()? },
            "shutdown" => Self::Shutdown { now: read.switch("now")? },
            "restart" => Self::Restart,
            "pool-restart" => Self::PoolRestart,
            _ => return Ok(None),
        };
        arguments.end(method)?;
        Ok(Some(order))
    }
}

/// Checks the arguments of a method, if it is one that any program or worker may know.
///
/// # Errors
/// If an argument is missing, unknown, or out of bounds.
pub fn check_arguments(method: &str, arguments: &Fields) -> Result<(), OrderError> {
    match ProgramOrder::read(method, arguments)? {
        Some(_) => Ok(()),
        None => Order::read(method, arguments).map(drop),
    }
}

pub(crate) fn wrong(argument: &str, detail: impl Into<String>) -> OrderError {
    OrderError { argument: argument.to_owned(), detail: detail.into() }
}

/// Reads arguments one after the other.
pub(crate) struct Arguments<'a> {
    given: &'a Fields,
    known: Vec<&'static str>,
}

impl<'a> Arguments<'a> {
    pub(crate) fn new(given: &'a Fields) -> Self {
        Self { given, known: Vec::new() }
    }

    fn get(&mut self, name: &'static str) -> Option<&Value> {
        self.known.push(name);
        self.given.get(name).filter(|value| !value.is_null())
    }

    fn name(&mut self, name: &'static str) -> Result<String, OrderError> {
        let text = self.get(name).and_then(Value::as_str).filter(|text| is_name(text));
        text.map(str::to_owned).ok_or_else(|| wrong(name, format!("expected a text of 1 to {LONGEST_NAME} bytes")))
    }

    fn ids(&mut self) -> Result<Vec<String>, OrderError> {
        let id = |id: &Value| id.as_str().filter(|id| is_name(id)).map(str::to_owned);
        let ids = self.get("ids").and_then(Value::as_array).filter(|ids| (1..=MOST_IDS).contains(&ids.len()));
        let ids = ids.and_then(|ids| ids.iter().map(id).collect());
        ids.ok_or_else(|| wrong("ids", format!("expected a list of 1 to {MOST_IDS} ids of tasks, each of 1 to {LONGEST_NAME} bytes")))
    }

    fn names(&mut self, name: &'static str) -> Result<Vec<String>, OrderError> {
        let Some(value) = self.get(name) else { return Ok(Vec::new()) };
        let text = |text: &Value| text.as_str().filter(|text| is_name(text)).map(str::to_owned);
        let names = value.as_array().filter(|names| names.len() <= MOST_IDS).and_then(|names| names.iter().map(text).collect());
        names.ok_or_else(|| wrong(name, format!("expected a list of up to {MOST_IDS} names, each of 1 to {LONGEST_NAME} bytes")))
    }

    pub(crate) fn optional_name(&mut self, name: &'static str) -> Result<Option<String>, OrderError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let text = value.as_str().filter(|text| is_name(text)).map(str::to_owned);
        text.map(Some).ok_or_else(|| wrong(name, format!("expected a text of 1 to {LONGEST_NAME} bytes")))
    }

    fn moment(&mut self, name: &'static str) -> Result<Option<u64>, OrderError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let moment = value.as_u64().filter(|moment| (1..=MAX_TIME_US).contains(moment));
        moment.map(Some).ok_or_else(|| wrong(name, format!("expected a time in Unix µs, at most {MAX_TIME_US}")))
    }

    fn call(&mut self) -> Result<TaskCall, OrderError> {
        let name = self.name("name")?;
        let args = match self.get("args") {
            None => Vec::new(),
            Some(Value::Array(args)) => args.clone(),
            Some(_) => return Err(wrong("args", "expected a list, the task's arguments by position")),
        };
        let kwargs = match self.get("kwargs") {
            None => Fields::new(),
            Some(Value::Object(kwargs)) => kwargs.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
            Some(_) => return Err(wrong("kwargs", "expected an object, the task's arguments by name")),
        };
        let queue = self.optional_name("queue")?;
        let (eta_us, countdown) = (self.moment("eta_us")?, self.duration("countdown_ms")?);
        if eta_us.is_some() && countdown.is_some() {
            return Err(wrong("countdown_ms", "a task waits for `eta_us` or for `countdown_ms`, not for both"));
        }
        let expires_us = self.moment("expires_us")?;
        if eta_us.zip(expires_us).is_some_and(|(eta, expires)| expires < eta) {
            return Err(wrong("expires_us", "it is no earlier than `eta_us`, or the task would never be started"));
        }
        Ok(TaskCall { name, args, kwargs, queue, eta_us, countdown, expires_us })
    }

    fn rate(&mut self) -> Result<Option<Rate>, OrderError> {
        match self.get("rate") {
            Some(Value::String(text)) => Rate::read(text).map_err(|detail| wrong("rate", detail)),
            Some(Value::Number(number)) => Rate::read(&number.to_string()).map_err(|detail| wrong("rate", detail)),
            _ => Err(wrong("rate", "expected a rate like \"10/s\", \"10/m\" or \"10/h\", or \"0\" for none")),
        }
    }

    /// Reads one of these words, in upper or lower case.
    pub(crate) fn word(&mut self, name: &'static str, words: &[&'static str]) -> Result<Option<&'static str>, OrderError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let word = value.as_str().and_then(|text| words.iter().find(|word| word.eq_ignore_ascii_case(text)));
        word.map(|word| Some(*word)).ok_or_else(|| wrong(name, format!("expected one of {}", words.join(", "))))
    }

    pub(crate) fn duration(&mut self, name: &'static str) -> Result<Option<Duration>, OrderError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let ms = value.as_u64().filter(|ms| (1..=LONGEST_MS).contains(ms));
        ms.map(|ms| Some(Duration::from_millis(ms))).ok_or_else(|| wrong(name, format!("expected a number of ms from 1 to {LONGEST_MS}")))
    }

    fn count(&mut self, name: &'static str, least: u64) -> Result<usize, OrderError> {
        let count = self.get(name).and_then(Value::as_u64).filter(|count| (least..=LARGEST_POOL).contains(count));
        count.map(|count| count as usize).ok_or_else(|| wrong(name, format!("expected a number from {least} to {LARGEST_POOL}")))
    }

    fn switch(&mut self, name: &'static str) -> Result<bool, OrderError> {
        let Some(value) = self.get(name) else { return Ok(false) };
        value.as_bool().ok_or_else(|| wrong(name, "expected true or false"))
    }

    pub(crate) fn end(self, method: &str) -> Result<(), OrderError> {
        let Some(unknown) = self.given.keys().find(|name| !self.known.contains(&name.as_str())) else { return Ok(()) };
        let shown: String = unknown.chars().take(100).collect();
        let known = self.known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let detail = if known.is_empty() { format!("{method} takes no arguments") } else { format!("{method} takes {known}") };
        Err(wrong(&shown, detail))
    }
}

fn is_name(text: &str) -> bool {
    (1..=LONGEST_NAME).contains(&text.len())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::method::{CHANGING_METHODS, READING_METHODS, SINGLE_METHODS};

    fn read(method: &str, arguments: Value) -> Result<Option<Order>, String> {
        let arguments = serde_json::from_value(arguments).expect("an object");
        Order::read(method, &arguments).map_err(|error| error.to_string())
    }

    #[test]
    fn every_method_is_read_with_its_arguments() {
        let hold = Some(Duration::from_secs(60));
        let rate = Rate::read("10/m").unwrap();
        for (method, arguments, expected) in [
            ("scheduled", json!({}), Order::Scheduled),
            ("query", json!({"ids": ["a"]}), Order::Query { ids: vec!["a".to_owned()] }),
            (
                "rate-limit",
                json!({"name": "渲染", "rate": "10/m", "for_ms": 60_000}),
                Order::RateLimit { name: "渲染".to_owned(), rate, hold },
            ),
            ("rate-limit", json!({"name": "a", "rate": 0}), Order::RateLimit { name: "a".to_owned(), rate: None, hold: None }),
            (
                "time-limit",
                json!({"name": "a", "hard_ms": 60_000}),
                Order::TimeLimit { name: "a".to_owned(), soft: None, hard: hold, hold: None },
            ),
            ("revoke", json!({"ids": ["a"], "terminate": true}), Order::Revoke { ids: vec!["a".to_owned()], terminate: true }),
            ("pause", json!({"for_ms": null}), Order::Pause { hold: None }),
            ("pool-grow", json!({"n": 2}), Order::PoolGrow { by: 2 }),
            ("autoscale", json!({"min": 0, "max": 8}), Order::Autoscale { min: 0, max: 8, hold: None }),
            ("shutdown", json!({"now": false}), Order::Shutdown { now: false }),
            ("queues", json!({}), Order::Queues),
            ("restart", json!({}), Order::Restart),
            ("pool-restart", json!({}), Order::PoolRestart),
            ("retry", json!({"ids": ["a", "b"]}), Order::Retry { ids: vec!["a".to_owned(), "b".to_owned()] }),
            ("purge", json!({}), Order::Purge(QueuePurge::default())),
            (
                "purge",
                json!({"queues": ["视频"], "exclude": ["b"], "count_only": true}),
                Order::Purge(QueuePurge { queues: vec!["视频".to_owned()], exclude: vec!["b".to_owned()], count_only: true }),
            ),
            ("call", json!({"name": "渲染"}), Order::Call(TaskCall { name: "渲染".to_owned(), ..TaskCall::default() })),
            (
                "call",
                json!({"name": "a", "args": [1, {"b": []}], "kwargs": {"size": "4k"}, "queue": "q", "countdown_ms": 60_000, "expires_us": 9}),
                Order::Call(TaskCall {
                    name: "a".to_owned(),
                    args: vec![json!(1), json!({"b": []})],
                    kwargs: [("size".to_owned(), json!("4k"))].into(),
                    queue: Some("q".to_owned()),
                    eta_us: None,
                    countdown: hold,
                    expires_us: Some(9),
                }),
            ),
        ] {
            assert_eq!(read(method, arguments).unwrap(), Some(expected), "{method}");
        }
        assert_eq!(read("cache-clear", json!({"any": 1})), Ok(None));
        let known = |method: &&str| READING_METHODS.contains(method) || CHANGING_METHODS.contains(method);
        assert!(Order::METHODS.iter().all(known) && SINGLE_METHODS.iter().all(|method| Order::METHODS.contains(method)));
        assert!(Order::METHODS.iter().all(|method| !matches!(read(method, json!({})), Ok(None))));
    }

    #[test]
    fn errors_of_an_order_name_the_argument() {
        for (method, arguments, words) in [
            ("rate-limit", json!({"rate": "1/s"}), "`name`"),
            ("rate-limit", json!({"name": "a"}), "`rate`: expected a rate like"),
            ("rate-limit", json!({"name": "a", "rate": "ten"}), "\"ten\" is no rate"),
            ("rate-limit", json!({"name": "a", "rate": "+1/s"}), "no rate"),
            ("rate-limit", json!({"name": "a", "rate": "1/y"}), "no rate"),
            ("rate-limit", json!({"name": "a", "rate": "-1/s"}), "no rate"),
            ("rate-limit", json!({"name": "a", "rate": "99999999999/s"}), "no rate"),
            ("rate-limit", json!({"name": "a", "rate": "1/s", "for": "10m"}), "`for`: rate-limit takes `name`, `rate`, `for_ms`"),
            ("rate-limit", json!({"name": "x".repeat(513), "rate": "1/s"}), "`name`"),
            ("time-limit", json!({"name": "a", "soft_ms": 2, "hard_ms": 1}), "`soft_ms`"),
            ("time-limit", json!({"name": "a", "soft_ms": 0}), "`soft_ms`"),
            ("revoke", json!({"ids": []}), "`ids`"),
            ("revoke", json!({"ids": "a"}), "`ids`"),
            ("revoke", json!({"ids": ["a", 7]}), "`ids`"),
            ("revoke", json!({"ids": ["a"], "terminate": "yes"}), "`terminate`"),
            ("query", json!({"ids": vec!["a"; MOST_IDS + 1]}), "`ids`"),
            ("pause", json!({"for_ms": -1}), "`for_ms`"),
            ("pool-grow", json!({"n": 0}), "`n`"),
            ("pool-grow", json!({"n": 1.5}), "`n`"),
            ("autoscale", json!({"min": 3, "max": 2}), "`min`"),
            ("autoscale", json!({"min": 0, "max": 0}), "`max`"),
            ("add-consumer", json!({"queue": ""}), "`queue`"),
            ("resume", json!({"now": true}), "`now`: resume takes no arguments"),
            ("call", json!({}), "`name`"),
            ("call", json!({"name": ""}), "`name`"),
            ("call", json!({"name": "x".repeat(4_096)}), "`name`"),
            ("call", json!({"name": "a", "args": {"b": 1}}), "`args`: expected a list"),
            ("call", json!({"name": "a", "kwargs": [1]}), "`kwargs`: expected an object"),
            ("call", json!({"name": "a", "queue": 7}), "`queue`"),
            ("call", json!({"name": "a", "eta_us": 1, "countdown_ms": 1}), "`countdown_ms`"),
            ("call", json!({"name": "a", "eta_us": 0}), "`eta_us`"),
            ("call", json!({"name": "a", "eta_us": "tomorrow"}), "`eta_us`"),
            ("call", json!({"name": "a", "eta_us": 9, "expires_us": 8}), "`expires_us`"),
            ("call", json!({"name": "a", "when": 9}), "`when`: call takes `name`, `args`, `kwargs`"),
            ("purge", json!({"queues": "a"}), "`queues`"),
            ("purge", json!({"exclude": [""]}), "`exclude`"),
            ("purge", json!({"count_only": 1}), "`count_only`"),
            ("retry", json!({"ids": [null]}), "`ids`"),
            ("queues", json!({"name": "a"}), "queues takes no arguments"),
            ("restart", json!({"now": true}), "restart takes no arguments"),
        ] {
            let error = read(method, arguments).expect_err(method);
            assert!(error.contains(words), "{method}: {error}");
        }
    }

    #[test]
    fn a_rate_is_an_interval() {
        for (text, ms) in [("10/s", 100), ("10", 100), ("30/m", 2_000), ("1/h", 3_600_000)] {
            let rate = Rate::read(text).unwrap().unwrap();
            assert_eq!(rate.interval(), Duration::from_millis(ms), "{text}");
        }
        assert_eq!(Rate::read("0"), Ok(None));
        assert_eq!(Rate::read("5/m").unwrap().unwrap().to_string(), "5/m");
        assert!(Rate::read("").is_err() && Rate::read("/s").is_err());
    }
}
