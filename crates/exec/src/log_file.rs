//! The two files of a log, `x.log` and `x.log.1`, and what becomes of bytes that cannot be written to them.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::stamp::{STAMP_BYTES, now_ms, stamp};

/// How long to leave a full disk alone.
const RETRY: Duration = Duration::from_secs(1);
/// No file is cut shorter than this, however small the limit is.
pub(crate) const SMALLEST_HALF: u64 = 512;

/// The two files.
#[derive(Debug)]
pub(crate) struct LogFile {
    path: PathBuf,
    half: u64,
    open: Option<(File, u64)>,
    /// What was written last is a whole line.
    ends_line: bool,
    /// Bytes that could not be written since the last that could.
    lost: u64,
    retry_at: Option<Instant>,
    disk_full: bool,
}

impl LogFile {
    /// `half` is how long each of the two may get, in bytes.
    pub(crate) fn new(path: &Path, half: u64) -> LogFile {
        let path = path.to_owned();
        LogFile {
            path,
            half,
            open: None,
            ends_line: true,
            lost: 0,
            retry_at: None,
            disk_full: false,
        }
    }

    /// The last chance to say that bytes were lost.
    pub(crate) fn finish(&mut self) {
        self.retry_at = None;
        self.retry();
    }

    pub(crate) fn was_disk_full(&self) -> bool {
        self.disk_full
    }

    /// Writes lines. `stamp` begins a file when a line has to be cut between two.
    pub(crate) fn write(&mut self, mut bytes: &[u8], stamp: &[u8; STAMP_BYTES]) {
        if self.lost > 0 {
            self.retry();
        }
        while !bytes.is_empty() {
            if self.lost > 0 {
                self.lost += bytes.len() as u64;
                return;
            }
            let room = self
                .half
                .saturating_sub(self.open.as_ref().map_or(0, |(_, length)| *length));
            let (now, later) = split_at_room(bytes, room, self.half);
            if let Err(error) = self.append(now) {
                self.on_error(&error, bytes.len());
                return;
            }
            bytes = later;
            if !bytes.is_empty() {
                if let Err(error) = self.rotate() {
                    self.on_error(&error, bytes.len());
                    return;
                }
                if !self.ends_line
                    && let Err(error) = self.append(stamp)
                {
                    self.on_error(&error, bytes.len());
                    return;
                }
            }
        }
    }

    /// After bytes were lost, says so as soon as that can be written.
    pub(crate) fn retry(&mut self) {
        if self.lost == 0 || self.retry_at.is_some_and(|at| Instant::now() < at) {
            return;
        }
        let why = if self.disk_full {
            "the disk was full"
        } else {
            "the log could not be written"
        };
        let note = format!("[kingtide: {} bytes lost; {why}]\n", self.lost);
        let mut line = stamp(now_ms()).to_vec();
        line.extend_from_slice(note.as_bytes());
        // The line before it may have been cut anywhere.
        line.insert(0, b'\n');
        match self.append(&line) {
            Ok(()) => self.lost = 0,
            Err(_) => self.retry_at = Some(Instant::now() + RETRY),
        }
    }

    fn on_error(&mut self, error: &io::Error, bytes: usize) {
        let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        self.disk_full |= full;
        self.lost += bytes as u64;
        self.retry_at = Some(Instant::now() + RETRY);
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let (file, length) = match &mut self.open {
            Some(open) => open,
            None => {
                let file = open(&self.path)?;
                let length = file.metadata()?.len();
                self.open.insert((file, length))
            }
        };
        let result = file.write_all(bytes);
        self.ends_line = bytes.ends_with(b"\n");
        *length = match &result {
            Ok(()) => *length + bytes.len() as u64,
            // A part of it may have been written.
            Err(_) => file.metadata().map_or(*length, |metadata| metadata.len()),
        };
        result
    }

    fn rotate(&mut self) -> io::Result<()> {
        let mut earlier = self.path.clone().into_os_string();
        earlier.push(".1");
        if self.open.is_some() {
            std::fs::rename(&self.path, earlier)?;
            self.open = None;
        }
        Ok(())
    }
}

/// Cuts lines where `room` ends: between two lines, or within one that is longer than a whole file.
fn split_at_room(bytes: &[u8], room: u64, half: u64) -> (&[u8], &[u8]) {
    let room = usize::try_from(room).unwrap_or(usize::MAX);
    if bytes.len() <= room {
        return (bytes, &[]);
    }
    if let Some(newline) = memchr::memrchr(b'\n', &bytes[..room]) {
        return bytes.split_at(newline + 1);
    }
    let line = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |newline| newline + 1);
    // A line that goes on in another file needs room for the time there as well.
    if (line + STAMP_BYTES) as u64 <= half {
        return (&[], bytes);
    }
    bytes.split_at(room)
}

fn open(path: &Path) -> io::Result<File> {
    let open = || OpenOptions::new().append(true).create(true).open(path);
    match open() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            open()
        }
        other => other,
    }
}
