//! Groups and chords of Celery: which of their tasks have ended.
//!
//! No event of Celery describes a group. The module of `monitor celery hook` sends `monitor-group` when a program sends a group: `uuid`, `name`, `root_id`,
//! `parent_id`, `total`, and `members`, a list of tasks for each member. A member that is a chain has several tasks. It ends with its last task, or with the
//! first that does not succeed. Large groups are sent in parts.
//!
//! A group is a process that waits until all of its members have ended. It has no worker, so it outlives the bridge. Its tasks are below it. If the program
//! is in no run, the event has no `root_id` and no `parent_id`: then the group is a run of its own, and each of its tasks begins a run with a link to it.

use std::collections::{BTreeSet, HashMap};

use monitor_wire::{
    Error, ErrorKind, Event, Fields, Kind, Link, Outcome, ProcessEnded, ProcessId, ProcessProgressed, ProcessQueued, ProcessUpdated,
    RootId, State,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::ids::{LONGEST_ID, parent_id, process_id, root_id};
use crate::message::Unreadable;
use crate::text::first_bytes;

/// Type of the event.
pub(crate) const ANNOUNCED: &str = "monitor-group";
/// Maximum number of open groups, and of the members of a group.
const MOST: usize = 1_000;
const MOST_MEMBERS: usize = 10_000;
/// Relation of a task to a group in another run.
const MEMBER: &str = "member_of";
/// Longest name, in bytes.
const LONGEST_NAME: usize = 4 << 10;
/// Number of steps of a group's progress that are reported.
const STEPS: u64 = 100;

/// The groups that have not ended.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    open: HashMap<String, Group>,
    /// The tasks of all members.
    tasks: HashMap<String, Place>,
    /// Changes since the last call of [`take_changes`](Self::take_changes).
    changes: Vec<Change>,
}

/// Place of a task in its group.
#[derive(Debug)]
struct Place {
    group: String,
    /// Last task of its member.
    last: String,
    is_first: bool,
}

/// A group that has not ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Group {
    uuid: String,
    name: String,
    root: RootId,
    /// None if the group is a run of its own.
    parent: Option<ProcessId>,
    since_us: u64,
    total: u64,
    failed: u64,
    cancelled: u64,
    /// The tasks of each known member.
    members: Vec<Vec<String>>,
    /// The last tasks of the members that have ended.
    ended: BTreeSet<String>,
}

/// A change that the next bridge must know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Change {
    /// A group, or a further part of it, was announced.
    Announced(Group),
    /// A task of a group has ended.
    Ended { task: String, outcome: Outcome, time_us: u64 },
}

impl Group {
    fn read(event: &Map<String, Value>, time_us: u64) -> Option<Self> {
        let text = |key: &str| event.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        let id = |key: &str| text(key).filter(|id| id.len() <= LONGEST_ID);
        let task = |value: &Value| value.as_str().filter(|id| (1..=LONGEST_ID).contains(&id.len())).map(str::to_owned);
        let members = event.get("members")?.as_array()?;
        let member = |tasks: &Value| -> Option<Vec<String>> {
            let tasks = tasks.as_array().filter(|tasks| (1..=MOST_MEMBERS).contains(&tasks.len()))?;
            tasks.iter().map(task).collect()
        };
        let members: Option<Vec<_>> = members.iter().map(member).collect();
        let total = event.get("total")?.as_u64().filter(|total| (1..=MOST_MEMBERS as u64).contains(total))?;
        let uuid = id("uuid")?;
        let (root, parent) = match (event.get("root_id"), event.get("parent_id")) {
            (None, None) => (root_id(uuid), None),
            _ => (root_id(id("root_id")?), Some(parent_id(id("parent_id")?))),
        };
        Some(Self {
            uuid: uuid.to_owned(),
            name: first_bytes(text("name").unwrap_or("group"), LONGEST_NAME).to_owned(),
            root,
            parent,
            since_us: time_us,
            total,
            failed: 0,
            cancelled: 0,
            members: members.filter(|members| (1..=MOST_MEMBERS).contains(&members.len()))?,
            ended: BTreeSet::new(),
        })
    }

    fn id(&self) -> ProcessId {
        process_id(&self.uuid)
    }

    fn queued(&self, cluster: &str) -> Event {
        Event::ProcessQueued(ProcessQueued {
            root_id: self.root,
            id: self.id(),
            time_us: self.since_us,
            parent_id: self.parent,
            kind: Kind::from("group"),
            name: self.name.clone(),
            batch: self.parent.is_none().then(|| cluster.to_owned()),
            fields: Fields::from([("celery.group".to_owned(), self.uuid.clone().into())]),
            attempt: 1,
            worker: None,
            native_id: None,
            links: Vec::new(),
        })
    }

