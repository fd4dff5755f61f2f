//! The keeper's protocol: JSON values, each behind its length as four little-endian bytes, on a Unix stream socket.
//!
//! The runtime speaks first (`Hello`), the keeper answers (`Welcome`) with everything it still holds. A keeper obeys the
//! highest epoch that was ever seen in the project: a `Hello` with a lower one is answered `Refused` and the connection
//! closed, and when another `Hello` is accepted the older connection is told `Refused` and closed. So a runtime that wakes
//! up late can do nothing.
//!
//! What the keeper has said of an attempt's end (`Exited`, `Withdrawn`) it holds until it is acknowledged, also when the
//! runtime dies or the keeper leaves, and says it again to the next runtime. An attempt that a runtime leased and that is in none of the lists of `Welcome` was lost. A
//! `Start` of an attempt that the keeper knows is ignored, so it may be repeated.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;

use rustix::io::Errno;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Raised with every change that an older peer would misread; peers of different versions refuse each other in words.
pub const VERSION: u32 = 1;
/// A frame longer than this is a broken peer.
pub const MAX_FRAME_BYTES: usize = 16 * 1024 * 1024;

/// `run/task/attempt`, as `AttemptId` prints it.
pub type Attempt = String;

/// What the runtime says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    Hello(Hello),
    Start(Box<Start>),
    /// How many attempts of a pool may run at once from now on.
    Limit {
        pool: String,
        limit: u32,
    },
    /// Hand back what has not started: all of a pool, or of all pools.
    Withdraw {
        pool: Option<String>,
    },
    /// TERM, then KILL after the attempt's `stop_timeout`; one that still waits is handed back as `Withdrawn`. Unknown
    /// attempts are ignored: they have ended.
    Stop {
        attempts: Vec<Attempt>,
        reason: StopReason,
    },
    /// These reports (`Exited`, `Withdrawn`) are committed and their work folders done with; forget both.
    Acknowledge {
        attempts: Vec<Attempt>,
    },
}

/// All but the version may be absent: a peer of another version is to be understood as far as that it can be refused.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Hello {
    pub version: u32,
    pub epoch: i64,
    /// The environment that every attempt inherits before its own variables.
    pub env: BTreeMap<String, String>,
    /// Texts that are replaced by `***` in logs.
    pub secrets: Vec<String>,
    /// Work folders (`.../work/<n>`) that rows of the store still name: not to be cleared away as an earlier keeper's.
    pub keep: Vec<String>,
}

/// Run this when the pool has room; in the order of arrival.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Start {
    pub attempt: Attempt,
    /// Attempts of one pool are alike in what they occupy; see `Limit`.
    pub pool: String,
    /// The pool's limit from now on.
    pub limit: u32,
    pub argv: Vec<String>,
    /// Absolute.
    pub workdir: String,
    /// On top of the inherited environment; later wins. `KINGTIDE_RESULT` and `KINGTIDE_OUTPUT` are added by the keeper.
    pub env: Vec<(String, String)>,
    /// Bytes; enforced by cgroup where one is writable, else by watching.
    pub memory: Option<u64>,
    pub timeout_ms: Option<u64>,
    pub stop_timeout_ms: u64,
    /// Absolute path of the log; created with the first byte.
    pub log: String,
    pub log_limit: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// The run was cancelled.
    Cancel,
    /// The runtime leaves and puts the message back.
    Release,
    /// The attempt is another's duplicate, or its run was forgotten.
    Fence,
    /// The attempt's own `timeout`; never sent, only reported.
    Timeout,
}

/// What the keeper says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    Welcome(Welcome),
    Refused {
        version: u32,
        reason: String,
    },
    /// Said of attempts that outlive 50 ms; those that end sooner are only reported as `Exited`.
    Started {
        attempt: Attempt,
        pid: u32,
        at_ms: i64,
    },
    Exited(Box<Exited>),
    /// Handed back: these never started, and never will.
    Withdrawn {
        attempts: Vec<Attempt>,
    },
    /// Once a second for each running attempt.
    Sample {
        attempt: Attempt,
        usage: Usage,
    },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Welcome {
    pub version: u32,
    pub pid: u32,
    /// `v2`, `v1` or `watch`: how memory is limited here.
    pub limits: String,
    /// Accepted and not ended: waiting in a pool, or running.
    pub waiting: Vec<Attempt>,
    pub running: Vec<Attempt>,
    /// Ended and not acknowledged; each follows as an `Exited` of its own.
    pub ended: Vec<Attempt>,
    /// Handed back and not acknowledged: these never started. Not said again as `Withdrawn`.
    pub withdrawn: Vec<Attempt>,
}

