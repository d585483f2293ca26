//! Command-line form of cameras.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use monitor_receiver::Receiver;
use monitor_receiver::camera::{CommandCamera, FileCamera, MailCamera, SqliteCamera, WebhookCamera};

/// `KIND:TARGET`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CameraArg {
    kind: Kind,
    target: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Sqlite,
    Webhook,
    Command,
    Mail,
}

const KINDS: [(&str, Kind); 5] =
    [("file", Kind::File), ("sqlite", Kind::Sqlite), ("webhook", Kind::Webhook), ("command", Kind::Command), ("mail", Kind::Mail)];

impl FromStr for CameraArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("expected KIND:TARGET with one of {}", KINDS.map(|(name, _)| name).join(", "));
        let (name, target) = text.split_once(':').ok_or_else(expected)?;
        let (_, kind) = KINDS.into_iter().find(|(known, _)| *known == name).ok_or_else(expected)?;
        if target.trim().is_empty() {
            return Err(format!("{name}: nothing stands behind the colon; {}", expected()));
        }
        if kind == Kind::Webhook {
            WebhookCamera::new(target).map_err(|invalid| invalid.why)?;
        }
        Ok(Self { kind, target: target.to_owned() })
    }
}

impl CameraArg {
    /// Adds the camera to a receiver.
    pub(super) fn add_to(&self, receiver: Receiver, frequency: Duration) -> anyhow::Result<Receiver> {
        let path = || PathBuf::from(&self.target);
        Ok(match self.kind {
            Kind::File => receiver.camera(FileCamera::new(path()), frequency),
            Kind::Sqlite => receiver.camera(SqliteCamera::new(path()), frequency),
            Kind::Webhook => receiver.camera(WebhookCamera::new(&self.target)?, frequency),
            Kind::Command => receiver.camera(CommandCamera::new("sh", ["-c", &self.target]), frequency),
            Kind::Mail => receiver.camera(self.mail()?, frequency),
        })
    }

    fn mail(&self) -> anyhow::Result<MailCamera> {
        let given = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        let server = given("MONITOR_SMTP_URL").ok_or_else(|| {
            anyhow::anyhow!("MONITOR_SMTP_URL: a camera that mails needs a mail server, such as smtps://user:password@mail.example.com")
        })?;
        let host = || gethostname::gethostname().to_string_lossy().into_owned();
        let from = given("MONITOR_SMTP_FROM").unwrap_or_else(|| format!("monitor@{}", host()));
        Ok(MailCamera::new(&server, &from, self.target.split(',').map(str::trim))?)
    }
}

/// Parses a rate. Returns the interval between two events.
pub(super) fn read_rate(text: &str) -> Result<Duration, String> {
    let expected = || "expected a rate such as 10/s, 30/m or 1/h".to_owned();
    let (count, unit) = text.split_once('/').ok_or_else(expected)?;
    let seconds = match unit.trim() {
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        _ => return Err(expected()),
    };
    let count: f64 = count.trim().parse().map_err(|_| expected())?;
    let is_rate = count.is_finite() && count > 0.0;
    is_rate.then(|| Duration::try_from_secs_f64(seconds / count).ok()).flatten().ok_or_else(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_and_invalid_rates_are_refused() {
        for (text, ms) in [("10/s", 100), ("30/m", 2_000), ("1/h", 3_600_000), ("0.5/s", 2_000), (" 2 / m ", 30_000)] {
            assert_eq!(read_rate(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "10", "/s", "0/s", "-1/m", "10/d", "NaN/s", "inf/s", "1e-300/h", "x/s", "1/s/s"] {
            assert!(read_rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn cameras_are_read_and_unknown_kinds_are_refused() {
        let camera: CameraArg = "file:a:b".parse().unwrap();
        assert_eq!(camera, CameraArg { kind: Kind::File, target: "a:b".to_owned() });
        for text in ["", "file", "file:", "polaroid:x", ":x", "webhook:example.com", "mail: "] {
            assert!(text.parse::<CameraArg>().is_err(), "{text}");
        }
        assert!("polaroid:x".parse::<CameraArg>().unwrap_err().contains("file, sqlite, webhook, command, mail"));
    }
}
