//! Divides spans into requests of limited size.

use std::sync::Arc;

use prost::Message as _;

use crate::SCOPE;
use crate::proto::{Resource, ResourceSpans, Scope, ScopeSpans, Span, TracesRequest};

/// Maximum size of the spans in a request, in bytes, unless a single span is larger. Receivers commonly accept 4 MiB or more.
const MOST_BYTES: usize = 2 << 20;

/// Spans of a request, each with its resource.
#[derive(Debug, Default)]
pub struct Part {
    spans: Vec<(Arc<Resource>, Span)>,
}

impl Part {
    /// Creates a single part of any size.
    pub fn whole(spans: Vec<(Arc<Resource>, Span)>) -> Self {
        Self { spans }
    }

    /// Divides spans into parts of limited size, in order.
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

    /// Splits the part into halves. `None` if it has a single span.
    pub fn halves(mut self) -> Option<[Self; 2]> {
        let middle = self.spans.len() / 2;
        (middle > 0).then(|| {
            let second = Self { spans: self.spans.split_off(middle) };
            [self, second]
        })
    }

    /// Returns the number of spans.
    pub fn count(&self) -> usize {
        self.spans.len()
    }

    /// Returns the body of the request.
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