    fn progressed(&self, time_us: u64) -> Event {
        Event::ProcessProgressed(ProcessProgressed {
            root_id: self.root,
            id: self.id(),
            time_us,
            done: self.ended.len() as f64,
            total: Some(self.total as f64),
            unit: Some("tasks".to_owned()),
            attempt: 1,
            worker: None,
            native_id: None,
            links: Vec::new(),
        })
    }

    /// The end of a group that is forgotten.
    fn lost(&self, time_us: u64) -> Event {
        let why = format!("the ends of {} of {} tasks are not known", self.total.saturating_sub(self.ended.len() as u64), self.total);
        let error = Some(Error::new(ErrorKind::ERROR, why));
        let outcome = Outcome::from(State::LOST.as_str());
        Event::ProcessEnded(ProcessEnded { error, ..ProcessEnded::new(self.root, self.id(), time_us, outcome) })
    }

    fn end(&self, time_us: u64) -> Event {
        let outcome = match (self.failed, self.cancelled) {
            (0, 0) => Outcome::SUCCEEDED,
            (0, _) => Outcome::CANCELLED,
            _ => Outcome::FAILED,
        };
        let why = || format!("{} of {} tasks have failed", self.failed, self.total);
        Event::ProcessEnded(ProcessEnded {
            elapsed_ns: Some(time_us.saturating_sub(self.since_us).saturating_mul(1_000)),
            error: (self.failed > 0).then(|| Error::new(ErrorKind::ERROR, why())),
            ..ProcessEnded::new(self.root, self.id(), time_us, outcome)
        })
    }
}

impl Groups {
    /// Reads the announcement of a group of this cluster, or of a part of it. Returns events about it, and the first task of each member. If there are too many
    /// groups, the oldest one is forgotten.
    pub(crate) fn announce(
        &mut self,
        event: &Map<String, Value>,
        cluster: &str,
        time_us: u64,
    ) -> Result<(Vec<Event>, Vec<String>), Unreadable> {
        let group = Group::read(event, time_us).ok_or_else(|| Unreadable(format!("a {ANNOUNCED} lacks a valid value")))?;
        let firsts = group.members.iter().filter_map(|tasks| tasks.first().cloned()).collect();
        let mut events: Vec<_> = self.add(&group).map(|forgotten| forgotten.lost(time_us)).into_iter().collect();
        events.push(self.open.get(&group.uuid).unwrap_or(&group).queued(cluster));
        self.changes.push(Change::Announced(group));
        Ok((events, firsts))
    }

    /// Adds a group, or further members of a known group. Returns the group that is forgotten for it.
    fn add(&mut self, new: &Group) -> Option<Group> {
        let is_new = !self.open.contains_key(&new.uuid);
        let oldest = self.open.values().min_by_key(|group| (group.since_us, &group.uuid)).map(|group| group.uuid.clone());
        let forgotten = oldest.filter(|_| is_new && self.open.len() >= MOST).and_then(|oldest| self.remove(&oldest));
        let group = self.open.entry(new.uuid.clone()).or_insert_with(|| Group { members: Vec::new(), ..new.clone() });
        for tasks in &new.members {
            let Some(last) = tasks.last().filter(|_| group.members.len() < MOST_MEMBERS) else { continue };
            if tasks.iter().any(|task| self.tasks.contains_key(task)) {
                continue;
            }
            for (at, task) in tasks.iter().enumerate() {
                self.tasks.insert(task.clone(), Place { group: new.uuid.clone(), last: last.clone(), is_first: at == 0 });
            }
            group.members.push(tasks.clone());
        }
        forgotten
    }

    fn remove(&mut self, uuid: &str) -> Option<Group> {
        let group = self.open.remove(uuid)?;
        for task in group.members.iter().flatten() {
            self.tasks.remove(task);
        }
        Some(group)
    }

    /// Returns the group of a member's first task, if both belong to this run.
    pub(crate) fn of(&self, first: &str, root: RootId) -> Option<ProcessId> {
        self.of_first(first).filter(|group| group.root == root).map(Group::id)
    }

    /// Returns the link of a member's first task to its group, if the task belongs to this run and the group is another one.
    pub(crate) fn link(&self, first: &str, root: RootId) -> Option<Link> {
        let group = self.of_first(first).filter(|group| group.parent.is_none() && group.root != root)?;
        Some(Link { root_id: group.root, id: group.id(), relation: MEMBER.to_owned() })
    }

    fn of_first(&self, first: &str) -> Option<&Group> {
        self.open.get(&self.tasks.get(first).filter(|place| place.is_first)?.group)
    }

