//! Reads a definition from its values and reports all mistakes.

use std::collections::BTreeMap;

use super::{
    Bucket, Definition, Expect, Hooks, Keep, Limits, Meaning, Missed, MissedPolicy, Overlap, Program, Retention, Retry, Target, Then,
    Variable,
};
use crate::Rule;
use crate::reading::{Found, Mistake, Reader, Source, Table, did_you_mean, shown};
use serde_json::Value;

/// Maximum number of rules of a task.
const MOST_RULES: usize = 100;

const MEANINGS: [(&str, Meaning); 5] =
    [("ok", Meaning::Ok), ("warn", Meaning::Warn), ("fail", Meaning::Fail), ("retry", Meaning::Retry), ("idle", Meaning::Idle)];
const POLICIES: [(&str, MissedPolicy); 3] = [("skip", MissedPolicy::Skip), ("once", MissedPolicy::Once), ("all", MissedPolicy::All)];

pub(super) fn definition(source: &Source) -> Result<Definition, Vec<Mistake>> {
    let mut reader = Reader::new(source);
    let read = reader.top().map(|table| reader.definition(table));
    reader.finish(read)
}

impl<'a> Reader<'a> {
    fn definition(&mut self, mut table: Table<'a>) -> Definition {
        let name = if let Some(found) = table.get("name") {
            self.name(found).unwrap_or_default()
        } else {
            self.wrong("", "a name is missing: name = \"gold\"");
            String::new()
        };
        let definition = Definition {
            program: self.program(&mut table),
            rules: self.rules(table.get("rules"), &name),
            name,
            zone: self.zone(table.get("zone")),
            on: self.names(table.get("on")),
            paused: table.get("paused").and_then(|found| self.truth(found)).unwrap_or_default(),
            timeout: self.duration(table.get("timeout")),
            kill_after: self.duration(table.get("kill-after")),
            start_within: self.duration(table.get("start-within")),
            jitter: self.duration(table.get("jitter")),
            owner: self.owner(table.get("owner")),
            user: self.maybe_text(table.get("user")),
            tags: self.texts(table.get("tags")),
            env: self.env(table.get("env")),
            missed: table.get("missed").and_then(|found| self.missed(found)).unwrap_or_default(),
            overlap: table.get("overlap").and_then(|found| self.overlap(found)).unwrap_or_default(),
            retry: table.get("retry").and_then(|found| self.retry(found)),
            quiet: self.quiet(table.get("quiet")),
            lock: table.get("lock").and_then(|found| self.name(found)),
            exit: self.exit(table.get("exit")),
            expect: table.get("expect").and_then(|found| self.expect(found)),
            then: table.get("then").and_then(|found| self.then(found)).unwrap_or_default(),
            limits: table.get("limits").and_then(|found| self.limits(found)).unwrap_or_default(),
            hooks: table.get("hooks").and_then(|found| self.hooks(found)).unwrap_or_default(),
            retention: table.get("retention").and_then(|found| self.retention(found)).unwrap_or_default(),
            publish: self.publish(table.get("publish")),
            config: table
                .get("config")
                .and_then(|found| self.table(found))
                .map(|table| table.all().map(|(key, (_, value))| (key.clone(), value.clone())).collect())
                .unwrap_or_default(),
        };
        if let (Some(timeout), Some(kill_after)) = (definition.timeout, definition.kill_after)
            && kill_after < timeout
        {
            self.wrong("/kill-after", "a run is ended before its timeout is told of: kill-after is to be longer than timeout");
        }
        self.end(&table);
        definition
    }

    /// Reads a single owner, or a list of owners.
    fn owner(&mut self, found: Option<Found<'a>>) -> Vec<String> {
        match found {
            Some((_, Value::Array(_))) => self.texts(found),
            one => self.maybe_text(one).into_iter().collect(),
        }
    }

    fn program(&mut self, table: &mut Table<'a>) -> Program {
        match (table.get("command"), table.get("shell")) {
            (Some(_), Some((path, _))) => {
                self.wrong_key(&path, "command and shell don't stand together: leave one out");
                Program::Folder {}
            }
            (Some(found), None) => Program::Command { command: self.command(found) },
            (None, Some(found)) => {
                let path = found.0.clone();
                let Some(shell) = self.maybe_text(Some(found)) else { return Program::Folder {} };
                self.check_word(&path, &shell);
                Program::Shell { shell }
            }
            (None, None) => Program::Folder {},
        }
    }

    fn rules(&mut self, found: Option<Found<'a>>, name: &str) -> Vec<String> {
        let Some(found) = found else { return Vec::new() };
        let path = found.0.clone();
        let items = self.list(found);
        if items.len() > MOST_RULES {
            self.wrong(&path, format!("a task has at most {MOST_RULES} rules"));
            return Vec::new();
        }
        let mut rules = Vec::new();
        for item in items {
            let path = item.0.clone();
            let Some(text) = self.text(item) else { continue };
            match Rule::parse(text, name) {
                Ok(rule) => rules.push(rule.text().to_owned()),
                Err(error) => {
                    let field = error.field.map_or(String::new(), |field| format!("{field}: "));
                    self.wrong_within(&path, error.column, field + &error.message);
                }
            }
        }
        rules
    }

