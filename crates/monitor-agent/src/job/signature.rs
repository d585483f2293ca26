//! Verifies the signatures of orders, and writes the file with the pinned keys of the server.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use aws_lc_rs::signature::{ED25519, ED25519_PUBLIC_KEY_LEN, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use monitor_wire::{JobKeys, SignedJobOrder};

use crate::job_policy::sha256;

/// Checks that a pinned key has signed the order.
///
/// # Errors
/// Returns the reason why the order is refused.
pub(super) fn verify(signed: &SignedJobOrder, file: &Path) -> Result<(), String> {
    const REMEDY: &str = "run `monitor agent trust` on this host";
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(format!("this host trusts no server with jobs: {REMEDY}")),
        Err(error) => return Err(format!("the keys in {} can't be read: {error}; {REMEDY}", file.display())),
    };
    let keys: Vec<Vec<u8>> = text.lines().filter_map(|line| key(line).ok()).collect();
    if keys.is_empty() {
        return Err(format!("{} contains no key: {REMEDY}", file.display()));
    }
    let signature = STANDARD.decode(&signed.signature).unwrap_or_default();
    let is_signed = |key: &Vec<u8>| UnparsedPublicKey::new(&ED25519, key).verify(signed.order.as_bytes(), &signature).is_ok();
    let error = || format!("the order was not signed with a key that this host trusts: if the server has a new key, {REMEDY}");
    keys.iter().any(is_signed).then_some(()).ok_or_else(error)
}

/// Writes the keys to a file, and returns their fingerprints.
///
/// # Errors
/// If there is no key, a key is invalid, or the file can't be written.
pub fn pin_job_keys(file: &Path, keys: &JobKeys) -> io::Result<Vec<String>> {
    let raw = keys.keys.iter().map(|text| key(text)).collect::<Result<Vec<_>, _>>().map_err(io::Error::other)?;
    if raw.is_empty() {
        return Err(io::Error::other("the server has no key"));
    }
    let mut new = file.as_os_str().to_owned();
    new.push(".new");
    let mut to = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    for key in &raw {
        writeln!(to, "{}", STANDARD.encode(key))?;
    }
    to.sync_all()?;
    fs::rename(&new, file)?;
    Ok(raw.iter().map(|key| format!("SHA256:{}", sha256(key))).collect())
}

fn key(line: &str) -> Result<Vec<u8>, String> {
    let decoded = STANDARD.decode(line.trim()).ok().filter(|key| key.len() == ED25519_PUBLIC_KEY_LEN);
    decoded.ok_or_else(|| format!("{line:?} is no public key: expected {ED25519_PUBLIC_KEY_LEN} bytes in base64"))
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};

    use super::*;

    #[test]
    fn only_the_bytes_that_a_pinned_key_has_signed_are_accepted() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("job-keys");
        let [old, new] = [(); 2].map(|()| Ed25519KeyPair::generate().unwrap());
        let public = |pair: &Ed25519KeyPair| STANDARD.encode(pair.public_key());
        let order = |pair: &Ed25519KeyPair, text: &str| SignedJobOrder {
            order: text.to_owned(),
            signature: STANDARD.encode(pair.sign(text.as_bytes())),
        };
        let refused = |signed: &SignedJobOrder| verify(signed, &file).unwrap_err();
        assert!(refused(&order(&old, "{}")).contains("trusts no server with jobs: run `monitor agent trust`"));
        fs::write(&file, "# none\n").unwrap();
        assert!(refused(&order(&old, "{}")).contains("contains no key"));
        let fingerprints = pin_job_keys(&file, &JobKeys { keys: vec![public(&old)] }).unwrap();
        assert!(fingerprints[0].starts_with("SHA256:") && fingerprints.len() == 1);
        assert_eq!(verify(&order(&old, "{}"), &file), Ok(()));
        assert!(refused(&order(&new, "{}")).contains("monitor agent trust"));
        for changed in [
            SignedJobOrder { order: "{ }".to_owned(), ..order(&old, "{}") },
            SignedJobOrder { signature: "x".to_owned(), ..order(&old, "{}") },
        ] {
            assert!(refused(&changed).contains("was not signed"));
        }
        // Both keys are valid while the server replaces its key.
        pin_job_keys(&file, &JobKeys { keys: vec![public(&new), public(&old)] }).unwrap();
        assert!(verify(&order(&new, "{}"), &file).is_ok() && verify(&order(&old, "{}"), &file).is_ok());
        for bad in [vec![], vec!["YQ==".to_owned()]] {
            assert!(pin_job_keys(&file, &JobKeys { keys: bad }).is_err());
        }
        assert!(verify(&order(&new, "{}"), &file).is_ok(), "the file stays as it was");
    }
}
