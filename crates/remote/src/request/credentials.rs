//! Who asks: keys, where a container has them from, and when they are fetched anew. The laptop's many other sources are in `kingtide-aws`.
//!
//! Nothing here prints a secret: `Debug` leaves them out, and errors say where was looked, not what was found.

mod container;

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use thiserror::Error;

pub use self::container::Container;

/// They are fetched anew so long before they expire, if that works.
const SOON: Duration = Duration::from_secs(15 * 60);
/// And must be by then: a request that is on its way is still to be valid.
const GONE: Duration = Duration::from_secs(60);
/// After a fetch that failed while the old ones still hold, the next one waits for so long.
const PAUSE: Duration = Duration::from_secs(60);

/// What a request is signed with.
#[derive(Clone, Eq, PartialEq)]
pub struct Credentials {
    /// The public half.
    pub access_key: String,
    /// The secret half.
    pub secret: String,
    /// Of temporary ones.
    pub token: Option<String>,
    /// `None` of those that hold until somebody removes them.
    pub expires: Option<SystemTime>,
}

/// Where credentials come from.
pub trait Provide: Send + Sync {
    /// Fetches them, now.
    ///
    /// # Errors
    /// When no source has any.
    fn fetch(&self) -> Result<Credentials, CredentialsError>;
}

/// Nobody has any.
#[derive(Clone, Debug, Error)]
#[error("there are no credentials for AWS; tried: {}", tried(.0))]
pub struct CredentialsError(pub Vec<Tried>);

/// A source, and why it has none.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tried {
    /// As people call it.
    pub source: String,
    /// Without a secret.
    pub why: String,
}

/// How old they are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Age {
    /// Use them.
    Fresh,
    /// Fetch new ones; use these if there are none.
    Old,
    /// Fetch new ones.
    Gone,
}

impl Credentials {
    /// What is to be done about them at a time.
    pub fn age(&self, now: SystemTime) -> Age {
        let left = match self.expires {
            None => return Age::Fresh,
            Some(expires) => expires.duration_since(now).unwrap_or_default(),
        };
        match left {
            left if left <= GONE => Age::Gone,
            left if left <= SOON => Age::Old,
            _ => Age::Fresh,
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Credentials");
        shown
            .field("access_key", &self.access_key)
            .field("expires", &self.expires);
        shown.finish_non_exhaustive()
    }
}

fn tried(sources: &[Tried]) -> String {
    let sources: Vec<String> = sources
        .iter()
        .map(|tried| format!("{} ({})", tried.source, tried.why))
        .collect();
    sources.join(", ")
}

/// The credentials of a process, for all its threads.
pub struct Keeper {
    source: Box<dyn Provide>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    credentials: Option<Credentials>,
    /// Until then a source that failed is not asked again.
    paused: Option<SystemTime>,
}

impl Keeper {
    /// Fetched with the first request.
    pub fn new(source: Box<dyn Provide>) -> Keeper {
        Keeper {
            source,
            kept: Mutex::default(),
        }
    }

    /// Those to sign with; one thread fetches, the others wait for it.
    ///
    /// # Errors
    /// When there are none.
    pub fn get(&self, now: SystemTime) -> Result<Credentials, CredentialsError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = &kept.credentials {
            let is_paused = kept.paused.is_some_and(|until| now < until);
            match known.age(now) {
                Age::Fresh => return Ok(known.clone()),
                Age::Old if is_paused => return Ok(known.clone()),
                Age::Old | Age::Gone => {}
            }
        }
        match (self.source.fetch(), &kept.credentials) {
            (Ok(fresh), _) => {
                *kept = Kept {
                    credentials: Some(fresh.clone()),
                    paused: None,
                };
                Ok(fresh)
            }
            (Err(_), Some(known)) if known.age(now) == Age::Old => {
                let known = known.clone();
                kept.paused = Some(now + PAUSE);
                Ok(known)
            }
            (Err(error), _) => Err(error),
        }
    }

    /// A service says that they have expired: these, if nobody has fetched others meanwhile.
    pub fn forget(&self, stale: &Credentials) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.credentials.as_ref() == Some(stale) {
            *kept = Kept::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn until(expires: u64) -> Credentials {
        Credentials {
            access_key: "AKIAPUBLIC".to_owned(),
            secret: "very-secret".to_owned(),
            token: Some("token-secret".to_owned()),
            expires: Some(at(expires)),
        }
    }

    /// Hands out credentials for an hour, the second time says no.
    struct Source(Arc<AtomicU32>);

    impl Provide for Source {
        fn fetch(&self) -> Result<Credentials, CredentialsError> {
            match self.0.fetch_add(1, Ordering::SeqCst) {
                0 => Ok(until(3600)),
                1 => Err(CredentialsError(vec![Tried {
                    source: "the container's endpoint".to_owned(),
                    why: "it answers 500".to_owned(),
                }])),
                _ => Ok(until(7200)),
            }
        }
    }

    #[test]
    fn old_ones_are_used_while_new_ones_cannot_be_had() {
        let asked = Arc::new(AtomicU32::new(0));
        let keeper = Keeper::new(Box::new(Source(asked.clone())));
        let expires = |now| keeper.get(at(now)).map(|found| found.expires);
        assert_eq!(expires(0).expect("fresh"), Some(at(3600)));
        assert_eq!(expires(2600).expect("fresh"), Some(at(3600)));
        // Fifteen minutes before: asked, in vain, and not again for a minute.
        assert_eq!(expires(2800).expect("old"), Some(at(3600)));
        assert_eq!(expires(2830).expect("old"), Some(at(3600)));
        assert_eq!(asked.load(Ordering::SeqCst), 2);
        assert_eq!(expires(2900).expect("fresh"), Some(at(7200)));
    }

    #[test]
    fn nothing_printed_holds_a_secret() {
        let shown = format!("{:?}", until(1));
        assert!(shown.contains("AKIAPUBLIC") && !shown.contains("secret\""), "{shown}");
        assert!(
            !shown.contains("very-secret") && !shown.contains("token-secret"),
            "{shown}"
        );
    }
}
