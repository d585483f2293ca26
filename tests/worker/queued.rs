//! A worker with its own queues. Operators can put tasks into them and remove tasks.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::sync::{Arc, Mutex};

use monitor_client::control::{TaskCall, TaskControl};
use monitor_client::task;
use serde_json::json;

use crate::say;

/// Takes tasks from the queues with these comma-separated names. Handles none of them until a line of input arrives, then handles all. Task
/// ids that begin with `known` can be run again. Prints `called NAME QUEUE` for each started task.
pub(crate) fn queues(names: &str) {
    let names: Vec<String> = names.split(',').map(str::to_owned).collect();
    let waiting: BTreeMap<String, Vec<(TaskCall, task::Ticket)>> = names.iter().map(|name| (name.clone(), Vec::new())).collect();
    let waiting = Arc::new(Mutex::new(waiting));
    let [calls, purges, counts] = std::array::from_fn(|_| waiting.clone());
    let first = names[0].clone();
    let _control = TaskControl::new(2)
        .from_queues(names)
        .on_call(move |call| {
            let queue = call.queue.clone().unwrap_or_else(|| first.clone());
            assert!(call.name != "panic", "as it was told");
            if call.name == "refused" {
                return Err("there is no such task here".to_owned());
            }
            let ticket = task::send(&call.name).queue(&queue).args(&call.args).kwargs(&call.kwargs).begin();
            let uuid = ticket.uuid.clone().expect("it is recorded");
            let words = format!("called {} {queue}", call.name);
            calls.lock().unwrap().entry(queue).or_default().push((call, ticket));
            // Print first: after this, the task may be handled at once.
            say(&words);
            Ok(uuid)
        })
        .on_purge(move |purge| {
            let mut waiting = purges.lock().unwrap();
            let meant = waiting.iter_mut().filter(|(name, _)| purge.is_meant(name));
            let count = |(name, tasks): (&String, &mut Vec<_>)| {
                let count = tasks.len() as u64;
                if !purge.count_only {
                    tasks.clear();
                }
                (name.clone(), count)
            };
            Ok(meant.map(count).collect())
        })
        .on_retry(|id| if id.starts_with("known") { Ok(format!("{id}-again")) } else { Err(format!("no task {id:?} has ended here")) })
        .on_queues(move || Ok(counts.lock().unwrap().iter().map(|(name, tasks)| (name.clone(), tasks.len() as u64)).collect()))
        .register();
    say("ready");
    for _line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let taken: Vec<_> = waiting.lock().unwrap().values_mut().flat_map(std::mem::take).collect();
        for (call, ticket) in taken {
            let work = task::receive(&ticket).begin();
            match call.args.first() {
                Some(film) => work.returned(&json!({"film": film})),
                None => work.fail("no film"),
            }
        }
        say("worked");
    }
}