    fn env(&mut self, found: Option<Found<'a>>) -> BTreeMap<String, Variable> {
        let Some(table) = found.and_then(|found| self.table(found)) else { return BTreeMap::new() };
        let mut variables = BTreeMap::new();
        for (name, found) in table.all() {
            if name.is_empty() || name.contains(['=', '\0']) {
                self.wrong_key(&found.0, "a name of a variable without `=` is expected");
            }
            if let Some(value) = found.1.as_str() {
                if value.contains('\0') {
                    self.wrong(&found.0, "a text without NUL is expected");
                }
                variables.insert(name.clone(), Variable::Value(value.to_owned()));
            } else if let Some(variable) = self.reference(found) {
                variables.insert(name.clone(), variable);
            }
        }
        variables
    }

    fn missed(&mut self, found: Found<'a>) -> Option<Missed> {
        if found.1.is_string() {
            return self.word(found, &POLICIES).map(|policy| Missed { policy, ..Missed::default() });
        }
        let mut table = self.table(found)?;
        let mut missed = Missed::default();
        if let Some(policy) = table.get("policy").and_then(|found| self.word(found, &POLICIES)) {
            missed.policy = policy;
        }
        missed.within = self.duration(table.get("within")).unwrap_or(missed.within);
        if let Some(found) = table.get("cap") {
            if missed.policy != MissedPolicy::All {
                self.wrong_key(&found.0, "cap belongs to the policy all");
            }
            missed.cap = self.number(found, 1);
        }
        self.end(&table);
        Some(missed)
    }

    fn overlap(&mut self, found: Found<'a>) -> Option<Overlap> {
        let path = found.0.clone();
        let text = self.text(found)?;
        let mut words = text.split_whitespace();
        let (word, count, rest) = (words.next().unwrap_or_default(), words.next(), words.next());
        let number = count.and_then(|count| count.parse().ok()).filter(|count| (1..=1_000).contains(count));
        match (word, count, number, rest) {
            ("skip", None, ..) => Some(Overlap::Skip),
            ("replace", None, ..) => Some(Overlap::Replace),
            ("allow", _, Some(count), None) => Some(Overlap::Allow(count)),
            ("queue", _, Some(count), None) => Some(Overlap::Queue(count)),
            _ => {
                let hint = if matches!(word, "allow" | "queue" | "skip" | "replace") {
                    String::new()
                } else {
                    did_you_mean(word, ["skip", "allow", "queue", "replace"])
                };
                self.wrong(
                    &path,
                    format!("{:?}: skip, replace, or allow or queue with a number such as `queue 3` is expected{hint}", shown(text)),
                );
                None
            }
        }
    }

    fn retry(&mut self, found: Found<'a>) -> Option<Retry> {
        let path = found.0.clone();
        let mut table = self.table(found)?;
        let times = table.get("times");
        let backoff = self.duration(table.get("backoff")).unwrap_or(std::time::Duration::from_secs(60));
        self.end(&table);
        if times.is_none() {
            self.wrong(&path, "times is missing: retry = { times = 3, backoff = \"1m\" }");
        }
        self.number(times?, 1).map(|times| Retry { times, backoff })
    }

    /// Reads quiet hours such as `22:00-06:00`.
    fn quiet(&mut self, found: Option<Found<'a>>) -> Vec<String> {
        let Some(found) = found else { return Vec::new() };
        let is_time = |text: &str| matches!(text.as_bytes(), [h1 @ b'0'..=b'2', h2 @ b'0'..=b'9', b':', b'0'..=b'5', b'0'..=b'9'] if (*h1, *h2) < (b'2', b'4'));
        let mut windows = Vec::new();
        for item in self.list(found) {
            let path = item.0.clone();
            let Some(text) = self.text(item) else { continue };
            match text.split_once('-') {
                Some((from, to)) if is_time(from) && is_time(to) && from != to => windows.push(text.to_owned()),
                _ => self.wrong(&path, format!("{:?}: times of the day such as 22:00-06:00 are expected", shown(text))),
            }
        }
        windows
    }

    fn exit(&mut self, found: Option<Found<'a>>) -> BTreeMap<u8, Meaning> {
        let Some(table) = found.and_then(|found| self.table(found)) else { return BTreeMap::new() };
        let mut meanings = BTreeMap::new();
        for (code, found) in table.all() {
            match code.parse::<u8>().ok().filter(|number| number.to_string() == *code) {
                Some(number) => meanings.extend(self.word(found, &MEANINGS).map(|meaning| (number, meaning))),
                None => self.wrong_key(&found.0, format!("{:?} is no exit code: 0 to 255", shown(code))),
            }
        }
        meanings
    }

