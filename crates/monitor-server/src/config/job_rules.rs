//! The setting `job-rule`: rules for dangerous commands in jobs.

use monitor_jobs::JobRule;
use serde::Deserialize;

/// Maximum number of rules.
const MOST_RULES: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    pattern: String,
    action: String,
    message: Option<String>,
}

/// Parses rules like `[{ pattern = "rm -rf /", action = "refuse" }]`.
pub(super) fn read_job_rules(text: &str) -> Result<Vec<JobRule>, String> {
    #[derive(Deserialize)]
    struct All {
        rules: Vec<Written>,
    }
    let expected = "expected rules like [{ pattern = \"rm -rf /\", action = \"refuse\", message = \"Ask the owner\" }]";
    let all: All = toml::from_str(&format!("rules = {text}")).map_err(|error| format!("{}; {expected}", error.message()))?;
    if all.rules.len() > MOST_RULES {
        return Err(format!("{} rules are too many: at most {MOST_RULES} are possible", all.rules.len()));
    }
    let rule = |(place, Written { pattern, action, message }): (usize, Written)| {
        JobRule::new(&pattern, &action, message).map_err(|mistake| format!("rule {}: {mistake}", place + 1))
    };
    all.rules.into_iter().enumerate().map(rule).collect()
}

/// Formats rules in the syntax that [`read_job_rules`] parses.
pub(super) fn show_job_rules(rules: &[JobRule]) -> String {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let rule = |rule: &JobRule| {
        let message = rule.message().map(|message| format!(", message = {}", quoted(message))).unwrap_or_default();
        format!("{{ pattern = {}, action = \"{}\"{message} }}", quoted(rule.pattern()), rule.action().as_str())
    };
    let rules: Vec<_> = rules.iter().map(rule).collect();
    if rules.is_empty() { String::new() } else { format!("[{}]", rules.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_as_they_are_shown() {
        let text = r#"[{ pattern = "rm\\s+-rf \"?/", action = "refuse", message = "no \"root\"" }, { pattern = '(?i)reboot', action = "confirm" }]"#;
        let shown = show_job_rules(&read_job_rules(text).unwrap());
        assert_eq!(shown, show_job_rules(&read_job_rules(&shown).unwrap()));
        assert!(shown.contains("(?i)reboot") && shown.contains("confirm"), "{shown}");
    }

    #[test]
    fn invalid_rules_are_named() {
        for (text, words) in [
            ("", "expected rules like"),
            ("[1]", "expected rules like"),
            ("[{ pattern = \"x\" }]", "action"),
            ("[{ pattern = \"x\", action = \"warn\", on = \"a\" }]", "on"),
            ("[{ pattern = \"x\", action = \"warn\" }, { pattern = \"x\", action = \"refuze\" }]", "rule 2: action = \"refuze\""),
            ("[{ pattern = \"(\", action = \"warn\" }]", "rule 1: pattern = \"(\": unclosed group"),
            ("[{ pattern = \"x*\", action = \"refuse\" }]", "it matches every job"),
        ] {
            let error = read_job_rules(text).unwrap_err();
            assert!(error.contains(words), "{words:?} is not in {error:?}");
        }
        let many = format!("[{}]", "{ pattern = \"x\", action = \"warn\" }, ".repeat(MOST_RULES + 1));
        assert!(read_job_rules(&many).unwrap_err().contains("101 rules"));
    }
}
