//! Checks across several definitions.

use std::collections::{BTreeMap, BTreeSet};

use super::Definition;
use crate::near::did_you_mean;

/// Maximum number of mistakes with a hint.
const MOST_HINTS: usize = 100;

/// Checks definitions that are used together. Each mistake contains the index of its definition in `book` and the JSON pointer of the
/// value. Mistakes are duplicate names, unknown tasks in `then`, and tasks that start one another in a cycle.
pub fn check_book(book: &[Definition]) -> Vec<(usize, String, String)> {
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    let mut mistakes = Vec::new();
    for (index, definition) in book.iter().enumerate() {
        if places.contains_key(definition.name.as_str()) {
            mistakes.push((index, "/name".to_owned(), format!("there is another task {}", definition.name)));
        } else {
            places.insert(&definition.name, index);
        }
    }
    for (index, definition) in book.iter().enumerate() {
        for (path, name) in followers(definition) {
            if !places.contains_key(name) {
                // Creating a hint compares all names of the book, so the number of hints is limited.
                let hint = if mistakes.len() < MOST_HINTS { did_you_mean(name, places.keys().copied()) } else { String::new() };
                mistakes.push((index, path, format!("there is no task {name}{hint}")));
            }
        }
    }
    mistakes.extend(cycles(book, &places));
    mistakes
}

/// Checks that the agents named in definitions exist. Each mistake contains the index of its definition in `book` and the JSON pointer of
/// the name.
pub fn check_agents(book: &[Definition], agents: &[&str]) -> Vec<(usize, String, String)> {
    let mut mistakes = Vec::new();
    for (index, definition) in book.iter().enumerate() {
        for (nth, agent) in definition.on.iter().enumerate().filter(|(_, agent)| !agents.contains(&agent.as_str())) {
            let hint = if mistakes.len() < MOST_HINTS { did_you_mean(agent, agents.iter().copied()) } else { String::new() };
            mistakes.push((index, format!("/on/{nth}"), format!("there is no agent {agent}{hint}")));
        }
    }
    mistakes
}

/// Returns the tasks started by a definition, with the JSON pointers of their names.
fn followers(definition: &Definition) -> impl Iterator<Item = (String, &str)> {
    let lists = [("success", &definition.then.success), ("fail", &definition.then.fail)];
    lists
        .into_iter()
        .flat_map(|(outcome, names)| names.iter().enumerate().map(move |(index, name)| (format!("/then/{outcome}/{index}"), name.as_str())))
}

/// Returns each cycle once, at the edge that starts from the last definition of the cycle in book order.
fn cycles(book: &[Definition], places: &BTreeMap<&str, usize>) -> Vec<(usize, String, String)> {
    let mut mistakes = Vec::new();
    let mut done = BTreeSet::new();
    for start in 0..book.len() {
        if done.contains(&start) {
            continue;
        }
        // Iterative, because a chain may be as long as the book.
        let mut chain = vec![(start, followers(&book[start]), String::new())];
        let mut on_chain = BTreeSet::from([start]);
        while let Some((index, steps, taken)) = chain.last_mut() {
            let index = *index;
            let Some((path, name)) = steps.next() else {
                chain.pop();
                on_chain.remove(&index);
                done.insert(index);
                continue;
            };
            let Some(next) = places.get(name).copied() else { continue };
            *taken = path;
            if on_chain.contains(&next) {
                let circle = || chain.iter().skip_while(|(index, ..)| *index != next);
                let names: Vec<_> = circle().map(|(index, ..)| *index).chain([next]).map(|index| book[index].name.as_str()).collect();
                let message = format!("these tasks start one another for ever: {}", names.join(" → "));
                mistakes.extend(circle().max_by_key(|(index, ..)| *index).map(|(index, _, path)| (*index, path.clone(), message)));
            } else if !done.contains(&next) {
                on_chain.insert(next);
                chain.push((next, followers(&book[next]), String::new()));
            }
        }
    }
    mistakes
}
