//! Masks of secrets in settings and arguments that are shown or recorded.

use serde_json::Value;

/// Words in the names of secret values.
const SECRET: [&str; 6] = ["password", "passwd", "secret", "token", "key", "credential"];

/// Replaces secrets by `***`: values whose name contains a word such as `password` or `token`, and passwords in URLs. In a list, such as the
/// arguments of a command, these are also the values of `--password=VALUE`, `PASSWORD=VALUE` and `--password VALUE`.
pub fn mask(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields.iter_mut() {
                if is_secret(name) && !value.is_null() && !value.is_boolean() {
                    *value = "***".into();
                } else {
                    mask(value);
                }
            }
        }
        Value::Array(values) => {
            let mut is_after_option = false;
            for value in values {
                let is_hidden = std::mem::take(&mut is_after_option);
                match value {
                    Value::String(text) if is_hidden => "***".clone_into(text),
                    Value::String(text) => {
                        is_after_option = text.starts_with('-') && is_secret(text) && !text.contains('=');
                        mask_argument(text);
                        mask(value);
                    }
                    _ => mask(value),
                }
            }
        }
        Value::String(text) => {
            if let Some((scheme, rest)) = text.split_once("://")
                && let Some((user, place)) = rest.split(['/', '?', '#']).next().unwrap_or_default().rsplit_once('@')
                && let Some((name, _)) = user.split_once(':')
            {
                let tail = &rest[user.len() + 1 + place.len()..];
                *text = format!("{scheme}://{name}:***@{place}{tail}");
            }
        }
        _ => {}
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET.iter().any(|word| name.contains(word))
}

/// Masks the value of an argument such as `--password=VALUE`.
fn mask_argument(text: &mut String) {
    if let Some((name, _)) = text.split_once('=')
        && is_secret(name)
        && !name.contains(|c: char| c.is_whitespace() || c == '/')
    {
        *text = format!("{name}=***");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_masked_at_any_place() {
        let mut conf = json!({
            "broker": "amqp://worker:s3cret@mq.example:5672/films?x=1",
            "pools": [{"Api_Token": "abc", "has_token": true, "url": "http://a.example/b@c:d"}],
            "db": {"PASSWORD": 7, "name": "films"},
            "redis": ["redis://:pw@host/0"],
            "args": ["--password=s3cret", "API_TOKEN=abc=def", "--token", "abc", "--keep", "a key=word", "http://a.example/?key=b", "--secret"],
        });
        mask(&mut conf);
        let expected = json!({
            "broker": "amqp://worker:***@mq.example:5672/films?x=1",
            "pools": [{"Api_Token": "***", "has_token": true, "url": "http://a.example/b@c:d"}],
            "db": {"PASSWORD": "***", "name": "films"},
            "redis": ["redis://:***@host/0"],
            "args": ["--password=***", "API_TOKEN=***", "--token", "***", "--keep", "a key=word", "http://a.example/?key=b", "--secret"],
        });
        assert_eq!(conf, expected);
    }
}
