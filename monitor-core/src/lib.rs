//! What runs inside a monitored function. Knows no wire format, no clock but the machine's, and nobody who drains it.

pub mod queue;
pub mod record;
