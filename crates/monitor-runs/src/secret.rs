//! Secrets of a run. Its files contain only references to secrets, never their values.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::RunError;

/// Maximum length of a secret, in bytes.
const LONGEST: u64 = 64 << 10;

/// Reference to a secret, resolved by the launcher.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Secret {
    /// Content of a file, without the final newline. The launcher reads it with its own rights.
    File(PathBuf),
    /// Like [`File`](Self::File), but read with the rights of the run's user.
    UserFile(PathBuf),
    /// Environment variable of the launcher.
    Env(String),
}

impl Secret {
    /// Reads the secret for the environment variable `variable`, with the rights of this process.
    ///
    /// # Errors
    /// If the secret is missing or can't be an environment value. The error does not contain the secret.
    pub fn read(&self, variable: &str) -> Result<String, RunError> {
        let text = match self {
            Self::Env(name) => std::env::var(name).map_err(|_| format!("the launcher has no variable {name:?} with text in it")),
            Self::File(path) => read_file(path, File::open(path)),
            Self::UserFile(path) => read_file(path, open_regular(path)),
        };
        let text = text.and_then(|text| if text.contains('\0') { Err("it holds a zero byte".to_owned()) } else { Ok(text) });
        text.map_err(|why| RunError::BadSpec { what: format!("the secret {variable} can't be read: {why}") })
    }
}

/// Opens a file. Fails for a pipe or a device, because its owner could delay the reader for any time.
fn open_regular(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no regular file")) }
}

/// Reads the text of a file without its final newline.
fn read_file(path: &Path, file: io::Result<File>) -> Result<String, String> {
    let shown = path.display();
    let mut bytes = Vec::new();
    let read = file.and_then(|file| file.take(LONGEST + 1).read_to_end(&mut bytes));
    read.map_err(|error| format!("{shown}: {error}"))?;
    if bytes.len() as u64 > LONGEST {
        return Err(format!("{shown} is longer than {LONGEST} bytes"));
    }
    let mut text = String::from_utf8(bytes).map_err(|_| format!("{shown} is no text"))?;
    if text.ends_with('\n') {
        text.pop();
        text.truncate(text.strip_suffix('\r').unwrap_or(&text).len());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_where_it_stands_and_its_text_is_in_no_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = |text: &[u8]| {
            let path = folder.path().join(format!("{}-{}", text.len(), text.first().unwrap_or(&0)));
            std::fs::write(&path, text).unwrap();
            Secret::File(path)
        };
        for (text, expected) in [("a b", "a b"), ("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), ("", "")] {
            assert_eq!(file(text.as_bytes()).read("T").unwrap(), expected);
        }
        let long = vec![b'x'; LONGEST as usize + 1];
        for (bad, why) in [(&b"hush\0"[..], "zero byte"), (b"hush\xff", "no text"), (&long, "longer than")] {
            let error = file(bad).read("T").unwrap_err().to_string();
            assert!(error.contains(why) && error.contains("secret T") && !error.contains("hush"), "{error}");
        }
        assert!(Secret::File("/no/such/file".into()).read("T").unwrap_err().to_string().contains("/no/such/file"));
        assert!(Secret::File("/".into()).read("T").is_err());
        assert!(Secret::UserFile("/dev/null".into()).read("T").unwrap_err().to_string().contains("no regular file"));
        assert!(Secret::Env("NO_SUCH_VARIABLE_HERE".to_owned()).read("T").unwrap_err().to_string().contains("NO_SUCH_VARIABLE_HERE"));
        assert_eq!(Secret::Env("CARGO_PKG_NAME".to_owned()).read("T").unwrap(), "monitor-runs");
    }
}