    fn expect(&mut self, found: Found<'a>) -> Option<Expect> {
        let mut table = self.table(found)?;
        let expect = Expect {
            min_duration: self.duration(table.get("min-duration")),
            published: table.get("published").and_then(|found| self.number(found, 1)),
            output_lacks: self.maybe_text(table.get("output-lacks")),
            output_has: self.maybe_text(table.get("output-has")),
        };
        self.end(&table);
        Some(expect)
    }

    fn then(&mut self, found: Found<'a>) -> Option<Then> {
        let mut table = self.table(found)?;
        let then = Then { success: self.names(table.get("success")), fail: self.names(table.get("fail")) };
        self.end(&table);
        Some(then)
    }

    fn limits(&mut self, found: Found<'a>) -> Option<Limits> {
        let mut table = self.table(found)?;
        let limits = Limits {
            memory: self.bytes(table.get("memory")),
            cpu: self.duration(table.get("cpu")),
            nice: table.get("nice").and_then(|found| self.nice(found)),
        };
        self.end(&table);
        Some(limits)
    }

    fn nice(&mut self, (path, value): Found<'a>) -> Option<u8> {
        let nice = value.as_u64().filter(|nice| *nice <= 19);
        if nice.is_none() {
            self.wrong(&path, "a whole number from 0 to 19 is expected");
        }
        nice.map(|nice| nice as u8)
    }

    fn hooks(&mut self, found: Found<'a>) -> Option<Hooks> {
        let mut table = self.table(found)?;
        let (before, after) = (table.get("before"), table.get("after"));
        let mut command = |found: Option<Found<'a>>| found.map(|found| self.command(found)).unwrap_or_default();
        let hooks = Hooks { before: command(before), after: command(after) };
        self.end(&table);
        Some(hooks)
    }

    fn retention(&mut self, found: Found<'a>) -> Option<Retention> {
        let mut table = self.table(found)?;
        let (logs, history) = (table.get("logs"), table.get("history"));
        let retention = Retention { logs: self.keep(logs), history: self.keep(history) };
        self.end(&table);
        Some(retention)
    }

    fn keep(&mut self, found: Option<Found<'a>>) -> Keep {
        let Some(mut table) = found.and_then(|found| self.table(found)) else { return Keep::default() };
        let keep = Keep {
            age: self.duration(table.get("age")),
            size: self.bytes(table.get("size")),
            count: table.get("count").and_then(|found| self.number(found, 1)),
        };
        self.end(&table);
        keep
    }

    fn publish(&mut self, found: Option<Found<'a>>) -> BTreeMap<String, Target> {
        let Some(table) = found.and_then(|found| self.table(found)) else { return BTreeMap::new() };
        let mut targets = BTreeMap::new();
        for (name, found) in table.all() {
            let path = found.0.clone();
            let Some(mut table) = self.table(found) else { continue };
            let target = match (table.get("folder"), table.get("s3"), table.get("command")) {
                (Some(folder), None, None) => self.maybe_text(Some(folder)).map(|folder| Target::Folder { folder }),
                (None, Some(s3), None) => self.bucket(s3, &mut table).map(Target::S3),
                (None, None, Some(command)) => Some(Target::Command { command: self.command(command) }),
                _ => {
                    self.wrong(&path, "one of folder, s3 and command is expected");
                    None
                }
            };
            self.end(&table);
            targets.extend(target.map(|target| (name.clone(), target)));
        }
        targets
    }

    /// Reads a bucket with the other keys of its table.
    fn bucket(&mut self, s3: Found<'a>, table: &mut Table<'a>) -> Option<Bucket> {
        let path = s3.0.clone();
        let [access_key, secret_key] = ["access-key", "secret-key"].map(|name| table.get(name));
        let both = (access_key.is_some(), secret_key.is_some());
        let bucket = Bucket {
            s3: self.maybe_text(Some(s3)).unwrap_or_default(),
            region: self.maybe_text(table.get("region")),
            endpoint: self.endpoint(table.get("endpoint")),
            access_key: access_key.and_then(|found| self.reference(found)),
            secret_key: secret_key.and_then(|found| self.reference(found)),
            timeout: self.duration(table.get("timeout")),
        };
        if super::bucket(&bucket.s3).is_none() {
            self.wrong(&path, format!("{:?} is no address of a bucket such as s3://bucket/prefix", shown(&bucket.s3)));
            return None;
        }
        if both.0 != both.1 {
            self.wrong(&path, "access-key and secret-key are expected together, or neither of them");
            return None;
        }
        Some(bucket)
    }

    fn endpoint(&mut self, found: Option<Found<'a>>) -> Option<String> {
        let path = found.as_ref()?.0.clone();
        let text = self.maybe_text(found)?;
        if !["http://", "https://"].iter().any(|scheme| text.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()))
            || text.contains('@')
        {
            self.wrong(&path, "an address such as https://s3.example.org is expected, without a password in it");
            return None;
        }
        Some(text)
    }
}
