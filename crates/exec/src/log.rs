//! The log of one attempt: what it wrote to standard output and error, each line behind the time at which it was read.
//!
//! The file appears with the first byte, is `x.log` and, once that has reached half of the limit, `x.log.1` for what came
//! before it; together they never exceed the limit. Whoever writes is never slowed by it: a flood is read as fast as it
//! comes, and what goes beyond `FLOOD_BYTES_PER_SECOND` is counted instead of kept, except its end. When the disk is full the
//! bytes are counted too, and a line says so once there is room again.
//!
//! Most logs are read from a pipe, and a line's time is that of the read. One that comes out of another's store (a
//! container's) brings its times along and is read at our own pace: `take_at`.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use rustix::io::Errno;

use crate::log_file::{self, LogFile};
use crate::redact::{Redactor, Secrets};
use crate::stamp::{STAMP_BYTES, now_ms, stamp};

/// How much of the end is kept in memory for the report.
pub const TAIL_BYTES: usize = 2048;
/// What a lasting flood may write; what it writes at first, until half of the log is full, is free.
const FLOOD_BYTES_PER_SECOND: i64 = 32 * 1024 * 1024;
/// Of what is left out in a flood, this much of the end is kept.
const FLOOD_TAIL_BYTES: usize = 8 * 1024;
/// One read takes this much: as much as a pipe holds at first, and little enough to stay in the processor's cache.
const READ_BYTES: usize = 64 * 1024;
/// What the pipe may hold once a read has found it full.
const LARGE_PIPE_BYTES: usize = 1024 * 1024;
/// Formatted bytes are written when they are this many.
const WRITE_BYTES: usize = 256 * 1024;

/// Memory that reading needs; one for all attempts of a slot.
#[derive(Debug, Default)]
pub struct Buffers {
    read: Vec<u8>,
    lines: Vec<u8>,
}

impl Buffers {
    /// Gives back what a flood has needed.
    fn shrink(&mut self) {
        if self.lines.capacity() > WRITE_BYTES {
            self.lines = Vec::new();
        }
    }
}

/// What a read found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    Bytes(usize),
    /// No process can write to it any more.
    End,
}

/// One attempt's log.
#[derive(Debug)]
pub struct Log {
    buffers: Buffers,
    redactor: Redactor,
    tail: Vec<u8>,
    file: LogFile,
    /// The next byte begins a line.
    fresh_line: bool,
    /// When what is being written was said, where that is not now.
    said_ms: Option<i64>,
    is_pipe_large: bool,
    /// Whoever wants the lines as they come, besides the file.
    echo: Option<OwnedFd>,
    allowance: Allowance,
    /// Left out of a flood: how many bytes, and the last of them.
    left_out: u64,
    left_out_end: Vec<u8>,
}

impl Log {
    /// `limit` is in bytes, of both files together.
    pub fn new(path: &Path, limit: u64, secrets: Arc<Secrets>, buffers: Buffers) -> Log {
        let half = (limit / 2).max(log_file::SMALLEST_HALF);
        Log {
            buffers,
            redactor: Redactor::new(secrets),
            tail: Vec::new(),
            file: LogFile::new(path, half),
            fresh_line: true,
            said_ms: None,
            is_pipe_large: false,
            echo: None,
            allowance: Allowance::new(half),
            left_out: 0,
            left_out_end: Vec::new(),
        }
    }

    /// The same lines go there, too, as far as they are taken.
    pub fn echo_to(&mut self, descriptor: OwnedFd) {
        self.echo = Some(descriptor);
    }

    /// Reads once from the pipe. Does not block if poll has said that there is something.
    pub fn read_from(&mut self, pipe: BorrowedFd<'_>) -> Read {
        let mut buffer = std::mem::take(&mut self.buffers.read);
        if buffer.is_empty() {
            buffer.resize(READ_BYTES, 0);
        }
        let read = loop {
            match rustix::io::read(pipe, &mut buffer[..]) {
                Err(Errno::INTR) => {}
                other => break other,
            }
        };
        let read = match read {
            Ok(0) | Err(_) => Read::End,
            Ok(length) => {
                self.take(&buffer[..length]);
                if length == READ_BYTES && !self.is_pipe_large {
                    // The writer is ahead. Refused when the user's share of pipe pages is used up.
                    let _ = rustix::pipe::fcntl_setpipe_size(pipe, LARGE_PIPE_BYTES);
                    self.is_pipe_large = true;
                }
                Read::Bytes(length)
            }
        };
        self.buffers.read = buffer;
        read
    }

    /// Reads what lies in the pipe and no more: whoever still writes to it is no part of the attempt.
    pub fn drain(&mut self, pipe: BorrowedFd<'_>) {
        let mut waiting = rustix::io::ioctl_fionread(pipe).unwrap_or(0);
        while waiting > 0 {
            match self.read_from(pipe) {
                Read::Bytes(length) => waiting = waiting.saturating_sub(length as u64),
                Read::End => break,
            }
        }
    }

    /// Takes the next bytes of the stream.
    pub fn take(&mut self, bytes: &[u8]) {
        let mut redactor = std::mem::replace(&mut self.redactor, Redactor::new(Arc::default()));
        self.take_clean(redactor.push(bytes));
        self.redactor = redactor;
    }

    /// Takes the next bytes of a stream that is kept elsewhere: `said_ms` is when they were said, in milliseconds since the
    /// Unix epoch. However many there are, none is left out: whoever keeps them waits for us.
    pub fn take_at(&mut self, bytes: &[u8], said_ms: i64) {
        if self.said_ms.replace(said_ms).is_none() {
            self.allowance = Allowance::new(u64::MAX);
        }
        self.take(bytes);
    }

