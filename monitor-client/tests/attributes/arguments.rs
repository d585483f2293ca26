//! Tests the values that attributes record for each call: arguments, fields, return values, and names made of these.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use async_trait::async_trait;
use monitor_client::{ProcessId, RootId, cross_process, cross_thread, normal_task, root_task};

use crate::support::{check, record, run};

#[derive(Debug, Clone)]
struct Order {
    id: u64,
    customer: String,
}

/// An extractor, as handlers have them.
struct Path<T>(T);

fn order() -> Order {
    Order { id: 7, customer: "Ada".to_owned() }
}

#[test]
fn arguments_are_recorded_by_debug_or_display() {
    #[normal_task(args(a, b.id, %b.customer, %c))]
    fn named(a: u8, b: Order, c: &str) -> usize {
        usize::from(a) + b.customer.len() + c.len()
    }
    #[normal_task(args(*))]
    fn all(a: &str, mut b: Vec<u8>, _c: Option<bool>) -> usize {
        b.push(1);
        a.len() + b.len()
    }
    #[normal_task(fields(rows = b.len(), http.status = 200, "any key" = %a, twice = 2 * c))]
    fn fields(a: &str, b: &[u8], c: u8) -> usize {
        a.len() + b.len() + usize::from(c)
    }
    check(
        || {
            assert_eq!(named(1, order(), "c"), 5);
            assert_eq!(all("a", vec![0], None), 3);
            assert_eq!(fields("a", &[0, 0], 4), 7);
        },
        "
        named {args.a: 1} {args.b.id: 7} {args.b.customer: Ada} {args.c: c}
        all {args.a: \"a\"} {args.b: [0]}
        fields {rows: 2} {http.status: 200} {any key: a} {twice: 8}
        ",
    );
}

#[test]
fn patterns_bind_the_recorded_names() {
    #[normal_task(args(id), name = "load {id}")]
    fn in_a_tuple_struct(Path(id): Path<u64>) -> u64 {
        id
    }
    #[normal_task(args(*))]
    fn many((a, mut b): (u8, String), &c: &&str, [d, ..]: &[u8; 9], Order { id, .. }: &Order) -> usize {
        b.push('!');
        usize::from(a + d) + c.len() + b.len() + *id as usize
    }
    #[root_task(batch = id.0)]
    fn by_a_part(Path(id): Path<(u64, u8)>) -> u64 {
        id.0
    }
    #[root_task(batch = id)]
    fn by_a_name(Path(id): Path<Option<&str>>) -> usize {
        id.map_or(0, str::len)
    }
    #[root_task(batch = order.id)]
    fn by_a_field(order: Order) -> Order {
        order
    }
    #[root_task(batch = order.customer.to_uppercase())]
    async fn by_a_call(order: &Order) -> u64 {
        order.id
    }
    check(
        || {
            assert_eq!(in_a_tuple_struct(Path(3)), 3);
            assert_eq!(many((1, "b".to_owned()), &"c", &[3; 9], &order()), 14);
            by_a_part(Path((5, 0)));
            by_a_name(Path(Some("some")));
            by_a_field(order());
            run(by_a_call(&order()));
        },
        "
        load {id} {args.id: 3} -> load 3
        many {args.a: 1} {args.b: \"b\"} {args.c: \"c\"} {args.d: 3} {args.id: 7}
        by_a_part root <5>
        by_a_name root <some>
        by_a_field root <7>
        by_a_call root <ADA>
        ",
    );
}

#[test]
fn arguments_read_only_by_the_attribute_count_as_used() {
    #[deny(unused_variables)]
    #[normal_task(args(a, b))]
    fn plain(a: u8, Path(b): Path<u8>) {}
    check(|| plain(1, Path(2)), "plain {args.a: 1} {args.b: 2}");
}

#[test]
fn functions_of_all_shapes_record_arguments() {
    struct Table {
        name: &'static str,
        rows: Vec<u8>,
    }
    impl Table {
        #[normal_task(args(self.name, extra), ret, name = "import {self.name}")]
        fn import(&mut self, extra: u8) -> usize {
            self.rows.push(extra);
            self.rows.len()
        }
        #[normal_task(fields(rows = self.rows.len()), ret)]
        async fn count(&self) -> Result<usize, String> {
            tokio::task::yield_now().await;
            Ok(self.rows.len())
        }
        #[normal_task(args(self.name))]
        fn into_rows(self) -> Vec<u8> {
            self.rows
        }
    }
    #[async_trait]
    trait Store {
        async fn load(&self, key: &str) -> Result<u8, String>;
    }
    #[async_trait]
    impl Store for u8 {
        #[normal_task(args(key), ret, err = Debug)]
        async fn load(&self, key: &str) -> Result<u8, String> {
            tokio::task::yield_now().await;
            if key.is_empty() { Err("no key".to_owned()) } else { Ok(*self) }
        }
    }
    #[cross_thread(args(a), ret)]
    async fn at_call(a: u8) -> u8 {
        a
    }
    #[normal_task(args(a), ret)]
    fn future(a: u8) -> impl Future<Output = u8> {
        async move { a }
    }
    #[normal_task(args(value), ret)]
    fn generic<T: fmt::Debug + Clone>(value: &T) -> T {
        value.clone()
    }
    #[normal_task(args(value))]
    fn some_closure(value: u8) -> impl Fn() -> u8 {
        move || value
    }
    #[cross_process("judge", args(*))]
    fn judge(message: &str, root_id: Option<RootId>, parent_id: Option<ProcessId>) -> usize {
        message.len()
    }
    #[normal_task(args(a))]
    async fn waits(a: u8) {
        tokio::task::yield_now().await;
        let _ = a;
    }
    #[normal_task(ret)]
    fn nothing() {}
    check(
        || {
            let mut table = Table { name: "orders", rows: Vec::new() };
            table.import(9);
            let _ = run(table.count());
            table.into_rows();
            let _ = run(3_u8.load("key"));
            let _ = run(3_u8.load(""));
            run(async { at_call(4).await + future(5).await });
            generic(&Some(6));
            assert_eq!(some_closure(8)(), 8);
            let tree = monitor_client::Process::builder("caller").enter();
            judge("m", monitor_client::root_id(), monitor_client::current_id());
            drop(tree);
            run(waits(1));
            nothing();
        },
        "
        import {self.name} {args.self.name: \"orders\"} {args.extra: 9} {return: 1} -> import orders
        count {rows: 1} {return: Ok(1)}
        into_rows {args.self.name: \"orders\"}
        load {args.key: \"key\"} {return: Ok(3)}
        load {args.key: \"\"} {return: Err(\"no key\")} error: \"no key\"
        at_call cross_thread unattached {args.a: 4} {return: 4}
        future {args.a: 5} {return: 5}
        generic {args.value: Some(6)} {return: Some(6)}
        some_closure {args.value: 8}
        caller
          judge cross_process {args.message: \"m\"}
        waits {args.a: 1}
        nothing {return: ()}
        ",
    );
}

#[test]
fn masked_values_are_not_formatted() {
    struct Secret(Rc<Cell<bool>>);
    impl fmt::Debug for Secret {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.set(true);
            f.write_str("hunter2")
        }
    }
    #[normal_task(args(*), fields(token = password.0), mask(password, token))]
    fn login(user: &str, password: &Secret) -> usize {
        user.len()
    }
    let was_asked = Rc::new(Cell::new(false));
    let secret = Secret(was_asked.clone());
    check(
        || {
            login("ada", &secret);
        },
        "login {args.user: \"ada\"} {args.password: [masked]} {token: [masked]}",
    );
    assert!(!was_asked.get());
}

#[test]
fn values_that_panic_or_call_monitored_functions_harm_nothing() {
    struct Rude;
    impl fmt::Debug for Rude {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("no words")
        }
    }
    struct Curious;
    impl fmt::Debug for Curious {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            curious(&Curious);
            f.write_str("curious")
        }
    }
    #[normal_task(args(a), fields(late = list[7]))]
    fn rude(a: Rude, list: &[u8]) -> usize {
        let _ = a;
        list.len()
    }
    #[normal_task(args(a))]
    fn curious(a: &Curious) {}
    check(
        || {
            assert_eq!(rude(Rude, &[]), 0);
            curious(&Curious);
        },
        "
        rude {args.a: (its own description panicked)}
        curious {args.a: curious}
        ",
    );
}

#[test]
fn a_timeout_is_sent_with_the_start_and_keeps_the_call_in_its_ring() {
    #[normal_task(timeout = "30s")]
    fn slow() {}
    #[root_task("marked", batch = n, timeout = "5m")]
    fn marked(n: u8) {}
    let trees = record(|| {
        slow();
        marked(1);
    });
    let timeouts: Vec<_> = trees.processes.iter().map(|process| process.started.origin.timeout_ms()).collect();
    assert_eq!(timeouts, [Some(30_000), Some(300_000)]);
}

#[test]
fn a_name_may_contain_values() {
    #[normal_task(name = "import {table} {{{part:>3}}}")]
    fn import(table: &str, part: u8) -> usize {
        table.len() + usize::from(part)
    }
    #[normal_task("a {{plain}} name")]
    fn plain() {}
    check(
        || {
            import("orders", 1);
            plain();
        },
        "
        import {table} {{part:>3}} -> import orders {  1}
        a {plain} name
        ",
    );
}

#[test]
fn the_order_of_drops_and_the_values_themselves_stay_as_they_are() {
    #[normal_task(args(*), ret)]
    fn moved(map: BTreeMap<u8, String>, text: String) -> (BTreeMap<u8, String>, String) {
        (map, text)
    }
    let map = BTreeMap::from([(1, "one".to_owned())]);
    check(
        || assert_eq!(moved(map.clone(), "text".to_owned()), (map.clone(), "text".to_owned())),
        "moved {args.map: {1: \"one\"}} {args.text: \"text\"} {return: ({1: \"one\"}, \"text\")}",
    );
}
