//! Nodes of a cluster: its worker programs, as their events describe them.

use std::collections::HashMap;

use monitor_wire::{Event, WorkerHeartbeat, WorkerId, WorkerOffline, WorkerOnline, WorkerRef, WorkerRole};
use serde_json::{Map, Value};

use crate::ids::worker_id;
use crate::message::short;

/// Longest name of a node that is accepted, in bytes.
const LONGEST_NAME: usize = 255;
/// Maximum number of nodes in memory. Others are reported, but receive no commands.
const MOST_NODES: usize = 4_000;
/// Time without heartbeats after which a node is forgotten: the longer of this and of ten intervals.
const SILENT_US: u64 = 60 * 1_000_000;
/// Number of heartbeats in a row that report finished tasks without any event of a task, until events count as turned off.
const SILENT_HEARTBEATS: u32 = 2;

/// A change of the set of nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Notice {
    /// A node reports, for the first time or again.
    Appeared { node: String, worker: WorkerId },
    /// A node has announced its end, or is silent.
    Gone { worker: WorkerId },
    /// A node works on tasks without sending events about them.
    EventsOff { node: String },
}

/// A node that has reported.
#[derive(Debug, Clone)]
struct Node {
    interval_ms: u64,
    /// Time at which the last heartbeat arrived.
    seen_us: u64,
    processed: Option<u64>,
    /// True if an event of a task arrived since the last heartbeat.
    has_events: bool,
    silent: u32,
}

/// The nodes of a cluster.
#[derive(Debug)]
pub(crate) struct Nodes {
    cluster: String,
    /// Commands that the bridge passes on, as nodes announce them.
    methods: Vec<String>,
    known: HashMap<WorkerId, Node>,
    /// The newest worker with each name. Events of a task's own code have the pid of a process of the pool.
    newest: HashMap<String, WorkerRef>,
    notices: Vec<Notice>,
}

impl Nodes {
    pub(crate) fn new(cluster: &str, methods: &[&str]) -> Self {
        let methods = methods.iter().map(|method| (*method).to_owned()).collect();
        Self { cluster: cluster.to_owned(), methods, known: HashMap::new(), newest: HashMap::new(), notices: Vec::new() }
    }

    /// Returns the changes since the last call.
    pub(crate) fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// Returns the nodes that send heartbeats: their names and workers.
    pub(crate) fn alive(&self) -> Vec<(String, WorkerRef)> {
        let alive = self.newest.iter().filter(|(_, worker)| self.known.contains_key(&worker.id));
        alive.map(|(node, worker)| (node.clone(), worker.clone())).collect()
    }

    /// Returns the worker that sent an event about its tasks.
    pub(crate) fn sender(&mut self, event: &Map<String, Value>) -> Option<WorkerRef> {
        let worker = self.worker(event)?;
        if let Some(node) = self.known.get_mut(&worker.id) {
            node.has_events = true;
        }
        Some(worker)
    }

    /// Returns the newest worker of a node, for an event that a process of its pool has sent.
    pub(crate) fn sender_in_pool(&self, event: &Map<String, Value>) -> Option<WorkerRef> {
        self.newest.get(event.get("hostname")?.as_str()?).cloned()
    }

    /// The worker of the main process of a node.
    fn worker(&self, event: &Map<String, Value>) -> Option<WorkerRef> {
        let name = event.get("hostname")?.as_str().filter(|name| (1..=LONGEST_NAME).contains(&name.len()))?;
        let pid = event.get("pid").and_then(Value::as_u64).and_then(|pid| u32::try_from(pid).ok()).unwrap_or(0);
        let (program, hostname) = name.split_once('@').unwrap_or(("celery", name));
        Some(WorkerRef { id: worker_id(&self.cluster, name, pid), hostname: hostname.to_owned(), pid, program: program.to_owned() })
    }

