//! Tests batch marks, which contain the value of a parameter.

use std::cell::Cell;
use std::fmt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use monitor_client::root_task;

use crate::support::{check, record, run};

#[test]
fn a_batch_mark_is_formatted_by_display_or_debug() {
    #[derive(Debug)]
    #[expect(dead_code, reason = "read by Debug")]
    struct Day {
        year: u16,
    }
    #[root_task("text", "batch")]
    fn text(batch: &str) -> usize {
        batch.len()
    }
    #[root_task(name = "number", batch = n)]
    fn number(n: u64) -> u64 {
        n
    }
    #[root_task(batch = "day")]
    fn day(day: Day) -> Day {
        day
    }
    #[root_task(batch = "r#type")]
    fn raw(r#type: &str) {
        let _ = r#type;
    }
    #[root_task(batch = "moved")]
    fn moved(mut moved: String) -> String {
        moved.push('!');
        moved
    }
    #[root_task(batch = "some")]
    fn some(some: Option<&str>) {
        let _ = some;
    }
    #[root_task(batch = "path")]
    fn path(path: &Path) {
        let _ = path;
    }
    #[root_task(batch = "held")]
    fn held(held: Option<PathBuf>) {
        let _ = held;
    }
    #[root_task(batch = "list")]
    fn list(list: Option<Vec<u8>>) {
        let _ = list;
    }
    #[root_task("一个测试根任务", "param1_batch_id")]
    async fn call_root(param1_batch_id: &str) {
        let _ = param1_batch_id;
    }
    check(
        || {
            text("batch001");
            number(7);
            day(Day { year: 2026 });
            raw("raw");
            assert_eq!(moved("moved".to_owned()), "moved!");
            some(Some("b1"));
            some(None);
            path(Path::new("in/a b"));
            held(Some("out".into()));
            held(None);
            list(Some(vec![7]));
            run(call_root("batch001"));
        },
        "
        text root <batch001>
        number root <7>
        day root <Day { year: 2026 }>
        raw root <raw>
        moved root <moved>
        some root <b1>
        some root
        path root <in/a b>
        held root <out>
        held root
        list root <Some([7])>
        一个测试根任务 root <batch001>
        ",
    );
}

#[test]
fn a_parameter_that_only_marks_the_batch_counts_as_used() {
    #[root_task(batch = "batch")]
    #[deny(unused_variables)]
    fn marked(batch: u8) {}
    check(|| marked(1), "marked root <1>");
}

#[test]
fn a_mark_that_panics_harms_nothing() {
    struct Rude(Rc<Cell<bool>>);
    impl fmt::Display for Rude {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.set(true);
            panic!("no words")
        }
    }
    #[root_task(batch = "rude")]
    fn root(rude: &Rude) -> bool {
        rude.0.get()
    }
    let asked = Rc::new(Cell::new(false));
    let trees = record(|| assert!(root(&Rude(asked))));
    assert_eq!(trees.to_string(), "root root <(its own description panicked)>");
}
