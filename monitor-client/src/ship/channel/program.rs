//! Orders that change the levels of reporting while the program runs.

use monitor_core::levels::Rule;
use monitor_wire::{CommandOrder, ProgramOrder};
use serde_json::{Value, json};

use super::methods::{Answered, error, ok};
use crate::ship::shipper::Shared;

/// Executes one of [`ProgramOrder::METHODS`] and answers with the current levels.
pub(super) async fn answer(shared: &Shared, order: &CommandOrder) -> Answered {
    match ProgramOrder::read(&order.method, &order.arguments) {
        Ok(Some(ProgramOrder::Events { kind, name, level, hold })) => {
            let rule = Rule { kind, name, level: level.parse().unwrap_or_default() };
            if let Err(why) = shared.switches.set_events(rule, hold) {
                return error(&why);
            }
        }
        Ok(Some(ProgramOrder::LogLevel { level, hold })) => shared.switches.set_log_level(level, hold),
        Ok(Some(ProgramOrder::Heartbeat)) if shared.beat().await => return ok(Value::Null),
        Ok(Some(ProgramOrder::Heartbeat)) => return error("the server has not taken it"),
        Ok(_) => return error("it is none of a program's methods"),
        Err(wrong) => return error(&wrong.to_string()),
    }
    let mut answer = json!({});
    shared.switches.show(&mut answer);
    ok(answer)
}
