//! Commands of alert channels that an agent agrees to run. The server sends the name of the channel and its command; whether the command runs
//! is decided here, by the configuration of the agent's machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use monitor_alerts::{ChannelKind, Settings};

/// Largest `alerts.toml` that is read, in bytes: the server reads no larger one either.
const LARGEST: u64 = 1 << 20;

/// The commands of alert channels that an agent runs.
#[derive(Debug, Clone, Default)]
pub struct ChannelCommands {
    /// True if the agent runs the command of every channel (`--accept all,commands`).
    pub any: bool,
    /// Commands by the name of their channel, as `agent.toml` lists them.
    pub listed: BTreeMap<String, Vec<String>>,
    /// The server's `alerts.toml`, for the agent that the server starts itself. Read for each command, because it may change.
    pub alerts_file: Option<PathBuf>,
}

impl ChannelCommands {
    /// Checks that the agent of this name runs the command of a channel.
    ///
    /// # Errors
    /// The reason why it doesn't, with the remedy.
    pub(crate) fn check(&self, agent: &str, channel: &str, command: &[String]) -> Result<(), String> {
        if self.any {
            return Ok(());
        }
        let is_listed = self.listed.get(channel).map(|listed| listed == command);
        let of_file = self.alerts_file.as_ref().map(|file| is_of_channel(file, agent, channel, command));
        match (is_listed, of_file) {
            (Some(true), _) | (_, Some(Ok(true))) => Ok(()),
            (_, Some(Ok(false))) => {
                Err(format!("the server's alerts.toml has no channel {channel:?} with this command for the agent {agent:?}"))
            }
            (_, Some(Err(why))) => Err(why),
            (Some(false), None) => Err(format!(
                "agent.toml of this machine lists another command for the channel {channel:?}: write the channel's command there"
            )),
            (None, None) => Err(format!(
                "this agent runs no command that its machine doesn't list: write `{}` below [commands] in its agent.toml, or start it with \
                 `--accept all,commands`",
                line(channel, command)
            )),
        }
    }
}

/// Returns true if `alerts.toml` has this command for a channel that the agent serves.
fn is_of_channel(file: &Path, agent: &str, channel: &str, command: &[String]) -> Result<bool, String> {
    let failed = |why: &dyn std::fmt::Display| format!("{}: {why}", file.display());
    let size = file.metadata().map_err(|error| failed(&error))?.len();
    if size > LARGEST {
        return Err(failed(&format_args!("it is larger than {LARGEST} bytes")));
    }
    let text = std::fs::read_to_string(file).map_err(|error| failed(&error))?;
    let settings = Settings::from_toml(&text).map_err(|mistakes| mistakes.first().map_or_else(String::new, |first| failed(&first)))?;
    let known = settings.channels.get(channel).map(|channel| &channel.kind);
    Ok(
        matches!(known, Some(ChannelKind::Command { command: known, agent: at }) if known == command && at.as_deref().unwrap_or(agent) == agent),
    )
}

/// The line of `agent.toml` that lists a command. JSON strings of printable text are TOML strings as well.
fn line(channel: &str, command: &[String]) -> String {
    let key = serde_json::Value::from(channel);
    format!("{key} = {}", serde_json::Value::from(command))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn a_command_runs_only_as_it_is_listed_for_its_channel() {
        let listed = BTreeMap::from([("page".to_owned(), words(&["/bin/page", "ops"]))]);
        let commands = ChannelCommands { listed, ..ChannelCommands::default() };
        assert_eq!(commands.check("db-1", "page", &words(&["/bin/page", "ops"])), Ok(()));
        for (channel, command, remedy) in [
            ("page", &["/bin/page"][..], "lists another command"),
            ("page", &["/bin/page", "ops", ""], "lists another command"),
            ("page", &["/bin/sh", "-c", "id"], "lists another command"),
            ("other", &["/bin/page", "ops"], r#"write `"other" = ["/bin/page","ops"]` below [commands]"#),
        ] {
            let why = commands.check("db-1", channel, &words(command)).unwrap_err();
            assert!(why.contains(remedy), "{why}");
        }
        let any = ChannelCommands { any: true, ..commands };
        assert_eq!(any.check("db-1", "other", &words(&["id"])), Ok(()));
    }

    #[test]
    fn the_server_s_own_agent_follows_its_alerts_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("alerts.toml");
        let commands = ChannelCommands { alerts_file: Some(file.clone()), ..ChannelCommands::default() };
        let check = |channel: &str, command: &[&str]| commands.check("local", channel, &words(command));
        assert!(check("page", &["/bin/page"]).unwrap_err().contains("alerts.toml"));
        let text = "[channel.page]\nkind = \"command\"\ncommand = [\"/bin/page\"]\n\
                    [channel.far]\nkind = \"command\"\ncommand = [\"/bin/page\"]\nagent = \"db-1\"\n";
        std::fs::write(&file, text).unwrap();
        assert_eq!(check("page", &["/bin/page"]), Ok(()));
        for (channel, command) in [("page", &["/bin/sh"][..]), ("other", &["/bin/page"]), ("far", &["/bin/page"])] {
            assert!(check(channel, command).unwrap_err().contains("no channel"), "{channel}");
        }
        std::fs::write(&file, "[channel.page\n").unwrap();
        assert!(check("page", &["/bin/page"]).unwrap_err().contains("alerts.toml"));
    }
}
