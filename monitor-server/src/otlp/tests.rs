//! Whatever comes as OTLP is read or refused, and never more than it says.

use std::io::Read;

use proptest::prelude::*;

use super::{Form, logs, traces};

/// What OpenTelemetry's SDK for Python sent.
fn request() -> Vec<u8> {
    let mut body = Vec::new();
    let packed = &include_bytes!("../../tests/http/sdk/traces.pb.gz")[..];
    flate2::read::GzDecoder::new(packed).read_to_end(&mut body).unwrap();
    body
}

#[test]
fn a_request_of_an_sdk_is_read() {
    let said = traces(&request(), Form::Protobuf, 100).unwrap();
    assert_eq!((said.events.len(), said.rejected), (6, (0, None)));
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
            if let Ok(said) = read(&body, Form::Protobuf, 50) {
                prop_assert!(said.events.len() <= 50);
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        for form in [Form::Protobuf, Form::Json] {
            for read in [traces, logs] {
                let _ = read(&body, form, 50);
            }
        }
    }

    #[test]
    fn any_json_of_its_words_is_read_or_refused(words in proptest::collection::vec(prop_oneof![
        Just("{"), Just("}"), Just("["), Just("]"), Just(","), Just(":"), Just("\"resourceSpans\""), Just("\"scopeSpans\""), Just("\"spans\""),
        Just("\"attributes\""), Just("\"value\""), Just("\"intValue\""), Just("\"traceId\""), Just("\"00\""), Just("7"), Just("-1e400"), Just("null"),
    ], 0..60)) {
        let body = format!("{{\"resourceSpans\":[{{\"scopeSpans\":[{{\"spans\":[{}", words.concat());
        let _ = traces(body.as_bytes(), Form::Json, 50);
    }
}