    /// Notes that a task has ended. Returns events about its group.
    pub(crate) fn ended(&mut self, task: &str, outcome: &Outcome, time_us: u64) -> Vec<Event> {
        let is_member = self.tasks.contains_key(task);
        let events = self.take(task, outcome, time_us);
        if is_member {
            self.changes.push(Change::Ended { task: task.to_owned(), outcome: outcome.clone(), time_us });
        }
        events
    }

    fn take(&mut self, task: &str, outcome: &Outcome, time_us: u64) -> Vec<Event> {
        let Some(place) = self.tasks.get(task).filter(|place| place.last == task || *outcome != Outcome::SUCCEEDED) else {
            return Vec::new();
        };
        let Some(group) = self.open.get_mut(&place.group).filter(|group| !group.ended.contains(&place.last)) else { return Vec::new() };
        group.ended.insert(place.last.clone());
        let uuid = place.group.clone();
        match outcome.as_str() {
            "succeeded" => {}
            "cancelled" => group.cancelled += 1,
            _ => group.failed += 1,
        }
        let done = group.ended.len() as u64;
        let is_over = done >= group.total;
        let step = |done: u64| done * STEPS / group.total;
        let is_shown = is_over || step(done) != step(done - 1);
        let mut events: Vec<_> = is_shown.then(|| group.progressed(time_us)).into_iter().collect();
        if is_over {
            events.push(group.end(time_us));
            self.remove(&uuid);
        }
        events
    }

    /// Returns the changes since the last call, oldest first.
    pub(crate) fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// Repeats the changes of a former bridge. Returns the groups that have not ended, to replace these changes.
    pub(crate) fn remember(&mut self, changes: &[Change]) -> Vec<Change> {
        for change in changes {
            match change {
                Change::Announced(group) => {
                    self.add(group);
                }
                Change::Ended { task, outcome, time_us } => {
                    self.take(task, outcome, *time_us);
                }
            }
        }
        self.open.values().cloned().map(Change::Announced).collect()
    }
}

/// Puts a task below its group.
pub(crate) fn moved(root: RootId, task: &str, group: ProcessId, time_us: u64) -> Event {
    let update = ProcessUpdated::new(root, process_id(task), time_us, Fields::new());
    Event::ProcessUpdated(ProcessUpdated { parent_id: Some(group), ..update })
}

