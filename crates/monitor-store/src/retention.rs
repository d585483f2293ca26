//! Rules for how long trees are kept.

use std::fmt;
use std::time::Duration;

use globset::{Glob, GlobMatcher};
use monitor_tasks::reading::did_you_mean;
use monitor_wire::{KeepRule, State};
use serde::Deserialize;

/// Rules for dropping trees. Running and pinned trees are never dropped.
#[derive(Debug, Clone, Default)]
pub struct Retention {
    /// Rules in order of priority: the first that matches a tree applies to it.
    pub rules: Vec<Rule>,
    /// Maximum size of the database in bytes. While it is larger, the oldest trees are dropped.
    pub size: Option<u64>,
}

/// Limits for trees with certain names, batch marks and outcomes. Without limits, these trees are kept permanently.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Pattern that the root's name must match.
    pub name: Pattern,
    /// Pattern that the root's batch mark must match. `None` matches trees with any mark or none. Such a rule has no `count`.
    pub batch: Option<Pattern>,
    /// Final states of the root. An empty list matches every state.
    pub states: Vec<State>,
    /// Maximum age of a tree. The age is counted from its latest batch, by the server's clock.
    pub age: Option<Duration>,
    /// Number of trees of each name to keep, the newest.
    pub count: Option<u64>,
}

/// Pattern for names or batch marks, with `*`, `?`, `[a-z]` and `{a,b}` as in a shell.
#[derive(Debug, Clone)]
pub struct Pattern(GlobMatcher);

impl Pattern {
    /// Returns the pattern that matches every name.
    pub fn any() -> Self {
        Self(Glob::new("*").expect("a pattern").compile_matcher())
    }
}

impl Retention {
    /// Creates the retention from settings. `rules` have priority; the other limits apply to trees that match none of them.
    pub fn new(mut rules: Vec<Rule>, age: Option<Duration>, failed_age: Option<Duration>, count: Option<u64>, size: Option<u64>) -> Self {
        if failed_age.is_some() {
            rules.push(Rule { states: vec![State::FAILED, State::LOST], age: failed_age, count, ..Rule::any() });
        }
        if age.is_some() || count.is_some() {
            rules.push(Rule { age, count, ..Rule::any() });
        }
        Self { rules, size }
    }

    /// Returns true if no tree is ever dropped.
    pub fn keeps_all(&self) -> bool {
        self.size.is_none() && self.rules.iter().all(|rule| rule.age.is_none() && rule.count.is_none())
    }

    /// Returns true if there are limits that new data can exceed, and not only limits on age.
    pub fn has_caps(&self) -> bool {
        self.size.is_some() || self.rules.iter().any(|rule| rule.count.is_some())
    }

    /// Returns the maximum age of any tree. Returns `None` if some trees have no maximum age.
    pub fn longest(&self) -> Option<Duration> {
        let ages: Option<Vec<Duration>> = self.rules.iter().map(|rule| rule.age).collect();
        ages.filter(|_| self.is_for_all()).into_iter().flatten().max()
    }

    /// Returns true if every tree matches a rule.
    fn is_for_all(&self) -> bool {
        self.rules.iter().any(|rule| rule.states.is_empty() && rule.batch.is_none() && rule.name.0.glob().glob() == "*")
    }

    /// Returns the indexes of the rules that can apply to trees whose root has this name and ended in this state, in order of priority. Only
    /// the last of them can be for every batch mark.
    pub fn rules_of(&self, name: &str, state: &State) -> Vec<usize> {
        let matches = |rule: &Rule| rule.name.0.is_match(name) && (rule.states.is_empty() || rule.states.contains(state));
        let mut is_decided = false;
        let rules = self.rules.iter().enumerate().filter(|(_, rule)| matches(rule));
        rules.take_while(|(_, rule)| !std::mem::replace(&mut is_decided, rule.batch.is_none())).map(|(place, _)| place).collect()
    }

