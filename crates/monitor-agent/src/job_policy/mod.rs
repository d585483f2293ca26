//! Rules of the host's owner for jobs. They apply to valid orders of the server as well, so that an administrator of the server can't run
//! every script as every account.

mod account;

use std::path::PathBuf;

use aws_lc_rs::digest::{SHA256, digest};
use monitor_wire::{JobOrder, SecretSource};
use regex::Regex;

pub(crate) use self::account::Account;

/// Rules of the host's owner, from `[jobs]` in `agent.toml`.
#[derive(Debug, Clone)]
pub struct JobPolicy {
    /// False to refuse all jobs.
    pub is_enabled: bool,
    /// Names of the accounts that scripts may run as. By default the user that the agent runs as, unless that is root.
    pub accounts: Option<Vec<String>>,
    /// SHA-256 values of the permitted scripts, in hexadecimal digits. They get no variables from orders. `None` to permit all.
    pub scripts: Option<Vec<String>>,
    /// Patterns of scripts, arguments and values of variables that are refused.
    pub refuse: Vec<Regex>,
    /// Maximum number of scripts at the same time. Further orders wait.
    pub max_runs: u32,
    /// Names of the agent's environment variables that a job may use as secrets.
    pub secret_env: Vec<String>,
    /// File with the public keys of the server, one in base64 per line.
    pub keys: PathBuf,
}

impl JobPolicy {
    /// Default of [`max_runs`](Self::max_runs).
    pub const MAX_RUNS: u32 = 10;

    /// Returns a sentence that names the rule against an order. `None` if the rules permit the order.
    pub(crate) fn refusal(&self, order: &JobOrder, account: &Account) -> Option<String> {
        if !self.is_enabled {
            return Some("this host accepts no jobs: `enabled = false` in [jobs] of its agent.toml".to_owned());
        }
        let is_listed = match &self.accounts {
            Some(accounts) => accounts.contains(&account.name),
            None => account.is_own && !account.is_root(),
        };
        if !is_listed {
            return Some(format!(
                "the account {:?} is not among the accounts of this host: add it to `accounts` in [jobs] of its agent.toml",
                account.name
            ));
        }
        if let Some(scripts) = &self.scripts {
            let sha = sha256(order.script.as_bytes());
            if !scripts.iter().any(|script| script.eq_ignore_ascii_case(&sha)) {
                return Some(format!(
                    "the script is not among the scripts of this host: add {sha:?} to `scripts` in [jobs] of its agent.toml"
                ));
            }
            // Variables such as `BASH_ENV` and `LD_PRELOAD` make a permitted script run other code.
            if let Some(name) = order.env.keys().next() {
                return Some(format!(
                    "the order sets the variable {name:?}: this host runs only the `scripts` in [jobs] of its agent.toml, without variables"
                ));
            }
            if let Some(name) = order.secrets.keys().find(|name| changes_programs(name)) {
                return Some(format!(
                    "the order puts a secret into the variable {name:?}, which can make a script run other code: this host runs only the \
                     `scripts` in [jobs] of its agent.toml; use another name"
                ));
            }
        }
        let mut texts = std::iter::once(&order.script).chain(&order.args).chain(order.env.values());
        if let Some(rule) = texts.find_map(|text| self.refuse.iter().find(|rule| rule.is_match(text))) {
            return Some(format!(
                "the script, an argument or a variable matches {:?} in `refuse` in [jobs] of this host's agent.toml",
                rule.as_str()
            ));
        }
        order.secrets.values().find_map(|source| match source {
            SecretSource::Env(name) if !self.secret_env.contains(name) => Some(format!(
                "the variable {name:?} is not among the secrets of this host: add it to `secret-env` in [jobs] of its agent.toml"
            )),
            SecretSource::Env(_) | SecretSource::File(_) => None,
        })
    }
}

/// Variables that make shells, interpreters or the dynamic linker run other code, and beginnings of the names of such variables.
const RISKY: [&str; 30] = [
    "BASHOPTS",
    "CDPATH",
    "CLASSPATH",
    "EDITOR",
    "ENV",
    "GLOBIGNORE",
    "HOME",
    "IFS",
    "LESSCLOSE",
    "LESSOPEN",
    "MAKEFLAGS",
    "MANPAGER",
    "NODE_OPTIONS",
    "NODE_PATH",
    "PAGER",
    "PATH",
    "PHPRC",
    "PHP_INI_SCAN_DIR",
    "POSIXLY_CORRECT",
    "PROMPT_COMMAND",
    "PS4",
    "RSYNC_RSH",
    "SHELL",
    "SHELLOPTS",
    "SSH_ASKPASS",
    "TAR_OPTIONS",
    "TCLLIBPATH",
    "TMPDIR",
    "VISUAL",
    "ZDOTDIR",
];
const RISKY_BEGINNINGS: [&str; 15] =
    ["AWK", "BASH_", "DYLD_", "GCONV_", "GIT_", "JAVA_", "JDK_JAVA_", "LD_", "LUA_", "OPENSSL_", "PERL", "PYTHON", "RUBY", "R_", "_JAVA_"];

/// True if the value of the variable can change what a program does that doesn't read it on purpose.
fn changes_programs(name: &str) -> bool {
    RISKY.contains(&name) || RISKY_BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
}

