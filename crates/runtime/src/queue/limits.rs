//! The limits of Amazon SQS. Sources: the API reference and the quota pages of its developer guide.

use std::ops::RangeInclusive;

/// Of `DelaySeconds`.
pub(super) const DELAY_S: RangeInclusive<i64> = 0..=900;
/// Of `MaximumMessageSize`, in bytes; 1 MiB since August 2025.
pub(super) const MESSAGE_BYTES: RangeInclusive<i64> = 1024..=1_048_576;
/// Of `MessageRetentionPeriod`: a minute to fourteen days.
pub(super) const RETENTION_S: RangeInclusive<i64> = 60..=1_209_600;
/// Of `ReceiveMessageWaitTimeSeconds` and `WaitTimeSeconds`.
pub(super) const WAIT_S: RangeInclusive<i64> = 0..=20;
/// Of `VisibilityTimeout`, and how long a message may stay in flight after its receive.
pub(super) const VISIBILITY_S: RangeInclusive<i64> = 0..=43_200;
/// Of `KmsDataKeyReusePeriodSeconds`.
pub(super) const KMS_REUSE_S: RangeInclusive<i64> = 60..=86_400;
/// Of `maxReceiveCount` in a redrive policy.
pub(super) const MAX_RECEIVES: RangeInclusive<i64> = 1..=1000;
/// Of `MaxNumberOfMessages`.
pub(super) const RECEIVE: RangeInclusive<i64> = 1..=10;
/// Of `MaxNumberOfMessagesPerSecond` of a move task.
pub(super) const MOVE_RATE: RangeInclusive<i64> = 1..=500;
/// Of `MaxResults` of lists of queues.
pub(super) const PAGE: RangeInclusive<i64> = 1..=1000;
/// Of `MaxResults` of a list of move tasks.
pub(super) const MOVES_PAGE: RangeInclusive<i64> = 1..=10;

pub(super) const BATCH_ENTRIES: usize = 10;
pub(super) const BATCH_BYTES: usize = 1_048_576;
pub(super) const ENTRY_ID_BYTES: usize = 80;
pub(super) const QUEUE_NAME_BYTES: usize = 80;
/// Of group, deduplication and receive attempt ids.
pub(super) const ID_CHARACTERS: usize = 128;
pub(super) const MESSAGE_ATTRIBUTES: usize = 10;
/// Names and types of message attributes stay below.
pub(super) const ATTRIBUTE_NAME_BYTES: usize = 256;
pub(super) const TAGS: usize = 50;
pub(super) const TAG_KEY_CHARACTERS: usize = 128;
pub(super) const TAG_VALUE_CHARACTERS: usize = 256;
/// Source queues that a redrive-allow policy may name.
pub(super) const ALLOWED_SOURCES: usize = 10;
/// Actions of one permission.
pub(super) const PERMISSION_ACTIONS: usize = 7;
/// Statements of a policy.
pub(super) const POLICY_STATEMENTS: usize = 20;

/// Messages of a queue that may be in flight, of both kinds.
pub(super) const IN_FLIGHT: u64 = 120_000;
/// Of a FIFO queue: how long a deduplication id and a receive attempt are remembered, in milliseconds.
pub(super) const DEDUPLICATION_MS: i64 = 5 * 60 * 1000;
/// Between two purges, in milliseconds.
pub(super) const PURGE_MS: i64 = 60 * 1000;
/// From a queue's deletion until its name may be taken again, in milliseconds.
pub(super) const DELETED_MS: i64 = 60 * 1000;