    /// Returns the rule that applies to a tree with this batch mark, of those that [`rules_of`](Self::rules_of) has returned.
    pub fn first_for(&self, rules: &[usize], batch: Option<&str>) -> Option<usize> {
        let is_for = |rule: &Rule| rule.batch.as_ref().is_none_or(|pattern| batch.is_some_and(|batch| pattern.0.is_match(batch)));
        rules.iter().copied().find(|place| is_for(&self.rules[*place]))
    }

    /// Returns the index of the rule for trees whose root has this name and batch mark and ended in this state.
    pub fn rule_of(&self, name: &str, batch: Option<&str>, state: &State) -> Option<usize> {
        self.first_for(&self.rules_of(name, state), batch)
    }
}

impl Rule {
    /// Returns the rule that keeps every tree permanently.
    fn any() -> Self {
        Self { name: Pattern::any(), batch: None, states: Vec::new(), age: None, count: None }
    }

    /// Returns the rule that keeps trees with exactly this batch mark for a time, if they ended in one of these states, or in any for none.
    pub fn of_batch(batch: &str, states: Vec<State>, age: Duration) -> Self {
        let pattern = Glob::new(&globset::escape(batch)).expect("an escaped text is a pattern").compile_matcher();
        Self { batch: Some(Pattern(pattern)), states, age: Some(age), ..Self::any() }
    }

    /// Returns the rule as the API shows it.
    pub fn told(&self) -> KeepRule {
        let text = |pattern: &Pattern| pattern.0.glob().glob().to_owned();
        let (name, batch) = (text(&self.name), self.batch.as_ref().map(text));
        KeepRule { name, batch, states: self.states.clone(), age_s: self.age.map(|age| age.as_secs()), count: self.count }
    }
}

impl fmt::Display for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<String> = self.rules.iter().map(ToString::to_string).collect();
        // Trees that match no rule.
        if !self.is_for_all() {
            parts.push(if parts.is_empty() { "all runs".to_owned() } else { "all others".to_owned() });
        }
        if let Some(size) = self.size {
            parts.push(format!("the newest that fit into {}", bytes(size)));
        }
        f.write_str(&parts.join("; "))
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let states: Vec<_> = self.states.iter().map(State::as_str).collect();
        let which = if states.is_empty() { "runs".to_owned() } else { format!("{} runs", states.join(" and ")) };
        let name = self.name.0.glob().glob();
        let marked = self.batch.as_ref().map(|batch| format!(" with the batch mark {}", batch.0.glob().glob())).unwrap_or_default();
        let named = if name == "*" { marked } else { format!(" named {name}{marked}") };
        match (self.age, self.count) {
            (None, None) => write!(f, "{which}{named} for ever"),
            (Some(age), None) => write!(f, "{which}{named} for {}", monitor_duration::write(age)),
            (None, Some(count)) => write!(f, "the newest {count} {which} of each name{named}"),
            (Some(age), Some(count)) => {
                write!(f, "the newest {count} {which} of each name{named} for {}", monitor_duration::write(age))
            }
        }
    }
}

/// Formats a number of bytes in the largest fitting unit.
pub fn bytes(bytes: u64) -> String {
    let units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let unit = (0..units.len()).rev().find(|unit| bytes >= 1 << (10 * unit)).unwrap_or(0);
    let figure = format!("{:.1}", bytes as f64 / f64::from(1 << (10 * unit.min(3))) / if unit == 4 { 1024.0 } else { 1.0 });
    format!("{} {}", figure.trim_end_matches(".0"), units[unit])
}

/// A rule as written in the settings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    batch: Option<String>,
    #[serde(default)]
    state: Vec<String>,
    #[serde(default)]
    age: Option<String>,
    #[serde(default)]
    count: Option<u64>,
}

