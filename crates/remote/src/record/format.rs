//! Documents as bytes: JSON with the number of its format.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Raised with every change that an earlier version would misread.
pub const FORMAT: u32 = 1;

/// What an object holds is not the document that it should be.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    #[error("`{key}` was written by a later Kingtide (format {format}, and this one reads {FORMAT}): update this one")]
    Later { key: String, format: u32 },
    #[error("`{key}` is not what Kingtide has written")]
    Invalid {
        key: String,
        #[source]
        source: serde_json::Error,
    },
}

#[derive(Deserialize)]
struct Formatted {
    #[serde(default)]
    format: u32,
}

/// Reads the document that `key` holds.
pub fn read<T: DeserializeOwned>(key: &str, bytes: &[u8]) -> Result<T, DocumentError> {
    let invalid = |source| DocumentError::Invalid {
        key: key.to_owned(),
        source,
    };
    let formatted: Formatted = serde_json::from_slice(bytes).map_err(invalid)?;
    match formatted.format {
        format if format > FORMAT => Err(DocumentError::Later {
            key: key.to_owned(),
            format,
        }),
        _ => serde_json::from_slice(bytes).map_err(invalid),
    }
}

/// The bytes of a document, on one line.
pub fn write<T: Serialize>(document: &T) -> Vec<u8> {
    let value = serde_json::to_value(document).expect("documents are made of texts, numbers and lists");
    let mut whole = Map::from_iter([("format".to_owned(), Value::from(FORMAT))]);
    if let Value::Object(entries) = value {
        whole.extend(entries);
    }
    Value::Object(whole).to_string().into_bytes()
}

/// Words of core's states in documents: `#[serde(with = "word")]`.
pub(super) mod word {
    use kingtide_core::engine::event::Named;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<T: Named, S: Serializer>(state: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(state.word())
    }

    pub(crate) fn deserialize<'de, T: Named, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        let word = String::deserialize(deserializer)?;
        T::named(&word).ok_or_else(|| D::Error::custom(format!("`{word}` is no state")))
    }
}

/// The same where there may be none.
pub(super) mod maybe_word {
    use kingtide_core::engine::event::Named;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<T: Named, S: Serializer>(state: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
        match state {
            Some(state) => serializer.serialize_some(state.word()),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, T: Named, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
        match Option::<String>::deserialize(deserializer)? {
            None => Ok(None),
            Some(word) => match T::named(&word) {
                Some(state) => Ok(Some(state)),
                None => Err(D::Error::custom(format!("`{word}` is no state"))),
            },
        }
    }
}
