//! The model: decides about the due times of a task second by second, with plain lists.

use super::*;

#[derive(Clone)]
pub(super) struct Waiting {
    due: i64,
    part: u32,
    trigger: &'static str,
    not_before_ms: i64,
    is_told: bool,
    is_unstarted: bool,
}

pub(super) struct Open {
    due: i64,
    part: u32,
    trigger: &'static str,
    /// True time of the end, and outcome. `None` if the agent was killed after it had ordered the start.
    end: Option<(i64, Outcome)>,
    is_killed: bool,
}

pub(super) struct Model<'a> {
    pub(super) seed: u64,
    pub(super) task: &'a Drawn,
    pub(super) zone: TimeZone,
    pub(super) story: &'a Story,
    pub(super) dues: Vec<i64>,
    pub(super) seen_to: i64,
    pub(super) ran: BTreeSet<i64>,
    pub(super) waiting: Vec<Waiting>,
    pub(super) open: Vec<Open>,
    pub(super) told: Vec<Told>,
    pub(super) at: i64,
}

impl Model<'_> {
    fn id(&self, due: i64, part: u32) -> String {
        RunId { task: self.task.name.clone(), due: Timestamp::from_second(due).expect("a time"), part }.to_string()
    }

    fn tell(&mut self, line: String) {
        self.told.push((self.at, line));
    }

    fn quiet_at(&self, at: i64) -> bool {
        self.task.is_quiet(self.zone.to_datetime(Timestamp::from_second(at).expect("a time")))
    }

    fn span(dues: &[i64]) -> String {
        format!("{} {} x{}", stamp(dues[0]), stamp(dues[dues.len() - 1]), dues.len())
    }

    pub(super) fn walk(mut self) -> Vec<Told> {
        let turns = self.story.turns();
        let mut at = self.story.begin;
        while at < self.story.end {
            if !self.story.is_down(at) {
                self.look(at);
            }
            let wall = self.story.wall(at);
            let next_due = self.dues.get(self.dues.partition_point(|due| *due <= wall)).map(|due| due - self.story.offset(at));
            let next_end = self.open.iter().filter_map(|open| open.end).map(|(end, _)| end).filter(|end| *end > at).min();
            let next_turn = turns.range(at + 1..).next().copied();
            at = if self.waiting.is_empty() {
                [next_due, next_end, next_turn].into_iter().flatten().min().unwrap_or(self.story.end).max(at + 1)
            } else {
                at + 1
            };
        }
        self.told
    }

    fn look(&mut self, at: i64) {
        self.at = at;
        if self.story.unsure(at).is_some_and(|since| since < 300) {
            return;
        }
        let now = self.story.wall(at);
        let mut ended = Vec::new();
        let is_back = self.story.is_back(at);
        let mut open = std::mem::take(&mut self.open);
        open.retain(|run| match run.end {
            Some((end, outcome)) if end <= at => {
                ended.push((run.due, run.part, self.story.wall(end), outcome, run.is_killed));
                false
            }
            None if is_back => {
                let id: RunId = self.id(run.due, run.part).parse().expect("an id");
                if !is_lost(self.seed, &id) {
                    let (due, part, trigger) = (run.due, run.part, run.trigger);
                    self.waiting.push(Waiting {
                        due,
                        part,
                        trigger,
                        not_before_ms: now_of_kill(self.story, at) * 1_000,
                        is_told: false,
                        is_unstarted: true,
                    });
                }
                false
            }
            _ => true,
        });
        self.open = open;
        ended.sort_unstable_by_key(|(due, part, ..)| (*due, *part));
        for (due, part, end, outcome, is_killed) in ended {
            if outcome == Outcome::Retry && part <= self.task.retries.max(if self.task.retries == 0 { 3 } else { 0 }) && !is_killed {
                let backoff = if self.task.retries == 0 { 60 } else { 45 };
                let not_before_ms = (end + (backoff << (part - 1))) * 1_000;
                self.waiting.push(Waiting { due, part: part + 1, trigger: "retry", not_before_ms, is_told: true, is_unstarted: false });
                let id = self.id(due, part + 1);
                self.tell(format!("retry {id}"));
            }
        }
        self.decide(now);
        self.start(now);
    }

    fn decide(&mut self, now: i64) {
        self.seen_to = self.seen_to.min(now);
        let from = self.dues.partition_point(|due| *due <= self.seen_to);
        let to = self.dues.partition_point(|due| *due <= now);
        if from == to {
            self.seen_to = now;
            return;
        }
        let new: Vec<i64> = self.dues[from..to].iter().copied().filter(|due| !self.ran.contains(due)).collect();
        self.seen_to = now;
        let (quiet, new): (Vec<i64>, Vec<i64>) = new.into_iter().partition(|due| self.quiet_at(*due));
        if !quiet.is_empty() {
            self.tell(format!("skip {} quiet", Self::span(&quiet)));
        }
        let Some(last) = new.last().copied() else { return };
        let within = self.task.start_within.unwrap_or(i64::MAX).min(self.task.within);
        let is_on_time = |due: i64| now - due <= if due == last { 60.min(within) } else { 2 };
        let mut on_time: Vec<i64> = new.iter().copied().filter(|due| is_on_time(*due)).collect();
        if on_time.len() < new.len() {
            on_time.retain(|due| *due == last);
        }
        let late = &new[..new.len() - on_time.len()];
        let fresh: Vec<i64> = late.iter().copied().filter(|due| now - due <= within).collect();
        let made_up: Vec<i64> = match self.task.missed {
            "once" if on_time.is_empty() => fresh.iter().rev().take(1).copied().collect(),
            "all" => fresh.iter().rev().take(self.task.cap).rev().copied().collect(),
            _ => Vec::new(),
        };
        let cause = if self.story.unsure(self.at).is_some() { "clock" } else { "agent-down" };
        let left: Vec<i64> = late.iter().copied().filter(|due| !made_up.contains(due)).collect();
        let (old, capped): (Vec<i64>, Vec<i64>) = left.into_iter().partition(|due| self.task.missed != "all" || !fresh.contains(due));
        for (dues, cause) in [(old, cause), (capped, "cap")] {
            if !dues.is_empty() {
                self.tell(format!("missed {} {cause}", Self::span(&dues)));
            }
        }
        for due in made_up {
            self.admit(due, "missed");
        }
        for due in on_time {
            self.admit(due, "time");
        }
    }

    fn admit(&mut self, due: i64, trigger: &'static str) {
        let (open, waiting) = (self.open.len(), self.waiting.len());
        let refused = match self.task.overlap {
            Overlap::Skip => (open + waiting > 0).then_some("overlap"),
            Overlap::Allow(count) => (open + waiting >= count).then_some("overlap"),
            Overlap::Queue(count) => (waiting >= count).then_some("full"),
            Overlap::Replace => None,
        };
        if let Some(reason) = refused {
            self.tell(format!("skip {} {reason}", Self::span(&[due])));
            return;
        }
        if self.task.overlap == Overlap::Replace {
            for given_up in std::mem::take(&mut self.waiting) {
                self.give_up(&given_up, "skip", "overlap");
            }
            let mut killed = Vec::new();
            for open in self.open.iter_mut().filter(|open| !open.is_killed) {
                open.is_killed = true;
                if let Some((end, _)) = open.end.filter(|(end, _)| *end > self.at + 10) {
                    let _ = end;
                    open.end = Some((self.at + 10, Outcome::Fail));
                }
                killed.push((open.due, open.part));
            }
            for (due, part) in killed {
                let id = self.id(due, part);
                self.tell(format!("kill {id}"));
            }
        }
        let delay = share(&self.task.name, std::time::Duration::from_secs(self.task.jitter as u64)).as_millis() as i64;
        self.ran.insert(due);
        self.waiting.push(Waiting { due, part: 1, trigger, not_before_ms: due * 1_000 + delay, is_told: false, is_unstarted: false });
    }

    fn give_up(&mut self, run: &Waiting, what: &str, reason: &str) {
        if run.part == 1 {
            self.ran.remove(&run.due);
        }
        self.tell(format!("{what} {} {reason}", Self::span(&[run.due])));
    }

    fn start(&mut self, now: i64) {
        self.waiting.sort_by_key(|run| (run.due, run.part));
        let most = if let Overlap::Allow(count) = self.task.overlap { count } else { 1 };
        for mut run in std::mem::take(&mut self.waiting) {
            let deadline_ms = self.task.start_within.map(|within| run.not_before_ms + within * 1_000);
            let reason = if self.quiet_at(now) {
                Some("quiet")
            } else if run.not_before_ms > now * 1_000 {
                Some("delay")
            } else if self.open.len() >= most {
                Some("overlap")
            } else {
                None
            };
            let is_late = now - run.due > 60 && (self.task.missed == "skip" || now - run.due > self.task.within);
            match reason {
                None if deadline_ms.is_some_and(|deadline| deadline < now * 1_000) => self.give_up(&run, "missed", "deadline"),
                None if run.is_unstarted && is_late => self.give_up(&run, "missed", "agent-down"),
                None => self.begin(&run),
                Some(reason) if reason != "delay" && deadline_ms.is_some_and(|deadline| deadline <= now * 1_000) => {
                    self.give_up(&run, "skip", reason);
                }
                Some(_) => {
                    if !run.is_told {
                        run.is_told = true;
                        let id = self.id(run.due, run.part);
                        self.tell(format!("queue {id}"));
                    }
                    self.waiting.push(run);
                }
            }
        }
    }

    fn begin(&mut self, run: &Waiting) {
        let id = self.id(run.due, run.part);
        let trigger = run.trigger;
        self.tell(format!("start {id} {trigger}"));
        let (long, outcome) = self.task.run(self.seed, &id.parse().expect("an id"));
        let is_killed = self.story.is_kill(self.at);
        let end = (!is_killed).then_some((self.at + long.max(1), outcome));
        self.open.push(Open { due: run.due, part: run.part, trigger, end, is_killed: false });
    }
}

/// Returns the wall-clock time of the kill that ended at `back`.
fn now_of_kill(story: &Story, back: i64) -> i64 {
    let (from, _) = story.kill(back).expect("a kill");
    story.wall(*from)
}