/// Parses rules: `[{ name = "nightly*", state = ["failed"], age = "90d", count = 100 }]`.
///
/// # Errors
/// Returns a message that names the invalid rule and the reason.
pub fn read_rules(text: &str) -> Result<Vec<Rule>, String> {
    #[derive(Deserialize)]
    struct All {
        rules: Vec<Written>,
    }
    let expected = "expected rules like [{ name = \"nightly*\", state = [\"failed\"], age = \"90d\", count = 100 }]";
    let all: All = toml::from_str(&format!("rules = {text}")).map_err(|error| format!("{}; {expected}", error.message()))?;
    let rule = |(place, written): (usize, Written)| {
        let wrong = |what: String| format!("rule {}: {what}", place + 1);
        let pattern = |key: &str, text: &str| {
            let glob = Glob::new(text).map_err(|error| wrong(format!("{key} = {text:?}: {}", error.kind())))?;
            Ok::<_, String>(Pattern(glob.compile_matcher()))
        };
        let name = pattern("name", written.name.as_deref().unwrap_or("*"))?;
        let batch = written.batch.as_deref().map(|text| pattern("batch", text)).transpose()?;
        if batch.is_some() && written.count.is_some() {
            return Err(wrong("count: a rule for batch marks can only limit the age".to_owned()));
        }
        let known = [State::SUCCEEDED, State::FAILED, State::CANCELLED, State::LOST];
        for state in &written.state {
            let is_known = known.iter().any(|known| known.as_str() == state);
            let near = did_you_mean(state, known.iter().map(State::as_str));
            if !is_known && !near.is_empty() {
                return Err(wrong(format!("state = {state:?}: there is no such outcome{near}")));
            }
            if [State::RUNNING, State::PENDING].iter().any(|open| open.as_str() == state) {
                return Err(wrong(format!("state = {state:?}: what has not ended is always kept")));
            }
            if state.is_empty() {
                let known: Vec<_> = known.iter().map(State::as_str).collect();
                return Err(wrong(format!("state = \"\": expected an outcome, like {}", known.join(", "))));
            }
            if !is_known {
                tracing::warn!("retention: rule {} is for runs whose root ended as {state:?}, an outcome of a program's own", place + 1);
            }
        }
        let age = written
            .age
            .as_deref()
            .map(|age| monitor_duration::read_positive(age).map_err(|expected| wrong(format!("age: {age:?}: {expected}"))))
            .transpose()?;
        Ok(Rule { name, batch, states: written.state.iter().map(|state| State::from(state.as_str())).collect(), age, count: written.count })
    };
    all.rules.into_iter().enumerate().map(rule).collect()
}

