//! All ways to decode a batch have the same result.

use monitor_wire::Batch;
use proptest::prelude::*;

use super::Packed;
use super::decode::Refused;
use crate::support::generate::{delivery, unplaced_history};

fn unpacked(packed: &Packed) -> Vec<monitor_wire::Event> {
    (0..packed.len()).map(|index| packed.event(index)).collect()
}

proptest! {
    #[test]
    fn packing_loses_nothing_and_reading_packs_the_same_way(
        batches in unplaced_history().prop_flat_map(|history| delivery(&history)),
        (lost, sent_us) in (any::<bool>(), 0..u64::MAX),
    ) {
        for batch in batches {
            let batch = Batch { lost, sent_us, ..batch };
            let json = serde_json::to_vec(&batch).unwrap();
            let read = Packed::from_json(&json, 100).unwrap();
            prop_assert_eq!(unpacked(&read), batch.events.clone());
            let packed = Packed::from(batch.clone());
            for one in [&read, &packed] {
                let of = (&one.worker, one.sequence, one.sent_us, &one.dropped, one.lost);
                prop_assert_eq!(of, (&batch.worker, batch.sequence, batch.sent_us, &batch.dropped, batch.lost));
            }
            prop_assert_eq!(unpacked(&packed), batch.events);
        }
    }
}

