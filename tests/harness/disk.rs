//! A small disk of its own, where the system lets a test mount one.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::command;

/// A file system in memory, mounted for those alone that are started in it.
#[derive(Debug)]
pub struct SmallDisk {
    /// Has the mount as long as it lives.
    holder: Child,
    as_user: bool,
    folder: TempDir,
}

impl SmallDisk {
    /// A disk of so many bytes; none where mounting is not allowed.
    pub fn new(bytes: u64) -> Option<Self> {
        [false, true].into_iter().find_map(|as_user| Self::mount(bytes, as_user))
    }

    fn mount(bytes: u64, as_user: bool) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut holder = Command::new("unshare");
        holder.args(if as_user { &["--user", "--map-root-user", "--mount"][..] } else { &["--mount"] });
        let script = format!("mount -t tmpfs -o size={bytes} none \"$0\" && echo mounted && cat > /dev/null");
        holder.args(["sh", "-c", &script]).arg(folder.path());
        let mut holder = holder.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
        let mut line = String::new();
        BufReader::new(holder.stdout.take()?).read_line(&mut line).ok()?;
        let disk = Self { holder, as_user, folder };
        (line == "mounted\n").then_some(disk)
    }

    /// Where it is mounted, for those that are started in it.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The same file for others.
    pub fn outside(&self, path: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(path.strip_prefix("/").expect("an absolute path"))
    }

    /// A program that sees it.
    pub fn command(&self, name: &str) -> Command {
        let inner = command(name);
        let mut enter = Command::new("nsenter");
        enter.args(["--target", &self.holder.id().to_string(), "--mount"]);
        if self.as_user {
            enter.args(["--user", "--preserve-credentials"]);
        }
        enter.arg("--").arg(inner.get_program());
        for (key, value) in inner.get_envs() {
            match value {
                Some(value) => enter.env(key, value),
                None => enter.env_remove(key),
            };
        }
        enter
    }

    /// Fills it with a file `filler`, up to the last byte: that file.
    ///
    /// # Panics
    /// When that goes wrong.
    pub fn fill(&self) -> PathBuf {
        let path = self.outside(&self.path().join("filler"));
        let mut file = std::fs::File::create(&path).expect("a file");
        let full = std::io::copy(&mut std::io::repeat(1), &mut file).expect_err("the disk is small");
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull, "{full}");
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
