//! The filter that selects the recorded functions by module (`MONITOR_FILTER`).

use std::str::FromStr;
use std::sync::OnceLock;

use crate::record::Site;
use crate::site;

/// Filter of attributed functions by module, in the syntax of `tracing`'s `EnvFilter`: `info,mini_redis::connection=off`.
///
/// An attributed function has the level `info`: it is recorded at `info`, `debug` and `trace`, and not at `warn`, `error` and `off`. The
/// directive with the longest matching module applies. A function without a matching directive is recorded according to the directive
/// without a module. If there is none, it is recorded unless another directive enables a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    modules: Vec<(String, bool)>,
    others: bool,
}

/// Error for a directive that can't be parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoFilter;

impl FromStr for Filter {
    type Err = NoFilter;

    fn from_str(text: &str) -> Result<Self, NoFilter> {
        let (mut modules, mut others) = (Vec::new(), None);
        for directive in text.split(',').map(str::trim).filter(|directive| !directive.is_empty()) {
            let (named, level) = directive.split_once('=').map_or((directive, None), |(module, level)| (module.trim(), Some(level)));
            match (level.map(is_recorded), is_recorded(named)) {
                (Some(None), _) => return Err(NoFilter),
                (None, Some(is_recorded)) => others = Some(is_recorded),
                (level, _) => modules.push((module(named)?, level.flatten().unwrap_or(true))),
            }
        }
        let others = others.unwrap_or_else(|| modules.iter().all(|(_, is_recorded)| !is_recorded));
        Ok(Filter { modules, others })
    }
}

impl Filter {
    /// Returns true if functions of this module are recorded.
    pub fn allows(&self, module: &str) -> bool {
        let is_in = |outer: &str| module.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
        let directives = self.modules.iter().filter(|(outer, _)| is_in(outer));
        directives.max_by_key(|(outer, _)| outer.len()).map_or(self.others, |(_, is_recorded)| *is_recorded)
    }
}

fn is_recorded(level: &str) -> Option<bool> {
    match level.trim().to_ascii_lowercase().as_str() {
        "info" | "debug" | "trace" => Some(true),
        "off" | "error" | "warn" => Some(false),
        _ => None,
    }
}

/// Parses the path of a module. Hyphens are accepted, because names of crates often contain them.
fn module(text: &str) -> Result<String, NoFilter> {
    let is_word = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || c == '_');
    let text = text.replace('-', "_");
    if text.split("::").all(is_word) { Ok(text) } else { Err(NoFilter) }
}

/// True for each registered site that is recorded.
static RECORDED: OnceLock<Vec<bool>> = OnceLock::new();

/// Sets the filter. Must be called once, before recording is turned on.
pub fn set(filter: &Filter) {
    let _ = RECORDED.set(site::registered().iter().map(|site| filter.allows(site.module)).collect());
}

/// Returns true if a filter is set.
pub(crate) fn is_set() -> bool {
    RECORDED.get().is_some()
}

/// Returns true if the calls at this site are recorded.
pub(crate) fn allows(site: &'static Site) -> bool {
    let Some(recorded) = RECORDED.get() else { return true };
    recorded.get(site::number(site, site::first())).is_none_or(|is_recorded| *is_recorded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directive_of_the_longest_module_decides() {
        for (filter, allowed, refused) in [
            ("info,app::db=off", &["app", "app::web", "other", "app::dbx"][..], &["app::db", "app::db::rows"][..]),
            ("off,app::db=info", &["app::db", "app::db::rows"], &["app", "other"]),
            ("app::db=off", &["app", "other"], &["app::db"]),
            ("my-app", &["my_app", "my_app::db"], &["my_app2", "other"]),
            ("app=off,app::db=debug,app::db::raw=error", &["app::db"], &["app", "app::db::raw", "other"]),
            ("warn", &[], &["app"]),
            (" INFO , app = OFF ,", &["other"], &["app"]),
            ("", &["app"], &[]),
        ] {
            let filter: Filter = filter.parse().expect("a filter");
            assert!(allowed.iter().all(|module| filter.allows(module)), "{filter:?} {allowed:?}");
            assert!(!refused.iter().any(|module| filter.allows(module)), "{filter:?} {refused:?}");
        }
    }

    #[test]
    fn invalid_directives_are_refused() {
        for text in ["app=loud", "a b", "app[span]=info", "=off", "app=", "::", "app:db", "off=off=off"] {
            assert_eq!(text.parse::<Filter>(), Err(NoFilter), "{text}");
        }
    }
}
