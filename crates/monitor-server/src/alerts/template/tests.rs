use serde_json::json;

use super::*;

fn made(template: &str, values: Value) -> Result<String, String> {
    make(&Wanted { template: template.to_owned(), values })
}

#[test]
fn values_are_not_interpreted_as_templates() {
    let hostile = json!({"error": "{{ 7 * 7 }} {% for i in range(9) %} <b>x</b>", "lines": ["a", "{{ error }}"]});
    let text = made("{{ error }}\n{% for line in lines %}{{ line }};{% endfor %}{{ missing.deep.inside }}", hostile).unwrap();
    assert_eq!(text, "{{ 7 * 7 }} {% for i in range(9) %} <b>x</b>\na;{{ error }};");
}

#[test]
fn errors_of_a_template_contain_the_line() {
    for (template, words) in [
        ("a\n{{ error", "line 2"),
        ("a\n{% include 'passwd' %}", "line 2"),
        ("{% extends '/etc/passwd' %}", "line 1"),
        ("{% import 'x' as x %}", "line 1"),
        ("{{ nothing() }}", "nothing"),
        ("{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}", "steps"),
        ("{{ range(1000000000000) }}", "line 1"),
        ("{% for i in range(5000) %}0123456789{% endfor %}", "bytes"),
    ] {
        let why = made(template, json!({"error": "x"})).unwrap_err();
        assert!(why.contains(words), "{template}: {why}");
    }
}

#[test]
fn a_child_answers_whatever_it_is_sent() {
    for (input, words) in
        [("", "nothing that it knows"), ("{}", "nothing that it knows"), (r#"{"template":"{{ a }}","values":{"a":1}}"#, r#"{"text":"1"}"#)]
    {
        let mut output = Vec::new();
        // Calls `answer` and not `child`, whose resource limits would apply to all tests of this process.
        answer(input.as_bytes(), &mut output).unwrap();
        let answered = String::from_utf8(output).unwrap();
        assert!(answered.contains(words), "{input}: {answered}");
    }
}

#[tokio::test]
async fn a_program_that_answers_nothing_useful_makes_no_text() {
    // The first program is the test binary, which renders no templates; the second does not exist.
    let why = Templates::new().make("{{ a }}", json!({})).await.unwrap_err();
    assert!(why.contains("memory or time"), "{why}");
    let missing = Templates { program: Some("/nowhere/at/all".into()) };
    assert!(missing.make("{{ a }}", json!({})).await.unwrap_err().contains("failed"));
}
