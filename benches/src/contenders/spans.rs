//! `tracing` spans, without fields and with three, entered once, with different subscribers.

use monitor_client::tracing::layer;
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id};
use tracing::{Subscriber, info_span};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use super::{Contender, Running, SINGLE};
use crate::work::{Shape, leaf_body, repeat};

#[inline(never)]
fn bare(n: u64) -> u64 {
    let _span = info_span!("bare").entered();
    leaf_body(n)
}

#[inline(never)]
fn with_fields(n: u64) -> u64 {
    let _span = info_span!("with fields", number = n, text = "a few words", is_odd = n % 2 == 1).entered();
    leaf_body(n)
}

fn tree_of_bare(_: Shape, calls: u64) {
    let _root = info_span!("root").entered();
    repeat(calls, bare);
}

fn tree_with_fields(_: Shape, calls: u64) {
    let _root = info_span!("root").entered();
    repeat(calls, with_fields);
}

/// Registry with our layer.
fn ours() -> Running {
    let running = super::ours::start();
    tracing_subscriber::registry().with(layer()).init();
    running
}

/// Ours while nothing is recorded.
fn ours_off() -> Running {
    tracing_subscriber::registry().with(layer()).init();
    Running::nothing()
}

/// The least that a layer can do which knows its spans again: it keeps a number of each.
struct Number;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Number {
    fn on_new_span(&self, _: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(id.into_u64());
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        std::hint::black_box(context.span(id).and_then(|span| span.extensions().get::<u64>().copied()));
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        std::hint::black_box(context.span(&id).and_then(|span| span.extensions_mut().remove::<u64>()));
    }
}

fn number() -> Running {
    tracing_subscriber::registry().with(Number).init();
    Running::nothing()
}

/// With a filter for our layer only; without one, no layer can leave callsites to the other layers.
fn filtered_number() -> Running {
    tracing_subscriber::registry().with(Number.with_filter(LevelFilter::INFO)).init();
    Running::nothing()
}

fn fastrace() -> Running {
    let running = super::fastrace::start();
    tracing_subscriber::registry().with(fastrace_tracing::FastraceCompatLayer::new()).init();
    running
}

/// fastrace only records spans below a root span of its own.
fn fastrace_tree(tree: fn(Shape, u64), shape: Shape, calls: u64) {
    let root = ::fastrace::Span::root("root", ::fastrace::prelude::SpanContext::random());
    let _local = root.set_local_parent();
    tree(shape, calls);
}

pub(crate) const REGISTRY: [&str; 2] = ["Registry alone", "Registry alone, 3 fields"];
const NUMBER: [&str; 2] = ["a layer that keeps a number", "the same behind a filter"];
pub(crate) const OURS: [&str; 2] = ["our layer", "our layer, 3 fields"];
pub(crate) const OURS_OFF: [&str; 2] = ["our layer, off", "our layer, off, 3 fields"];
pub(crate) const OTEL: [&str; 2] = ["tracing-opentelemetry, batch", "tracing-opentelemetry, batch, 3 fields"];
pub(crate) const FASTRACE: [&str; 2] = ["fastrace-tracing", "fastrace-tracing, 3 fields"];

const TREES: [super::Tree; 2] = [tree_of_bare, tree_with_fields];
const FASTRACE_TREES: [super::Tree; 2] =
    [|shape, calls| fastrace_tree(tree_of_bare, shape, calls), |shape, calls| fastrace_tree(tree_with_fields, shape, calls)];

/// All of them: each without fields, then with three; the layer that keeps a number without fields.
pub(crate) const ALL: &[Contender] = &[
    rival(REGISTRY[0], super::tracing::registry, TREES[0]),
    rival(REGISTRY[1], super::tracing::registry, TREES[1]),
    rival(NUMBER[0], number, TREES[0]),
    rival(NUMBER[1], filtered_number, TREES[0]),
    rival(OURS_OFF[0], ours_off, TREES[0]),
    rival(OURS_OFF[1], ours_off, TREES[1]),
    Contender { name: OURS[0], is_monitored: true, settings: SINGLE, start: ours, tree: TREES[0] },
    Contender { name: OURS[1], is_monitored: true, settings: SINGLE, start: ours, tree: TREES[1] },
    rival(OTEL[0], super::tracing::opentelemetry, TREES[0]),
    rival(OTEL[1], super::tracing::opentelemetry, TREES[1]),
    rival(FASTRACE[0], fastrace, FASTRACE_TREES[0]),
    rival(FASTRACE[1], fastrace, FASTRACE_TREES[1]),
];

const fn rival(name: &'static str, start: fn() -> Running, tree: super::Tree) -> Contender {
    Contender { name, is_monitored: false, settings: &[], start, tree }
}