/// Links a task to its group.
pub(crate) fn linked(root: RootId, task: &str, link: Link, time_us: u64) -> Event {
    let update = ProcessUpdated::new(root, process_id(task), time_us, Fields::new());
    Event::ProcessUpdated(ProcessUpdated { links: vec![link], ..update })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ROOT: &str = "a54d6b3a-5d61-4e0c-9f2b-3b1a6e6a7c01";

    fn announced(total: u64, members: &Value) -> Map<String, Value> {
        let event = json!({"uuid": "g", "name": "group add", "root_id": ROOT, "parent_id": "p", "total": total, "members": members});
        event.as_object().unwrap().clone()
    }

    fn ends(events: &[Event]) -> Vec<(String, Option<String>)> {
        let end = |event: &Event| match event {
            Event::ProcessEnded(end) => Some((end.outcome.as_str().to_owned(), end.error.as_ref().map(|error| error.message.clone()))),
            _ => None,
        };
        events.iter().filter_map(end).collect()
    }

    #[test]
    fn a_group_ends_when_all_its_members_have_ended() {
        let mut groups = Groups::default();
        let (events, firsts) = groups.announce(&announced(3, &json!([["a"], ["b1", "b2"]])), "orders", 5).unwrap();
        assert_eq!((events.len(), firsts), (1, vec!["a".to_owned(), "b1".to_owned()]));
        groups.announce(&announced(3, &json!([["c"]])), "orders", 6).unwrap();
        assert_eq!((groups.of("b1", root_id(ROOT)), groups.of("b2", root_id(ROOT))), (Some(process_id("g")), None));
        assert_eq!(groups.of("a", root_id("other")), None, "it is in another run");
        assert!(ends(&groups.ended("a", &Outcome::SUCCEEDED, 7)).is_empty());
        assert!(groups.ended("b1", &Outcome::SUCCEEDED, 8).is_empty(), "its chain goes on");
        groups.announce(&announced(3, &json!([["a"]])), "orders", 8).unwrap();
        assert!(groups.ended("a", &Outcome::FAILED, 8).is_empty(), "an end counts once, also if all is delivered again");
        groups.ended("b2", &Outcome::FAILED, 8);
        let last = groups.ended("c", &Outcome::CANCELLED, 9);
        assert_eq!(ends(&last), [("failed".to_owned(), Some("1 of 3 tasks have failed".to_owned()))]);
        assert!(groups.open.is_empty() && groups.tasks.is_empty());
    }

    #[test]
    fn a_group_that_no_run_sends_is_a_run_with_links_from_its_tasks() {
        let mut groups = Groups::default();
        let mut event = announced(2, &json!([["a"], ["b1", "b2"]]));
        event.remove("root_id");
        assert!(groups.announce(&event, "orders", 5).is_err(), "it has a parent without a run");
        event.remove("parent_id");
        let (events, _) = groups.announce(&event, "orders", 5).unwrap();
        let [Event::ProcessQueued(queued)] = &*events else { panic!("{events:?}") };
        assert_eq!((queued.root_id, queued.parent_id, queued.batch.as_deref()), (root_id("g"), None, Some("orders")));
        let link = groups.link("a", root_id("a")).unwrap();
        assert_eq!((link.root_id, link.id, &*link.relation), (root_id("g"), process_id("g"), MEMBER));
        assert_eq!((groups.link("b2", root_id("b1")), groups.of("a", root_id("a"))), (None, None));
        assert_eq!((groups.link("a", root_id("g")), groups.of("a", root_id("g"))), (None, Some(process_id("g"))));
    }

    #[test]
    fn a_chain_ends_with_its_first_failure() {
        let mut groups = Groups::default();
        groups.announce(&announced(1, &json!([["a", "b", "c"]])), "orders", 5).unwrap();
        assert!(ends(&groups.ended("a", &Outcome::SUCCEEDED, 6)).is_empty());
        let end = groups.ended("b", &Outcome::FAILED, 7);
        assert_eq!(ends(&end), [("failed".to_owned(), Some("1 of 1 tasks have failed".to_owned()))]);
    }

    #[test]
    fn a_group_outlives_the_bridge() {
        let mut former = Groups::default();
        former.announce(&announced(3, &json!([["a"], ["b"], ["c"]])), "orders", 5).unwrap();
        former.ended("a", &Outcome::SUCCEEDED, 6);
        let mut changes = former.take_changes();
        for _ in 0..2 {
            let mut next = Groups::default();
            let lines: Vec<String> = changes.iter().map(|change| serde_json::to_string(change).unwrap()).collect();
            let read: Vec<Change> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
            changes = next.remember(&read);
            assert!(next.ended("a", &Outcome::SUCCEEDED, 7).is_empty(), "it is known");
            assert!(ends(&next.ended("b", &Outcome::SUCCEEDED, 7)).is_empty());
            assert_eq!(ends(&next.ended("c", &Outcome::SUCCEEDED, 8)), [("succeeded".to_owned(), None)]);
            let lines = next.take_changes();
            assert_eq!(Groups::default().remember(&[changes.clone(), lines].concat()), [], "nothing is left to remember");
        }
    }

    #[test]
    fn announcements_of_another_form_are_refused() {
        let mut groups = Groups::default();
        for members in
            [json!([]), json!(["a"]), json!([[]]), json!([["a", null]]), json!([["a", ""]]), json!({}), json!([["a", "x".repeat(256)]])]
        {
            assert!(groups.announce(&announced(1, &members), "orders", 1).is_err(), "{members}");
        }
        assert!(groups.announce(&announced(0, &json!([["a"]])), "orders", 1).is_err());
        assert!(groups.announce(&announced(MOST_MEMBERS as u64 + 1, &json!([["a"]])), "orders", 1).is_err());
        let mut lost = Vec::new();
        for number in 0..MOST + 2 {
            let mut event = announced(2, &json!([[number.to_string()]]));
            event["uuid"] = format!("g{number}").into();
            lost.extend(ends(&groups.announce(&event, "orders", number as u64).unwrap().0));
        }
        let expected = ("lost".to_owned(), Some("the ends of 2 of 2 tasks are not known".to_owned()));
        assert_eq!((lost, groups.open.len(), groups.tasks.len()), (vec![expected; 2], MOST, MOST));
        assert!(!groups.open.contains_key("g1") && groups.open.contains_key("g2"), "the oldest ones are forgotten");
    }

    #[test]
    fn the_progress_of_a_large_group_is_reported_in_steps() {
        let mut groups = Groups::default();
        let members: Vec<_> = (0..5_000).map(|number| json!([number.to_string()])).collect();
        groups.announce(&announced(5_000, &members.into()), "orders", 1).unwrap();
        let count: usize = (0..5_000).map(|number| groups.ended(&number.to_string(), &Outcome::SUCCEEDED, 2).len()).sum();
        assert_eq!(count, STEPS as usize + 1);
    }
}
