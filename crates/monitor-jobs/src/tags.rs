//! Conditions on the tags of a host, such as `env=prod,!canary`.

use std::str::FromStr;

use monitor_wire::HostDefinition;

/// Conditions on the tags of a host, which must satisfy all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagConditions(Vec<Condition>);

/// A condition on a host's tags.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Condition {
    name: String,
    value: Option<String>,
    is_negated: bool,
}

impl TagConditions {
    /// True if the host satisfies all conditions.
    #[must_use]
    pub fn are_satisfied_by(&self, host: &HostDefinition) -> bool {
        self.0.iter().all(|condition| condition.is_satisfied_by(host))
    }

    /// True if a host without tags can't satisfy the conditions.
    #[must_use]
    pub fn require_a_tag(&self) -> bool {
        self.0.iter().any(|condition| !condition.is_negated)
    }
}

impl Condition {
    fn is_satisfied_by(&self, host: &HostDefinition) -> bool {
        let has_tag = host.tags.get(&self.name).is_some_and(|value| self.value.as_ref().is_none_or(|expected| expected == value));
        has_tag != self.is_negated
    }
}

impl FromStr for TagConditions {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut conditions = Vec::new();
        for part in text.split(',').map(str::trim) {
            let (is_negated, rest) = part.strip_prefix('!').map_or((false, part), |rest| (true, rest));
            let (name, value) = rest.split_once('=').map_or((rest, None), |(name, value)| (name, Some(value.trim().to_owned())));
            if name.trim().is_empty() {
                return Err(format!(
                    "`{part}` is not a condition on a tag: use `env=prod`, `canary` or `!canary`, with commas between them"
                ));
            }
            conditions.push(Condition { name: name.trim().to_owned(), value, is_negated });
        }
        Ok(Self(conditions))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_without_tags_satisfies_only_negated_conditions() {
        for (text, requires) in
            [("env=prod", true), ("canary", true), ("!canary,env=prod", true), ("!canary", false), ("!env=prod,!old", false)]
        {
            let conditions: TagConditions = text.parse().unwrap();
            assert_eq!(
                (conditions.require_a_tag(), conditions.are_satisfied_by(&HostDefinition::default())),
                (requires, !requires),
                "{text}"
            );
        }
    }
}