/// An attempt has ended and no process of it is left.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exited {
    pub attempt: Attempt,
    pub end: End,
    pub started_ms: i64,
    pub ended_ms: i64,
    pub usage: Usage,
    /// Absolute path of a JSON file the program wrote, if it did.
    pub result: Option<String>,
    /// Absolute path of a folder with at least one entry, if there is one.
    pub output: Option<String>,
    /// The last lines of the log, at most 2 KiB, when it did not end with 0.
    pub tail: String,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    Code(i32),
    Signal(i32),
    /// Killed because it went beyond its memory limit.
    OutOfMemory,
    /// Ended by `Stop` or by its `timeout`, whatever its code was.
    Stopped(StopReason),
    /// It could not be started: no such program, not executable, no such folder. The text says why.
    NotStarted(String),
    /// It failed while the disk was full: no fault of its own.
    DiskFull,
}

/// What the whole process tree has used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    pub cpu_ms: u64,
    /// Resident now, and at the most, in bytes.
    pub memory: u64,
    pub memory_peak: u64,
    pub read_bytes: u64,
    pub written_bytes: u64,
}

/// Appends a message as a frame.
pub fn encode(message: &impl Serialize, frames: &mut Vec<u8>) {
    let start = frames.len();
    frames.extend_from_slice(&[0; 4]);
    serde_json::to_writer(&mut *frames, message).expect("every message is made of strings, numbers and lists");
    let length = u32::try_from(frames.len() - start - 4).unwrap_or(u32::MAX);
    frames[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

/// What a peer sent is not this protocol.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error("a frame of {0} bytes is longer than any message")]
    TooLong(usize),
    #[error("a frame holds no message")]
    NotAMessage(#[source] serde_json::Error),
}

/// Bytes as they arrive, cut into messages.
#[derive(Debug, Default)]
pub struct Frames {
    bytes: Vec<u8>,
    /// Where the first message that was not handed out begins.
    start: usize,
}

impl Frames {
    /// Reads what is there, in one call. Zero is the end; `WOULDBLOCK` says that nothing is there.
    pub fn read_from(&mut self, socket: impl AsFd) -> Result<usize, Errno> {
        const ROOM: usize = 64 * 1024;
        self.bytes.drain(..self.start);
        self.start = 0;
        if self.bytes.is_empty() && self.bytes.capacity() > 4 * ROOM {
            // One large message is no reason to hold its size for good.
            self.bytes = Vec::new();
        }
        let filled = self.bytes.len();
        let room = self.missing().clamp(ROOM, 1024 * 1024);
        self.bytes.resize(filled + room, 0);
        let read = loop {
            match rustix::io::read(&socket, &mut self.bytes[filled..]) {
                Err(Errno::INTR) => {}
                other => break other,
            }
        };
        self.bytes.truncate(filled + *read.as_ref().unwrap_or(&0));
        read
    }

    /// The next whole message, if there is one.
    pub fn next_message<M: DeserializeOwned>(&mut self) -> Result<Option<M>, FrameError> {
        let Some(length) = self.length() else { return Ok(None) };
        if length > MAX_FRAME_BYTES {
            return Err(FrameError::TooLong(length));
        }
        let body = self.start + 4;
        let Some(bytes) = self.bytes.get(body..body + length) else {
            return Ok(None);
        };
        let message = serde_json::from_slice(bytes).map_err(FrameError::NotAMessage)?;
        self.start = body + length;
        Ok(Some(message))
    }

    fn length(&self) -> Option<usize> {
        let prefix = self.bytes.get(self.start..self.start + 4)?;
        Some(u32::from_le_bytes(prefix.try_into().expect("four bytes")) as usize)
    }

    /// How many bytes of the message that has begun have not arrived.
    fn missing(&self) -> usize {
        self.length()
            .map_or(0, |length| (length + 4).saturating_sub(self.bytes.len() - self.start))
    }
}

/// Writes all of it, over as many calls as that takes; the socket blocks.
pub fn write_all(socket: impl AsFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::net::send(&socket, bytes, rustix::net::SendFlags::NOSIGNAL) {
            Ok(sent) => bytes = &bytes[sent..],
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
