//! Tests the propagation of ids through headers and messages of every kind, and the data that callers from other systems send.

#![cfg(feature = "record")]

mod support;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::process::Command;

use http::{HeaderMap, HeaderValue};
use lapin::types::FieldTable;
use monitor_client::{Carrier, Context, ContextExt, Process, broken_callers, extract, inject};
use proptest::prelude::*;
use serde_json::{Value, json};
use tonic::metadata::MetadataMap;

use crate::support::record;

const GOOD: &str = "00-0199a3ce929d0e0e47360199a3ce929d-a3ce929d0e0e4736-01";

fn caller() -> Context {
    Context::new(0x0199_a3ce_929d_0e0e_4736_0199_a3ce_929d, 0xa3ce_929d_0e0e_4736).expect("not zero")
}

/// Asserts that injected ids can be extracted again, by the header or the ids alone.
fn goes_and_comes(mut carrier: impl Carrier) {
    caller().inject(&mut carrier);
    assert_eq!(Context::extract(&carrier), Some(caller()));
    assert_eq!(carrier.get("traceparent").as_deref(), Some(GOOD));
    assert_eq!(carrier.get("root_id").is_some(), carrier.is_message());
    carrier.set("traceparent", String::new());
    assert_eq!(Context::extract(&carrier).is_some(), carrier.is_message());
    caller().inject(&mut carrier);
    assert_eq!(Context::extract(&carrier), Some(caller()), "set in place of what was there");
}

#[test]
fn ids_go_through_every_carrier() {
    goes_and_comes(Vec::<(String, String)>::new());
    goes_and_comes(Vec::<(String, Vec<u8>)>::new());
    goes_and_comes(HashMap::<String, String>::new());
    goes_and_comes(BTreeMap::new());
    goes_and_comes(json!({"number": 7}));
    goes_and_comes(Command::new("worker"));
    goes_and_comes(HeaderMap::new());
    goes_and_comes(MetadataMap::new());
    goes_and_comes(FieldTable::default());
    goes_and_comes(HashMap::<String, redis::Value>::new());
    goes_and_comes(redis::streams::StreamId::default());
}

#[test]
fn a_command_has_the_variables_that_its_program_reads() {
    let mut command = Command::new("worker");
    caller().inject(&mut command);
    let mut found: Vec<_> = command.get_envs().map(|(name, _)| name.to_string_lossy().into_owned()).collect();
    found.sort();
    assert_eq!(found, ["MONITOR_PARENT_ID", "MONITOR_ROOT_ID", "TRACEPARENT"]);
}

#[test]
fn values_that_are_no_carriers_are_unchanged() {
    for value in [json!(null), json!([1]), json!("text")] {
        let mut carrier = value.clone();
        caller().inject(&mut carrier);
        assert_eq!(carrier, value);
        assert_eq!(Context::extract(&carrier), None);
    }
    assert_eq!(Context::extract(&json!({"traceparent": 7, "root_id": [], "parent_id": null})), None);
    let mut message = json!({"number": 7});
    inject(&mut message);
    assert_eq!(extract(&message), extract(&json!({})), "nothing runs here");
}

#[test]
fn a_foreign_trace_is_forwarded_unchanged() {
    let record_one = |headers: &HeaderMap| {
        let mut onward = HeaderMap::new();
        let trees = record(|| {
            let context = Context::extract(headers).expect("a caller");
            let _here = Process::builder("here").parent(context).enter();
            inject(&mut onward);
        });
        assert_eq!(trees.processes.len(), 1, "recorded here, whatever the flags say");
        onward
    };
    let mut headers = HeaderMap::new();
    headers.insert("traceparent", HeaderValue::from_static("00-1199a3ce929d0e0e47360199a3ce929d-a3ce929d0e0e4736-00"));
    headers.append("tracestate", HeaderValue::from_static("rojo=00f067aa0ba902b7"));
    headers.append("tracestate", HeaderValue::from_static("congo=t61rcWkgMzE"));
    let onward = record_one(&headers);
    let traceparent = onward["traceparent"].to_str().expect("text");
    assert!(traceparent.starts_with("00-1199a3ce929d0e0e47360199a3ce929d-") && traceparent.ends_with("-00"), "{traceparent}");
    assert_eq!(onward["tracestate"], "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE");
    // The sampled flag of the next request is taken from its caller; a `tracestate` that is too long is dropped.
    headers.insert("traceparent", HeaderValue::from_static("00-1199a3ce929d0e0e47360199a3ce929d-a3ce929d0e0e4736-01"));
    headers.insert("tracestate", HeaderValue::try_from("a".repeat(513)).expect("a header"));
    let onward = record_one(&headers);
    assert!(onward["traceparent"].to_str().expect("text").ends_with("-01"));
    assert_eq!(onward.get("tracestate"), None);
}

