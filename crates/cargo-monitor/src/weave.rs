//! Inserts attributes into the text of a source file. Line numbers, and the columns of all code that recorded positions refer to, stay
//! unchanged.

use std::collections::BTreeMap;

use crate::config::{Rule, TaskKind};
use crate::source::{Function, SourceFile};

/// Restriction for a function, found when the compiler refused the full weaving.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Limit {
    /// Woven without a closure around the body.
    Guard,
    /// Not woven.
    Out,
}

/// Kind of the inserted attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Attributes {
    /// Attributes of the woven runtime.
    Woven,
    /// Attributes of the project's own `monitor-client`, which the crate knows by this name.
    Client(String),
}

/// The text of a file with the inserted attributes.
#[derive(Debug)]
pub(crate) struct Woven {
    pub(crate) text: String,
    /// Each inserted text.
    pub(crate) inserted: Vec<String>,
    /// Number of woven functions.
    pub(crate) count: usize,
}

/// Returns the rule for a function: the first that accepts it.
pub(crate) fn rule_for<'a>(rules: &'a [Rule], function: &Function) -> Option<&'a Rule> {
    rules.iter().find(|rule| rule.takes(function))
}

/// Weaves a file; `None` if it has no function to weave.
pub(crate) fn weave(file: &SourceFile, rules: &[Rule], limits: &BTreeMap<String, Limit>, attributes: &Attributes) -> Option<Woven> {
    let mut insertions: Vec<(usize, String)> = Vec::new();
    for function in file.functions.iter().filter(|function| function.obstacle.is_none()) {
        let limit = limits.get(&key(function));
        if let Some(rule) = rule_for(rules, function).filter(|_| limit != Some(&Limit::Out)) {
            insertions.push((function.place, attribute(function, rule, limit.is_some(), attributes)));
        }
    }
    if insertions.is_empty() {
        return None;
    }
    insertions.sort_by_key(|(place, _)| *place);
    let (mut text, mut from) = (String::with_capacity(file.text.len() + insertions.len() * 80), 0);
    for (place, insertion) in &insertions {
        text.push_str(&file.text[from..*place]);
        text.push_str(insertion);
        from = *place;
    }
    text.push_str(&file.text[from..]);
    Some(Woven { text, count: insertions.len(), inserted: insertions.into_iter().map(|(_, insertion)| insertion).collect() })
}

/// Returns true if only the outermost call is recorded when calls of the function are nested.
pub(crate) fn is_outermost(function: &Function, rule: &Rule) -> bool {
    function.is_recursive && !function.is_async && !rule.names_it()
}

/// Returns a key that is unique also for functions of the same path, such as methods in two impls.
pub(crate) fn key(function: &Function) -> String {
    format!("{}:{}", function.path, function.line)
}

fn attribute(function: &Function, rule: &Rule, is_guarded: bool, attributes: &Attributes) -> String {
    let name = rule.name.as_deref().unwrap_or_else(|| function.shown());
    let batch = rule.batch.as_ref().filter(|batch| rule.kind == TaskKind::Root && function.parameters.contains(batch));
    let batch = batch.map_or_else(String::new, |batch| format!(", batch = {batch:?}"));
    match attributes {
        Attributes::Woven => {
            let guard = if is_guarded { ", guard" } else { "" };
            let outermost = if is_outermost(function, rule) { ", outermost" } else { "" };
            format!("#[::monitor_woven::woven({}{guard}{outermost}, {name:?}{batch})]", rule.kind.word())
        }
        Attributes::Client(client) => format!("#[::{client}::{}({name:?}{batch}, crate = ::{client})]", rule.kind.attribute()),
    }
}
