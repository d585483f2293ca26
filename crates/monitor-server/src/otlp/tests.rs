//! Tests that arbitrary input is accepted or refused without exceeding the limits.

use std::io::Read;

use monitor_store::packed::Limits;
use proptest::prelude::*;

use super::{Form, Most, Refused, logs, traces};

const MOST: Most = Most { events: 50, bytes: 1 << 20, limits: Limits::DEFAULT };

/// Returns a request that OpenTelemetry's SDK for Python sent.
fn request() -> Vec<u8> {
    let mut body = Vec::new();
    let packed = &include_bytes!("../../tests/http/sdk/traces.pb.gz")[..];
    flate2::read::GzDecoder::new(packed).read_to_end(&mut body).unwrap();
    body
}

#[test]
fn a_request_of_an_sdk_is_read() {
    let said = traces(&request(), Form::Protobuf, &MOST).unwrap();
    assert_eq!((said.events.len(), said.rejected), (6, (0, None)));
}

#[test]
fn shared_attributes_are_limited_before_events_are_created() {
    // Small in the request, and repeated at its maximum size in each event.
    let request = |name: &str, spans: usize, events: usize| {
        let attribute = serde_json::json!({"key": name, "value": {"stringValue": "x".repeat(900_000)}});
        let event = serde_json::json!({"name": "e"});
        let span = serde_json::json!({"traceId": "01".repeat(16), "spanId": "01".repeat(8), "name": "a", "startTimeUnixNano": "1",
                                      "endTimeUnixNano": "2", "events": vec![event; events]});
        let scope = serde_json::json!({"scope": {"name": "y".repeat(900_000)}, "spans": vec![span; spans]});
        serde_json::json!({"resourceSpans": [{"resource": {"attributes": [attribute]}, "scopeSpans": [scope]}]}).to_string()
    };
    let read = |body: String, events: usize| traces(body.as_bytes(), Form::Json, &Most { events, ..MOST });
    let said = read(request("host.name", 1, 1), 100).unwrap();
    assert!(said.bytes < 100_000 && said.bytes > 3 * Limits::DEFAULT.name_bytes, "{}", said.bytes);
    for name in ["host.name", "service.name"] {
        assert!(matches!(read(request(name, 1, 1_000), 10_000), Err(Refused::TooMuch(_))), "{name}");
    }
    // Too large to be kept in the fields, so it is omitted.
    assert!(read(request("whatever", 10, 0), 10_000).unwrap().bytes < 100_000);
    assert!(matches!(read(request("whatever", 1, 100), 50), Err(Refused::TooMuch(why)) if why.contains("more than 50 events")));
}

proptest! {
    #[test]
    fn damaged_requests_are_read_or_refused(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut body = request();
        for (place, byte) in changes {
            let place = place.index(body.len());
            body[place] = byte;
        }
        body.truncate(cut.index(body.len() + 1));
        for read in [traces, logs] {
            if let Ok(said) = read(&body, Form::Protobuf, &MOST) {
                prop_assert!(said.events.len() <= 50);
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        for form in [Form::Protobuf, Form::Json] {
            for read in [traces, logs] {
                let _ = read(&body, form, &MOST);
            }
        }
    }

    #[test]
    fn any_json_of_its_words_is_read_or_refused(words in proptest::collection::vec(prop_oneof![
        Just("{"), Just("}"), Just("["), Just("]"), Just(","), Just(":"), Just("\"resourceSpans\""), Just("\"scopeSpans\""), Just("\"spans\""),
        Just("\"attributes\""), Just("\"value\""), Just("\"intValue\""), Just("\"traceId\""), Just("\"00\""), Just("7"), Just("-1e400"), Just("null"),
    ], 0..60)) {
        let body = format!("{{\"resourceSpans\":[{{\"scopeSpans\":[{{\"spans\":[{}", words.concat());
        let _ = traces(body.as_bytes(), Form::Json, &MOST);
    }
}
