//! A queue worker that follows the commands of operators.

use std::collections::HashMap;
use std::io::BufRead;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, SystemTime};

use monitor_client::control::TaskControl;
use monitor_client::task;
use serde_json::json;

use crate::say;

/// Input of the program: a line (`None` at the end), or a change by an operator.
enum Heard {
    Line(Option<String>),
    Change,
}

/// Starts tasks by lines: `take NAME ID`, `later NAME ID` for a task in an hour, `await NAME ID` for a task as a tokio task, and `end ID`.
/// Prints `begun ID`, `ended ID` with the reason, and `refused ID` with the reason. Ends with the input or by an order.
pub(crate) fn works() {
    let control = TaskControl::new(2).from_queues(["video"]);
    let control = control.conf(json!({"broker": "redis://worker:pw@mq.example/0", "api_token": "abc", "prefetch": 4})).register();
    let (tell, told) = channel();
    let changes = tell.clone();
    control.on_change(move || drop(changes.send(Heard::Change)));
    thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            let _ = tell.send(Heard::Line(Some(line)));
        }
        let _ = tell.send(Heard::Line(None));
    });
    let (mut ends, mut tasks) = (HashMap::<String, Sender<()>>::new(), Vec::new());
    say("ready");
    while let Ok(heard) = told.recv() {
        let line = match heard {
            Heard::Change if control.is_stopping() => break,
            Heard::Change => continue,
            Heard::Line(None) => break,
            Heard::Line(Some(line)) => line,
        };
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["end", id] => drop(ends.remove(id)),
            [action, name, id] => {
                let (end, ended) = channel();
                ends.insert(id.to_owned(), end);
                let (control, action, name, id) = (control.clone(), action.to_owned(), name.to_owned(), id.to_owned());
                tasks.push(thread::spawn(move || works_on(&control, &action, &name, &id, &ended)));
            }
            _ => panic!("{line:?} is nothing to do"),
        }
    }
    drop(ends);
    for task in tasks {
        task.join().expect("no panic");
    }
}

fn works_on(control: &TaskControl, action: &str, name: &str, id: &str, ended: &Receiver<()>) {
    let ticket = task::send(name).queue("video").uuid(id).begin();
    let mut held = control.accept(task::receive(&ticket));
    if action == "later" {
        held = held.not_before(SystemTime::now() + Duration::from_secs(3_600));
    }
    if action == "await" {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let why = runtime.block_on(async {
            let turn = held.ready().await?;
            say(&format!("begun {id}"));
            turn.instrument(std::future::pending::<()>()).await
        });
        return say(&format!("ended {id}: {}", why.expect_err("it never ends by itself")));
    }
    match held.start() {
        Err(why) => say(&format!("refused {id}: {why}")),
        Ok(turn) => turn.run(|permit| {
            say(&format!("begun {id}"));
            while ended.recv_timeout(Duration::from_millis(2)) == Err(RecvTimeoutError::Timeout) {
                if let Some(why) = permit.stopped() {
                    return say(&format!("ended {id}: {why}"));
                }
            }
            say(&format!("ended {id}: done"));
        }),
    }
}