/// The fast and the full decoder accept the same bodies, and return the same errors for the others.
#[test]
fn unusual_bodies_are_read_like_by_the_full_decoder() {
    let common = r#""root_id":"0199a3ce929d0e0e47360199a3ce929d","id":"a3ce929d0e0e4736","time_us":5"#;
    let start = format!(r#"{{"type":"process-started",{common},"kind":"root","name":"n"}}"#);
    let with = |more: &str| start.replace(r#""kind""#, &format!("{more},\"kind\""));
    let events = [
        with(r#""attachment":"explicit","fields":{},"links":[],"timeout_ms":null,"attempt":1,"native_id":null"#),
        with(r#""attachment":"inferred""#),
        with(r#""attachment":null"#),
        with(r#""attempt":2"#),
        with(r#""attempt":null"#),
        with(r#""fields":{"a":1}"#),
        with(r#""fields":null"#),
        with(r#""fields":[]"#),
        with(r#""links":{}"#),
        with(r#""thread":"a\"b\u00e9""#),
        with(r#""thread":7"#),
        with(r#""batch":"b","thread":"t","source":{"file":"f","line":3}"#),
        with(r#""source":{"file":"","line":0}"#),
        with(r#""source":{"line":0}"#),
        with(r#""elapsed_ns":"not a start's""#),
        with(r#""outcome":"failed""#),
        with(r#""name":"twice""#),
        with(r#""moon":"full""#),
        start.replace("root_id", "rootid"),
        start.replace("a3ce929d0e0e4736", "0000000000000000"),
        start.replace("process-started", "process-danced"),
        format!(r#"{{"type":"process-ended",{common},"outcome":"evaporated"}}"#),
        format!(r#"{{"type":"process-ended",{common},"outcome":"failed","error":{{"kind":"error","message":"a\nb"}},"elapsed_ns":null}}"#),
        format!(r#"{{"type":"process-ended",{common},"outcome":"failed","error":{{"kind":"error"}}}}"#),
        format!(r#"{{"type":"process-ended",{common},"outcome":"succeeded","signal":9}}"#),
        format!(r#"{{"type":"process-ended",{common},"outcome":"failed","exit_code":7,"reason":"timeout","signal":null}}"#),
        format!(r#"{{"type":"process-ended",{common},"outcome":"failed","exit_code":-7,"error":{{"kind":"error","message":"a"}}}}"#),
        format!(r#"{{"type":"process-ended",{common},"outcome":"failed","exit_code":2147483648}}"#),
        format!(r#"{{"type":"process-ended",{common},"outcome":"failed","exit_code":"7"}}"#),
        format!(r#"{{"type":"process-ended",{common},"outcome":"failed","reason":7}}"#),
        with(r#""exit_code":"not a start's""#),
        format!(r#"{{"type":"process-ended",{common}}}"#),
        r#"{"type":"process-ended","time_us":5,"native_source":"q","outcome":"succeeded"}"#.to_owned(),
        r#"{"type":"process-ended","time_us":5,"native_id":"n-1","outcome":"succeeded"}"#.to_owned(),
        r#"{"type":"process-ended","time_us":5,"native_source":7,"native_id":"n-1","outcome":"succeeded"}"#.to_owned(),
        r#"{"type":"process-ended","time_us":5,"native_source":"q","native_id":null,"outcome":"succeeded"}"#.to_owned(),
        r#"{"type":"process-ended","time_us":5,"native_source":"q","native_id":"n-1"}"#.to_owned(),
        r#"{"type":"process-logged","time_us":5,"native_source":"q","native_id":"n-1","level":"info","message":""}"#.to_owned(),
        with(r#""native_source":"q","native_id":"n-1""#),
        with(r#""native_id":"n\"1""#),
        with(r#""native_id":7"#),
        with(r#""worker":null,"native_id":"n""#),
        with(r#""worker":7"#),
        with(r#""worker":{"id":"5b0c0000000000000000000000000001","hostname":"é\u00e9","pid":1,"program":"p","moon":[1]}"#),
        with(r#""worker":{"id":"0","hostname":"","pid":1,"program":"p"}"#),
        with(r#""worker":{"id":"5b0c0000000000000000000000000001"}"#),
        with(r#""attempt":0"#),
        with(r#""attempt":4294967296"#),
        with(r#""attempt":-1"#),
        with(r#""attempt":2,"source":{"file":"f","line":3},"thread":"t","batch":"b","links":[]"#),
        with(r#""fields":{"a":1,"b":"x","a":2,"c":true,"d":false,"e":null}"#),
        with(r#""fields":{"a":1.5,"b":-2,"c":1e3,"d":18446744073709551615,"e":18446744073709551616}"#),
        with(r#""fields":{"a\n":"\ud83d\ude00\"\\"}"#),
        with(r#""fields":{"a":"\ud83d"}"#),
        with(r#""fields":{"a":"a\q"}"#),
        with(r#""fields":{"a":tru}"#),
        with(r#""fields":{"a":{"b":[1,{"c":null}]}}"#),
        with(&format!(r#""fields":{{"a":{}{}}}"#, "[".repeat(125), "]".repeat(125))),
        with(&format!(r#""fields":{{"a":{}{}}}"#, "[".repeat(126), "]".repeat(126))),
        with(r#""fields":{"a":}"#),
        with(r#""fields":{"a":1,}"#),
        format!(
            r#"{{"type":"process-queued",{common},"kind":"task","name":"n","parent_id":"00000000000000a1","batch":"b","fields":{{"a":"b"}}}}"#
        ),
        format!(r#"{{"type":"process-queued",{common},"kind":"moon","name":"n","attempt":3}}"#),
        format!(r#"{{"type":"process-queued",{common},"kind":"task","name":null}}"#),
        format!(r#"{{"type":"process-queued",{common},"kind":"task"}}"#),
        format!(r#"{{"type":"process-queued",{common},"kind":"task","name":"n","thread":"t"}}"#),
        format!(r#"{{"type":"process-updated",{common}}}"#),
        format!(r#"{{"type":"process-updated",{common},"name":null,"batch":null,"parent_id":null,"fields":{{}}}}"#),
        format!(r#"{{"type":"process-updated",{common},"name":"n","batch":"b","parent_id":"00000000000000a1"}}"#),
        format!(r#"{{"type":"process-updated",{common},"kind":"task"}}"#),
        format!(r#"{{"type":"process-ended",{common},"outcome":"evaporated","native_id":"n","reason":"r","signal":9,"exit_code":1}}"#),
        format!(r#"{{"type":"process-ended",{common},"outcome":"failed","native_id":"n","error":{{"kind":"error"}}}}"#),
        format!(
            r#"{{"type":"process-ended",{common},"outcome":"failed","native_id":"n","error":{{"kind":"panic","message":"m","chain":["a"]}}}}"#
        ),
        format!(r#"{{"type":"process-ended",{common},"outcome":"failed","native_id":"n","retry":{{"of":3}}}}"#),
        format!(r#"{{"type":"process-ended",{common},"outcome":"failed","native_id":"n","fields":{{"a":"b"}}}}"#),
        r#"{"type":"worker-heartbeat","time_us":1}"#.to_owned(),
        "7".to_owned(),
    ];
    for event in events {
        for body in [event.clone(), format!("{start},{event}"), format!("{event},{start}")] {
            let json = format!(
                r#"{{"version":1,"sequence":3,"sent_us":0,"worker":{{"id":"5b0c0000000000000000000000000001","hostname":"","pid":1,"program":""}},"events":[{body}]}}"#
            );
            match (Batch::from_json(json.as_bytes()), Packed::from_json(json.as_bytes(), 9)) {
                (Ok(batch), Ok(packed)) => assert_eq!(batch.events, unpacked(&packed), "{event}"),
                (Err(expected), Err(Refused::Decode(error))) => assert_eq!(expected, error, "{event}"),
                (expected, found) => panic!("{event}: {expected:?} but {found:?}"),
            }
        }
    }
}

#[test]
fn very_many_names_are_packed_once_each_however_they_are_read() {
    const COUNT: u64 = 60_000;
    let start = |n: u64| monitor_wire::ProcessStarted {
        thread: Some(format!("thread {}", n % COUNT)),
        ..monitor_wire::ProcessStarted::new(
            crate::support::root(1),
            crate::support::process(n + 1),
            n,
            monitor_wire::Kind::NORMAL,
            format!("name {}", n % COUNT),
        )
    };
    let events = (0..2 * COUNT).map(|n| monitor_wire::Event::ProcessStarted(start(n))).collect();
    let packed = Packed::from(crate::support::batch('A', 1, events));
    assert_eq!((packed.sites.len(), packed.threads.len()), (COUNT as usize, COUNT as usize));
}