/// Formats rules in the syntax that [`read_rules`] parses.
pub fn show_rules(rules: &[Rule]) -> String {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let rule = |rule: &Rule| {
        let mut parts = vec![format!("name = {}", quoted(rule.name.0.glob().glob()))];
        parts.extend(rule.batch.as_ref().map(|batch| format!("batch = {}", quoted(batch.0.glob().glob()))));
        if !rule.states.is_empty() {
            let states: Vec<_> = rule.states.iter().map(|state| quoted(state.as_str())).collect();
            parts.push(format!("state = [{}]", states.join(", ")));
        }
        parts.extend(rule.age.map(|age| format!("age = {}", quoted(&monitor_duration::write(age)))));
        parts.extend(rule.count.map(|count| format!("count = {count}")));
        format!("{{ {} }}", parts.join(", "))
    };
    let rules: Vec<_> = rules.iter().map(rule).collect();
    if rules.is_empty() { String::new() } else { format!("[{}]", rules.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn the_first_rule_that_matches_a_tree_decides() {
        let rules =
            r#"[{ name = "nightly*", state = ["failed"], age = "90d" }, { name = "nightly*", count = 5 }, { name = "{tmp,test} ?" }]"#;
        let retention = Retention::new(read_rules(rules).unwrap(), Some(DAY), Some(7 * DAY), None, Some(3 << 30));
        for (name, state, expected) in [
            ("nightly build", State::FAILED, 0),
            ("nightly", State::SUCCEEDED, 1),
            ("tmp 1", State::FAILED, 2),
            ("tmp 12", State::FAILED, 3),
            ("other", State::LOST, 3),
            ("other", State::CANCELLED, 4),
            ("", State::from("skipped"), 4),
        ] {
            assert_eq!(retention.rule_of(name, None, &state), Some(expected), "{name} {state}");
        }
        assert_eq!(
            retention.to_string(),
            "failed runs named nightly* for 90d; the newest 5 runs of each name named nightly*; runs named {tmp,test} ? for ever; \
             failed and lost runs for 7d; runs for 1d; the newest that fit into 3 GiB"
        );
        assert!(!retention.keeps_all());
    }

    #[test]
    fn a_rule_for_a_batch_mark_leaves_other_trees_to_the_next_rules() {
        let mut rules = read_rules(r#"[{ batch = "order*", state = ["failed"], age = "30d" }, { batch = "orders", age = "7d" }]"#).unwrap();
        rules.push(Rule::of_batch("a*b", Vec::new(), DAY));
        let retention = Retention::new(rules, Some(2 * DAY), None, Some(5), None);
        for (batch, state, expected) in [
            (Some("orders"), State::FAILED, 0),
            (Some("orders"), State::SUCCEEDED, 1),
            (Some("order 2"), State::SUCCEEDED, 3),
            (Some("a*b"), State::FAILED, 2),
            (Some("axb"), State::FAILED, 3),
            (None, State::FAILED, 3),
        ] {
            assert_eq!(retention.rule_of("any", batch, &state), Some(expected), "{batch:?} {state}");
        }
        assert_eq!(
            retention.to_string(),
            "failed runs with the batch mark order* for 30d; runs with the batch mark orders for 7d; runs with the batch mark a[*]b for \
             1d; the newest 5 runs of each name for 2d"
        );
        assert_eq!(retention.longest(), Some(30 * DAY));
        let only = Retention::new(read_rules(r#"[{ batch = "*", age = "7d" }]"#).unwrap(), None, None, None, None);
        assert_eq!((only.longest(), only.rule_of("any", None, &State::FAILED)), (None, None), "runs without a mark are kept permanently");
    }

    #[test]
    fn without_limits_all_is_kept() {
        let retention = Retention::new(Vec::new(), None, None, None, None);
        assert!(retention.keeps_all());
        assert_eq!(retention.to_string(), "all runs");
        assert_eq!(Retention::new(Vec::new(), None, Some(DAY), None, None).to_string(), "failed and lost runs for 1d; all others");
    }

    #[test]
    fn rules_are_read_as_they_are_shown() {
        let text = r#"[{ name = "a \"b\" *", batch = "{c,d}", age = "1d" }, { name = "a \"b\" *", state = ["failed", "lost"], age = "90d", count = 100 }, { name = "*", age = "12h" }]"#;
        let shown = show_rules(&read_rules(text).unwrap());
        assert_eq!(shown, show_rules(&read_rules(&shown).unwrap()));
        assert!(shown.contains("count = 100") && shown.contains("12h"), "{shown}");
    }

    #[test]
    fn a_custom_outcome_may_have_a_rule() {
        let rules = read_rules("[{ state = [\"skipped\", \"blocked\"], age = \"1d\" }]").unwrap();
        assert_eq!(rules[0].states, [State::from("skipped"), State::from("blocked")]);
    }

    #[test]
    fn invalid_rules_are_named() {
        for (text, words) in [
            ("", "expected rules like"),
            ("[1]", "expected rules like"),
            ("[{ named = \"x\" }]", "named"),
            ("[{ count = -1 }]", "expected rules like"),
            ("[{ age = \"1d\" }, { age = \"long\" }]", "rule 2: age: \"long\": expected a duration"),
            ("[{ name = \"[\" }]", "rule 1: name = \"[\""),
            ("[{ batch = \"[\" }]", "rule 1: batch = \"[\""),
            ("[{ batch = \"x\", count = 3 }]", "rule 1: count: a rule for batch marks can only limit the age"),
            ("[{ state = [\"running\"] }]", "what has not ended is always kept"),
            ("[{ state = [\"\"] }]", "expected an outcome"),
            ("[{ state = [\"lost\", \"faild\"] }]", "rule 1: state = \"faild\": there is no such outcome; did you mean failed?"),
            ("[{ state = [\"Failed\"] }]", "did you mean failed?"),
            ("[{ state = [\"success\"] }]", "did you mean succeeded?"),
            ("[{ state = [\"canceled\"] }]", "did you mean cancelled?"),
            ("[{ state = [\"lots\"] }]", "did you mean lost?"),
        ] {
            let error = read_rules(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
