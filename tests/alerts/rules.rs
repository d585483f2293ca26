//! Rules that the API stores.

use serde_json::{Value, json};

use super::{monitor_alert, start};

#[test]
fn a_rule_without_recipients_has_a_warning_unless_its_list_is_empty() {
    let (mut server, _receiver, _folder) = start("");
    let warning = "rule quiet: nobody is told by this rule: say whom, to = [\"@owner\"], or that nobody is to be, to = []";
    let put = |server: &monitor_tests::Server, more: Value| {
        let mut definition = json!({"on": {"cause": ["failed"]}});
        definition.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (status, rules) = server.order("PUT", "/alerts/rules/quiet", &definition);
        assert_eq!(status, 200, "{rules}");
        rules["warnings"].clone()
    };
    assert_eq!(put(&server, json!({})), json!([warning]));
    server.kill();
    server.start_again();
    let (is_done, rules, error) = monitor_alert(&server, &["rules"], "");
    assert!(is_done && rules.lines().any(|line| line == format!("warning: {warning}")), "{rules}{error}");
    for more in [json!({"to": []}), json!({"to": ["hook"]}), json!({"then": {"retry": true}})] {
        assert_eq!(put(&server, more.clone()), Value::Null, "{more}");
    }
    assert!(!monitor_alert(&server, &["rules"], "").1.contains("warning: "), "all are on purpose");
}
