//! Reads the messages in the output of a script, for `GET /api/v1/jobs/{id}/result`. A script can write one JSON object per line, of the form
//! `{"status": false, "data": [{"module": "disk", "item": "/", "status": false, "message": "full"}]}`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Maximum number of messages in one output.
const MOST_MESSAGES: usize = 1_000;

/// Importance of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// The item is all right.
    Normal,
    /// The output is incomplete or not of the expected form.
    Warning,
    /// The item is not all right.
    Error,
}

/// A message in the output of a script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Importance.
    pub level: Level,
    /// Module that the message is about; empty if the output names none.
    pub module: String,
    /// Item of the module; empty if the output names none.
    pub item: String,
    /// The text.
    pub text: String,
}

/// Returns the messages in the output of a script. Output without any JSON object has none, unless it is empty or truncated.
#[must_use]
pub fn messages(output: &[u8], is_truncated: bool) -> Vec<Message> {
    let text = String::from_utf8_lossy(output);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let mut messages = Vec::new();
    if lines.is_empty() {
        messages.push(warning("The script has written no output.".to_owned()));
    }
    if is_truncated {
        messages.push(warning("The output is truncated, so messages may be missing.".to_owned()));
    }
    let objects: Vec<Option<Map<String, Value>>> = lines.iter().map(|line| serde_json::from_str(line).ok()).collect();
    if objects.iter().all(Option::is_none) {
        return messages;
    }
    for (number, (line, object)) in lines.iter().zip(objects).enumerate() {
        match object {
            Some(object) => of_object(&object, &mut messages),
            None if is_tag(line) => {}
            None => messages.push(warning(format!("Line {} is not JSON: {}", number + 1, shortened(line)))),
        }
        if messages.len() > MOST_MESSAGES {
            messages.truncate(MOST_MESSAGES);
            messages.push(warning(format!("Only the first {MOST_MESSAGES} messages are shown.")));
            break;
        }
    }
    messages
}

fn of_object(object: &Map<String, Value>, messages: &mut Vec<Message>) {
    let status = object.get("status");
    let data = object.get("data").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if data.is_empty() {
        messages.push(message(object, status));
    }
    for item in data {
        match item.as_object() {
            Some(item) => messages.push(message(item, item.get("status").or(status))),
            None => messages.push(warning(format!("An entry of `data` is no object: {}", shortened(&item.to_string())))),
        }
    }
}

fn message(object: &Map<String, Value>, status: Option<&Value>) -> Message {
    let level = match status {
        Some(Value::Bool(true)) => Level::Normal,
        Some(Value::Bool(false)) => Level::Error,
        _ => Level::Warning,
    };
    let text = |name: &str| match object.get(name) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    Message { level, module: text("module"), item: text("item"), text: text("message") }
}

fn warning(text: String) -> Message {
    Message { level: Level::Warning, module: String::new(), item: String::new(), text }
}

/// True for a line that sets the host's tag.
fn is_tag(line: &str) -> bool {
    line.starts_with("job_success:") || line.starts_with("job_fail:")
}

fn shortened(line: &str) -> String {
    line.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(output: &str, is_truncated: bool) -> Vec<Level> {
        messages(output.as_bytes(), is_truncated).iter().map(|message| message.level).collect()
    }

    #[test]
    fn status_false_is_an_error_and_true_is_normal() {
        let line = r#"{"status": false, "data": [
            {"module": "disk", "item": "/", "status": false, "message": "full"},
            {"module": "disk", "item": "/var", "status": true, "message": 7}, {"module": "net"}]}"#;
        let found = messages(line.replace('\n', " ").as_bytes(), false);
        let expected = |level, module: &str, item: &str, text: &str| Message {
            level,
            module: module.to_owned(),
            item: item.to_owned(),
            text: text.to_owned(),
        };
        let all = [
            expected(Level::Error, "disk", "/", "full"),
            expected(Level::Normal, "disk", "/var", "7"),
            expected(Level::Error, "net", "", ""),
        ];
        assert_eq!(found, all);
        assert_eq!(
            levels("{\"status\": true, \"data\": []}\n{\"status\": \"odd\", \"data\": [3]}", false),
            [Level::Normal, Level::Warning]
        );
    }

    #[test]
    fn missing_truncated_and_mixed_output_are_warnings() {
        assert_eq!(levels("", false), [Level::Warning]);
        assert_eq!(levels(" \n\n", false), [Level::Warning]);
        assert_eq!(levels("plain text\nmore", false), []);
        assert_eq!(levels("plain text", true), [Level::Warning]);
        assert_eq!(levels("banner\n{\"status\": true, \"data\": []}\njob_success:[ok]", false), [Level::Warning, Level::Normal]);
        let many = "{\"status\": true}\n".repeat(MOST_MESSAGES + 5);
        assert_eq!(messages(many.as_bytes(), false).len(), MOST_MESSAGES + 1);
        assert_eq!(levels("\u{fffd}\u{0}{", false), []);
    }
}
