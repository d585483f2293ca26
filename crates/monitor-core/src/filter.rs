//! Which attributed functions are recorded, by their modules (`MONITOR_FILTER`).

use std::str::FromStr;
use std::sync::OnceLock;

use crate::record::Site;
use crate::site;

/// Modules whose functions are recorded or not, as `tracing`'s `EnvFilter` writes them: `info,mini_redis::connection=off`.
///
/// An attributed function is of the level `info`: it is recorded at `info`, `debug` and `trace`, and not at `warn`, `error` and `off`. The
/// longest module that a function is in decides. What no directive names is recorded as the level that stands alone says or, without one,
/// unless there is a directive that names what is to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    modules: Vec<(String, bool)>,
    others: bool,
}

/// A directive that can't be understood.
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

/// The path of a module; crates are often written with a hyphen.
fn module(text: &str) -> Result<String, NoFilter> {
    let is_word = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || c == '_');
    let text = text.replace('-', "_");
    if text.split("::").all(is_word) { Ok(text) } else { Err(NoFilter) }
}

/// For each of the registered sites, whether it is recorded.
static RECORDED: OnceLock<Vec<bool>> = OnceLock::new();

/// Records only what the filter allows. To be called once, before recording is turned on.
pub fn set(filter: &Filter) {
    let _ = RECORDED.set(site::registered().iter().map(|site| filter.allows(site.module)).collect());
}

/// Returns true if a filter is set.
pub(crate) fn is_set() -> bool {
    RECORDED.get().is_some()
}

/// Returns true if the calls at this place are recorded.
pub(crate) fn allows(site: &'static Site) -> bool {
    let Some(recorded) = RECORDED.get() else { return true };
    recorded.get(site::number(site, site::first())).is_none_or(|is_recorded| *is_recorded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_module_decides() {
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
    fn what_is_no_directive_is_none() {
        for text in ["app=loud", "a b", "app[span]=info", "=off", "app=", "::", "app:db", "off=off=off"] {
            assert_eq!(text.parse::<Filter>(), Err(NoFilter), "{text}");
        }
    }
}
