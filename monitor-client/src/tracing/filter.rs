//! The filter of spans and events (`MONITOR_TRACING`).

use ::tracing::level_filters::LevelFilter;
use ::tracing::span::{Attributes, Id, Record};
use ::tracing::subscriber::Interest;
use ::tracing::{Metadata, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::{Context, Filter};

const VARIABLE: &str = "MONITOR_TRACING";

/// Filter that accepts the spans and events in `MONITOR_TRACING`, or none if nothing is recorded.
#[derive(Debug)]
pub(super) struct Wanted {
    filter: Option<EnvFilter>,
    /// True if a directive depends on a span: `app[import]=debug`. Only such a filter needs the notifications about spans.
    has_spans: bool,
}

impl Wanted {
    /// Reads the filter from the environment.
    pub(super) fn read() -> Self {
        let text = std::env::var_os(VARIABLE).unwrap_or_default();
        let filter = crate::enabled().then(|| {
            let parsed = text.to_str().ok_or_else(|| "it is not UTF-8".to_owned()).and_then(parse);
            parsed.unwrap_or_else(|why| {
                let shown: String = text.to_string_lossy().chars().take(80).collect();
                monitor_core::warn::tell(&format!(
                    "{VARIABLE} is {shown:?}, of which `info` is taken: {why}; expected directives such as info,hyper=off"
                ));
                EnvFilter::new("info")
            })
        });
        Self { filter, has_spans: text.to_string_lossy().contains('[') }
    }

    /// Returns true if the filter must be notified when spans are entered, left and closed.
    pub(super) fn has_spans(&self) -> bool {
        self.has_spans
    }
}

fn parse(text: &str) -> Result<EnvFilter, String> {
    EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).parse(text).map_err(|error| error.to_string())
}

impl<S: Subscriber> Filter<S> for Wanted {
    fn enabled(&self, metadata: &Metadata<'_>, context: &Context<'_, S>) -> bool {
        self.filter.as_ref().is_some_and(|filter| filter.enabled(metadata, context.clone()))
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        self.filter.as_ref().map_or_else(Interest::never, |filter| Filter::<S>::callsite_enabled(filter, metadata))
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        self.filter.as_ref().map_or(Some(LevelFilter::OFF), EnvFilter::max_level_hint)
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(filter) = self.filter.as_ref().filter(|_| self.has_spans) {
            filter.on_new_span(attributes, id, context);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(filter) = &self.filter {
            filter.on_record(id, values, context);
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        if let Some(filter) = &self.filter {
            filter.on_enter(id, context);
        }
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        if let Some(filter) = &self.filter {
            filter.on_exit(id, context);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        if let Some(filter) = &self.filter {
            filter.on_close(id, context);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_directives_are_errors() {
        for good in ["", "info,hyper=off", "debug", "app[import{table=orders}]=trace"] {
            assert!(parse(good).is_ok(), "{good:?}");
        }
        for bad in ["app=loud", "a=b=c", "[", &"=".repeat(100_000)] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
