//! Receipt handles: which letter, at which receive. What was not made here is told apart by a tag over the queue's salt;
//! that keeps invented handles out, it is no protection from people who may receive anyway.

use sha2::{Digest, Sha256};

use super::definition::Queue;
use crate::sqs::fault::{Code, Fault};

/// What a handle names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Receipt {
    pub(super) letter: i64,
    /// The number of the receive.
    pub(super) number: i64,
}

/// Letter, number and tag, eight bytes each, in hexadecimal.
const HANDLE_BYTES: usize = 48;

fn tag(queue: &Queue, receipt: Receipt) -> u64 {
    let mut hash = Sha256::new();
    for part in [queue.id, queue.salt, receipt.letter, receipt.number] {
        hash.update(part.to_be_bytes());
    }
    let digest = hash.finalize();
    let first = digest.first_chunk().expect("a digest has 32 bytes");
    u64::from_be_bytes(*first)
}

impl Receipt {
    pub(super) fn handle(self, queue: &Queue) -> String {
        format!("{:016x}{:016x}{:016x}", self.letter, self.number, tag(queue, self))
    }

    /// # Errors
    /// When the handle is not one of this queue's.
    pub(super) fn read(queue: &Queue, handle: &str) -> Result<Receipt, Fault> {
        let part = |index: usize| {
            let digits = handle.get(index * 16..index * 16 + 16)?;
            let is_hexadecimal = digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            is_hexadecimal.then(|| u64::from_str_radix(digits, 16).ok())?
        };
        let parts = (handle.len() == HANDLE_BYTES).then(|| Some((part(0)?, part(1)?, part(2)?)));
        let receipt = parts.flatten().and_then(|(letter, number, found)| {
            let receipt = Receipt {
                letter: letter as i64,
                number: number as i64,
            };
            (found == tag(queue, receipt)).then_some(receipt)
        });
        receipt.ok_or_else(|| {
            let message = format!("The input receipt handle \"{handle}\" is not a valid receipt handle.");
            Fault::new(Code::ReceiptHandleIsInvalid, message)
        })
    }
}
