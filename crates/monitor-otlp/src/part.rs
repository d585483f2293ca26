//! Spans on their way, in requests of a bounded size.

use std::sync::Arc;

use prost::Message as _;

use crate::SCOPE;
use crate::proto::{Resource, ResourceSpans, Scope, ScopeSpans, Span, TracesRequest};

/// The most bytes of spans in a request, unless a single span has more. Receivers commonly take 4 MiB or more.
const MOST_BYTES: usize = 2 << 20;

/// Spans of one request, each with the resource that it belongs to.
#[derive(Debug, Default)]
pub struct Part {
    spans: Vec<(Arc<Resource>, Span)>,
}

impl Part {
    /// Puts all spans into one part, whatever its size.
    pub fn whole(spans: Vec<(Arc<Resource>, Span)>) -> Self {
        Self { spans }
    }

    /// Parts of these spans, in their order, of a bounded size each.
    pub fn of(spans: Vec<(Arc<Resource>, Span)>) -> Vec<Self> {
        let (mut parts, mut bytes) = (Vec::<Self>::new(), 0);
        for (resource, span) in spans {
            let size = span.encoded_len();
            if parts.is_empty() || bytes + size > MOST_BYTES {
                parts.push(Self::default());
                bytes = 0;
            }
            bytes += size;
            parts.last_mut().expect("one was pushed").spans.push((resource, span));
        }
        parts
    }

    /// Two parts of half as many spans; none if it is one span.
    pub fn halves(mut self) -> Option<[Self; 2]> {
        let middle = self.spans.len() / 2;
        (middle > 0).then(|| {
            let second = Self { spans: self.spans.split_off(middle) };
            [self, second]
        })
    }

    /// Number of its spans.
    pub fn count(&self) -> usize {
        self.spans.len()
    }

    /// The body of its request.
    pub fn body(&self) -> Vec<u8> {
        let mut groups: Vec<(&Arc<Resource>, Vec<Span>)> = Vec::new();
        for (resource, span) in &self.spans {
            match groups.iter_mut().find(|(known, _)| Arc::ptr_eq(known, resource)) {
                Some((_, spans)) => spans.push(span.clone()),
                None => groups.push((resource, vec![span.clone()])),
            }
        }
        let scope = Scope { name: SCOPE.to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() };
        let of_group = |(resource, spans): (&Arc<Resource>, Vec<Span>)| ResourceSpans {
            resource: Some((**resource).clone()),
            scope_spans: vec![ScopeSpans { scope: Some(scope.clone()), spans }],
        };
        TracesRequest { resource_spans: groups.into_iter().map(of_group).collect() }.encode_to_vec()
    }
}
