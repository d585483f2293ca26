//! Methods that the program itself offers.

use std::fs::OpenOptions;
use std::io::Write as _;

use monitor_client::commands;
use serde_json::{Value, json};

/// Registers methods and waits forever in the middle of a tree. Each step of `slowly` appends a line to the file.
pub(crate) fn offers(file: &str) {
    let note = |file: &str, line: &str| {
        let mut file = OpenOptions::new().create(true).append(true).open(file).expect("a file");
        writeln!(file, "{line}").expect("the file takes a line");
    };
    commands::on("double", |arguments| match arguments.get("n").and_then(Value::as_u64) {
        Some(n) => Ok(json!(2 * n)),
        None => Err("give a number `n`".to_owned()),
    });
    commands::on("panics", |_| panic!("as it was told"));
    let of_step = file.to_owned();
    commands::on("note", move |arguments| {
        note(&of_step, arguments["line"].as_str().unwrap_or_default());
        Ok(Value::Null)
    });
    let begun = file.to_owned();
    commands::on("slowly", move |_| {
        note(&begun, "begun");
        loop {
            std::thread::park();
        }
    });
    crate::hang();
}