/// Returns the SHA-256 value of some bytes in hexadecimal digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    digest(&SHA256, bytes).as_ref().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use monitor_wire::{JobRunKey, Language};

    use super::*;

    /// Returns an order of a short script.
    fn order() -> JobOrder {
        JobOrder {
            since: 1,
            key: JobRunKey { job: 1, step: 2, host: 3, attempt: 1 },
            agent: "db-1".to_owned(),
            name: "check".to_owned(),
            script: "true\n".to_owned(),
            language: Language::Shell,
            args: Vec::new(),
            env: [].into(),
            secrets: [].into(),
            is_param_sensitive: false,
            account: None,
            timeout_s: 60,
            output_bytes: 10 << 20,
            root_id: "0123456789abcdef0123456789abcdef".to_owned(),
            process_id: "0123456789abcdef".to_owned(),
            by: "ada".to_owned(),
            issued_us: 1,
            expires_us: u64::MAX,
        }
    }

    fn policy() -> JobPolicy {
        JobPolicy {
            is_enabled: true,
            accounts: None,
            scripts: None,
            refuse: Vec::new(),
            max_runs: JobPolicy::MAX_RUNS,
            secret_env: Vec::new(),
            keys: PathBuf::new(),
        }
    }

    #[test]
    fn each_rule_refuses_what_it_names() {
        let app = Account { name: "app".to_owned(), uid: 1_000, gid: 1_000, home: "/".into(), is_own: true };
        let root = Account { name: "root".to_owned(), uid: 0, gid: 0, home: "/root".into(), is_own: true };
        let secret = |name: &str| [("T".to_owned(), SecretSource::Env(name.to_owned()))].into();
        let listed = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        let plain = order();
        let sha = sha256(plain.script.as_bytes());
        let refuse = vec![Regex::new("(?i)RM -RF").unwrap()];
        for (policy, order, account, rule) in [
            (policy(), plain.clone(), &app, None),
            (JobPolicy { is_enabled: false, ..policy() }, plain.clone(), &app, Some("enabled")),
            (policy(), plain.clone(), &root, Some("accounts")),
            (JobPolicy { accounts: listed(&["root"]), ..policy() }, plain.clone(), &root, None),
            (JobPolicy { accounts: listed(&["web"]), ..policy() }, plain.clone(), &app, Some("accounts")),
            (policy(), plain.clone(), &Account { is_own: false, ..app.clone() }, Some("accounts")),
            (JobPolicy { scripts: listed(&[&sha.to_uppercase()]), ..policy() }, plain.clone(), &app, None),
            (JobPolicy { scripts: listed(&["00"]), ..policy() }, plain.clone(), &app, Some(sha.as_str())),
            (
                JobPolicy { scripts: listed(&[&sha]), ..policy() },
                JobOrder { env: [("BASH_ENV".to_owned(), "$(id)".to_owned())].into(), ..order() },
                &app,
                Some("BASH_ENV"),
            ),
            (
                JobPolicy { scripts: listed(&[&sha]), secret_env: vec!["A".to_owned()], ..policy() },
                JobOrder { secrets: [("LD_PRELOAD".to_owned(), SecretSource::Env("A".to_owned()))].into(), ..order() },
                &app,
                Some("LD_PRELOAD"),
            ),
            (
                JobPolicy { scripts: listed(&[&sha]), secret_env: vec!["A".to_owned()], ..policy() },
                JobOrder { secrets: secret("A"), ..order() },
                &app,
                None,
            ),
            (JobPolicy { refuse: refuse.clone(), ..policy() }, plain.clone(), &app, None),
            (
                JobPolicy { refuse: refuse.clone(), ..policy() },
                JobOrder { args: vec!["-c".to_owned(), "rm -rf /".to_owned()], ..order() },
                &app,
                Some("(?i)RM -RF"),
            ),
            (JobPolicy { refuse, ..policy() }, JobOrder { script: "rm -rf /".to_owned(), ..order() }, &app, Some("(?i)RM -RF")),
            (policy(), JobOrder { secrets: secret("A"), ..order() }, &app, Some("secret-env")),
            (JobPolicy { secret_env: vec!["A".to_owned()], ..policy() }, JobOrder { secrets: secret("A"), ..order() }, &app, None),
        ] {
            let refusal = policy.refusal(&order, account);
            assert_eq!(refusal.is_some(), rule.is_some(), "{refusal:?}");
            assert!(refusal.is_none_or(|refusal| refusal.contains(rule.unwrap_or_default())));
        }
    }

    #[test]
    fn variables_that_run_other_code_are_known() {
        for name in [
            "PATH",
            "LD_AUDIT",
            "PYTHONPATH",
            "JAVA_TOOL_OPTIONS",
            "_JAVA_OPTIONS",
            "LUA_INIT_5_4",
            "OPENSSL_CONF",
            "LESSOPEN",
            "R_PROFILE",
        ] {
            assert!(changes_programs(name), "{name}");
        }
        for name in ["DB_PASSWORD", "TOKEN", "API_KEY", "HOMEPAGE", "path"] {
            assert!(!changes_programs(name), "{name}");
        }
    }
}
