//! Tests of docs/guides/control.md: each command, with the example `workers`.

use super::session::{Session, code_of_first_column};
use super::typed;

const PAGE: &str = include_str!("../../docs/guides/control.md");

#[test]
fn each_command_of_the_page_on_workers_works_as_documented() {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("a name");
    // The example was already built.
    let page = PAGE.replace("build-7", host.trim()).replace("cargo run -q -p monitor-examples --bin workers --", "workers");
    let commands = typed(&page, "The first ten minutes");
    let mut session = Session::new();
    for (words, prints) in &commands {
        // A busy machine takes longer to answer.
        let patient = |words: String, name: &str| words.replace(&format!("monitor {name} "), &format!("monitor {name} -t 20s "));
        let words = ["inspect", "control", "call", "retry", "purge"].into_iter().fold(words.clone(), patient);
        session.type_in(&words, prints);
    }
    let (_, methods) = page.split_once("\n## Methods\n").expect("the section");
    let (methods, _) = methods.split_once("\n## ").expect("its end");
    let names: Vec<_> = code_of_first_column(methods).filter_map(|code| code.trim_start_matches("monitor ").split(' ').next()).collect();
    assert!(names.len() > 25, "{names:?}");
    for name in names.into_iter().filter(|name| !matches!(*name, "inspect" | "control")) {
        let is_typed = commands.iter().any(|(words, _)| words.split([' ', ')']).any(|word| word == name));
        assert!(is_typed, "{name} is not among the commands of the first ten minutes");
    }
}
