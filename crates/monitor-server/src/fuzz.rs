//! Entry points for fuzzing: parsing arbitrary requests must return without a panic.

use monitor_store::packed::{Limits, Packed};
use monitor_wire::Batch;

use crate::otlp::{self, Form, Most};

/// Parses the bytes as a batch, once into the packed form directly and once through the types of the wire format. Both must find the same
/// events.
///
/// # Panics
/// Panics if they differ.
pub fn batch(bytes: &[u8]) {
    // An event takes more than one byte.
    let packed = Packed::from_json(bytes, bytes.len());
    let careful = Batch::from_json(bytes).map(Packed::from);
    assert_eq!(packed.is_ok(), careful.is_ok(), "one reader takes what the other refuses");
    let (Ok(mut packed), Ok(careful)) = (packed, careful) else { return };
    let events = |packed: &Packed| (0..packed.len()).map(|index| packed.event(index)).collect::<Vec<_>>();
    assert_eq!(events(&packed), events(&careful));
    let _ = packed.cut(&Limits { name_bytes: 40, text_bytes: 60, fields_bytes: 80, event_bytes: 1_000 });
}

/// Parses the bytes as spans and as log records of OTLP, in both formats.
///
/// # Panics
/// Panics if the result exceeds the limits.
pub fn otlp(bytes: &[u8]) {
    let most = Most { events: 1_000, bytes: 1 << 20, limits: Limits::DEFAULT };
    for form in [Form::Protobuf, Form::Json] {
        for read in [otlp::traces, otlp::logs] {
            if let Ok(said) = read(bytes, form, &most) {
                assert!(said.events.len() <= most.events && said.bytes <= most.bytes);
                let _ = said.ended_with_lines();
            }
        }
    }
}

/// Parses the bytes as query parameters, if they are UTF-8.
pub fn query(bytes: &[u8]) {
    if let Ok(query) = std::str::from_utf8(bytes) {
        crate::http::read_queries(query);
    }
}
