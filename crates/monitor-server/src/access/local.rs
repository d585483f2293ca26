//! Token in the data folder, for `monitor` on the same machine. Everyone who can read the folder may use it.

use std::path::Path;

use monitor_store::StoreError;
use monitor_store_sqlite::{serve_at, served_at, write_private};
use url::Url;

use super::{Access, AccessError, NewToken, Scope};

/// Name of the token. It contains a space, so no other token can have it.
pub(super) const NAME: &str = "data folder";
const FILE: &str = "local.token";

/// Content of the file: two lines with the server's URL and the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    /// URL of the server that uses this folder.
    pub url: Url,
    /// Token with all rights.
    pub token: String,
}

impl Local {
    /// Reads the file of a data folder whose server is running. While it runs, no other program can have its address, so it is safe to send
    /// the token there. A program other than a server may hold the folder's lock, so the lock file must contain the same address.
    pub fn find(folder: &Path) -> Option<Self> {
        let served_at = served_at(folder)?;
        Self::read(folder).filter(|local| local.url.as_str() == served_at)
    }

    fn read(folder: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(folder.join(FILE)).ok()?;
        let (url, token) = text.trim_end().split_once('\n')?;
        Some(Self { url: url.parse().ok()?, token: token.to_owned() })
    }
}

impl Access {
    /// Writes the file for a server at `url`, which must hold the folder's lock. Only the owner can read the file. A token that is still
    /// valid is kept.
    ///
    /// # Errors
    /// Returns an error if the disk or the database fails.
    pub(crate) fn write_local(&self, url: &Url) -> Result<(), AccessError> {
        let kept = Local::read(&self.folder).map(|local| local.token);
        let is_valid = |token: &String| self.by_token(token).is_ok_and(|found| found.is_some_and(|(by, _)| by.scopes.has(Scope::Admin)));
        let token = if let Some(token) = kept.filter(is_valid) {
            token
        } else {
            if let Err(error) = self.revoke_token(NAME)
                && !matches!(error, AccessError::Missing { .. })
            {
                return Err(error);
            }
            self.put_token(&NewToken { name: NAME.to_owned(), scopes: [Scope::Admin].into_iter().collect(), lifetime: None, jobs: None })?
        };
        let path = self.folder.join(FILE);
        let text = format!("{url}\n{token}\n");
        let is_there = std::fs::read_to_string(&path).is_ok_and(|there| there == text);
        let written = if is_there { Ok(()) } else { write_private(&path, &text) };
        // The address is written to the lock file last, so that a reader which finds it there also finds the token.
        let written = written.and_then(|()| serve_at(&self.folder, url.as_str()));
        written.map_err(|source| AccessError::File(StoreError::Disk { action: "write", path: path.clone(), source }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use monitor_store_sqlite::SqliteStore;

    #[test]
    fn the_file_is_its_owner_s_alone_and_keeps_its_token() {
        let folder = tempfile::tempdir().unwrap();
        let access = Access::open(folder.path()).unwrap();
        let url: Url = "http://127.0.0.1:60010/".parse().unwrap();
        access.write_local(&url).unwrap();
        let first = Local::read(folder.path()).unwrap();
        access.write_local(&url).unwrap();
        assert_eq!(Local::read(folder.path()).unwrap(), first);
        assert!(access.by_token(&first.token).unwrap().unwrap().0.scopes.has(Scope::Admin));
        #[cfg(unix)]
        for file in [FILE, "access.db"] {
            let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(folder.path().join(file)).unwrap().permissions());
            assert_eq!(mode & 0o077, 0, "{file}");
        }
        assert!(!access.has_any().unwrap(), "who has the folder is nobody from outside");
        assert_eq!(Local::find(folder.path()), None, "no server runs: somebody else may have its address");
        let store = SqliteStore::open(folder.path()).unwrap();
        assert_eq!(Local::find(folder.path()), None, "who has the folder has not said where it serves");
        access.write_local(&url).unwrap();
        assert_eq!(Local::find(folder.path()), Some(first.clone()));
        drop(store);
        let _other = SqliteStore::open(folder.path()).unwrap();
        assert_eq!(Local::find(folder.path()), None, "what one before said is no word of this one");
        std::fs::write(folder.path().join(FILE), "nonsense").unwrap();
        access.write_local(&url).unwrap();
        assert_ne!(Local::read(folder.path()).unwrap().token, first.token);
        assert_eq!(access.by_token(&first.token).unwrap(), None);
    }
}