    /// Writes what a flood has left, if that is possible by now; to be called now and then.
    pub fn settle(&mut self) {
        if self.left_out > 0 && self.allowance.is_left() {
            self.end_flood();
        }
        self.file.retry();
    }

    /// The stream has ended. Answers the last lines, the memory, and whether bytes were lost to a full disk.
    pub fn finish(mut self) -> Finished {
        let mut redactor = std::mem::replace(&mut self.redactor, Redactor::new(Arc::default()));
        self.take_clean(redactor.finish());
        if self.left_out > 0 {
            self.end_flood();
        }
        self.file.finish();
        let mut buffers = self.buffers;
        buffers.shrink();
        Finished {
            tail: last_lines(&self.tail),
            disk_full: self.file.was_disk_full(),
            buffers,
        }
    }

    fn take_clean(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        keep_end(&mut self.tail, bytes, TAIL_BYTES);
        if !self.allowance.is_left() {
            self.left_out += bytes.len() as u64;
            keep_end(&mut self.left_out_end, bytes, FLOOD_TAIL_BYTES);
            return;
        }
        if self.left_out > 0 {
            self.end_flood();
        }
        self.write_lines(bytes);
    }

    fn end_flood(&mut self) {
        let end = std::mem::take(&mut self.left_out_end);
        let missing = self.left_out - end.len() as u64;
        self.left_out = 0;
        // What is kept begins with a whole line where there is one.
        let line = if missing == 0 {
            0
        } else {
            memchr::memchr(b'\n', &end).map_or(0, |newline| newline + 1)
        };
        let missing = missing + line as u64;
        if missing > 0 {
            let newline = if self.fresh_line { "" } else { "\n" };
            self.fresh_line = true;
            let note = format!("[kingtide: {missing} bytes left out; they came faster than a log is kept]\n");
            self.write_lines_after(newline, note.as_bytes());
        }
        self.write_lines(&end[line..]);
    }

    fn write_lines(&mut self, bytes: &[u8]) {
        self.write_lines_after("", bytes);
    }

    /// Puts the time in front of every line and writes them.
    fn write_lines_after(&mut self, before: &str, bytes: &[u8]) {
        let mut lines = std::mem::take(&mut self.buffers.lines);
        lines.extend_from_slice(before.as_bytes());
        let stamp = stamp(self.said_ms.unwrap_or_else(now_ms));
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.fresh_line {
                lines.extend_from_slice(&stamp);
            }
            let end = memchr::memchr(b'\n', rest);
            let (line, after) = rest.split_at(end.map_or(rest.len(), |newline| newline + 1));
            lines.extend_from_slice(line);
            self.fresh_line = end.is_some();
            rest = after;
            if lines.len() >= WRITE_BYTES {
                self.write_out(&lines, &stamp);
                lines.clear();
            }
        }
        self.write_out(&lines, &stamp);
        lines.clear();
        self.buffers.lines = lines;
    }

    fn write_out(&mut self, lines: &[u8], stamp: &[u8; STAMP_BYTES]) {
        self.allowance.spend(lines.len());
        self.file.write(lines, stamp);
        if let Some(echo) = &self.echo {
            // Nobody may be there to take it; the file has it.
            let _ = write_all(echo, lines);
        }
    }
}

/// What is left of a log.
#[derive(Debug)]
pub struct Finished {
    /// The last lines, without times and secrets, at most [`TAIL_BYTES`].
    pub tail: String,
    pub disk_full: bool,
    pub buffers: Buffers,
}

/// All of it, over as many calls as that takes.
fn write_all(to: &OwnedFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(to, bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// How many bytes may be written now.
#[derive(Debug)]
struct Allowance {
    bytes: i64,
    most: i64,
    at: Instant,
}

impl Allowance {
    fn new(half: u64) -> Allowance {
        let most = i64::try_from(half).unwrap_or(i64::MAX).max(FLOOD_BYTES_PER_SECOND);
        Allowance {
            bytes: most,
            most,
            at: Instant::now(),
        }
    }

    fn is_left(&mut self) -> bool {
        if self.bytes < self.most {
            let now = Instant::now();
            let milliseconds = i64::try_from((now - self.at).as_millis()).unwrap_or(i64::MAX);
            if milliseconds > 0 {
                let more = milliseconds.saturating_mul(FLOOD_BYTES_PER_SECOND / 1000);
                self.bytes = self.bytes.saturating_add(more).min(self.most);
                self.at = now;
            }
        }
        self.bytes > 0
    }

    fn spend(&mut self, bytes: usize) {
        self.bytes -= i64::try_from(bytes).unwrap_or(i64::MAX);
    }
}

/// Keeps the last `most` bytes of a stream.
fn keep_end(end: &mut Vec<u8>, bytes: &[u8], most: usize) {
    if bytes.len() >= most {
        end.clear();
        end.extend_from_slice(&bytes[bytes.len() - most..]);
        return;
    }
    let excess = (end.len() + bytes.len()).saturating_sub(most);
    end.drain(..excess);
    end.extend_from_slice(bytes);
}

/// As text; when it was cut, from the first whole line on.
fn last_lines(tail: &[u8]) -> String {
    let cut = tail.len() == TAIL_BYTES;
    let start = if cut {
        memchr::memchr(b'\n', tail).map_or(0, |newline| newline + 1)
    } else {
        0
    };
    let mut text = String::from_utf8_lossy(if start < tail.len() { &tail[start..] } else { tail }).into_owned();
    // Bytes that are no text take three each when replaced.
    let excess = text.len().saturating_sub(TAIL_BYTES);
    text.drain(..text.ceil_char_boundary(excess));
    text
}