    /// Translates `worker-online`, `worker-heartbeat` and `worker-offline`.
    pub(crate) fn translate(&mut self, event_type: &str, event: &Map<String, Value>, (time_us, now_us): (u64, u64)) -> Option<Vec<Event>> {
        let worker = self.worker(event)?;
        let name = event.get("hostname").and_then(Value::as_str).unwrap_or_default().to_owned();
        if event_type == "worker-offline" {
            if self.known.remove(&worker.id).is_some() {
                self.notices.push(Notice::Gone { worker: worker.id });
            }
            return Some(vec![Event::WorkerOffline(WorkerOffline { time_us, worker: Some(worker) })]);
        }
        let number = |key: &str| event.get(key).and_then(Value::as_u64);
        let seconds = event.get("freq").and_then(Value::as_f64).filter(|seconds| (0.01..86_400.0).contains(seconds));
        let interval_ms = seconds.map_or(2_000, |seconds| (seconds * 1_000.0) as u64);
        let known = self.known.get(&worker.id);
        let is_new = known.is_none();
        let is_announced = event_type != "worker-online" && known.is_some_and(|node| node.interval_ms == interval_ms);
        let mut events = Vec::new();
        if !is_announced {
            events.push(Event::WorkerOnline(self.online(event, &worker, time_us, interval_ms)));
        }
        if is_new {
            self.notices.push(Notice::Appeared { node: name.clone(), worker: worker.id });
        }
        self.count(&name, &worker, (interval_ms, now_us), number("processed"));
        let loadavg =
            event.get("loadavg").and_then(Value::as_array).and_then(|of| of.iter().map(Value::as_f64).collect::<Option<Vec<_>>>());
        let loadavg = loadavg.and_then(|of| <[f64; 3]>::try_from(of).ok());
        let heartbeat =
            WorkerHeartbeat { time_us, active: number("active"), processed: number("processed"), loadavg, worker: Some(worker) };
        events.push(Event::WorkerHeartbeat(heartbeat));
        Some(events)
    }

    fn online(&self, event: &Map<String, Value>, worker: &WorkerRef, time_us: u64, interval_ms: u64) -> WorkerOnline {
        let word = |key: &str| short(event.get(key).and_then(Value::as_str).unwrap_or_default());
        WorkerOnline {
            time_us,
            started_us: time_us,
            version: format!("{} {}", word("sw_ident"), word("sw_ver")).trim().to_owned(),
            heartbeat_interval_ms: interval_ms,
            registered: Vec::new(),
            role: WorkerRole::PROGRAM,
            capabilities: self.methods.clone(),
            worker: Some(worker.clone()),
        }
    }

    /// Forgets nodes that have sent no heartbeat for a long time. Their next heartbeat announces them again.
    pub(crate) fn forget_silent(&mut self, now_us: u64) {
        let notices = &mut self.notices;
        self.known.retain(|worker, node| {
            let is_alive = node.seen_us.saturating_add(SILENT_US.max(10_000 * node.interval_ms)) > now_us;
            if !is_alive {
                notices.push(Notice::Gone { worker: *worker });
            }
            is_alive
        });
    }

