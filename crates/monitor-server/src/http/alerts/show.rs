//! Conversion of alerts to the types of the API.

use monitor_store::{Delivery, DeliveryState};
use monitor_wire::{Alert, AlertMessage, AlertNote};
use serde_json::{Map, Value};

pub(super) fn alert(of: monitor_alerts::Alert) -> Alert {
    let facts = match serde_json::to_value(&of.facts) {
        Ok(Value::Object(facts)) => facts,
        _ => Map::new(),
    };
    Alert {
        id: of.id,
        rule: of.rule,
        subject: of.subject.to_string(),
        cause: of.cause.to_string(),
        severity: of.severity.to_string(),
        state: of.state.to_string(),
        since_us: of.since_us,
        last_us: of.last_us,
        resolved_us: of.resolved_us,
        count: of.count,
        acknowledged_by: of.acknowledged_by,
        told: of.told.iter().map(ToString::to_string).collect(),
        deliveries: Vec::new(),
        facts,
    }
}

pub(super) fn note(of: monitor_alerts::Note) -> AlertNote {
    AlertNote {
        time_us: of.time_us,
        alert: Some(of.alert).filter(|alert| *alert > 0),
        rule: of.rule,
        what: of.what.to_string(),
        who: of.who,
        detail: of.detail,
    }
}

pub(super) fn message(of: Delivery) -> AlertMessage {
    AlertMessage {
        id: of.message.id,
        kind: of.message.kind.to_string(),
        channel: of.message.channel,
        address: of.message.address,
        time_us: of.message.time_us,
        state: of.state.as_str().to_owned(),
        attempts: of.attempts,
        next_us: Some(of.next_us).filter(|_| of.state == DeliveryState::Waiting),
        answer: of.answer,
    }
}
