//! Trees as text, for comparison with a handwritten outline.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;

/// One line per process, with indented children: state unless it succeeded, name, count of a fold, attachment unless explicit, error.
pub fn outline(processes: &[Value]) -> String {
    let mut text = String::new();
    for process in processes {
        let depth = process["depth"].as_u64().expect("a tree says how deep") as usize;
        text.push_str(&"  ".repeat(depth));
        text.push_str(process["name"].as_str().expect("a name"));
        if let Some(count) = process["fold"]["count"].as_u64() {
            let _ = write!(text, " ×{count}");
        }
        for (key, usual) in [("state", "succeeded"), ("attachment", "explicit")] {
            let value = process[key].as_str().expect("a word");
            if value != usual {
                let _ = write!(text, " [{value}]");
            }
        }
        if process["orphan"] == true {
            text.push_str(" [orphan]");
        }
        if let Some(error) = process["error"]["message"].as_str() {
            let _ = write!(text, ": {error}");
            for cause in process["error"]["chain"].as_array().into_iter().flatten() {
                let _ = write!(text, ": {}", cause.as_str().unwrap_or_default());
            }
        }
        text.push('\n');
    }
    text
}

/// Number of processes by state, including the calls that folds count.
pub fn states(processes: &[Value]) -> BTreeMap<String, usize> {
    let mut states = BTreeMap::new();
    for process in processes {
        let Some(fold) = process["fold"].as_object() else {
            *states.entry(process["state"].as_str().expect("a state").to_owned()).or_default() += 1;
            continue;
        };
        let mut succeeded = fold["count"].as_u64().expect("a number") as usize;
        for state in ["running", "failed", "cancelled"] {
            let count = fold[state].as_u64().expect("a number") as usize;
            if count > 0 {
                // Calls that ran when their worker was lost are also lost.
                let state = if process["state"] == "lost" && state == "running" { "lost" } else { state };
                *states.entry(state.to_owned()).or_default() += count;
            }
            succeeded -= count;
        }
        *states.entry("succeeded".to_owned()).or_default() += succeeded;
    }
    states
}