#[test]
fn a_repeated_header_is_ignored() {
    let mut headers = HeaderMap::new();
    headers.append("traceparent", HeaderValue::from_static(GOOD));
    headers.append("traceparent", HeaderValue::from_static(GOOD));
    let broken = broken_callers();
    assert_eq!(Context::extract(&headers), None);
    assert!(broken_callers() > broken);
}

/// A `traceparent` as the specification has it, read by hand.
fn is_good(text: &str) -> bool {
    let parts: Vec<&str> = text.trim().split('-').collect();
    let hex = |part: &str, length: usize| part.len() == length && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let (Some(version), Some(root), Some(parent), Some(flags)) = (parts.first(), parts.get(1), parts.get(2), parts.get(3)) else {
        return false;
    };
    let is_zero = |part: &str| part.bytes().all(|b| b == b'0');
    hex(version, 2)
        && *version != "ff"
        && hex(flags, 2)
        && (parts.len() == 4 || *version != "00")
        && hex(root, 32)
        && !is_zero(root)
        && hex(parent, 16)
        && !is_zero(parent)
}

/// Arbitrary headers, many of which are almost valid.
fn header() -> impl Strategy<Value = Vec<u8>> {
    let nearly = (0..GOOD.len(), any::<u8>()).prop_map(|(at, byte)| {
        let mut bytes = GOOD.as_bytes().to_vec();
        bytes[at] = byte;
        bytes
    });
    let cut = (0..=GOOD.len(), "[ -~]{0,20}").prop_map(|(at, tail)| [&GOOD.as_bytes()[..at], tail.as_bytes()].concat());
    prop_oneof![prop::collection::vec(any::<u8>(), 0..200), nearly, cut]
}

proptest! {
    #[test]
    fn headers_with_any_bytes_are_a_caller_or_ignored(traceparent in header(), tracestate in prop::collection::vec(any::<u8>(), 0..600)) {
        let text = String::from_utf8_lossy(&traceparent);
        let broken = broken_callers();
        let message = vec![("traceparent".to_owned(), traceparent.clone()), ("tracestate".to_owned(), tracestate.clone())];
        let found = Context::extract(&message);
        prop_assert_eq!(found.is_some(), is_good(&text), "{:?}", text);
        if found.is_none() && !text.trim().is_empty() {
            prop_assert!(broken_callers() > broken);
        }
        if let (Ok(first), Ok(second)) = (HeaderValue::from_bytes(&traceparent), HeaderValue::from_bytes(&tracestate)) {
            let headers = HeaderMap::from_iter([("traceparent", first), ("tracestate", second)].map(|(name, value)| (http::HeaderName::from_static(name), value)));
            prop_assert_eq!(Context::extract(&headers), found);
            prop_assert_eq!(Context::extract(&MetadataMap::from_headers(headers)), found);
        }
        let mut table = FieldTable::default();
        table.insert("traceparent".into(), lapin::types::AMQPValue::LongString(traceparent.into()));
        prop_assert_eq!(Context::extract(&table), found);
    }

    #[test]
    fn ids_with_any_text_are_a_caller_or_ignored(root in "[0-9a-f]{30,34}|.{0,40}", parent in "[0-9a-f]{15,17}|.{0,40}") {
        let message = json!({"root_id": root, "parent_id": parent});
        let found = Context::extract(&message);
        let is_id = |text: &str, length| text.len() == length && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) && text.bytes().any(|b| b != b'0');
        prop_assert_eq!(found.is_some(), is_id(&root, 32), "{}", message);
        if let Some(found) = found.filter(|_| is_id(&parent, 16)) {
            prop_assert_eq!(format!("{:016x}", found.process()), parent);
        }
        prop_assert_eq!(extract(&message).root_id, Some(root));
    }

    #[test]
    fn every_context_is_injected_and_extracted_again(root in 1_u128.., process in 1_u64..) {
        let context = Context::new(root, process).expect("not zero");
        let mut message = Value::Object(serde_json::Map::new());
        context.inject(&mut message);
        prop_assert_eq!(Context::extract(&message), Some(context));
        prop_assert_eq!(message.get("traceparent").and_then(Value::as_str).map(Cow::Borrowed), Carrier::get(&message, "traceparent"));
    }
}
