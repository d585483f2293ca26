//! Patterns of function paths: `crate::mod::Type::method`, `*` within one segment, `**` for any number of segments.

/// Returns true if the pattern matches the path.
pub(crate) fn matches(pattern: &str, path: &str) -> bool {
    let (pattern, path): (Vec<&str>, Vec<&str>) = (pattern.split("::").collect(), path.split("::").collect());
    segments_match(&pattern, &path)
}

/// Returns true if the pattern may match a function of the crate.
pub(crate) fn may_match_crate(pattern: &str, name: &str) -> bool {
    pattern.split("::").next().is_some_and(|first| first == "**" || segment_matches(first, name))
}

/// Returns a description of the first syntax error of a pattern.
pub(crate) fn mistake(pattern: &str) -> Option<String> {
    let is_name = |c: char| c.is_alphanumeric() || "_*[]()".contains(c);
    if pattern.is_empty() {
        return Some("a pattern needs something to match".to_owned());
    }
    pattern.split("::").find_map(|segment| match segment {
        "" => Some("a segment is empty; segments stand between `::`".to_owned()),
        "**" => None,
        _ if segment.contains("**") => Some(format!("`{segment}`: `**` stands alone, for any number of segments")),
        _ => segment.chars().find(|c| !is_name(*c)).map(|c| format!("`{c}` stands in no path; write `crate::mod::Type::method`")),
    })
}

fn segments_match(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern.split_first(), path.split_first()) {
        (None, None) => true,
        (Some((&"**", rest)), _) => segments_match(rest, path) || (!path.is_empty() && segments_match(pattern, &path[1..])),
        (Some((first, rest)), Some((segment, path))) => segment_matches(first, segment) && segments_match(rest, path),
        _ => false,
    }
}

fn segment_matches(pattern: &str, segment: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| segment.strip_prefix(first)) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// Returns up to three paths that are similar to a pattern that matches nothing, the most similar first.
pub(crate) fn near_misses<'a>(pattern: &str, paths: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let wanted = pattern.replace("**::", "").replace("::**", "");
    let mut scored: Vec<(f64, &str)> = paths
        .map(|path| {
            let whole = strsim::normalized_damerau_levenshtein(&wanted, path);
            // A matching last segment is the strongest sign of a typing error elsewhere.
            let tail = |text: &str| text.rsplit("::").next().unwrap_or_default().to_owned();
            let last = strsim::jaro_winkler(&tail(&wanted), &tail(path));
            (whole.max(if last > 0.9 { last - 0.1 } else { 0.0 }), path)
        })
        .filter(|(score, _)| *score > 0.6)
        .collect();
    scored.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    scored.dedup_by_key(|(_, path)| *path);
    scored.into_iter().take(3).map(|(_, path)| path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_paths() {
        for (pattern, path, is_match) in [
            ("app::run", "app::run", true),
            ("app::run", "app::run::inner", false),
            ("app::*", "app::run", true),
            ("app::*", "app::db::run", false),
            ("app::**", "app::db::Store::get", true),
            ("**::get", "app::db::Store::get", true),
            ("**", "app", true),
            ("app::**::get", "app::get", true),
            ("app::db::load_*", "app::db::load_row", true),
            ("app::*_row_*", "app::load_row_fast", true),
            ("app::*_row", "app::row", false),
        ] {
            assert_eq!(matches(pattern, path), is_match, "{pattern} {path}");
        }
        assert!(may_match_crate("**::x", "app") && may_match_crate("ap*::x", "app") && !may_match_crate("other::**", "app"));
    }

    #[test]
    fn invalid_patterns_are_refused() {
        for bad in ["", "app::", "app:::x", "app::a**", "app.run", "app::run()->"] {
            assert!(mistake(bad).is_some(), "{bad}");
        }
        assert!(mistake("app::**::Type::method_*").is_none());
    }

    #[test]
    fn a_typo_finds_the_intended_path() {
        let paths = ["app::db::Store::load", "app::db::Store::save", "app::main"];
        assert_eq!(near_misses("app::db::Sotre::load", paths.into_iter())[0], "app::db::Store::load");
        assert_eq!(near_misses("**::Store::laod", paths.into_iter())[0], "app::db::Store::load");
        assert!(near_misses("zzz::qqq", paths.into_iter()).is_empty());
    }
}
