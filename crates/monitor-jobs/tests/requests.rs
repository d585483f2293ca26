//! Checks of requests: defaults, and mistakes with their places.

use std::collections::BTreeMap;

use monitor_jobs::check;
use monitor_wire::{JobFailed, JobRequest, JobRetry, JobThen, Rolling, SecretSource, StepRequest};

#[test]
fn a_request_gets_its_defaults() {
    let step = StepRequest { script: "true".to_owned(), ..StepRequest::default() };
    let retry = JobRetry { times: 1, backoff: None };
    let mut request = JobRequest { steps: vec![step.clone(), step], retry: Some(retry), ..JobRequest::default() };
    check(&mut request).unwrap();
    assert_eq!(request.name.as_deref(), Some("step 1"));
    assert_eq!(request.steps[1].name.as_deref(), Some("step 2"));
    assert_eq!(monitor_jobs::timeout_s(&request.steps[1]), 7_200);
    assert_eq!(request.retry.as_ref().unwrap().backoff.as_deref(), Some("30s"));
    let filled = request.clone();
    check(&mut request).unwrap();
    assert_eq!(request, filled);
}

#[test]
fn all_mistakes_of_a_request_are_listed_with_their_places() {
    let wrong = StepRequest {
        name: Some("x".repeat(300)),
        script: " \n".to_owned(),
        args: vec!["a".to_owned(), "b\0".to_owned()],
        env: BTreeMap::from([("A=B".to_owned(), String::new()), ("C".to_owned(), "\0".to_owned())]),
        secrets: BTreeMap::from([
            ("C".to_owned(), SecretSource::File("/etc/c".to_owned())),
            ("D".to_owned(), SecretSource::Env("1".to_owned())),
        ]),
        timeout: Some("25h".to_owned()),
        ..StepRequest::default()
    };
    let long = StepRequest { script: "x".repeat((5 << 20) + 1), timeout: Some("soon".to_owned()), ..StepRequest::default() };
    let mut request = JobRequest {
        name: Some(String::new()),
        steps: vec![wrong, long],
        rolling: Some(Rolling {
            expression: "+5".to_owned(),
            stop_after_failures: Some("many".to_owned()),
            parallel: Some(0),
            ..Rolling::default()
        }),
        retry: Some(JobRetry { times: 101, backoff: Some("x".to_owned()) }),
        callback_url: Some("ftp://host".to_owned()),
        then: Some(JobThen {
            failed: Some(JobFailed {
                retry: Some(JobRetry { times: 102, backoff: Some("y".to_owned()) }),
                job: Some(Box::new(JobRequest { request_id: Some("r".to_owned()), ..JobRequest::default() })),
            }),
        }),
        ..JobRequest::default()
    };
    let mistakes = check(&mut request).unwrap_err();
    let places: Vec<&str> = mistakes.iter().map(|mistake| mistake.split_once(": ").unwrap().0).collect();
    let expected = [
        "steps[0].name",
        "steps[0].script",
        "steps[0].args[1]",
        "steps[0].env",
        "steps[0].env.C",
        "steps[0].secrets.C",
        "steps[0].secrets.D",
        "steps[0].timeout",
        "steps[1].script",
        "steps[1].timeout",
        "name",
        "rolling.expression",
        "rolling.stop_after_failures",
        "rolling.parallel",
        "retry.times",
        "retry.backoff",
        "then.failed.retry.times",
        "then.failed.retry.backoff",
        "then.failed.job.steps",
        "then.failed.job.request_id",
        "callback_url",
    ];
    assert_eq!(places, expected, "{mistakes:#?}");
    let mut nested = JobRequest { then: request.then.clone(), ..JobRequest::default() };
    nested.then = Some(JobThen { failed: Some(JobFailed { retry: None, job: Some(Box::new(nested.clone())) }) });
    assert!(check(&mut nested).unwrap_err()[1].starts_with("then.failed.job.then: "));
    let none = check(&mut JobRequest::default()).unwrap_err();
    assert!(none[0].starts_with("steps: the job has no steps"), "{none:?}");
    let step = StepRequest { script: "true".to_owned(), ..StepRequest::default() };
    assert!(check(&mut JobRequest { steps: vec![step; 101], ..JobRequest::default() }).unwrap_err()[0].contains("at most 100"));
}
