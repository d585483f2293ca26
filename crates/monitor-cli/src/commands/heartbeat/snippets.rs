//! What a job has to do to ping, in the languages that jobs are written in. The page shows the same files, and has them.

/// A language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Snippet {
    /// A POSIX shell
    Sh,
    /// Python, with its standard library
    Python,
    /// `PowerShell`
    #[value(name = "powershell")]
    PowerShell,
    /// A line of a crontab
    Crontab,
    /// A unit of systemd
    Systemd,
}

impl Snippet {
    /// What a job of this name has to do to ping this address.
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
