//! Everything that must hold before a change is taken.

use anyhow::Result;

use crate::run::{cargo, step};
use crate::tools;

pub(crate) fn test() -> Result<()> {
    let path = tools::install()?;
    let cargo = |args: &[&str]| {
        let mut line = cargo(args);
        line.env("PATH", &path);
        line
    };
    step("formatting", &mut cargo(&["fmt", "--all", "--check"]))?;
    step("lints", &mut cargo(&["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"]))?;
    step("licences, advisories and duplicates", &mut cargo(&["deny", "check", "bans", "licenses", "sources"]))?;
    step("documentation", cargo(&["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))?;
    step("tests", &mut cargo(&["test", "--workspace"]))
}
