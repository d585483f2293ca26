//! Tests the parents of spans and calls.

use monitor_client::{Context, InCurrent, Process, normal_task};
use tracing::{Instrument, Span, info, info_span, instrument};
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::prelude::*;

use crate::support::{check, check_sorted, record, run};
use crate::{traced, traced_by};

#[normal_task]
fn attributed() {
    info_span!("in the function").in_scope(|| info!("said in there"));
}

#[test]
fn spans_functions_and_processes_hang_below_each_other() {
    check(
        || {
            traced(|| {
                let outer = info_span!("outer", table = "orders", rows = 17).entered();
                attributed();
                {
                    let _by_hand = Process::builder("by hand").enter();
                    info_span!("below it").in_scope(|| info!(rows = 3, "read"));
                }
                drop(info_span!("never entered"));
                info_span!(parent: None, "a tree of its own").in_scope(attributed);
                let elsewhere = info_span!(parent: None, "elsewhere");
                info_span!(parent: &elsewhere, "explicit");
                drop(outer);
            });
        },
        "
        outer span {table: orders} {rows: 17}
          attributed
            in the function span [info said in there]
          by hand
            below it span [info read]
          never entered span
        a tree of its own span
          attributed
            in the function span [info said in there]
        elsewhere span
          explicit span
        ",
    );
}

#[instrument]
fn step(number: u32) {
    Span::current().record("number", number + 1);
}

#[instrument(skip_all, fields(rows))]
async fn waits(turns: u32) {
    for _ in 0..turns {
        tokio::task::yield_now().await;
        step(1);
    }
    Span::current().record("rows", 5);
}

#[test]
fn fields_come_later_and_futures_keep_their_spans() {
    check_sorted(
        || {
            traced(|| {
                run(async {
                    let both = info_span!("both");
                    let (one, two) = (waits(1), waits(2));
                    async { futures_util::join!(one, two) }.instrument(both).await;
                });
            });
        },
        "
        both span
          waits span {rows: 5}
            step span {number: 1} {number: 2}
          waits span {rows: 5}
            step span {number: 1} {number: 2}
            step span {number: 1} {number: 2}
        ",
    );
}

#[test]
fn spawned_threads_and_tasks_are_below_the_span() {
    check_sorted(
        || {
            let subscriber = crate::subscriber();
            tracing::dispatcher::with_default(&subscriber, || {
                let outer = info_span!("outer").entered();
                let context = Context::current();
                let moved = subscriber.clone();
                let thread = std::thread::spawn(move || {
                    let _current = context.map(Context::enter);
                    tracing::dispatcher::with_default(&moved, || info_span!("on a thread").in_scope(attributed));
                });
                thread.join().unwrap();
                run(async { info_span!("in a task").in_scope(|| ()) }.in_current());
                drop(outer);
            });
        },
        "
        outer span
          in a task span
          on a thread span
            attributed
              in the function span [info said in there]
        ",
    );
}

#[test]
fn links_reach_open_and_closed_spans() {
    let trees = record(|| {
        traced(|| {
            let first = info_span!("first");
            let closed = info_span!("closed");
            let closed_id = closed.id();
            drop(closed);
            let second = info_span!("second");
            second.follows_from(&first);
            second.follows_from(closed_id);
            second.follows_from(Some(tracing::span::Id::from_u64(0x7777)));
        });
    });
    let id = |name| trees.find(name).started.id;
    let expected = ["first", "closed"].map(|name| (id(name), "follows_from".to_owned()));
    assert_eq!(trees.find("second").links, expected);
}

#[test]
fn an_event_has_its_target_its_fields_and_its_process() {
    use monitor_client::Value;

    let trees = record(|| {
        traced(|| {
            let outer = info_span!("outer");
            outer.in_scope(|| info!(target: "app::rows", rows = 3_u64, odd = true, ?outer, "read {}", 3));
            info!(parent: &outer, "from outside");
            info!("of nobody");
        });
    });
    let outer = trees.find("outer");
    assert_eq!(outer.logs, [("info", "read 3".to_owned()), ("info", "from outside".to_owned())]);
    assert_eq!(outer.lines[0].target.as_deref(), Some("app::rows"));
    assert_eq!(outer.lines[0].fields[..2], [("rows".into(), Value::Signed(3)), ("odd".into(), Value::Bool(true))]);
    let source = &outer.started.origin;
    assert!(matches!(source, monitor_core::record::Origin::Site(site) if site.file.ends_with("trees.rs") && site.line > 0), "{source:?}");
}

#[test]
fn children_of_a_filtered_span_are_below_the_next_span_up() {
    check(
        || {
            let layer = monitor_client::tracing::layer().with_filter(filter_fn(|metadata| metadata.target() != "noise"));
            let all = tracing_subscriber::fmt::layer().with_writer(std::io::sink).with_filter(LevelFilter::TRACE);
            tracing::subscriber::with_default(tracing_subscriber::registry().with(layer).with(all), || {
                let _outer = info_span!("outer").entered();
                let noise = info_span!(target: "noise", "noise");
                info_span!(parent: &noise, "explicitly below");
                let _noise = noise.entered();
                info!(target: "noise", "not heard");
                info_span!("below").in_scope(|| info!("heard"));
                tracing::debug_span!("too fine for MONITOR_TRACING").in_scope(|| ());
            });
        },
        "
        outer span
          explicitly below span
          below span [info heard]
        ",
    );
}

#[test]
fn time_spent_within_a_span_is_recorded_on_request() {
    let trees = record(|| {
        traced_by(monitor_client::tracing::layer().with_timing(true), || {
            let span = info_span!("timed");
            span.in_scope(|| ());
            let open = span.clone();
            drop(span);
            drop(open);
        });
    });
    let timed = trees.find("timed");
    let told: Vec<&str> = timed.updates.iter().map(|(key, _)| &**key).collect();
    assert_eq!(told[..2], ["busy_ns", "idle_ns"]);
}

#[test]
fn ten_thousand_spans_are_open_at_once() {
    let trees = record(|| {
        traced(|| {
            let spans: Vec<Span> = (0..10_000).map(|number| info_span!(parent: None, "open", number)).collect();
            for span in &spans {
                span.in_scope(|| ());
            }
        });
    });
    assert_eq!(trees.processes.len(), 10_000);
    assert!(trees.processes.iter().all(|process| process.started.parent == 0 && process.ended.is_some()));
}
