//! MD5 of bodies and attributes, as Amazon SQS answers it and every SDK verifies it. It proves that nothing was garbled on the
//! way, and is no protection against anybody.

use std::collections::BTreeMap;

use md5::{Digest as _, Md5};

use super::operation::{Attribute, AttributeValue, Send};
use kingtide_core::hex;

/// What is answered about a message that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Digests {
    pub(super) body: String,
    pub(super) attributes: Option<String>,
    pub(super) system_attributes: Option<String>,
}

impl Digests {
    pub(super) fn of(message: &Send) -> Digests {
        Digests {
            body: of_text(&message.body),
            attributes: of_attributes(message.attributes.iter()),
            system_attributes: of_attributes(message.system_attributes.iter()),
        }
    }
}

pub(super) fn of_text(text: &str) -> String {
    hex::encode(&Md5::digest(text))
}

/// Of attributes in the order of their names: each of name, type and value with its length in bytes before it, and before the
/// value whether it is text (1) or binary (2). `None` when there are none.
pub(super) fn of_attributes<'a>(attributes: impl Iterator<Item = (&'a String, &'a Attribute)>) -> Option<String> {
    let sorted: BTreeMap<&String, &Attribute> = attributes.collect();
    if sorted.is_empty() {
        return None;
    }
    let mut hash = Md5::new();
    let piece = |hash: &mut Md5, bytes: &[u8]| {
        // Longer than four GiB is no request that anybody reads.
        hash.update(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
        hash.update(bytes);
    };
    for (name, attribute) in sorted {
        piece(&mut hash, name.as_bytes());
        piece(&mut hash, attribute.data_type.as_bytes());
        match &attribute.value {
            AttributeValue::Text(text) => {
                hash.update([1]);
                piece(&mut hash, text.as_bytes());
            }
            AttributeValue::Binary(bytes) => {
                hash.update([2]);
                piece(&mut hash, bytes);
            }
            AttributeValue::Missing => {}
        }
    }
    Some(hex::encode(&hash.finalize()))
}
