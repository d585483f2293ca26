//! The cases of `cases/failing_path.txt`. The tests of the tools for assistants read them, too.

use serde_json::{Value, json};

const CASES: &str = include_str!("../../cases/failing_path.txt");

pub(crate) struct Case {
    pub(crate) name: String,
    /// Name of the last process of the failing path. Empty if there is none.
    pub(crate) cause: String,
    /// Error that lists show. Empty if there is none.
    pub(crate) error: String,
    tree: Vec<&'static str>,
}

pub(crate) fn cases() -> Vec<Case> {
    CASES.split("\n# ").skip(1).map(case).collect()
}

fn case(text: &'static str) -> Case {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let name = lines.next().unwrap().to_owned();
    let mut expected = |key: &str| lines.next().unwrap().strip_prefix(key).unwrap_or_else(|| panic!("{name}: no {key}")).trim().to_owned();
    let (cause, error, _) = (expected("cause:"), expected("error:"), expected("handled:"));
    Case { name, cause, error, tree: lines.collect() }
}

impl Case {
    /// The events of the tree.
    pub(crate) fn events(&self, root_id: &str) -> Vec<Value> {
        let (mut above, mut events) = (Vec::<String>::new(), Vec::new());
        for (index, line) in self.tree.iter().enumerate() {
            let id = format!("{:016x}", index + 1);
            let depth = (line.len() - line.trim_start().len()) / 2;
            let mut words = line.trim().splitn(4, ' ');
            let [name, state, end] = [(); 3].map(|()| words.next().unwrap());
            let (message, chain) = words.next().map_or((None, Vec::new()), |words| {
                let mut causes = words.split(" <- ").map(str::to_owned);
                (causes.next(), causes.collect::<Vec<_>>())
            });
            above.truncate(depth);
            events.push(json!({
                "type": "process-started", "root_id": root_id, "id": id, "time_us": index, "parent_id": above.last(), "kind": "normal", "name": name,
            }));
            let kind = if message.as_ref().is_some_and(|message| message.starts_with("exit code")) { "exit" } else { "error" };
            let error = message.map(|message| json!({ "kind": kind, "message": message, "chain": chain }));
            let outcome = if state == "ok" { "succeeded" } else { state };
            if let Ok(end) = end.parse::<u64>() {
                events.push(
                    json!({ "type": "process-ended", "root_id": root_id, "id": id, "time_us": end, "outcome": outcome, "error": error }),
                );
            }
            above.push(id);
        }
        events
    }
}
