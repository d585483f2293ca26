//! Mapping of a user's groups to roles, and lookup of the groups among the claims.

use std::fmt;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use serde_json::{Map, Value};

use crate::access::Role;

/// Group that contains all users of the provider.
const EVERYBODY: &str = "*";
/// Characters with a meaning in the list of groups.
const ENCODED: &AsciiSet = &CONTROLS.add(b',').add(b'%');

/// Groups that may log in, each with its role.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RolesOfGroups(Vec<(String, Role)>);

impl RolesOfGroups {
    /// Parses comma-separated `GROUP=ROLE`.
    ///
    /// # Errors
    /// Describes the expected syntax.
    pub fn read(text: &str) -> Result<Self, String> {
        let one = |pair: &str| {
            let expected = || format!("{pair:?}: expected GROUP=ROLE, like makers=operator");
            let (group, role) = pair.rsplit_once('=').ok_or_else(expected)?;
            let group = percent_decode_str(group.trim()).decode_utf8().map_err(|_| expected())?;
            if group.is_empty() {
                return Err(expected());
            }
            Ok((group.into_owned(), role.trim().parse().map_err(|error| format!("{pair:?}: {error}"))?))
        };
        Ok(Self(text.split(',').map(str::trim).map(one).collect::<Result<_, _>>()?))
    }

    /// True if no group may log in.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the highest role of a user in these groups. `None` if none of the groups may log in.
    pub(super) fn of(&self, groups: &[String]) -> Option<Role> {
        let fits = |group: &str| group == EVERYBODY || groups.iter().any(|other| other == group);
        self.0.iter().filter(|(group, _)| fits(group)).map(|(_, role)| *role).max()
    }
}

impl fmt::Display for RolesOfGroups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (group, role)) in self.0.iter().enumerate() {
            let comma = if place > 0 { "," } else { "" };
            write!(f, "{comma}{}={}", utf8_percent_encode(group, ENCODED), role.as_str())?;
        }
        Ok(())
    }
}

/// Returns a claim by its name, or by its path with dots between the names.
pub(super) fn claim<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    // The name of a claim may be a URL that contains dots, so the whole name is tried first.
    claims.get(name).or_else(|| {
        let (outer, inner) = name.split_once('.')?;
        claim(claims.get(outer)?.as_object()?, inner)
    })
}

/// Returns the groups in a claim, which is a list of names or one name.
pub(super) fn groups(claim: &Value) -> Vec<String> {
    let name = |value: &Value| match value {
        Value::String(name) => Some(name.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    match claim {
        Value::Array(names) => names.iter().filter_map(name).collect(),
        one => name(one).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_highest_role_of_all_groups_applies_and_no_group_gives_no_role() {
        let roles = RolesOfGroups::read("makers=operator, cn=ops%2Cou=people = admin ,guests=viewer").unwrap();
        for (groups, role) in [
            (&["guests"][..], Some(Role::Viewer)),
            (&["guests", "makers", "others"], Some(Role::Operator)),
            (&["cn=ops,ou=people", "guests"], Some(Role::Admin)),
            (&["Makers", "maker", "", "*"], None),
            (&[], None),
        ] {
            let groups: Vec<_> = groups.iter().map(|group| (*group).to_owned()).collect();
            assert_eq!(roles.of(&groups), role, "{groups:?}");
        }
        assert_eq!(RolesOfGroups::read("*=viewer").unwrap().of(&[]), Some(Role::Viewer));
        assert_eq!(RolesOfGroups::default().of(&["makers".to_owned()]), None);
        assert_eq!(roles.to_string(), "makers=operator,cn=ops%2Cou=people=admin,guests=viewer");
        assert_eq!(RolesOfGroups::read(&roles.to_string()).unwrap(), roles);
    }

    #[test]
    fn errors_of_invalid_group_roles_contain_the_expected_form() {
        for (text, words) in [
            ("", "expected GROUP=ROLE"),
            ("makers", "expected GROUP=ROLE"),
            ("=viewer", "expected GROUP=ROLE"),
            ("a=viewer,", "expected GROUP=ROLE"),
            ("%ff=viewer", "expected GROUP=ROLE"),
            ("makers=root", "`viewer`, `operator` or `admin`"),
        ] {
            assert!(RolesOfGroups::read(text).unwrap_err().contains(words), "{text}");
        }
    }

    #[test]
    fn groups_are_found_by_their_name_or_by_the_way_to_them() {
        let claims = json!({"groups": ["a", 7, null, {}], "https://example.com/groups": "b", "realm_access": {"roles": ["c"]}, "odd": {}});
        let claims = claims.as_object().unwrap();
        for (name, expected) in [
            ("groups", Some(vec!["a", "7"])),
            ("https://example.com/groups", Some(vec!["b"])),
            ("realm_access.roles", Some(vec!["c"])),
            ("odd", Some(vec![])),
            ("realm_access.none", None),
            ("groups.0", None),
            ("none", None),
        ] {
            let found = claim(claims, name).map(groups);
            assert_eq!(found, expected.map(|names| names.into_iter().map(str::to_owned).collect()), "{name}");
        }
    }
}
