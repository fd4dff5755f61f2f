//! Access keys of consumers' instances: the endpoint knows by them who holds what, and on addresses that others reach too they
//! are verified. They follow from the project's own key, which is made once and lies in `.kingtide/key`, the user's alone.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use kingtide_core::hex;
use kingtide_core::id::InstanceId;
use sha2::{Digest, Sha256};

use crate::random;

const FILE: &str = "key";
const BYTES: usize = 32;
/// What every access key id of ours begins with.
const PREFIX: &str = "KTINSTANCE";

/// The keys that are accepted; none by default.
#[derive(Default)]
pub(crate) struct Keys {
    project: [u8; BYTES],
    live: Mutex<BTreeSet<InstanceId>>,
    /// What the user demands of everybody else: an id and its secret.
    given: Option<(String, String)>,
}

impl Keys {
    /// Reads the project's key, or makes one.
    pub(crate) fn open(root: &Path, given: Option<(String, String)>) -> io::Result<Keys> {
        Ok(Keys {
            project: project_key(&root.join(FILE))?,
            live: Mutex::default(),
            given,
        })
    }

    /// The access key id and the secret of an instance.
    pub(crate) fn of(&self, instance: InstanceId) -> (String, String) {
        let mut hash = Sha256::new();
        hash.update(self.project);
        hash.update(instance.0.to_le_bytes());
        let secret = hex::encode(&hash.finalize());
        (access_key(instance), secret)
    }

    /// From now on its key is accepted.
    pub(crate) fn admit(&self, instance: InstanceId) {
        self.live().insert(instance);
    }

    pub(crate) fn revoke(&self, instance: InstanceId) {
        self.live().remove(&instance);
    }

    /// The secret of an access key id that is accepted.
    pub(crate) fn secret(&self, access_key: &str) -> Option<String> {
        if let Some((id, secret)) = &self.given
            && id == access_key
        {
            return Some(secret.clone());
        }
        let instance = instance(access_key)?;
        self.live().contains(&instance).then(|| self.of(instance).1)
    }

    fn live(&self) -> std::sync::MutexGuard<'_, BTreeSet<InstanceId>> {
        // What it guards is valid between any two statements.
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The access key id of an instance: as long as AWS's are.
pub(crate) fn access_key(instance: InstanceId) -> String {
    format!("{PREFIX}{:010}", instance.0)
}

/// The instance that goes by this access key id.
pub(crate) fn instance(access_key: &str) -> Option<InstanceId> {
    access_key.strip_prefix(PREFIX)?.parse().ok().map(InstanceId)
}

fn project_key(path: &Path) -> io::Result<[u8; BYTES]> {
    match std::fs::read(path) {
        Ok(bytes) => {
            if let Ok(key) = bytes.try_into() {
                return Ok(key);
            }
            // Cut off when the disk was full: instances that lived by it are gone or will be refused.
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let key = random::bytes()?;
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(&key)?;
    file.sync_all()?;
    Ok(key)
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("live", &self.live).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_has_the_same_key_after_a_restart_and_only_while_it_lives() {
        let folder = tempfile::tempdir().expect("a folder");
        let keys = Keys::open(folder.path(), None).expect("a key");
        let (id, secret) = keys.of(InstanceId(17));
        assert_eq!((id.len(), instance(&id)), (20, Some(InstanceId(17))));
        assert_eq!(keys.secret(&id), None, "not admitted");
        keys.admit(InstanceId(17));
        assert_eq!(keys.secret(&id).as_deref(), Some(secret.as_str()));
        let again = Keys::open(folder.path(), None).expect("the key");
        assert_eq!(again.of(InstanceId(17)).1, secret);
        assert_ne!(again.of(InstanceId(18)).1, secret);
        keys.revoke(InstanceId(17));
        assert_eq!(keys.secret(&id), None);
    }

    #[test]
    fn what_the_user_demands_is_accepted() {
        let folder = tempfile::tempdir().expect("a folder");
        let keys = Keys::open(folder.path(), Some(("me".to_owned(), "mine".to_owned()))).expect("a key");
        assert_eq!(keys.secret("me").as_deref(), Some("mine"));
        assert_eq!(keys.secret("you"), None);
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(folder.path().join(FILE))
            .expect("a file")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
