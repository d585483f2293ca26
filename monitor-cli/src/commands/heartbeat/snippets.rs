//! What a job has to do to ping, in the languages that jobs are written in.

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

const SH: &str = r#"#!/bin/sh
# NAME: tells when it begins, how it ends, and the last of its output.
ping=URL
rid=$(cat /proc/sys/kernel/random/uuid 2>/dev/null || uuidgen)
say() { curl -fsS -m 10 --retry 5 --retry-connrefused -o /dev/null "$@" || true; }
say "$ping/start?rid=$rid"
output=$(your-command 2>&1)
code=$?
printf '%s' "$output" | tail -c 100000 | say --data-binary @- "$ping/$code?rid=$rid"
exit $code
"#;

const PYTHON: &str = r#"# NAME: tells when it begins, how it ends, and why it failed.
import time, traceback, urllib.request, uuid

PING = "URL"
RID = uuid.uuid4()

def say(what="", text=""):
    for attempt in range(5):
        try:
            request = urllib.request.Request(f"{PING}{what}?rid={RID}", data=text.encode()[-100_000:])
            return urllib.request.urlopen(request, timeout=10)
        except OSError:
            time.sleep(attempt)

say("/start")
try:
    your_function()
except BaseException:
    say("/fail", traceback.format_exc())
    raise
say()
"#;

const POWERSHELL: &str = r#"# NAME: tells when it begins, how it ends, and the last of its output.
$ping = "URL"
$rid = [guid]::NewGuid()
function Say($what, $text) {
    try { Invoke-RestMethod -Method Post -Uri "$ping$what`?rid=$rid" -Body $text -TimeoutSec 10 | Out-Null } catch { Write-Warning $_ }
}
Say "/start" ""
$output = (& your-command 2>&1 | Out-String)
$code = $LASTEXITCODE
Say "/$code" $output.Substring([Math]::Max(0, $output.Length - 30000))
exit $code
"#;

const CRONTAB: &str = "# NAME\nRULE your-command; curl -fsS -m 10 --retry 5 --retry-connrefused -o /dev/null \"URL/$?\"\n";

const SYSTEMD: &str = r#"# NAME: systemctl edit your.service
[Service]
ExecStartPre=-curl -fsS -m 10 --retry 5 --retry-connrefused -o /dev/null URL/start
ExecStopPost=-/bin/sh -c 'if [ "$$EXIT_CODE" = exited ]; then what=$$EXIT_STATUS; else what=fail; fi; exec curl -fsS -m 10 --retry 5 --retry-connrefused -o /dev/null "URL/$$what"'
"#;

impl Snippet {
    /// What a job of this name has to do to ping this address.
    pub(super) fn text(self, name: &str, url: &str, rule: &str) -> String {
        let text = match self {
            Self::Sh => SH,
            Self::Python => PYTHON,
            Self::PowerShell => POWERSHELL,
            Self::Crontab => CRONTAB,
            Self::Systemd => SYSTEMD,
        };
        text.replace("NAME", name).replace("URL", url).replace("RULE", rule)
    }
}
