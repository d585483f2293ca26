//! Masks of secrets in settings and arguments that are shown or recorded.

use serde_json::Value;

/// Words in the names of secret values.
const SECRET: [&str; 6] = ["password", "passwd", "secret", "token", "key", "credential"];

/// Replaces secrets by `***`: values whose name contains a word such as `password` or `token`, and passwords in URLs.
pub fn mask(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields.iter_mut() {
                let name = name.to_ascii_lowercase();
                if SECRET.iter().any(|word| name.contains(word)) && !value.is_null() && !value.is_boolean() {
                    *value = "***".into();
                } else {
                    mask(value);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(mask),
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_secret_is_masked_wherever_it_stands() {
        let mut conf = json!({
            "broker": "amqp://worker:s3cret@mq.example:5672/films?x=1",
            "pools": [{"Api_Token": "abc", "has_token": true, "url": "http://a.example/b@c:d"}],
            "db": {"PASSWORD": 7, "name": "films"},
            "redis": ["redis://:pw@host/0"],
        });
        mask(&mut conf);
        let expected = json!({
            "broker": "amqp://worker:***@mq.example:5672/films?x=1",
            "pools": [{"Api_Token": "***", "has_token": true, "url": "http://a.example/b@c:d"}],
            "db": {"PASSWORD": "***", "name": "films"},
            "redis": ["redis://:***@host/0"],
        });
        assert_eq!(conf, expected);
    }
}
