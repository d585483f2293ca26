//! Requests that mean nothing, or little, are read to their end.

use monitor_server::fuzz;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::support::tree;

const SPANS: &str = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},
    "scopeSpans":[{"scope":{"name":"s"},"spans":[{"traceId":"0199a3ce929d0e0e47360199a3ce929d","spanId":"a3ce929d0e0e4736","name":"pay",
    "startTimeUnixNano":"1763600000123456000","endTimeUnixNano":"1763600003123999000","status":{"code":2,"message":"no"},
    "events":[{"timeUnixNano":"1763600000123457000","name":"exception"}]}]}]}]}"#;
const QUERY: &str = "limit=5&cursor=7&state=failed,lost&name=a%26b&root=7&from=1763600000123456&sort=oldest";

/// A request with some of its bytes turned into others, and cut.
fn damaged(request: String) -> impl Strategy<Value = Vec<u8>> {
    let changes =
        prop::collection::vec((any::<Index>(), prop_oneof![any::<u8>(), prop::sample::select(b"{}[]\",:0-e\\%&=".to_vec())]), 0..6);
    (changes, prop::option::weighted(0.2, any::<Index>())).prop_map(move |(changes, end)| {
        let mut bytes = request.clone().into_bytes();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(end.map_or(usize::MAX, |end| end.index(request.len())));
        bytes
    })
}

proptest! {
    #[test]
    fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        fuzz::batch(&bytes);
        fuzz::otlp(&bytes);
        fuzz::query(&bytes);
    }

    #[test]
    fn any_damaged_batch_is_read_alike_by_both_readers(bytes in damaged(tree().to_string())) {
        fuzz::batch(&bytes);
    }

    #[test]
    fn any_damaged_spans_are_read(bytes in damaged(SPANS.to_owned())) {
        fuzz::otlp(&bytes);
    }

    #[test]
    fn any_damaged_query_is_read(bytes in damaged(QUERY.to_owned())) {
        fuzz::query(&bytes);
    }
}
