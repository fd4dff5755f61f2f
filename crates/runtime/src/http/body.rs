//! Reading the body of a request, no further than its limit and no longer than its time.

use std::sync::Arc;

use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Incoming};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Limits, Refusal};

/// Bodies up to this need no share of the memory for large ones.
const SMALL: usize = 64 * 1024;
/// What a share is counted in.
const UNIT: usize = 4 * 1024;

/// The memory for large bodies.
#[derive(Clone, Debug)]
pub(super) struct Room(Arc<Semaphore>);

impl Room {
    pub(super) fn new(limits: &Limits) -> Room {
        // Room for one of them at least, or none could ever be read.
        let bytes = limits.bodies_bytes.max(limits.body_bytes);
        Room(Arc::new(Semaphore::new(bytes.div_ceil(UNIT))))
    }

    async fn share(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).ok()?;
        Arc::clone(&self.0).acquire_many_owned(units).await.ok()
    }
}

/// The body, with its share of the room when it is large.
pub(super) async fn read(
    body: Incoming,
    limits: &Limits,
    room: &Room,
) -> Result<(Bytes, Option<OwnedSemaphorePermit>), Refusal> {
    if body.is_end_stream() {
        return Ok((Bytes::new(), None));
    }
    let most = limits.body_bytes;
    let hint = body.size_hint();
    let declared = hint.exact().map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    if declared.is_some_and(|bytes| bytes > most) {
        return Err(Refusal::TooLarge(most));
    }
    let reading = async {
        // One that does not say how long it is may become as long as any.
        let expected = declared.unwrap_or(most);
        let share = if expected > SMALL {
            room.share(expected).await
        } else {
            None
        };
        Ok((collect(body, most, declared).await?, share))
    };
    match tokio::time::timeout(limits.body_patience, reading).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Refusal::TooSlow),
    }
}

async fn collect(mut body: Incoming, most: usize, declared: Option<usize>) -> Result<Bytes, Refusal> {
    let mut first: Option<Bytes> = None;
    let mut rest: Vec<u8> = Vec::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Refusal::Broken)?;
        // Trailers say nothing to us.
        let Ok(data) = frame.into_data() else { continue };
        length += data.len();
        if length > most {
            return Err(Refusal::TooLarge(most));
        }
        // Most bodies come in one piece and are not copied.
        match first.take() {
            None if rest.is_empty() => first = Some(data),
            None => rest.extend_from_slice(&data),
            Some(first) => {
                rest.reserve_exact(declared.unwrap_or(length));
                rest.extend_from_slice(&first);
                rest.extend_from_slice(&data);
            }
        }
    }
    Ok(first.unwrap_or_else(|| rest.into()))
}
