//! Keys that sign orders: Ed25519. The private key is the file `job-key` in the data folder, which only its owner can read. The file `job-keys`
//! has the public keys for the agent of this machine.
//!
//! After a rotation, the former key signs for another day: agents accept orders of the new key only after `monitor agent trust`.

use std::io;
use std::path::{Path, PathBuf};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use monitor_store::StoreError;
use monitor_store_sqlite::write_private;

/// File of the private key, and of the former one until it expires.
const PRIVATE: &str = "job-key";
/// File of the public keys, one per line, the current one first.
const PUBLIC: &str = "job-keys";
/// Time in microseconds during which the former key remains valid after a rotation: a day.
const OVERLAP_US: u64 = 86_400_000_000;
/// Number of bytes of a private key.
const SEED_BYTES: usize = 32;

/// The current key, and the former one until it expires.
pub(super) struct Keys {
    folder: PathBuf,
    current: Key,
    /// Former key, and the time from which it is invalid.
    former: Option<(Key, u64)>,
}

struct Key {
    seed: [u8; SEED_BYTES],
    pair: Ed25519KeyPair,
}

impl Key {
    fn of(seed: [u8; SEED_BYTES]) -> io::Result<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(Self { seed, pair })
    }

    fn random() -> io::Result<Self> {
        let mut seed = [0; SEED_BYTES];
        getrandom::fill(&mut seed).map_err(io::Error::other)?;
        Self::of(seed)
    }

    /// Reads a seed in base64.
    fn parse(text: &str) -> Option<Self> {
        Self::of(STANDARD.decode(text).ok()?.try_into().ok()?).ok()
    }

    /// Returns the public key in base64.
    fn public(&self) -> String {
        STANDARD.encode(self.pair.public_key().as_ref())
    }
}

impl Keys {
    /// Reads the keys of a data folder. Creates a key if there is none.
    pub(super) fn open(folder: &Path, now_us: u64) -> Result<Self, StoreError> {
        let path = folder.join(PRIVATE);
        let disk = |source| StoreError::Disk { action: "read the key of jobs in", path: path.clone(), source };
        let keys = match std::fs::read_to_string(&path) {
            Ok(text) => Self::parse(folder, &text).ok_or_else(|| {
                let why =
                    "it is not a key: restore the file from a backup, or remove it to create a new key, which every agent must then trust";
                disk(io::Error::new(io::ErrorKind::InvalidData, why))
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Self { folder: folder.to_owned(), current: Key::random().map_err(disk)?, former: None }
            }
            Err(error) => return Err(disk(error)),
        };
        keys.write(now_us)?;
        Ok(keys)
    }

    /// Reads the text of the private file: the seed in base64, and a line with the former seed and the end of its validity.
    fn parse(folder: &Path, text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let current = Key::parse(lines.next()?)?;
        let former = match lines.next() {
            Some(line) => {
                let (seed, until_us) = line.split_once(' ')?;
                Some((Key::parse(seed)?, until_us.parse().ok()?))
            }
            None => None,
        };
        Some(Self { folder: folder.to_owned(), current, former })
    }

    fn write(&self, now_us: u64) -> Result<(), StoreError> {
        let former = self.valid_former(now_us).map(|(key, until_us)| format!("{} {until_us}\n", STANDARD.encode(key.seed)));
        let private = format!("{}\n{}", STANDARD.encode(self.current.seed), former.unwrap_or_default());
        let public = self.public(now_us).join("\n") + "\n";
        for (name, text) in [(PRIVATE, private), (PUBLIC, public)] {
            let path = self.folder.join(name);
            if !std::fs::read_to_string(&path).is_ok_and(|there| there == text) {
                write_private(&path, &text).map_err(|source| StoreError::Disk { action: "write the key of jobs to", path, source })?;
            }
        }
        Ok(())
    }

    /// Replaces the key. The key that signs now remains valid for a day.
    pub(super) fn rotate(&mut self, now_us: u64) -> Result<(), StoreError> {
        let path = self.folder.join(PRIVATE);
        let disk = |source| StoreError::Disk { action: "create a key of jobs in", path: path.clone(), source };
        let former = (Key::of(self.signing(now_us).seed).map_err(disk)?, now_us.saturating_add(OVERLAP_US));
        let new = Self { folder: self.folder.clone(), current: Key::random().map_err(disk)?, former: Some(former) };
        new.write(now_us)?;
        *self = new;
        Ok(())
    }

    fn valid_former(&self, now_us: u64) -> Option<&(Key, u64)> {
        self.former.as_ref().filter(|(_, until_us)| now_us < *until_us)
    }

    /// Returns the key that signs now.
    fn signing(&self, now_us: u64) -> &Key {
        self.valid_former(now_us).map_or(&self.current, |(key, _)| key)
    }

    /// Returns the valid public keys in base64, the current one first.
    pub(super) fn public(&self, now_us: u64) -> Vec<String> {
        let former = self.valid_former(now_us).map(|(key, _)| key.public());
        std::iter::once(self.current.public()).chain(former).collect()
    }

    /// Returns the signature of a text, in base64.
    pub(super) fn sign(&self, text: &str, now_us: u64) -> String {
        STANDARD.encode(self.signing(now_us).pair.sign(text.as_bytes()).as_ref())
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

    use super::*;

    fn is_signed(key: &str, text: &str, signature: &str) -> bool {
        let (key, signature) = (STANDARD.decode(key).unwrap(), STANDARD.decode(signature).unwrap());
        UnparsedPublicKey::new(&ED25519, key).verify(text.as_bytes(), &signature).is_ok()
    }

    #[test]
    fn a_key_is_kept_and_a_former_one_is_valid_for_a_day() {
        let folder = tempfile::tempdir().unwrap();
        let mut keys = Keys::open(folder.path(), 5).unwrap();
        let first = keys.public(5);
        assert!(first.len() == 1 && is_signed(&first[0], "order", &keys.sign("order", 5)));
        assert!(!is_signed(&first[0], "orders", &keys.sign("order", 5)));
        assert_eq!(Keys::open(folder.path(), 5).unwrap().public(5), first);
        keys.rotate(7).unwrap();
        let both = keys.public(7);
        assert!(both.len() == 2 && both[1] == first[0] && both[0] != first[0]);
        assert!(is_signed(&first[0], "order", &keys.sign("order", 7)), "agents that trust only the former key accept orders");
        let again = Keys::open(folder.path(), 7).unwrap();
        assert!(again.public(7) == both && is_signed(&first[0], "order", &again.sign("order", 7)));
        assert_eq!(std::fs::read_to_string(folder.path().join(PUBLIC)).unwrap(), format!("{}\n{}\n", both[0], both[1]));
        let later = Keys::open(folder.path(), 7 + OVERLAP_US).unwrap();
        assert_eq!(later.public(7 + OVERLAP_US), both[..1]);
        assert!(is_signed(&both[0], "order", &later.sign("order", 7 + OVERLAP_US)));
        assert_eq!(std::fs::read_to_string(folder.path().join(PUBLIC)).unwrap(), format!("{}\n", both[0]));
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(folder.path().join(PRIVATE)).unwrap().permissions());
            assert_eq!(mode & 0o7777, 0o600);
        }
        std::fs::write(folder.path().join(PRIVATE), "nonsense").unwrap();
        assert!(Keys::open(folder.path(), 5).is_err_and(|error| monitor_http::with_causes(&error).contains("restore the file")));
    }
}
