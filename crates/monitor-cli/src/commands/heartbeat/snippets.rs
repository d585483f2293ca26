//! Code that pings a heartbeat, in several languages. The page embeds the same files.

/// The form of a snippet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Snippet {
    /// Command for a POSIX shell
    Sh,
    /// Python code that uses only the standard library
    Python,
    #[value(name = "powershell", help = "PowerShell code")]
    PowerShell,
    /// Line of a crontab
    Crontab,
    /// systemd unit
    Systemd,
}

impl Snippet {
    /// The snippet for a job with this name, address and rule.
    pub(super) fn text(self, name: &str, url: &str, rule: &str) -> String {
        let text = match self {
            Self::Sh => include_str!("../../../../monitor-web/app/src/screens/alerts/snippets/sh.txt"),
            Self::Python => include_str!("../../../../monitor-web/app/src/screens/alerts/snippets/python.txt"),
            Self::PowerShell => include_str!("../../../../monitor-web/app/src/screens/alerts/snippets/powershell.txt"),
            Self::Crontab => include_str!("../../../../monitor-web/app/src/screens/alerts/snippets/crontab.txt"),
            Self::Systemd => include_str!("../../../../monitor-web/app/src/screens/alerts/snippets/systemd.txt"),
        };
        text.replace("NAME", name).replace("URL", url).replace("RULE", rule)
    }
}
