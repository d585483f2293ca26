//! The setting `job-callback`: addresses that callbacks of jobs may be sent to.

use serde::Deserialize;
use url::Url;

use crate::jobs::CallbackTarget;

/// Maximum number of addresses.
const MOST_TARGETS: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    url: String,
    #[serde(default)]
    private: bool,
}

/// Parses addresses like `[{ url = "https://hooks.example.com/jobs" }]`.
pub(super) fn read_job_callbacks(text: &str) -> Result<Vec<CallbackTarget>, String> {
    #[derive(Deserialize)]
    struct All {
        targets: Vec<Written>,
    }
    let expected = "expected addresses like [{ url = \"https://hooks.example.com/jobs\", private = false }]";
    let all: All = toml::from_str(&format!("targets = {text}")).map_err(|error| format!("{}; {expected}", error.message()))?;
    if all.targets.len() > MOST_TARGETS {
        return Err(format!("{} addresses are too many: at most {MOST_TARGETS} are possible", all.targets.len()));
    }
    all.targets.into_iter().map(target).collect()
}

fn target(Written { url: text, private }: Written) -> Result<CallbackTarget, String> {
    let mistake = |why: &str| format!("url = {text:?}: {why}");
    let url = Url::parse(&text).map_err(|error| mistake(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(mistake("it begins with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err(mistake("it has neither a user nor a query nor a fragment"));
    }
    Ok(CallbackTarget { url, is_private: private })
}

/// Formats addresses in the syntax that [`read_job_callbacks`] parses.
pub(super) fn show_job_callbacks(targets: &[CallbackTarget]) -> String {
    let target = |target: &CallbackTarget| {
        let private = if target.is_private { ", private = true" } else { "" };
        format!("{{ url = {}{private} }}", toml::Value::from(target.url.as_str()))
    };
    let targets: Vec<_> = targets.iter().map(target).collect();
    if targets.is_empty() { String::new() } else { format!("[{}]", targets.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_they_are_shown() {
        let text = r#"[{ url = "https://hooks.example.com/jobs" }, { url = "http://10.0.0.5:8080/", private = true }]"#;
        assert_eq!(show_job_callbacks(&read_job_callbacks(text).unwrap()), text);
    }

    #[test]
    fn invalid_addresses_are_named() {
        for (text, words) in [
            ("", "expected addresses like"),
            ("[1]", "expected addresses like"),
            ("[{ private = true }]", "url"),
            ("[{ url = \"https://a.example\", on = 1 }]", "on"),
            ("[{ url = \"a.example\" }]", "url = \"a.example\": "),
            ("[{ url = \"ftp://a.example\" }]", "it begins with http:// or https://"),
            ("[{ url = \"https://ada@a.example\" }]", "neither a user"),
            ("[{ url = \"https://a.example/?key=1\" }]", "nor a query"),
        ] {
            let error = read_job_callbacks(text).unwrap_err();
            assert!(error.contains(words), "{words:?} is not in {error:?}");
        }
        let many = format!("[{}]", "{ url = \"https://a.example\" }, ".repeat(MOST_TARGETS + 1));
        assert!(read_job_callbacks(&many).unwrap_err().contains("101 addresses"));
    }
}
