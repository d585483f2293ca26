//! Splits OTLP requests, because a file may contain more in one request than a server accepts.

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{AT_ONCE, BYTES_AT_ONCE};

/// A span with its resource and scope, as JSON text.
#[derive(Clone, Copy)]
pub(super) struct Span<'a> {
    resource: Option<&'a RawValue>,
    scope: Option<&'a RawValue>,
    json: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    #[serde(borrow)]
    resource_spans: Vec<Group<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group<'a> {
    #[serde(borrow)]
    resource: Option<&'a RawValue>,
    #[serde(borrow, default)]
    scope_spans: Vec<Part<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part<'a> {
    #[serde(borrow)]
    scope: Option<&'a RawValue>,
    #[serde(borrow, default)]
    spans: Vec<&'a RawValue>,
}

/// The spans of a request, in their order.
pub(super) fn read(json: &str) -> anyhow::Result<Vec<Span<'_>>> {
    let request: Request<'_> = serde_json::from_str(json).context("it is no request of OTLP")?;
    let groups = request.resource_spans.into_iter();
    let parts = groups.flat_map(|group| group.scope_spans.into_iter().map(move |part| (group.resource, part)));
    let spans =
        parts.flat_map(|(resource, part)| part.spans.into_iter().map(move |span| Span { resource, scope: part.scope, json: span.get() }));
    Ok(spans.collect())
}

/// Splits spans into parts, each for a request.
pub(super) fn parts<'a, 'b>(mut spans: &'b [Span<'a>]) -> impl Iterator<Item = &'b [Span<'a>]> {
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let most = spans.iter().take(AT_ONCE).take_while(|span| {
            let fits = bytes < BYTES_AT_ONCE;
            bytes += span.json.len();
            fits
        });
        let (part, rest) = spans.split_at(most.count());
        spans = rest;
        (!part.is_empty()).then_some(part)
    })
}

/// Builds a request of spans.
pub(super) fn request(spans: &[Span<'_>]) -> String {
    let is_same = |a: Option<&RawValue>, b: Option<&RawValue>| a.map(std::ptr::from_ref) == b.map(std::ptr::from_ref);
    let groups = spans.chunk_by(|a, b| is_same(a.resource, b.resource) && is_same(a.scope, b.scope));
    let groups = groups.map(|group| {
        let text = |json: Option<&RawValue>| json.map_or("{}", RawValue::get).to_owned();
        let spans: Vec<_> = group.iter().map(|span| span.json).collect();
        let (resource, scope, spans) = (text(group[0].resource), text(group[0].scope), spans.join(","));
        format!(r#"{{"resource":{resource},"scopeSpans":[{{"scope":{scope},"spans":[{spans}]}}]}}"#)
    });
    format!(r#"{{"resourceSpans":[{}]}}"#, groups.collect::<Vec<_>>().join(","))
}
