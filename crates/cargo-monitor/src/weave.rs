//! Inserts attributes into the text of a file, so that no line moves, and no column of a line that a function stands on.

use std::collections::BTreeMap;

use crate::config::{Rule, TaskKind};
use crate::source::{Function, SourceFile};

/// How far a function can be woven, as was found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Limit {
    /// Without a closure around its body.
    Guard,
    /// Not at all.
    Out,
}

/// Whose attributes are inserted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Attributes {
    /// Those of the woven runtime.
    Woven,
    /// Those of the project's own `monitor-client`, by this name.
    Client(String),
}

/// A file with what was inserted.
#[derive(Debug)]
pub(crate) struct Woven {
    pub(crate) text: String,
    /// Each text that was inserted.
    pub(crate) inserted: Vec<String>,
    /// How many functions.
    pub(crate) count: usize,
}

/// The rule that decides about a function.
pub(crate) fn rule_for<'a>(rules: &'a [Rule], function: &Function) -> Option<&'a Rule> {
    rules.iter().find(|rule| rule.takes(function))
}

/// Weaves a file; `None` if nothing of it is to be woven.
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

/// Returns true if a function's calls within each other are not recorded, but for the outermost one.
pub(crate) fn is_outermost(function: &Function, rule: &Rule) -> bool {
    function.is_recursive && !function.is_async && !rule.names_it()
}

/// Tells functions of the same path apart, as those of two impls.
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
