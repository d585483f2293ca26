//! Converts lines of crontabs to tasks.
//!
//! At each moment a line is run by cron or by its task, never by both. The task is created, paused by its definition, before the line
//! becomes a comment, and is resumed after that. In between it is shown as paused, and its due times as skipped. The comment contains the
//! name of the task, so that after a crash a repeated run finds the tasks to resume.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;

use monitor_tasks::{Definition, crontab};

use super::Args;
use super::keeper::Keeper;
use super::source::Source;
use crate::text::counted;
use crate::text::visible;

/// Seconds of a minute that are safe for changes of crontabs. Cron reads crontabs and starts commands at the beginning of a minute.
const QUIET: std::ops::Range<i8> = 2..55;

/// Tag of a task until its line is taken over. It distinguishes the task from tasks that are paused for other reasons.
const TAG: &str = "from-cron";

/// A crontab, and the tasks for its lines.
struct Read<'a> {
    source: &'a Source,
    text: String,
    /// Tasks by line number.
    tasks: BTreeMap<usize, Definition>,
    /// Tasks whose lines are comments already.
    done: BTreeSet<String>,
    mistakes: usize,
}

pub(super) fn run(args: &Args, sources: &[Source]) -> anyhow::Result<()> {
    let keeper = Keeper::new(&args.whom, args.to.as_deref())?;
    let there = keeper.tasks()?;
    let mut names = Names { there: &there, given: BTreeSet::new() };
    let read: Vec<_> = sources.iter().map(|source| names.read(source)).collect::<anyhow::Result<_>>()?;
    let mut out = anstream::stdout().lock();
    let mut new = Vec::new();
    for task in read.iter().flat_map(|read| read.tasks.values()).filter(|task| !there.contains_key(&task.name)) {
        let paused = Definition { paused: true, tags: vec![TAG.to_owned()], ..task.clone() };
        keeper.put(&paused)?;
        writeln!(out, "{}", visible(&format!("added {}, paused", paused.name)))?;
        new.push(paused);
    }
    for read in read.iter().filter(|_| args.take_over) {
        take_over(&keeper, read, &there, &new, &mut out)?;
    }
    out.flush()?;
    if !args.take_over && !new.is_empty() {
        writeln!(out, "cron still runs them: --take-over ends that, and resumes the tasks")?;
    }
    super::no_tasks(read.iter().map(|read| read.mistakes).sum())
}

fn take_over(
    keeper: &Keeper<'_>,
    read: &Read<'_>,
    there: &BTreeMap<String, Definition>,
    new: &[Definition],
    out: &mut impl std::io::Write,
) -> anyhow::Result<()> {
    let Read { source, text, tasks, done, .. } = read;
    // Includes the tasks that an interrupted run has written.
    let all: Vec<_> = there.values().chain(new).filter(|task| tasks.values().any(|own| own.name == task.name)).cloned().collect();
    keeper.wait_for(&all)?;
    if !tasks.is_empty() {
        wait_for_quiet();
        let comments = tasks.iter().map(|(line, task)| (*line, task.name.clone())).collect();
        let copy = source.replace(text, &crontab::comment_out(text, &comments))?;
        let lines = counted(tasks.len() as u64, "line");
        writeln!(out, "{}", visible(&format!("{}: {lines} taken over, the old crontab is {}", source.shown(), copy.display())))?;
    }
    let is_meant =
        |task: &&Definition| is_half_done(task) && (done.contains(&task.name) || tasks.values().any(|own| own.name == task.name));
    let resumed: Vec<_> = there.values().chain(new).filter(is_meant).map(finished).collect();
    for task in &resumed {
        keeper.put(task)?;
        writeln!(out, "{}", visible(&format!("resumed {}", task.name)))?;
    }
    keeper.wait_for(&resumed)
}

fn is_half_done(task: &Definition) -> bool {
    task.paused && task.tags.iter().any(|tag| tag == TAG)
}

/// The definition of a task after its line is taken over.
fn finished(task: &Definition) -> Definition {
    let tags = task.tags.iter().filter(|tag| *tag != TAG).cloned().collect();
    Definition { paused: false, tags, ..task.clone() }
}

/// Chooses the names of tasks.
struct Names<'a> {
    there: &'a BTreeMap<String, Definition>,
    /// Names that were given to lines.
    given: BTreeSet<String>,
}

impl Names<'_> {
    fn read<'a>(&mut self, source: &'a Source) -> anyhow::Result<Read<'a>> {
        let text = source.read()?;
        let found = crontab::read(&text, source.form(), &BTreeSet::new());
        let done = crontab::commented_out(&text);
        let mut tasks = BTreeMap::new();
        for (line, task) in found.tasks {
            let name = self.name(&task);
            self.given.insert(name.clone());
            tasks.insert(line, Definition { name, ..task });
        }
        Ok(Read { source, mistakes: super::tell(source, &found.mistakes)?, text, tasks, done })
    }

    /// The name of the task that an earlier run created for the line, or else a free name.
    fn name(&self, task: &Definition) -> String {
        let is_same = |other: &Definition| Definition { name: task.name.clone(), ..finished(other) } == *task;
        let own = self.there.values().find(|other| is_same(other) && !self.given.contains(&other.name));
        if let Some(own) = own {
            return own.name.clone();
        }
        let is_free = |name: &String| !self.there.contains_key(name) && !self.given.contains(name);
        let numbered = (2..).map(|number| format!("{}-{number}", task.name));
        std::iter::once(task.name.clone()).chain(numbered).find(is_free).expect("numbers don't end")
    }
}

/// Waits until the minute is some seconds old.
fn wait_for_quiet() {
    while !QUIET.contains(&jiff::Zoned::now().second()) {
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
}
