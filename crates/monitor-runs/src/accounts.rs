//! Users and groups that this program can find.

/// End of an error about an unknown user or group. A statically linked program reads only `/etc/passwd` and `/etc/group`; in other programs
/// the text is empty.
pub const KNOWN_ACCOUNTS: &str = if cfg!(target_feature = "crt-static") {
    " in /etc/passwd or /etc/group, the only sources that this build of monitor reads: a user of LDAP or another source needs a build \
     by cargo install, or the numbers of user and group"
} else {
    ""
};
