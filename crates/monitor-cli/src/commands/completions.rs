//! `monitor completions` and `monitor man`

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Command;
use clap_complete::Shell;

/// Print a completion script for a shell
///
/// For bash: `monitor completions bash > ~/.local/share/bash-completion/completions/monitor`
#[derive(Debug, clap::Args)]
pub(crate) struct Completions {
    /// Shell to complete in
    shell: Shell,
}

/// Write manual pages into a folder, one for each command
#[derive(Debug, clap::Args)]
pub(crate) struct Man {
    /// Folder to write to, created if missing
    folder: PathBuf,
}

pub(crate) fn completions(args: &Completions, mut command: Command) -> anyhow::Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut command, "monitor", &mut text);
    let mut out = std::io::stdout().lock();
    out.write_all(&text)?;
    Ok(out.flush()?)
}

pub(crate) fn man(args: &Man, mut command: Command) -> anyhow::Result<()> {
    std::fs::create_dir_all(&args.folder).with_context(|| format!("the folder {} can't be made", args.folder.display()))?;
    command.build();
    write(&args.folder, &command, "monitor")
}

/// Writes the page of a command and the pages of its subcommands.
fn write(folder: &Path, command: &Command, name: &str) -> anyhow::Result<()> {
    let mut page = Vec::new();
    // By default, clap would show only the last word of the name.
    let shown: &'static str = String::leak(name.to_owned());
    clap_mangen::Man::new(command.clone().name(shown)).render(&mut page)?;
    let path = folder.join(format!("{name}.1"));
    std::fs::write(&path, page).with_context(|| format!("{} can't be written", path.display()))?;
    for below in command.get_subcommands().filter(|below| below.get_name() != "help" && !below.is_hide_set()) {
        write(folder, below, &format!("{name}-{}", below.get_name()))?;
    }
    Ok(())
}
