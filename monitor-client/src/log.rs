//! A logger for programs that use the crate `log`: each line is added to the log of the process that is current on its thread.
//!
//! ```
//! monitor_client::log::Logger::new().init().expect("no logger was set before");
//!
//! log::info!(target: "app::rows", "{} rows read", 17);
//! ```

use std::borrow::Cow;

use ::log::kv::{self, Key, VisitSource};
use ::log::{Level, LevelFilter, Log, Metadata, Record, SetLoggerError};
use monitor_core::record::Fields;
use monitor_core::{Line, Value, inside, log_line};

/// A logger that records lines in the log of the current process, with their target, keys and values. It can
/// also pass them on to another logger.
///
/// # Examples
///
/// ```
/// use monitor_client::log::Logger;
///
/// Logger::new().level(log::LevelFilter::Debug).init()?;
/// log::debug!(rows = 17; "read");
/// # Ok::<(), log::SetLoggerError>(())
/// ```
pub struct Logger {
    level: LevelFilter,
    other: Option<Box<dyn Log>>,
}

impl Logger {
    /// Creates a logger that records lines of level info and above.
    ///
    /// # Examples
    ///
    /// ```
    /// monitor_client::log::Logger::new().init()?;
    /// # Ok::<(), log::SetLoggerError>(())
    /// ```
    pub fn new() -> Self {
        Logger { level: LevelFilter::Info, other: None }
    }

    /// Sets the least severe level that is recorded.
    ///
    /// # Examples
    ///
    /// ```
    /// let logger = monitor_client::log::Logger::new().level(log::LevelFilter::Warn);
    /// # drop(logger);
    /// ```
    #[must_use]
    pub fn level(self, level: LevelFilter) -> Self {
        Logger { level, ..self }
    }

    /// Adds another logger, which also receives all lines except those of the threads that send recorded events. The other logger decides
    /// which lines it logs. To change the maximum level for both, call [`log::set_max_level`] after [`init`](Self::init).
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::log::Logger;
    /// # struct Terminal;
    /// # impl log::Log for Terminal {
    /// #     fn enabled(&self, _: &log::Metadata<'_>) -> bool { true }
    /// #     fn log(&self, _: &log::Record<'_>) {}
    /// #     fn flush(&self) {}
    /// # }
    ///
    /// Logger::new().over(Terminal).init()?;
    /// log::set_max_level(log::LevelFilter::Debug);
    /// # Ok::<(), log::SetLoggerError>(())
    /// ```
    #[must_use]
    pub fn over(self, other: impl Log + 'static) -> Self {
        Logger { other: Some(Box::new(other)), ..self }
    }

    /// Makes this the program's logger. If nothing is recorded and there is no other logger, the maximum level is set to
    /// off, so that no line is formatted.
    ///
    /// # Errors
    ///
    /// Returns an error if the program already has a logger.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::log::Logger;
    ///
    /// Logger::new().init()?;
    /// assert!(Logger::new().init().is_err(), "the program already has a logger");
    /// # Ok::<(), log::SetLoggerError>(())
    /// ```
    pub fn init(self) -> Result<(), SetLoggerError> {
        let level = if crate::enabled() || self.other.is_some() { self.level } else { LevelFilter::Off };
        ::log::set_boxed_logger(Box::new(self))?;
        ::log::set_max_level(level);
        Ok(())
    }

    fn takes(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= self.level && crate::enabled() && !inside::is_inside()
    }
}

impl Default for Logger {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Logger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Logger").field("level", &self.level).finish_non_exhaustive()
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.takes(metadata) || !is_of_recorder() && self.other.as_ref().is_some_and(|other| other.enabled(metadata))
    }

    fn log(&self, record: &Record<'_>) {
        if self.takes(record.metadata()) {
            log_line(None, || Line {
                level: level(record.level()),
                target: Some(Cow::Owned(record.target().to_owned())),
                message: record.args().to_string(),
                fields: fields(record),
                ..Line::default()
            });
        }
        if let Some(other) = self.other.as_ref().filter(|_| !is_of_recorder()) {
            other.log(record);
        }
    }

    fn flush(&self) {
        if let Some(other) = &self.other {
            other.flush();
        }
    }
}

/// Returns true on the threads that send recorded events. The HTTP client on these threads logs lines of its own.
fn is_of_recorder() -> bool {
    #[cfg(feature = "ship")]
    return crate::silence::is_on();
    #[cfg(not(feature = "ship"))]
    false
}

fn level(level: Level) -> crate::Level {
    match level {
        Level::Error => crate::Level::Error,
        Level::Warn => crate::Level::Warn,
        Level::Info => crate::Level::Info,
        Level::Debug => crate::Level::Debug,
        Level::Trace => crate::Level::Trace,
    }
}

fn fields(record: &Record<'_>) -> Fields {
    struct Pairs(Fields);

    impl<'kvs> VisitSource<'kvs> for Pairs {
        fn visit_pair(&mut self, key: Key<'kvs>, value: kv::Value<'kvs>) -> Result<(), kv::Error> {
            self.0.push((Cow::Owned(key.to_string()), self::value(&value)));
            Ok(())
        }
    }

    let mut pairs = Pairs(Fields::new());
    // If the source fails, the pairs before the error are kept.
    let _ = record.key_values().visit(&mut pairs);
    pairs.0
}

fn value(value: &kv::Value<'_>) -> Value {
    let number =
        || value.to_i64().map(Value::Signed).or_else(|| value.to_u64().map(Value::Unsigned)).or_else(|| value.to_f64().map(Value::Float));
    value.to_bool().map(Value::Bool).or_else(number).unwrap_or_else(|| Value::Text(value.to_string()))
}
