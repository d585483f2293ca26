//! A small separate disk, where the system allows a test to mount one.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::command;

/// A file system in memory that only processes in its mount namespace see.
#[derive(Debug)]
pub struct SmallDisk {
    /// Process that keeps the mount while it lives.
    holder: Child,
    as_user: bool,
    folder: TempDir,
}

impl SmallDisk {
    /// A disk of this size, in bytes. `None` where mounting is not allowed.
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

    /// Mount point, for processes in the namespace.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Path of the same file for processes outside of the namespace.
    pub fn outside(&self, path: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(path.strip_prefix("/").expect("an absolute path"))
    }

    /// A program inside the namespace.
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

    /// Fills the disk to the last byte with a file `filler`. Returns the path of the file.
    ///
    /// # Panics
    /// If writing fails for another reason.
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