    /// Notes a heartbeat, and whether the node works on tasks without events.
    fn count(&mut self, name: &str, worker: &WorkerRef, (interval_ms, seen_us): (u64, u64), processed: Option<u64>) {
        self.newest.insert(name.to_owned(), worker.clone());
        if self.newest.len() > 2 * MOST_NODES {
            self.newest.retain(|_, worker| self.known.contains_key(&worker.id));
        }
        if self.known.len() >= MOST_NODES && !self.known.contains_key(&worker.id) {
            self.forget_silent(seen_us);
            if self.known.len() >= MOST_NODES {
                return;
            }
        }
        let new = Node { interval_ms, seen_us, processed: None, has_events: true, silent: 0 };
        let node = self.known.entry(worker.id).or_insert(new);
        (node.interval_ms, node.seen_us) = (interval_ms, seen_us);
        let has_worked = processed.zip(node.processed).is_some_and(|(now, before)| now > before);
        node.processed = processed.or(node.processed);
        if std::mem::take(&mut node.has_events) {
            node.silent = 0;
        } else if has_worked {
            node.silent += 1;
            if node.silent == SILENT_HEARTBEATS {
                self.notices.push(Notice::EventsOff { node: name.to_owned() });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn heartbeat(processed: u64) -> Map<String, Value> {
        event(&json!({"hostname": "w1@h2", "pid": 7, "freq": 2.0, "active": 1, "processed": processed, "loadavg": [1, 2.5, 3],
            "sw_ident": "py-celery", "sw_ver": "5.7.0"}))
    }

    fn types(events: Option<Vec<Event>>) -> Vec<String> {
        events.unwrap().iter().map(|event| event.type_name().to_owned()).collect()
    }

    #[test]
    fn a_node_is_announced_by_its_first_heartbeat_and_after_a_change() {
        let mut nodes = Nodes::new("orders", &["ping"]);
        let events = nodes.translate("worker-heartbeat", &heartbeat(0), (5, 5)).unwrap();
        let [Event::WorkerOnline(online), Event::WorkerHeartbeat(beat)] = &events[..] else { panic!("{events:?}") };
        let worker = online.worker.clone().unwrap();
        assert_eq!((&*worker.program, &*worker.hostname, worker.pid), ("w1", "h2", 7));
        assert_eq!(
            (online.heartbeat_interval_ms, &*online.version, &online.capabilities[..]),
            (2_000, "py-celery 5.7.0", &["ping".to_owned()][..])
        );
        assert_eq!((beat.active, beat.loadavg), (Some(1), Some([1.0, 2.5, 3.0])));
        assert_eq!(nodes.take_notices(), [Notice::Appeared { node: "w1@h2".to_owned(), worker: worker.id }]);

        assert_eq!(types(nodes.translate("worker-heartbeat", &heartbeat(0), (6, 6))), ["worker-heartbeat"]);
        let slower = event(&json!({"hostname": "w1@h2", "pid": 7, "freq": 5}));
        assert_eq!(types(nodes.translate("worker-heartbeat", &slower, (7, 7))), ["worker-online", "worker-heartbeat"]);
        assert_eq!(nodes.take_notices(), []);

        assert_eq!(types(nodes.translate("worker-offline", &heartbeat(0), (8, 8))), ["worker-offline"]);
        assert_eq!(nodes.take_notices(), [Notice::Gone { worker: worker.id }]);
        assert_eq!(types(nodes.translate("worker-heartbeat", &heartbeat(0), (9, 9))), ["worker-online", "worker-heartbeat"]);
        nodes.take_notices();
        nodes.forget_silent(SILENT_US);
        assert_eq!(nodes.take_notices(), []);
        nodes.forget_silent(SILENT_US + 9);
        assert_eq!(nodes.take_notices(), [Notice::Gone { worker: worker.id }]);
    }

    #[test]
    fn finished_tasks_without_events_are_noticed_once() {
        let mut nodes = Nodes::new("orders", &[]);
        let off = |nodes: &mut Nodes| nodes.take_notices().iter().any(|notice| matches!(notice, Notice::EventsOff { .. }));
        for (processed, has_event, expected) in [
            (0, false, false),
            (3, true, false),
            (4, false, false),
            (4, false, false),
            (5, false, true),
            (6, false, false),
            (7, true, false),
            (8, false, false),
        ] {
            if has_event {
                nodes.sender(&heartbeat(0));
            }
            nodes.translate("worker-heartbeat", &heartbeat(processed), (1, 1)).unwrap();
            assert_eq!(off(&mut nodes), expected, "{processed}");
        }
    }

    #[test]
    fn hostile_nodes_are_bounded() {
        let mut nodes = Nodes::new("orders", &[]);
        for value in [json!({}), json!({"hostname": 7}), json!({"hostname": ""}), json!({"hostname": "x".repeat(4_096)})] {
            assert!(nodes.translate("worker-heartbeat", &event(&value), (1, 1)).is_none());
        }
        for n in 0..3 * MOST_NODES {
            let node = event(&json!({"hostname": format!("w@h{n}"), "pid": -1, "freq": 1e300, "loadavg": ["a"], "processed": -5}));
            assert_eq!(types(nodes.translate("worker-heartbeat", &node, (1, 1))), ["worker-online", "worker-heartbeat"]);
        }
        assert!(nodes.known.len() <= MOST_NODES && nodes.newest.len() <= 2 * MOST_NODES + 1);
    }
}
